"""The end by Ctrl-C, SIGTERM or a closed terminal: at once, in one line, with nothing left half-written."""

import _thread
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import NoReturn

from cka_cli.errors import one_line

_NUMBERS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
# In the pipe to the watch, where numbers of signals come: what is done is saved.
_SAVED = 0


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within this block the signals end the process with status 128 + their number.

    A signal that the caller ignores, as `nohup` and `&` in a script do, is ignored still. Python runs handlers in the
    main thread between two steps of its own, which is seconds late in a long decomposition, and may be in the middle of
    an addition; so a thread that waits for nothing else saves what is done, where a checkpoint is wanted, and ends the
    process. A second signal ends it at once.
    """
    heeded = [number for number in _NUMBERS if signal.getsignal(number) != signal.SIG_IGN]
    is_watched = os.name == "posix"
    with _watched(heeded) if is_watched else nullcontext():
        answer = _leave_to_the_watch if is_watched else _save_and_end
        handlers = {number: signal.signal(number, answer) for number in heeded}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


@contextmanager
def _watched(heeded: list[signal.Signals]) -> Iterator[None]:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    others = signal.set_wakeup_fd(writing)
    arrived: list[int] = []
    _thread.start_new_thread(_watch, (reading, writing, heeded, arrived))
    try:
        yield
    finally:
        while arrived:  # the watch ends the process, with its own status
            time.sleep(1)
        signal.set_wakeup_fd(others)
        os.close(writing)  # the watch ends


def _watch(reading: int, writing: int, heeded: list[signal.Signals], arrived: list[int]) -> None:
    """End the process when one of the signals has come; return when the other end of the pipe is closed."""
    kept = [""]
    while byte := os.read(reading, 1):
        if arrived and (byte[0] == _SAVED or byte[0] in heeded):
            _end(arrived[0], kept=kept[0])
        if byte[0] in heeded:
            arrived.append(byte[0])
            _thread.start_new_thread(_save, (writing, kept))
    os.close(reading)


def _save(writing: int, kept: list[str]) -> None:
    try:
        kept[0] = _kept()
    finally:
        os.write(writing, bytes([_SAVED]))


def _kept() -> str:
    """Save what is done of a run with a checkpoint; return in words what is kept."""
    checkpoint = sys.modules.get("cka_cli.execution.checkpoint")
    # It may be half imported.
    return str(checkpoint.kept_at_end()) if checkpoint is not None and hasattr(checkpoint, "kept_at_end") else ""


def _save_and_end(number: int, frame: FrameType | None) -> NoReturn:
    _end(number, kept=_kept())


def _leave_to_the_watch(number: int, frame: FrameType | None) -> None:
    """Let what is being done go on: the watch ends the process."""


def _end(number: int, *, kept: str) -> NoReturn:
    """End without unwinding: an exception could be lost in a callback, or wait for a thread.

    kept : in words, what a checkpoint holds.
    """
    outputs = sys.modules.get("cka_cli.system.atomic_files")
    written = "nothing was written"
    if outputs is not None and hasattr(outputs, "remove_unfinished"):  # it may be half imported
        written = outputs.remove_unfinished()
    line = f"Interrupted: {one_line(kept or written)}\n"
    if sys.stderr is not None and sys.stderr.isatty():
        line = "\r\x1b[K\x1b[?25h" + line  # the line of the progress bar, and the cursor it hid
    with suppress(OSError):  # closed, or a terminal that is gone
        os.write(2, line.encode("utf-8", "backslashreplace"))
    os._exit(128 + number)
