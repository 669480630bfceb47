"""The result: a matrix of values with the names of its rows and columns and what was computed."""

from dataclasses import dataclass

import numpy as np

from cka_cli.arrays import Booleans, Float64
from cka_cli.floating_point import quiet_arithmetic
from cka_cli.specs import is_bounded

# Values nearer to the largest of their row than this, relative to it, are as large: saturated CCA is 1 everywhere.
TIE = 1e-9
# Of the range of a scale of colours: what lies beyond its ends by less is no value of its own.
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Statistics:
    """How far the values of a matrix can be trusted: each of shape (n_x_layers, n_y_layers), NaN where there is none.

    std_error : by leaving out a twentieth of the examples at a time.
    chance : what rows paired at random give on average.
    p_value : the share of random pairings of the rows that give as much or more.
    p_value_of_max : the same for the largest value of all pairs; None where permutations were not counted.
    """

    std_error: Float64
    chance: Float64
    p_value: Float64
    p_value_of_max: Float64 | None = None


@dataclass(frozen=True, eq=False)
class Matrix:
    """Similarities of the layers of one file (rows) with those of another (columns).

    values : shape (n_x_layers, n_y_layers), float64; NaN where a measure has no value.
    x_layers, y_layers : the layer names of the rows and of the columns, in network order.
    x_file, y_file : the files as they were typed; empty when unknown.
    measure, kernel : in canonical form; `kernel` is empty where the measure has none.
    n_examples : rows of every layer; None when unknown (a plain labelled CSV).
    statistics : None unless they were asked for.
    """

    values: Float64
    x_layers: tuple[str, ...]
    y_layers: tuple[str, ...]
    x_file: str = ""
    y_file: str = ""
    measure: str = ""
    kernel: str = ""
    n_examples: int | None = None
    statistics: Statistics | None = None

    @property
    def title(self) -> str:
        """`measure, kernel`, as a colour bar or a panel names it."""
        return title_of(self.measure, self.kernel)

    @property
    def is_bounded(self) -> bool:
        """Whether the values of the measure lie in [-1, 1]: see `specs.is_bounded`."""
        return is_bounded(self.measure)

    def best_columns(self) -> list[int | None]:
        """Return for each row the column of its largest value (the first of equals); None for a row of NaN."""
        return [None if np.all(np.isnan(row)) else int(np.nanargmax(row)) for row in self.values]


def title_of(measure: str, kernel: str) -> str:
    """Return `measure, kernel`, or the measure alone where it has none."""
    return f"{measure}, {kernel}" if kernel else measure


def colour_ends(values: Float64, *, is_bounded: bool) -> tuple[float, float] | None:
    """Return the values at the ends of a scale of colours: of those that are finite, None where none is.

    From 0, or the lowest, to 1 where values are bounded; from the lowest to the highest where they are not.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    low, high = float(finite.min()), float(finite.max())
    # -1e-17 is a zero, not a negative similarity.
    return (low if low < -ROUNDING else 0.0, 1.0) if is_bounded else (low, high)


@quiet_arithmetic
def is_largest(values: Float64) -> Booleans:
    """Return which values are the largest of their row, to a relative 1e-9; none in a row of NaN. Same shape."""
    filled = np.where(np.isnan(values), -np.inf, values)
    largest = filled.max(axis=-1, keepdims=True, initial=-np.inf)
    is_as_large = (filled == largest) | (filled >= largest - TIE * np.abs(largest))
    return np.asarray(is_as_large & ~np.isneginf(largest))


@dataclass(frozen=True)
class LayerFacts:
    """What a report says of a layer: its name, its shape as saved, its dtype, and its features once flattened."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    n_features: int


@dataclass(frozen=True)
class FileFacts:
    """What a report says of a file: path as typed, size, time of last change (ISO 8601, UTC) and its layers."""

    path: str
    size_bytes: int
    modified: str
    layers: tuple[LayerFacts, ...]


@dataclass(frozen=True)
class Comparison:
    """One matrix for each second file, measure and kernel, in the order asked for, and what a reader must know.

    notes : sentences for a person: layers without a value and why, values that mean nothing and why.
    warnings : those of the notes by which a number may not be what was asked for.
    effective_dimensions : for each file that of each of its layers, (Σλ)²/Σλ² of the linear centred Gram matrix; empty
        when neither the linear kernel on all examples nor the CCA family was asked for.
    """

    matrices: tuple[Matrix, ...]
    files: tuple[FileFacts, ...] = ()
    notes: tuple[str, ...] = ()
    effective_dimensions: tuple[tuple[float, ...], ...] = ()
    warnings: tuple[str, ...] = ()
