"""Gram sums of the linear kernel from products of features with features: the same numbers for less work.

For Xc, Yc centred, ⟨K,L⟩ = ‖Xc'Yc‖², so with few features the n × n Gram matrices need not be formed. All layers stand
side by side, and a block of rows adds one product.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cka_cli.arrays import Float64
from cka_cli.execution.checkpoint import Checkpoint
from cka_cli.execution.threads import in_order
from cka_cli.plan.costs import SYMMETRIC
from cka_cli.reductions.folds import Folds
from cka_cli.reductions.gram_sums import GramSums
from cka_cli.reductions.source import Source
from cka_cli.system.progress import Count, Meter, Report, uncounted

_STAGE = "features"
# Bytes of products that are gone through for every fold in one go: few enough to stay in a core's cache.
_CHUNK_BYTES = 1 << 18
# Features of X that are multiplied with those of Y in one go: few enough to count what is done.
_FEATURES_AT_ONCE = 512
# In multiplications of a product: squaring an entry of the products of one fold and adding it up, and one value of a
# layer that is read again for the row sums of folds.
_SQUARE, _READ_AGAIN = 50, 150


@dataclass(frozen=True)
class BlockProducts:
    """What one block of rows adds.

    cross : X'Y of all layers side by side. own : X'X of each layer; empty when X is compared with itself.
    totals : column sums of each layer. squared_norms : shape (n_layers, n_rows).
    """

    cross: Float64
    own: list[Float64]
    totals: list[Float64]
    squared_norms: Float64


def block_products(
    layers: Sequence[Source], x: slice, y: slice, rows: slice, count: Count = uncounted
) -> BlockProducts:
    """Return what one block of rows adds: a pure function, whose results are added up.

    count : called with the multiplications done.
    """
    # In float64: the unbiased estimator takes off the squares of the norms, which float32 sums would not survive.
    x_values, values = _side_by_side(layers[x], rows)
    y_values, own = x_values, []
    if x != y:
        y_values, of_y = _side_by_side(layers[y], rows)
        values += of_y
        for block in values:
            own.append(block.T @ block)
            count(SYMMETRIC * len(block) * block.shape[1] ** 2)
    return BlockProducts(
        _cross_products(x_values, y_values, count),
        own,
        [block.sum(axis=0) for block in values],
        np.array([np.einsum("ij,ij->i", block, block) for block in values]),
    )


def _side_by_side(layers: Sequence[Source], rows: slice) -> tuple[Float64, list[Float64]]:
    """Return some rows of all layers in one array, and the part of each layer in it."""
    ends = np.cumsum([0, *(layer.n_features for layer in layers)]).tolist()
    values = np.empty((rows.stop - rows.start, ends[-1]))
    blocks = [values[:, start:stop] for start, stop in pairwise(ends)]
    for layer, block in zip(layers, blocks, strict=True):
        for features, part in layer.slices(rows):
            block[:, features] = part
        _centre_on_all_rows(layer, block)
    return values, blocks


def _centre_on_all_rows(layer: Source, values: Float64) -> None:
    """Take off the mean of all rows, those that lie far out too, and bring these back to 1."""
    if len(layer.far.places):
        values -= layer.far.shift
        values *= layer.far.shrink(layer.scale)


def _cross_products(x_values: Float64, y_values: Float64, count: Count) -> Float64:
    """Return X'Y; of X'X the part above the diagonal is worked out and mirrored."""
    n_x, n_y, is_symmetric = x_values.shape[1], y_values.shape[1], x_values is y_values
    products = np.empty((n_x, n_y))
    for start, stop, first in _runs(n_x, is_symmetric=is_symmetric):
        np.matmul(x_values[:, start:stop].T, y_values[:, first:], out=products[start:stop, first:])
        if is_symmetric:
            products[stop:, start:stop] = products[start:stop, stop:].T
        count(len(x_values) * (stop - start) * (n_y - first))
    return products


def _runs(n_x: int, *, is_symmetric: bool) -> Iterator[tuple[int, int, int]]:
    """Give the features of X of each product, and the first feature of Y that they are multiplied with."""
    for start in range(0, n_x, _FEATURES_AT_ONCE):
        yield start, min(start + _FEATURES_AT_ONCE, n_x), start if is_symmetric else 0


def _all_features(layer: Source, rows: slice) -> Float64:
    values: Float64 = np.concatenate([part for _, part in layer.slices(rows)], axis=1, dtype=np.float64)
    _centre_on_all_rows(layer, values)
    return values


def feature_sums(
    layers: Sequence[Source],
    x: slice,
    y: slice,
    n_rows: int,
    n_threads: int,
    report: Report,
    checkpoint: Checkpoint,
    folds: Folds | None = None,
) -> GramSums:
    """Return the Gram sums of the linear kernel, in scaled units, exact for the biased and the unbiased estimator.

    report : called with the work done and all there is.
    Cost: n·p·q multiplications for all pairs together, p and q the features of all layers of X and of Y. With folds
    the layers are gone through twice, and the products of each fold are kept.
    """
    n_examples = layers[0].n_examples
    blocks = [slice(start, min(start + n_rows, n_examples)) for start in range(0, n_examples, n_rows)]
    runs = [(0, rows) for rows in blocks]
    if folds:
        of_blocks = [(rows.start, folds.runs(rows)) for rows in blocks]
        runs = [(fold, slice(at + run.start, at + run.stop)) for at, found in of_blocks for fold, run in found]
    sums = GramSums(len(layers), n_examples, x, y, folds)
    of_folds = [_Products(layers, x, y) for _ in range(len(folds.sizes) if folds else 1)]
    state = {f"{number} {place}": values for number, each in enumerate(of_folds) for place, values in each.arrays()}
    state |= {"diagonals": sums.diagonals, "n_added": np.zeros(1, np.int64)}
    checkpoint.restore(_STAGE, state)
    n_before = int(state["n_added"][0])
    left = runs[n_before:]
    work_of_row, work_of_folds = _work(layers, x, y, len(of_folds) if folds else 0)
    meter = Meter(
        report,
        work_of_row * n_examples + work_of_folds,
        work_of_row * sum(rows.stop - rows.start for _, rows in runs[:n_before]),
    )
    results = in_order(lambda run: block_products(layers, x, y, run[1], meter.add), left, n_threads)
    for (fold, rows), block in zip(left, results, strict=True):
        with checkpoint.adding(_STAGE, lambda: state):
            of_folds[fold].add(block)
            sums.diagonals[:, rows] = block.squared_norms
            state["n_added"] += 1
    checkpoint.end_stage(_STAGE)
    if not folds:
        _set_sums(sums, of_folds[0], layers)
        _take_off_diagonals(sums)
        return sums
    totals = [np.array(of_layer) for of_layer in zip(*(each.totals for each in of_folds), strict=True)]
    row_sums = in_order(lambda rows: _fold_row_sums(layers, totals, rows), blocks, n_threads)
    for rows, part in zip(blocks, row_sums, strict=True):
        sums.fold_row_sums[:, :, rows] = part
        meter.add(_READ_AGAIN * (rows.stop - rows.start) * sum(layer.n_features for layer in layers))
    _set_fold_sums(sums, of_folds, layers, folds, meter.add)
    return sums


def _work(layers: Sequence[Source], x: slice, y: slice, n_folds: int) -> tuple[float, float]:
    """Return the products of features for each row, and what telling folds apart takes on top, in such products."""
    widths = [layer.n_features for layer in layers]
    n_x, n_y = sum(widths[x]), sum(widths[y])
    own = 0.0 if x == y else SYMMETRIC * sum(width**2 for width in widths)
    cross = float(sum((stop - start) * (n_y - first) for start, stop, first in _runs(n_x, is_symmetric=x == y)))
    of_folds = _SQUARE * n_folds * (n_x * n_y + own / SYMMETRIC)
    return cross + own, of_folds + (_READ_AGAIN * layers[0].n_examples * sum(widths) if n_folds else 0.0)


class _Products:
    """Sums of `BlockProducts` over blocks."""

    def __init__(self, layers: Sequence[Source], x: slice, y: slice):
        n_x, n_y = (sum(layer.n_features for layer in layers[side]) for side in (x, y))
        self.cross = np.zeros((n_x, n_y))
        self.own = [np.zeros((layer.n_features, layer.n_features)) for layer in layers] if x != y else []
        self.totals = [np.zeros(layer.n_features) for layer in layers]

    def arrays(self) -> list[tuple[str, Float64]]:
        """Return all sums, each with a name of its own."""
        own = [(f"own {place}", each) for place, each in enumerate(self.own)]
        return [("cross", self.cross), *own, *((f"total {place}", each) for place, each in enumerate(self.totals))]

    def add(self, block: BlockProducts) -> None:
        self.cross += block.cross
        for own, of_block in zip(self.own, block.own, strict=True):
            own += of_block
        for total, part in zip(self.totals, block.totals, strict=True):
            total += part


def _set_sums(sums: GramSums, products: _Products, layers: Sequence[Source]) -> None:
    """Set the sums over all entries from the products of features, with what is left of the means taken off."""
    x, y, totals = sums.x, sums.y, products.totals
    products.cross -= np.outer(np.concatenate(totals[x]), np.concatenate(totals[y])) / sums.n_examples
    sums.cross[...] = _squares_by_pair(products.cross, layers[x], layers[y])
    if x == y:
        sums.norms[...] = np.diagonal(sums.cross)
    for place, (own, total) in enumerate(zip(products.own, totals, strict=False)):
        sums.norms[place] = ((own - np.outer(total, total) / sums.n_examples) ** 2).sum()


def _fold_row_sums(layers: Sequence[Source], totals: Sequence[Float64], rows: slice) -> Float64:
    """Return the sums of the Gram matrices' rows over the columns of each fold, shape (n_folds, n_layers, n_rows)."""
    parts = [of_folds @ _all_features(layer, rows).T for layer, of_folds in zip(layers, totals, strict=True)]
    return np.stack(parts, axis=1)


