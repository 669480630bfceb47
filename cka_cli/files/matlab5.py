"""MATLAB files of version 5 (`save -v6` and `-v7`): a header, then one element for each array, packed or not.

Read here and not by scipy, which knows no way to read some rows: arrays lie in column order, and a packed one can only
be unpacked as a whole. Format: MAT-File Format, The MathWorks, chapter 1.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import RawIOBase
from math import prod
from typing import Any

import numpy as np

from cka_cli.arrays import Array
from cka_cli.errors import DataError, one_line, reason
from cka_cli.files.contiguous import Form, PlainRows, read_rows
from cka_cli.files.layer import ActivationFile, Layer
from cka_cli.files.matlab import COMPLEX, EMPTY_ARRAY, SPARSE_MATRIX, advice, matlab_shape, note_of_axes
from cka_cli.files.npy_header import NoLayerError
from cka_cli.files.sorting import SortedOut
from cka_cli.files.source_file import Origin, origin_of
from cka_cli.files.spill import IN_MEMORY_BYTES, unpacked

_HEADER_BYTES = 128
_INT8, _INT32, _UINT32, _MATRIX, _PACKED, _UTF8 = 1, 5, 6, 14, 15, 16
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_OTHERS = {1: "cell", 2: "struct", 3: "object", 4: "char", 16: "function_handle", 17: "opaque object"}
_SPARSE = 5
_LOGICAL_FLAG, _COMPLEX_FLAG = 0x200, 0x800
# What says how an array lies, before its values; and what deflate makes of a byte at most.
_MOST_HEAD_BYTES, _MOST_DEFLATED = 1 << 12, 1032
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class _Element:
    """Where the bytes of one array lie, packed or not."""

    offset: int
    n_bytes: int
    is_packed: bool


@dataclass(frozen=True)
class _Head:
    """What an element says of its array. offset : of the values within it, unpacked. saved : their type there."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    saved: np.dtype[Any]
    offset: int


def open_matlab5(path: str) -> ActivationFile:
    """Return the arrays of numbers of a file; only headers are read."""
    sorted_out = SortedOut()
    try:
        origin = origin_of(path)
        with origin.opened() as stream:
            order = _byte_order(stream.read(_HEADER_BYTES) or b"")
            for element in _elements(stream, origin.n_bytes, order):
                _sort(sorted_out, path, origin, _begin(stream, element), element, order)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path}: is not a readable MATLAB file ({reason(error)}); it may be cut short: copy or save it again"
        ) from error
    return sorted_out.file(path, "MATLAB 5", note_of_axes(sorted_out.arrays))


def _sort(sorted_out: SortedOut, path: str, origin: Origin, begin: bytes, element: _Element, order: str) -> None:
    """Take in the array of one element by its first bytes."""
    name, place = _name(begin, order)
    if not name:  # what MATLAB keeps of objects stands behind all arrays, without a name
        return
    if name in {*sorted_out.refused, *sorted_out.unreadable, *(array.name for array in sorted_out.arrays)}:
        raise ValueError(f"{name} stands in it more than once")
    try:
        head = _head(begin, name, place, order)
        n_bytes = head.offset + prod(head.shape) * head.saved.itemsize
        if n_bytes > element.n_bytes * (_MOST_DEFLATED if element.is_packed else 1):
            raise ValueError(f"it promises {n_bytes} bytes, more than it has")
    except NoLayerError as error:
        sorted_out.refused[name] = str(error)
    except ValueError as error:
        sorted_out.unreadable[name] = f"cannot be read ({reason(error)}); copy or save it again"
    else:
        form = Form(head.shape, head.saved, column_order=len(head.shape) > 1)
        rows = _Rows(origin, element, head.offset, form, head.dtype)
        storage = "column order, compressed" if element.is_packed else "column order"
        sorted_out.add(Layer(path, name, head.shape, head.dtype, storage, rows, n_first_axis=form.n_first_axis), None)


def _byte_order(header: bytes) -> str:
    mark = {b"\0\1IM": "<", b"\1\0MI": ">"}.get(header[124:128])
    if mark is None:
        raise ValueError(f"its header ends with {header[124:128]!r}")
    return mark


def _tag(data: bytes, order: str, place: int = 0) -> tuple[int, int, int]:
    """Return the type of the element at a place, its bytes, and how many its tag takes, which may hold them too."""
    kind, n_bytes = np.frombuffer(data, f"{order}u4", 2, place).tolist()
    return (kind & 0xFFFF, kind >> 16, 4) if kind >> 16 else (kind, n_bytes, 8)


def _elements(stream: RawIOBase, end: int, order: str) -> Iterator[_Element]:
    """Give the elements of a file. Raises ValueError where one is none, or reaches beyond the end."""
    place = _HEADER_BYTES
    while place < end:
        stream.seek(place)
        kind, n_bytes, _ = _tag((stream.read(8) or b"").ljust(8, b"\0"), order)
        if kind not in (_MATRIX, _PACKED) or place + 8 + n_bytes > end:
            what = f"is of the type {kind}" if kind not in (_MATRIX, _PACKED) else f"promises {n_bytes} bytes"
            raise ValueError(f"what stands at byte {place} of its {end} {what}")
        yield _Element(place + 8, n_bytes, is_packed=kind == _PACKED)
        place += 8 + n_bytes


