"""Gram sums of the linear kernel from products of features with features: the same numbers for less work.

For Xc, Yc centred, ⟨K,L⟩ = ‖Xc'Yc‖², so with few features the n × n Gram matrices need not be formed. All layers stand
side by side, and a block of rows adds one product.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cka_cli.arrays import Array, Float64, pieces
from cka_cli.reductions.folds import Folds, Run, runs_of
from cka_cli.reductions.gram_sums import GramSums
from cka_cli.reductions.protocol import Reduction
from cka_cli.reductions.source import Source

# Bytes of products that are gone through for every fold in one go: few enough to stay in a core's cache.
_CHUNK_BYTES = 1 << 18
# Features of X that are multiplied with those of Y in one go: of a symmetric product, half is left out by these.
_FEATURES_AT_ONCE = 512


@dataclass(frozen=True)
class Products:
    """Sums over some rows.

    cross : X'Y of all layers side by side. own : X'X of each layer; empty when X is compared with itself.
    totals : column sums of each layer.
    """

    cross: Float64
    own: list[Float64]
    totals: list[Float64]

    def arrays(self) -> dict[str, Array]:
        own = {f"own {place}": each for place, each in enumerate(self.own)}
        return {"cross": self.cross, **own, **{f"total {place}": each for place, each in enumerate(self.totals)}}


# What a block adds: its products, and the squared norms of its rows, shape (n_layers, n_rows).
BlockProducts = tuple[Products, Float64]


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


def _cross_products(x_values: Float64, y_values: Float64) -> Float64:
    """Return X'Y; of X'X the part above the diagonal is worked out and mirrored."""
    n_x, is_symmetric = x_values.shape[1], x_values is y_values
    products = np.empty((n_x, y_values.shape[1]))
    for some in pieces(n_x, _FEATURES_AT_ONCE):
        first = some.start if is_symmetric else 0
        np.matmul(x_values[:, some].T, y_values[:, first:], out=products[some, first:])
        if is_symmetric:
            products[some.stop :, some] = products[some, some.stop :].T
    return products


def _no_products(layers: Sequence[Source], x: slice, y: slice) -> Products:
    n_x, n_y = (sum(layer.n_features for layer in layers[side]) for side in (x, y))
    own = [np.zeros((layer.n_features, layer.n_features)) for layer in layers] if x != y else []
    return Products(np.zeros((n_x, n_y)), own, [np.zeros(layer.n_features) for layer in layers])


@dataclass(frozen=True, eq=False)
class BlockFunction:
    """What one block of rows adds. x, y : the layers that stand in the rows and columns of the matrix."""

    layers: Sequence[Source]
    x: slice
    y: slice

    def __call__(self, run: Run) -> BlockProducts:
        # In float64: the unbiased estimator takes off the squares of the norms, which float32 sums would not survive.
        _, rows = run
        x_values, values = _side_by_side(self.layers[self.x], rows)
        y_values, own = x_values, []
        if self.x != self.y:
            y_values, of_y = _side_by_side(self.layers[self.y], rows)
            values += of_y
            own = [block.T @ block for block in values]
        products = Products(_cross_products(x_values, y_values), own, [block.sum(axis=0) for block in values])
        return products, np.array([np.einsum("ij,ij->i", block, block) for block in values])


class FeatureProducts(Reduction[Run, BlockProducts]):
    """The products of features of all layers, of each fold where folds are told apart.

    n_rows : of a block. Cost: n·p·q multiplications for all pairs together, p and q the features of all layers of X
    and of Y.
    """

    name = "features"
    stage = "comparing"

    def __init__(self, layers: Sequence[Source], x: slice, y: slice, n_rows: int, folds: Folds | None = None):
        self.compute = BlockFunction(layers, x, y)
        self.folds = folds
        self._tasks = [
            (fold, slice(rows.start + run.start, rows.start + run.stop))
            for rows in pieces(layers[0].n_examples, n_rows)
            for fold, run in runs_of(folds, rows)
        ]
        self._costs = [rows.stop - rows.start for _, rows in self._tasks]
        self.of_folds = [_no_products(layers, x, y) for _ in range(len(folds.sizes) if folds else 1)]
        self.diagonals = np.zeros((len(layers), layers[0].n_examples))

    def add(self, partial: BlockProducts) -> None:
        (fold, rows), (products, squared_norms) = self._tasks[self.n_added], partial
        for total, values in zip(self.of_folds[fold].arrays().values(), products.arrays().values(), strict=True):
            total += values
        self.diagonals[:, rows] = squared_norms
        self.n_added += 1

    def state(self) -> dict[str, Array]:
        state: dict[str, Array] = {"diagonals": self.diagonals}
        for fold, sums in enumerate(self.of_folds):
            state |= {f"{fold} {name}": values for name, values in sums.arrays().items()}
        return state


@dataclass(frozen=True, eq=False)
class FoldRowFunction:
    """The sums of the Gram matrices' rows over the columns of each fold: shape (n_folds, n_layers, n_rows).

    totals : of each layer the sums of the features of each fold, shape (n_folds, n_features).
    """

    layers: Sequence[Source]
    totals: Sequence[Float64]

    def __call__(self, rows: slice) -> Float64:
        both = zip(self.layers, self.totals, strict=True)
        return np.stack([of_folds @ _side_by_side([layer], rows)[0].T for layer, of_folds in both], axis=1)


class FoldRowSums(Reduction[slice, Float64]):
    """The sums of the Gram matrices' rows over the columns of each fold: layers are gone through once more."""

    name = "row sums of folds"
    stage = "adding up rows"

    def __init__(self, products: FeatureProducts, n_rows: int):
        layers, of_folds = products.compute.layers, products.of_folds
        totals = [np.array(of_layer) for of_layer in zip(*(each.totals for each in of_folds), strict=True)]
        self.compute = FoldRowFunction(layers, totals)
        self._tasks = list(pieces(layers[0].n_examples, n_rows))
        self._costs = [rows.stop - rows.start for rows in self._tasks]
        self.row_sums = np.zeros((len(of_folds), len(layers), layers[0].n_examples))

    def add(self, partial: Float64) -> None:
        self.row_sums[:, :, self._tasks[self.n_added]] = partial
        self.n_added += 1

    def state(self) -> dict[str, Array]:
        return {"row_sums": self.row_sums}


