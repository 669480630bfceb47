"""HDF5 files: datasets of nested groups, in creation order where the file tracks it, else in natural order.

Only hard links and soft links within the file are followed: an external link, an external storage file or a virtual
dataset would read another file than the one the user gave.
"""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from cka_cli.activations.layer import ActivationFile, Layer, natural_order, reason, sort_arrays
from cka_cli.arrays import Array
from cka_cli.errors import DataError

_TRACKED = h5py.h5p.CRT_ORDER_TRACKED
_MAX_SOFT_LINKS = 16
_MAX_DEPTH = 100


def open_hdf5(path: str) -> ActivationFile:
    """Return the datasets of an HDF5 file as layers named by their path; only headers are read."""
    try:
        file = _open(path)
        arrays: list[Layer] = []
        refused: dict[str, str] = {}
        for name, found in _walk(file["/"], "", set()):
            if isinstance(found, str):
                refused[name] = found
            elif (why := _foreign(found)) is not None:
                refused[name] = why
            else:
                arrays.append(_dataset_layer(path, name, found, refused))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise DataError(
            f"{path}: is not a readable HDF5 file ({reason(error)}); it may be cut short: copy or save it again"
        ) from error
    return sort_arrays(path, "HDF5", [array for array in arrays if array.name not in refused], refused)


def _walk(group: h5py.Group, prefix: str, visited: set[int]) -> Iterator[tuple[str, h5py.Dataset | str]]:
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
        found = _resolve(group, key)
        if isinstance(found, h5py.Group):
            if h5py.h5o.get_info(found.id).addr not in visited:  # once, whatever the links to it
                yield from _walk(found, name + "/", visited)
        elif found is not None:
            yield name, found


def _ordered_keys(group: h5py.Group) -> list[str | bytes]:
    """Return the names in a group: h5py lists them in creation order where the group tracks it (a File never says)."""
    keys = list(group.keys())
    if group.id.get_create_plist().get_link_creation_order() & _TRACKED:
        return keys
    return sorted(keys, key=lambda key: natural_order(str(key)))


def _resolve(group: h5py.Group, key: str, n_followed: int = 0) -> h5py.Dataset | h5py.Group | str | None:
    """Return what a link leads to, a reason when it must not or cannot be followed, None for a named datatype."""
    link = group.get(key, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        return f"external link to {link.filename}, which is never followed; give that file itself"
    if isinstance(link, h5py.SoftLink):
        return _resolve_soft(group, link.path, n_followed)
    try:
        found = group[key]
    except (KeyError, OSError, RuntimeError) as error:
        return f"cannot be opened ({reason(error)})"
    return found if isinstance(found, h5py.Dataset | h5py.Group) else None


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
    if dataset.is_virtual:
        return "a virtual dataset over other files, which are never read; copy it into one file"
    return None


def _unsupported(dataset: h5py.Dataset, dtype: np.dtype[Any]) -> str | None:
    """Return why the values could never be a layer, of what only HDF5 knows about them, or None."""
    if dataset.shape is None:
        return "an empty dataset without a shape"
    if h5py.check_vlen_dtype(dtype) is not None and h5py.check_string_dtype(dtype) is None:
        return "rows of different lengths (a variable-length type)"
    if h5py.check_ref_dtype(dtype) is not None:
        return "references to other datasets"
    if (enum := h5py.check_enum_dtype(dtype)) is not None and dtype != np.dtype(bool):
        return f"an enumeration ({', '.join(list(enum)[:3])}, ...)"
    properties = dataset.id.get_create_plist()
    for place in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(place)
        if not h5py.h5z.filter_avail(code):
            known = f"{name.decode('utf-8', 'replace') or 'a filter'} ({code})"
            return f"compressed with {known}, which this HDF5 library cannot undo; save it with gzip"
    return None


def _dataset_layer(path: str, name: str, dataset: h5py.Dataset, refused: dict[str, str]) -> Layer:
    try:
        dtype = dataset.dtype
    except (TypeError, ValueError) as error:
        refused[name] = f"unsupported HDF5 type ({reason(error)})"
        dtype = np.dtype("V1")
    if name not in refused and (why := _unsupported(dataset, dtype)) is not None:
        refused[name] = why
    if h5py.check_string_dtype(dtype) is not None and dtype.hasobject:
        dtype = np.dtype("U")  # text of any length: no layer, but ids may be

    n_second_axis = dataset.chunks[1] if dataset.chunks and len(dataset.chunks) > 1 else 1
    return Layer(
        path, name, tuple(dataset.shape or ()), dtype, _storage(dataset), _DatasetRows(path, dataset), n_second_axis
    )


class _DatasetRows:
    """Reads rows of a dataset; in another process it opens the file anew."""

    def __init__(self, path: str, dataset: h5py.Dataset):
        self._path, self._name = path, dataset.name
        self._dataset: h5py.Dataset | None = dataset

    def __call__(self, start: int, stop: int, part: slice) -> Array:
        if self._dataset is None:
            self._dataset = _open(self._path)[self._name]
        dataset = self._dataset
        return np.asarray(dataset[start:stop, part] if dataset.ndim > 1 else dataset[start:stop])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_dataset": None}


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
