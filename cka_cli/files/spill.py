"""What can only be unpacked as a whole, unpacked once, into temporary files that have no name.

An array in Fortran order in a compressed archive, or a compressed chunk as large as a layer, has no part that could be
unpacked alone. Unpacked in memory it would take more than the memory allowed, and anew for every piece that is read;
on disk it takes its size in the folder for temporary files, until others take its place or the process ends.
"""

import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from io import FileIO
from threading import Lock

from cka_cli.text import MIB

# What is unpacked in memory, each time anew, when it is smaller than this.
IN_MEMORY_BYTES = 1 << 24
_MOST_FILES = 64

_kept: OrderedDict[Hashable, "Unpacked"] = OrderedDict()
_lock = Lock()


class Unpacked:
    """An unnamed file of unpacked bytes, for one reader at a time."""

    def __init__(self, stream: FileIO):
        self.stream, self.lock = stream, Lock()

    def __del__(self) -> None:
        self.stream.close()


def unpacked(key: Hashable, n_bytes: int, unpack: Callable[[], Iterable[bytes]]) -> Unpacked:
    """Return the bytes that belong to `key`, which `unpack` gives part by part unless they are still there.

    One at a time, whatever the number of threads. Raises OSError when there is no room for `n_bytes`.
    """
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
        folder = _folder()
        _make_room(folder, n_bytes)
        # Closed when nobody has it any more; without a buffer it is the file itself.
        stream = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        stream.writelines(unpack())
        _kept[key] = Unpacked(stream)
        return _kept[key]


def _folder() -> str:
    """Return where temporary files go: not to /tmp unless told so, which is often memory."""
    large = "/var/tmp"
    if "TMPDIR" not in os.environ and os.path.isdir(large) and os.access(large, os.W_OK):
        return large
    return tempfile.gettempdir()


def _make_room(folder: str, n_bytes: int) -> None:
    """Let go of the oldest files until another one fits and as much is left free."""
    while _kept and (len(_kept) >= _MOST_FILES or shutil.disk_usage(folder).free < 2 * n_bytes):
        _kept.popitem(last=False)
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise OSError(
            f"it can only be unpacked as a whole, to {n_bytes // MIB + 1} MiB in {folder}, which has {free // MIB} "
            "MiB free: set TMPDIR to a folder that has more, or save it in small chunks and row order",
        )
