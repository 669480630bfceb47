"""The median distance of every layer, which the width of a kernel is a share of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cka_cli.arrays import Array, Float64, Indices
from cka_cli.reductions.gram_tiles import Kept, key_of
from cka_cli.reductions.kernel_inputs import GramLayer, Tile, gathered, sampled_distances, tile_inputs
from cka_cli.reductions.median_distance import median_of_all_pairs, median_of_batches
from cka_cli.reductions.protocol import Reduction

_DISTANCES = frozenset({"distances"})


@dataclass(frozen=True, eq=False)
class MedianFunction:
    """The exact median squared distance of a layer, by its place; its typical distance where it is constant.

    kept : the distances of tiles that are at hand; others are worked out, as often as the median takes.
    n_kept : how many may be held at once, twice over, while the median is sought among them.
    """

    layers: Sequence[GramLayer]
    tiles: Sequence[Tile]
    kept: Kept
    n_kept: int

    def __call__(self, place: int) -> list[float]:
        """Return the median of the layer at a place."""
        layer = self.layers[place]
        if layer.source.is_constant:
            return [layer.terms.typical_distance]
        if self.kept:
            sample = np.concatenate([_each_pair_once(of_tile[place], tile)[::97] for tile, of_tile in self._at_hand()])
            # Of all tiles the quantiles hardly stray; of those left by a run that went on from a saved state they may.
            sample, stray = sample[np.isfinite(sample)], 0.01 if len(self.kept) == len(self.tiles) else 0.2
        else:
            # The distances of m rows are not independent: their quantiles stray by about 1/√m, not 1/m.
            sample, stray = sampled_distances(layer), 0.2
        median = median_of_all_pairs(
            lambda: self._distances(place), sample, layer.source.n_examples, share=stray, max_kept=self.n_kept // 2
        )
        return [median if median > least_median(layer) else 0.0]

    def _at_hand(self) -> Iterator[tuple[Tile, list[Array]]]:
        return ((tile, self.kept[key_of(tile)]) for tile in self.tiles if key_of(tile) in self.kept)

    def _distances(self, place: int) -> Iterator[Array]:
        """Give the distances of the layer's pairs of rows, tile by tile."""
        for tile in self.tiles:
            known = self.kept.get(key_of(tile))
            if known is None:
                inputs, _, _ = tile_inputs(self.layers[place], tile, _DISTANCES)
            yield _each_pair_once(inputs["distances"] if known is None else known[place], tile)


def least_median(layer: GramLayer) -> float:
    """Return the median distance of a layer whose rows are told apart by rounding alone."""
    return 64 * float(np.finfo(layer.source.dtype).eps) * layer.terms.mean_distance


def _each_pair_once(distances: Array, tile: Tile) -> Array:
    """Return a tile's squared distances in a row; on the diagonal, infinity for all but the pairs i < j."""
    if tile[0] == tile[1]:
        distances = np.where(np.tri(len(distances), dtype=bool), distances.dtype.type(np.inf), distances)
    return distances.ravel()


@dataclass(frozen=True, eq=False)
class MedianWithinBatches:
    """The median squared distance of the pairs of rows that are in one batch, of a layer by its place."""

    layers: Sequence[GramLayer]
    batches: Sequence[Indices]

    def __call__(self, place: int) -> list[float]:
        """Return the median of the layer at a place."""
        layer = self.layers[place]
        if layer.source.is_constant:
            return [layer.terms.typical_distance]
        distances = []
        for rows in self.batches:
            tile = slice(0, len(rows)), slice(0, len(rows))
            inputs, _, _ = tile_inputs(gathered(layer, rows), tile, _DISTANCES)
            distances.append(inputs["distances"][~np.tri(len(rows), dtype=bool)])
        return [median_of_batches(np.concatenate(distances), layer.source.n_examples)]


class OfLayers(Reduction[int, Sequence[float]]):
    """A few numbers of each layer, such as its median distance. A task is a layer, by its place.

    values : shape (n_layers, n_values).
    """

    def __init__(
        self, name: str, stage: str, function: Callable[[int], Sequence[float]], layers: Sequence[GramLayer], n: int = 1
    ):
        self.name, self.stage, self.compute = name, stage, function
        self._tasks, self._costs = range(len(layers)), [layer.source.n_features for layer in layers]
        self.values = np.full((len(layers), n), np.nan)

    def add(self, partial: Sequence[float]) -> None:
        self.values[self.n_added] = partial
        self.n_added += 1

    def state(self) -> dict[str, Array]:
        return {"values": self.values}


def with_medians(layers: Sequence[GramLayer], medians: Sequence[float] | Float64) -> list[GramLayer]:
    """Return the layers with their median distances."""
    return [
        replace(layer, terms=replace(layer.terms, typical_distance=float(median)))
        for layer, median in zip(layers, medians, strict=True)
    ]
