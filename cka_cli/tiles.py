"""From centred layers to Gram sums, tile by tile.

The unit of work is `tile_of_all_layers`: a function of a job and one tile whose result is added, and which another
process could work out as well: a job of layers that are read in pieces can be pickled. A layer's tile is computed once,
for all the pairs and kernels that need it; only tiles of the upper triangle are computed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cka_cli import kernels
from cka_cli.arrays import Array, Float64
from cka_cli.bandwidth import median_of_all_pairs, n_median_passes
from cka_cli.checkpoint import Checkpoint
from cka_cli.folds import Folds
from cka_cli.gram_layers import NO_TERMS, GramLayer, Tile, has_gram, sampled_distances, tile_inputs
from cka_cli.gram_sums import GramSums, TileSums, tile_sums
from cka_cli.names import Spec
from cka_cli.threads import in_order

Progress = Callable[[int, int], None]
# Stages of a checkpoint.
_TILES, _MEDIANS = "tiles", "medians"


@dataclass(frozen=True)
class GramJob:
    """The Gram sums wanted: of which layers, by which kernels, paired how, in tiles of how many rows.

    x, y : the layers that stand in the rows and columns of the matrix.
    keep_distances : whether the distances of all pairs of rows stay in memory until their median is found and used.
    n_kept : distances of one layer that each thread may hold while their median is sought.
    folds : which examples the jackknife leaves out together; None where no standard errors are wanted.
    tiles_at_once : threads that work on tiles; layers_at_once : threads that work on the layers of one tile.
    """

    layers: Sequence[GramLayer]
    kernels: Sequence[Spec]
    x: slice
    y: slice
    n_rows: int
    keep_distances: bool = False
    tiles_at_once: int = 1
    layers_at_once: int = 1
    folds: Folds | None = None
    n_kept: int = 1 << 25

    @property
    def n_examples(self) -> int:
        """Rows of every layer."""
        return self.layers[0].source.n_examples

    @property
    def needs(self) -> frozenset[str]:
        """What the kernels are functions of."""
        return frozenset(kernels.KERNELS[spec.name].needs for spec in self.kernels)


@dataclass(frozen=True)
class TileResult:
    """What one tile adds to the Gram sums of each kernel, and its squared distances where they are kept."""

    sums: list[TileSums]
    distances: list[Array] = field(default_factory=list)


def upper_tiles(n_examples: int, n_rows: int) -> list[Tile]:
    """Return rows and columns of every tile on and above the diagonal; the costlier ones off it come first."""
    blocks = [slice(start, min(start + n_rows, n_examples)) for start in range(0, n_examples, n_rows)]
    off = [(rows, columns) for place, rows in enumerate(blocks) for columns in blocks[place + 1 :]]
    return off + [(rows, rows) for rows in blocks]


def gram_sums(job: GramJob, progress: Progress, checkpoint: Checkpoint) -> tuple[GramJob, list[GramSums]]:
    """Return the Gram sums of every kernel of the job, and the job with the medians that its kernels needed.

    progress : called with tiles done and tiles in all. The same for any number of threads: tiles are added in order.
    checkpoint : from which the sums go on, and in which they are kept.
    Cost: n²p multiplications per layer, whatever the number of kernels, measures and pairs; twice that when a median
    is needed and the distances are not kept.
    """
    tiles = upper_tiles(job.n_examples, job.n_rows)
    sums = [GramSums(len(job.layers), job.n_examples, job.x, job.y, job.folds) for _ in job.kernels]
    by_median = [place for place, spec in enumerate(job.kernels) if spec.get("sigma") is not None]
    others = [place for place in range(len(job.kernels)) if place not in by_median]
    ledger = _Ledger(sums, checkpoint)
    if not by_median:
        _add_tiles(job, tiles, ledger, others, lambda done: progress(done, len(tiles)))
        return _with_rounding(job, sums)
    if not job.keep_distances or checkpoint.is_resumed:  # distances are not saved: they are worked out again
        job = replace(job, keep_distances=False)
        # All layers' distances take as long as all tiles, each time that they are worked out.
        n_first = n_median_passes(job.n_examples, job.n_kept) * len(tiles)
        n_steps = n_first + len(tiles)
        job = with_medians(
            job, tiles, None, checkpoint, lambda done: progress(n_first * done // len(job.layers), n_steps)
        )
        for places in ledger.in_step(by_median, others):
            _add_tiles(job, tiles, ledger, places, lambda done: progress(n_first + done, n_steps))
        return _with_rounding(job, sums)
    kept = _add_tiles(job, tiles, ledger, others, lambda done: progress(done, 2 * len(tiles)))
    job = with_medians(job, tiles, kept, checkpoint, lambda done: None)
    job = replace(job, keep_distances=False)
    _add_tiles(job, tiles, ledger, by_median, lambda done: progress(len(tiles) + done, 2 * len(tiles)), kept)
    return _with_rounding(job, sums)


class _Ledger:
    """The sums of every kernel, and how many tiles have been added to each of them."""

    def __init__(self, sums: Sequence[GramSums], checkpoint: Checkpoint):
        self.sums, self._checkpoint = sums, checkpoint
        self.n_added = np.zeros(len(sums), np.int64)
        checkpoint.restore(_TILES, self._state())

    def in_step(self, first: list[int], second: list[int]) -> list[list[int]]:
        """Return the places of all kernels, in groups to which as many tiles have been added."""
        if not second or self.n_added[first[0]] == self.n_added[second[0]]:
            return [sorted(first + second)]
        return [first, second]

    def add(self, places: list[int], tile: list[TileSums]) -> None:
        for place, of_tile in zip(places, tile, strict=True):
            self.sums[place].add(of_tile)
            self.n_added[place] += 1
        self._checkpoint.keep(_TILES, self._state)

    def _state(self) -> dict[str, Array]:
        states = [each.state() for each in self.sums]
        arrays = {f"{name} {place}": values for place, state in enumerate(states) for name, values in state.items()}
        return {"n_added": self.n_added, **arrays}


def _with_rounding(job: GramJob, sums: list[GramSums]) -> tuple[GramJob, list[GramSums]]:
    """Tell the sums how far rounding moved the entries, now that every width is known."""
    for spec, total in zip(job.kernels, sums, strict=True):
        total.product_rounding = max(float(np.finfo(layer.source.dtype).eps) for layer in job.layers)
        total.entry_rounding = np.array(
            [kernels.entry_rounding(layer.terms, spec, float(np.finfo(layer.source.dtype).eps)) for layer in job.layers]
        )
    return job, sums


def _add_tiles(
    job: GramJob,
    tiles: list[Tile],
    ledger: _Ledger,
    places: list[int],
    progress: Callable[[int], None],
    kept: list[list[Array]] | None = None,
) -> list[list[Array]]:
    """Add every tile that is missing to the sums of some kernels; return the distances of each where they are kept."""
    job = replace(job, kernels=[job.kernels[place] for place in places])
    first = int(ledger.n_added[places[0]]) if places else 0
    results = in_order(
        lambda place: tile_of_all_layers(job, tiles[place], kept[place] if kept else None),
        range(first, len(tiles)),
        job.tiles_at_once,
    )
    distances = []
    for done, result in enumerate(results, start=first + 1):
        ledger.add(places, result.sums)
        distances.append(result.distances)
        progress(done)
    return distances


def tile_dtype(layers: Sequence[GramLayer], spec: Spec) -> np.dtype[Any]:
    """Return the dtype of a kernel's tiles: float32 where the kernel bears it and every layer is float32."""
    if kernels.KERNELS[spec.name].keeps_single and all(layer.source.dtype == np.float32 for layer in layers):
        return np.dtype(np.float32)
    return np.dtype(np.float64)


