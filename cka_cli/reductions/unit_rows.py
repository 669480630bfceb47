"""Rows brought to length 1, as saved: what the cosine kernel is the linear kernel of."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cka_cli.arrays import Array, Float64, pieces
from cka_cli.reductions.far_rows import sample_rows
from cka_cli.reductions.source import CentredLayer, Rows, SavedSource, ScaledLayer, Slice

# Rows whose mean is taken off: any that is near that of all will do, as a shift common to all rows is not felt.
_N_SAMPLE_ROWS = 64
_N_ROWS_AT_ONCE = 64
_LEAST_NORM = 1e-300


@dataclass(frozen=True, eq=False)
class UnitRows:
    """The rows of a layer as they were saved, each brought to length 1, and centred.

    inverse_norms : 1/‖x‖ in scaled units, shape (n_examples,); 0 for a row of zeros, which stays one.
    mean : what is taken off, shape (n_features,).
    """

    source: SavedSource
    inverse_norms: Float64
    mean: Float64

    def slices(self, rows: Rows) -> Iterator[Slice]:
        """Give the features of some rows, slice by slice, as a `Source` does."""
        for features, values in self.source.saved_slices(rows):
            yield features, self.brought(values, features, rows)

    def brought(self, values: Array, features: slice, rows: Rows) -> Float64:
        """Return what some features of some rows, as saved and scaled, are here."""
        brought = values * self.inverse_norms[rows, None]
        brought -= self.mean[features]
        return np.asarray(brought, np.float64)


def unit_rows(source: SavedSource, *, in_place: bool) -> tuple[UnitRows | CentredLayer, float]:
    """Return the rows of a layer brought to length 1, and their mean squared distance from their mean.

    in_place : whether the values of a layer in memory may become these, so that the layer itself is no more.
    Cost: one pass over the values in memory for the lengths; of a layer read in pieces they are known.
    """
    norms = source.saved_norms()
    # Rows so small that their length is lost count as zeros.
    inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > _LEAST_NORM)
    unit = UnitRows(source, inverse, np.zeros(source.n_features))
    sample, spread = sample_rows(source.n_examples, _N_SAMPLE_ROWS), 0.0
    for features, values in unit.slices(sample):
        unit.mean[features] = values.mean(axis=0)
        spread += float(np.square(values - unit.mean[features]).sum()) / len(sample)
    if not (in_place and isinstance(source, ScaledLayer)):
        return unit, spread
    for rows in pieces(source.n_examples, _N_ROWS_AT_ONCE):
        for features, values in unit.slices(rows):
            source.values[rows, features] = values
    return CentredLayer(source.label, source.values, unit.mean, 1.0, is_constant=False), spread
