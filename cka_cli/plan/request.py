"""What is wanted of which layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from cka_cli.arrays import Indices
from cka_cli.errors import DataError, UsageError
from cka_cli.layers.selection import SelectedFile, SelectedLayer, read_groups
from cka_cli.measures.registry import MEASURES
from cka_cli.options import RunOptions
from cka_cli.reductions.folds import folds_of_rows
from cka_cli.reductions.kernels import KERNELS, needs_median
from cka_cli.reductions.source import compute_dtype
from cka_cli.specs import Spec, parse_kernel, parse_measure

# Below these sizes products are float64: they cost little, and a debiased value of few examples feels each rounding.
_LEAST_SINGLE_EXAMPLES = 256
_LEAST_SINGLE_PRODUCTS = 10**9


@dataclass(frozen=True, eq=False)
class Resampling:
    """Which rows are left out together, and how rows are paired at random.

    row_folds : shape (n_rows,), the fold of each row selected. row_groups : which rows depend on each other, and are
        permuted together; None when none do.
    """

    row_folds: Indices
    row_groups: Indices | None = None


@dataclass(frozen=True)
class Request:
    """What is wanted of which layers, and how it is to be done.

    x, y : the layers that stand in the rows and columns of the matrix; the same when X is compared with itself.
    seed : of the minibatch estimate and of counted permutations.
    resampling : for standard errors and p-values; None where they are not wanted.
    apart : for each layer the number of its file, where pairs within a file are not wanted; empty for all pairs.
    has_far_rows : whether a row was found to lie so far out that products of features lose the digits of debiased
        values, which no header tells.
    """

    layers: Sequence[SelectedLayer]
    x: slice
    y: slice
    measures: Sequence[Spec]
    kernels: Sequence[Spec]
    run: RunOptions
    seed: int = 0
    apart: tuple[int, ...] = ()
    resampling: Resampling | None = None
    has_far_rows: bool = False

    @cached_property
    def n_examples(self) -> int:
        """Rows of every layer."""
        return self.layers[0].n_examples

    @cached_property
    def n_x(self) -> int:
        """Layers in the rows of the matrix."""
        return len(self.layers[self.x])

    @cached_property
    def n_y(self) -> int:
        """Layers in the columns of the matrix."""
        return len(self.layers[self.y])

    @cached_property
    def gram_measures(self) -> list[Spec]:
        """The measures of Gram matrices."""
        return [spec for spec in self.measures if MEASURES[spec.name].takes_kernel]

    @cached_property
    def pair_measures(self) -> list[Spec]:
        """The measures of the CCA family."""
        return [spec for spec in self.measures if not MEASURES[spec.name].takes_kernel]

    @cached_property
    def gram_kernels(self) -> Sequence[Spec]:
        """The kernels by which Gram matrices are wanted: none without a measure of them."""
        return self.kernels if self.gram_measures else ()

    @cached_property
    def n_by_median(self) -> int:
        """How many kernels have a width that is a share of the median distance."""
        return sum(map(needs_median, self.gram_kernels))

    @cached_property
    def is_linear_only(self) -> bool:
        """Whether the linear kernel alone is wanted."""
        return bool(self.gram_kernels) and all(KERNELS[spec.name].is_linear for spec in self.gram_kernels)

    @cached_property
    def needs_columns(self) -> bool:
        """Whether a measure weighs by features, so that factors must hold them."""
        return any(MEASURES[spec.name].needs_columns for spec in self.measures)

    @cached_property
    def has_unbiased(self) -> bool:
        """Whether a measure takes the unbiased estimator of HSIC."""
        return any(MEASURES[spec.name].is_unbiased for spec in self.gram_measures)

    @cached_property
    def needs_unit_rows(self) -> bool:
        """Whether a kernel is of rows brought to length 1."""
        return any(KERNELS[spec.name].needs == "unit" for spec in self.gram_kernels)

    @cached_property
    def needs_double(self) -> bool:
        """Whether tiles of a kernel are float64 whatever the layers."""
        return any(not KERNELS[spec.name].keeps_single for spec in self.gram_kernels)

    @cached_property
    def n_folds(self) -> int:
        """Folds of the examples, whose Gram sums are kept apart for standard errors; 0 for none."""
        return int(self.resampling.row_folds.max()) + 1 if self.resampling and self.gram_measures else 0

    @cached_property
    def is_square(self) -> bool:
        """Whether the same layers stand in the rows and the columns, so that every pair stands there both ways."""
        return self.x == self.y

    @cached_property
    def widths(self) -> list[int]:
        """Features of each layer."""
        return [layer.n_features for layer in self.layers]

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

        Rounding of single entries averages out over many of them, so `auto` leaves float32 to large jobs; never to a
        kernel in which small rows count as much as others.
        """
        n_products = self.n_examples**2 * sum(self.widths)
        is_small = self.n_examples < _LEAST_SINGLE_EXAMPLES or n_products < _LEAST_SINGLE_PRODUCTS
        has_small_rows = any(KERNELS[spec.name].weighs_rows_alike for spec in self.gram_kernels)
        if has_small_rows or (self.run.precision == "auto" and is_small):
            return np.dtype(np.float64)
        dtypes = [compute_dtype(layer.dtype, self.run.precision) for layer in self.layers]
        return max(dtypes, key=lambda each: each.itemsize)

    @property
    def n_value_bytes(self) -> int:
        """Bytes of a value in products."""
        return self.dtype.itemsize

    @cached_property
    def groups_of_examples(self) -> Indices | None:
        """Which examples depend on each other, as typed or as positions of one image; None when none do."""
        assert self.resampling is not None
        groups, n_positions = self.resampling.row_groups, self.layers[0].n_positions
        if groups is None and n_positions > 1:
            groups = np.arange(len(self.resampling.row_folds))
        return None if groups is None else np.repeat(groups, n_positions)


