"""How a run is asked for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RunOptions:
    """How the work is done.

    precision : of the products: auto, single or double.
    n_batch, n_passes : the minibatch estimate instead of the exact value; None for the exact value.
    memory_bytes : what the arrays may take; half of the free memory when None.
    stats : whether standard errors, chance levels and p-values are wanted too.
    permutations : how many random pairings of the rows are counted for the p-values; None for the law they follow.
    checkpoint : a file in which the state of the run is kept, and from which it goes on.
    groups : a one-axis array by which examples depend on each other: they are left out and permuted together.
    """

    precision: str = "auto"
    n_batch: int | None = None
    n_passes: int = 1
    memory_bytes: int | None = None
    n_threads: int = 1
    stats: bool = False
    permutations: int | None = None
    groups: str | None = None
    checkpoint: str | None = None
