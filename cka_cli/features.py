"""Gram sums of the linear kernel from products of features with features: the same numbers for less work.

For Xc, Yc centred, ⟨K,L⟩ = ‖Xc'Yc‖², so with few features the n × n Gram matrices need not be formed. All layers stand
side by side, and a block of rows adds one product.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cka_cli.arrays import Array, Float64
from cka_cli.centred import Source
from cka_cli.hsic import GramSums
from cka_cli.threads import in_order


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
    layers: Sequence[Source], x: slice, y: slice, n_rows: int, n_threads: int, progress: Callable[[int, int], None]
) -> GramSums:
    """Return the Gram sums of the linear kernel, in scaled units, exact for the biased and the unbiased estimator.

    Cost: n·p·q multiplications for all pairs together, p and q the features of all layers of X and of Y.
    """
    n_examples = layers[0].n_examples
    blocks = [slice(start, min(start + n_rows, n_examples)) for start in range(0, n_examples, n_rows)]
    sums = GramSums(np.zeros(len(layers)), n_examples, x, y)
    cross: Float64 | None = None
    own = [np.zeros((layer.n_features, layer.n_features)) for layer in layers] if x != y else []
    totals = [np.zeros(layer.n_features) for layer in layers]
    results = in_order(lambda rows: block_products(layers, x, y, rows), blocks, n_threads)
    for done, (rows, block) in enumerate(zip(blocks, results, strict=True), start=1):
        cross = block.cross if cross is None else cross + block.cross
        for place, part in enumerate(block.own):
            own[place] += part
        totals = [total + part for total, part in zip(totals, block.totals, strict=True)]
        sums.diagonals[:, rows] = block.squared_norms
        progress(done, len(blocks))
    assert cross is not None
    cross -= np.outer(np.concatenate(totals[x]), np.concatenate(totals[y])) / n_examples
    sums.cross[...] = _squares_by_pair(cross, layers[x], layers[y])
    if x == y:
        sums.norms[...] = np.diagonal(sums.cross)
    for place, (total, part) in enumerate(zip(own, totals, strict=False)):
        sums.norms[place] = ((total - np.outer(part, part) / n_examples) ** 2).sum()
    _take_off_diagonals(sums)
    return sums


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
