"""NPY files and folders of them: the header is read at once, the values when needed."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from cka_cli.arrays import Array
from cka_cli.errors import DataError
from cka_cli.files.contiguous import read_rows
from cka_cli.files.layer import ActivationFile, Layer, natural_order, reason, sort_arrays
from cka_cli.files.npy_header import MAGIC, NoLayerError, damage_of, read_npy_header
from cka_cli.files.sorting import HEAD_BYTES, SortedOut, is_hidden, is_of_system, may_hold_arrays, note_of_others, shown
from cka_cli.files.source_file import Origin, origin_of

_PAGE_BYTES = 1 << 12


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
    found, links = _found_in(path)
    arrays, plain = _others_of(path, found)
    names = sorted((name.removesuffix(".npy") for name in found if name.endswith(".npy")), key=natural_order)
    if not names:
        instead = [*arrays, *(f"a link to a folder, {name}" for name in links), *plain]
        raise DataError(
            f"{path}: is a folder without NPY files{f' (found {shown(instead)})' if instead else ''}; "
            "give an HDF5 or NPZ file, or a folder of NPY"
        )
    sorted_out = SortedOut()
    for name in names:
        file = Path(path) / f"{name}.npy"
        if is_hidden(name) and not _head_of(file).startswith(MAGIC):
            continue
        with sorted_out.sorting(name):
            sorted_out.add(*npy_layer(path, str(file), name))
    rule = f"{path}: of a folder only .npy files are read"
    notes = note_of_others(rule, arrays, plain, "give other files by themselves")
    if links:
        notes += (f"{path}: links to folders are not followed, so not {shown(links)}; give them by themselves",)
    return sorted_out.file(path, "folder of NPY", notes)


def files_of_folder(path: str) -> list[str]:
    """Return the NPY files that a folder is made of, each with the folder's path before it."""
    names = [name for name in _found_in(path)[0] if name.endswith(".npy") and not is_hidden(name)]
    return [os.path.join(path, name) for name in sorted(names, key=natural_order)]


def _found_in(path: str) -> tuple[list[str], list[str]]:
    """Return by their path in a folder the files below it, but for hidden folders, and the links to folders."""

    def path_in(folder: str, name: str) -> str:
        return os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/")

    found, links = [], []
    for folder, inner, files in os.walk(path, onerror=_raise_unreadable):
        inner[:] = [name for name in inner if not is_hidden(name)]
        found += [path_in(folder, name) for name in files]
        links += [path_in(folder, name) for name in inner if os.path.islink(os.path.join(folder, name))]
    return sorted(found), sorted(links)


def _others_of(path: str, found: list[str]) -> tuple[list[str], list[str]]:
    """Return the files of a folder that are not read: those that may hold arrays, and plain ones."""
    arrays: list[str] = []
    plain: list[str] = []
    for name in found:
        if not name.endswith(".npy") and not is_of_system(name):
            (arrays if may_hold_arrays(name, _head_of(Path(path) / name)) else plain).append(name)
    return arrays, plain


def _raise_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be opened ({error.strerror}); check its permissions") from error


def _head_of(file: Path) -> bytes:
    """Return the first bytes of a file, none of a pipe, of what is gone, or of what must not be read."""
    try:
        if not file.is_file():
            return b""
        with file.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError:
        return b""


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
