"""Files of `torch.save`, read without torch: an archive of a description, and of a member for each storage of values.

What the description says of a tensor is taken for what it is, a view: an offset and strides in a storage that it may
share with others. Values are read from where they lie; the description is never unpickled (`torch_pickle`).
"""

import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cka_cli.errors import DataError, one_line, reason
from cka_cli.files.archive import check_whole, data_offset, torch_folder
from cka_cli.files.bfloat16 import as_bfloat16
from cka_cli.files.contiguous import Form, PlainRows
from cka_cli.files.layer import ActivationFile, Layer, ReadRows
from cka_cli.files.npz import READ_ERRORS, StoredRows
from cka_cli.files.sorting import SortedOut
from cka_cli.files.source_file import Origin, origin_of
from cka_cli.files.strided import StridedRows
from cka_cli.files.torch_pickle import MOST_BYTES, UNTYPED, ForeignError, Pairs, Storage, Tensor, description, tensors
from cka_cli.text import first_few

_BFLOAT16 = "bfloat16"
_REAL = frozenset(
    ("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
)
# What every version of numpy takes.
_MOST_AXES = 32
# A tensor may show a stored value so often, as windows of 8 x 8 do, or have so few values: without a limit a file of a
# few bytes could be read for years.
_MOST_REPEATED, _FEW = 64, 1 << 20
_STORAGE = "a storage, not a tensor; save the tensor"


class _Archive(NamedTuple):
    """The members of an archive by name, the folder they stand in, and whether the most significant bytes are first."""

    origin: Origin
    members: dict[str, zipfile.ZipInfo]
    folder: str
    is_big: bool = False

    def place(self, name: str) -> tuple[int, zipfile.ZipInfo]:
        """Return where the bytes of a member lie. Raises BadZipFile for one that is packed, or not where it must be."""
        info = self.members.get(f"{self.folder}/{name}")
        if info is None:
            raise zipfile.BadZipFile(f"the archive has no {name}")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise zipfile.BadZipFile(f"{info.filename} is compressed or encrypted, which torch.save never does")
        place = data_offset(self.origin.path, info)
        if self.bytes_at(place + info.file_size, 2) != b"PK":
            raise zipfile.BadZipFile(f"{info.filename} lies where no member can")
        return place, info

    def bytes_at(self, place: int, n_bytes: int) -> bytes:
        """Return bytes of the file."""
        with self.origin.opened() as stream:
            stream.seek(place)
            return stream.read(n_bytes) or b""

    def read(self, name: str) -> bytes:
        """Return a small member. Raises BadZipFile for other bytes than were saved; torch can leave sums out."""
        place, info = self.place(name)
        found = self.bytes_at(place, min(info.file_size, MOST_BYTES + 1))
        if info.CRC and len(found) <= MOST_BYTES and zlib.crc32(found) != info.CRC:
            raise zipfile.BadZipFile(f"{info.filename} is not what was saved: wrong CRC-32")
        return found


def open_torch(path: str) -> ActivationFile:
    """Return the tensors of a file of `torch.save` in the order they were saved, a lone one named after the file."""
    try:
        archive = _opened(path)
        root, n_opcodes = description(archive.read("data.pkl"))
        sorted_out, names = SortedOut(), set[str]()
        for key, tensor in tensors(root, n_opcodes):
            name = key or Path(path).stem
            if name in names:
                raise DataError(f"{path}::{one_line(name)}: stands there twice, as keys are joined; rename one of them")
            names.add(name)
            _sort(sorted_out, archive, name, tensor)
    except ForeignError as error:
        raise DataError(f"{path}: {one_line(str(error))}") from error
    except READ_ERRORS as error:
        raise DataError(
            f"{path}: is not a readable PyTorch file ({reason(error)}); it may be cut short: copy or save it again"
        ) from error
    lists = [str(key) for key, each in root if _is_list_of_values(each)] if isinstance(root, Pairs) else []
    said = f"only tensors are read, so not {first_few(lists, 3)}; save torch.tensor(list)"
    if not names:
        advice = said if lists else "save them as torch.save({name: tensor}, path)"
        raise DataError(f"{path}: holds no tensors (PyTorch); {advice}")
    return sorted_out.file(path, "PyTorch", (f"{path}: {said}",) if lists else ())


def _opened(path: str) -> _Archive:
    origin = origin_of(path)
    with zipfile.ZipFile(path) as archive:
        check_whole(archive, origin)
        names = archive.namelist()
        members = {info.filename: info for info in archive.infolist()}
    if len(members) < len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}::{one_line(doubled)}: stands more than once in the archive; save it again")
    folder = torch_folder(names)
    if f"{folder}/constants.pkl" in members:
        raise DataError(
            f"{path}: is a model of TorchScript, whose code is never run; save torch.save(model.state_dict(), path)"
        )
    found = _Archive(origin, members, folder)
    order = found.read("byteorder") if f"{folder}/byteorder" in members else b"little"
    if order not in (b"little", b"big"):
        raise ValueError(f"the order of its bytes is {order[:9]!r}")
    return found._replace(is_big=order == b"big")


