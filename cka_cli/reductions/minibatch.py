"""The minibatch estimate: HSIC of batches of shuffled examples, averaged over all batches before the ratio is taken.

Nguyen, Raghu, Kornblith (2021), arXiv 2010.15327. Only the tiles on the diagonal of a shuffled order are formed, so the
cost grows with n_examples × n_batch and not with n_examples². The ratio of averages is close to the exact value;
an average of each batch's CKA, another thing, is not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from cka_cli.arrays import Array, Float64, Indices
from cka_cli.execution.checkpoint import Checkpoint
from cka_cli.execution.threads import in_order
from cka_cli.plan.costs import DISTANCES, MEDIAN_OF_BATCH, n_entries, work_of_inputs
from cka_cli.reductions.folds import N_FOLDS
from cka_cli.reductions.gram_sums import GramSums
from cka_cli.reductions.gram_tiles import GramJob, tile_of_all_layers, tile_work
from cka_cli.reductions.kernel_inputs import GramLayer, Tile, gathered, tile_inputs
from cka_cli.reductions.median_distance import median_of_batches
from cka_cli.system.progress import Count, Meter, Report

LEAST_BATCH = 4
_STAGE = "batches"  # of a checkpoint


class _Sum:
    """What `GramSums` of some batches say of HSIC, added up."""

    def __init__(self, n_layers: int, shape: tuple[int, int]):
        self.counts = np.zeros(1, np.int64)
        self.cross = {True: np.zeros(shape), False: np.zeros(shape)}  # by: is it the unbiased estimator?
        self.norms = {True: np.zeros(n_layers), False: np.zeros(n_layers)}
        self.rounding = {True: np.zeros(n_layers), False: np.zeros(n_layers)}
        self.expected = np.zeros(shape)

    @property
    def n_batches(self) -> int:
        """How many batches were added."""
        return int(self.counts[0])

    def arrays(self) -> dict[str, Array]:
        """Return all sums, by name."""
        of_estimators = {
            f"{name} {is_unbiased}": values
            for name, sums in (("cross", self.cross), ("norms", self.norms), ("rounding", self.rounding))
            for is_unbiased, values in sums.items()
        }
        return {"counts": self.counts, "expected": self.expected, **of_estimators}

    def add(self, sums: GramSums) -> None:
        self.counts += 1
        self.expected += sums.expected()
        # Fewer than 4 examples in all have no unbiased estimate: it is infinite or NaN.
        for is_unbiased, (cross, norms) in ((True, sums.unbiased()), (False, sums.biased())):
            self.cross[is_unbiased] += cross
            self.norms[is_unbiased] += norms
            self.rounding[is_unbiased] += sums.rounding(is_unbiased=is_unbiased)


class BatchSums:
    """HSIC of every batch, read as their average: what `GramSums` is for all examples at once.

    of_passes : the sums of a few groups of batches in each pass; the batches of one pass have no example in common.
    """

    def __init__(self, of_passes: Sequence[Sequence[_Sum]], x: slice, y: slice):
        self.x, self.y, self.of_passes = x, y, of_passes
        self._sums = [group for of_pass in of_passes for group in of_pass]
        self._n_batches = sum(group.n_batches for group in self._sums)

    def _average(self, parts: Iterable[Float64]) -> Float64:
        return np.asarray(sum(parts) / self._n_batches)

    def biased(self) -> tuple[Float64, Float64]:
        """Return the average over batches of `GramSums.biased`."""
        return self._estimate(is_unbiased=False)

    def unbiased(self) -> tuple[Float64, Float64]:
        """Return the average over batches of `GramSums.unbiased`."""
        return self._estimate(is_unbiased=True)

    def _estimate(self, *, is_unbiased: bool) -> tuple[Float64, Float64]:
        cross = self._average(group.cross[is_unbiased] for group in self._sums)
        return cross, self._average(group.norms[is_unbiased] for group in self._sums)

    def expected(self) -> Float64:
        """Return the average over batches of `GramSums.expected`."""
        return self._average(group.expected for group in self._sums)

    def rounding(self, *, is_unbiased: bool) -> Float64:
        """Return the HSIC of each layer with itself that rounding alone may leave, shape (n_layers,)."""
        return self._average(group.rounding[is_unbiased] for group in self._sums)


def shuffled_orders(n_examples: int, n_passes: int, seed: int) -> list[Indices]:
    """Return the order in which each pass takes the examples."""
    random = np.random.default_rng(seed)
    return [random.permutation(n_examples) for _ in range(n_passes)]


def batches_of(orders: Sequence[Indices], n_batch: int) -> list[Indices]:
    """Return the examples of each batch, without replacement; a last batch below 4 is joined to the one before."""
    batches = []
    for order in orders:
        ends = list(range(n_batch, len(order) - LEAST_BATCH + 1, n_batch))
        batches += np.split(order, ends)
    return batches


def batch_sums(
    job: GramJob,
    orders: Sequence[Indices],
    n_batch: int,
    n_threads: int,
    report: Report,
    checkpoint: Checkpoint,
) -> tuple[GramJob, list[BatchSums]]:
    """Return the batch sums of every kernel of the job, and the job with the medians that its kernels needed.

    report : called with the work done and all there is.
    A width that is a share of the median distance takes the median over the pairs within the batches of the first pass.
    Cost: n_batch/n_examples of the exact value's multiplications for each pass.
    """
    batches = [rows for order in orders for rows in batches_of([order], n_batch)]
    n_in_pass = len(batches) // len(orders)
    n_groups = min(N_FOLDS, n_in_pass)
    shape = (len(range(len(job.layers))[job.x]), len(range(len(job.layers))[job.y]))
    all_sums = [[[_Sum(len(job.layers), shape) for _ in range(n_groups)] for _ in orders] for _ in job.kernels]
    state = {
        f"{kernel} {number} {group} {name}": values
        for kernel, of_kernel in enumerate(all_sums)
        for number, of_pass in enumerate(of_kernel)
        for group, sums in enumerate(of_pass)
        for name, values in sums.arrays().items()
    }
    state["n_added"] = np.zeros(1, np.int64)
    checkpoint.restore(_STAGE, state)
    n_before, by_median = int(state["n_added"][0]), any(spec.get("sigma") is not None for spec in job.kernels)
    first = batches_of(orders[:1], n_batch) if by_median else []
    of_medians = sum(_median_work(layer, rows) for layer in job.layers for rows in first)
    of_batches = [tile_work(job, _tile_of(rows)) for rows in batches]
    meter = Meter(report, of_medians + sum(of_batches), sum(of_batches[:n_before]))
    if by_median:
        job = replace(
            job, layers=list(in_order(lambda layer: _with_median(layer, first, meter.add), job.layers, n_threads))
        )
    results = in_order(lambda rows: _sums_of(job, rows, meter.add), batches[n_before:], n_threads)
    for place, of_kernels in enumerate(results, start=n_before):
        number, in_pass = divmod(place, n_in_pass)
        with checkpoint.adding(_STAGE, lambda: state):
            for of_kernel, sums_of_batch in zip(all_sums, of_kernels, strict=True):
                of_kernel[number][in_pass * n_groups // n_in_pass].add(sums_of_batch)
            state["n_added"] += 1
    return job, [BatchSums(of_kernel, job.x, job.y) for of_kernel in all_sums]


def _tile_of(rows: Indices) -> Tile:
    """Return the one tile of a batch, whose rows have been put side by side."""
    return slice(0, len(rows)), slice(0, len(rows))


def _median_work(layer: GramLayer, rows: Indices) -> float:
    """Return the work of the distances of one layer in one batch, and of finding their median."""
    if layer.source.is_constant:
        return 0.0
    tile = _tile_of(rows)
    return work_of_inputs(layer, tile, DISTANCES) + MEDIAN_OF_BATCH * n_entries(tile)


def _sums_of(job: GramJob, rows: Indices, count: Count) -> list[GramSums]:
    of_batch = replace(job, layers=[gathered(layer, rows) for layer in job.layers], n_rows=len(rows))
    tile = tile_of_all_layers(of_batch, _tile_of(rows), count=count)
    result = []
    for of_kernel in tile.sums:
        sums = GramSums(len(job.layers), len(rows), job.x, job.y)
        sums.add(of_kernel)
        result.append(sums)
    return result


def _with_median(layer: GramLayer, batches: Sequence[Indices], count: Count) -> GramLayer:
    if layer.source.is_constant:
        return layer
    distances = []
    for rows in batches:
        inputs, _, _ = tile_inputs(gathered(layer, rows), _tile_of(rows), DISTANCES)
        distances.append(inputs["distances"][~np.tri(len(rows), dtype=bool)])
        count(_median_work(layer, rows))
    median = median_of_batches(np.concatenate(distances), layer.source.n_examples)
    return replace(layer, terms=replace(layer.terms, typical_distance=median))
