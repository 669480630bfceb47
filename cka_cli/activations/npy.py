"""NPY files and folders of them: the header is read at once, the values are memory-mapped when needed."""

import os
import warnings
from functools import partial
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from cka_cli.activations.layer import ActivationFile, Layer, natural_order, reason, refusal, sort_arrays
from cka_cli.arrays import Array
from cka_cli.errors import DataError


def open_npy(path: str) -> ActivationFile:
    """Return the one array of an NPY file, named after the file."""
    return sort_arrays(path, "NPY", [_npy_layer(path, path, Path(path).stem)], {})


def open_folder(path: str) -> ActivationFile:
    """Return the NPY files of a folder and its subfolders as layers named by their path in it, in natural order."""
    names = [
        os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/").removesuffix(".npy")
        for folder, _, files in os.walk(path)
        for name in files
        if name.endswith(".npy")
    ]
    if not names:
        raise DataError(f"{path}: is a folder without NPY files; give an HDF5 or NPZ file, or a folder of NPY")
    arrays = [_npy_layer(path, str(Path(path) / f"{name}.npy"), name) for name in sorted(names, key=natural_order)]
    return sort_arrays(path, "folder of NPY", arrays, {})


def _npy_layer(file: str, path: str, name: str) -> Layer:
    try:
        with Path(path).open("rb") as stream:
            shape, fortran_order, dtype = read_npy_header(stream)
            offset = stream.tell()
            available = os.fstat(stream.fileno()).st_size - offset
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: is not a readable NPY file ({reason(error)}); save it again") from error
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if refusal(dtype) is None and needed > available:
        raise DataError(
            f"{path}: is cut short ({available} bytes of values where its header promises {needed}); save it again"
        )

    read_rows = partial(map_rows, path, offset, shape, dtype, fortran_order)
    return Layer(file, name, shape, dtype, "column order" if fortran_order else "contiguous", read_rows)


def read_npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and dtype from the NPY header at the stream's place; the values come next.

    Raises ValueError for a header that is none. Object arrays are told by their dtype, never loaded.
    """
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        # Version 3 differs from 2 only in the encoding of field names, which no layer has.
        raise ValueError(f"NPY version {version[0]}.{version[1]} holds no plain numeric array")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header written by Python 2 is read all the same
            shape, fortran_order, dtype = readers[version](stream)
    except (SyntaxError, TypeError, MemoryError, RecursionError, TokenError) as error:
        raise ValueError("its header is no description of an array") from error
    if any(length < 0 for length in shape):
        raise ValueError(f"its header promises a shape of {shape}")
    return tuple(int(length) for length in shape), bool(fortran_order), np.dtype(dtype)


def map_rows(
    path: str,
    offset: int,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    fortran_order: bool,
    start: int,
    stop: int,
    part: slice,
) -> Array:
    """Return rows of an array stored plainly in a file, copied out of a memory map.

    part : which part of the second axis, where there is one.
    """
    parts = (slice(start, stop), part) if len(shape) > 1 else (slice(start, stop),)
    if fortran_order:
        whole = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape, order="F")
        return np.array(whole[parts], order="C")
    row_bytes = int(np.prod(shape[1:], dtype=object)) * dtype.itemsize
    rows = (stop - start, *shape[1:])
    if row_bytes == 0 or stop == start:
        return np.empty(rows, dtype)
    mapped = np.memmap(path, dtype=dtype, mode="r", offset=offset + start * row_bytes, shape=rows)
    return np.array(mapped[(slice(None), *parts[1:])])
