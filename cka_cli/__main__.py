"""The command `cka`, and `python -m cka_cli`."""

import atexit
import gc
import os
import signal
from typing import NoReturn

# Until the command can end by itself, Ctrl-C ends it without the traceback of whatever is being imported.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
# Modules and classes stay as long as the process does: it need not look through them for garbage time and again.
gc.set_threshold(50_000)

from cka_cli.cli import main  # noqa: E402 - after what makes importing it cheaper


def run() -> NoReturn:
    """Run the command and end the process, without giving back every array and module first, which takes its time.

    What is registered for the end is done: matplotlib removes a folder that it made, and children are ended.
    """
    status = 1
    atexit.register(lambda: os._exit(status))  # the first to be registered is the last to be called
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
        raise


__all__ = ["main", "run"]

if __name__ == "__main__":
    main()  # with an end as Python has it, for profilers and the like
