"""The measures of factors, pair by pair."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cka_cli.arrays import Array, Float64
from cka_cli.measures.cca import FactorPair
from cka_cli.measures.registry import MEASURES
from cka_cli.reductions.factors import Factors
from cka_cli.reductions.protocol import Reduction
from cka_cli.specs import Spec

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class PairFunction:
    """Value and chance of every measure of a pair, by its row and column: shape (n_measures, 2, 2).

    x, y : the factors of the rows and of the columns. is_square : whether they are the same layers, so that the pair
    stands in the matrix both ways.
    The axes are measure; value and chance; the pair as it is, and the other way round where that is wanted and differs.
    """

    x: Sequence[Factors]
    y: Sequence[Factors]
    measures: Sequence[Spec]
    is_square: bool

    def __call__(self, pair: Pair) -> Float64:
        joined = FactorPair(self.x[pair[0]], self.y[pair[1]])
        return np.array([self._both_ways(spec, joined) for spec in self.measures])

    def _both_ways(self, spec: Spec, pair: FactorPair) -> list[list[float]]:
        measure = MEASURES[spec.name]
        pairs = [pair, pair.reversed()] if self.is_square and not measure.is_symmetric else [pair]
        values = [measure.of_pair(each, spec) for each in pairs]
        chances = [measure.chance(each, spec) if measure.chance else np.nan for each in pairs]
        return [[values[0], values[-1]], [chances[0], chances[-1]]]


class PairValues(Reduction[Pair, Float64]):
    """Value and chance of every measure of factors. A task is a pair: once, where it stands in the matrix both ways.

    table : shape (n_measures, 2, n_x_layers, n_y_layers), of value and chance; NaN where a pair is not wanted.
    """

    name = "pairs"
    stage = "comparing pairs"

    def __init__(self, function: PairFunction, pairs: Sequence[Pair]):
        self.compute, self._tasks = function, pairs
        self._costs = [1 + function.x[row].rank * function.y[column].rank for row, column in pairs]
        self.table = np.full((len(function.measures), 2, len(function.x), len(function.y)), np.nan)

    def add(self, partial: Float64) -> None:
        row, column = self._tasks[self.n_added]
        self.table[:, :, row, column] = partial[:, :, 0]
        if self.compute.is_square and row != column:
            self.table[:, :, column, row] = partial[:, :, 1]
        self.n_added += 1

    def state(self) -> dict[str, Array]:
        return {"table": self.table}
