"""Arrays of several files joined by rows to one layer, whose rows are read from the files that hold them.

Few files are open at once, whatever their number: a reader that keeps its file open is copied while it is at work, and
the copy is let go when others take its place.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np

from cka_cli.arrays import Array
from cka_cli.errors import reason
from cka_cli.files.contiguous import PlainRows
from cka_cli.files.layer import Layer, Reader, ReadRows
from cka_cli.files.source_file import ChangedError

_MOST_OPEN = 8


class JoinedRows(Reader):
    """Reads rows from the shards that hold them.

    shards : name and reader of each, at rest. ends : the row behind the last of each. row : shape of one.
    dtype : of the values; None where only reading tells.
    """

    _here = ("_at_work",)

    def __init__(
        self, shards: Sequence[tuple[str, ReadRows]], ends: list[int], row: tuple[int, ...], dtype: np.dtype[Any] | None
    ):
        super().__init__()
        self._shards, self._ends, self._row, self._dtype = list(shards), ends, row, dtype
        self._at_work: OrderedDict[int, ReadRows] | None = None

    def __call__(self, start: int, stop: int, part: slice) -> Array:
        """Return rows, of their second axis a part. Raises OSError that names the file that cannot be read."""
        place = bisect_right(self._ends, start) if start < stop else 0
        if start >= stop or stop <= self._ends[place]:
            return self._read(place, start, stop, part)
        row = (len(range(*part.indices(self._row[0]))), *self._row[1:]) if self._row else ()
        found = None if self._dtype is None else np.empty((stop - start, *row), self._dtype)
        pieces, first = [], start
        while first < stop:
            last = min(stop, self._ends[place])
            if last > first:
                pieces.append(
                    self._read(place, first, last, part, None if found is None else found[first - start : last - start])
                )
            first, place = last, place + 1
        return np.concatenate(pieces) if found is None else found

    def _read(self, place: int, start: int, stop: int, part: slice, out: Array | None = None) -> Array:
        begin = self._ends[place - 1] if place else 0
        (name, _), rows = self._shards[place], (start - begin, stop - begin)
        try:
            reader = self._reader(place)
            found = reader(*rows, part, out) if isinstance(reader, PlainRows) else reader(*rows, part)
        except ChangedError as error:
            raise ChangedError(name) from error
        except (OSError, ValueError, EOFError, RuntimeError) as error:
            raise OSError(f"{name}: {reason(error)}") from error
        if out is not None:
            if not np.may_share_memory(found, out):
                out[...] = found
            return out
        return found if self._dtype is None else found.astype(self._dtype, copy=False)

    def _reader(self, place: int) -> ReadRows:
        at_rest = self._shards[place][1]
        if isinstance(at_rest, PlainRows):  # opens its file for each read
            return at_rest
        with self._lock:
            at_work = self._at_work = OrderedDict() if self._at_work is None else self._at_work
            if place not in at_work:
                at_work[place] = deepcopy(at_rest)
            at_work.move_to_end(place)
            if len(at_work) > _MOST_OPEN:
                at_work.popitem(last=False)
            return at_work[place]


def at_rest(layer: Layer) -> Layer:
    """Return a layer that has no file open until it is read."""
    return layer if isinstance(layer.read_rows, PlainRows) else replace(layer, read_rows=deepcopy(layer.read_rows))


def why_not_joined(arrays: Sequence[tuple[str, Layer]]) -> str | None:
    """Return why arrays, each with the name of its file, cannot be rows of one; None when they can."""
    first_file, first = arrays[0]
    for file, array in arrays:
        if not array.shape:
            return f"{file} is a single number"
        if array.shape[1:] != first.shape[1:]:
            return f"rows of {file} have the shape {array.shape[1:]}, those of {first_file} {first.shape[1:]}"
        if array.dtype != first.dtype and not (array.dtype.kind == first.dtype.kind and array.dtype.kind in "US"):
            return f"{file} is {array.dtype}, {first_file} {first.dtype}"
        if repr(array.meaning) != repr(first.meaning):
            return f"the numbers of {file} and {first_file} mean different things ({array.fill_text or 'no fill'})"
    return None


def joined(path: str, name: str, arrays: Sequence[tuple[str, Layer]]) -> Layer:
    """Return arrays, each with the name of its file, as one; `why_not_joined` has nothing against it."""
    layers = [layer for _, layer in arrays]
    first, longest = layers[0], max(layer.shape[0] for layer in layers)
    ends = list(accumulate(layer.shape[0] for layer in layers))
    dtype = max((layer.dtype for layer in layers), key=lambda dtype: dtype.itemsize)  # texts differ in length
    rows = JoinedRows(
        [(file, layer.read_rows) for file, layer in arrays], ends, first.shape[1:], None if first.meaning else dtype
    )
    kinds = " or ".join(dict.fromkeys(layer.storage for layer in layers))
    return Layer(
        path, name, (ends[-1], *first.shape[1:]), dtype, f"rows of {len(layers)} files, {kinds}", rows,
        n_second_axis=max(layer.n_second_axis for layer in layers),
        n_first_axis=max(1, min(longest, max(layer.n_first_axis for layer in layers))), meaning=first.meaning,
    )  # fmt: skip
