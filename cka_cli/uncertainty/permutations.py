"""What HSIC and CKA would be if the examples of the two layers had nothing to do with each other: exact moments.

V and W are the centred Gram matrices of two layers of n examples, of Frobenius norm 1: HKH with its diagonal for
biased CKA, the U-centred matrix for the debiased one. The rows of all sum to 0, and T(π) = Σ_ij V_ij W_π(i)π(j) is CKA
after a permutation of one layer's examples. Its mean, variance and skewness over all n! permutations are sums of
products of a few numbers of V with the same numbers of W, so that every pair costs a matrix product, no permutation.
Kazi-Aoual et al. (1995), Comput. Stat. Data Anal. 20; Josse, Pagès, Husson (2008), Comput. Stat. Data Anal. 53.

Taking tr(W)/(n−1) H off W leaves a matrix of trace 0 whose T is T less its mean: no central moment is ever a
difference of larger ones.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from cka_cli.arrays import Array, Float64
from cka_cli.reductions.gram_matrices import mean_over_pairings

# Products of two and of three entries of a traceless matrix W whose rows sum to 0, by how many different indices they
# have and how many of their entries are diagonal. The sums of all other products follow from these or are 0.
_SQUARES = ((2, 0), (1, 2))  # w_ij², w_ii²
_CUBES = ((3, 0), (2, 0), (2, 1), (2, 2), (1, 3))  # w_ij w_jk w_ki, w_ij³, w_ii w_ij², w_ii w_ij w_jj, w_ii³
_KINDS = {2: _SQUARES, 3: _CUBES}
# A traceless part of this share of the norm is what rounding leaves of none.
_ROUNDING = 1e-12
_N_BLOCK = 512  # rows that are multiplied at a time

Kind = tuple[int, int]
Slots = tuple[int, ...]


class Moments(NamedTuple):
    """Of CKA over all permutations of the examples of one layer: each of shape (n_x_layers, n_y_layers).

    NaN where a layer is constant. variance : 0 where no permutation changes the value; the skewness is 0 then too.
    """

    mean: Float64
    variance: Float64
    skewness: Float64


@dataclass(frozen=True, eq=False)
class MatrixInvariants:
    """What permutation moments need of the centred Gram matrices of some layers, all of one estimator and kernel.

    n_examples : rows that `traces` and `squares` are of.
    traces : tr W of the matrix at Frobenius norm 1, shape (n_layers,); 0 when U-centred.
    squares : averages of w_ij² and of w_ii² over different i, j, of the traceless part; shape (n_layers, 2).
    cubes : averages of w_ij w_jk w_ki, w_ij³, w_ii w_ij², w_ii w_ij w_jj and w_ii³ over different i, j, k, of the
        traceless part in units of √(average of w_ij²); shape (n_layers, 5). Of some rows they are an estimate of
        those of all; the unit is of the same rows, so that errors common to both cancel.
    NaN for a matrix of zeros.
    """

    n_examples: int
    traces: Float64
    squares: Float64
    cubes: Float64

    @property
    def outlier_ratios(self) -> Float64:
        """How far single examples decide each layer: average w_ii² over n_examples × average w_ij², shape (n_layers,).

        Of biased matrices; 0 when U-centred. About 2/n of normal features, from 1/10 on an example or a few outweigh
        the rest, and then a p-value from three moments may be several times too small: count permutations.
        """
        return np.asarray(self.squares[:, 1] / (self.n_examples * self.squares[:, 0]))

    def with_cubes_of(self, some_rows: "MatrixInvariants") -> "MatrixInvariants":
        """Return the same layers with the cubes of a subsample of the rows, but for those of the diagonal."""
        # The diagonal is where an outlier shows, and a subsample would most often be without it.
        return replace(self, cubes=np.concatenate([some_rows.cubes[:, :-1], self.cubes[:, -1:]], axis=1))


def stack(layers: Sequence[MatrixInvariants]) -> MatrixInvariants:
    """Return the invariants of several layers of the same examples as one."""
    parts = ((layer.traces, layer.squares, layer.cubes) for layer in layers)
    return MatrixInvariants(layers[0].n_examples, *map(np.concatenate, zip(*parts, strict=True)))


def invariants_of(matrix: Array) -> MatrixInvariants:
    """Return the invariants of one layer.

    matrix : a centred Gram matrix of either estimator, in any units; shape (n_examples, n_examples), at least 3.
    NaN for a matrix of zeros or one that is not finite. Cost: n³ flops; twice the matrix in float64 as memory.
    """
    n = len(matrix)
    largest = float(np.abs(matrix).max())
    if not 0 < largest < math.inf:
        return MatrixInvariants(n, np.full(1, np.nan), np.full((1, 2), np.nan), np.full((1, 5), np.nan))
    pairs = np.asarray(matrix, np.float64) / largest
    squared = pairs * pairs
    pairs /= math.sqrt(squared.sum())  # not by np.linalg.norm, whose sum of n² terms in a row costs four digits
    diagonal = np.diagonal(pairs).copy()
    mean = diagonal.mean()
    diagonal -= mean
    pairs += mean / (n - 1)
    np.fill_diagonal(pairs, 0)
    np.multiply(pairs, pairs, out=squared)
    squares = np.array([squared.sum() / (n * (n - 1)), diagonal @ diagonal / n])
    if squared.sum() + diagonal @ diagonal < _ROUNDING**2:
        return MatrixInvariants(n, np.array([n * mean]), np.zeros((1, 2)), np.zeros((1, 5)))
    sums = [
        _triangles(pairs),
        (squared * pairs).sum(),
        diagonal @ squared.sum(axis=1),
        diagonal @ pairs @ diagonal,
        (diagonal**3).sum(),
    ]
    n_tuples = [math.perm(n, n_indices) for n_indices, _ in _CUBES]
    cubes = np.array(sums) / n_tuples / squares[0] ** 1.5
    return MatrixInvariants(n, np.array([n * mean]), squares[None], cubes[None])


def invariants_of_sums(n_examples: int, square_sums: Float64, diagonals: Float64 | None) -> MatrixInvariants:
    """Return the invariants of layers from sums that need no whole matrix; all cubes but the diagonal's are NaN.

    square_sums : ‖W‖², shape (n_layers,). diagonals : of W = HKH, shape (n_layers, n_examples), in the same units;
    None when U-centred.
    """
    n, n_layers = n_examples, len(square_sums)
    norms = np.where(square_sums > 0, np.sqrt(square_sums), np.nan)
    diagonals = np.zeros((n_layers, 1)) if diagonals is None else diagonals / norms[:, None]
    means = diagonals.mean(axis=1) + 0 * norms
    diagonals = diagonals - means[:, None]
    of_all = 1 - (n * means) ** 2 / (n - 1)
    of_all = np.where(of_all < _ROUNDING, 0.0, of_all)
    of_diagonal = np.minimum(n * (diagonals**2).mean(axis=1), of_all)
    squares = np.stack([(of_all - of_diagonal) / (n * (n - 1)), of_diagonal / n], axis=1)
    cubes = np.full((n_layers, len(_CUBES)), np.nan)
    cubes[:, -1] = np.where(of_all == 0, 0.0, (diagonals**3).mean(axis=1) / squares[:, 0] ** 1.5)
    return MatrixInvariants(n, n * means, squares, cubes)


def _triangles(pairs: Float64) -> Any:
    """Return tr W³ of a symmetric matrix, from the upper triangle of W²."""
    total = 0.0
    for start in range(0, len(pairs), _N_BLOCK):
        rows = pairs[start : start + _N_BLOCK]
        terms = rows @ pairs[:, start:]
        terms *= rows[:, start:]
        total += 2 * terms.sum() - terms[:, : len(rows)].sum()
    return total


def permutation_moments(x: MatrixInvariants, y: MatrixInvariants) -> Moments:
    """Return mean, variance and skewness of CKA of every pair over all permutations of the examples, exactly.

    The same numbers serve HSIC, which is CKA in other units: the p-values are the same. U-centred: mean 0 and
    variance 2/(n(n−3)) whatever the layers. The skewness is an estimate where the cubes are those of fewer rows.
    """
    n = x.n_examples
    variance = x.squares @ _weights(n, 2) @ y.squares.T
    third = x.cubes @ _weights(n, 3) @ y.cubes.T
    units = np.multiply.outer(x.squares[:, 0], y.squares[:, 0])
    skewness = np.where(variance == 0, 0.0, third * (units / variance) ** 1.5)
    return Moments(mean_over_pairings(x.traces, y.traces, n), variance, skewness)


def counted_p_value(n_at_least: Array, n_permutations: int) -> Float64:
    """Return (1 + #{permuted ≥ observed})/(n_permutations + 1): never 0, and never too small on the average."""
    return np.asarray((1 + np.asarray(n_at_least, np.float64)) / (n_permutations + 1))


def _set_partitions(n_items: int) -> Iterator[Slots]:
    """Give every partition of some items into blocks, as the number of each item's block, from 0."""
    if n_items == 0:
        yield ()
        return
    for head in _set_partitions(n_items - 1):
        for block in range(max(head, default=-1) + 2):
            yield (*head, block)


def _in_kinds(product: Slots) -> Counter[Kind]:
    """Return how the sum of a product of entries over different indices follows from the sums of the kinds.

    product : the indices of the first entry, of the second ... An index that stands in one place only runs over all
    values but those of the others, and its row sums to 0: what is left is minus the terms where it equals one of them.
    So does the index of a diagonal entry that stands in no other, the trace being 0.
    """
    entries = list(zip(product[::2], product[1::2], strict=True))
    indices = set(product)
    for index in indices:
        if product.count(index) == 1 or (product.count(index) == 2 and (index, index) in entries):
            found = Counter[Kind]()
            for other in indices - {index}:
                found.subtract(_in_kinds(tuple(other if place == index else place for place in product)))
            return found
    return Counter([(len(indices), sum(i == j for i, j in entries))])


@cache
def _distinct_sums(n_entries: int) -> Counter[tuple[int, tuple[int, ...]]]:
    """Return, of every partition of the index slots of some entries, how many different indices it has and its sum.

    The sum as a coefficient for each kind. Counted: most partitions are others with their indices renamed.
    """
    found = Counter[tuple[int, tuple[int, ...]]]()
    for product in _set_partitions(2 * n_entries):
        in_kinds = _in_kinds(product)
        found[len(set(product)), tuple(in_kinds[kind] for kind in _KINDS[n_entries])] += 1
    return found


@cache
def _weights(n_examples: int, n_entries: int) -> Float64:
    """Return A with E[T^k] = v'Aw of traceless matrices, v and w their averages of the kinds of k entries; k = 2, 3.

    E[T^k] = Σ S(V) S(W)/(n)_b over the partitions of the 2k index slots: S the sum over different indices, b how many
    there are, (n)_b = n(n−1)...(n−b+1). In exact fractions: floats would lose digits where the terms cancel.
    """
    n, kinds = n_examples, _KINDS[n_entries]
    n_terms = np.array([math.perm(n, n_indices) for n_indices, _ in kinds], object)  # beyond int64
    weights = np.full((len(kinds), len(kinds)), Fraction(0))
    for (n_indices, coefficients), count in _distinct_sums(n_entries).items():
        if n_indices <= n:  # more different indices than examples: an empty sum
            weights += np.multiply.outer(coefficients, coefficients) * Fraction(count, math.perm(n, n_indices))
    return np.asarray(weights * np.multiply.outer(n_terms, n_terms), np.float64)
