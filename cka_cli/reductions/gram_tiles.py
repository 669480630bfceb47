"""From centred layers to Gram sums, tile by tile.

A layer's tile is computed once, for all the pairs and kernels that need it; only tiles of the upper triangle are
computed. A kernel whose width is a share of the median distance waits for `medians.OfLayers`; where memory holds
the distances of all pairs of rows, these stay there from the one to the other. Or it comes in several terms around a
width that a sample has guessed, while the distances near the median are collected: see `near_median`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cka_cli.arrays import Array, Float64, pieces
from cka_cli.reductions import kernels
from cka_cli.reductions.folds import Folds
from cka_cli.reductions.gram_sums import GramSums, TileSums, tile_sums
from cka_cli.reductions.kernel_inputs import NO_TERMS, GramLayer, Tile, has_gram, tile_inputs
from cka_cli.reductions.near_median import Bracket, Near, NearMedian, near_in_tile
from cka_cli.reductions.protocol import Reduction
from cka_cli.specs import Spec

_DISTANCES = frozenset({"distances"})


class TileTask(NamedTuple):
    """A tile of every layer, or of the one at a place."""

    rows: slice
    columns: slice
    place: int | None = None


@dataclass(frozen=True)
class TileResult:
    """What a tile adds to the Gram sums of each kernel, or the tile of one layer by each kernel: (1, rows, columns).

    distances : the squared distances of each layer of the task, where they are kept.
    near : of each layer the squared distances about its median, where they are sought.
    """

    sums: list[TileSums] = field(default_factory=list)
    of_layer: list[Array] = field(default_factory=list)
    distances: list[Array] = field(default_factory=list)
    near: list[Near] = field(default_factory=list)


def upper_tiles(n_examples: int, n_rows: int) -> list[Tile]:
    """Return rows and columns of every tile on and above the diagonal; the costlier ones off it come first."""
    blocks = list(pieces(n_examples, n_rows))
    off = [(rows, columns) for place, rows in enumerate(blocks) for columns in blocks[place + 1 :]]
    return off + [(rows, rows) for rows in blocks]


def n_entries(tile: Tile) -> int:
    """Return how many entries of a symmetric matrix a tile gives: on the diagonal, where half is enough, half."""
    n_all = (tile[0].stop - tile[0].start) * (tile[1].stop - tile[1].start)
    return int(n_all // 2 + 1 if tile[0] == tile[1] else n_all)


def tile_dtype(layers: Sequence[GramLayer], spec: Spec) -> np.dtype[Any]:
    """Return the dtype of a kernel's tiles: float32 where the kernel bears it and every layer is float32."""
    if kernels.KERNELS[spec.name].keeps_single and all(layer.source.dtype == np.float32 for layer in layers):
        return np.dtype(np.float32)
    return np.dtype(np.float64)


# By rows and columns: the squared distances of each layer in a tile.
Kept = dict[tuple[int, int], list[Array]]


def key_of(tile: Tile) -> tuple[int, int]:
    """Return by what the distances of a tile are kept."""
    return tile[0].start, tile[1].start


@dataclass(frozen=True, eq=False)
class TileFunction:
    """What one tile of every layer, or of one, adds to the Gram sums of each kernel.

    x, y : the layers that stand in the rows and columns of the matrix.
    keeps_distances : whether the result holds the squared distances. kept : those that are known already.
    n_terms : in how many terms kernels come whose width is a share of the median; brackets : about the guess of each
        layer, between which its median is sought then.
    """

    layers: Sequence[GramLayer]
    kernels: Sequence[Spec]
    x: slice
    y: slice
    folds: Folds | None = None
    keeps_distances: bool = False
    kept: Kept = field(default_factory=dict)
    n_terms: int = 1
    brackets: Sequence[Bracket] = ()

    def terms_of(self, spec: Spec) -> int:
        """Return in how many terms a kernel comes."""
        return self.n_terms if kernels.needs_median(spec) else 1

    def __call__(self, task: TileTask) -> TileResult:
        """Return what a tile adds."""
        rows, columns, place = task
        places = range(len(self.layers)) if place is None else [place]
        shape = (len(places), rows.stop - rows.start, columns.stop - columns.start)
        tiles = [np.empty((self.terms_of(spec), *shape), tile_dtype(self.layers, spec)) for spec in self.kernels]
        near: list[Near] = []
        distances = [
            self._fill(tiles, number, each, (rows, columns), near) for number, each in enumerate(places)
        ] if self.kernels or self.keeps_distances else []  # fmt: skip
        found = [each for each in distances if each is not None]
        if place is not None:
            return TileResult(of_layer=[each[0] for each in tiles], distances=found)
        return TileResult(self.sums_of(tiles, (rows, columns)), [], found, near)

    def sums_of(self, tiles: Sequence[Array], tile: Tile) -> list[TileSums]:
        """Return what the tiles of all layers by each kernel add; tiles : (..., n_rows, n_columns), terms first."""
        return [
            tile_sums(each.reshape(-1, *each.shape[-2:]), *tile, self.x, self.y, self.folds, self.terms_of(spec))
            for spec, each in zip(self.kernels, tiles, strict=True)
        ]

    def _fill(self, tiles: list[Array], number: int, place: int, tile: Tile, near: list[Near]) -> Array | None:
        """Put the tile of one layer by each kernel where it belongs; return its distances where they are kept."""
        layer, out, known = self.layers[place], None, self.kept.get(key_of(tile))
        row_terms = column_terms = NO_TERMS
        needs = frozenset(kernels.KERNELS[spec.name].needs for spec in self.kernels)
        if known is not None and needs == _DISTANCES:
            inputs: dict[str, Array] = {"distances": known[place].copy()}
        else:
            needs = needs | _DISTANCES if self.keeps_distances else needs
            out = tiles[0][0, number] if len(tiles) == 1 and not self.keeps_distances and self.n_terms == 1 else None
            inputs, row_terms, column_terms = tile_inputs(layer, tile, needs, out)
        if self.brackets:
            near.append(near_in_tile(inputs["distances"], tile, self.brackets[place]))
        for kernel, (spec, of_kernel) in enumerate(zip(self.kernels, tiles, strict=True)):
            if not has_gram(layer, spec):
                of_kernel[:, number] = 0
                continue
            need = kernels.KERNELS[spec.name].needs
            is_last = all(kernels.KERNELS[later.name].needs != need for later in self.kernels[kernel + 1 :])
            values = inputs[need] if is_last and not self.keeps_distances else inputs[need].copy()
            if len(of_kernel) > 1:
                kernels.rbf_terms(values, layer.terms, spec, out=of_kernel[:, number])
                continue
            result = kernels.KERNELS[spec.name].tile(values, row_terms, column_terms, layer.terms, spec)
            if result is not out:
                of_kernel[0, number] = result
        return inputs["distances"] if self.keeps_distances else None


