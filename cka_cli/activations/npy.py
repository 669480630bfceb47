"""NPY files and folders of them: the header is read at once, the values when needed."""

import os
import struct
import sys
import warnings
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from cka_cli.activations.layer import ActivationFile, Layer, natural_order, reason, sort_arrays
from cka_cli.activations.origin import Origin, origin_of
from cka_cli.activations.plain import read_rows
from cka_cli.arrays import Array
from cka_cli.errors import DataError

# What numpy itself takes for a header.
_MOST_HEADER_BYTES = 10_000
_PAGE_BYTES = 1 << 12


def open_npy(path: str) -> ActivationFile:
    """Return the one array of an NPY file, named after the file."""
    return sort_arrays(path, "NPY", [_npy_layer(path, path, Path(path).stem)], {})


def open_folder(path: str) -> ActivationFile:
    """Return the NPY files of a folder and its subfolders as layers named by their path in it, in natural order."""
    names = [
        os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/").removesuffix(".npy")
        for folder, _, files in os.walk(path, onerror=_raise_unreadable)
        for name in files
        if name.endswith(".npy")
    ]
    if not names:
        raise DataError(f"{path}: is a folder without NPY files; give an HDF5 or NPZ file, or a folder of NPY")
    arrays = [_npy_layer(path, str(Path(path) / f"{name}.npy"), name) for name in sorted(names, key=natural_order)]
    return sort_arrays(path, "folder of NPY", arrays, {})


def _raise_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be opened ({error.strerror}); check its permissions") from error


def _npy_layer(file: str, path: str, name: str) -> Layer:
    try:
        origin = origin_of(path)
        with Path(path).open("rb") as stream:
            shape, column_order, dtype = read_npy_header(stream)
            offset = stream.tell()
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: is not a readable NPY file ({reason(error)}); save it again") from error
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    available = origin.n_bytes - offset
    if not dtype.hasobject and needed > available:
        raise DataError(
            f"{path}: is cut short ({available} bytes of values where its header promises {needed}); save it again"
        )
    rows = PlainRows(origin, offset, shape, dtype, column_order=column_order)
    storage = "column order" if column_order else "contiguous"
    return Layer(file, name, shape, dtype, storage, rows, n_first_axis=rows.n_first_axis)


def read_npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and dtype from the NPY header at the stream's place; the values come next.

    Raises ValueError for a header that is none. Object arrays are told by their dtype, never loaded.
    """
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): ("<H", np.lib.format.read_array_header_1_0), (2, 0): ("<I", np.lib.format.read_array_header_2_0)}
    if version not in readers:
        # Version 3 differs from 2 only in the encoding of field names, which no layer has.
        raise ValueError(f"NPY version {version[0]}.{version[1]} holds no plain numeric array")
    number, read_header = readers[version]
    length = stream.read(struct.calcsize(number))
    if len(length) < struct.calcsize(number):
        raise ValueError("the file ends within its header")
    n_bytes = struct.unpack(number, length)[0]
    if n_bytes > _MOST_HEADER_BYTES:  # before as much is asked for
        raise ValueError(f"its header promises {n_bytes} bytes of description")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header written by Python 2 is read all the same
            shape, column_order, dtype = read_header(BytesIO(length + stream.read(n_bytes)))
    except (SyntaxError, TypeError, MemoryError, RecursionError, TokenError) as error:
        raise ValueError("its header is no description of an array") from error
    if any(not 0 <= length <= sys.maxsize for length in shape):
        raise ValueError(f"its header promises a shape of {shape}")
    if dtype.itemsize == 0:
        raise ValueError(f"its header promises values of no bytes ({dtype})")
    return tuple(int(length) for length in shape), bool(column_order), np.dtype(dtype)


class PlainRows:
    """Reads rows of an array that lies plainly in a file."""

    def __init__(
        self, origin: Origin, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], *, column_order: bool = False
    ):
        self._origin, self._offset, self._shape, self._dtype = origin, offset, shape, dtype
        self._column_order = column_order
        # A value of a column costs the page it lies on.
        self.n_first_axis = max(1, _PAGE_BYTES // dtype.itemsize) if column_order else 1

    def __call__(self, start: int, stop: int, part: slice) -> Array:
        """Return rows, of their second axis a part. Raises EOFError or ChangedError when the file is another."""
        with self._origin.opened() as stream:
            return read_rows(
                stream, self._offset, self._shape, self._dtype, start, stop, part, column_order=self._column_order
            )
