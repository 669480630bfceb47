"""HDF5 files: datasets of nested groups, in creation order where the file tracks it, else in natural order.

Only hard links and soft links within the file are followed: an external link, an external storage file or a virtual
dataset would read another file than the one the user gave. What the file says of itself is read in a child process
first.
"""

import shlex
from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from typing import Any, TypeVar

import h5py
import numpy as np

from cka_cli.arrays import Array
from cka_cli.errors import DataError, reason
from cka_cli.files.contiguous import Form, PlainRows
from cka_cli.files.hdf5_chunks import PIPELINES, SHUFFLE, ChunkRows, ChunkTable, chunk_table
from cka_cli.files.hdf5_filters import missing_filter
from cka_cli.files.hdf5_superblock import check_end
from cka_cli.files.hdf5_worker import Library
from cka_cli.files.layer import BFLOAT16_BITS, ActivationFile, Layer, Reader, ReadRows
from cka_cli.files.listing import natural_order
from cka_cli.files.matlab import (
    LOGICAL,
    REVERSED,
    matlab_class,
    matlab_shape,
    note_of_axes,
    why_no_array,
    why_no_group,
)
from cka_cli.files.netcdf import Meaning, is_own_fill, meaning_of
from cka_cli.files.sandbox import tried
from cka_cli.files.sorting import SortedOut
from cka_cli.files.source_file import Origin, origin_of

Result = TypeVar("Result")

_TRACKED = h5py.h5p.CRT_ORDER_TRACKED
_MAX_SOFT_LINKS = 16
_MAX_DEPTH = 100
# What h5py makes of the errors of the HDF5 library, and of what it does not know.
_ERRORS = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, MemoryError)
# In what the HDF5 library says of a file that nobody closed.
_LEFT_OPEN = "clear file consistency flags"
# What reading the headers may take, in a small file and more in a large one: three times what many datasets do.
_HEADER_SECONDS, _MOST_HEADER_SECONDS, _BYTES_PER_SECOND = 4, 60, 1 << 19
_HEADER_BYTES, _BYTES_PER_BYTE = 1 << 28, 100
# Of a dataset in one piece whose rows are not together, fewer rows cost as much.
_VALUES_PER_PAGE = 512
# Of a dataset of which less than one chunk in so many was written, nothing is read.
_LEAST_WRITTEN = 1000
# A chunk of a kind that only the HDF5 library unpacks, in memory and as a whole, is not larger.
_MOST_CHUNK_BYTES = 1 << 27