def _set_fold_sums(
    sums: GramSums, of_folds: Sequence[_Products], layers: Sequence[Source], folds: Folds, count: Count
) -> None:
    """Set the sums over all entries and what each fold has part in: ‖C‖² and ‖C‖² − ‖C − C_fold‖² of products C."""
    x, y, diagonals = sums.x, sums.y, sums.diagonals
    cross, without = _squares_without([each.cross for each in of_folds], layers[x], layers[y], count)
    sums.cross[...], sums.fold_cross[...] = cross, cross - without
    if x == y:
        sums.norms[...] = np.diagonal(cross)
        sums.fold_norms[...] = np.einsum("fii->fi", sums.fold_cross)
    for place in range(len(of_folds[0].own)):
        own, own_without = _squares_without([each.own[place] for each in of_folds], *([layers[place]],) * 2, count)
        sums.norms[place], sums.fold_norms[:, place] = own[0, 0], (own - own_without)[:, 0, 0]
    for fold in range(len(folds.sizes)):
        inside = folds.of_example == fold
        own_diagonals = diagonals[:, inside]
        sums.fold_row_sums[fold][:, inside] -= own_diagonals
        sums.fold_cross[fold] -= own_diagonals[x] @ own_diagonals[y].T
        sums.fold_norms[fold] -= np.einsum("ij,ij->i", own_diagonals, own_diagonals)
    sums.row_sums[...] = sums.fold_row_sums.sum(axis=0)
    sums.cross -= diagonals[x] @ diagonals[y].T
    sums.norms -= np.einsum("ij,ij->i", diagonals, diagonals)


