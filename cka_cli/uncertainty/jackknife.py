"""The jackknife: standard errors from values without each fold of the examples."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cka_cli.arrays import Float64, Indices
from cka_cli.reductions.gram_sums import GramSums

if TYPE_CHECKING:
    from cka_cli.reductions.minibatch import BatchSums


def critical_t(n_degrees: int) -> float:
    """Return the 97.5 % point of Student's t, by halving: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    is_odd, low, high = n_degrees % 2, 0.0, math.pi / 2

    def share(angle: float) -> float:
        """Return how much of the distribution lies within √ν tan(angle) of 0."""
        term, total = math.cos(angle) ** is_odd, 0.0
        for n in range(2 + is_odd, n_degrees + 1, 2):
            total += term
            term *= math.cos(angle) ** 2 * (n - 1) / n
        return 2 / math.pi * (angle + math.sin(angle) * total) if is_odd else math.sin(angle) * total

    for _ in range(60):
        angle = (low + high) / 2
        low, high = (low, angle) if share(angle) > 0.95 else (angle, high)
    return math.sqrt(n_degrees) * math.tan(low)


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
    if not isinstance(sums, GramSums):
        return _std_error_of_batches(sums, value_of)
    assert sums.folds is not None
    left_out = np.array([value_of(sums.without(fold)) for fold in range(len(sums.folds.sizes))])
    return jackknife_std_error(value_of(sums), left_out, sums.folds.sizes)


def _std_error_of_batches(sums: "BatchSums", value_of: "Callable[[BatchSums], Float64]") -> Float64:
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
