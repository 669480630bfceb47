"""Values that lie plainly in a file, read where they lie.

With reads and not with a memory map: a map of a file that becomes shorter meanwhile ends the process (SIGBUS), and a
read says so. Rows in one run are read into their array at once, parts of rows as the larger runs that hold them while
these are not much larger, else one by one.
"""

from io import RawIOBase
from math import prod
from typing import Any, NamedTuple

import numpy as np

from cka_cli.arrays import Array
from cka_cli.files.layer import Reader
from cka_cli.files.source_file import Origin

# Bytes read at once to take parts out of.
WINDOW_BYTES = 1 << 22
# Parts of rows that lie closer than this are read together with what is between them.
NEAR_BYTES = 1 << 14
_MOST_AT_ONCE = 1 << 30
PAGE_BYTES = 1 << 12


class Form(NamedTuple):
    """How the values of an array follow one another.

    column_order : whether the first axis is the one whose neighbours lie side by side (Fortran order).
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    column_order: bool = False

    @property
    def n_bytes(self) -> int:
        """Bytes of all values."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def n_first_axis(self) -> int:
        """The least of rows that can be read: fewer cost as much, as a value of a column costs the page it lies on."""
        return max(1, PAGE_BYTES // self.dtype.itemsize) if self.column_order else 1


class PlainRows(Reader):
    """Reads rows of an array that lies plainly in a file."""

    def __init__(self, origin: Origin, offset: int, form: Form):
        super().__init__()
        self._origin, self._offset, self._form = origin, offset, form

    def __call__(self, start: int, stop: int, part: slice, out: Array | None = None) -> Array:
        """Return rows, of their second axis a part. Raises EOFError or ChangedError when the file is another.

        out : what they are read into where that is possible, in one piece, of their shape and dtype.
        """
        with self._origin.opened() as stream:
            return read_rows(stream, self._offset, self._form, start, stop, part, out)


def read_rows(
    stream: RawIOBase, offset: int, form: Form, start: int, stop: int, part: slice, out: Array | None = None
) -> Array:
    """Return rows start to stop of an array that begins at `offset`, and of their second axis only `part`.

    stream : unbuffered; its place is moved. out : as `PlainRows` has it.
    Raises EOFError when the file ends before the array does.
    """
    shape, dtype, column_order = form
    n_second, *inner = (*shape[1:], 1)
    first, last, _ = part.indices(n_second)
    wanted = (stop - start, last - first, *inner)[: len(shape)]
    if 0 in wanted:
        return np.empty(wanted, dtype)
    if column_order:
        segment, stride, n_inner = (stop - start) * dtype.itemsize, shape[0] * dtype.itemsize, prod(inner)
        found = np.empty((n_inner, last - first, segment), np.uint8)
        at = offset + first * stride + start * dtype.itemsize
        if last - first == n_second:
            _read_segments(stream, found.reshape(-1, segment), at, stride)
        else:
            for place, of_one in enumerate(found):
                _read_segments(stream, of_one, at + place * n_second * stride, stride)
        return np.ascontiguousarray(found.view(dtype).reshape(wanted[::-1]).T)
    unit = prod(inner) * dtype.itemsize
    values = np.empty(wanted, dtype) if out is None or out.dtype != dtype else out
    segments = values.reshape(-1).view(np.uint8).reshape(stop - start, -1)
    _read_segments(stream, segments, offset + (start * n_second + first) * unit, n_second * unit)
    return values


def _read_segments(stream: RawIOBase, out: Array, offset: int, stride: int) -> None:
    """Fill each row of `out` with the bytes that begin at `offset`, `offset + stride`, ..."""
    n_segments, segment = out.shape
    if segment == stride:
        read_into(stream, out.reshape(-1), offset)
        return
    if stride > max(NEAR_BYTES, 4 * segment):
        for place in range(n_segments):
            read_into(stream, out[place], offset + place * stride)
        return
    n_at_once = max(1, min(n_segments, WINDOW_BYTES // stride))
    window = np.empty(n_at_once * stride, np.uint8)
    for start in range(0, n_segments, n_at_once):
        n_rows = min(n_at_once, n_segments - start)
        n_bytes = (n_rows - 1) * stride + segment  # not beyond the last part, where the file may end
        read_into(stream, window[:n_bytes], offset + start * stride)
        out[start : start + n_rows] = window[: n_rows * stride].reshape(n_rows, stride)[:, :segment]


def read_into(stream: RawIOBase, values: Array, offset: int) -> None:
    """Fill an array of bytes with those that begin at `offset`. Raises EOFError."""
    out: Any = memoryview(values)  # type: ignore[arg-type]
    stream.seek(offset)
    done = 0
    while done < len(out):
        count = stream.readinto(out[done : done + _MOST_AT_ONCE])
        if not count:
            raise EOFError("the file ends too early")
        done += count