def sums_of_products(products: FeatureProducts, row_sums: Float64 | None) -> GramSums:
    """Return the Gram sums of the linear kernel, in scaled units, exact for the biased and the unbiased estimator.

    row_sums : those of `FoldRowSums`; None where folds are not told apart.
    """
    layers, x, y = products.compute.layers, products.compute.x, products.compute.y
    sums = GramSums(len(layers), layers[0].n_examples, x, y, products.folds)
    sums.diagonals[...] = products.diagonals
    if row_sums is None:
        _set_sums(sums, products.of_folds[0])
    else:
        assert products.folds is not None
        sums.fold_row_sums[...] = row_sums
        _set_fold_sums(sums, products.of_folds, layers, products.folds)
    return sums


def _set_sums(sums: GramSums, products: Products) -> None:
    """Set the sums over all entries from the products of features, with what is left of the means taken off."""
    x, y, totals, diagonals = sums.x, sums.y, products.totals, sums.diagonals
    sums.cross[...] = _centred_squares(products.cross, totals[x], totals[y], sums.n_examples)
    if x == y:
        sums.norms[...] = np.diagonal(sums.cross)
    for place, (own, total) in enumerate(zip(products.own, totals, strict=False)):
        sums.norms[place] = _centred_squares(own, [total], [total], sums.n_examples)[0, 0]
    # The diagonal is left out, as Gram sums do; the rows of a centred K sum to 0.
    sums.cross -= diagonals[x] @ diagonals[y].T
    sums.norms -= np.einsum("ij,ij->i", diagonals, diagonals)
    sums.row_sums -= diagonals


def _centred_squares(
    products: Float64, x_totals: Sequence[Float64], y_totals: Sequence[Float64], n_examples: int
) -> Float64:
    """Return the sum of squares of every pair of layers, with what is left of the means taken off their products."""
    x_means, y_totals_all = np.concatenate(x_totals) / n_examples, np.concatenate(y_totals)
    x_widths, y_widths = ([len(total) for total in totals] for totals in (x_totals, y_totals))
    squares = np.zeros((len(x_widths), len(y_widths)))
    for place, rows in _row_chunks(x_widths, len(y_totals_all)):
        squares[place] += _squares_of_row(products[rows] - np.outer(x_means[rows], y_totals_all), y_widths)
    return squares


def _set_fold_sums(sums: GramSums, of_folds: Sequence[Products], layers: Sequence[Source], folds: Folds) -> None:
    """Set the sums over all entries and what each fold has part in: ‖C‖² and ‖C‖² − ‖C − C_fold‖² of products C."""
    x, y, diagonals = sums.x, sums.y, sums.diagonals
    widths = [layer.n_features for layer in layers]
    cross, without = _squares_without([each.cross for each in of_folds], widths[x], widths[y])
    sums.cross[...], sums.fold_cross[...] = cross, cross - without
    if x == y:
        sums.norms[...] = np.diagonal(cross)
        sums.fold_norms[...] = np.einsum("fii->fi", sums.fold_cross)
    for place in range(len(of_folds[0].own)):
        own, own_without = _squares_without([each.own[place] for each in of_folds], *([widths[place]],) * 2)
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
    of_folds: Sequence[Float64], x_widths: Sequence[int], y_widths: Sequence[int]
) -> tuple[Float64, Float64]:
    """Return ‖C‖² of every pair of layers for C the sum of the folds' products, and for C without each of them."""
    total = np.zeros((len(x_widths), len(y_widths)))
    without = np.zeros((len(of_folds), *total.shape))
    for place, rows in _row_chunks(x_widths, of_folds[0].shape[1]):
        chunk = np.sum([products[rows] for products in of_folds], axis=0)
        total[place] += _squares_of_row(chunk, y_widths)
        for fold, products in enumerate(of_folds):
            without[fold, place] += _squares_of_row(chunk - products[rows], y_widths)
    return total, without


def _row_chunks(widths: Sequence[int], n_columns: int) -> Iterator[Run]:
    """Give layer and rows of chunks of a matrix whose rows are the features of layers of these widths."""
    start = 0
    for place, width in enumerate(widths):
        for rows in pieces(start + width, _CHUNK_BYTES // (8 * n_columns), start):
            yield place, rows
        start += width


def _squares_of_row(products: Float64, widths: Sequence[int]) -> Float64:
    """Return the sum of squares of some rows and every layer's columns, shape (n_layers,)."""
    by_column = np.einsum("ij,ij->j", products, products)
    return np.asarray(np.add.reduceat(by_column, np.cumsum([0, *widths[:-1]])))