def _squares_without(
    of_folds: Sequence[Float64], x_layers: Sequence[Source], y_layers: Sequence[Source], count: Count
) -> tuple[Float64, Float64]:
    """Return ‖C‖² of every pair of layers for C the sum of the folds' products, and for C without each of them."""
    n_rows = sum(layer.n_features for layer in x_layers)
    ends = np.cumsum([0, *(layer.n_features for layer in x_layers)])
    total = np.zeros((len(x_layers), len(y_layers)))
    without = np.zeros((len(of_folds), *total.shape))
    n_chunk = max(1, _CHUNK_BYTES // (8 * of_folds[0].shape[1]))
    starts = sorted({*range(0, n_rows, n_chunk), *ends[:-1].tolist()})
    for start, stop in zip(starts, [*starts[1:], n_rows], strict=True):
        place = int(np.searchsorted(ends, start, side="right")) - 1
        chunk = np.sum([products[start:stop] for products in of_folds], axis=0)
        total[place] += _squares_of_row(chunk, y_layers)
        for fold, products in enumerate(of_folds):
            without[fold, place] += _squares_of_row(chunk - products[start:stop], y_layers)
        count(_SQUARE * len(of_folds) * chunk.size)
    return total, without


def _squares_of_row(products: Float64, y_layers: Sequence[Source]) -> Float64:
    """Return the sum of squares of some rows and every layer's columns, shape (n_y_layers,)."""
    by_column = np.einsum("ij,ij->j", products, products)
    return np.asarray(np.add.reduceat(by_column, np.cumsum([0, *(layer.n_features for layer in y_layers[:-1])])))


def _take_off_diagonals(sums: GramSums) -> None:
    """Leave the diagonal out of the sums over all entries, as Gram sums do; the rows of a centred K sum to 0."""
    diagonals = sums.diagonals
    sums.cross -= diagonals[sums.x] @ diagonals[sums.y].T
    sums.norms -= np.einsum("ij,ij->i", diagonals, diagonals)
    sums.row_sums -= diagonals


def _squares_by_pair(products: Float64, x_layers: Sequence[Source], y_layers: Sequence[Source]) -> Float64:
    """Return the sum of squares of every layer's rows and every layer's columns, shape (n_x_layers, n_y_layers)."""
    products **= 2
    x_starts = np.cumsum([0, *(layer.n_features for layer in x_layers[:-1])])
    y_starts = np.cumsum([0, *(layer.n_features for layer in y_layers[:-1])])
    return np.asarray(np.add.reduceat(np.add.reduceat(products, x_starts, axis=0), y_starts, axis=1))
