"""What the metadata of an array of Zarr says, of version 2 or 3, checked: it is JSON, and anyone may have written it.

Specifications: https://zarr-specs.readthedocs.io, versions 2 and 3.1.
"""

import base64
import json
import re
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from cka_cli.errors import one_line
from cka_cli.files.layer import refusal
from cka_cli.files.npy_header import NoLayerError
from cka_cli.files.zarr_codecs import Config, Pipeline, pipeline

_MOST_JSON_BYTES = 1 << 26
_MOST_AXES = 32
_V3_KEYS = {
    "zarr_format", "node_type", "shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs",
    "attributes", "dimension_names", "storage_transformers", "consolidated_metadata",
}  # fmt: skip
_V3_TYPES = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)")
_BFLOAT16 = "bfloat16"


@dataclass(frozen=True, eq=False)
class Described:
    """An array by its metadata.

    dtype : of the values saved, 16 bits each of bfloat16. chunk : the least that is unpacked alone. shard : what lies
    under one key, in chunks; the chunk itself without shards. fill : what a missing chunk holds, None when nobody says.
    pipeline : of a chunk. index : of the places of a shard's chunks, None without shards. is_index_first : where it is.
    prefix, separator : of the keys of chunks.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_bfloat16: bool
    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    fill: Any
    pipeline: Pipeline
    prefix: str
    separator: str
    attributes: dict[str, Any]
    index: Pipeline | None = None
    is_index_first: bool = False

    @property
    def grid(self) -> tuple[int, ...]:
        """How many chunks, or shards, there should be along each axis."""
        return tuple(-(-length // each) for length, each in zip(self.shape, self.shard, strict=True))

    @property
    def per_shard(self) -> tuple[int, ...]:
        """How many chunks a shard holds along each axis."""
        return tuple(outer // inner for outer, inner in zip(self.shard, self.chunk, strict=True))

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk once unpacked."""
        return prod(self.chunk) * self.dtype.itemsize

    @property
    def index_bytes(self) -> int:
        """Bytes that the places of a shard's chunks take."""
        return 0 if self.index is None else self.index.sizes(2 * prod(self.per_shard))[-1] or 0

    def place_of(self, key: str) -> tuple[int, ...] | None:
        """Return where in the grid the chunk with this key stands, None for a key of no chunk."""
        if not self.shape:
            return None
        if not key.startswith(self.prefix):
            return None
        parts = key[len(self.prefix) :].split(self.separator)
        if len(parts) != len(self.shape) or not all(re.fullmatch("0|[1-9][0-9]{0,18}", part) for part in parts):
            return None
        place = tuple(map(int, parts))
        return place if all(each < n for each, n in zip(place, self.grid, strict=True)) else None


def parsed(data: bytes) -> dict[str, Any]:
    """Return a document of metadata. Raises ValueError for what is none."""
    if len(data) > _MOST_JSON_BYTES:
        raise ValueError(f"{len(data)} bytes of metadata")
    try:
        document = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is no metadata: too deep") from error
    if not isinstance(document, dict):
        raise ValueError("it is no metadata: no object of JSON")
    return document


def described(document: dict[str, Any], attributes: dict[str, Any]) -> Described:
    """Return an array by its document. attributes : of version 2, which has them apart.

    Raises NoLayerError for what is whole and cannot be read here, ValueError for what is damaged.
    """
    try:
        found = _of_v3(document) if document.get("zarr_format") == 3 else _of_v2(document, attributes)
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError, struct.error) as error:
        what = f"no {error}" if isinstance(error, KeyError) else one_line(str(error))
        raise ValueError(f"its metadata is damaged: {what}") from error
    if any(outer % inner for outer, inner in zip(found.shard, found.chunk, strict=True)):
        raise ValueError(f"its chunks of {found.chunk} do not fill its shards of {found.shard}")
    if prod(found.grid) >= 1 << 62 or prod(found.shard) * found.dtype.itemsize >= 1 << 62:
        raise ValueError(f"it promises {prod(found.grid)} chunks of {found.shard}")
    return found


