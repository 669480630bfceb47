"""The command `cka`, and `python -m cka_cli`."""

import signal

# Until the command can end by itself, Ctrl-C ends it without the traceback of whatever is being imported.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from cka_cli.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
