"""Gram sums: what a tile adds to them, and the biased and unbiased HSIC that follow from them.

With K and L Gram matrices of n examples, un-centred, everything needed of a pair is ⟨K,L⟩, the row sums and the
diagonals. They are sums over tiles, so they can be added up in any division of the work. The diagonal is kept apart
from the rest: the unbiased estimator leaves it out, and taking it off afterwards would cost digits.
"""

from dataclasses import dataclass

import numpy as np

from cka_cli.arrays import Array, Float64

# What rounding may leave of sums of n² equal terms that cancel, relative to them.
_SUM_ROUNDING = 1e-12
# Bytes of a tile that are turned into float64 in one go: few enough to stay in a core's cache.
_CHUNK_BYTES = 1 << 20


@dataclass
class TileSums:
    """What the tile of rows `rows` and columns `columns` adds to the Gram sums of one kernel, the diagonal apart.

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
    """Return the sums of one tile of every layer; overwrites the diagonal of the tiles.

    tiles : shape (n_layers, n_rows, n_columns). x, y : which layers stand in the rows and columns of the matrix.
    """
    n_layers, n_rows, n_columns = tiles.shape
    cross = np.zeros((len(range(n_layers)[x]), len(range(n_layers)[y])))
    norms = np.zeros(n_layers)
    row_sums = np.empty((n_layers, n_rows))
    column_sums = np.zeros((n_layers, n_columns))
    diagonals = None
    if rows == columns:
        on_diagonal = np.einsum("lii->li", tiles)  # a view
        diagonals = on_diagonal.astype(np.float64)
        on_diagonal[...] = 0
    n_chunk = max(1, _CHUNK_BYTES // (8 * n_layers * n_columns))
    with np.errstate(over="ignore", invalid="ignore"):  # a kernel that overflows is told of by its norm
        for start in range(0, n_rows, n_chunk):
            # float32 sums of this many terms would cost two to three digits of a debiased value.
            chunk = tiles[:, start : start + n_chunk].astype(np.float64)
            flat = chunk.reshape(n_layers, -1)
            cross += flat[x] @ flat[y].T
            norms += np.einsum("lij,lij->li", chunk, chunk).sum(axis=1)  # row by row: short sums keep their digits
            row_sums[:, start : start + n_chunk] = chunk.sum(axis=2)
            column_sums += chunk.sum(axis=1)
    if diagonals is not None:
        return TileSums(rows, columns, cross, norms, row_sums, None, diagonals)
    return TileSums(rows, columns, 2 * cross, 2 * norms, row_sums, column_sums, None)


class GramSums:
    """The sums over all n × n entries of the Gram matrices of a stack of layers, one kernel; the diagonal is apart.

    cross : ⟨K,L⟩, shape (n_x_layers, n_y_layers). norms : ⟨K,K⟩, shape (n_layers,).
    row_sums, diagonals : shape (n_layers, n_examples). x, y : the layers of the matrix's rows and columns.
    entry_rounding : shape (n_layers,), about how far rounding moved the entries of each Gram matrix, beside what goes
        with the entry itself: product_rounding, relative.
    """

    def __init__(self, entry_rounding: Float64, n_examples: int, x: slice, y: slice):
        n_layers = len(entry_rounding)
        self.n_examples, self.x, self.y, self.entry_rounding = n_examples, x, y, entry_rounding
        self.product_rounding = 0.0
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
        with_diagonal = 0 if is_unbiased else np.einsum("ij,ij->i", self.diagonals, self.diagonals)
        relative = _SUM_ROUNDING + (16 * self.product_rounding) ** 2  # what entries are moved by adds up squared
        of_sums = relative * (self.norms + with_diagonal)
        of_entries = (16 * n * self.entry_rounding) ** 2
        return np.asarray((of_sums + of_entries) / (n * (n - 3) if is_unbiased else (n - 1) ** 2))

    def biased(self) -> tuple[Float64, Float64]:
        """Return biased HSIC of every pair, shape (n_x_layers, n_y_layers), and of every layer with itself."""
        diagonals, sums, (x, y) = self.diagonals, self.row_sums + self.diagonals, (self.x, self.y)
        totals = sums.sum(axis=1)
        return (
            hsic_biased(
                self.cross + diagonals[x] @ diagonals[y].T, sums[x] @ sums[y].T, _outer(totals, x, y), self.n_examples
            ),
            hsic_biased(
                self.norms + np.einsum("ij,ij->i", diagonals, diagonals),
                np.einsum("ij,ij->i", sums, sums),
                totals**2,
                self.n_examples,
            ),
        )

    def unbiased(self) -> tuple[Float64, Float64]:
        """Return unbiased HSIC of every pair, shape (n_x_layers, n_y_layers), and of every layer with itself."""
        sums, totals, (x, y) = self.row_sums, self.row_sums.sum(axis=1), (self.x, self.y)
        return (
            hsic_unbiased(self.cross, sums[x] @ sums[y].T, _outer(totals, x, y), self.n_examples),
            hsic_unbiased(self.norms, np.einsum("ij,ij->i", sums, sums), totals**2, self.n_examples),
        )

    def effective_dimensions(self) -> Float64:
        """Return (Σλ)²/Σλ² of the eigenvalues of each centred Gram matrix, shape (n_layers,); NaN where it is flat.

        The participation ratio: 1 to n_examples − 1. Σλ is the trace and √Σλ² the norm, so no eigenvalue is needed.
        """
        traces = self.diagonals.sum(axis=1) - (self.row_sums + self.diagonals).sum(axis=1) / self.n_examples
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            _, norms = self.biased()
            ratios = traces / np.sqrt(norms) / (self.n_examples - 1)
            return np.where(norms > self.rounding(is_unbiased=False), ratios**2, np.nan)


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
    with np.errstate(over="ignore"):
        products = np.multiply.outer(x_norms, y_norms)
    apart = np.multiply.outer(np.sqrt(x_norms), np.sqrt(y_norms))
    # √(a·a) is a to the last digit, so that a layer with itself is 1; √a·√a holds where a·a leaves float64.
    in_range = (products > 1e-290) & (products < 1e290)
    return np.asarray(cross / np.where(in_range, np.sqrt(products), apart))
