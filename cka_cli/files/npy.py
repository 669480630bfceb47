"""NPY files and folders of them: the header is read at once, the values when needed."""

import os
from pathlib import Path

from cka_cli.errors import DataError, reason
from cka_cli.files.contiguous import PlainRows
from cka_cli.files.layer import ActivationFile, Layer
from cka_cli.files.listing import Others, found_in, head_of, is_hidden, natural_order, shown
from cka_cli.files.npy_header import NoLayerError, damage_of, read_npy_header
from cka_cli.files.registry import NPY_MAGIC
from cka_cli.files.sorting import SortedOut
from cka_cli.files.source_file import origin_of


def open_npy(path: str) -> ActivationFile:
    """Return the one array of an NPY file, named after the file."""
    name = Path(path).stem
    try:
        layer, damage = _npy_layer(path, path, name)
    except NoLayerError as error:
        return SortedOut(refused={name: str(error)}).file(path, "NPY")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: is not a readable NPY file ({reason(error)}); save it again") from error
    if damage:
        raise DataError(f"{path}: {damage}")
    return SortedOut([layer]).file(path, "NPY")


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
            sorted_out.add(*_npy_layer(path, file, name))
    rule = f"{path}: of a folder only .npy files are read"
    notes = others.note(rule, "give other files by themselves")
    if links:
        notes += (f"{path}: links to folders are not followed, so not {shown(links)}; give them by themselves",)
    return sorted_out.file(path, "folder of NPY", notes)


def _npy_layer(file: str, path: str, name: str) -> tuple[Layer, str | None]:
    """Return the array of an NPY file, and what is wrong with the bytes behind its header."""
    origin = origin_of(path)
    with open(path, "rb") as stream:
        form = read_npy_header(stream)
        offset = stream.tell()
        damage = damage_of(stream, origin.n_bytes - offset, form)
    storage = "column order" if form.column_order else "contiguous"
    rows = PlainRows(origin, offset, form)
    return Layer(file, name, form.shape, form.dtype, storage, rows, n_first_axis=form.n_first_axis), damage
