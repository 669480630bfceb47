"""p-values: could rows paired at random give as much?

Without counting, by the exact mean and variance over all permutations of the rows and a skewness from a sample of the
rows: a Pearson III law. Or by counting random permutations, the same ones for all layers, so that the largest value of
a search over many pairs can be judged too.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from cka_cli.arrays import Array, Float64, Indices
from cka_cli.reductions.gram_matrices import centred_gram, cka, u_centred_gram, unit_norm
from cka_cli.reductions.gram_sums import GramSums
from cka_cli.reductions.kernel_inputs import GramLayer, gram_matrix
from cka_cli.reductions.protocol import Reduction
from cka_cli.specs import Spec
from cka_cli.uncertainty.pearson_iii import pearson_iii_p_value
from cka_cli.uncertainty.permutations import (
    MatrixInvariants,
    counted_p_value,
    invariants_of,
    invariants_of_sums,
    permutation_moments,
    stack,
)

# Rows from which the skewness is worked out, at a cost of their third power: all of them where they are few, else so
# many. Where skewness matters, few components carry a layer, and few rows show them.
_N_FEW_ROWS = 512
_N_SAMPLE_ROWS = 256
_SAMPLE_SEED = 20080801
# Of two values of CKA, that rounding may have put on the wrong sides of each other.
_TIE = 1e-9
# The geometric mean of two layers' outlier ratios above which the law was 2 to 20 times off at p = 0.002.
_HEAVY = 0.1


def sampled_rows(n_examples: int) -> Indices:
    """Return the rows from which the skewness is worked out."""
    if n_examples <= _N_FEW_ROWS:
        return np.arange(n_examples)
    return np.sort(np.random.default_rng(_SAMPLE_SEED).choice(n_examples, _N_SAMPLE_ROWS, replace=False))


def invariants_of_layer(rows: Indices, spec: Spec, layer: GramLayer, *, is_unbiased: bool) -> MatrixInvariants:
    """Return what permutation moments need of some rows of a layer."""
    return invariants_of(_centred(layer, rows, spec, is_unbiased=is_unbiased))


def p_values_by_law(
    sums: GramSums, of_rows: Sequence[MatrixInvariants], *, is_unbiased: bool
) -> tuple[Float64, set[int]]:
    """Return the p-value of CKA, and of HSIC, of every pair, shape (n_x_layers, n_y_layers); NaN where it has none.

    And the places of layers in which a few examples outweigh the rest: of a pair of them it may be several times too
    small.
    of_rows : of each layer, what `invariants_of_layer` gives of the rows of `sampled_rows`.
    """
    n, (x, y) = sums.n_examples, (sums.x, sums.y)
    cross, norms = sums.unbiased() if is_unbiased else sums.biased()
    values = cka(cross, norms[x], norms[y])
    of_all = _invariants_of_sums(sums, norms, is_unbiased=is_unbiased).with_cubes_of(stack(of_rows))
    moments = permutation_moments(_part(of_all, x), _part(of_all, y))
    p_value = np.asarray(np.maximum(pearson_iii_p_value(values, *moments), least_p_value(n)))
    return p_value, _heavy_layers(sums)


def least_p_value(n_examples: int) -> float:
    """Return the least p-value there is: 1/n!, since the rows as they are paired are one of the n! pairings.

    Above 0 for any number of examples: where n! is beyond float64, the least float that has all its digits.
    """
    return max(math.exp(-math.lgamma(n_examples + 1)), float(np.finfo(np.float64).tiny))


def _heavy_layers(sums: GramSums) -> set[int]:
    ratios = _invariants_of_sums(sums, sums.biased()[1], is_unbiased=False).outlier_ratios
    places = range(len(ratios))
    of_pairs = np.sqrt(np.multiply.outer(ratios[sums.x], ratios[sums.y])) > _HEAVY
    rows, columns = np.nonzero(of_pairs)
    return {places[sums.x][row] for row in rows} | {places[sums.y][column] for column in columns}


def _invariants_of_sums(sums: GramSums, norms: Float64, *, is_unbiased: bool) -> MatrixInvariants:
    n = sums.n_examples
    if is_unbiased:
        return invariants_of_sums(n, n * (n - 3) * norms, None)
    row_sums = sums.row_sums + sums.diagonals
    centred = sums.diagonals - 2 / n * row_sums + row_sums.sum(axis=1)[:, None] / n**2
    return invariants_of_sums(n, (n - 1) ** 2 * norms, centred)


def _part(invariants: MatrixInvariants, layers: slice) -> MatrixInvariants:
    return MatrixInvariants(
        invariants.n_examples, invariants.traces[layers], invariants.squares[layers], invariants.cubes[layers]
    )


def random_pairings(n_examples: int, seed: int, groups: Indices | None) -> Iterator[Indices]:
    """Give permutations of the examples without end; with groups, of whole groups among those of their size.

    groups : shape (n_examples,), the group of each example.
    """
    random = np.random.default_rng(seed)
    if groups is None:
        while True:
            yield random.permutation(n_examples)
    members = [np.flatnonzero(groups == group) for group in range(int(groups.max()) + 1)]
    sizes = np.array([len(each) for each in members])
    while True:
        order = np.empty(n_examples, np.intp)
        for size in np.unique(sizes):
            same = np.flatnonzero(sizes == size)
            for to, source in zip(same, random.permutation(same), strict=True):
                order[members[to]] = members[source]
        yield order


def unit_gram(spec: Spec, layer: GramLayer, *, is_unbiased: bool) -> Float64:
    """Return the centred Gram matrix of a layer at Frobenius norm 1, float64; NaN where it is 0 or not finite."""
    return unit_norm(_centred(layer, np.arange(layer.source.n_examples), spec, is_unbiased=is_unbiased))


def _centred(layer: GramLayer, rows: Indices, spec: Spec, *, is_unbiased: bool) -> Float64:
    return (u_centred_gram if is_unbiased else centred_gram)(gram_matrix(layer, rows, spec))


class PermutedFunction:
    """CKA of all pairs once the examples of the layers of Y are in another order, shape (n_x_layers, n_y_layers)."""

    def __init__(self, grams: Sequence[Float64], x: slice, y: slice):
        self._n = len(grams[0])
        self._rows, self._columns = np.triu_indices(self._n, 1)
        self._y_grams = grams[y]
        self._x_above = np.stack([gram[self._rows, self._columns] for gram in grams[x]])
        self._x_diagonals, self._y_diagonals = (
            np.stack([np.diagonal(gram) for gram in grams[side]]) for side in (x, y)
        )

    def __call__(self, order: Indices) -> Float64:
        places = order[self._rows] * self._n + order[self._columns]
        above = np.empty((len(self._y_grams), len(places)))
        for of_layer, gram in zip(above, self._y_grams, strict=True):
            of_layer[...] = gram.take(places)
        return np.asarray(2 * self._x_above @ above.T + self._x_diagonals @ self._y_diagonals[:, order].T)


class PermutationCounts(Reduction[Indices, Float64]):
    """How many permutations of the examples give as much CKA, or HSIC, or more. A task is a permutation.

    grams : of `unit_gram`, of all layers. pairings : gives permutations, the same at each call.
    Cost: n² multiplications for each pair and permutation.
    """

    stage = "permuting"

    def __init__(
        self, name: str, grams: Sequence[Float64], x: slice, y: slice, pairings: Callable[[], Iterator[Indices]],
        n_permutations: int,
    ):  # fmt: skip
        self.name, self.compute = name, PermutedFunction(grams, x, y)
        self._pairings, self._costs = pairings, [1] * n_permutations
        self._observed = self.compute(np.arange(len(grams[0]))) - _TIE
        self._n_at_least, self._n_max = np.zeros(self._observed.shape), np.zeros(self._observed.shape)

    def tasks(self) -> Iterator[Indices]:
        return islice(self._pairings(), len(self._costs))

    def add(self, partial: Float64) -> None:
        self._n_at_least += partial >= self._observed
        self._n_max += np.nanmax(partial, initial=-np.inf) >= self._observed
        self.n_added += 1

    def state(self) -> dict[str, Array]:
        return {"alone": self._n_at_least, "max": self._n_max}

    def p_values(self) -> tuple[Float64, Float64]:
        """Return the p-values of every pair, alone and as the largest of all pairs; NaN where a pair has no value."""
        counted = (counted_p_value(each, len(self._costs)) for each in (self._n_at_least, self._n_max))
        alone, of_max = (np.where(np.isnan(self._observed), np.nan, each) for each in counted)
        return alone, of_max
