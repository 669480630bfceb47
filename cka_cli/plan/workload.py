"""What decides the cost of a run."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class LayerShape:
    """What the plan must know of a layer.

    n_features : once pooled. n_saved_bytes : per value, as saved.
    n_step : features in the smallest slice that can be read without reading the rest.
    """

    n_features: int
    n_saved_bytes: int
    n_step: int


@dataclass(frozen=True)
class Job:
    """What is asked for, as far as its cost goes.

    n_x, n_y : layers in the rows and the columns of the matrix (n_y of 0 when X is compared with itself).
    n_kernels, n_by_median : Gram kernels, and those whose width is a share of the median distance.
    needs_double : kernels whose tiles are float64 whatever the layers. n_value_bytes : 4 or 8, of the products.
    is_linear_only, needs_factors : the linear kernel alone; measures of the CCA family. needs_columns : those of them
        that weigh by features.
    n_batch, n_passes : of the minibatch estimate; None for the exact value.
    has_far_rows : whether rows lie so far out that products of features lose the digits of debiased values.
    n_folds : of the examples, whose sums are kept apart for standard errors; 0 for none.
    """

    layers: Sequence[LayerShape]
    n_examples: int
    n_x: int
    n_y: int
    n_kernels: int
    n_by_median: int
    needs_double: bool
    n_value_bytes: int
    is_linear_only: bool
    needs_factors: bool
    needs_columns: bool = False
    n_batch: int | None = None
    n_passes: int = 1
    n_folds: int = 0
    has_far_rows: bool = False
