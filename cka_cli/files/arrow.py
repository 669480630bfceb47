"""Parquet files, Arrow files and streams, and datasets that Hugging Face's `save_to_disk` saved: a column is an array.

Values of a column that is neither compressed nor has nulls are read where they lie, others by pyarrow in a child
process; a row group too large for memory is unpacked once, to disk.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from math import prod
from typing import Any, NamedTuple

import numpy as np

from cka_cli.arrays import Array
from cka_cli.errors import DataError, reason
from cka_cli.files.arrow_layout import data_files, splits_of
from cka_cli.files.arrow_values import UnfitError
from cka_cli.files.arrow_worker import Library
from cka_cli.files.contiguous import Form, read_rows
from cka_cli.files.layer import ActivationFile, Layer, Reader
from cka_cli.files.sorting import SortedOut
from cka_cli.files.source_file import Origin, origin_of
from cka_cli.files.spill import IN_MEMORY_BYTES, unpacked

_ERRORS = (OSError, ValueError, EOFError)
_PARQUET_MAGIC, _ENCRYPTED_MAGIC = b"PAR1", b"PARE"
_MOST_NAMED = 4


def open_parquet(path: str) -> ActivationFile:
    """Return the columns of a Parquet file; only its footer and the first rows of lists are read."""
    with open(path, "rb") as stream:
        begin = stream.read(len(_PARQUET_MAGIC))
        stream.seek(-min(len(_PARQUET_MAGIC), os.fstat(stream.fileno()).st_size), os.SEEK_END)
        end = stream.read()
    if _ENCRYPTED_MAGIC in (begin, end):
        raise DataError(f"{path}: is an encrypted Parquet file (it has {_ENCRYPTED_MAGIC!r}); save it unencrypted")
    if end != _PARQUET_MAGIC:
        raise DataError(f"{path}: is cut short (it ends with {end!r}, a Parquet file with b'PAR1'); save it again")
    return _opened(path, "Parquet", [path])


def open_arrow(path: str) -> ActivationFile:
    """Return the columns of an Arrow file or stream; of lists that are not compressed all lengths are looked at."""
    return _opened(path, "Arrow", [path])


def open_dataset(path: str) -> ActivationFile:
    """Return the columns of a dataset saved by `save_to_disk`: its Arrow streams, one after another."""
    if splits := splits_of(path):
        splits = [name for name in splits if os.path.isdir(os.path.join(path, name))] or splits
        names = [os.path.join(path, name) for name in splits[:_MOST_NAMED]]
        raise DataError(f"{path}: holds datasets, one for each split ({', '.join(splits)}); give {' or '.join(names)}")
    try:
        names = data_files(path)
    except ValueError as error:
        raise DataError(f"{path}: is no readable saved dataset ({reason(error)}); save it again") from error
    return _opened(path, "saved dataset", [os.path.join(path, name) for name in names])


def _opened(path: str, file_format: str, files: list[str]) -> ActivationFile:
    try:
        origins = [origin_of(file) for file in files]
        library = Library(files, sum(origin.n_bytes for origin in origins))
        (found,) = library.ask({"n_files": len(files)}, sum(origin.n_bytes for origin in origins))
    except FileNotFoundError as error:
        raise DataError(f"{path}: {os.path.basename(str(error.filename))} is missing; copy the whole folder") from error
    except _ERRORS as error:
        raise DataError(
            f"{path}: is not a readable {file_format} file ({reason(error)}); it may be cut short: "
            "copy or save it again"
        ) from error
    groups = [Group(*group) for group in found["groups"]]
    sorted_out = SortedOut(refused=found["refused"], unreadable=found["unreadable"])
    for about in found["columns"]:
        sorted_out.add(_layer(path, about, groups, origins, library), None)
    return sorted_out.file(path, file_format, tuple(f"{path}: {note}" for note in found["notes"]))


class Group(NamedTuple):
    """A row group, or a record batch: its file, its number in it, its rows, whether it must be unpacked."""

    file: int
    number: int
    n_rows: int
    is_packed: bool


def _layer(path: str, about: dict[str, Any], groups: list[Group], origins: list[Origin], library: Library) -> Layer:
    dtype, shape, order = np.dtype(about["dtype"]), about["shape"], about["order"]
    shape = [shape[axis] for axis in order] if order else shape
    form = Form((sum(group.n_rows for group in groups), *shape), dtype)
    rows = _ColumnRows(path, about, groups, origins, library, form)
    most = max((group.n_rows for group in groups if group.is_packed), default=1)
    # What is unpacked in memory is unpacked anew for each part of its rows; on disk any part is read alone.
    is_whole = 1 < most * rows.row_bytes <= IN_MEMORY_BYTES
    n_second_axis = (*form.shape, 1, 1)[1] if is_whole else 1
    return Layer(path, about["name"], form.shape, dtype, about["storage"], rows, n_second_axis, most)


class _ColumnRows(Reader):
    """Reads rows of a column from the groups that they lie in."""

    def __init__(
        self, path: str, about: dict[str, Any], groups: list[Group], origins: list[Origin], library: Library, form: Form
    ):
        super().__init__()
        self._label = f"{path}::{about['name']}"
        self._asked = {key: about[key] for key in ("column", "levels", "shape", "order", "dtype")}
        self._groups, self._places, self._origins, self._library = groups, about["places"], origins, library
        self._form, self.row_bytes = form, form.dtype.itemsize * prod(form.shape[1:])
        self._starts = [0]
        for group in groups:
            self._starts.append(self._starts[-1] + group.n_rows)

    def __call__(self, start: int, stop: int, part: slice) -> Array:
        """Return rows, of their second axis a part; text as objects. Raises DataError for what is no array."""
        shape, dtype = self._form.shape, self._form.dtype
        n_second = [len(range(*part.indices(shape[1]))), *shape[2:]] if len(shape) > 1 else []
        try:
            found = np.empty((stop - start, *n_second), object if dtype.kind == "U" else dtype)
            at = 0
            for place in range(max(0, bisect_right(self._starts, start) - 1), len(self._groups)):
                first = self._starts[place]
                if first >= stop:
                    break
                begin, end = max(start - first, 0), min(stop - first, self._groups[place].n_rows)
                for some in self._of_group(place, begin, end, part):
                    found[at : at + len(some)] = some
                    at += len(some)
        except UnfitError as error:
            raise DataError(f"{self._label}: cannot be a layer: {error}") from error
        except MemoryError as error:
            raise OSError("it promises more rows than there is memory for") from error
        if at < stop - start:
            raise EOFError("the file ends too early")
        return found

    def _of_group(self, place: int, start: int, stop: int, part: slice) -> Iterator[Any]:
        group, offset = self._groups[place], self._places[place]
        origin = self._origins[group.file]
        form = Form((group.n_rows, *self._form.shape[1:]), self._form.dtype)
        if offset is not None:
            with origin.opened() as stream:
                yield read_rows(stream, offset, form, start, stop, part)
        elif group.is_packed and stop * self.row_bytes > IN_MEMORY_BYTES:  # the first rows need no other
            origin.check()
            key = (origin, self._asked["column"], group.number)
            file = unpacked(key, form.n_bytes, lambda: self._bytes_of(place))
            with file.lock:
                yield read_rows(file.stream, 0, form, start, stop, part)
        else:
            yield from self._unpacked(place, start, stop, part)

    def _bytes_of(self, place: int) -> Iterator[Any]:
        for rows in self._unpacked(place, 0, self._groups[place].n_rows, slice(None)):
            yield rows.reshape(-1).view(np.uint8).data

    def _unpacked(self, place: int, start: int, stop: int, part: slice) -> Iterator[Any]:
        group = self._groups[place]
        self._origins[group.file].check()
        asked = {
            **self._asked, "file": group.file, "group": group.number, "start": start, "stop": stop,
            "part": [part.start, part.stop],
        }  # fmt: skip
        with closing(self._library.ask(asked, stop * max(1, self.row_bytes))) as answer:
            yield from answer
        self._origins[group.file].check()
