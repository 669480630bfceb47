"""How reading and running are asked for: what travels from the command line down."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReadOptions:
    """What is read of every file.

    layers : shell globs over layer names; empty for all. exclude : globs of layers to leave out of those.
    examples : (start, stop) of the rows, as in a Python slice.
    sample, seed : how many rows to draw without replacement, and the seed of the draw; order is kept.
    ids : name of a one-axis array of example ids in every file, by which rows are aligned.
    pool : how arrays with more than two axes become rows × features: flatten, mean, max or positions.
    channels : `first` or `last` for all layers, or pairs of (`GLOB` or `FILE::GLOB`, `first` or `last`), a later one
        before an earlier one; for layers without any, first on images, and a question back where it cannot be known.
    dtype : `bf16` where 16-bit integers of layers are bfloat16; None where values are what they say.
    nonfinite : `error`, or `drop` to leave out of every layer the examples that are not finite in one.
    shards : whether files of a folder are joined to layers by rows: `auto` where their names say so, `join` wherever
        they differ in a number, `separate`, or a pattern of their names such as `{layer}_{shard}.npy`.
    """

    layers: tuple[str, ...] = ()
    examples: tuple[int | None, int | None] = (None, None)
    sample: int | None = None
    seed: int = 0
    ids: str | None = None
    pool: str = "flatten"
    channels: str | tuple[tuple[str, str], ...] | None = None
    nonfinite: str = "error"
    exclude: tuple[str, ...] = ()
    dtype: str | None = None
    shards: str = "auto"


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
