"""The minibatch estimate: HSIC of batches of shuffled examples, averaged over all batches before the ratio is taken.

Nguyen, Raghu, Kornblith (2021), arXiv 2010.15327. Only the tiles on the diagonal of a shuffled order are formed, so the
cost grows with n_examples × n_batch and not with n_examples². The ratio of averages is close to the exact value;
an average of each batch's CKA, another thing, is not.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from cka_cli.arrays import Array, Float64, Indices
from cka_cli.bandwidth import median_of_batches
from cka_cli.centred import CentredLayer
from cka_cli.hsic import GramSums
from cka_cli.threads import in_order
from cka_cli.tiles import NO_TERMS, GramJob, GramLayer, row_terms_of, tile_inputs, tile_of_all_layers

LEAST_BATCH = 4


class BatchSums:
    """HSIC of every batch, read as their average: what `GramSums` is for all examples at once."""

    def __init__(self, of_batches: Sequence[GramSums]):
        self.x, self.y = of_batches[0].x, of_batches[0].y
        self._of_batches = of_batches

    def biased(self) -> tuple[Float64, Float64]:
        """Return the average over batches of `GramSums.biased`."""
        return _average([sums.biased() for sums in self._of_batches])

    def unbiased(self) -> tuple[Float64, Float64]:
        """Return the average over batches of `GramSums.unbiased`."""
        return _average([sums.unbiased() for sums in self._of_batches])

    def rounding(self, *, is_unbiased: bool) -> Float64:
        """Return the HSIC of each layer with itself that rounding alone may leave, shape (n_layers,)."""
        return np.asarray(np.mean([sums.rounding(is_unbiased=is_unbiased) for sums in self._of_batches], axis=0))


def _average(pairs: list[tuple[Float64, Float64]]) -> tuple[Float64, Float64]:
    cross, norms = zip(*pairs, strict=True)
    return np.mean(cross, axis=0), np.mean(norms, axis=0)


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
    job: GramJob, orders: Sequence[Indices], n_batch: int, n_threads: int, progress: Callable[[int, int], None]
) -> tuple[GramJob, list[BatchSums]]:
    """Return the batch sums of every kernel of the job, and the job with the medians that its kernels needed.

    A width that is a share of the median distance takes the median over the pairs within the batches of the first pass.
    Cost: n_batch/n_examples of the exact value's multiplications for each pass.
    """
    if any(spec.get("sigma") is not None for spec in job.kernels):
        first = batches_of(orders[:1], n_batch)
        job = replace(job, layers=list(in_order(lambda layer: _with_median(layer, first), job.layers, n_threads)))
    batches = batches_of(orders, n_batch)
    of_batches = []
    for done, sums in enumerate(in_order(lambda rows: _sums_of(job, rows), batches, n_threads), start=1):
        of_batches.append(sums)
        progress(done, len(batches))
    return job, [BatchSums(of_kernel) for of_kernel in zip(*of_batches, strict=True)]


def _gathered(layer: GramLayer, rows: Indices) -> GramLayer:
    """Return some rows of a layer, in memory."""
    values: Array = np.concatenate([part for _, part in layer.source.slices_of(rows)], axis=1)
    source = layer.source
    gathered = CentredLayer(source.label, values, source.mean, source.scale, source.is_constant)
    row_terms = NO_TERMS if layer.row_terms is NO_TERMS else row_terms_of(gathered, slice(0, len(rows)))
    return GramLayer(gathered, layer.terms, row_terms)


def _sums_of(job: GramJob, rows: Indices) -> list[GramSums]:
    everything = slice(0, len(rows))
    of_batch = replace(job, layers=[_gathered(layer, rows) for layer in job.layers], n_rows=len(rows))
    tile = tile_of_all_layers(of_batch, (everything, everything))
    result = []
    for of_kernel in tile.sums:
        sums = GramSums(np.zeros(len(job.layers)), len(rows), job.x, job.y)
        sums.add(of_kernel)
        result.append(sums)
    return result


def _with_median(layer: GramLayer, batches: Sequence[Indices]) -> GramLayer:
    if layer.source.is_constant:
        return layer
    distances = []
    for rows in batches:
        everything = slice(0, len(rows))
        inputs, _, _ = tile_inputs(_gathered(layer, rows), (everything, everything), frozenset({"distances"}))
        distances.append(inputs["distances"][np.triu_indices(len(rows), 1)])
    median = median_of_batches(np.concatenate(distances), layer.source.n_examples)
    return replace(layer, terms=replace(layer.terms, typical_distance=median))
