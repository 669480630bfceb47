"""From centred layers to Gram sums, tile by tile.

The unit of work is `tile_of_all_layers`: a function of a job and one tile whose result is added, and which another
process could work out as well: a job of layers that are read in pieces can be pickled. A layer's tile is computed once,
for all the pairs and kernels that need it; only tiles of the upper triangle are computed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cka_cli.arrays import Array, Float64
from cka_cli.execution.checkpoint import Checkpoint
from cka_cli.execution.threads import in_order
from cka_cli.plan.costs import (
    DISTANCES,
    MEDIAN_OF_KEPT,
    MEDIAN_PASSES,
    n_entries,
    work_of_inputs,
    work_of_kernels,
    work_of_sums,
)
from cka_cli.reductions import kernels
from cka_cli.reductions.folds import Folds
from cka_cli.reductions.gram_sums import GramSums, TileSums, tile_sums
from cka_cli.reductions.kernel_inputs import NO_TERMS, GramLayer, Tile, has_gram, sampled_distances, tile_inputs
from cka_cli.reductions.median_distance import median_of_all_pairs, n_median_passes
from cka_cli.specs import Spec
from cka_cli.system.progress import Count, Meter, Report, parts_of, uncounted

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


def gram_sums(job: GramJob, report: Report, checkpoint: Checkpoint) -> tuple[GramJob, list[GramSums]]:
    """Return the Gram sums of every kernel of the job, and the job with the medians that its kernels needed.

    report : called with the work done and all there is. The same for any number of threads: tiles are added in order.
    checkpoint : from which the sums go on, and in which they are kept.
    Cost: n²p multiplications per layer, whatever the number of kernels, measures and pairs; twice that when a median
    is needed and the distances are not kept.
    """
    tiles = upper_tiles(job.n_examples, job.n_rows)
    sums = [GramSums(len(job.layers), job.n_examples, job.x, job.y, job.folds) for _ in job.kernels]
    by_median = [place for place, spec in enumerate(job.kernels) if spec.get("sigma") is not None]
    others = [place for place in range(len(job.kernels)) if place not in by_median]
    ledger = _Ledger(sums, checkpoint)
    if by_median and job.keep_distances and not checkpoint.is_resumed:  # distances are not saved
        meter = Meter(report, _work_with_kept(job, tiles, by_median, others))
        kept = _add_tiles(job, tiles, ledger, others, meter.add)
        job = replace(with_medians(job, tiles, kept, checkpoint, meter), keep_distances=False)
        _add_tiles(job, tiles, ledger, by_median, meter.add, kept)
        return _with_rounding(job, sums)
    job = replace(job, keep_distances=False)
    steps = ledger.in_step(by_median, others)
    meter = Meter(report, *_work_and_done(job, tiles, steps, ledger, checkpoint))
    if by_median:
        job = with_medians(job, tiles, None, checkpoint, meter)
    for places in steps:
        _add_tiles(job, tiles, ledger, places, meter.add)
    return _with_rounding(job, sums)


def _work_with_kept(job: GramJob, tiles: list[Tile], by_median: list[int], others: list[int]) -> float:
    """Return the work of a job that keeps its distances: to work them out, to find their medians, to use them."""
    rbfs = [job.kernels[place] for place in by_median]
    of_medians = sum(_median_work(job, layer, tiles, is_kept=True) for layer in job.layers)
    of_sums = len(job.layers) * sum(work_of_kernels(rbfs, tile) + work_of_sums(len(rbfs), tile) for tile in tiles)
    return sum(tile_work(_of_kernels(job, others), tile) for tile in tiles) + of_medians + of_sums


def _work_and_done(
    job: GramJob, tiles: list[Tile], steps: list[list[int]], ledger: "_Ledger", checkpoint: Checkpoint
) -> tuple[float, float]:
    """Return the work of a job that keeps no distances, and what an earlier run did of it."""
    work = done = 0.0
    for places in steps:
        of_tiles = [tile_work(_of_kernels(job, places), tile) for tile in tiles]
        work, done = work + sum(of_tiles), done + sum(of_tiles[: ledger.n_added[places[0]]])
    if any(spec.get("sigma") is not None for spec in job.kernels):
        of_layers = np.array([_median_work(job, layer, tiles, is_kept=False) for layer in job.layers])
        work, done = work + of_layers.sum(), done + of_layers[~np.isnan(_known_medians(job, checkpoint))].sum()
    return work, done


def _of_kernels(job: GramJob, places: list[int]) -> GramJob:
    return replace(job, kernels=[job.kernels[place] for place in places])


def tile_work(job: GramJob, tile: Tile) -> float:
    """Return the work of one tile of every layer, as `tile_of_all_layers` counts it."""
    needs = job.needs | {"distances"} if job.keep_distances else job.needs
    inputs = sum(work_of_inputs(layer, tile, needs) for layer in job.layers)
    return inputs + len(job.layers) * (work_of_kernels(job.kernels, tile) + work_of_sums(len(job.kernels), tile))


def _median_work(job: GramJob, layer: GramLayer, tiles: list[Tile], *, is_kept: bool) -> float:
    """Return the work of finding the median of one layer."""
    if layer.source.is_constant:
        return 0.0
    if is_kept:
        return float(MEDIAN_OF_KEPT * sum(map(n_entries, tiles)))
    of_passes = MEDIAN_PASSES[n_median_passes(job.n_examples, job.n_kept)]
    inputs = len(of_passes) * sum(work_of_inputs(layer, tile, DISTANCES) for tile in tiles)
    return inputs + sum(of_passes) * sum(map(n_entries, tiles))


class _Ledger:
    """The sums of every kernel, and how many tiles have been added to each of them."""

    def __init__(self, sums: Sequence[GramSums], checkpoint: Checkpoint):
        self.sums, self._checkpoint = sums, checkpoint
        self.n_added = np.zeros(len(sums), np.int64)
        checkpoint.restore(_TILES, self._state())

    def in_step(self, first: list[int], second: list[int]) -> list[list[int]]:
        """Return the places of all kernels, in groups to which as many tiles have been added."""
        if not first or not second or self.n_added[first[0]] == self.n_added[second[0]]:
            return [sorted(first + second)]
        return [first, second]

    def add(self, places: list[int], tile: list[TileSums]) -> None:
        with self._checkpoint.adding(_TILES, self._state):
            for place, of_tile in zip(places, tile, strict=True):
                self.sums[place].add(of_tile)
                self.n_added[place] += 1

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
    count: Count,
    kept: list[list[Array]] | None = None,
) -> list[list[Array]]:
    """Add every tile that is missing to the sums of some kernels; return the distances of each where they are kept."""
    job = _of_kernels(job, places)
    first = int(ledger.n_added[places[0]]) if places else 0
    results = in_order(
        lambda place: tile_of_all_layers(job, tiles[place], kept[place] if kept else None, count),
        range(first, len(tiles)),
        job.tiles_at_once,
    )
    distances = []
    for result in results:
        ledger.add(places, result.sums)
        distances.append(result.distances)
    return distances


def tile_dtype(layers: Sequence[GramLayer], spec: Spec) -> np.dtype[Any]:
    """Return the dtype of a kernel's tiles: float32 where the kernel bears it and every layer is float32."""
    if kernels.KERNELS[spec.name].keeps_single and all(layer.source.dtype == np.float32 for layer in layers):
        return np.dtype(np.float32)
    return np.dtype(np.float64)