def _is_list_of_values(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(each, int | float | str) for each in value)


def _sort(sorted_out: SortedOut, archive: _Archive, name: str, tensor: Tensor | Storage) -> None:
    """Take a tensor in as what it is: an array, one that is damaged, or none."""
    if isinstance(tensor, Storage) or tensor.storage is None:
        sorted_out.refused[name] = _STORAGE if isinstance(tensor, Storage) else tensor.problem
        return
    problem = _problem(tensor.dtype, tensor.shape, tensor.storage.n_values)
    if problem:
        sorted_out.refused[name] = problem
        return
    try:
        sorted_out.add(_layer(archive, name, tensor, tensor.storage), None)
    except READ_ERRORS as error:
        damaged = sorted_out.refused if len(tensor.shape) < 2 else sorted_out.unreadable
        damaged[name] = f"cannot be read ({reason(error)}); save it again"


def _problem(dtype: str, shape: tuple[int, ...], n_stored: int) -> str:
    """Return why a tensor can be no layer, by its type and its shape; empty when it can."""
    if dtype.startswith("complex"):
        return f"complex numbers ({dtype}); save them as real numbers"
    if dtype not in _REAL and dtype != _BFLOAT16:
        return f"a type that numpy does not have ({dtype}); save tensor.float()"
    if len(shape) > _MOST_AXES:
        return f"an array of {len(shape)} axes"
    if prod(shape) > max(_MOST_REPEATED * n_stored, _FEW):
        return f"values that are repeated ({prod(shape)} from {n_stored} stored ones); save tensor.contiguous()"
    return ""


def _layer(archive: _Archive, name: str, tensor: Tensor, storage: Storage) -> Layer:
    """Return the array that a tensor is. Raises ValueError or BadZipFile when its values are not where it says."""
    origin, shape, is_bfloat16 = archive.origin, tensor.shape, tensor.dtype == _BFLOAT16
    dtype = np.dtype("u2" if is_bfloat16 else tensor.dtype).newbyteorder(">" if archive.is_big else "<")
    place, info = archive.place(f"data/{storage.key}")
    n_stored = storage.n_values // (dtype.itemsize if storage.kind == UNTYPED else 1)
    if not 0 <= info.file_size - n_stored * dtype.itemsize < dtype.itemsize:
        raise ValueError(f"{info.file_size} bytes are there of {n_stored} values of {dtype.itemsize}")
    reach = sum((n - 1) * stride for n, stride in zip(shape, tensor.strides, strict=True))
    if 0 not in shape and tensor.offset + reach >= n_stored:
        raise ValueError(f"its values reach beyond the {n_stored} that are stored")
    form, begin = Form(shape, dtype), place + tensor.offset * dtype.itemsize
    lies, least = "contiguous", (1, 1)
    rows: ReadRows = PlainRows(origin, begin, form)
    if not _are_in_a_row(shape, tensor.strides):
        lies = f"strides {', '.join(map(str, tensor.strides))}"
        strided = StridedRows(origin, begin, form, tuple(stride * dtype.itemsize for stride in tensor.strides))
        rows, least = strided, strided.least
    elif info.CRC and not tensor.offset:
        rows = StoredRows(origin, info, 0, form)
    layer = Layer(origin.path, name, shape, dtype, lies, rows, n_first_axis=least[0], n_second_axis=least[1])
    return as_bfloat16(layer) if is_bfloat16 else layer


def _are_in_a_row(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether values lie one after another as a new array's would; without any they do."""
    expected = 1
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n > 1 and stride != expected and 0 not in shape:
            return False
        expected *= n
    return True
