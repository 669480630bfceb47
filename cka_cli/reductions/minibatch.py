"""The minibatch estimate: HSIC of batches of shuffled examples, averaged over all batches before the ratio is taken.

Nguyen, Raghu, Kornblith (2021), arXiv 2010.15327. Only the tiles on the diagonal of a shuffled order are formed, so the
cost grows with n_examples × n_batch and not with n_examples². The ratio of averages is close to the exact value;
an average of each batch's CKA, another thing, is not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cka_cli.arrays import Array, Float64, Indices
from cka_cli.reductions.folds import N_FOLDS
from cka_cli.reductions.gram_sums import GramSums
from cka_cli.reductions.gram_tiles import TileFunction, TileTask
from cka_cli.reductions.kernel_inputs import GramLayer, gathered
from cka_cli.reductions.protocol import Reduction
from cka_cli.specs import Spec

LEAST_BATCH = 4


class _Sum:
    """What `GramSums` of some batches say of HSIC, added up: by name, and by whether it is unbiased."""

    def __init__(self, n_layers: int, shape: tuple[int, int]):
        self.arrays: dict[str, Array] = {"counts": np.zeros(1, np.int64), "expected": np.zeros(shape)}
        for name, size in (("cross", shape), ("norms", n_layers), ("rounding", n_layers)):
            self.arrays |= {f"{name} {is_unbiased}": np.zeros(size) for is_unbiased in (True, False)}

    @property
    def n_batches(self) -> int:
        return int(self.arrays["counts"][0])

    def add(self, sums: GramSums) -> None:
        self.arrays["counts"] += 1
        self.arrays["expected"] += sums.expected()
        # Fewer than 4 examples in all have no unbiased estimate: it is infinite or NaN.
        for is_unbiased, (cross, norms) in ((True, sums.unbiased()), (False, sums.biased())):
            self.arrays[f"cross {is_unbiased}"] += cross
            self.arrays[f"norms {is_unbiased}"] += norms
            self.arrays[f"rounding {is_unbiased}"] += sums.rounding(is_unbiased=is_unbiased)


class BatchSums:
    """HSIC of every batch, read as their average over batches: what `GramSums` is for all examples at once.

    of_passes : the sums of a few groups of batches in each pass; the batches of one pass have no example in common.
    """

    def __init__(self, of_passes: Sequence[Sequence[_Sum]], x: slice, y: slice):
        self.x, self.y, self.of_passes = x, y, of_passes
        self._sums = [group for of_pass in of_passes for group in of_pass]

    def _average(self, name: str) -> Float64:
        n_batches = sum(group.n_batches for group in self._sums)
        return np.asarray(sum(group.arrays[name] for group in self._sums) / n_batches)

    def biased(self) -> tuple[Float64, Float64]:
        return self._average("cross False"), self._average("norms False")

    def unbiased(self) -> tuple[Float64, Float64]:
        return self._average("cross True"), self._average("norms True")

    def expected(self) -> Float64:
        return self._average("expected")

    def rounding(self, *, is_unbiased: bool) -> Float64:
        return self._average(f"rounding {is_unbiased}")


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


class Batch(NamedTuple):
    """A task: the examples of a batch, in which pass and in which group of its batches it is."""

    number: int
    group: int
    rows: Indices


@dataclass(frozen=True, eq=False)
class BatchFunction:
    """The Gram sums of each kernel over the examples of one batch."""

    layers: Sequence[GramLayer]
    kernels: Sequence[Spec]
    x: slice
    y: slice

    def __call__(self, batch: Batch) -> list[GramSums]:
        layers = [gathered(layer, batch.rows) for layer in self.layers]
        everything = slice(0, len(batch.rows))
        tile = TileFunction(layers, self.kernels, self.x, self.y)(TileTask(everything, everything))
        result = [GramSums(len(layers), len(batch.rows), self.x, self.y) for _ in tile.sums]
        for sums, of_kernel in zip(result, tile.sums, strict=True):
            sums.add(of_kernel)
        return result


class Minibatch(Reduction[Batch, list[GramSums]]):
    """The batch sums of every kernel. Cost: n_batch/n_examples of the exact value's multiplications for each pass."""

    name = "batches"
    stage = "comparing"

    def __init__(self, function: BatchFunction, orders: Sequence[Indices], n_batch: int):
        self.compute = function
        in_passes = [batches_of([order], n_batch) for order in orders]
        n_in_pass = len(in_passes[0])
        n_groups = min(N_FOLDS, n_in_pass)
        self._tasks = [
            Batch(number, place * n_groups // n_in_pass, rows)
            for number, batches in enumerate(in_passes)
            for place, rows in enumerate(batches)
        ]
        self._costs = [len(batch.rows) ** 2 for batch in self._tasks]
        layers = range(len(function.layers))
        shape = (len(layers[function.x]), len(layers[function.y]))
        self._sums = [[[_Sum(len(layers), shape) for _ in range(n_groups)] for _ in orders] for _ in function.kernels]

    def add(self, partial: list[GramSums]) -> None:
        batch = self._tasks[self.n_added]
        for of_kernel, sums in zip(self._sums, partial, strict=True):
            of_kernel[batch.number][batch.group].add(sums)
        self.n_added += 1

    def state(self) -> dict[str, Array]:
        return {
            f"{kernel} {number} {group} {name}": values
            for kernel, of_kernel in enumerate(self._sums)
            for number, of_pass in enumerate(of_kernel)
            for group, sums in enumerate(of_pass)
            for name, values in sums.arrays.items()
        }

    def sums(self) -> list[BatchSums]:
        """Return the sums of each kernel."""
        return [BatchSums(of_kernel, self.compute.x, self.compute.y) for of_kernel in self._sums]
