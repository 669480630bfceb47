"""What `torch.save` says of its tensors, read by a small machine of our own: nothing is looked up, called or imported.

The description is a pickle, and a pickle is a program. This machine knows the opcodes and the names that tensors, plain
containers and plain values are written with, and what they mean here; whatever else stands in a file ends the reading.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

# Far more than any file that was saved in earnest takes: 80,000 tensors.
MOST_BYTES, _MOST_OPCODES = 1 << 26, 1 << 21
_MOST_DEEP, _MOST_LETTERS, _MOST_PROTOCOL = 100, 1000, 5
# How much more often than it was written a value may be met, where several places hold the same one.
_MOST_SHARED = 8
_SHOWN_LETTERS = 80


class ForeignError(ValueError):
    """A pickle that holds more than tensors and plain values: its text says what."""


class Pairs(list[tuple[Any, Any]]):
    """A mapping, as the pairs that were put into it: keys are compared with nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """A class or a function by its full name. It is never looked up."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """Values in a member of the archive.

    kind : `FloatStorage`, ... key : of the member. n_values : how many, or bytes where it is untyped.
    """

    kind: str
    key: str
    n_values: int


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A view of a storage; offset and strides in values. dtype : as torch names it. problem : why it cannot be read."""

    storage: Storage | None = None
    offset: int = 0
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    dtype: str = ""
    problem: str = ""


