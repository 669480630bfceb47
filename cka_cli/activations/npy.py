"""NPY files and folders of them: the header is read at once, the values when needed."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from cka_cli.activations.header import MAGIC, NoLayerError, damage_of, read_npy_header
from cka_cli.activations.layer import ActivationFile, Layer, natural_order, reason, sort_arrays
from cka_cli.activations.origin import Origin, origin_of
from cka_cli.activations.plain import read_rows
from cka_cli.activations.sorting import SortedOut, is_hidden
from cka_cli.arrays import Array
from cka_cli.errors import DataError

_PAGE_BYTES = 1 << 12
# Files that hold arrays and are not read as part of a folder.
_OTHER_ARRAYS = (".npy", ".npz", ".h5", ".hdf5", ".mat", ".pt", ".pth", ".safetensors")


def open_npy(path: str) -> ActivationFile:
    """Return the one array of an NPY file, named after the file."""
    try:
        layer, damage = npy_layer(path, path, Path(path).stem)
    except NoLayerError as error:
        return sort_arrays(path, "NPY", [], {Path(path).stem: str(error)})
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: is not a readable NPY file ({reason(error)}); save it again") from error
    if damage:
        raise DataError(f"{path}: {damage}")
    return sort_arrays(path, "NPY", [layer], {})


def open_folder(path: str) -> ActivationFile:
    """Return the NPY files of a folder and its subfolders as layers named by their path in it, in natural order."""
    found = _files_of(path)
    names = sorted((name.removesuffix(".npy") for name in found if name.endswith(".npy")), key=natural_order)
    if not names:
        raise DataError(f"{path}: is a folder without NPY files; give an HDF5 or NPZ file, or a folder of NPY")
    sorted_out = SortedOut()
    for name in names:
        file = Path(path) / f"{name}.npy"
        if is_hidden(name) and not _begins_as_npy(file):
            continue
        with sorted_out.sorting(name):
            sorted_out.add(*npy_layer(path, str(file), name))
    others = [name for name in sorted(found) if name.lower().endswith(_OTHER_ARRAYS) and not name.endswith(".npy")]
    notes: tuple[str, ...] = ()
    if others:
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        notes = (f"{path}: of a folder only .npy files are read, so not {shown}; give other files by themselves",)
    return sorted_out.file(path, "folder of NPY", notes)


def files_of_folder(path: str) -> list[str]:
    """Return the NPY files that a folder is made of, each with the folder's path before it."""
    names = [name for name in _files_of(path) if name.endswith(".npy") and not is_hidden(name)]
    return [os.path.join(path, name) for name in sorted(names, key=natural_order)]


def _files_of(path: str) -> list[str]:
    """Return the files below a folder by their path in it, without what lies in hidden folders."""
    found = []
    for folder, inner, files in os.walk(path, onerror=_raise_unreadable):
        inner[:] = [name for name in inner if not is_hidden(name)]
        found += [os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/") for name in files]
    return found


def _raise_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be opened ({error.strerror}); check its permissions") from error


def _begins_as_npy(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def npy_layer(file: str, path: str, name: str) -> tuple[Layer, str | None]:
    """Return the array of an NPY file, and what is wrong with the bytes behind its header."""
    origin = origin_of(path)
    with Path(path).open("rb") as stream:
        shape, column_order, dtype = read_npy_header(stream)
        offset = stream.tell()
        damage = damage_of(stream, origin.n_bytes - offset, shape, dtype)
    rows = PlainRows(origin, offset, shape, dtype, column_order=column_order)
    storage = "column order" if column_order else "contiguous"
    return Layer(file, name, shape, dtype, storage, rows, n_first_axis=rows.n_first_axis), damage


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
