"""Chunks of an HDF5 dataset, read and unpacked here rather than by the HDF5 library.

The library takes whatever a chunk unpacks to: of a chunk that is too short it gives memory that nobody wrote, and one
that is too long is unpacked to its end, however far that is. Here a chunk has its size or is damaged, memory is that
of one chunk, and several threads unpack at once, which the one lock of h5py does not let them.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import RawIOBase
from itertools import product
from math import prod
from typing import Any

import numpy as np

from cka_cli.arrays import Array, Indices
from cka_cli.files.contiguous import Form, read_rows
from cka_cli.files.source_file import Origin
from cka_cli.files.spill import IN_MEMORY_BYTES, unpacked

DEFLATE, SHUFFLE = 1, 2
# Pipelines that are undone here, as h5py's options `compression="gzip"` and `shuffle=True` make them.
PIPELINES = ((), (DEFLATE,), (SHUFFLE,), (SHUFFLE, DEFLATE))
_AT_ONCE = 1 << 20


@dataclass(frozen=True, eq=False)
class ChunkTable:
    """Where the chunks of a dataset lie.

    places : place of each chunk that was written in the grid of chunks, ascending. offsets, n_bytes : in the file.
    skipped : a bit for each filter that a chunk was not put through.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    places: Indices
    offsets: Indices
    n_bytes: Indices
    skipped: Indices

    @property
    def grid(self) -> tuple[int, ...]:
        """How many chunks there should be along each axis."""
        return tuple(-(-length // of_chunk) for length, of_chunk in zip(self.shape, self.chunk, strict=True))

    def check_written(self, start: int, stop: int) -> None:
        """Raise ValueError when rows start to stop reach into chunks that were never written."""
        grid = self.grid
        if len(self.places) == prod(grid):
            return
        per_band = prod(grid[1:])
        first, last = start // self.chunk[0], -(-stop // self.chunk[0])
        low, high = np.searchsorted(self.places, [first * per_band, last * per_band])
        if high - low < (last - first) * per_band:
            raise ValueError(
                f"{len(self.places)} of {prod(grid)} chunks were written, and not all of rows {start} to {stop}; "
                "was the run that wrote it ended early?"
            )

    def number_of(self, corner: Sequence[int]) -> int:
        """Return which of the written chunks stands at a corner of the grid."""
        return int(np.searchsorted(self.places, np.ravel_multi_index(tuple(corner), self.grid)))


def chunk_table(found: Sequence[Any], shape: tuple[int, ...], chunk: tuple[int, ...], origin: Origin) -> ChunkTable:
    """Return the table of the chunks that h5py's `chunk_iter` told of; raise ValueError for what cannot be one."""
    saved = np.array([each.chunk_offset for each in found], np.uint64).reshape(-1, len(shape))
    grid = tuple(-(-length // of_chunk) for length, of_chunk in zip(shape, chunk, strict=True))
    if prod(grid) >= 1 << 62:
        raise ValueError(f"it promises {prod(grid)} chunks")
    if not ((saved < np.array(shape, np.uint64)) & (saved % np.array(chunk, np.uint64) == 0)).all():
        raise ValueError("it has chunks outside of its shape")
    corners = saved.astype(np.int64)
    places = np.ravel_multi_index(tuple((corners // chunk).T), grid) if len(found) else np.empty(0, np.intp)
    of_chunks = [
        np.array([getattr(each, name) for each in found], np.uint64) for name in ("byte_offset", "size", "filter_mask")
    ]
    if (of_chunks[1] > origin.n_bytes).any() or (of_chunks[0] > origin.n_bytes - of_chunks[1]).any():
        raise ValueError("its chunks lie beyond the end of the file")
    order = np.argsort(places, kind="stable")
    if (np.diff(places[order]) == 0).any():
        raise ValueError("it has the same chunk twice")
    offsets, n_bytes, skipped = (column[order].astype(np.int64) for column in of_chunks)
    return ChunkTable(shape, chunk, places[order], offsets, n_bytes, skipped)


class ChunkRows:
    """Reads rows of a chunked dataset."""

    def __init__(self, origin: Origin, table: ChunkTable, dtype: np.dtype[Any], pipeline: tuple[int, ...]):
        self._origin, self._table, self._dtype, self._pipeline = origin, table, dtype, pipeline
        self._chunk_bytes = prod(table.chunk) * dtype.itemsize

    def __call__(self, start: int, stop: int, part: slice) -> Array:
        """Return rows, of their second axis a part. Raises ValueError for a chunk that is damaged or missing."""
        table, shape = self._table, self._table.shape
        table.check_written(start, stop)
        wanted = [slice(start, stop), *(slice(0, length) for length in shape[1:])]
        if len(shape) > 1:
            wanted[1] = slice(*part.indices(shape[1])[:2])
        out = np.empty([max(0, along_axis.stop - along_axis.start) for along_axis in wanted], self._dtype)
        if not out.size:
            return out
        with self._origin.opened() as stream:
            corners = [range(each.start // n, -(-each.stop // n)) for each, n in zip(wanted, table.chunk, strict=True)]
            for corner in product(*corners):
                here, there = overlap(wanted, corner, table.chunk)
                out[here] = self._part(stream, table.number_of(corner), there)
        return out

    def _part(self, stream: RawIOBase, number: int, wanted: tuple[slice, ...]) -> Array:
        """Return a part of one chunk."""
        table = self._table
        offset, n_bytes, skipped = int(table.offsets[number]), int(table.n_bytes[number]), int(table.skipped[number])
        used = [code for bit, code in enumerate(self._pipeline) if not skipped >> bit & 1]
        is_shuffled = SHUFFLE in used and self._dtype.itemsize > 1
        if DEFLATE not in used:
            if n_bytes != self._chunk_bytes:
                raise ValueError(f"a chunk has {n_bytes} bytes where it should have {self._chunk_bytes}")
            return self._part_on_disk(stream, offset, wanted, is_shuffled=is_shuffled)
        if self._chunk_bytes <= IN_MEMORY_BYTES:
            data = np.frombuffer(b"".join(self._inflated(stream, offset, n_bytes)), np.uint8)
            if not is_shuffled:
                return data.view(self._dtype).reshape(table.chunk)[wanted]
            planes = data.reshape(self._dtype.itemsize, *table.chunk)
            return self._joined([plane[wanted] for plane in planes])
        file = unpacked((self, number), self._chunk_bytes, lambda: self._inflated(stream, offset, n_bytes))
        with file.lock:
            return self._part_on_disk(file.stream, 0, wanted, is_shuffled=is_shuffled)

    def _part_on_disk(self, stream: RawIOBase, offset: int, wanted: tuple[slice, ...], *, is_shuffled: bool) -> Array:
        """Return a part of a chunk that lies plainly in a file, or with the first bytes of all values first."""
        rows, part = (*wanted, slice(None))[:2]
        chunk, n_values = self._table.chunk, prod(self._table.chunk)
        if is_shuffled:
            of_bytes = Form(chunk, np.dtype(np.uint8))
            planes = [
                read_rows(stream, offset + place * n_values, of_bytes, rows.start, rows.stop, part)
                for place in range(self._dtype.itemsize)
            ]
            found = self._joined(planes)
        else:
            found = read_rows(stream, offset, Form(chunk, self._dtype), rows.start, rows.stop, part)
        return found[(slice(None),) * min(2, found.ndim) + wanted[2:]]

    def _joined(self, planes: Sequence[Array]) -> Array:
        """Return values of which the first bytes, the second bytes, ... are given."""
        values = np.empty((*planes[0].shape, len(planes)), np.uint8)
        for place, plane in enumerate(planes):
            values[..., place] = plane
        return values.view(self._dtype)[..., 0]

    def _inflated(self, stream: RawIOBase, offset: int, n_bytes: int) -> Iterator[bytes]:
        """Give what a chunk unpacks to, a little at a time. Raises ValueError unless that is a chunk's size."""
        inflate, left = zlib.decompressobj(), self._chunk_bytes
        stream.seek(offset)
        while n_bytes and not inflate.eof:
            packed = stream.read(min(n_bytes, _AT_ONCE))
            if not packed:
                raise EOFError("the file ends too early")
            n_bytes -= len(packed)
            while packed and not inflate.eof:
                try:
                    data = inflate.decompress(packed, min(left, 4 * _AT_ONCE) or 1)
                except zlib.error as error:
                    raise ValueError(f"a chunk cannot be unpacked: {error}") from error
                left -= len(data)
                if left < 0:
                    raise ValueError(f"a chunk unpacks to more than its {self._chunk_bytes} bytes")
                yield data
                packed = inflate.unconsumed_tail
        if left or not inflate.eof:
            raise ValueError(f"a chunk unpacks to {self._chunk_bytes - left} of its {self._chunk_bytes} bytes")


def overlap(
    wanted: Sequence[slice], corner: Sequence[int], chunk: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where a chunk meets what is wanted: as places in the result, and in the chunk."""
    here, there = [], []
    for each, along_axis, length in zip(wanted, corner, chunk, strict=True):
        begin = along_axis * length
        first, last = max(each.start, begin), min(each.stop, begin + length)
        here.append(slice(first - each.start, last - each.start))
        there.append(slice(first - begin, last - begin))
    return tuple(here), tuple(there)
