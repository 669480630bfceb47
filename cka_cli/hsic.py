"""Gram sums: what a tile adds to them, and the biased and unbiased HSIC that follow from them.

With K and L Gram matrices of n examples, un-centred, everything needed of a pair is ⟨K,L⟩, the row sums and the
diagonals. They are sums over tiles, so they can be added up in any division of the work.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Float64 = NDArray[np.float64]

# Bytes of a tile that are turned into float64 in one go: few enough to stay in a core's cache.
_CHUNK_BYTES = 1 << 20


@dataclass
class TileSums:
    """What the tile of rows `rows` and columns `columns` adds to the Gram sums of one kernel.

    cross : shape (n_x_layers, n_y_layers); norms : shape (n_layers,). Counted twice already off the diagonal.
    row_sums : shape (n_layers, len(rows)); column_sums : shape (n_layers, len(columns)), None on the diagonal.
    diagonals : shape (n_layers, len(rows)), None off the diagonal.
    """

    rows: slice
    columns: slice
    cross: Float64
    norms: Float64
    row_sums: Float64
    column_sums: Float64 | None
    diagonals: Float64 | None


def tile_sums(tiles: Array, rows: slice, columns: slice, x: slice, y: slice) -> TileSums:
    """Return the sums of one tile of every layer.

    tiles : shape (n_layers, n_rows, n_columns). x, y : which layers stand in the rows and columns of the matrix.
    """
    n_layers, n_rows, n_columns = tiles.shape
    cross = np.zeros((len(range(n_layers)[x]), len(range(n_layers)[y])))
    norms = np.zeros(n_layers)
    row_sums = np.empty((n_layers, n_rows))
    column_sums = np.zeros((n_layers, n_columns))
    n_chunk = max(1, _CHUNK_BYTES // (8 * n_layers * n_columns))
    for start in range(0, n_rows, n_chunk):
        # float32 sums of this many terms would cost two to three digits of a debiased value.
        chunk = tiles[:, start : start + n_chunk].astype(np.float64)
        flat = chunk.reshape(n_layers, -1)
        cross += flat[x] @ flat[y].T
        norms += np.einsum("ij,ij->i", flat, flat)
        row_sums[:, start : start + n_chunk] = chunk.sum(axis=2)
        column_sums += chunk.sum(axis=1)
    if rows == columns:
        diagonals = np.einsum("lii->li", tiles).astype(np.float64)
        return TileSums(rows, columns, cross, norms, row_sums, None, diagonals)
    return TileSums(rows, columns, 2 * cross, 2 * norms, row_sums, column_sums, None)


class GramSums:
    """The sums over all n × n entries of the Gram matrices of a stack of layers, one kernel.

    cross : ⟨K,L⟩, shape (n_x_layers, n_y_layers). norms : ⟨K,K⟩, shape (n_layers,).
    row_sums, diagonals : shape (n_layers, n_examples). x, y : the layers of the matrix's rows and columns.
    dtype : of the tiles, float32 or float64.
    """

    def __init__(self, n_layers: int, n_examples: int, x: slice, y: slice, dtype: np.dtype[Any]):
        self.n_examples, self.x, self.y, self.dtype = n_examples, x, y, dtype
        self.cross = np.zeros((len(range(n_layers)[x]), len(range(n_layers)[y])))
        self.norms = np.zeros(n_layers)
        self.row_sums = np.zeros((n_layers, n_examples))
        self.diagonals = np.zeros((n_layers, n_examples))

    def add(self, tile: TileSums) -> None:
        """Add one tile of the upper triangle; the order of the tiles changes nothing but rounding."""
        self.cross += tile.cross
        self.norms += tile.norms
        self.row_sums[:, tile.rows] += tile.row_sums
        if tile.column_sums is not None:
            self.row_sums[:, tile.columns] += tile.column_sums
        if tile.diagonals is not None:
            self.diagonals[:, tile.rows] += tile.diagonals

    def rounding(self, *, is_unbiased: bool) -> Float64:
        """Return the HSIC of each layer with itself that rounding alone may leave, shape (n_layers,)."""
        n = self.n_examples
        return 16 * float(np.finfo(self.dtype).eps) * self.norms / (n * (n - 3) if is_unbiased else (n - 1) ** 2)

    def biased(self) -> tuple[Float64, Float64]:
        """Return biased HSIC of every pair, shape (n_x_layers, n_y_layers), and of every layer with itself."""
        sums, totals = self.row_sums, self.row_sums.sum(axis=1)
        return (
            hsic_biased(self.cross, sums[self.x] @ sums[self.y].T, _outer(totals, self.x, self.y), self.n_examples),
            hsic_biased(self.norms, np.einsum("ij,ij->i", sums, sums), totals**2, self.n_examples),
        )

    def unbiased(self) -> tuple[Float64, Float64]:
        """Return unbiased HSIC of every pair, shape (n_x_layers, n_y_layers), and of every layer with itself."""
        diagonals, sums = self.diagonals, self.row_sums - self.diagonals
        totals, (x, y) = sums.sum(axis=1), (self.x, self.y)
        return (
            hsic_unbiased(
                self.cross - diagonals[x] @ diagonals[y].T, sums[x] @ sums[y].T, _outer(totals, x, y), self.n_examples
            ),
            hsic_unbiased(
                self.norms - np.einsum("ij,ij->i", diagonals, diagonals),
                np.einsum("ij,ij->i", sums, sums),
                totals**2,
                self.n_examples,
            ),
        )


def _outer(totals: Float64, x: slice, y: slice) -> Float64:
    return np.asarray(np.multiply.outer(totals[x], totals[y]))


def hsic_biased(inner: Float64, row_products: Float64, total_products: Float64, n_examples: int) -> Float64:
    """Return the biased HSIC tr(KHLH)/(n−1)² from sums of un-centred Gram matrices.

    inner : ⟨K,L⟩. row_products : a·b of the row sums. total_products : product of the totals.
    Not negative but for rounding. Gretton et al. (2005); Kornblith et al. (2019), eq. 3.
    """
    trace = inner - 2 / n_examples * row_products + total_products / n_examples**2
    return np.asarray(trace / (n_examples - 1) ** 2)


def hsic_unbiased(inner: Float64, row_products: Float64, total_products: Float64, n_examples: int) -> Float64:
    """Return the unbiased HSIC of two kernels from their sums, diagonals left out of every one of them.

    inner : sum of the products of the off-diagonal entries. row_products : a·b of the off-diagonal row sums.
    total_products : product of the off-diagonal totals. May be negative: the estimator is unbiased around 0.
    Needs at least 4 examples. Song et al. (2012), JMLR 13, eq. 5.
    """
    n = n_examples
    sums = inner - 2 / (n - 2) * row_products + total_products / ((n - 1) * (n - 2))
    return np.asarray(sums / (n * (n - 3)))


def cka(cross: Float64, x_norms: Float64, y_norms: Float64) -> Float64:
    """Return HSIC(K,L)/√(HSIC(K,K) HSIC(L,L)); NaN where a norm is NaN. Kornblith et al. (2019), eq. 4."""
    return np.asarray(cross / (np.sqrt(x_norms)[:, None] * np.sqrt(y_norms)))