def open_hdf5(path: str) -> ActivationFile:
    """Return the datasets of an HDF5 file as layers named by their path; only headers are read."""
    try:
        origin = origin_of(path)
        check_end(origin)
        seconds = min(_MOST_HEADER_SECONDS, _HEADER_SECONDS + origin.n_bytes // _BYTES_PER_SECOND)
        failed = tried(lambda: _failures(origin), seconds, _HEADER_BYTES + _BYTES_PER_BYTE * origin.n_bytes)
        arrays, refused = _arrays(origin, _open(path), failed)
    except _ERRORS as error:
        if _LEFT_OPEN in str(error):
            raise DataError(
                f"{path}: is still open in the program that writes it, or that program died ({reason(error)}); "
                f"wait until it has ended, or run: h5clear -s {shlex.quote(path)}"
            ) from error
        raise DataError(
            f"{path}: is not a readable HDF5 file ({reason(error)}); it may be cut short: copy or save it again"
        ) from error
    return SortedOut(arrays, refused).file(
        path, "HDF5", note_of_axes([array for array in arrays if array.storage.endswith(REVERSED)])
    )


class _Failure(str):
    """Why something cannot be opened or read: the HDF5 library said so."""


def _attempted(what: str, function: Callable[..., Result], *arguments: Any) -> Result | _Failure:
    """Return what a function gives, or that a thing cannot be opened, or read, and why."""
    try:
        return function(*arguments)
    except _ERRORS as error:
        return _Failure(f"cannot be {what} ({reason(error)})")


def _failures(origin: Origin) -> dict[str, str]:
    """Return the names of what cannot be opened, with the reason."""
    _, refused = _arrays(origin, _open(origin.path), {})
    return {name: why for name, why in refused.items() if isinstance(why, _Failure)}


def _arrays(origin: Origin, file: h5py.File, failed: dict[str, str]) -> tuple[list[Layer], dict[str, str]]:
    """Return the datasets of a file as layers, and the names of those that can be none, with the reason.

    failed : names of what is known not to be openable, with the reason; that is not tried again.
    """
    arrays: list[Layer] = []
    refused: dict[str, str] = {}
    library = Library()
    root = file["/"]
    if not isinstance(root, h5py.Group):
        raise ValueError("its root is no group")
    for name, found in _walk(root, "", set(), failed):
        array = found if isinstance(found, str) else _attempted("read", _layer, origin, name, found, library)
        if isinstance(array, str):
            refused[name] = array
        else:
            arrays.append(array)
    return arrays, refused


def _walk(
    group: h5py.Group, prefix: str, visited: set[int], failed: dict[str, str]
) -> Iterator[tuple[str, h5py.Dataset | str]]:
    """Give every dataset below a group with its path, or, for a link that leads nowhere allowed, the reason."""
    visited.add(h5py.h5o.get_info(group.id).addr)
    for key in _ordered_keys(group):
        if isinstance(key, bytes):
            yield prefix + key.decode("utf-8", "backslashreplace"), "its name is not UTF-8; save it under another"
            continue
        name = prefix + key
        if name.count("/") > _MAX_DEPTH:
            yield name, f"lies below more than {_MAX_DEPTH} groups; save it nearer to the top"
            continue
        found = failed.get(name) or _resolve(group, key)
        if isinstance(found, h5py.Group):
            if (why := _attempted("read", why_no_group, found)) is not None:
                yield name, why
            elif h5py.h5o.get_info(found.id).addr not in visited:  # once, whatever the links to it
                yield from _walk(found, name + "/", visited, failed)
        elif found is not None:
            yield name, found


def _ordered_keys(group: h5py.Group) -> list[str | bytes]:
    """Return the names in a group: h5py lists them in creation order where the group tracks it (a File never says)."""
    keys = [key for key in group]  # noqa: C416 - a list makes room first, for as many as the file says there are
    if group.id.get_create_plist().get_link_creation_order() & _TRACKED:
        return keys
    return sorted(keys, key=lambda key: natural_order(str(key)))


def _resolve(group: h5py.Group, key: str, n_followed: int = 0) -> h5py.Dataset | h5py.Group | str | None:
    """Return what a link leads to, a reason when it must not or cannot be followed, None for a named datatype."""
    link = _attempted("opened", partial(group.get, key, getlink=True))
    if isinstance(link, h5py.ExternalLink):
        return f"external link to {link.filename}, which is never followed; give that file itself"
    if isinstance(link, h5py.SoftLink):
        return _resolve_soft(group, link.path, n_followed)
    found = link if isinstance(link, _Failure) else _attempted("opened", group.__getitem__, key)
    return found if isinstance(found, h5py.Dataset | h5py.Group | _Failure) else None


def _resolve_soft(group: h5py.Group, path: str, n_followed: int) -> h5py.Dataset | h5py.Group | str | None:
    """Follow a soft link part by part, so that no part of its path can lead out of the file."""
    if n_followed >= _MAX_SOFT_LINKS:
        return "soft links in a circle; give the layer its own name"
    place: Any = group.file["/"] if path.startswith("/") else group
    for part in (part for part in path.split("/") if part not in ("", ".")):
        if not isinstance(place, h5py.Group) or place.get(part, getlink=True, default=None) is None:
            return f"a link to {path}, where nothing is; mend the link"
        place = _resolve(place, part, n_followed + 1)
        if isinstance(place, str):
            return place
    return place


def _foreign(dataset: h5py.Dataset) -> str | None:
    if dataset.external:
        return f"its values lie in another file ({dataset.external[0][0]}), which is never read; copy it into this file"
    if not dataset.is_virtual:
        return None
    if {source.file_name for source in dataset.virtual_sources()} <= {".", dataset.file.filename}:
        return "a virtual dataset over others of this file, which is never read; save a copy of its values"
    return "a virtual dataset over other files, which are never read; copy it into one file"


def _hardly_written(dataset: h5py.Dataset) -> str | None:
    """Return why nothing can be read of a dataset that was only announced, or of which next to nothing was written."""
    shape, chunks, layout = dataset.shape, dataset.chunks, dataset.id.get_create_plist().get_layout()
    if not shape or 0 in shape:
        return None
    if layout == h5py.h5d.CONTIGUOUS and dataset.id.get_offset() is None:
        return f"its values were never written (shape {shape}); was the run that wrote it ended early?"
    n_chunks = prod(-(-length // of_chunk) for length, of_chunk in zip(shape, chunks or shape, strict=True))
    if chunks is not None and (n_written := dataset.id.get_num_chunks()) < n_chunks / _LEAST_WRITTEN:
        return f"{n_written} of {n_chunks} chunks were written; was the run that wrote it ended early?"
    return None


def _unsupported(dataset: h5py.Dataset, dtype: np.dtype[Any]) -> str | None:
    """Return why the values could never be a layer, of what only HDF5 knows about them, or None."""
    if dataset.shape is None:
        return "an empty dataset without a shape"
    if h5py.check_vlen_dtype(dtype) is not None and h5py.check_string_dtype(dtype) is None:
        base = h5py.check_vlen_dtype(dtype)
        return f"a variable-length type (vlen of {base}), a row of any length; save numpy.stack of rows of one length"
    if h5py.check_ref_dtype(dtype) is not None:
        return "references to other datasets; save what they refer to"
    if (enum := h5py.check_enum_dtype(dtype)) is not None and dtype != np.dtype(bool):
        return f"an enumeration ({', '.join(list(enum)[:3])}, ...)"
    for code, _, _, name in _filters(dataset):
        if not h5py.h5z.filter_avail(code):
            return missing_filter(code, name.decode("utf-8", "replace"))
    return None


def _layer(origin: Origin, name: str, dataset: h5py.Dataset, library: Library) -> Layer | str:
    """Return a dataset as a layer, or why it can be none."""
    if (why := _foreign(dataset)) is not None:
        return why
    try:
        dtype = dataset.dtype
    except (TypeError, ValueError) as error:
        return f"unsupported HDF5 type ({reason(error)})"
    of_class = matlab_class(dataset)
    why = None if of_class is None else why_no_array(dataset, of_class)
    if (why := why or _unsupported(dataset, dtype) or _hardly_written(dataset)) is not None:
        return why
    if isinstance(meaning := None if of_class == LOGICAL else _meaning(dataset, dtype), str):
        return meaning
    if h5py.check_string_dtype(dtype) is not None and dtype.hasobject:
        dtype = np.dtype("U")  # text of any length: no layer, but ids may be
    dtype, also = (dtype, "") if meaning is None else (meaning.dtype, meaning.storage_text)
    dtype = np.dtype(bool) if of_class == LOGICAL else dtype
    rows = _DatasetRows(origin, dataset, library, of_class)
    n_first_axis, n_second_axis = (*(dataset.chunks or ()), 1, 1)[:2]
    if rows.is_reversed:
        shape, storage = matlab_shape(dataset.shape), f"{_storage(dataset)}{also}, {REVERSED}"
        n_first_axis, n_second_axis = (*(dataset.chunks or ())[::-1], _VALUES_PER_PAGE, 1)[:2]
    else:
        shape, storage = tuple(dataset.shape or ()), _storage(dataset) + also
    return Layer(origin.path, name, shape, dtype, storage, rows, n_second_axis, n_first_axis, meaning)


def _meaning(dataset: h5py.Dataset, dtype: np.dtype[Any]) -> Meaning | str | None:
    """Return what numbers mean, where attributes or what fills the dataset say that they do not mean themselves."""
    if dtype.kind not in "iuf":
        return None
    properties, fill = dataset.id.get_create_plist(), None
    if properties.fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED and is_own_fill(dtype, dataset.fillvalue):
        fill = dataset.fillvalue
    has_more = fill is not None or h5py.h5a.get_num_attrs(dataset.id) > 0
    return meaning_of(dataset.attrs, dtype, fill) if has_more else None


class _DatasetRows(Reader):
    """Reads rows of a dataset: where they lie where that is possible, else by the HDF5 library.

    In another process it opens the file anew.
    """

    _here = ("_dataset", "_read")

    def __init__(self, origin: Origin, dataset: h5py.Dataset, library: Library, of_class: str | None):
        super().__init__()
        self._origin, self._name, self._library = origin, dataset.name, library
        self.is_reversed, self._is_logical = of_class is not None and dataset.ndim > 1, of_class == LOGICAL
        self._dataset: h5py.Dataset | None = dataset
        self._read: ReadRows | None = None

    def __call__(self, start: int, stop: int, part: slice) -> Array:
        with self._lock:
            if self._read is None:
                self._read = self._way_to_read()
        rows = self._read(start, stop, part)
        return rows != 0 if self._is_logical else rows

    def _way_to_read(self) -> ReadRows:
        self._origin.check()
        if self._dataset is None:
            self._dataset = _open(self._origin.path)[self._name]
        dataset, layout = self._dataset, self._dataset.id.get_create_plist().get_layout()
        is_plain = _has_plain_values(dataset) and not self.is_reversed
        if layout == h5py.h5d.CONTIGUOUS:
            offset = dataset.id.get_offset()
            if dataset.id.get_storage_size() > self._origin.n_bytes:
                raise ValueError(f"it promises {dataset.id.get_storage_size()} bytes, more than the file has")
            if is_plain and offset is not None:
                return PlainRows(self._origin, offset, Form(dataset.shape, dataset.dtype))
        if layout == h5py.h5d.CHUNKED and hasattr(dataset.id, "chunk_iter"):
            found: list[Any] = []
            dataset.id.chunk_iter(found.append)
            table = chunk_table(found, dataset.shape, dataset.chunks, self._origin)
            chunk_bytes = prod(dataset.chunks) * dataset.dtype.itemsize
            filters = _filters(dataset)
            pipeline = tuple(code for code, *_ in filters)
            # Whether the shuffle filter, where there is one, takes a value to have the bytes it has.
            by_values = all(each[2][:1] == (dataset.dtype.itemsize,) for each in filters if each[0] == SHUFFLE)
            # HDF5 can leave chunks that reach over the edge as they are, and h5py cannot tell whether it did.
            may_skip_edges = any(n % m for n, m in zip(dataset.shape, dataset.chunks, strict=True)) and bool(
                (table.n_bytes == chunk_bytes).any()
            )
            is_known = pipeline in PIPELINES and by_values and not (pipeline and may_skip_edges)
            if is_plain and is_known:
                return ChunkRows(self._origin, table, dataset.dtype, pipeline)
            if self.is_reversed and len(table.places) < prod(table.grid):
                raise ValueError(f"{len(table.places)} of {prod(table.grid)} chunks were written")
            if chunk_bytes > _MOST_CHUNK_BYTES:
                raise ValueError(f"its chunks of {chunk_bytes >> 20} MiB can only be unpacked whole; save smaller ones")
            return partial(self._by_library, table=table)
        return self._by_library

    def _by_library(self, start: int, stop: int, part: slice, table: ChunkTable | None = None) -> Array:
        if table is not None:
            table.check_written(start, stop)
        self._origin.check()
        return self._library.read(self._dataset, start, stop, part, is_reversed=self.is_reversed)


def _has_plain_values(dataset: h5py.Dataset) -> bool:
    """Whether values lie in the file as numpy has them in memory, at places that count from the file's beginning."""
    if (dataset.dtype.kind not in "biuf" and dataset.dtype != BFLOAT16_BITS) or dataset.file.userblock_size:
        return False
    return bool(dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype, logical=True)))


def _filters(dataset: h5py.Dataset) -> list[tuple[int, int, tuple[int, ...], bytes]]:
    """Return code, flags, parameters and name of each filter that chunks are put through."""
    properties = dataset.id.get_create_plist()
    return [properties.get_filter(place) for place in range(properties.get_nfilters())]


def _open(path: str) -> h5py.File:
    """Return the file without a lock on it, which read-only and network file systems refuse."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "locking flag" not in str(error):
            raise
        return h5py.File(path, "r")  # this process has it open with a lock


def _storage(dataset: h5py.Dataset) -> str:
    if dataset.chunks is None:
        return "contiguous"
    chunks = "x".join(str(length) for length in dataset.chunks)
    return f"chunks {chunks}, {dataset.compression}" if dataset.compression else f"chunks {chunks}"
