"""Which examples are left out together for standard errors.

A block of a Gram matrix's rows and columns can be taken off its sums, so the values without each fold cost next to
nothing once tiles tell their folds apart. Repeating rows, as a bootstrap does, would put k(x,x) off the diagonal.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from cka_cli.arrays import Indices

N_FOLDS = 20

Run = tuple[int, slice]  # the fold of some rows, and which these are


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


def runs_of(folds: Folds | None, rows: slice) -> list[Run]:
    """Return fold and place, counted from the first of `rows`, of each run of rows in one fold.

    The fold is 0 where none are told apart.
    """
    if folds is None:
        return [(0, slice(0, rows.stop - rows.start))]
    of_rows = folds.of_example[rows]
    ends = [0, *(np.flatnonzero(np.diff(of_rows)) + 1).tolist(), len(of_rows)]
    return [(int(of_rows[start]), slice(start, stop)) for start, stop in pairwise(ends)]


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


def order_by_fold(folds: Indices, n_window: int) -> Indices:
    """Return the order of rows in which those of one fold stand together, within each window of so many rows."""
    return np.lexsort((folds, np.arange(len(folds)) // n_window))
