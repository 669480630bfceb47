"""Rows that lie far out: an example that was lost and filled with 1e20, or one that ran away.

A mean over all rows would go out to them, and every other row would lose its digits to the way back. So they are found
before the mean is taken: by their distance, in the feature where it is largest, from a landmark. That is a row amid the
others, whichever they are and wherever the far ones stand: of the rows in the middle when all are ordered by their
largest value, the one from which the others of these are least far.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from cka_cli.arrays import Array, Float64, Indices, pieces

_N_SAMPLE_ROWS = 9
# Times the typical distance from the landmark beyond which a row lies far out. Nearer rows, up to half of all, move the
# mean by less than costs the others two digits.
_FAR = 32.0
# How far out a row lies, in typical distances, to be told of.
FAR_RATIO = 1e3
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class FarRows:
    """Which rows lie far out.

    places : ascending. typical : how far rows commonly lie from the landmark; of those that differ from it at all where
    most rows equal it. ratio : how far the farthest lies out, in typical distances; 0 when there are none.
    farthest : its place. largest : the largest magnitude in the layer, where there are some.
    shift : from the mean of the others to that of all rows, scaled, shape (n_features,); empty when there are none.
    """

    places: Indices
    typical: float = 0.0
    ratio: float = 0.0
    farthest: int = 0
    largest: float = 0.0
    shift: Float64 = field(default_factory=lambda: np.empty(0))

    def leave_out(self, block: Array, start: int) -> Array:
        """Return the rows of a block that do not lie far out; the block begins with row `start`."""
        first, last = np.searchsorted(self.places, [start, start + len(block)])
        return block if first == last else np.delete(block, self.places[first:last] - start, axis=0)

    def shrink(self, scale: float) -> float:
        """Return the power of two that brings the farthest row of a layer, scaled, back to 1."""
        return math.ldexp(1.0, -max(0, math.frexp(self.largest * scale)[1]))


NO_FAR_ROWS = FarRows(np.empty(0, np.intp))


@dataclass(frozen=True, eq=False)
class Landmark:
    """A row amid the others, and how far the others lie from it.

    row : shape (n_features,). typical : the median distance from it of the rows in the middle; 0 when it is one of many
    equal rows.
    """

    row: Float64
    typical: float

    def holds_all(self, lowest: float, highest: float) -> bool:
        """Whether no row of values from `lowest` to `highest` can lie far out."""
        low, high = float(self.row.min()), float(self.row.max())
        return max(highest - low, high - lowest) <= _FAR * self.typical

    def distances(self, values: Array) -> Float64:
        """Return how far rows lie from the landmark, in the feature where that is most, shape (n_rows,)."""
        result = np.empty(len(values))
        for rows in pieces(len(values), _CHUNK_BYTES // (8 * max(1, len(self.row)))):
            block = values[rows].astype(np.float64)
            block -= self.row
            result[rows] = np.abs(block, out=block).max(axis=1, initial=0)
        return result

    def far_rows(self, distances: Float64, largest: float) -> FarRows:
        """Return the rows that lie far out; where the landmark is one of many equal rows, all that differ from it.

        distances : of all rows. largest : the largest magnitude of all values.
        """
        places = np.flatnonzero(distances > _FAR * self.typical)
        if not len(places):
            return NO_FAR_ROWS
        typical = self.typical or _lower_median(distances[places])
        farthest = int(np.argmax(distances))
        return FarRows(places, typical, float(distances[farthest] / typical), farthest, largest)


def rows_in_the_middle(largest: Float64) -> Indices:
    """Return a few rows of which fewer than half lie far out, if of all rows fewer do; ascending.

    largest : shape (n_examples,), the largest magnitude in each row.
    """
    n = len(largest)
    if n <= _N_SAMPLE_ROWS:
        return np.arange(n)
    ranks = np.linspace(0.3 * (n - 1), 0.7 * (n - 1), _N_SAMPLE_ROWS).astype(np.intp)
    return np.sort(np.argsort(largest, kind="stable")[ranks])


def sample_rows(n_examples: int, n_rows: int) -> Indices:
    """Return up to so many rows, spread evenly over a layer from its first to its last, ascending; no draw."""
    return np.unique(np.linspace(0, n_examples - 1, n_rows).astype(np.intp))


def distances_between(slices: Iterable[Array]) -> Float64:
    """Return the distances of a few rows from each other, in the feature where each is largest.

    slices : the features of the rows, (n_rows, n_slice_features) each.
    """
    distances: Float64 | None = None
    for values in slices:
        block = values.astype(np.float64)
        found = np.array([np.abs(block - row).max(axis=1, initial=0) for row in block])
        distances = found if distances is None else np.maximum(distances, found)
    assert distances is not None
    return distances


def amid(distances: Float64) -> tuple[int, float]:
    """Return which row lies amid the others, and the typical distance of the others from it."""
    typical = [_lower_median(np.delete(row, place)) for place, row in enumerate(distances)]
    place = int(np.argmin(typical))
    return place, typical[place]


def _lower_median(values: Float64) -> float:
    return float(np.sort(values)[(len(values) - 1) // 2]) if len(values) else 0.0