def _of_v2(document: dict[str, Any], attributes: dict[str, Any]) -> Described:
    if document["zarr_format"] != 2:
        raise NoLayerError(f"of version {str(document['zarr_format'])[:20]} of Zarr, which is not read")
    shape, chunk = _lengths(document["shape"], 0), _lengths(document["chunks"], 1)
    is_bfloat16 = document["dtype"] == _BFLOAT16
    dtype = _checked(np.dtype("<u2") if is_bfloat16 else _v2_dtype(document["dtype"]))
    filters = [*(document.get("filters") or ())]
    packers = [] if document.get("compressor") is None else [document["compressor"]]
    while filters and filters[-1]["id"] in ("shuffle", "crc32", "crc32c", "adler32", "fletcher32"):
        packers.insert(0, filters.pop())
    order = tuple(range(len(shape)))[::-1] if document.get("order", "C") == "F" and len(shape) > 1 else None
    return Described(
        shape, dtype, is_bfloat16, chunk, chunk, _fill(document.get("fill_value"), dtype, is_bfloat16=is_bfloat16),
        pipeline(dtype, order, filters, packers), "", _separator(document.get("dimension_separator", ".")),
        _with_fill(attributes, document.get("fill_value")),
    )  # fmt: skip


def _with_fill(attributes: dict[str, Any], fill: Any) -> dict[str, Any]:
    """Return attributes with what xarray keeps elsewhere: in version 2 `_FillValue` is the fill value of the array.

    Only xarray names the axes there. 0 is what zarr itself fills with, and says nothing.
    """
    return {"_FillValue": fill, **attributes} if "_ARRAY_DIMENSIONS" in attributes and fill else attributes


def _of_v3(document: dict[str, Any]) -> Described:
    more = [key for key, value in document.items() if key not in _V3_KEYS
            and not (isinstance(value, dict) and value.get("must_understand") is False)]  # fmt: skip
    if more or document.get("storage_transformers"):
        raise NoLayerError(
            f"its metadata asks for {(more or ['storage_transformers'])[0][:40]!r}, which is not known here"
        )
    grid, grid_of = _named(document["chunk_grid"])
    if grid != "regular":
        raise NoLayerError(f"its chunks lie in a grid that is {grid[:40]!r}; save it in a regular one")
    shape, shard = _lengths(document["shape"], 0), _lengths(grid_of["chunk_shape"], 1)
    keys, keys_of = _named(document["chunk_key_encoding"])
    if keys not in ("default", "v2"):
        raise NoLayerError(f"its chunks have keys that are {keys[:40]!r}, which are not known here")
    separator = _separator(keys_of.get("separator", "/" if keys == "default" else "."))
    name, type_of = _named(document["data_type"])
    is_bfloat16 = name == _BFLOAT16
    dtype = _checked(np.dtype("<u2") if is_bfloat16 else _v3_dtype(name, type_of))
    codecs, chunk, index, is_index_first = document["codecs"], shard, None, False
    names = [_named(codec)[0] for codec in codecs]
    if "sharding_indexed" in names:
        if len(codecs) > 1:
            raise NoLayerError("its shards are put through other codecs as a whole; save it without these")
        sharding = _named(codecs[0])[1]
        codecs, chunk = sharding["codecs"], _lengths(sharding["chunk_shape"], 1)
        index = _v3_pipeline(sharding["index_codecs"], np.dtype("<u8"), len(shape) + 1)
        is_index_first = sharding.get("index_location", "end") == "start"
        if not index.has_fixed_size or index.filters:
            raise NoLayerError("the index of its shards is compressed; save it without that")
    undone = _v3_pipeline(codecs, dtype, len(shape))
    attributes = document.get("attributes", {})
    return Described(
        shape, undone.dtype, is_bfloat16, chunk, shard, _fill(document["fill_value"], dtype, is_bfloat16=is_bfloat16),
        undone, "c" + separator if keys == "default" else "", separator,
        attributes if isinstance(attributes, dict) else {}, index, is_index_first,
    )  # fmt: skip


