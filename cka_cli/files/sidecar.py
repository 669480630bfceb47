"""The JSON file beside raw values that says their shape and dtype: which one it is, and what stands in it.

`x.bin.json`, `x.bin.meta`, `x.json` or `x.meta` beside `x.bin`; or `metadata.json` or `meta.json` of the folder, where
it names the file, or the file is the only raw one there. Nothing here needs numpy: it is asked before any work.
"""

import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cka_cli.errors import DataError, reason

ENDINGS = (".bin", ".dat", ".memmap", ".mmap", ".raw")
_OF_FOLDER = ("metadata.json", "meta.json")
_MOST_BYTES, _MOST_AXES = 1 << 22, 32
# Keys of public code, in small letters; the first that is there counts.
_SHAPE = ("shape", "dims", "dimensions", "array_shape", "size")
_ROWS = ("n", "num_examples", "n_examples", "num_samples", "n_samples", "num_rows", "n_rows", "rows", "num_tokens",
         "n_tokens", "num_vectors", "n_vectors", "count")  # fmt: skip
_COLUMNS = ("d", "dim", "dims", "num_features", "n_features", "hidden_size", "hidden_dim", "d_model", "embedding_dim",
            "emb_dim", "num_cols", "n_cols", "cols", "width")  # fmt: skip
_DTYPE = ("dtype", "data_type", "numpy_dtype", "np_dtype", "storage_dtype", "torch_dtype")
_COLUMN_ORDER, _OFFSET = ("fortran_order", "column_major"), ("offset", "offset_bytes", "byte_offset")
_BYTE_ORDER = ("byteorder", "byte_order", "endian", "endianness")
_FILE = ("file", "filename", "file_name", "path", "name", "data_file", "memmap")
# Under it stands which key says bfloat16; no key of a file has capitals.
_BFLOAT16 = "BFLOAT16"
_KNOWN = {_BFLOAT16, *_SHAPE, *_ROWS, *_COLUMNS, *_DTYPE, "order", *_COLUMN_ORDER, *_OFFSET, *_BYTE_ORDER}
_ORDERS = {"c": False, "row": False, "row-major": False, "row_major": False}
_ORDERS |= {"f": True, "fortran": True, "column": True, "column-major": True, "column_major": True}
_BYTE_ORDERS = {"little": "<", "<": "<", "big": ">", ">": ">"}
ADVICE = 'as {"shape": [1000, 512], "dtype": "float32"}'

Facts = dict[str, Any]


@dataclass(frozen=True)
class Sidecar:
    """What a sidecar says.

    dtype : as it is written there. byte_order : `<` or `>`, empty where it is not said.
    bfloat16 : which other key says that 16-bit values are bfloat16, as `torch_dtype`; empty where none does.
    n_rows : what it says apart from the shape of the number of rows, with its key; None where nothing.
    """

    shape: tuple[int, ...]
    dtype: str
    column_order: bool
    offset: int
    byte_order: str
    bfloat16: str
    n_rows: tuple[str, int] | None


def is_beside(path: str) -> bool:
    """Whether a file has a sidecar with a shape and a dtype."""
    return next(_found(path), None) is not None


def members_of(path: str) -> list[str]:
    """Return the files that say what raw values are, and last the file that holds them."""
    return [*dict.fromkeys(name for name, _ in _found(path)), path]


def sidecar_of(path: str) -> tuple[str, Sidecar]:
    """Return the name of the sidecar of a raw file, and what it says.

    Raises DataError when it makes no sense, or when two differ, OSError when it is gone meanwhile.
    """
    said: tuple[str, Sidecar] | None = None
    for name, facts in _found(path):
        try:
            new = _parsed(facts)
        except ValueError as error:
            raise DataError(f"{path}: {os.path.basename(name)} beside it says {error}; mend it, {ADVICE}") from error
        if said is not None and new != said[1]:
            names = [os.path.basename(each) for each in dict.fromkeys((said[0], name))]
            say = f"{' and '.join(names)} beside it {'say' if len(names) > 1 else 'says'}"
            raise DataError(f"{path}: {say} different things of it; keep one, {ADVICE}")
        said = said or (name, new)
    if said is None:
        raise FileNotFoundError("its sidecar is gone")
    return said