UNTYPED = "UntypedStorage"
# The type of the values in a storage of each kind.
_OF_STORAGE = {
    "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64", "Int": "int32",
    "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool", "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}  # fmt: skip


def description(data: bytes) -> tuple[Any, int]:
    """Return what a pickle describes, and in how many opcodes. Raises ForeignError; ValueError for one that is damaged.

    It is made of None, bool, int, float, str, bytes, list, tuple, Pairs, Name, Storage and Tensor, and may hold itself.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"its description takes more than {MOST_BYTES >> 20} MiB")
    machine = _Machine(data)
    try:
        return machine.run()
    except IndexError as error:
        raise ValueError("its description takes what is not there") from error
    except (struct.error, TypeError) as error:
        raise ValueError("its description holds what has no meaning") from error


def tensors(root: Any, n_opcodes: int) -> Iterator[tuple[str, Tensor | Storage]]:
    """Give what is not plain, in its order, with the keys that lead to it joined by dots. Raises ValueError."""
    waiting, n_met = [("", root, 0)], 0
    while waiting:
        name, value, depth = waiting.pop()
        n_met += 1
        if n_met > _MOST_SHARED * n_opcodes or depth > _MOST_DEEP or len(name) > _MOST_LETTERS:
            raise ValueError(f"its containers hold themselves, or more than {_MOST_DEEP} one in another")
        if isinstance(value, Tensor | Storage):
            yield name, value
        elif isinstance(value, list | tuple):
            pairs = value if isinstance(value, Pairs) else enumerate(value)
            inner = [(_key_text(key), each) for key, each in pairs if isinstance(each, list | tuple | Tensor | Storage)]
            waiting += [(f"{name}.{key}" if depth else key, each, depth + 1) for key, each in reversed(inner)]


def _key_text(key: Any) -> str:
    if isinstance(key, tuple) and not any(isinstance(part, tuple) for part in key):
        return ".".join(map(_key_text, key))
    if key is None or isinstance(key, str | int | float):
        return str(key)
    raise ForeignError("holds a dict whose keys are neither text nor numbers; name its tensors by text")


def _check(holds: bool) -> None:
    if not holds:
        raise ValueError("its description of a tensor has no meaning")


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, _grad: Any, _hooks: Any, metadata: Any = None
) -> Tensor:
    """Return what `_rebuild_tensor_v2` makes, of a storage that says the type of its values."""
    _check(isinstance(storage, Storage))
    kind = storage.kind.removesuffix("Storage")
    return _view(storage, offset, shape, strides, _OF_STORAGE.get(kind, kind), metadata)


def _typed_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, _grad: Any, _hooks: Any, dtype: Any, metadata: Any = None
) -> Tensor:
    """Return what `_rebuild_tensor_v3` makes, of a storage of bytes."""
    _check(isinstance(storage, Storage) and storage.kind == UNTYPED and isinstance(dtype, Name))
    return _view(storage, offset, shape, strides, dtype.text.removeprefix("torch."), metadata)


def _view(storage: Storage, offset: Any, shape: Any, strides: Any, dtype: str, metadata: Any) -> Tensor:
    for numbers in (shape, strides, (offset,)):
        _check(isinstance(numbers, tuple) and all(isinstance(each, int) and 0 <= each < 1 << 63 for each in numbers))
    _check(len(shape) == len(strides))
    if metadata:
        return Tensor(problem="kept negated or conjugated; save tensor.resolve_neg().resolve_conj()")
    return Tensor(storage, offset, shape, strides, dtype)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _of_class(function: Any, of_class: Any, arguments: Any, _state: Any) -> Any:
    """Return a tensor that has attributes of its own, without these."""
    _check(isinstance(function, Name) and isinstance(of_class, Name) and isinstance(arguments, tuple))
    _check(function.text in _TENSORS)
    return _TENSORS[function.text](*arguments)


def _mapping(*arguments: Any) -> Pairs:
    """Return the dict of an OrderedDict, of a defaultdict (whose first argument makes missing values), or a Counter."""
    return next((each for each in arguments if isinstance(each, Pairs)), Pairs())


def _items(items: Any = ()) -> Any:
    _check(isinstance(items, list | tuple))
    return items


def _plain(*_: Any) -> None:
    """Return nothing of a value that is no tensor."""


def _of_problem(problem: str) -> Callable[..., Tensor]:
    return lambda *_: Tensor(problem=problem)


_SPARSE = _of_problem("a sparse tensor; save tensor.to_dense()")
_TENSORS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_sparse_tensor": _SPARSE,
    "torch._utils._rebuild_sparse_csr_tensor": _SPARSE,
    "torch._utils._rebuild_qtensor": _of_problem("a quantised tensor; save tensor.dequantize()"),
    "torch._utils._rebuild_nested_tensor": _of_problem(
        "a nested tensor, a row of any length; save tensor.to_padded_tensor(float('nan'))"
    ),
    "torch._utils._rebuild_meta_tensor_no_storage": _of_problem("a tensor of the device meta, which has no values"),
}
_CALLS: dict[str, Callable[..., Any]] = {
    **_TENSORS,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _of_class,
    **dict.fromkeys(("collections.OrderedDict", "collections.defaultdict", "collections.Counter"), _mapping),
    **dict.fromkeys(("torch.Size", "builtins.set", "builtins.frozenset"), _items),
    **dict.fromkeys(("torch.device", "torch.serialization._get_layout", "numpy.dtype", "_codecs.encode"), _plain),
    **dict.fromkeys(("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"), _plain),
}
# What may be named, though nothing is made of it: types, and what defaultdicts make.
_VALUES = re.compile(
    r"torch\.(bool|b?float\w+|complex\w+|q?u?int\w+|per_\w+_affine\w*|[A-Z]\w+Storage|Tensor)|torch\.storage\."
    r"UntypedStorage|torch\.nn\.parameter\.(Parameter|Buffer)|builtins\.(list|dict|tuple|int|float|str)",
    re.ASCII,
)
_ADVICE = "save its tensors alone, as torch.save(model.state_dict(), path) or torch.save({name: tensor}, path) does"


def _foreign(name: str) -> ForeignError:
    shown = name if len(name) <= _SHOWN_LETTERS else name[:_SHOWN_LETTERS] + "..."
    if name.startswith("numpy.") or name == "numpy":
        return ForeignError("holds arrays of numpy, which only unpickling could read; save torch.from_numpy(array)")
    return ForeignError(f"holds more than tensors ({shown}), and could run code when loaded; {_ADVICE}")


def _opcode_name(opcode: int) -> str:
    from pickletools import opcodes

    return next((each.name for each in opcodes if each.code == chr(opcode)), f"opcode {opcode:#04x}")


class _Machine:
    """The stack, its marks and the memo of a pickle."""

    def __init__(self, data: bytes):
        self.data, self.place = data, 0
        self.stack: list[Any] = []
        self.below_marks: list[list[Any]] = []
        self.memo: list[Any] = []

    def run(self) -> tuple[Any, int]:
        """Return what the pickle describes, and the number of its opcodes."""
        for n_opcodes in range(1, _MOST_OPCODES + 1):
            opcode = self.take(1)[0]
            if opcode == ord("."):
                if len(self.stack) != 1 or self.below_marks or self.place != len(self.data):
                    raise ValueError("its description ends where it must not")
                return self.stack.pop(), n_opcodes
            step = _STEPS.get(opcode)
            if step is None:
                raise _foreign(_opcode_name(opcode))
            step(self)
        raise ValueError(f"its description takes more than {_MOST_OPCODES} steps")

    def take(self, n_bytes: int) -> bytes:
        """Return the next bytes."""
        end = self.place + n_bytes
        if end > len(self.data):
            raise ValueError("its description ends too early")
        taken, self.place = self.data[self.place : end], end
        return taken

    def number(self, form: str) -> Any:
        """Return the next number."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """Return the text up to the next end of a line."""
        end = self.data.find(b"\n", self.place)
        return self.take((len(self.data) if end < 0 else end) + 1 - self.place)[:-1].decode()

    def marked(self) -> list[Any]:
        """Return what lies above the last mark, and take both off."""
        items, self.stack = self.stack, self.below_marks.pop()
        return items

    def top(self, kind: type) -> Any:
        """Return the uppermost value, which must be of a kind."""
        _check(isinstance(self.stack[-1], kind))
        return self.stack[-1]


def _mark(machine: _Machine) -> None:
    machine.below_marks.append(machine.stack)
    machine.stack = []


def _begin(machine: _Machine) -> None:
    if machine.number("B") > _MOST_PROTOCOL:
        raise ValueError("its description is of a later protocol")


def _frame(machine: _Machine) -> None:
    if machine.number("<Q") > len(machine.data) - machine.place:
        raise ValueError("its description ends too early")


def _pushes(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    def step(machine: _Machine) -> None:
        value = make(machine)
        machine.stack.append(value)

    return step


def _tuple_of(n_items: int) -> Callable[[_Machine], tuple[Any, ...]]:
    return lambda machine: tuple(reversed([machine.stack.pop() for _ in range(n_items)]))


def _put(machine: _Machine, place: int) -> None:
    """Keep the uppermost value. Picklers number what they keep one after the other."""
    if place == len(machine.memo):
        machine.memo.append(machine.stack[-1])
    else:
        machine.memo[place] = machine.stack[-1]


def _add(machine: _Machine, items: list[Any]) -> None:
    into = machine.top(list)
    _check(not isinstance(into, Pairs))
    into.extend(items)


def _set(machine: _Machine, items: list[Any]) -> None:
    _check(len(items) % 2 == 0)
    machine.top(Pairs).extend(zip(items[::2], items[1::2], strict=True))


def _name(module: Any, name: Any) -> Name:
    _check(isinstance(module, str) and isinstance(name, str))
    full = f"{module.replace('__builtin__', 'builtins')}.{name}"
    if full not in _CALLS and not _VALUES.fullmatch(full):
        raise _foreign(full)
    return Name(full)


def _called(machine: _Machine) -> Any:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    _check(isinstance(function, Name) and isinstance(arguments, tuple))
    if function.text not in _CALLS:
        raise _foreign(function.text)
    return _CALLS[function.text](*arguments)


def _stored(machine: _Machine) -> Storage:
    """Return what a persistent id means: ("storage", class, key, device, how many values)."""
    identity = machine.stack.pop()
    _check(isinstance(identity, tuple) and len(identity) == 5)
    word, kind, key, _, n_values = identity
    _check(word == "storage" and isinstance(kind, Name) and isinstance(key, str) and isinstance(n_values, int))
    return Storage(kind.text.rpartition(".")[2], key, n_values)


def _build(machine: _Machine) -> None:
    """Pass over attributes, which torch gives to the dict of a model, and numpy to its types."""
    machine.stack.pop()
    _check(machine.stack[-1] is None or isinstance(machine.stack[-1], Pairs))


_STEPS: dict[int, Callable[[_Machine], None]] = {
    0x80: _begin,
    0x95: _frame,
    ord("("): _mark,
    ord("N"): _pushes(lambda machine: None),
    0x88: _pushes(lambda machine: True),
    0x89: _pushes(lambda machine: False),
    ord("J"): _pushes(lambda machine: machine.number("<i")),
    ord("K"): _pushes(lambda machine: machine.number("B")),
    ord("M"): _pushes(lambda machine: machine.number("<H")),
    ord("G"): _pushes(lambda machine: machine.number(">d")),
    0x8A: _pushes(lambda machine: int.from_bytes(machine.take(machine.number("B")), "little", signed=True)),
    0x8C: _pushes(lambda machine: machine.take(machine.number("B")).decode()),
    ord("X"): _pushes(lambda machine: machine.take(machine.number("<I")).decode()),
    0x8D: _pushes(lambda machine: machine.take(machine.number("<Q")).decode()),
    ord("C"): _pushes(lambda machine: machine.take(machine.number("B"))),
    ord("B"): _pushes(lambda machine: machine.take(machine.number("<I"))),
    0x8E: _pushes(lambda machine: machine.take(machine.number("<Q"))),
    ord(")"): _pushes(lambda machine: ()),
    0x85: _pushes(_tuple_of(1)),
    0x86: _pushes(_tuple_of(2)),
    0x87: _pushes(_tuple_of(3)),
    ord("t"): _pushes(lambda machine: tuple(machine.marked())),
    0x91: _pushes(lambda machine: machine.marked()),
    ord("]"): _pushes(lambda machine: []),
    0x8F: _pushes(lambda machine: []),
    ord("}"): _pushes(lambda machine: Pairs()),
    ord("a"): lambda machine: _add(machine, [machine.stack.pop()]),
    ord("e"): lambda machine: _add(machine, machine.marked()),
    0x90: lambda machine: _add(machine, machine.marked()),
    ord("s"): lambda machine: _set(machine, list(_tuple_of(2)(machine))),
    ord("u"): lambda machine: _set(machine, machine.marked()),
    ord("q"): lambda machine: _put(machine, machine.number("B")),
    ord("r"): lambda machine: _put(machine, machine.number("<I")),
    0x94: lambda machine: _put(machine, len(machine.memo)),
    ord("h"): _pushes(lambda machine: machine.memo[machine.number("B")]),
    ord("j"): _pushes(lambda machine: machine.memo[machine.number("<I")]),
    ord("c"): _pushes(lambda machine: _name(machine.line(), machine.line())),
    0x93: _pushes(lambda machine: _name(*_tuple_of(2)(machine))),
    ord("R"): _pushes(_called),
    ord("Q"): _pushes(_stored),
    ord("b"): _build,
}
