"""Raw values, as `numpy.memmap` and `numpy.ndarray.tofile` write them: what they are stands in a file beside them."""

import os
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cka_cli.errors import DataError, reason
from cka_cli.files.bfloat16 import as_bfloat16
from cka_cli.files.contiguous import Form, PlainRows
from cka_cli.files.layer import ActivationFile, Layer
from cka_cli.files.sidecar import ADVICE, Sidecar, sidecar_of
from cka_cli.files.sorting import SortedOut
from cka_cli.files.source_file import origin_of

_BFLOAT16 = "bfloat16"
# What names stand for beside numpy's own; of several the one that fits the bytes: f16 is float16 to torch and a long
# double to numpy, i8 is int8 to one and int64 to the other, float is float32 and float64.
_MEANT: dict[str, tuple[str, ...]] = {
    "half": ("f2",), "fp16": ("f2",), "f16": ("f2", "g"), "single": ("f4",), "fp32": ("f4",), "f32": ("f4",),
    "float": ("f4", "f8"), "fp64": ("f8",), "f64": ("f8",), "double": ("f8",), "bool_": ("?",), "boolean": ("?",),
    "i8": ("i1", "i8"), "u8": ("u1", "u8"), "i16": ("i2",), "u16": ("u2",), "i32": ("i4",), "u32": ("u4",),
    "i64": ("i8",), "u64": ("u8",), "short": ("i2",), "int": ("i4", "i8"), "uint": ("u4", "u8"), "long": ("i8",),
    "bfloat16": (_BFLOAT16,), "bf16": (_BFLOAT16,),
}  # fmt: skip
_DTYPE = re.compile(r"(?:<class '|<dtype: '|dtype\(['\"]?)?(?:\w{1,20}\.){0,3}([<>=|]?(?:\w{1,20}|\?))['\")>]{0,3}")
_OF_NUMPY = re.compile(r"[<>=|]?(?:[fiu][0-9]{1,2}|b1|\?)|bool|(?:float|u?int)[0-9]{1,3}|longdouble|[defg]")
_BYTE_ORDERS: dict[str, Literal["<", ">", "|"]] = {"<": "<", ">": ">", "": "|"}


def open_raw(path: str) -> ActivationFile:
    """Return the one array of a raw file, named after the file."""
    try:
        origin = origin_of(path)
        name, said = sidecar_of(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read as raw values ({reason(error)}); save it again") from error
    beside = os.path.basename(name)
    meant = _meant(said)
    if not meant:
        raise DataError(
            f"{path}: {beside} beside it says dtype {said.dtype[:60]!r}, which is no dtype of real numbers; "
            "write one such as float16, float32, bfloat16 or <f4"
        )
    forms = [(Form(said.shape, dtype, said.column_order), is_bfloat16) for dtype, is_bfloat16 in meant]
    fitting = [each for each in forms if said.offset + each[0].n_bytes == origin.n_bytes]
    if not fitting:
        needed = " or ".join(str(said.offset + form.n_bytes) for form, _ in forms)
        behind = f" behind the first {said.offset}" if said.offset else ""
        raise DataError(
            f"{path}: has {origin.n_bytes} bytes, but shape {said.shape} of {said.dtype}{behind}, as {beside} says, "
            f"takes {needed}; mend {beside}, {ADVICE}, or save the values again"
        )
    form, is_bfloat16 = fitting[0]
    rows, storage = PlainRows(origin, said.offset, form), "column order" if form.column_order else "contiguous"
    layer = Layer(path, Path(path).stem, said.shape, form.dtype, storage, rows, n_first_axis=form.n_first_axis)
    return SortedOut([as_bfloat16(layer) if is_bfloat16 else layer]).file(
        path, "raw values", _notes(path, beside, said, is_bfloat16=is_bfloat16)
    )


def _meant(said: Sidecar) -> list[tuple[np.dtype[Any], bool]]:
    """Return the dtypes that a name may stand for, and whether it is bfloat16, of which the bits are read."""
    match = _DTYPE.fullmatch(said.dtype.strip().lower())
    found = []
    for name in _MEANT.get(match[1], (match[1],)) if match else ():
        try:
            dtype = np.dtype("u2" if name == _BFLOAT16 else name if _OF_NUMPY.fullmatch(name) else "V")
        except TypeError:  # a length that no number has
            continue
        if dtype.kind not in "biuf":
            continue
        is_bits = name == _BFLOAT16 or (dtype.kind in "iu" and dtype.itemsize == 2 and bool(said.bfloat16))
        found.append((dtype.newbyteorder(_BYTE_ORDERS[said.byte_order]), is_bits))
    return found


def _notes(path: str, beside: str, said: Sidecar, *, is_bfloat16: bool) -> tuple[str, ...]:
    notes = []
    if is_bfloat16 and said.dtype.lower().rpartition(".")[2] not in ("bfloat16", "bf16"):
        notes.append(f"{path}: read as bfloat16, as {said.bfloat16} of {beside} says, though its dtype is {said.dtype}")
    if said.n_rows is not None:
        key, n_rows = said.n_rows
        notes.append(
            f"{path}: {beside} says {key} {n_rows} beside shape {said.shape}; all {said.shape[0]} rows are read"
        )
    return tuple(notes)
