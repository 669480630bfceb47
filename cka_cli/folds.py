"""The jackknife: which examples are left out together, and the standard error that follows.

A block of a Gram matrix's rows and columns can be taken off its sums, so the values without each fold cost next to
nothing once tiles tell their folds apart. Repeating rows, as a bootstrap does, would put k(x,x) off the diagonal.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from cka_cli.arrays import Float64, Indices

N_FOLDS = 20
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


@dataclass(frozen=True, eq=False)
class Folds:
    """Which examples are left out together.

    of_example : shape (n_examples,), the fold of each example in the order in which layers are read, from 0.
    """

    of_example: Indices

    @cached_property
    def sizes(self) -> Indices:
        """Examples in each fold."""
        return np.bincount(self.of_example)

    def runs(self, rows: slice) -> list[tuple[int, slice]]:
        """Return fold and place, counted from the first of `rows`, of each run of rows in one fold."""
        folds = self.of_example[rows]
        ends = [0, *(np.flatnonzero(np.diff(folds)) + 1).tolist(), len(folds)]
        return [(int(folds[start]), slice(start, stop)) for start, stop in pairwise(ends)]


def folds_of_rows(n_rows: int, groups: Indices | None = None) -> Indices:
    """Return the fold of each row: every twentieth row, so that files sorted by class are cut across their classes.

    groups : shape (n_rows,), rows that depend on each other have the same number; a group is in one fold as a whole.
    """
    if groups is None:
        return np.arange(n_rows) % min(N_FOLDS, n_rows)
    sizes = np.bincount(groups)
    n_folds = min(N_FOLDS, len(sizes))
    filled, fold_of_group = np.zeros(n_folds, np.intp), np.zeros(len(sizes), np.intp)
    for group in np.argsort(-sizes, kind="stable"):
        fold_of_group[group] = np.argmin(filled)
        filled[fold_of_group[group]] += sizes[group]
    return fold_of_group[groups]


def interval_factor(n_folds: int) -> float:
    """Return how many standard errors by so many folds, 2 to 20, an interval of 95 % reaches on either side."""
    return _T_95[n_folds - 2]


def order_by_fold(folds: Indices, n_window: int) -> Indices:
    """Return the order of rows in which those of one fold stand together, within each window of so many rows."""
    return np.lexsort((folds, np.arange(len(folds)) // n_window))


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
