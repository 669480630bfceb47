"""NPZ archives: stored members are read where they lie, compressed ones are unpacked front to back, never unpickled.

The sums of the archive (CRC-32) are held against the values whenever they are read from first to last.
"""

import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from cka_cli.arrays import Array
from cka_cli.errors import DataError, reason
from cka_cli.files.archive import check_whole, data_offset
from cka_cli.files.contiguous import Form, PlainRows, read_rows
from cka_cli.files.layer import ActivationFile, Layer, Reader
from cka_cli.files.listing import Others, is_hidden
from cka_cli.files.npy_header import damage_of, read_npy_header
from cka_cli.files.registry import HEAD_BYTES, NPY_MAGIC
from cka_cli.files.sorting import SortedOut
from cka_cli.files.source_file import Origin, origin_of
from cka_cli.files.spill import IN_MEMORY_BYTES, unpacked

_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error)
# What damage to an archive raises; IndexError: of a member without a name, which `ZipInfo.is_dir` does not expect.
READ_ERRORS = (OSError, ValueError, EOFError, RuntimeError, OverflowError, IndexError, *_DAMAGE)
# What the highest preset of LZMA takes.
_MOST_DICTIONARY_BYTES = 1 << 26
_AT_ONCE = 1 << 20


def open_npz(path: str) -> ActivationFile:
    """Return the arrays of an NPZ archive, in the order they were saved."""
    try:
        origin = origin_of(path)
        with zipfile.ZipFile(path) as archive:
            check_whole(archive, origin)
            members, notes = _members_of(archive, path)
            if not members:
                found = ", ".join(archive.namelist()[:3]) or "nothing"
                raise DataError(
                    f"{path}: is a zip archive without NPY arrays (found {found}); save plain arrays with numpy.savez"
                )
            names = [info.filename.removesuffix(".npy") for info in members]
            if len(set(names)) < len(names):
                doubled = next(name for name in names if names.count(name) > 1)
                raise DataError(f"{path}::{doubled}: stands more than once in the archive; save it again")
            sorted_out = SortedOut()
            for info, name in zip(members, names, strict=True):
                with sorted_out.sorting(name, READ_ERRORS):
                    sorted_out.add(*_member_layer(origin, archive, info, name))
    except READ_ERRORS as error:
        raise DataError(
            f"{path}: is not a readable NPZ archive ({reason(error)}); it may be cut short: copy or save it again"
        ) from error
    return sorted_out.file(path, "NPZ", notes)


def _members_of(archive: zipfile.ZipFile, path: str) -> tuple[list[zipfile.ZipInfo], tuple[str, ...]]:
    """Return the members that are arrays, and a note of what is not read.

    A member is an array by its name, and, where that is hidden or another, by how it begins.
    """
    members, others = [], Others()
    for info in archive.infolist():
        name = info.filename
        if info.is_dir() or is_hidden(name.rpartition("/")[0]):
            continue
        is_array = name.endswith(".npy") and not is_hidden(name)
        if is_array or (head := _head_of(archive, info)).startswith(NPY_MAGIC):
            members.append(info)
        else:
            others.add(name, head)
    rule = f"{path}: of an archive only NPY arrays are read"
    return members, others.note(rule, "take other files out and give them by themselves")


