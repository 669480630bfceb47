"""Which layer of one network corresponds to which of another: the largest value of each row, and the best path."""

from dataclasses import dataclass
from math import nan

import numpy as np

from cka_cli.arrays import Float64
from cka_cli.results.matrix import Matrix, is_largest


@dataclass(frozen=True)
class Partner:
    """What of Y corresponds to one layer of X.

    best_layer, best_value : the layer of Y with the largest value; None and NaN where the layer has no value.
    n_best : how many layers of Y share the largest value, to rounding.
    second_layer, second_value : the runner-up; None where there is none.
    monotone_layer, monotone_value : the layer of Y on the best monotone path; None and NaN where there is no value.
    """

    layer: str
    best_layer: str | None
    best_value: float
    n_best: int
    second_layer: str | None
    second_value: float | None
    monotone_layer: str | None
    monotone_value: float

    @property
    def margin(self) -> float | None:
        """How far the best value lies above the runner-up."""
        return None if self.second_value is None else self.best_value - self.second_value


@dataclass(frozen=True)
class Correspondence:
    """The partners of all layers of X in Y, by one measure.

    accuracy : the share of the layers whose partner stands at the same place; None where X and Y are not equally deep.
    path : for each row the column of its `monotone_layer`.
    """

    x_file: str
    y_file: str
    measure: str
    kernel: str
    n_examples: int | None
    partners: tuple[Partner, ...]
    path: tuple[int | None, ...]
    accuracy: float | None = None

    @property
    def best_mean(self) -> float:
        """The mean over layers of the best values."""
        return _mean([partner.best_value for partner in self.partners])

    @property
    def monotone_mean(self) -> float:
        """The mean over layers of the values on the monotone path: at most `best_mean`."""
        return _mean([partner.monotone_value for partner in self.partners])


def _mean(values: list[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else nan


def correspondence(matrix: Matrix, accuracy: float | None = None) -> Correspondence:
    """Return the partners of the rows of a matrix among its columns."""
    path = monotone_path(matrix.values)
    n_best = is_largest(matrix.values).sum(axis=1).tolist()
    partners = tuple(_partner(matrix, row, n_best[row], path[row]) for row in range(len(matrix.x_layers)))
    return Correspondence(
        matrix.x_file, matrix.y_file, matrix.measure, matrix.kernel, matrix.n_examples, partners, path, accuracy
    )


def _partner(matrix: Matrix, row: int, n_best: int, column: int | None) -> Partner:
    values, names = matrix.values[row].tolist(), matrix.y_layers
    ranked = sorted((place for place, value in enumerate(values) if value == value), key=lambda at: -values[at])
    best, second = [*ranked, None, None][:2]
    return Partner(
        layer=matrix.x_layers[row],
        best_layer=None if best is None else names[best],
        best_value=nan if best is None else values[best],
        n_best=n_best,
        second_layer=None if second is None else names[second],
        second_value=None if second is None else values[second],
        monotone_layer=None if column is None else names[column],
        monotone_value=nan if column is None else values[column],
    )


def monotone_path(values: Float64) -> tuple[int | None, ...]:
    """Return for each row a column, the columns never decreasing, so that the sum of the values there is the largest.

    values : shape (n_rows, n_columns). What is maximised is Σ values[row, path[row]] over all paths with path[row] ≤
    path[row + 1], so each row counts once: with more rows than columns several rows share a column, with fewer, columns
    are passed over, and neither first nor last column need be on the path. Of equal paths the one with the smallest
    columns, seen from the last row. A row of NaN has None and counts nothing; other paths go through as few NaN as
    they can.
    Dynamic programming, n_rows × n_columns steps.
    """
    rows = np.flatnonzero(~np.isnan(values).all(axis=1))
    path: list[int | None] = [None] * len(values)
    if not len(rows):
        return tuple(path)
    kept = values[rows]
    # One NaN costs more than all that a path can gain elsewhere.
    gains = np.where(np.isnan(kept), -(2 * len(rows) + 1) * (float(np.nanmax(np.abs(kept))) + 1), kept)
    sums = np.empty_like(gains)
    sums[0] = gains[0]
    for row in range(1, len(rows)):
        sums[row] = np.maximum.accumulate(sums[row - 1]) + gains[row]
    column = sums.shape[1] - 1
    for row in range(len(rows) - 1, -1, -1):
        column = int(np.argmax(sums[row, : column + 1]))
        path[rows[row]] = column
    return tuple(path)
