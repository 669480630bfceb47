"""Files as `torch.save` writes them, made without torch: the same opcodes, names and members."""

import io
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

KINDS = {
    "f2": "Half", "f4": "Float", "f8": "Double", "b1": "Bool", "i1": "Char", "i2": "Short", "i4": "Int", "i8": "Long",
    "u1": "Byte",
}  # fmt: skip


@dataclass(frozen=True)
class Named:
    """A class or a function, of which a pickle only holds the name."""

    module: str
    name: str

    def __call__(self, *arguments):
        raise AssertionError("nothing calls it")


@dataclass(frozen=True, eq=False)
class Stored:
    data: bytes
    kind: str
    n_values: int
    location: str = "cpu"


@dataclass(frozen=True, eq=False)
class View:
    """A tensor. more : of its arguments those behind the hooks."""

    storage: Stored
    offset: int
    shape: tuple
    strides: tuple
    function: str = "_rebuild_tensor_v2"
    more: tuple = ()


@dataclass(frozen=True, eq=False)
class Made:
    """What a function makes of arguments, and what is set on it."""

    function: Named
    arguments: tuple = ()
    state: object = None
    pairs: dict = field(default_factory=dict)


def stored(array, location="cpu"):
    kind = KINDS.get(array.dtype.str[1:], "")
    return Stored(array.tobytes(), f"{kind or 'Untyped'}Storage", array.size if kind else array.nbytes, location)


def tensor(array, location="cpu"):
    """The tensor of an array, in the order in which its values lie."""
    lies = array.T if array.flags.f_contiguous and array.ndim > 1 else np.ascontiguousarray(array)
    strides = np.empty(lies.shape, np.bool_).strides
    is_turned = array.flags.f_contiguous and array.ndim > 1
    function, more = "_rebuild_tensor_v2", ()
    if array.dtype.str[1:] not in KINDS:
        function, more = "_rebuild_tensor_v3", (Named("torch", array.dtype.name),)
    return View(stored(lies, location), 0, array.shape, strides[::-1] if is_turned else strides, function, more)


class Pickler(pickle._Pickler):
    def __init__(self, stream, protocol):
        super().__init__(stream, protocol)
        self.storages = []

    def persistent_id(self, value):
        if not isinstance(value, Stored):
            return None
        if value not in self.storages:
            self.storages.append(value)
        module = "torch.storage" if value.kind == "UntypedStorage" else "torch"
        key = str(self.storages.index(value))
        return ("storage", Named(module, value.kind), key, value.location, value.n_values)

    def save_named(self, value):
        if self.proto >= 4:
            self.save(value.module)
            self.save(value.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        self.memoize(value)

    def save_view(self, value):
        arguments = (value.storage, value.offset, value.shape, value.strides, False, OrderedDict(), *value.more)
        self.save_reduce(Named("torch._utils", value.function), arguments, obj=value)

    def save_made(self, value):
        pairs = iter(value.pairs.items()) if value.pairs else None
        self.save_reduce(value.function, value.arguments, value.state, None, pairs, obj=value)

    dispatch = {**pickle._Pickler.dispatch, Named: save_named, View: save_view, Made: save_made}  # noqa: RUF012


def torch_bytes(value, *, protocol=2, is_big=False, **options):
    stream = io.BytesIO()
    pickler = Pickler(stream, protocol)
    pickler.dump(value)
    return archive_bytes(stream.getvalue(), [each.data for each in pickler.storages], is_big=is_big, **options)


def archive_bytes(description, storages=(), *, is_big=False, others=(), method=zipfile.ZIP_STORED, folder="archive"):
    """An archive of a pickle and of storages, each of which begins at a multiple of 64 bytes; all of them zip64."""
    members = [
        ("data.pkl", description),
        ("byteorder", b"big" if is_big else b"little"),
        *((f"data/{place}", data) for place, data in enumerate(storages)),
        ("version", b"3\n"),
        *others,
    ]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo(f"{folder}/{name}")
            info.compress_type = method
            begin = stream.tell() + 30 + len(info.filename) + 20
            n_padding = -(begin + 4) % 64
            info.extra = b"FB" + n_padding.to_bytes(2, "little") + b"Z" * n_padding
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(data)
    return stream.getvalue()


def without_sums(data):
    """An archive with 0 for all sums, as torch writes it when it is told to leave them out."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            data = data.replace(info.CRC.to_bytes(4, "little"), bytes(4))
    return data


def write_torch(path, layers):
    """Save arrays by name as tensors; all in the order of bytes of those whose order is another."""
    is_big = any(array.dtype.byteorder == ">" for array in layers.values())
    Path(path).write_bytes(torch_bytes({name: tensor(each) for name, each in layers.items()}, is_big=is_big))
    return str(path)
