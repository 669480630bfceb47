"""p-values: could rows paired at random give as much?

Without counting, by the exact mean and variance over all permutations of the rows and a skewness from a sample of the
rows: a Pearson III law. Or by counting random permutations, the same ones for all layers, so that the largest value of
a search over many pairs can be judged too.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from cka_cli.arrays import Float64, Indices
from cka_cli.errors import DataError
from cka_cli.execution.checkpoint import Checkpoint
from cka_cli.execution.threads import in_order
from cka_cli.reductions.gram_sums import GramSums
from cka_cli.reductions.hsic import centred_gram, cka, u_centred_gram
from cka_cli.reductions.kernel_inputs import GramLayer, gram_matrix
from cka_cli.specs import Spec
from cka_cli.system.memory import shown_memory
from cka_cli.system.progress import Count, Meter, Progress, uncounted
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
_MIB = 1 << 20


@dataclass(frozen=True)
class Counted:
    """p-values of every pair by counted permutations, alone and as the largest of all pairs."""

    p_value: Float64
    p_value_of_max: Float64


@dataclass(frozen=True)
class ByLaw:
    """p-values of every pair by the Pearson III law.

    heavy : places of the layers in which a few examples outweigh the rest. Of a pair of them the p-value may be several
    times too small.
    """

    p_value: Float64
    heavy: set[int]


def p_values_by_law(
    layers: Sequence[GramLayer], spec: Spec, sums: GramSums, *, is_unbiased: bool, n_threads: int
) -> ByLaw:
    """Return the p-value of CKA, and of HSIC, of every pair, shape (n_x_layers, n_y_layers); NaN where it has none."""
    n, (x, y) = sums.n_examples, (sums.x, sums.y)
    rows = np.arange(n)
    if n > _N_FEW_ROWS:
        rows = np.sort(np.random.default_rng(_SAMPLE_SEED).choice(n, _N_SAMPLE_ROWS, replace=False))
    centre = u_centred_gram if is_unbiased else centred_gram
    of_rows = stack(
        list(in_order(lambda layer: invariants_of(centre(gram_matrix(layer, rows, spec))), layers, n_threads))
    )
    cross, norms = sums.unbiased() if is_unbiased else sums.biased()
    values = cka(cross, norms[x], norms[y])
    of_all = _invariants_of_sums(sums, norms, is_unbiased=is_unbiased).with_cubes_of(of_rows)
    moments = permutation_moments(_part(of_all, x), _part(of_all, y))
    p_value = np.asarray(np.maximum(pearson_iii_p_value(values, *moments), least_p_value(n)))
    return ByLaw(p_value, _heavy_layers(sums))


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


def check_counting(n_examples: int, n_layers: int, n_y_layers: int, memory_bytes: int, n_threads: int) -> int:
    """Return the bytes that `counted_p_values` takes; raise DataError that names them when they are too many."""
    needed = 8 * n_examples**2 * (2 * n_layers + (1 + n_y_layers) * n_threads)
    if needed > memory_bytes:
        raise DataError(
            f"--memory {shown_memory(memory_bytes)}: too little to count permutations (the Gram matrices of all layers "
            f"stay in memory); give at least --memory {-(-needed // _MIB) + 1}MiB, fewer examples (--sample), or no "
            "--permutations"
        )
    return needed


def counted_p_values(
    layers: Sequence[GramLayer],
    spec: Spec,
    pairings: Iterator[Indices],
    n_permutations: int,
    x: slice,
    y: slice,
    *,
    is_unbiased: bool,
    n_threads: int,
    progress: Progress,
    checkpoint: Checkpoint,
) -> Counted:
    """Return p-values by counting the permutations that give as much CKA, or HSIC, or more.

    Holds the Gram matrices of all layers. Cost: n² multiplications for each pair and permutation.
    """
    n = layers[0].source.n_examples
    centre = u_centred_gram if is_unbiased else centred_gram
    everything = np.arange(n)
    meter = Meter(partial(progress, "preparing permutations"), 2 * len(layers))

    def centred(layer: GramLayer) -> Float64:
        gram = gram_matrix(layer, everything, spec)
        meter.add(1)
        gram = _of_unit_norm(centre(gram))
        meter.add(1)
        return gram

    grams = list(in_order(centred, layers, n_threads))
    rows, columns = np.triu_indices(n, 1)
    x_above = np.stack([gram[rows, columns] for gram in grams[x]])
    x_diagonals, y_diagonals = (np.stack([np.diagonal(gram) for gram in grams[side]]) for side in (x, y))

    def similarities(order: Indices, count: Count = uncounted) -> Float64:
        places = order[rows] * n + order[columns]
        above = np.empty((len(grams[y]), len(places)))
        for of_layer, gram in zip(above, grams[y], strict=True):
            of_layer[...] = gram.take(places)
            count(1)
        result = 2 * x_above @ above.T + x_diagonals @ y_diagonals[:, order].T
        count(1)
        return np.asarray(result)

    observed = similarities(everything) - _TIE
    n_at_least, n_max, n_done = np.zeros(observed.shape), np.zeros(observed.shape), np.zeros(1, np.int64)
    stage, state = f"permutations {spec} {is_unbiased}", {"alone": n_at_least, "max": n_max, "n_done": n_done}
    checkpoint.restore(stage, state)
    n_steps = len(grams[y]) + 1
    meter = Meter(partial(progress, "permuting"), n_steps * n_permutations, n_steps * int(n_done[0]))
    left = islice(pairings, int(n_done[0]), n_permutations)
    for result in in_order(lambda order: similarities(order, meter.add), left, n_threads):
        with checkpoint.adding(stage, lambda: state):
            n_at_least += result >= observed
            n_max += np.nanmax(result, initial=-np.inf) >= observed
            n_done += 1
    is_missing = np.isnan(observed)
    p_value, of_max = (counted_p_value(count, n_permutations) for count in (n_at_least, n_max))
    return Counted(np.where(is_missing, np.nan, p_value), np.where(is_missing, np.nan, of_max))


def _of_unit_norm(gram: Float64) -> Float64:
    largest = float(np.abs(gram).max())
    if not 0 < largest < np.inf:
        return np.full_like(gram, np.nan)
    gram /= largest
    gram /= np.sqrt((gram**2).sum())
    return gram