def why_none(path: str) -> str | None:
    """Return what to write beside a file whose name ends as that of raw values; None for other names."""
    stem, ending = os.path.splitext(path)
    if ending.lower() not in ENDINGS:
        return None
    for name in _own_names(path):
        if os.path.lexists(name):
            try:
                facts = _lowered(_document(name))
            except (OSError, ValueError, RecursionError) as error:
                return f"of raw values, write {os.path.basename(name)} {ADVICE} (it cannot be read: {reason(error)})"
            missing = "dtype" if _has_shape(facts) else "shape"
            return f"of raw values, write {os.path.basename(name)} {ADVICE} (it says no {missing})"
    return f"of raw values, give {os.path.basename(stem)}.json with shape and dtype, {ADVICE}"


def _own_names(path: str) -> list[str]:
    stem = os.path.splitext(path)[0]
    names = [f"{start}{ending}" for start in (path, stem) for ending in (".json", ".meta")]
    return [name for name in dict.fromkeys(names) if name != path]


def _found(path: str) -> Iterator[tuple[str, Facts]]:
    """Give what is said of a file with a shape and a dtype, with the sidecar; of the folder's only without its own."""
    folder, is_own = os.path.dirname(path), False
    for name in _own_names(path):
        for facts in _said_in(name, path) or [_lowered(_document_or_none(name))]:
            if _is_description(facts):
                yield name, facts
                is_own = True
    for base in () if is_own else _OF_FOLDER:
        name = os.path.join(folder, base)
        if name == path:
            continue
        named = _said_in(name, path)
        if not named:
            whole = _lowered(_document_or_none(name))
            named = [whole] if not any(key in whole for key in _FILE) and _is_only_one(path) else []
        yield from ((name, facts) for facts in named if _is_description(facts))


def _is_only_one(path: str) -> bool:
    """Whether a file, by its name raw, is the only such one of its folder."""
    try:
        names = os.listdir(os.path.dirname(path) or ".")
    except OSError:  # a folder that may be searched but not listed
        return False
    raw = [name for name in names if name.lower().endswith(ENDINGS)]
    return raw == [os.path.basename(path)]


def _said_in(name: str, path: str) -> list[Facts]:
    """Return what a sidecar says where it names a file, as a key, a value or one of a list; with what is said above."""
    base = os.path.basename(path)
    names = {base, os.path.splitext(base)[0]}
    found, todo = [], [(_document_or_none(name), Facts(), False)]
    while todo:
        value, above, is_named = todo.pop()
        if isinstance(value, list):
            todo += [(each, above, False) for each in value if isinstance(each, dict)]
        if not isinstance(value, dict):
            continue
        facts = _lowered(value)
        said = {**above, **{key: each for key, each in facts.items() if key in _KNOWN}}
        listed = [each for of_key in facts.values() if isinstance(of_key, list) for each in of_key]
        if (
            is_named
            or any(os.path.basename(each) == base for each in listed if isinstance(each, str))
            or (_has_shape(facts) and any(os.path.basename(str(facts.get(key, ""))) in names for key in _FILE))
        ):
            found.append(said)
        todo += [(each, said, key in names) for key, each in value.items() if isinstance(each, dict | list)]
    return found


def _document_or_none(name: str) -> Any:
    try:
        return _document(name)
    except (OSError, ValueError, RecursionError):
        return None