def _begin(stream: RawIOBase, element: _Element) -> bytes:
    """Return the first bytes of an element, unpacked. Raises ValueError when it is none."""
    stream.seek(element.offset)
    data = stream.read(min(element.n_bytes, _MOST_HEAD_BYTES)) or b""
    if not element.is_packed:
        return data
    try:
        return zlib.decompressobj().decompress(data, _MOST_HEAD_BYTES)
    except zlib.error as error:
        raise ValueError(f"it cannot be unpacked: {error}") from error


def _part(data: bytes, order: str, place: int, kinds: tuple[int, ...]) -> tuple[bytes, int]:
    """Return the bytes of a part of an array, and where the next begins. Raises ValueError for another part."""
    kind, n_bytes, n_tag = _tag(data, order, place)
    if kind not in kinds or place + n_tag + n_bytes > len(data):
        raise ValueError(f"a part of the type {kind} and {n_bytes} bytes stands where another must")
    begin = place + n_tag
    return data[begin : begin + n_bytes], place + 8 if n_tag == 4 else begin + -(-n_bytes // 8) * 8


def _name(begin: bytes, order: str) -> tuple[str, int]:
    """Return the name of an array, and where its first part begins."""
    place = 0
    if _tag(begin, order)[0] == _MATRIX and len(begin) > 8 and _tag(begin, order, 8)[0] == _UINT32:
        place = 8  # of a packed one, the tag is packed too
    _, after = _part(begin, order, place, (_UINT32,))
    _, after = _part(begin, order, after, (_INT32,))
    name, _ = _part(begin, order, after, (_INT8, _UTF8))
    return one_line(name.decode("utf-8", "backslashreplace")), place


def _head(begin: bytes, name: str, place: int, order: str) -> _Head:
    """Return what an array says of itself. Raises NoLayerError for what is none of numbers, ValueError."""
    flags, place = _part(begin, order, place, (_UINT32,))
    dims, place = _part(begin, order, place, (_INT32,))
    _, place = _part(begin, order, place, (_INT8, _UTF8))
    flag, of_class = int(np.frombuffer(flags, f"{order}u4", 1)[0]), flags[0 if order == "<" else 3]
    lengths = tuple(np.frombuffer(dims, f"{order}i4").tolist())
    if of_class not in _CLASSES:
        raise NoLayerError(SPARSE_MATRIX if of_class == _SPARSE else advice(_OTHERS.get(of_class, f"class {of_class}")))
    if flag & _COMPLEX_FLAG:
        raise NoLayerError(COMPLEX)
    if not 2 <= len(lengths) <= 32 or min(lengths) < 0:
        raise ValueError(f"it has the shape {lengths[:8]}")
    if 0 in lengths:
        raise NoLayerError(EMPTY_ARRAY)
    kind, n_bytes, n_tag = _tag(begin, order, place)
    saved = np.dtype(order + _TYPES.get(kind, "V0"))
    if kind not in _TYPES or n_bytes != prod(lengths) * saved.itemsize:
        raise ValueError(f"{n_bytes} bytes of the type {kind} are its values, of shape {lengths[:8]}")
    meant = np.dtype(bool) if flag & _LOGICAL_FLAG else np.dtype(order + _CLASSES[of_class])
    return _Head(name, matlab_shape(lengths[::-1]), meant, saved, place + n_tag)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Reads rows of an array; a packed one is unpacked as a whole, on disk when it is large."""

    origin: Origin
    element: _Element
    offset: int
    form: Form
    dtype: np.dtype[Any]

    def __call__(self, start: int, stop: int, part: slice) -> Array:
        """Return rows, of their second axis a part. Raises EOFError, ChangedError or ValueError."""
        if not self.element.is_packed:
            rows = PlainRows(self.origin, self.element.offset + self.offset, self.form)(start, stop, part)
        elif self.form.n_bytes <= IN_MEMORY_BYTES:
            values = np.frombuffer(b"".join(self._unpacked()), self.form.dtype).reshape(self.form.shape, order="F")
            rows = np.array(values[(slice(start, stop), part)[: values.ndim]], order="C")
        else:
            file = unpacked(self, self.form.n_bytes, self._unpacked)
            self.origin.check()
            with file.lock:
                rows = read_rows(file.stream, 0, self.form, start, stop, part)
        return rows != 0 if self.dtype == bool else rows.astype(self.dtype, copy=False)

    def _unpacked(self) -> Iterator[bytes]:
        """Give the values of a packed array, a little at a time, and no more. Raises ValueError when they are fewer."""
        inflate, skipped, left, n_packed = zlib.decompressobj(), self.offset, self.form.n_bytes, self.element.n_bytes
        with self.origin.opened() as stream:
            stream.seek(self.element.offset)
            while n_packed and not inflate.eof:
                packed = stream.read(min(n_packed, _AT_ONCE)) or b""
                n_packed = n_packed - len(packed) if packed else 0
                while packed and not inflate.eof:
                    try:
                        data = inflate.decompress(packed, 4 * _AT_ONCE)
                    except zlib.error as error:
                        raise ValueError(f"it cannot be unpacked: {error}") from error
                    packed = inflate.unconsumed_tail
                    of_values = data[skipped : skipped + left]
                    skipped, left = max(0, skipped - len(data)), left - len(of_values)
                    yield of_values
        if left or not inflate.eof:
            raise ValueError(f"it is cut short by {left} bytes")
