"""Safetensors files: a header of JSON that says of each tensor its dtype, its shape and where its values lie.

Read here without the library: the header is held to all that the library holds it to, and then only rows that are
asked for are read, from wherever they lie; MLX writes values that are not aligned. The library sorts what it saves,
so layers come in the natural order of their names.
"""

import json
import re
import sys
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cka_cli.errors import DataError, one_line, reason
from cka_cli.files.contiguous import Form, PlainRows
from cka_cli.files.layer import BFLOAT16_BITS, ActivationFile, Layer
from cka_cli.files.listing import natural_order
from cka_cli.files.sorting import SortedOut
from cka_cli.files.source_file import Origin, origin_of

_DTYPES: dict[str, np.dtype[Any]] = {
    "BF16": BFLOAT16_BITS, "BOOL": np.dtype("?"), "I8": np.dtype("i1"), "U8": np.dtype("u1"),
    **{f"{kind.upper()}{8 * size}": np.dtype(f"<{kind}{size}") for kind in "fiu" for size in (2, 4, 8)},
}  # fmt: skip
_METADATA = "__metadata__"
_LENGTH_BYTES = 8
# No header is longer for the library.
_MOST_HEADER_BYTES = 100_000_000
# A tensor takes three brackets and fifty letters to describe. Of a long header that has far more brackets, a list of
# lists would take many times its bytes once it is read.
_LONG_BYTES, _LEAST_PER_BRACKET = 1 << 20, 8
_MOST_AXES, _MOST_SHOWN = 64, 60


class _Tensor(NamedTuple):
    """What the header says of a tensor. begin, end : of its values, counted in bytes from the end of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def open_safetensors(path: str) -> ActivationFile:
    """Return the tensors of a safetensors file as layers, in the natural order of their names; only the header is read.

    Raises DataError for a header that the library would refuse, and for values that are not all there.
    """
    try:
        origin = origin_of(path)
        header, n_bytes = _header_of(origin)
        tensors = [_tensor_of(name, described) for name, described in header.items()]
        _check_places(tensors, origin, n_bytes)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is not a readable safetensors file ({reason(error)}); save it again") from error
    sorted_out = SortedOut()
    for name, dtype, shape, begin, _ in sorted(tensors, key=lambda tensor: natural_order(tensor.name)):
        if dtype not in _DTYPES:
            sorted_out.refused[name] = f"values of type {dtype}, which is not read; save it as float32"
        elif len(shape) > _MOST_AXES:
            sorted_out.refused[name] = f"an array of {len(shape)} axes; save it with fewer"
        else:
            form = Form(shape, _DTYPES[dtype])
            rows = PlainRows(origin, n_bytes + begin, form)
            sorted_out.arrays.append(Layer(path, name, shape, form.dtype, "contiguous", rows))
    return sorted_out.file(path, "safetensors")


def _header_of(origin: Origin) -> tuple[dict[str, Any], int]:
    """Return what the header says, by name of tensor, and the bytes it takes. Raises ValueError for what is none."""
    with Path(origin.path).open("rb") as stream:
        n_bytes = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        if n_bytes > _MOST_HEADER_BYTES:
            raise ValueError(f"its header promises {n_bytes} bytes, and none has more than {_MOST_HEADER_BYTES}")
        if _LENGTH_BYTES + n_bytes > origin.n_bytes:
            raise DataError(
                f"{origin.path}: is cut short ({origin.n_bytes} bytes in all, where its header alone takes "
                f"{_LENGTH_BYTES + n_bytes}); copy or save it again"
            )
        text = stream.read(n_bytes)
    if n_bytes > _LONG_BYTES and text.count(b"[") + text.count(b"{") > n_bytes // _LEAST_PER_BRACKET:
        raise ValueError("its header is no list of tensors")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_by_name)
    except _DoubledError:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its header is not JSON: {reason(error)}") from error
    if not isinstance(header, dict):
        raise ValueError("its header is no list of tensors by name")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"its {_METADATA} is no list of texts by name")
    return header, _LENGTH_BYTES + n_bytes


class _DoubledError(ValueError):
    """A name stands twice."""


def _by_name(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((doubled, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise _DoubledError(f"{_shown(doubled)} stands twice in its header")
    return found


def _tensor_of(name: str, described: Any) -> _Tensor:
    """Return what is said of a tensor. Raises ValueError where that cannot be."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name!r:.{_MOST_SHOWN}} is no name in Unicode") from None
    match described:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [begin, end]}:
            pass
        case _:
            raise ValueError(f"{_shown(name)}: has no dtype, shape and data_offsets")
    if not re.fullmatch(r"[A-Za-z0-9_]{1,20}", dtype):
        raise ValueError(f"{_shown(name)}: its dtype is no name")
    if any(type(number) is not int or not 0 <= number <= sys.maxsize for number in (*shape, begin, end)) or begin > end:
        raise ValueError(f"{_shown(name)}: its shape {shape} or its data_offsets {begin}, {end} cannot be")
    if dtype in _DTYPES and len(shape) <= _MOST_AXES:
        needed = prod(shape) * _DTYPES[dtype].itemsize
        if needed != end - begin:
            raise ValueError(f"{_shown(name)}: {dtype} of shape {shape} takes {needed} bytes, not {end - begin}")
    return _Tensor(name, dtype, tuple(shape), begin, end)


def _check_places(tensors: list[_Tensor], origin: Origin, n_header: int) -> None:
    """Raise ValueError unless values follow each other without holes, DataError unless they end where the file does."""
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != end:
            wrong = "lie over others" if tensor.begin < end else "leave a hole before them"
            raise ValueError(f"{_shown(tensor.name)}: its values {wrong}, at byte {tensor.begin} and not {end}")
        end = tensor.end
    found = origin.n_bytes - n_header
    if end > found:
        raise DataError(
            f"{origin.path}: is cut short ({found} bytes of values where its header promises {end}); "
            "copy or save it again"
        )
    if end < found:
        raise ValueError(f"{found - end} bytes follow the {end} of its tensors")


def _shown(name: str) -> str:
    return one_line(name if len(name) <= _MOST_SHOWN else name[:_MOST_SHOWN] + "...")
