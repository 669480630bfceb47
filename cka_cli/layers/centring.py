"""A layer brought to its centre and scale, whole in memory or read in pieces.

Scaling by a power of two is exact and keeps squares of squares inside the range of float32, whatever the units of
the activations. The mean that is taken off is a float64 mean rounded to the dtype of the values; what rounding
leaves of it is a shift common to all rows, which every HSIC formula and every factor takes off in float64.

Rows that lie far out (an example that was lost and filled with 1e20) have no part in the mean and the scale, or all
others would lose their digits to them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cka_cli.arrays import Array, Float64, pieces
from cka_cli.layers.nonfinite import nonfinite_error
from cka_cli.layers.selection import SelectedLayer
from cka_cli.reductions.far_rows import NO_FAR_ROWS, FarRows, Landmark, amid, distances_between, rows_in_the_middle
from cka_cli.reductions.source import CentredLayer, Rows, ScaledLayer, Slice, row_norms

# Values above this may overflow when summed.
_NEAR_OVERFLOW = 1e290
# Binary exponents up to which far rows may reach when the others are brought to 1: their products stay finite.
_MOST_EXPONENT = {np.dtype(np.float32): 110, np.dtype(np.float64): 500}
_SAMPLE_BYTES = 1 << 20
_N_SUM_ROWS = 1024


@dataclass(frozen=True, eq=False)
class StreamedLayer:
    """A `SavedSource` that reads from disk what it is asked for, `n_slice` features at a time.

    norms : of the rows as saved, scaled, shape (n_examples,), where they were asked for.
    """

    layer: SelectedLayer
    dtype: np.dtype[Any]
    mean: Float64
    scale: float
    is_constant: bool
    n_slice: int
    far: FarRows = NO_FAR_ROWS
    norms: Float64 | None = None

    @property
    def label(self) -> str:
        return self.layer.label

    @property
    def n_examples(self) -> int:
        return self.layer.n_examples

    @property
    def n_features(self) -> int:
        return self.layer.n_features

    def slices(self, rows: Rows) -> Iterator[Slice]:
        for features, saved in self._read(rows):
            values = saved.astype(_working(self.layer, self.dtype))
            yield features, _centre(values, self.mean[features], self.scale, self.dtype)

    def saved_slices(self, rows: Rows) -> Iterator[Slice]:
        for features, saved in self._read(rows):
            values = saved.astype(np.float64)
            _rescale(values, self.scale)
            yield features, values

    def saved_norms(self) -> Float64:
        assert self.norms is not None
        return self.norms

    def _read(self, rows: Rows) -> Iterator[Slice]:
        for features in pieces(self.n_features, self.n_slice):
            if isinstance(rows, slice):
                yield features, self.layer.read(rows.start, rows.stop, features)
            else:
                yield features, self.layer.read_rows_at(rows, features)


def _working(layer: SelectedLayer, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which saved values are scaled: one that holds them."""
    return np.dtype(np.float64) if layer.dtype.itemsize > 4 else dtype


def _centre(values: Array, mean: Float64, scale: float, dtype: np.dtype[Any]) -> Array:
    """Return (values × scale) − mean; overwrites `values`."""
    _rescale(values, scale)
    values = values.astype(dtype, copy=False)
    values -= mean.astype(dtype)
    return values


def _rescale(values: Array, scale: float) -> None:
    exponent = math.frexp(scale)[1] - 1
    if abs(exponent) > 100:  # the factor itself may be beyond float32
        np.ldexp(values, exponent, out=values)
    elif exponent:
        values *= values.dtype.type(scale)


def load_centred(layer: SelectedLayer, dtype: np.dtype[Any], *, keep_saved: bool = False) -> CentredLayer:
    """Return a layer's values, read once.

    keep_saved : whether a `ScaledLayer` is wanted.
    Raises DataError with the count and the first row when values are not finite, or when the disk fails.
    """
    values = _values(layer, _working(layer, dtype))
    low, high = values.min(axis=1), values.max(axis=1)
    lowest, highest = float(low.min()), float(high.max())
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise nonfinite_error(layer)
    is_constant = bool((values[0] == values[-1]).all() and (values == values[0]).all())
    far = NO_FAR_ROWS if is_constant else _far_rows_in_memory(values, low, high)
    of_others = max(-lowest, highest)
    if len(far.places):
        of_others = max(float(np.abs(block).max(initial=0)) for block in _blocks_of_others(values, far))
    scale = _scale_beside(far, of_others, dtype)
    _rescale(values, scale)  # before any sum, which could overflow
    mean = np.zeros(layer.n_features)
    if is_constant:
        mean += values[0]
        return CentredLayer(layer.label, np.zeros(values.shape, dtype), mean, scale, is_constant=True)
    for block in _blocks_of_others(values, far):
        mean += np.add.reduce(block, axis=0, dtype=np.float64)
    total = mean.copy()
    mean = (mean / (len(values) - len(far.places))).astype(dtype).astype(np.float64)
    if len(far.places):
        total += values[far.places].sum(axis=0, dtype=np.float64)
        far = replace(far, shift=total / len(values) - mean)
    if keep_saved:
        return ScaledLayer(layer.label, values.astype(dtype, copy=False), mean, scale, is_constant=False, far=far)
    return CentredLayer(layer.label, _centre(values, mean, 1.0, dtype), mean, scale, is_constant=False, far=far)


