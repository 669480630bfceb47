"""NPZ archives: stored members are memory-mapped, compressed ones are unpacked front to back, never pickled."""

import lzma
import os
import struct
import zipfile
import zlib
from functools import partial
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np

from cka_cli.activations.layer import ActivationFile, Layer, reason, sort_arrays
from cka_cli.activations.npy import map_rows, read_npy_header
from cka_cli.arrays import Array
from cka_cli.errors import DataError

_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error)
_READ_ERRORS = (OSError, ValueError, EOFError, RuntimeError, *_DAMAGE)


def open_npz(path: str) -> ActivationFile:
    """Return the arrays of an NPZ archive, in the order they were saved."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if not members:
                found = ", ".join(archive.namelist()[:3]) or "nothing"
                raise DataError(
                    f"{path}: is a zip archive without NPY arrays (found {found}); save plain arrays with numpy.savez"
                )
            names = [info.filename for info in members]
            if len(set(names)) < len(names):
                doubled = next(name for name in names if names.count(name) > 1).removesuffix(".npy")
                raise DataError(f"{path}::{doubled}: stands more than once in the archive; save it again")
            arrays = [_member_layer(path, archive, info) for info in members]
    except _READ_ERRORS as error:
        raise DataError(
            f"{path}: is not a readable NPZ archive ({reason(error)}); it may be cut short: copy or save it again"
        ) from error
    return sort_arrays(path, "NPZ", arrays, {})


def _member_layer(path: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Layer:
    name = info.filename.removesuffix(".npy")
    try:
        with archive.open(info) as stream:
            shape, fortran_order, dtype = read_npy_header(stream)
            header_bytes = stream.tell()
    except _READ_ERRORS as error:
        raise DataError(f"{path}::{name}: is not a readable NPY array ({reason(error)}); save it again") from error
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if not dtype.hasobject and needed > info.file_size - header_bytes:
        raise DataError(
            f"{path}::{name}: is cut short ({info.file_size - header_bytes} bytes of values where its header "
            f"promises {needed}); save it again"
        )
    if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
        offset = _data_offset(path, info) + header_bytes

        return Layer(
            path, name, shape, dtype, "contiguous", partial(map_rows, path, offset, shape, dtype, fortran_order)
        )
    unpacked = _Unpacker(path, info.filename, shape, dtype, fortran_order=fortran_order)
    return Layer(path, name, shape, dtype, "compressed", unpacked.read_rows, n_second_axis=(*shape, 1, 1)[1])


def _data_offset(path: str, info: zipfile.ZipInfo) -> int:
    """Return where a member's bytes begin: behind its local header, whose extra field may differ in length."""
    with Path(path).open("rb") as stream:
        stream.seek(info.header_offset)
        header = stream.read(30)
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    return int(info.header_offset + 30 + name_length + extra_length)


class _Unpacker:
    """Reads rows of a compressed member; going forward continues where the last read ended."""

    def __init__(self, path: str, member: str, shape: tuple[int, ...], dtype: np.dtype[Any], *, fortran_order: bool):
        self._path, self._member, self._shape, self._dtype = path, member, shape, dtype
        self._fortran_order = fortran_order
        self._stream: IO[bytes] | None = None
        self._next_row = 0
        self._lock = Lock()

    def read_rows(self, start: int, stop: int, part: slice) -> Array:
        try:
            with self._lock:
                rows = self._unpacked_rows(start, stop)
            return rows if rows.ndim < 2 else rows[:, part]
        except _DAMAGE as error:
            self._stream = None
            raise OSError(reason(error)) from error

    def _unpacked_rows(self, start: int, stop: int) -> Array:
        if self._fortran_order:
            return self._read_whole()[start:stop]
        row_bytes = int(np.prod(self._shape[1:], dtype=object)) * self._dtype.itemsize
        if self._stream is None or start < self._next_row:
            self._rewind()
        assert self._stream is not None
        self._stream.seek((start - self._next_row) * row_bytes, os.SEEK_CUR)  # unpacks a little at a time
        data = self._stream.read((stop - start) * row_bytes)
        self._next_row = stop
        if len(data) < (stop - start) * row_bytes:
            raise EOFError("the archive ends too early")
        return np.frombuffer(data, self._dtype).reshape(stop - start, *self._shape[1:])

    def _read_whole(self) -> Array:
        self._rewind()
        assert self._stream is not None
        data = self._stream.read()
        return np.frombuffer(data, self._dtype, count=int(np.prod(self._shape))).reshape(self._shape, order="F")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stream": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())

    def _rewind(self) -> None:
        self._stream = zipfile.ZipFile(self._path).open(self._member)  # noqa: SIM115 - kept open between reads
        read_npy_header(self._stream)
        self._next_row = 0
