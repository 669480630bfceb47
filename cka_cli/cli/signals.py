"""The end by Ctrl-C, SIGTERM or a closed terminal: at once, quietly, with nothing left half-written."""

import _thread
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import NoReturn

_NUMBERS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within this block the signals end the process with status 128 + their number.

    A signal that the caller ignores, as `nohup` and `&` in a script do, is ignored still. Python runs handlers in the
    main thread between two steps of its own, which is seconds late in a long decomposition; so a thread that waits for
    nothing else ends the process too, whichever is first.
    """
    heeded = [number for number in _NUMBERS if signal.getsignal(number) != signal.SIG_IGN]
    handlers = {number: signal.signal(number, _end_at_once) for number in heeded}
    try:
        with _watched(heeded) if os.name == "posix" else nullcontext():
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _watched(heeded: list[signal.Signals]) -> Iterator[None]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    others = signal.set_wakeup_fd(writing)
    _thread.start_new_thread(_watch, (reading, heeded))
    try:
        yield
    finally:
        signal.set_wakeup_fd(others)
        os.close(writing)  # the watch ends


def _watch(reading: int, heeded: list[signal.Signals]) -> None:
    """End the process as soon as one of the signals has come; return when the other end of the pipe is closed."""
    while arrived := os.read(reading, 1):
        if arrived[0] in heeded:
            _end_at_once(arrived[0], None)
    os.close(reading)


def _end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """End without unwinding: an exception could be lost in a callback, or wait for a thread."""
    outputs = sys.modules.get("cka_cli.outputs")
    if outputs is not None and hasattr(outputs, "remove_unfinished"):  # it may be half imported
        outputs.remove_unfinished()
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(2, b"\r\x1b[K\x1b[?25h")  # the line of the progress bar, and the cursor it hid
    os._exit(128 + number)