def make_request(
    files: Sequence[SelectedFile],
    x: slice,
    y: slice,
    measures: Sequence[str],
    kernels: Sequence[str],
    run: RunOptions,
    seed: int,
) -> Request:
    """Return what is wanted of the layers of these files; UsageError or DataError where it cannot be had.

    measures, kernels : as typed.
    """
    measure_specs = list(dict.fromkeys(parse_measure(text) for text in measures))
    kernel_specs = list(dict.fromkeys(parse_kernel(text) for text in kernels))
    if not measure_specs or not kernel_specs:
        raise UsageError("--measure, --kernel: one of them has no name; give at least one of each")
    layers = [layer for file in files for layer in file.layers]
    check_enough_examples(layers[0], measure_specs)
    y = slice(y.start, len(layers))
    request = Request(
        layers, x, y, measure_specs, kernel_specs, run, seed, resampling=_resampling(files[0], run)
    )  # fmt: skip
    _check_batch(request)
    return request


def _resampling(file: SelectedFile, run: RunOptions) -> Resampling | None:
    if not run.stats:
        if run.permutations is not None or run.groups is not None:
            raise UsageError("--permutations, --groups: say how statistics are found; give --stats too")
        return None
    if run.permutations is not None and run.n_batch is not None:
        raise UsageError("--permutations: the minibatch estimate has no p-values; leave out --batch")
    groups = None if run.groups is None else read_groups(file, run.groups)
    return Resampling(folds_of_rows(len(file.layers[0].rows), groups), groups)


def _check_batch(request: Request) -> None:
    n_batch, n_passes = request.run.n_batch, request.run.n_passes
    if n_batch is None:
        if n_passes != 1:
            raise UsageError(f"--passes {n_passes}: are of the minibatch estimate; give --batch too, or leave it out")
        return
    from cka_cli.reductions.minibatch import LEAST_BATCH

    if n_batch < LEAST_BATCH:
        raise UsageError(f"--batch {n_batch}: a batch has at least {LEAST_BATCH} examples; give {LEAST_BATCH} or more")
    if n_passes < 1:
        raise UsageError(f"--passes {n_passes}: too few; give 1 or more")
    if request.pair_measures:
        name = request.pair_measures[0].name
        raise UsageError(f"--batch: {name} has no minibatch estimate; leave it out, or leave out --batch")


def check_enough_examples(layer: SelectedLayer, specs: Sequence[Spec]) -> None:
    """Raise DataError when a layer has fewer examples than one of the measures needs."""
    for spec in specs:
        needed = MEASURES[spec.name].min_examples
        if layer.n_examples < needed:
            raise DataError(
                f"{layer.label}: {layer.n_examples} examples, but {spec.name} needs at least {needed}; give more rows"
            )