def _head_of(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return the first bytes of a member, none where it cannot be unpacked."""
    try:
        with archive.open(info) as stream:
            return stream.read(HEAD_BYTES)
    except READ_ERRORS:
        return b""


def _member_layer(
    origin: Origin, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str
) -> tuple[Layer, str | None]:
    """Return the array of a member, and what is wrong with the bytes behind its header."""
    path = origin.path
    if info.compress_type == zipfile.ZIP_LZMA:
        _check_dictionary(path, info)
    with archive.open(info) as stream:
        form = read_npy_header(stream)
        header_bytes = stream.tell()
        damage = damage_of(stream, info.file_size - header_bytes, form)
    shape, dtype, _ = form
    if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
        stored = StoredRows(origin, info, header_bytes, form)
        return Layer(path, name, shape, dtype, "contiguous", stored, n_first_axis=form.n_first_axis), damage
    packed = _Unpacker(origin, info.filename, form)
    return Layer(path, name, shape, dtype, "compressed", packed, n_second_axis=(*shape, 1, 1)[1]), damage


def _check_dictionary(path: str, info: zipfile.ZipInfo) -> None:
    """Raise BadZipFile when a member packed with LZMA asks for more memory than any that was packed in earnest."""
    with Path(path).open("rb") as stream:
        stream.seek(data_offset(path, info) + 5)  # version, size of the parameters, the first of them
        n_bytes = int.from_bytes(stream.read(4), "little")
    if n_bytes > _MOST_DICTIONARY_BYTES:
        raise zipfile.BadZipFile(f"it asks for a dictionary of {n_bytes >> 20} MiB")


class StoredRows(PlainRows):
    """Reads rows of a member that is not compressed, and sums them up while they come in order from the first."""

    def __init__(self, origin: Origin, info: zipfile.ZipInfo, header_bytes: int, form: Form):
        begin = data_offset(origin.path, info)
        super().__init__(origin, begin + header_bytes, form)
        with origin.opened() as stream:
            stream.seek(begin)
            self._sum = zlib.crc32(stream.read(header_bytes) or b"")
        self._expected_sum, self._summed_rows = info.CRC, 0
        self._can_be_summed = not form.column_order and info.file_size == header_bytes + form.n_bytes

    def __call__(self, start: int, stop: int, part: slice, out: Array | None = None) -> Array:
        """Return rows, of their second axis a part. Raises OSError where the sum is not that of the values."""
        rows = super().__call__(start, stop, part, out)
        if self._can_be_summed and rows.size and rows.shape[1:] == self._form.shape[1:]:
            with self._lock:
                if start != self._summed_rows:
                    return rows
                self._sum, self._summed_rows = zlib.crc32(rows.reshape(-1).view(np.uint8).data, self._sum), stop
                if stop == self._form.shape[0] and self._sum != self._expected_sum:
                    raise OSError("its values are not those that were saved: wrong CRC-32")
        return rows


class _Unpacker(Reader):
    """Reads rows of a compressed member; going forward continues where the last read ended."""

    _here = ("_stream",)

    def __init__(self, origin: Origin, member: str, form: Form):
        super().__init__()
        self._origin, self._member, self._form = origin, member, form
        self._stream: IO[bytes] | None = None
        self._next_row = 0

    def __call__(self, start: int, stop: int, part: slice) -> Array:
        try:
            self._origin.check()
            if self._form.column_order:
                return self._rows_of_columns(start, stop, part)
            with self._lock:
                rows = self._unpacked_rows(start, stop)
            return rows if rows.ndim < 2 else rows[:, part]
        except _DAMAGE as error:
            self._stream = None
            raise OSError(reason(error)) from error

    def _unpacked_rows(self, start: int, stop: int) -> Array:
        shape = self._form.shape
        row_bytes = self._form.n_bytes // max(1, shape[0])
        if self._stream is None or start < self._next_row:
            self._stream, self._next_row = self._opened(), 0
        self._stream.seek((start - self._next_row) * row_bytes, os.SEEK_CUR)  # unpacks a little at a time
        data = self._stream.read((stop - start) * row_bytes)
        self._next_row = stop
        if len(data) < (stop - start) * row_bytes:
            raise EOFError("the archive ends too early")
        return np.frombuffer(data, self._form.dtype).reshape(stop - start, *shape[1:])

    def _rows_of_columns(self, start: int, stop: int, part: slice) -> Array:
        """Return rows of an array in Fortran order, of which every column must be unpacked."""
        (shape, dtype, _), n_bytes = self._form, self._form.n_bytes
        if n_bytes <= IN_MEMORY_BYTES:
            whole = np.frombuffer(self._opened().read(n_bytes), dtype, count=n_bytes // dtype.itemsize)
            parts = (slice(start, stop), part)[: len(shape)]
            return np.array(whole.reshape(shape, order="F")[parts], order="C")
        file = unpacked(self, n_bytes, self._unpacked)
        with file.lock:
            return read_rows(file.stream, 0, self._form, start, stop, part)

    def _unpacked(self) -> Iterator[bytes]:
        stream, left = self._opened(), self._form.n_bytes
        while left:
            data = stream.read(min(left, _AT_ONCE))
            if not data:
                raise EOFError("the archive ends too early")
            yield data
            left -= len(data)

    def _opened(self) -> IO[bytes]:
        """Return a stream that stands where the values begin."""
        stream = zipfile.ZipFile(self._origin.path).open(self._member)  # noqa: SIM115 - kept open between reads
        read_npy_header(stream)
        return stream
