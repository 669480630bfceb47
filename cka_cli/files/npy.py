"""NPY files: the header is read at once, the values when needed."""

from pathlib import Path

from cka_cli.errors import DataError, reason
from cka_cli.files.contiguous import PlainRows
from cka_cli.files.layer import ActivationFile, Layer
from cka_cli.files.npy_header import NoLayerError, damage_of, read_npy_header
from cka_cli.files.sorting import SortedOut
from cka_cli.files.source_file import origin_of


def open_npy(path: str) -> ActivationFile:
    """Return the one array of an NPY file, named after the file."""
    name = Path(path).stem
    try:
        layer, damage = npy_layer(path, path, name)
    except NoLayerError as error:
        return SortedOut(refused={name: str(error)}).file(path, "NPY")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: is not a readable NPY file ({reason(error)}); save it again") from error
    if damage:
        raise DataError(f"{path}: {damage}")
    return SortedOut([layer]).file(path, "NPY")


def npy_layer(file: str, path: str, name: str) -> tuple[Layer, str | None]:
    """Return the array of an NPY file, and what is wrong with the bytes behind its header."""
    origin = origin_of(path)
    with open(path, "rb") as stream:
        form = read_npy_header(stream)
        offset = stream.tell()
        damage = damage_of(stream, origin.n_bytes - offset, form)
    storage = "column order" if form.column_order else "contiguous"
    rows = PlainRows(origin, offset, form)
    return Layer(file, name, form.shape, form.dtype, storage, rows, n_first_axis=form.n_first_axis), damage