def tile_of_all_layers(job: GramJob, tile: Tile, kept: list[Array] | None = None) -> TileResult:
    """Return what one tile of every layer adds to the Gram sums of each kernel.

    kept : the squared distances of each layer in this tile, where they are known; they are used up.
    """
    rows, columns = tile
    shape = (len(job.layers), rows.stop - rows.start, columns.stop - columns.start)
    tiles = [np.empty(shape, tile_dtype(job.layers, spec)) for spec in job.kernels]

    def fill(place: int) -> Array | None:
        layer, out = job.layers[place], None
        if kept is not None:
            inputs: dict[str, Array] = {"distances": kept[place]}
            kept[place] = np.empty(0)
            row_terms = column_terms = NO_TERMS
        else:
            needs = job.needs | {"distances"} if job.keep_distances else job.needs
            out = tiles[0][place] if len(tiles) == 1 and not job.keep_distances else None
            inputs, row_terms, column_terms = tile_inputs(layer, tile, needs, out)
        for number, spec in enumerate(job.kernels):
            if not has_gram(layer, spec):
                tiles[number][place] = 0
                continue
            need = kernels.KERNELS[spec.name].needs
            last = all(kernels.KERNELS[later.name].needs != need for later in job.kernels[number + 1 :])
            values = inputs[need] if last and not job.keep_distances else inputs[need].copy()
            result = kernels.KERNELS[spec.name].tile(values, row_terms, column_terms, layer.terms, spec)
            if result is not out:
                tiles[number][place] = result
        return inputs["distances"] if job.keep_distances else None

    distances = list(in_order(fill, range(len(job.layers)), job.layers_at_once))
    sums = [tile_sums(values, rows, columns, job.x, job.y, job.folds) for values in tiles]
    return TileResult(sums, [each for each in distances if each is not None])


