"""How reading is asked for."""

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
    nonfinite : `error`, or `drop` to leave out of every layer the examples that are not finite in one.
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
