"""What is wanted of which layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from cka_cli.arrays import Indices
from cka_cli.layers.selection import SelectedLayer
from cka_cli.measures.registry import MEASURES
from cka_cli.plan.workload import Job, LayerShape
from cka_cli.reductions.kernels import KERNELS
from cka_cli.reductions.source import compute_dtype
from cka_cli.specs import Spec

# Below these sizes products are float64: they cost little, and a debiased value of few examples feels each rounding.
_LEAST_SINGLE_EXAMPLES = 256
_LEAST_SINGLE_PRODUCTS = 10**9


@dataclass(frozen=True, eq=False)
class Resampling:
    """Which rows are left out together, and how rows are paired at random.

    row_folds : shape (n_rows,), the fold of each row selected. row_groups : which rows depend on each other, and are
        permuted together; None when none do.
    n_permutations : how many random pairings are counted; None for the law they follow.
    """

    row_folds: Indices
    row_groups: Indices | None = None
    n_permutations: int | None = None


@dataclass(frozen=True)
class Task:
    """What is wanted of which layers.

    x, y : the layers that stand in the rows and columns of the matrix; the same when X is compared with itself.
    n_batch, n_passes, seed : of the minibatch estimate; None for the exact value.
    resampling : for standard errors and p-values; None where they are not wanted.
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
    resampling: Resampling | None = None

    @property
    def gram_measures(self) -> list[Spec]:
        """The measures of Gram matrices."""
        return [spec for spec in self.measures if MEASURES[spec.name].takes_kernel]

    @property
    def pair_measures(self) -> list[Spec]:
        """The measures of the CCA family."""
        return [spec for spec in self.measures if not MEASURES[spec.name].takes_kernel]

    @property
    def needs_columns(self) -> bool:
        """Whether a measure weighs by features, so that factors must hold them."""
        return any(MEASURES[spec.name].needs_columns for spec in self.measures)

    @property
    def has_unbiased(self) -> bool:
        """Whether a measure takes the unbiased estimator of HSIC."""
        return any(MEASURES[spec.name].is_unbiased for spec in self.gram_measures)

    @property
    def needs_unit_rows(self) -> bool:
        """Whether a kernel is of rows brought to length 1."""
        return bool(self.gram_measures) and any(KERNELS[spec.name].needs == "unit" for spec in self.kernels)

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

        Rounding of single entries averages out over many of them, so `auto` leaves float32 to large jobs; never to a
        kernel in which small rows count as much as others.
        """
        n_examples = self.layers[0].n_examples
        n_products = n_examples**2 * sum(layer.n_features for layer in self.layers)
        is_small = n_examples < _LEAST_SINGLE_EXAMPLES or n_products < _LEAST_SINGLE_PRODUCTS
        has_small_rows = any(KERNELS[spec.name].weighs_rows_alike for spec in self.kernels if self.gram_measures)
        if has_small_rows or (self.precision == "auto" and is_small):
            return np.dtype(np.float64)
        dtypes = [compute_dtype(layer.dtype, self.precision) for layer in self.layers]
        return max(dtypes, key=lambda each: each.itemsize)

    def job(self, *, has_far_rows: bool = False) -> Job:
        """Return what the plan must know. has_far_rows : whether a row lies far out, which no header tells."""
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
            has_far_rows=has_far_rows,
            needs_factors=bool(self.pair_measures),
            needs_columns=self.needs_columns,
            n_batch=self.n_batch,
            n_passes=self.n_passes,
            n_folds=int(self.resampling.row_folds.max()) + 1 if self.resampling and kernels else 0,
        )