def _document(name: str) -> Any:
    """Return what a JSON file holds. Raises OSError for what is no file, ValueError for what is no JSON or doubled."""
    status = os.stat(name)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is no file")
    if status.st_size > _MOST_BYTES:
        raise ValueError(f"it is too large for a description, {status.st_size} bytes")
    with open(name, "rb") as stream:
        return json.loads(stream.read(_MOST_BYTES), object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> Facts:
    facts = dict(pairs)
    if len(facts) < len(pairs):
        raise ValueError("a key stands in it twice")
    return facts


def _lowered(document: Any) -> Facts:
    """Return an object with its keys in small letters, and which of them says bfloat16; of what is none, nothing."""
    if not isinstance(document, dict):
        return {}
    facts = {key.lower(): value for key, value in document.items() if value is not None}
    for key, value in facts.items():
        if isinstance(value, str) and value.lower().rpartition(".")[2] in ("bfloat16", "bf16"):
            return {**facts, _BFLOAT16: key}
    return facts


def _has_shape(facts: Facts) -> bool:
    has_list = any(isinstance(facts.get(key), list | str) for key in _SHAPE)
    return has_list or (any(key in facts for key in _ROWS) and any(key in facts for key in _COLUMNS))


def _is_description(facts: Facts) -> bool:
    return _has_shape(facts) and any(key in facts for key in _DTYPE)


def _parsed(facts: Facts) -> Sidecar:
    """Return what a description says. Raises ValueError that says what in it makes no sense."""
    dtype = next(facts[key] for key in _DTYPE if key in facts)
    if not isinstance(dtype, str):
        raise ValueError(f"dtype {_shown(dtype)}")
    shape, n_rows = _shape(facts)
    offset = next((facts[key] for key in _OFFSET if key in facts), 0)
    if not _is_length(offset):
        raise ValueError(f"offset {_shown(offset)}, no number of bytes")
    byte_order = next((facts[key] for key in _BYTE_ORDER if key in facts), "")
    if byte_order and str(byte_order).lower() not in _BYTE_ORDERS:
        raise ValueError(f"byte order {_shown(byte_order)}, not little or big")
    return Sidecar(
        shape, dtype, _is_in_column_order(facts), offset, _BYTE_ORDERS.get(str(byte_order).lower(), ""),
        facts.get(_BFLOAT16, ""), n_rows,
    )  # fmt: skip


def _is_in_column_order(facts: Facts) -> bool:
    said = {key: facts[key] for key in _COLUMN_ORDER if key in facts}
    if isinstance(facts.get("order"), str):  # what else goes by this name is a list of layers
        said["order"] = _ORDERS.get(facts["order"].lower())
    if any(value not in (True, False) for value in said.values()) or len(set(said.values())) > 1:
        raise ValueError(" and ".join(f"{key} {_shown(facts[key])}" for key in said))
    return bool(next(iter(said.values()), False))


def _shape(facts: Facts) -> tuple[tuple[int, ...], tuple[str, int] | None]:
    """Return the shape, and the number of rows with its key where it is said apart from the shape and differs."""
    rows = {key: facts[key] for key in _ROWS if key in facts}
    whole = next((facts[key] for key in _SHAPE if isinstance(facts.get(key), list | str)), None)
    if isinstance(whole, str):
        if not re.fullmatch(r"[\[(]?\s*[0-9]{1,20}(\s*[,x×]\s*[0-9]{1,20}){0,40}\s*,?\s*[\])]?", whole):
            raise ValueError(f"shape {_shown(whole)}")
        whole = [int(number) for number in re.findall("[0-9]+", whole)]
    if whole is None:
        columns = {key: facts[key] for key in _COLUMNS if key in facts}
        for axis in (rows, columns):
            if any(value != next(iter(axis.values())) for value in axis.values()):
                raise ValueError(f"{' and '.join(f'{key} {_shown(value)}' for key, value in axis.items())}")
        whole = [next(iter(rows.values())), next(iter(columns.values()))]
    if len(whole) > _MOST_AXES or not all(map(_is_length, whole)):
        raise ValueError(f"shape {_shown(whole)}")
    other = next(((key, rows[key]) for key in rows if "token" not in key and _is_length(rows[key])), None)
    return tuple(whole), None if other is None or not whole or other[1] == whole[0] else other


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= sys.maxsize


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
