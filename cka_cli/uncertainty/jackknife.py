"""The jackknife: standard errors from values without each fold of the examples."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cka_cli.arrays import Float64, Indices
from cka_cli.reductions.gram_sums import GramSums

if TYPE_CHECKING:
    from cka_cli.reductions.minibatch import BatchSums

# Student's t with k − 1 degrees of freedom, two-sided 95 %, for k from 2.
_T_95 = (
    12.71,
    4.30,
    3.18,
    2.78,
    2.57,
    2.45,
    2.36,
    2.31,
    2.26,
    2.23,
    2.20,
    2.18,
    2.16,
    2.14,
    2.13,
    2.12,
    2.11,
    2.10,
    2.09,
)


def interval_factor(n_folds: int) -> float:
    """Return how many standard errors by so many folds, 2 to 20, an interval of 95 % reaches on either side."""
    return _T_95[n_folds - 2]


def jackknife_std_error(value: Float64, left_out: Float64, sizes: Indices) -> Float64:
    """Return the standard error of a value from its values without each fold.

    value : shape (...). left_out : shape (n_folds, ...). sizes : examples in each fold.
    NaN where a value is NaN, or with fewer than 2 folds. Busing, Meijer, van der Leeden (1999), the delete-m(j)
    jackknife; with folds of equal size (g−1)/g Σ(θ_j − mean)², Quenouille and Tukey's.
    """
    n_folds = len(sizes)
    if n_folds < 2:
        return np.full(np.shape(value), np.nan)
    shape = (n_folds,) + (1,) * np.ndim(value)
    parts = (sizes.sum() / sizes).reshape(shape)
    pseudo = parts * value - (parts - 1) * left_out
    centre = n_folds * value - ((1 - 1 / parts) * left_out).sum(axis=0)
    return np.asarray(np.sqrt(((pseudo - centre) ** 2 / (parts - 1)).mean(axis=0)))


def std_error_of(sums: "GramSums | BatchSums", value_of: "Callable[[GramSums | BatchSums], Float64]") -> Float64:
    """Return the standard error of what follows from the sums of a kernel, by leaving out examples in turn."""
    if isinstance(sums, GramSums):
        return std_error_of_gram_sums(sums, value_of)
    return std_error_of_batches(sums, value_of)


def std_error_of_gram_sums(sums: GramSums, value_of: Callable[[GramSums], Float64]) -> Float64:
    """Return the standard error of what follows from the sums, by leaving out each fold in turn."""
    assert sums.folds is not None
    left_out = np.array([value_of(sums.without(fold)) for fold in range(len(sums.folds.sizes))])
    return jackknife_std_error(value_of(sums), left_out, sums.folds.sizes)


def std_error_of_batches(sums: "BatchSums", value_of: "Callable[[BatchSums], Float64]") -> Float64:
    """Return the standard error of what follows from the sums; NaN with one batch.

    Within a pass batches are left out in turn. Several passes see the same examples: their average strays less
    than one pass does by what the passes stray among themselves, V_P = V_1 − (1 − 1/P) S².
    """
    n_passes, batch_sums = len(sums.of_passes), type(sums)
    values, variances = [], []
    for of_pass in sums.of_passes:
        whole = value_of(batch_sums([of_pass], sums.x, sums.y))
        sizes = np.array([group.n_batches for group in of_pass])
        left_out = [
            value_of(batch_sums([[group for group in of_pass if group is not each]], sums.x, sums.y))
            for each in of_pass
            if len(of_pass) > 1
        ]
        values.append(whole)
        variances.append(jackknife_std_error(whole, np.array(left_out), sizes) ** 2)
    of_one = np.mean(variances, axis=0)
    if n_passes == 1:
        return np.asarray(np.sqrt(of_one))
    between = np.var(values, axis=0, ddof=1)
    return np.asarray(np.sqrt(np.maximum(of_one - (1 - 1 / n_passes) * between, between / n_passes)))
