"""Zarr, version 2 and 3, as a folder or a zip archive: arrays of nested groups, in natural order, chunk by chunk.

What is there is listed once; a chunk that is not is the fill value, as the standard has it, and a note counts these.
No link is followed, and nothing but the codecs of `zarr_codecs` touches the bytes. Metadata that is consolidated says
again what stands beside each array, and is not asked.
"""

import base64
import os
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from cka_cli.arrays import Array
from cka_cli.errors import DataError, counted, reason
from cka_cli.files.bfloat16 import DTYPE, WidenedRows, widened
from cka_cli.files.contiguous import Form, read_rows
from cka_cli.files.hdf5_chunks import overlap
from cka_cli.files.layer import ActivationFile, Layer
from cka_cli.files.listing import natural_order, shown
from cka_cli.files.netcdf import FILL, Meaning, meaning_of
from cka_cli.files.npy_header import NoLayerError
from cka_cli.files.registry import ZARR_MARKS
from cka_cli.files.sorting import SortedOut
from cka_cli.files.source_file import ChangedError
from cka_cli.files.spill import IN_MEMORY_BYTES, unpacked
from cka_cli.files.zarr_metadata import Described, described, parsed
from cka_cli.files.zarr_store import Piece, Store, store_of_archive, store_of_folder

# A chunk that can only be unpacked in memory and as a whole is not larger.
_MOST_CHUNK_BYTES = 1 << 27
# What no codec adds to bytes that it cannot make fewer.
_SLACK_BYTES = 1 << 16
# Of an array of which less than one chunk in so many was written, nothing is read.
_LEAST_WRITTEN = 1000
# In the index of a shard, the place and length of a chunk that is not there.
_NOWHERE = (1 << 64) - 1
Corner = tuple[int, ...]


def open_zarr(path: str) -> ActivationFile:
    """Return the arrays of a folder of Zarr; only metadata, and the indices of shards, are read."""
    try:
        store = store_of_folder(path)
    except OSError as error:
        raise DataError(f"{path}: is not a readable Zarr ({reason(error)}); copy or save it again") from error
    return _opened(path, store, "Zarr")


def open_zarr_archive(path: str) -> ActivationFile:
    """Return the arrays of a zip archive of Zarr; only metadata, and the indices of shards, are read."""
    try:
        store = store_of_archive(path)
    except (OSError, ValueError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: is not a readable zip of Zarr ({reason(error)}); it may be cut short: copy or save it again"
        ) from error
    return _opened(path, store, "zip of Zarr")


def _opened(path: str, store: Store, name_of_format: str) -> ActivationFile:
    sorted_out, missing = SortedOut(), list[str]()
    for node, below in sorted(_nodes(store).items(), key=lambda each: natural_order(each[0])):
        name = node or Path(path).stem.removesuffix(".zarr")
        try:
            rows = _rows_at(path, node, below, store)
            if rows is None:
                continue
            layer = _layer(path, name, rows)
            n_missing, n_chunks = rows.count_missing()
        except NoLayerError as error:
            sorted_out.refused[name] = str(error)
        except (OSError, ValueError, EOFError) as error:
            sorted_out.unreadable[name] = f"cannot be read ({reason(error)}); copy or save it again"
        else:
            sorted_out.add(layer, None)
            if n_missing:
                missing.append(
                    f"{layer.label}: {n_missing} of {n_chunks} chunks are not there and are read as its fill value, "
                    f"{rows.fill_text}"
                )
    notes: tuple[str, ...] = ()
    if missing:
        more = f" (and so in {counted(len(missing) - 1, 'more array')})" if len(missing) > 1 else ""
        notes += (f"{missing[0]}{more}; was the run that wrote them ended early?",)
    if store.links:
        notes += (f"{path}: links are not followed, so not {shown(store.links)}; copy what they lead to",)
    return sorted_out.file(path, name_of_format, notes)


def _nodes(store: Store) -> dict[str, list[str]]:
    """Return by the path of every group and array the keys below it that are of no other, without that path."""
    nodes: dict[str, list[str]] = {
        folder: [] for folder, _, name in (key.rpartition("/") for key in store.pieces) if name in ZARR_MARKS
    }
    nearest: dict[str, str | None] = {node: node for node in nodes}
    for key in (*store.pieces, *store.links):
        folder, passed = key.rpartition("/")[0], []
        while folder and folder not in nearest:
            passed.append(folder)
            folder = folder.rpartition("/")[0]
        node = nearest.get(folder)
        nearest.update(dict.fromkeys(passed, node))
        if node is not None:
            nodes[node].append(key[len(node) + 1 :] if node else key)
    return nodes