def _v3_pipeline(codecs: Sequence[Any], dtype: np.dtype[Any], n_axes: int) -> Pipeline:
    order: tuple[int, ...] | None = None
    filters: list[Config] = []
    packers: list[Config] = []
    for place, (name, settings) in enumerate(map(_named, codecs)):
        if name == "bytes":
            break
        if name == "transpose" and place == 0:
            order = tuple(settings["order"])
            if sorted(order) != list(range(n_axes)):
                raise ValueError(f"it puts its axes in the order {order}")
        else:
            filters.append({**settings, "id": name.removeprefix("numcodecs.")})
    else:
        raise NoLayerError(f"saved with the codec {(name if codecs else '')[:40]!r} in the place of 'bytes', "
                           "which is not undone here; save it with zstd, blosc or gzip")  # fmt: skip
    endian = settings.get("endian", "little")
    if endian not in ("little", "big") or (filters and endian == "big"):
        raise ValueError(f"its bytes are in the order {str(endian)[:20]!r}")
    for name, settings in map(_named, codecs[place + 1 :]):
        at_end = {"location": "end"} if name == "crc32c" else {}
        packers.append({**settings, **at_end, "id": name.removeprefix("numcodecs.")})
    return pipeline(dtype.newbyteorder("<" if endian == "little" else ">"), order, filters, packers)


def _named(value: Any) -> tuple[str, dict[str, Any]]:
    """Return name and settings of what may also be a name alone."""
    if isinstance(value, str):
        return value, {}
    name, settings = value["name"], value.get("configuration") or {}
    if not isinstance(name, str) or not isinstance(settings, dict):
        raise ValueError("its metadata is damaged: a name is no text")
    return name, settings


def _lengths(value: Any, least: int) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > _MOST_AXES or not all(type(each) is int for each in value):
        raise ValueError(f"its metadata promises a shape of {str(value)[:60]}")
    if not all(least <= each <= sys.maxsize for each in value):
        raise ValueError(f"its metadata promises {'chunks' if least else 'a shape'} of {str(value)[:60]}")
    return tuple(value)


def _separator(value: Any) -> str:
    if value not in (".", "/"):
        raise ValueError(f"the keys of its chunks are parted by {str(value)[:20]!r}")
    return str(value)


def _v2_dtype(value: Any) -> np.dtype[Any]:
    if isinstance(value, list):
        fields = [str(field[0])[:20] for field in value if isinstance(field, list) and field]
        raise NoLayerError(f"a table (fields {', '.join(fields[:3])}); save each of its fields as an array")
    if not isinstance(value, str) or not re.fullmatch(r"[<>|=]?[a-zA-Z]\d{0,9}(\[\d*\w+\])?", value):
        raise NoLayerError(f"values of the type {str(value)[:40]!r}; save them as float32")
    return np.dtype(value)


def _v3_dtype(name: str, settings: dict[str, Any]) -> np.dtype[Any]:
    if _V3_TYPES.fullmatch(name):
        return np.dtype(name)
    letter, unit = {"fixed_length_utf32": ("U", 4), "null_terminated_bytes": ("S", 1)}.get(name, ("", 1))
    if letter and type(settings["length_bytes"]) is int and 0 < settings["length_bytes"] < 1 << 20:
        return np.dtype(f"<{letter}{settings['length_bytes'] // unit}")
    raise NoLayerError(f"values of the type {name[:40]!r}; save numbers as float32, text as numpy's fixed-length 'U'")


def _checked(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Raise NoLayerError for what can be read neither as numbers nor as text."""
    why = refusal(dtype)
    if why is not None and dtype.kind not in "US":
        raise NoLayerError(why)
    if not dtype.itemsize:
        raise ValueError(f"its metadata promises values of no bytes ({dtype})")
    return dtype


def _fill(value: Any, dtype: np.dtype[Any], *, is_bfloat16: bool) -> Any:
    """Return what a missing chunk is filled with, None where the metadata does not say."""
    if value is None:
        return None
    if dtype.kind in "US":
        return np.array(value if dtype.kind == "U" else base64.b64decode(value), dtype)[()]
    if is_bfloat16:
        if isinstance(value, str) and value.startswith("0x"):
            return np.uint16(int(value, 16))
        return np.array(value, np.float32).astype(np.float32).view(np.uint32)[()] >> np.uint32(
            16
        )  # numpy has no such type
    if isinstance(value, str) and value.startswith("0x") and dtype.kind == "f":
        return np.array(int(value, 16), f"u{dtype.itemsize}").view(f"f{dtype.itemsize}")[()]
    number = float(value) if isinstance(value, str) else value
    if dtype.kind == "f":
        return np.array(number, dtype)[()]
    if not isinstance(number, bool | int | float) or number != int(number):
        raise ValueError(f"it is filled with {str(value)[:40]}, which is no {dtype}")
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= number <= np.iinfo(dtype).max:
        raise ValueError(f"it is filled with {str(value)[:40]}, which is no {dtype}")
    return np.array(int(number), dtype)[()]