def with_medians(
    job: GramJob,
    tiles: list[Tile],
    kept: list[list[Array]] | None,
    checkpoint: Checkpoint,
    progress: Callable[[int], None],
) -> GramJob:
    """Return the job with the exact median squared distance of every layer.

    kept : the squared distances of each tile and layer, where they are at hand; else they are worked out anew.
    progress : called with the layers done.
    """
    known = np.full(len(job.layers), np.nan)
    checkpoint.restore(_MEDIANS, {"medians": known})

    def with_median(place: int) -> GramLayer:
        layer = job.layers[place]
        if layer.source.is_constant:
            return layer
        if not np.isnan(known[place]):
            return _of_median(layer, float(known[place]))
        if kept is None:
            chunks: Callable[[], Iterator[Array]] = lambda: (_pair_distances(layer, tile) for tile in tiles)  # noqa: E731
            # The distances of m rows are not independent: their quantiles stray by about 1/√m, not 1/m.
            sample, share = sampled_distances(layer), 0.2
        else:
            chunks = lambda: (_each_pair_once(of_tile[place], tile) for of_tile, tile in zip(kept, tiles, strict=True))  # noqa: E731
            sample = np.concatenate([chunk[::97] for chunk in chunks()])
            sample, share = sample[np.isfinite(sample)], 0.01
        median = median_of_all_pairs(chunks, sample, job.n_examples, share=share, max_kept=job.n_kept // 2)
        spread = float(np.mean(sample, dtype=np.float64)) if len(sample) else layer.terms.typical_distance
        if median <= 64 * float(np.finfo(layer.source.dtype).eps) * spread:
            median = 0.0  # equal rows, told apart by rounding alone
        return _of_median(layer, median)

    n_threads = max(job.tiles_at_once, job.layers_at_once)
    layers: list[GramLayer] = []
    found = known.copy()
    for place, layer in enumerate(in_order(with_median, range(len(job.layers)), n_threads)):
        layers.append(layer)
        found[place] = layer.terms.typical_distance
        checkpoint.keep(_MEDIANS, lambda: {"medians": found}, at_once=len(layers) == len(job.layers))
        progress(place + 1)
    return replace(job, layers=layers)


def _of_median(layer: GramLayer, median: float) -> GramLayer:
    return replace(layer, terms=replace(layer.terms, typical_distance=median))


def _pair_distances(layer: GramLayer, tile: Tile) -> Array:
    inputs, _, _ = tile_inputs(layer, tile, frozenset({"distances"}))
    return _each_pair_once(inputs["distances"], tile)


def _each_pair_once(distances: Array, tile: Tile) -> Array:
    """Return a tile's squared distances in a row; on the diagonal, infinity for all but the pairs i < j."""
    if tile[0] == tile[1]:
        distances = np.where(np.tri(len(distances), dtype=bool), distances.dtype.type(np.inf), distances)
    return distances.ravel()


def gram_scales(layers: Sequence[GramLayer], spec: Spec) -> Float64:
    """Return the square root of what each Gram matrix was multiplied by, shape (n_layers,); 0 where there is none."""
    return np.array(
        [0.0 if not has_gram(layer, spec) else layer.terms.scale if spec.name == "linear" else 1.0 for layer in layers]
    )