def _rows_at(path: str, node: str, below: Sequence[str], store: Store) -> "_ChunkRows | None":
    """Return what reads the array at a node, None for a group. Raises OSError, ValueError or NoLayerError."""
    prefix = f"{node}/" if node else ""
    own = {key: store.pieces[prefix + key] for key in below if prefix + key in store.pieces}
    metadata = own.get("zarr.json") or own.get(".zarray")
    if metadata is None:
        return None
    document = parsed(metadata.read())
    if "zarr.json" in own and document.get("node_type") == "group":
        return None
    if links := [key for key in below if prefix + key in store.links]:
        raise ValueError(f"{shown(links)} is a link or no plain file, which is never followed")
    apart = [own[".zattrs"]] if "zarr.json" not in own and ".zattrs" in own else []
    attributes = parsed(apart[0].read()) if apart else {}
    array = described(document, attributes)
    pieces = {place: piece for key, piece in own.items() if (place := array.place_of(key)) is not None}
    return _ChunkRows(array, pieces, (metadata, *apart), os.path.join(path, node) if os.path.isdir(path) else "")


def _layer(path: str, name: str, rows: "_ChunkRows") -> Layer:
    """Return an array as a layer. Raises NoLayerError when it can be none."""
    array = rows.array
    meaning = _meaning(array.attributes, DTYPE if array.is_bfloat16 else array.dtype)
    dtype = meaning.dtype if meaning is not None else DTYPE if array.is_bfloat16 else array.dtype
    storage = f"chunks {'x'.join(map(str, array.chunk))}"
    if array.index is not None:
        storage += f" in shards {'x'.join(map(str, array.shard))}"
    storage = ", ".join(filter(None, ("bfloat16" * array.is_bfloat16, storage, array.pipeline.text)))
    n_first, n_second, *_ = (
        min(length, max(1, of_all)) for length, of_all in zip((*array.chunk, 1, 1), (*array.shape, 1, 1), strict=True)
    )
    read_rows_of = WidenedRows(rows) if array.is_bfloat16 else rows
    also = "" if meaning is None else meaning.storage_text
    return Layer(path, name, array.shape, dtype, storage + also, read_rows_of, n_second, n_first, meaning)