def tile_of_all_layers(
    job: GramJob, tile: Tile, kept: list[Array] | None = None, count: Count = uncounted
) -> TileResult:
    """Return what one tile of every layer adds to the Gram sums of each kernel.

    kept : the squared distances of each layer in this tile, where they are known; they are used up.
    count : called with the work done, bit by bit.
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
            of_inputs = parts_of(work_of_inputs(layer, tile, needs), count)
            inputs, row_terms, column_terms = tile_inputs(layer, tile, needs, out, of_inputs)
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
        count(work_of_kernels(job.kernels, tile))
        return inputs["distances"] if job.keep_distances else None

    distances = list(in_order(fill, range(len(job.layers)), job.layers_at_once))
    sums = [tile_sums(values, rows, columns, job.x, job.y, job.folds) for values in tiles]
    count(len(job.layers) * work_of_sums(len(job.kernels), tile))
    return TileResult(sums, [each for each in distances if each is not None])


def with_medians(
    job: GramJob,
    tiles: list[Tile],
    kept: list[list[Array]] | None,
    checkpoint: Checkpoint,
    meter: Meter,
) -> GramJob:
    """Return the job with the exact median squared distance of every layer.

    kept : the squared distances of each tile and layer, where they are at hand; else they are worked out anew.
    """
    known = _known_medians(job, checkpoint)

    def with_median(place: int) -> GramLayer:
        layer = job.layers[place]
        if layer.source.is_constant:
            return layer
        if not np.isnan(known[place]):
            return _of_median(layer, float(known[place]))
        counted = meter.share(_median_work(job, layer, tiles, is_kept=kept is not None))
        if kept is None:
            chunks = _passes(job, layer, tiles, counted.add)
            # The distances of m rows are not independent: their quantiles stray by about 1/√m, not 1/m.
            sample, stray = sampled_distances(layer), 0.2
        else:
            chunks = lambda: (_each_pair_once(of_tile[place], tile) for of_tile, tile in zip(kept, tiles, strict=True))  # noqa: E731
            sample = np.concatenate([chunk[::97] for chunk in chunks()])
            sample, stray = sample[np.isfinite(sample)], 0.01
        median = median_of_all_pairs(chunks, sample, job.n_examples, share=stray, max_kept=job.n_kept // 2)
        counted.end()
        if median <= 64 * float(np.finfo(layer.source.dtype).eps) * layer.terms.mean_distance:
            median = 0.0  # equal rows, told apart by rounding alone
        return _of_median(layer, median)

    n_threads = max(job.tiles_at_once, job.layers_at_once)
    layers: list[GramLayer] = []
    found = known.copy()
    for place, layer in enumerate(in_order(with_median, range(len(job.layers)), n_threads)):
        layers.append(layer)
        with checkpoint.adding(_MEDIANS, lambda: {"medians": found}, at_once=len(layers) == len(job.layers)):
            found[place] = layer.terms.typical_distance
    return replace(job, layers=layers)


def _known_medians(job: GramJob, checkpoint: Checkpoint) -> Float64:
    """Return the medians that an earlier run found, shape (n_layers,), NaN where it found none."""
    known = np.full(len(job.layers), np.nan)
    checkpoint.restore(_MEDIANS, {"medians": known})
    return known


def _of_median(layer: GramLayer, median: float) -> GramLayer:
    return replace(layer, terms=replace(layer.terms, typical_distance=median))


def _passes(job: GramJob, layer: GramLayer, tiles: list[Tile], count: Count) -> Callable[[], Iterator[Array]]:
    """Return what gives the distances of a layer's pairs of rows, tile by tile, worked out anew at each call."""
    works = iter(MEDIAN_PASSES[n_median_passes(job.n_examples, job.n_kept)])

    def distances() -> Iterator[Array]:
        per_entry = next(works, 0)
        for tile in tiles:
            of_inputs = parts_of(work_of_inputs(layer, tile, DISTANCES), count)
            inputs, _, _ = tile_inputs(layer, tile, DISTANCES, count=of_inputs)
            yield _each_pair_once(inputs["distances"], tile)
            count(per_entry * n_entries(tile))

    return distances


def _each_pair_once(distances: Array, tile: Tile) -> Array:
    """Return a tile's squared distances in a row; on the diagonal, infinity for all but the pairs i < j."""
    if tile[0] == tile[1]:
        distances = np.where(np.tri(len(distances), dtype=bool), distances.dtype.type(np.inf), distances)
    return distances.ravel()


def gram_scales(layers: Sequence[GramLayer], spec: Spec) -> Float64:
    """Return the square root of what each Gram matrix was multiplied by, shape (n_layers,); 0 where there is none."""
    of_linear = [layer.terms.scale * layer.terms.shrink if spec.name == "linear" else 1.0 for layer in layers]
    return np.array([scale if has_gram(layer, spec) else 0.0 for layer, scale in zip(layers, of_linear, strict=True)])