class GramTiles(Reduction[TileTask, TileResult]):
    """The Gram sums of every kernel, tile by tile.

    n_rows : of a tile. by_layer : whether a task is the tile of one layer, where there are too few tiles, or too
        little memory, to work on several.
    kept : where distances that are kept are put, or have been put by a reduction before: used up here then.
    Cost: n²p multiplications per layer, whatever the number of kernels, measures and pairs.
    """

    def __init__(
        self, function: TileFunction, n_rows: int, *, by_layer: bool, name: str = "tiles", stage: str = "comparing"
    ):
        self.name, self.stage, self.compute, self._by_layer = name, stage, function, by_layer
        self.is_kept = bool(function.kernels)
        self._tiles = upper_tiles(function.layers[0].source.n_examples, n_rows)
        n_layers, n_examples = len(function.layers), function.layers[0].source.n_examples
        widths = [layer.source.n_features for layer in function.layers]
        places, of_tasks = (range(n_layers), widths) if by_layer else ([None], [sum(widths)])
        self._tasks = [TileTask(*tile, place) for tile in self._tiles for place in places]
        self._costs = [n_entries(tile) * width for tile in self._tiles for width in of_tasks]
        self.sums = [
            GramSums(n_layers, n_examples, function.x, function.y, function.folds, function.terms_of(spec))
            for spec in function.kernels
        ]
        self.near = NearMedian(function.brackets)
        self.kept: Kept = {}
        self._waiting: list[Array] = []
        self._n_waiting = 0

    def add(self, partial: TileResult) -> None:
        """Add a tile; of the tiles of single layers, when the last has come."""
        n_layers, sums = len(self.compute.layers), partial.sums
        n_of_tile = n_layers if self._by_layer else 1
        tile = self._tiles[self.n_added // n_of_tile]
        if partial.distances:
            self.kept.setdefault(key_of(tile), []).extend(partial.distances)
        if self._by_layer:
            if not self._n_waiting:
                self._waiting = [np.empty((n_layers, *each.shape[1:]), each.dtype) for each in partial.of_layer]
            for stack, each in zip(self._waiting, partial.of_layer, strict=True):
                stack[self._n_waiting] = each[0]
            self._n_waiting += 1
            if self._n_waiting < n_layers:
                return
            sums = self.compute.sums_of(self._waiting, tile)
            self._waiting, self._n_waiting = [], 0
        for total, of_tile in zip(self.sums, sums, strict=True):
            total.add(of_tile)
        self.near.add(partial.near)
        self.compute.kept.pop(key_of(tile), None)
        self.n_added += n_of_tile

    def state(self) -> dict[str, Array]:
        """Return the sums of every kernel, and the distances near medians."""
        states = [each.state() for each in self.sums]
        arrays = {f"{name} {place}": values for place, state in enumerate(states) for name, values in state.items()}
        return arrays | self.near.state()

    def restore(self, state: Mapping[str, Array]) -> None:
        """Set the sums to saved ones, and take the distances near medians that were."""
        self.near.restore(state)
        super().restore({**state, **self.near.state()})


def set_rounding(sums: Mapping[Spec, GramSums], layers: Sequence[GramLayer]) -> None:
    """Tell the sums of each kernel how far rounding moved the entries, once every width is known."""
    epsilons = [float(np.finfo(layer.source.dtype).eps) for layer in layers]
    for spec, total in sums.items():
        total.product_rounding = max(epsilons)
        total.entry_rounding = np.array(
            [kernels.entry_rounding(each.terms, spec, epsilon) for each, epsilon in zip(layers, epsilons, strict=True)]
        )


def gram_scales(layers: Sequence[GramLayer], spec: Spec) -> Float64:
    """Return the square root of what each Gram matrix was multiplied by, shape (n_layers,); 0 where there is none."""
    is_linear = kernels.KERNELS[spec.name].is_linear
    of_linear = [layer.terms.scale * layer.terms.shrink if is_linear else 1.0 for layer in layers]
    return np.array([scale if has_gram(layer, spec) else 0.0 for layer, scale in zip(layers, of_linear, strict=True)])
