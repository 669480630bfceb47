"""NPY files and folders of them: the header is read at once, the values when needed."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from cka_cli.arrays import Array
from cka_cli.errors import DataError, reason
from cka_cli.files.contiguous import read_rows
from cka_cli.files.layer import ActivationFile, Layer, sort_arrays
from cka_cli.files.listing import Others, found_in, head_of, is_hidden, natural_order, shown
from cka_cli.files.npy_header import NoLayerError, damage_of, read_npy_header
from cka_cli.files.registry import NPY_MAGIC
from cka_cli.files.sorting import SortedOut
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
    found, links = found_in(path)
    others = Others()
    for name in found:
        if not name.endswith(".npy"):
            others.add(name, head_of(f"{path}/{name}"))
    names = sorted((name.removesuffix(".npy") for name in found if name.endswith(".npy")), key=natural_order)
    if not names:
        instead = [*others.arrays, *(f"a link to a folder, {name}" for name in links), *others.plain]
        raise DataError(
            f"{path}: is a folder without NPY files{f' (found {shown(instead)})' if instead else ''}; "
            "give an HDF5 or NPZ file, or a folder of NPY"
        )
    sorted_out = SortedOut()
    for name in names:
        file = os.path.join(path, f"{name}.npy")
        if is_hidden(name) and not head_of(file).startswith(NPY_MAGIC):
            continue
        with sorted_out.sorting(name):
            sorted_out.add(*npy_layer(path, file, name))
    rule = f"{path}: of a folder only .npy files are read"
    notes = others.note(rule, "give other files by themselves")
    if links:
        notes += (f"{path}: links to folders are not followed, so not {shown(links)}; give them by themselves",)
    return sorted_out.file(path, "folder of NPY", notes)


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