def _far_rows_in_memory(values: Array, low: Array, high: Array) -> FarRows:
    """Return which rows lie far out. low, high : the least and the largest value of each row."""
    lowest, highest = float(low.min()), float(high.max())
    sample = values[rows_in_the_middle(np.maximum(-low.astype(np.float64), high))]
    place, typical = amid(distances_between([sample]))
    landmark = Landmark(sample[place].astype(np.float64), typical)
    if landmark.holds_all(lowest, highest):
        return NO_FAR_ROWS
    return landmark.far_rows(landmark.distances(values), max(-lowest, highest))


def _blocks_of_others(values: Array, far: FarRows) -> Iterator[Array]:
    for rows in pieces(len(values), _N_SUM_ROWS):
        yield far.leave_out(values[rows], rows.start)


def _values(layer: SelectedLayer, dtype: np.dtype[Any]) -> Array:
    """Return all values of a layer, in an array of their own."""
    values: Array | None = None
    for where, block in layer.blocks():
        if values is None:
            # A copy would cost as much as reading. What was read is nobody else's, but what bytes became is fixed.
            can_be_kept = block.dtype == dtype and block.flags.c_contiguous and block.flags.writeable
            if len(block) == layer.n_examples and isinstance(where, slice) and can_be_kept:
                return block
            values = np.empty((layer.n_examples, layer.n_features), dtype)
        values[where] = block  # what is not finite is told of by the caller
    assert values is not None
    return values


def survey(layer: SelectedLayer, dtype: np.dtype[Any], n_slice: int, *, with_norms: bool = False) -> StreamedLayer:
    """Return a layer ready to be read in pieces: its mean and scale, worked out in one pass over the file.

    In one more where a row may lie far out, and in a third where one does.
    with_norms : whether the norms of the rows are wanted, too.
    Raises as `load_centred` does.
    """
    mean, largest = np.zeros(layer.n_features), np.zeros(layer.n_examples)
    norms = np.zeros(layer.n_examples) if with_norms else None
    first: Array | None = None
    is_constant, lowest, highest = True, math.inf, -math.inf
    for where, block in layer.blocks(1 << 24):
        first = block[0].copy() if first is None else first
        is_constant = is_constant and bool((block == first).all())
        low, high = block.min(axis=1).astype(np.float64), block.max(axis=1).astype(np.float64)
        lowest, highest = min(lowest, float(low.min())), max(highest, float(high.max()))
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            raise nonfinite_error(layer)
        largest[where] = np.maximum(-low, high)
        if norms is not None:
            norms[where] = row_norms(block)
        # Weights first where a sum could overflow.
        is_near_overflow = max(-lowest, highest) > _NEAR_OVERFLOW
        weighted = block / layer.n_examples if is_near_overflow else block
        total = np.add.reduce(weighted, axis=0, dtype=np.float64)
        mean += total if is_near_overflow else total / layer.n_examples
    assert first is not None
    far = NO_FAR_ROWS if is_constant else _far_rows_on_disk(layer, largest, lowest, highest)
    of_all, of_others = mean, max(-lowest, highest)
    if len(far.places):
        mean, of_others = _mean_of_others(layer, far)
    scale = _scale_beside(far, of_others, dtype)
    mean = first.astype(np.float64) if is_constant else mean
    _rescale(mean, scale)
    mean = mean.astype(dtype).astype(np.float64)
    if len(far.places):
        _rescale(of_all, scale)
        far = replace(far, shift=of_all - mean)
    if norms is not None:
        _rescale(norms, scale)
    return StreamedLayer(layer, dtype, mean, scale, is_constant, n_slice, far, norms)


def _far_rows_on_disk(layer: SelectedLayer, largest: Float64, lowest: float, highest: float) -> FarRows:
    """Return which rows of a layer that is not held lie far out; reads it once more where that is not plain."""
    rows, n_features = rows_in_the_middle(largest), layer.n_features
    n_slice = max(1, _SAMPLE_BYTES // (8 * len(rows) * layer.n_step)) * layer.n_step
    place, typical = amid(
        distances_between(layer.read_rows_at(rows, features) for features in pieces(n_features, n_slice))
    )
    row = layer.read_rows_at(rows[place : place + 1], slice(0, n_features))[0]
    landmark = Landmark(row.astype(np.float64), typical)
    if landmark.holds_all(lowest, highest):
        return NO_FAR_ROWS
    distances = np.empty(layer.n_examples)
    for where, block in layer.blocks(1 << 24):
        distances[where] = landmark.distances(block)
    return landmark.far_rows(distances, max(-lowest, highest))


def _mean_of_others(layer: SelectedLayer, far: FarRows) -> tuple[Float64, float]:
    """Return the mean of the rows that do not lie far out, and their largest magnitude; reads all rows."""
    n_others, largest = layer.n_examples - len(far.places), 0.0
    mean = np.zeros(layer.n_features)
    for where, block in layer.blocks(1 << 24):
        places = np.arange(where.start, where.stop) if isinstance(where, slice) else where
        others = block[np.isin(places, far.places, invert=True)]
        largest = max(largest, float(np.abs(others.astype(np.float64)).max(initial=0)))
        mean += np.add.reduce(others / n_others, axis=0, dtype=np.float64)
    return mean, largest


def _scale_beside(far: FarRows, of_others: float, dtype: np.dtype[Any]) -> float:
    """Return the power of two for the rows that do not lie far out, as far as those that do stay in range."""
    largest = of_others or far.typical  # is brought to between ½ and 1
    scale = 1.0 if largest == 0 else math.ldexp(1.0, min(1000, -math.frexp(largest)[1]))
    if not len(far.places):
        return scale
    exponent = math.frexp(far.largest)[1] + math.frexp(scale)[1] - 1
    return math.ldexp(scale, min(0, _MOST_EXPONENT[dtype] - exponent))