def _meaning(attributes: dict[str, Any], dtype: np.dtype[Any]) -> Meaning | None:
    """Return what numbers mean by the attributes of an array. Raises NoLayerError when nobody can tell."""
    if dtype.kind not in "iuf":
        return None
    fill = attributes.get(FILL)
    if isinstance(fill, str) and dtype.kind == "f" and len(fill) == 12 and fill.endswith("="):
        # In version 3 xarray writes a number as the bytes of a double, in base 64.
        attributes = {**attributes, FILL: struct.unpack("<d", base64.b64decode(fill))[0]}
    try:
        meaning = meaning_of(attributes, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise NoLayerError("its attributes say of no numbers what they mean; mend them, or take them away") from error
    if isinstance(meaning, str):
        raise NoLayerError(meaning)
    return meaning


@dataclass(frozen=True, eq=False)
class _ChunkRows:
    """Reads rows of an array.

    pieces : by its place in the grid, every chunk, or shard, that is there. folder : of the array; empty in an archive.
    """

    array: Described
    pieces: dict[Corner, Piece]
    metadata: tuple[Piece, ...]
    folder: str

    def __call__(self, start: int, stop: int, part: slice) -> Array:
        """Return rows, of their second axis a part. Raises ValueError for a chunk that is damaged."""
        for piece in self.metadata:
            piece.origin.check()
        array, shape = self.array, self.array.shape
        wanted = [slice(start, stop), *(slice(0, length) for length in shape[1:])]
        if len(shape) > 1:
            wanted[1] = slice(*part.indices(shape[1])[:2])
        out = np.empty([max(0, along_axis.stop - along_axis.start) for along_axis in wanted], array.dtype)
        if not out.size:
            return out
        indices: dict[Corner, Array] = {}
        corners = [range(each.start // n, -(-each.stop // n)) for each, n in zip(wanted, array.chunk, strict=True)]
        for corner in product(*corners):
            here, there = overlap(wanted, corner, array.chunk)
            out[here] = self._part(corner, there, indices)
        return out

    @property
    def fill_text(self) -> str:
        """The fill value, for a person."""
        fill = self.array.fill
        return str(widened(np.array([fill], np.uint16))[0] if self.array.is_bfloat16 and fill is not None else fill)

    def count_missing(self) -> tuple[int, int]:
        """Return how many chunks are not there, and how many there should be.

        Raises NoLayerError when next to none is there.
        """
        array = self.array
        grid = tuple(-(-length // each) for length, each in zip(array.shape, array.chunk, strict=True))
        n_chunks, n_there = prod(grid), len(self.pieces)
        if array.index is not None:
            n_there = 0
            for corner, piece in self.pieces.items():
                firsts = (place * n for place, n in zip(corner, array.per_shard, strict=True))
                inside = tuple(slice(0, length - first) for length, first in zip(grid, firsts, strict=True))
                n_there += int((_index(array, piece)[inside] != _NOWHERE).any(axis=-1).sum())
        if array.shape and n_there < n_chunks / _LEAST_WRITTEN:
            raise NoLayerError(f"{n_there} of {n_chunks} chunks were written; was the run that wrote it ended early?")
        return (n_chunks - n_there if array.shape else 0), n_chunks

    def _part(self, corner: Corner, wanted: tuple[slice, ...], indices: dict[Corner, Array]) -> Any:
        """Return a part of one chunk; what it is filled with where it is not there."""
        array = self.array
        outer = tuple(place // n for place, n in zip(corner, array.per_shard, strict=True))
        piece = self.pieces.get(outer)
        if piece is None:
            key = array.prefix + array.separator.join(map(str, outer))
            if self.folder and os.path.lexists(os.path.join(self.folder, key)):
                raise ChangedError
            return self._fill()
        if array.index is None:
            return self._part_of(piece, 0, piece.n_bytes, wanted, corner)
        if outer not in indices:
            indices[outer] = _index(array, piece)
        inner = tuple(place % n for place, n in zip(corner, array.per_shard, strict=True))
        offset, n_bytes = map(int, indices[outer][inner])
        if offset == n_bytes == _NOWHERE:
            return self._fill()
        if offset + n_bytes > piece.n_bytes:
            raise ValueError(f"a chunk lies beyond the {piece.n_bytes} bytes of its shard")
        return self._part_of(piece, offset, n_bytes, wanted, corner)

    def _fill(self) -> Any:
        if self.array.fill is None:
            raise ValueError("a chunk is not there, and the metadata does not say what it is filled with")
        return self.array.fill

    def _part_of(self, piece: Piece, offset: int, n_bytes: int, wanted: tuple[slice, ...], corner: Corner) -> Array:
        chunk, chunk_bytes, pipeline = self.array.chunk, self.array.chunk_bytes, self.array.pipeline
        if pipeline.is_plain and n_bytes != chunk_bytes:
            raise ValueError(f"a chunk has {n_bytes} bytes where it should have {chunk_bytes}")
        if pipeline.is_plain and (
            piece.crc is None or (piece.deflated_bytes is None and chunk_bytes > IN_MEMORY_BYTES)
        ):
            with piece.origin.opened() as stream:
                return self._part_on_disk(stream, piece.offset + offset, wanted)
        if chunk_bytes > _MOST_CHUNK_BYTES:
            raise ValueError(f"its chunks of {chunk_bytes >> 20} MiB can only be unpacked whole; save smaller ones")
        if n_bytes > 2 * chunk_bytes + _SLACK_BYTES:
            raise ValueError(f"a chunk has {n_bytes} bytes, which are to be unpacked to {chunk_bytes}")

        def decoded() -> Array:
            return pipeline.decoded(piece.read(offset, n_bytes), chunk)

        if chunk_bytes <= IN_MEMORY_BYTES:
            return decoded()[wanted]
        file = unpacked((self, corner), chunk_bytes, lambda: [decoded().tobytes()])
        with file.lock:
            return self._part_on_disk(file.stream, 0, wanted)

    def _part_on_disk(self, stream: Any, offset: int, wanted: tuple[slice, ...]) -> Array:
        rows, part = (*wanted, slice(None))[:2]
        found = read_rows(stream, offset, Form(self.array.chunk, self.array.dtype), rows.start, rows.stop, part)
        return found[(slice(None),) * min(2, found.ndim) + wanted[2:]]


def _index(array: Described, piece: Piece) -> Array:
    """Return place and length of every chunk of a shard. Raises ValueError when it is damaged."""
    assert array.index is not None
    n_bytes = array.index_bytes
    if n_bytes > piece.n_bytes:
        raise ValueError(f"a shard has {piece.n_bytes} bytes, and its index alone takes {n_bytes}")
    data = piece.read(0 if array.is_index_first else piece.n_bytes - n_bytes, n_bytes)
    return array.index.decoded(data, (*array.per_shard, 2))
