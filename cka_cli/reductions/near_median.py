"""The exact median distance of a layer from one pass, in which its kernel is worked out too.

A sample guesses the median and a bracket about it. While tiles are gone through once, the distances below the bracket
are counted and those inside are kept, which gives the median exactly, and the kernel comes as terms from which its sums
at the exact width follow: exp(−u(1+ε)) = Σⱼ (−ε)ʲ uʲ e^(−u)/j!. Where the median lies outside of the bracket, or the
guess was too far off for so many terms, another pass must do.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cka_cli.arrays import Array, Float64
from cka_cli.reductions.kernel_inputs import GramLayer, Tile, gathered, tile_inputs
from cka_cli.reductions.median_distance import middle_places

# Pairs of rows of a sample, and how many standard errors of its quantiles the bracket is wide on either side.
_N_SAMPLE, _WIDE = 1_500_000, 5.0
_LEAST_BLOCK = 32
_SAMPLE_SEED = 20190512
# What an entry of a kernel may lack by the terms that are left out.
MOST_LOST = {np.dtype(np.float32): 1e-9, np.dtype(np.float64): 1e-12}


class Bracket(NamedTuple):
    """Squared distances of a layer, scaled: a guess of the median, and between which it is sought."""

    guess: float
    low: float
    high: float


class Near(NamedTuple):
    """How many squared distances of a tile lie below the bracket, and those inside; each pair of rows once."""

    n_below: int
    inside: Array


def guessed_median(layer: GramLayer) -> Bracket:
    """Return where the median of a layer is sought, from a sample of the pairs in which every row stands as often.

    Rows in a random order, block by block: each block with the next. So what single rows add to the quantiles of the
    sample is what they add to those of all pairs, and only what is of pairs alone remains.
    """
    n = layer.source.n_examples
    if layer.source.is_constant:
        return Bracket(layer.terms.typical_distance, 0.0, 0.0)
    order = np.random.default_rng(_SAMPLE_SEED).permutation(n)
    blocks = np.array_split(order, max(3, n // max(_LEAST_BLOCK, _N_SAMPLE // n)))
    parts = []
    for block, other in zip(blocks, [*blocks[1:], blocks[0]], strict=True):
        tile = slice(0, len(block)), slice(len(block), len(block) + len(other))
        rows = gathered(layer, np.concatenate([block, other]))
        parts.append(tile_inputs(rows, tile, frozenset({"distances"}))[0]["distances"].ravel())
    sample = np.concatenate(parts)
    middle = (middle_places(n, n * (n - 1) // 2)[0] or 0) / (n * (n - 1) // 2)
    off = _WIDE / 2 / np.sqrt(len(sample))
    places = [int(np.clip(share * len(sample), 0, len(sample) - 1)) for share in (middle - off, middle, middle + off)]
    low, guess, high = np.partition(sample, places)[places].tolist()
    return Bracket(guess, low, high)


def near_in_tile(distances: Array, tile: Tile, bracket: Bracket) -> Near:
    """Return what of one tile is near the median; on the diagonal, of the pairs i < j."""
    if tile[0] == tile[1]:
        distances = distances[np.triu_indices(len(distances), 1)]
    is_below = distances < distances.dtype.type(bracket.low)
    inside = distances[(distances <= distances.dtype.type(bracket.high)) & ~is_below]
    return Near(int(np.count_nonzero(is_below)), inside)


class NearMedian:
    """What lies near the median of each layer, tile by tile."""

    def __init__(self, brackets: Sequence[Bracket]):
        self.n_below = np.zeros(len(brackets), np.int64)
        self.inside: list[list[Array]] = [[] for _ in brackets]

    def add(self, near: Sequence[Near]) -> None:
        """Add what one tile of every layer gave."""
        for place, each in enumerate(near):
            self.n_below[place] += each.n_below
            self.inside[place].append(each.inside)

    def state(self) -> dict[str, Array]:
        """Return the counts and all that was kept."""
        if not self.inside:
            return {}
        kept = {f"near {place}": self._joined(place) for place in range(len(self.inside))}
        return {"near below": self.n_below, **kept}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Take what was saved."""
        if not self.inside:
            return
        self.n_below[...] = state["near below"]
        self.inside = [[state[f"near {place}"]] for place in range(len(self.inside))]

    def _joined(self, place: int) -> Array:
        if len(self.inside[place]) != 1:
            self.inside[place] = [np.concatenate([np.empty(0, np.float32), *self.inside[place]])]
        return self.inside[place][0]

    def medians(self, layers: Sequence[GramLayer]) -> Float64:
        """Return the median of every layer; NaN where it is not among what was kept."""
        return np.array([self._median(place, layer) for place, layer in enumerate(layers)])

    def _median(self, place: int, layer: GramLayer) -> float:
        if layer.source.is_constant:
            return layer.terms.typical_distance
        n, inside = layer.source.n_examples, self._joined(place)
        places = middle_places(n, n * (n - 1) // 2)
        wanted = [int(each) - int(self.n_below[place]) for each in places if each is not None]
        if min(wanted) < 0 or max(wanted) >= len(inside):
            return np.nan
        ordered = np.partition(inside, wanted)
        return float(np.mean([float(ordered[each]) for each in wanted]))
