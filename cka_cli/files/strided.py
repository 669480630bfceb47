"""Values that lie at regular distances in a file: a transposed array, a slice of one, channels last, repeated rows."""

from io import RawIOBase

import numpy as np

from cka_cli.arrays import Array
from cka_cli.files.contiguous import NEAR_BYTES, PAGE_BYTES, WINDOW_BYTES, Form, read_into
from cka_cli.files.layer import Reader
from cka_cli.files.source_file import Origin


class StridedRows(Reader):
    """Reads rows of an array whose neighbours along each axis lie `strides` bytes apart, none of them below 0."""

    def __init__(self, origin: Origin, offset: int, form: Form, strides: tuple[int, ...]):
        super().__init__()
        self._origin, self._offset, self._form, self._strides = origin, offset, form, strides

    @property
    def least(self) -> tuple[int, int]:
        """The least of rows, and of the second axis, that can be read: fewer cost as much."""
        shape, strides = (*self._form.shape, 1, 1), (*self._strides, 0, 0)
        farther = [
            any(stride > own for n, stride in zip(shape[axis + 1 :], strides[axis + 1 :], strict=True) if n > 1)
            for axis, own in enumerate(strides[:2])
        ]
        return max(1, PAGE_BYTES // max(1, strides[0])) if farther[0] else 1, shape[1] if farther[1] else 1

    def __call__(self, start: int, stop: int, part: slice) -> Array:
        """Return rows, of their second axis a part. Raises EOFError or ChangedError when the file is another."""
        shape, strides = self._form.shape, self._strides
        wanted = [range(start, stop), *(range(n) for n in shape[1:])]
        wanted[1:2] = [each[part] for each in wanted[1:2]]
        found = np.empty([len(each) for each in wanted], self._form.dtype)
        if found.size:
            place = self._offset + sum(each.start * stride for each, stride in zip(wanted, strides, strict=True))
            with self._origin.opened() as stream:
                _fill(stream, found, place, strides)
        return found


def _fill(stream: RawIOBase, out: Array, place: int, strides: tuple[int, ...]) -> None:
    """Fill an array whose first value lies at `place`: at once where little else lies between, else in pieces."""
    reach = [(n - 1) * stride for n, stride in zip(out.shape, strides, strict=True)]
    n_bytes = sum(reach) + out.itemsize
    axis = max(range(out.ndim), key=lambda each: strides[each] if out.shape[each] > 1 else 0)
    stride, n_inner = strides[axis], out.nbytes // out.shape[axis]
    is_near = stride <= max(NEAR_BYTES, 4 * n_inner)
    if not reach[axis] or (is_near and n_bytes <= WINDOW_BYTES):
        window = np.empty(n_bytes, np.uint8)
        read_into(stream, window, place)
        out[...] = np.ndarray(out.shape, out.dtype, window.data, 0, strides)
        return
    n_at_once = max(1, (WINDOW_BYTES - n_bytes + reach[axis]) // stride + 1) if is_near else 1
    for first in range(0, out.shape[axis], n_at_once):
        some = out[(slice(None),) * axis + (slice(first, first + n_at_once),)]
        _fill(stream, some, place + first * stride, strides)
