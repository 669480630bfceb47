"""Gram sums of the linear kernel from products of features with features: the same numbers for less work.

For Xc, Yc centred, ⟨K,L⟩ = ‖Xc'Yc‖², so with few features the n × n Gram matrices need not be formed. All layers stand
side by side, and a block of rows adds one product.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cka_cli.arrays import Array, Float64
from cka_cli.centred import Source
from cka_cli.checkpoint import Checkpoint
from cka_cli.folds import Folds
from cka_cli.gram_sums import GramSums
from cka_cli.threads import in_order

_STAGE = "features"
# Bytes of products that are gone through for every fold in one go: few enough to stay in a core's cache.
_CHUNK_BYTES = 1 << 18


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


def block_products(layers: Sequence[Source], x: slice, y: slice, rows: slice) -> BlockProducts:
    """Return what one block of rows adds: a pure function, whose results are added up."""
    # In float64: the unbiased estimator takes off the squares of the norms, which float32 sums would not survive.
    values = [_all_features(layer, rows).astype(np.float64) for layer in layers]
    x_values = np.concatenate(values[x], axis=1)
    y_values = x_values if x == y else np.concatenate(values[y], axis=1)
    own = [] if x == y else [block.T @ block for block in values]
    return BlockProducts(
        x_values.T @ y_values,
        own,
        [block.sum(axis=0) for block in values],
        np.array([np.einsum("ij,ij->i", block, block) for block in values]),
    )


def _all_features(layer: Source, rows: slice) -> Array:
    parts = [values for _, values in layer.slices(rows)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def feature_sums(
    layers: Sequence[Source],
    x: slice,
    y: slice,
    n_rows: int,
    n_threads: int,
    progress: Callable[[int, int], None],
    checkpoint: Checkpoint,
    folds: Folds | None = None,
) -> GramSums:
    """Return the Gram sums of the linear kernel, in scaled units, exact for the biased and the unbiased estimator.

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
    n_steps = len(runs) + (len(blocks) if folds else 0)
    left = runs[int(state["n_added"][0]) :]
    results = in_order(lambda run: block_products(layers, x, y, run[1]), left, n_threads)
    for (fold, rows), block in zip(left, results, strict=True):
        of_folds[fold].add(block)
        sums.diagonals[:, rows] = block.squared_norms
        state["n_added"] += 1
        checkpoint.keep(_STAGE, lambda: state)
        progress(int(state["n_added"][0]), n_steps)
    if not folds:
        _set_sums(sums, of_folds[0], layers)
        _take_off_diagonals(sums)
        return sums
    totals = [np.array(of_layer) for of_layer in zip(*(each.totals for each in of_folds), strict=True)]
    row_sums = in_order(lambda rows: _fold_row_sums(layers, totals, rows), blocks, n_threads)
    for done, (rows, part) in enumerate(zip(blocks, row_sums, strict=True), start=len(runs) + 1):
        sums.fold_row_sums[:, :, rows] = part
        progress(done, n_steps)
    _set_fold_sums(sums, of_folds, layers, folds)
    return sums


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
    parts = [
        of_folds @ _all_features(layer, rows).astype(np.float64).T
        for layer, of_folds in zip(layers, totals, strict=True)
    ]
    return np.stack(parts, axis=1)


def _set_fold_sums(sums: GramSums, of_folds: Sequence[_Products], layers: Sequence[Source], folds: Folds) -> None:
    """Set the sums over all entries and what each fold has part in: ‖C‖² and ‖C‖² − ‖C − C_fold‖² of products C."""
    x, y, diagonals = sums.x, sums.y, sums.diagonals
    cross, without = _squares_without([each.cross for each in of_folds], layers[x], layers[y])
    sums.cross[...], sums.fold_cross[...] = cross, cross - without
    if x == y:
        sums.norms[...] = np.diagonal(cross)
        sums.fold_norms[...] = np.einsum("fii->fi", sums.fold_cross)
    for place in range(len(of_folds[0].own)):
        own, own_without = _squares_without([each.own[place] for each in of_folds], *([layers[place]],) * 2)
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
    of_folds: Sequence[Float64], x_layers: Sequence[Source], y_layers: Sequence[Source]
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
