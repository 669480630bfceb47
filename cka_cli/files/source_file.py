"""The file that values are read from: it must stay as it was when its header was read."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO, RawIOBase


class ChangedError(OSError):
    """A file is another one, or has been written to, since its header was read."""


@dataclass(frozen=True)
class Origin:
    """A regular file, and what tells whether it is still the same.

    identity : device, inode, bytes and time of last change.
    """

    path: str
    identity: tuple[int, int, int, int]

    @property
    def n_bytes(self) -> int:
        """Bytes of the file."""
        return self.identity[2]

    def check(self) -> None:
        """Raise ChangedError when the file is no longer what it was."""
        if _identity(os.stat(self.path)) != self.identity:
            raise ChangedError

    @contextmanager
    def opened(self) -> Iterator[RawIOBase]:
        """Give the file as an unbuffered stream. Raises ChangedError when it is not what it was, before or after."""
        with open(self.path, "rb", buffering=0) as stream:
            self._check(stream)
            yield stream
            self._check(stream)

    def _check(self, stream: FileIO) -> None:
        if _identity(os.fstat(stream.fileno())) != self.identity:
            raise ChangedError


def origin_of(path: str) -> Origin:
    """Return the file at `path`. Raises OSError for what is none: a pipe would keep whoever opens it waiting."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is a pipe or a device, which gives its bytes only once")
    return Origin(path, _identity(status))


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
