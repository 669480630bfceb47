"""Carries out a plan: from selected layers to Gram sums and factors. Progress by callback; nothing is printed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from cka_cli.activations import SelectedLayer
from cka_cli.arrays import Float64
from cka_cli.batches import BatchSums, batch_sums, shuffled_orders
from cka_cli.cca import FactorPair
from cka_cli.centred import CentredLayer, Source, compute_dtype, load_centred, survey
from cka_cli.factors import Factors, factorise
from cka_cli.features import feature_sums
from cka_cli.hsic import GramSums
from cka_cli.kernels import KERNELS
from cka_cli.measures import MEASURES, values_from_sums
from cka_cli.names import Spec
from cka_cli.plan import Job, LayerShape, Plan
from cka_cli.threads import in_order
from cka_cli.tiles import GramJob, gram_scales, gram_sums, has_gram, prepare

# Called with the stage, and how much of it is done of how much in all.
Progress = Callable[[str, int, int], None]
# Below these sizes products are float64: they cost little, and a debiased value of few examples feels each rounding.
_LEAST_SINGLE_EXAMPLES = 256
_LEAST_SINGLE_PRODUCTS = 10**9


@dataclass(frozen=True)
class Task:
    """What is wanted of which layers.

    x, y : the layers that stand in the rows and columns of the matrix; the same when X is compared with itself.
    n_batch, n_passes, seed : of the minibatch estimate; None for the exact value.
    apart : for each layer the number of its file, where pairs within a file are not wanted; empty for all pairs.
    """

    layers: Sequence[SelectedLayer]
    x: slice
    y: slice
    measures: Sequence[Spec]
    kernels: Sequence[Spec]
    precision: str = "auto"
    n_batch: int | None = None
    n_passes: int = 1
    seed: int = 0
    apart: tuple[int, ...] = ()

    @property
    def gram_measures(self) -> list[Spec]:
        """The measures of Gram matrices."""
        return [spec for spec in self.measures if MEASURES[spec.name].takes_kernel]

    @property
    def pair_measures(self) -> list[Spec]:
        """The measures of the CCA family."""
        return [spec for spec in self.measures if not MEASURES[spec.name].takes_kernel]

    @property
    def is_square(self) -> bool:
        """Whether the same layers stand in the rows and the columns, so that every pair stands there both ways."""
        return self.x == self.y

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Row and column of the pairs wanted, once where they stand in the matrix both ways."""
        rows, columns = range(len(self.layers[self.x])), range(len(self.layers[self.y]))
        return [
            (row, column)
            for row, column in product(rows, columns)
            if not (self.is_square and column < row) and not (self.apart and self.apart[row] == self.apart[column])
        ]

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of products: one for all, since tiles of all layers are multiplied with each other.

        Rounding of single entries averages out over many of them, so `auto` leaves float32 to large jobs.
        """
        n_examples = self.layers[0].n_examples
        n_products = n_examples**2 * sum(layer.n_features for layer in self.layers)
        is_small = n_examples < _LEAST_SINGLE_EXAMPLES or n_products < _LEAST_SINGLE_PRODUCTS
        if self.precision == "auto" and is_small:
            return np.dtype(np.float64)
        dtypes = [compute_dtype(layer.dtype, self.precision) for layer in self.layers]
        return max(dtypes, key=lambda each: each.itemsize)

    def job(self) -> Job:
        """Return what the plan must know."""
        kernels = self.kernels if self.gram_measures else []
        return Job(
            layers=[LayerShape(layer.n_features, layer.dtype.itemsize, layer.n_step) for layer in self.layers],
            n_examples=self.layers[0].n_examples,
            n_x=len(self.layers[self.x]),
            n_y=0 if self.is_square else len(self.layers[self.y]),
            n_kernels=len(kernels),
            n_by_median=sum(spec.get("sigma") is not None for spec in kernels),
            needs_double=any(not KERNELS[spec.name].keeps_single for spec in kernels),
            n_value_bytes=self.dtype.itemsize,
            is_linear_only=bool(kernels) and all(spec.name == "linear" for spec in kernels),
            needs_factors=bool(self.pair_measures),
            n_batch=self.n_batch,
            n_passes=self.n_passes,
        )


@dataclass
class Outcome:
    """The values of every measure and kernel, shape (n_x_layers, n_y_layers), and what must be said of layers.

    constant, saturated, saturated_y : labels of layers; the last of columns. crowded : pairs whose ranks add up to
        more than n−1. flat, without_width, overflowing : labels, by kernel.
    effective_dimensions : of every layer, (Σλ)²/Σλ² of its linear centred Gram matrix, shape (n_layers,); None when
        neither the linear kernel on all examples nor the CCA family was asked for.
    """

    values: dict[tuple[Spec, Spec | None], Float64] = field(default_factory=dict)
    constant: list[str] = field(default_factory=list)
    saturated: list[str] = field(default_factory=list)
    saturated_y: list[str] = field(default_factory=list)
    crowded: list[str] = field(default_factory=list)
    flat: dict[Spec, list[str]] = field(default_factory=dict)
    without_width: dict[Spec, list[str]] = field(default_factory=dict)
    overflowing: dict[Spec, list[str]] = field(default_factory=dict)
    effective_dimensions: Float64 | None = None


def run(task: Task, plan: Plan, progress: Progress) -> Outcome:
    """Return the values of a task, worked out as the plan says."""
    sources, factors = _open_sources(task, plan, progress)
    outcome = Outcome(constant=[source.label for source in sources if source.is_constant])
    if task.gram_measures:
        _add_gram_values(task, plan, sources, outcome, progress)
    if task.pair_measures:
        outcome.saturated = [each.label for each in factors if each.is_saturated and each.rank > 0]
        outcome.saturated_y = [each.label for each in factors[task.y] if each.label in outcome.saturated]
        x_factors, y_factors = factors[task.x], factors[task.y]
        outcome.crowded = [
            f"{x.label} and {y.label}"
            for x, y in ((x_factors[row], y_factors[column]) for row, column in task.pairs)
            if x.rank + y.rank > x.n_degrees and not (x.is_saturated or y.is_saturated) and x is not y
        ]
        _add_pair_values(task, plan, factors, outcome, progress)
        outcome.effective_dimensions = np.array([each.effective_dimension for each in factors])
    return outcome


def _open_sources(task: Task, plan: Plan, progress: Progress) -> tuple[list[Source], list[Factors]]:
    """Return the layers centred, in memory or ready to be read in pieces, and the factors of those that need them."""
    total = sum(layer.layer.n_bytes for layer in task.layers)
    done = [0]

    def count(n_bytes: int) -> None:
        done[0] += n_bytes
        progress("reading", min(done[0], total), total)

    def open_one(place: int) -> tuple[Source, Factors | None]:
        layer = task.layers[place]
        if not plan.in_memory:
            return survey(layer, task.dtype, plan.n_slices[place], count), None
        if not task.pair_measures:
            return load_centred(layer, task.dtype, count), None
        centred = load_centred(layer, np.dtype(np.float64), count)
        factors = factorise(layer.label, centred.values)
        if task.gram_measures:
            return centred.as_dtype(task.dtype), factors
        nothing = np.empty((layer.n_examples, 0))
        return CentredLayer(centred.label, nothing, centred.mean, centred.scale, centred.is_constant), factors

    opened = list(in_order(open_one, range(len(task.layers)), plan.n_threads))
    return [source for source, _ in opened], [factors for _, factors in opened if factors is not None]


def _add_gram_values(task: Task, plan: Plan, sources: Sequence[Source], outcome: Outcome, progress: Progress) -> None:
    all_sums, scales, lacking = _gram_sums(task, plan, sources, lambda done, of: progress("comparing", done, of))
    for kernel, sums, scale, without in zip(task.kernels, all_sums, scales, lacking, strict=True):
        if kernel.name == "linear" and isinstance(sums, GramSums):
            outcome.effective_dimensions = sums.effective_dimensions()
        flat, over = np.zeros(len(sources), bool), np.zeros(len(sources), bool)
        for spec in task.gram_measures:
            outcome.values[spec, kernel], is_flat, overflows = values_from_sums(MEASURES[spec.name], sums, scale)
            flat |= is_flat
            over |= overflows
        outcome.overflowing[kernel] = [source.label for source, beyond in zip(sources, over, strict=True) if beyond]
        varying = [source for source, is_flat in zip(sources, flat, strict=True) if is_flat and not source.is_constant]
        outcome.without_width[kernel] = [source.label for source in varying if source.label in without]
        outcome.flat[kernel] = [source.label for source in varying if source.label not in without]


def _gram_sums(
    task: Task, plan: Plan, sources: Sequence[Source], progress: Callable[[int, int], None]
) -> tuple[Sequence[GramSums | BatchSums], list[Float64], list[list[str]]]:
    """Return by kernel: the sums, what each Gram matrix was multiplied by, the labels of layers without a width."""
    if plan.route == "features":
        sums = feature_sums(sources, task.x, task.y, plan.n_tile_rows, plan.n_threads, progress)
        scales = np.array([0.0 if source.is_constant else source.scale for source in sources])
        return [sums] * len(task.kernels), [scales] * len(task.kernels), [[]] * len(task.kernels)
    several_tiles = plan.route == "batches" or (plan.in_memory and plan.n_tiles > 1)
    needs = frozenset(KERNELS[spec.name].needs for spec in task.kernels)
    layers = list(in_order(lambda source: prepare(source, needs), sources, plan.n_threads))
    job = GramJob(
        layers, task.kernels, task.x, task.y, plan.n_tile_rows, plan.keep_distances,
        tiles_at_once=plan.n_threads if several_tiles else 1, layers_at_once=1 if several_tiles else plan.n_threads,
    )  # fmt: skip
    all_sums: Sequence[GramSums | BatchSums]
    if task.n_batch is None:
        job, all_sums = gram_sums(job, progress)
    else:
        orders = shuffled_orders(job.n_examples, task.n_passes, task.seed)
        job, all_sums = batch_sums(job, orders, task.n_batch, plan.n_threads, progress)
    without = [[layer.source.label for layer in job.layers if not has_gram(layer, spec)] for spec in task.kernels]
    return all_sums, [gram_scales(job, spec) for spec in task.kernels], without


def _add_pair_values(task: Task, plan: Plan, factors: Sequence[Factors], outcome: Outcome, progress: Progress) -> None:
    """Work out the measures of every pair wanted; once for (x, y) and (y, x) where both stand in the matrix."""
    x, y, pairs, is_square = factors[task.x], factors[task.y], task.pairs, task.is_square

    def both_ways(pair: tuple[int, int]) -> list[tuple[float, float]]:
        joined = FactorPair(x[pair[0]], y[pair[1]])
        return [_pair_values(spec, joined, is_square=is_square) for spec in task.pair_measures]

    table = np.full((len(task.pair_measures), len(x), len(y)), np.nan)
    for done, ((row, column), values) in enumerate(
        zip(pairs, in_order(both_ways, pairs, plan.n_threads), strict=True), start=1
    ):
        for place, (value, reverse) in enumerate(values):
            table[place, row, column] = value
            if is_square and row != column:
                table[place, column, row] = reverse
        progress("comparing pairs", done, len(pairs))
    outcome.values |= {(spec, None): table[place] for place, spec in enumerate(task.pair_measures)}


def _pair_values(spec: Spec, pair: FactorPair, *, is_square: bool) -> tuple[float, float]:
    """Return the value of (x, y) and of (y, x), the latter only where it is wanted and another one."""
    measure = MEASURES[spec.name]
    assert measure.from_pair is not None
    value = measure.from_pair(pair, spec)
    if measure.is_symmetric or not is_square:
        return value, value
    return value, measure.from_pair(pair.reversed(), spec)
