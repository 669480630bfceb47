"""The header of an NPY array, and what must follow it: its values, and nothing more."""

import os
import struct
import sys
import warnings
from functools import lru_cache
from io import BufferedReader, BytesIO
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from cka_cli.files.contiguous import Form
from cka_cli.files.registry import NPY_MAGIC

# What numpy itself takes for a header.
_MOST_HEADER_BYTES = 10_000
# Arrays that follow are counted up to so many, and where that takes no more unpacking than this.
_MOST_COUNTED, _MOST_SKIPPED_BYTES = 10_000, 1 << 28


class NoLayerError(ValueError):
    """What is whole and yet no layer: another thing under the name of an array, or a table."""


def read_npy_header(stream: IO[bytes]) -> Form:
    """Return how values lie, from the NPY header at the stream's place; the values come next.

    Raises NoLayerError for what is no NPY file, or a table whose description is long; ValueError for a header that is
    damaged. Object arrays are told by their dtype, never loaded.
    """
    begin = stream.read(len(NPY_MAGIC))
    if not NPY_MAGIC.startswith(begin[: len(NPY_MAGIC)]):
        raise NoLayerError(f"no NPY file (it begins with {begin!r}); save it with numpy.save")
    version = tuple(stream.read(2))
    if len(version) < 2:
        raise ValueError(f"the file ends after {len(begin) + len(version)} bytes" if begin else "it is empty (0 bytes)")
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"NPY version {version[0]}.{version[1]} is not known")
    number = "<H" if version == (1, 0) else "<I"
    length = stream.read(struct.calcsize(number))
    if len(length) < struct.calcsize(number):
        raise ValueError("the file ends within its header")
    n_bytes = struct.unpack(number, length)[0]
    if n_bytes > _MOST_HEADER_BYTES:  # before as much is asked for
        if b"'descr': [" in stream.read(100):
            raise NoLayerError(f"a table whose fields take {n_bytes} bytes to name; save its numbers as one array")
        raise ValueError(f"its header promises {n_bytes} bytes of description")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a header written by Python 2 is read all the same
            shape, column_order, dtype = _described(version, stream.read(n_bytes), n_bytes)
    except (SyntaxError, TypeError, MemoryError, RecursionError, TokenError) as error:
        raise ValueError("its header is no description of an array") from error
    if any(not 0 <= length <= sys.maxsize for length in shape):
        raise ValueError(f"its header promises a shape of {shape}")
    if dtype.itemsize == 0:
        raise ValueError(f"its header promises values of no bytes ({dtype})")
    return Form(tuple(map(int, shape)), np.dtype(dtype), bool(column_order))


@lru_cache(maxsize=64)  # shards by the thousand have the same header
def _described(version: tuple[int, ...], text: bytes, n_bytes: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return what a header describes. Versions differ in the size of its length, and 3 in its letters."""
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(BytesIO(struct.pack("<H", n_bytes) + text))
    if version == (3, 0):  # UTF-8, which Python can write in the letters of version 2
        text = text.decode("utf-8").encode("latin-1", "backslashreplace")
        n_bytes = max(n_bytes, len(text))
    header = BytesIO(struct.pack("<I", n_bytes) + text)
    return np.lib.format.read_array_header_2_0(header, max_header_size=6 * _MOST_HEADER_BYTES)


def damage_of(stream: IO[bytes], n_available: int, form: Form) -> str | None:
    """Return what is wrong with the bytes that follow a header: too few, or more than its array takes.

    stream : at the first of the n_available bytes, and left anywhere.
    """
    if form.dtype.hasobject:
        return None
    shape, needed = form.shape, form.n_bytes
    if needed > n_available:
        return f"is cut short ({n_available} bytes of values where its header promises {needed}); save it again"
    if needed == n_available:
        return None
    n_arrays = _count_arrays(stream, needed, n_available)
    if n_arrays is None:
        return (
            f"holds more than its array ({n_available - needed} bytes follow the {needed} of shape {shape}); "
            "save it again"
        )
    more = f"{n_arrays} more array{'s' * (n_arrays > 1)} follow{'s' * (n_arrays == 1)} the first, of shape {shape}"
    return f"holds more than one array ({more}); join them with numpy.concatenate, and call numpy.save once"


def _count_arrays(stream: IO[bytes], place: int, end: int) -> int | None:
    """Return how many arrays stand one after another from `place` to `end`; None when something else does."""
    if end > _MOST_SKIPPED_BYTES and not isinstance(stream, BufferedReader):  # a member of an archive, to be unpacked
        return None
    skipped, n_arrays = place, 0
    while place < end and n_arrays < _MOST_COUNTED:
        stream.seek(skipped, os.SEEK_CUR)
        before = stream.tell()
        try:
            form = read_npy_header(stream)
        except (ValueError, EOFError):
            return None
        skipped = form.n_bytes
        place += stream.tell() - before + skipped
        n_arrays += 1
        if form.dtype.hasobject or place > end:
            return None
    return n_arrays if place == end else None
