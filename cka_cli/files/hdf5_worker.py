"""Values that only the HDF5 library can unpack, unpacked by it in a child process.

A damaged chunk of some filters ends the process that unpacks it, or goes round for ever in it. The child is made when
the first values are asked for, and stays for the file. What it has read comes through a pipe.
"""

import json
import os
from contextlib import suppress
from functools import partial
from io import BufferedReader, BufferedWriter
from math import prod
from typing import Any

import h5py
import numpy as np

from cka_cli.arrays import Array
from cka_cli.errors import reason
from cka_cli.files.layer import Reader
from cka_cli.files.sandbox import Child, how_it_ended, set_limits

# What a read may take: of computing, at a pace below that of any filter, and of memory, beside what is read.
_LEAST_SECONDS, _BYTES_PER_SECOND = 10, 1 << 22
_LEAST_BYTES, _TIMES_A_CHUNK = 1 << 28, 4
_BYTES_OF_A_TEXT = 1000


class Library(Reader):
    """Reads rows of the datasets of one file, one at a time."""

    _here = ("_child",)

    def __init__(self) -> None:
        super().__init__()
        self._child: Child | None = None

    def read(self, dataset: h5py.Dataset, start: int, stop: int, part: slice, *, is_reversed: bool = False) -> Array:
        """Return rows, of their second axis a part. Raises OSError that says what happened in the library.

        is_reversed : whether the axes are counted from the last one, as MATLAB does.
        """
        with self._lock:
            try:
                # h5py sees to it that no other thread is within the library by then.
                self._child = self._child or Child(partial(_serve, dataset.file))
            except (OSError, AttributeError):  # no room for another process, or no such thing as a child
                return _read(dataset, start, stop, part, is_reversed=is_reversed)
            try:
                return _ask(self._child, dataset, start, stop, part, is_reversed=is_reversed)
            except EOFError:
                ended, self._child = self._child, None
                raise OSError(how_it_ended(ended.end())) from None


def _ask(child: Child, dataset: h5py.Dataset, start: int, stop: int, part: slice, *, is_reversed: bool) -> Array:
    """Return rows that a child reads. Raises EOFError when it has ended."""
    of_a_row = dataset.shape[:-1] if is_reversed else dataset.shape[1:]
    n_values = (stop - start) * prod(of_a_row)
    n_bytes = (_BYTES_OF_A_TEXT if dataset.dtype.hasobject else dataset.dtype.itemsize) * n_values
    chunk_bytes = prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    asked = [dataset.name, start, stop, part.start, part.stop, is_reversed, n_bytes, chunk_bytes]
    with suppress(BrokenPipeError):
        child.asking.write(json.dumps(asked).encode() + b"\n")
        child.asking.flush()
    line = child.answers.readline()
    if not line:
        raise EOFError
    told = json.loads(line)
    if "error" in told:
        raise OSError(told["error"])
    if "texts" in told:
        texts = np.empty(len(told["texts"]), object)
        texts[:] = [text.encode("latin-1") for text in told["texts"]]
        return texts
    array = np.empty(told["shape"], np.dtype(told["dtype"]))
    if child.answers.readinto(array.reshape(-1).view(np.uint8).data) < array.nbytes:
        raise EOFError
    return array


def _serve(file: h5py.File, asked: BufferedReader, answers: BufferedWriter) -> None:
    """Answer what is asked until nobody asks any more."""
    for line in asked:
        name, start, stop, first, last, is_reversed, n_bytes, chunk_bytes = json.loads(line)
        seconds = sum(os.times()[:2]) + _LEAST_SECONDS + (n_bytes + chunk_bytes) / _BYTES_PER_SECOND
        set_limits(int(seconds) + 1, _LEAST_BYTES + 2 * n_bytes + _TIMES_A_CHUNK * chunk_bytes)
        try:
            array = _read(file[name], start, stop, slice(first, last), is_reversed=is_reversed)
        except Exception as error:
            told, data = {"error": reason(error)}, memoryview(b"")
        else:
            told, data = _as_sent(array)
        answers.write(json.dumps(told).encode() + b"\n")
        answers.write(data)
        answers.flush()


def _as_sent(array: Array) -> tuple[dict[str, Any], memoryview]:
    """Return what is said of an array, and its bytes where they are not said."""
    if array.dtype.hasobject:
        texts = [value.decode("latin-1") if isinstance(value, bytes) else "" for value in array.ravel().tolist()]
        return {"texts": texts}, memoryview(b"")
    return {"shape": array.shape, "dtype": array.dtype.str}, np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _read(dataset: h5py.Dataset, start: int, stop: int, part: slice, *, is_reversed: bool) -> Array:
    if not is_reversed:
        return np.asarray(dataset[start:stop, part] if dataset.ndim > 1 else dataset[start:stop])
    if dataset.ndim == 2 and 1 in dataset.shape:  # a row or a column, which has one axis
        return np.asarray(dataset[0, start:stop] if dataset.shape[0] == 1 else dataset[start:stop, 0])
    return np.asarray(dataset[..., part, start:stop]).T
