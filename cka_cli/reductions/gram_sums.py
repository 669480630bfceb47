"""Gram sums: what a tile adds to them, what each fold of the examples has part in, and HSIC of all pairs.

They are sums over tiles, so they can be added up in any division of the work. The diagonal is kept apart from the rest:
the unbiased estimator leaves it out, and taking it off afterwards would cost digits.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from cka_cli.arrays import Array, Float64
from cka_cli.reductions.folds import Folds, runs_of
from cka_cli.reductions.gram_matrices import effective_dimension, hsic_biased, hsic_unbiased, mean_over_pairings

# What rounding may leave of sums of n² equal terms that cancel, relative to them.
_SUM_ROUNDING = 1e-12
# Of sums over all examples: what is left of them without some has too few digits below this.
_LOST = 1e-8
# Bytes of a tile that are turned into float64 in one go: few enough to stay in a core's cache.
_CHUNK_BYTES = 1 << 20


class PartSums:
    """Sums of part of a tile by one kernel, the diagonal apart; or what its sums lack without the examples of one fold.

    cross : shape (n_x_layers, n_y_layers); norms : shape (n_layers,). Counted twice already off the diagonal; of a
    fold, over all entries in a row or a column of it. Where a kernel comes in several terms, both begin with an axis of
    `pairs_of_terms`, and below all layers of the first term come first, then all of the second.
    row_sums : shape (n_layers, n_rows), of a fold over its columns. column_sums : shape (n_layers, n_columns), of a
    fold over its rows.
    """

    def __init__(self, shape: tuple[int, ...], x: slice, y: slice, n_terms: int):
        n_layers, n_rows, n_columns = shape
        self.cross, self.norms = _zeros(n_layers // n_terms, x, y, n_terms)
        self.row_sums = np.zeros((n_layers, n_rows))
        self.column_sums = np.zeros((n_layers, n_columns))

    def add_products(self, part: "PartSums") -> None:
        """Add what does not go by row or column."""
        self.cross += part.cross
        self.norms += part.norms


@dataclass
class TileSums:
    """What the tile of rows `rows` and columns `columns` adds to the Gram sums of one kernel.

    diagonals : shape (n_layers, len(rows)), None off the diagonal, on which column sums are those of rows once more.
    of_folds : what each fold that meets the tile has part in; empty where folds are not told apart.
    """

    rows: slice
    columns: slice
    total: PartSums
    diagonals: Float64 | None
    of_folds: dict[int, PartSums]


def tile_sums(
    tiles: Array, rows: slice, columns: slice, x: slice, y: slice, folds: Folds | None = None, n_terms: int = 1
) -> TileSums:
    """Return the sums of one tile of every layer; overwrites the diagonal of the tiles.

    tiles : shape (n_terms × n_layers, n_rows, n_columns). x, y : which layers stand in the rows and columns of the
    matrix.
    """
    diagonals = None
    if rows == columns:
        on_diagonal = np.einsum("lii->li", tiles)  # a view
        diagonals = on_diagonal.astype(np.float64)
        on_diagonal[...] = 0
    total = PartSums(tiles.shape, x, y, n_terms)
    row_runs, column_runs = runs_of(folds, rows), runs_of(folds, columns)
    met = {fold for fold, _ in row_runs + column_runs} if folds else set()
    of_folds = {fold: PartSums(tiles.shape, x, y, n_terms) for fold in met}
    for (row_fold, row_run), (column_fold, column_run) in product(row_runs, column_runs):
        part = _part_sums(tiles[:, row_run, column_run], x, y, n_terms, 2 if diagonals is None else 1)
        total.add_products(part)
        total.row_sums[:, row_run] += part.row_sums
        total.column_sums[:, column_run] += part.column_sums
        if folds:
            for fold in {row_fold, column_fold}:
                of_folds[fold].add_products(part)
            of_folds[column_fold].row_sums[:, row_run] += part.row_sums
            of_folds[row_fold].column_sums[:, column_run] += part.column_sums
    return TileSums(rows, columns, total, diagonals, of_folds)


def _zeros(n_layers: int, x: slice, y: slice, n_terms: int) -> tuple[Float64, Float64]:
    layers, of_pairs = range(n_layers), () if n_terms == 1 else (len(pairs_of_terms(n_terms)),)
    return np.zeros((*of_pairs, len(layers[x]), len(layers[y]))), np.zeros((*of_pairs, n_layers))


def pairs_of_terms(n_terms: int) -> list[tuple[int, int]]:
    """Return which products of terms count: those of as high an order as the first term that is left out do not."""
    return [(one, other) for one in range(n_terms) for other in range(n_terms - one)]


def _part_sums(tiles: Array, x: slice, y: slice, n_terms: int, weight: int) -> PartSums:
    n_layers, n_rows, n_columns = tiles.shape
    sums = PartSums(tiles.shape, x, y, n_terms)
    n_chunk = max(1, _CHUNK_BYTES // (8 * n_layers * n_columns))
    # A kernel that overflows is told of by its norm.
    for start in range(0, n_rows, n_chunk):
        chunk = tiles[:, start : start + n_chunk]
        if n_terms > 1:
            _add_products_of_terms(sums, chunk, x, y, n_terms)
        # float32 sums of this many terms would cost two to three digits of a debiased value.
        chunk = chunk.astype(np.float64)
        if n_terms == 1:
            flat = chunk.reshape(n_layers, -1)
            sums.cross += flat[x] @ flat[y].T
            # Row by row: short sums keep their digits.
            sums.norms += np.einsum("lij,lij->li", chunk, chunk).sum(axis=1)
        sums.row_sums[:, start : start + n_chunk] = chunk.sum(axis=2)
        sums.column_sums += chunk.sum(axis=1)
    sums.cross *= weight
    sums.norms *= weight
    return sums


def _add_products_of_terms(sums: PartSums, chunk: Array, x: slice, y: slice, n_terms: int) -> None:
    """Add the products of the terms; all but those of the first with itself as they are, for they count little."""
    terms = chunk.reshape(n_terms, len(chunk) // n_terms, -1)
    first = terms[0].astype(np.float64)
    for place, (one, other) in enumerate(pairs_of_terms(n_terms)):
        of_one, of_other = (first, first) if one == other == 0 else (terms[one], terms[other])
        sums.norms[place] += (of_one[:, None, :] @ of_other[:, :, None])[:, 0, 0]
        if x == y and other < one:
            sums.cross[place] = sums.cross[pairs_of_terms(n_terms).index((other, one))].T
        else:
            sums.cross[place] += of_one[x] @ of_other[y].T


class GramSums:
    """The sums over all n × n entries of the Gram matrices of a stack of layers, one kernel; the diagonal is apart.

    cross : ⟨K,L⟩, shape (n_x_layers, n_y_layers). norms : ⟨K,K⟩, shape (n_layers,).
    row_sums, diagonals : shape (n_layers, n_examples). x, y : the layers of the matrix's rows and columns.
    entry_rounding : shape (n_layers,), about how far rounding moved the entries of each Gram matrix, beside what goes
        with the entry itself: product_rounding, relative.
    fold_cross, fold_norms, fold_row_sums : what is missing without each fold, first axis n_folds (`PartSums`).
    """

    def __init__(
        self, n_layers: int, n_examples: int, x: slice, y: slice, folds: Folds | None = None, n_terms: int = 1
    ):
        self.n_examples, self.x, self.y, self.folds = n_examples, x, y, folds
        self.entry_rounding, self.product_rounding = np.zeros(n_layers), 0.0
        self.cross, self.norms = _zeros(n_layers, x, y, n_terms)
        self.row_sums = np.zeros((n_terms * n_layers, n_examples))
        self.diagonals = np.zeros((n_terms * n_layers, n_examples))
        n_folds = len(folds.sizes) if folds else 0
        self.fold_cross = np.zeros((n_folds, *self.cross.shape))
        self.fold_norms = np.zeros((n_folds, *self.norms.shape))
        self.fold_row_sums = np.zeros((n_folds, n_terms * n_layers, n_examples))

    def add(self, tile: TileSums) -> None:
        """Add one tile of the upper triangle; the order of the tiles changes nothing but rounding."""
        self.cross += tile.total.cross
        self.norms += tile.total.norms
        self.row_sums[:, tile.rows] += tile.total.row_sums
        if tile.diagonals is None:
            self.row_sums[:, tile.columns] += tile.total.column_sums
        else:
            self.diagonals[:, tile.rows] += tile.diagonals
        for fold, sums in tile.of_folds.items():
            self.fold_cross[fold] += sums.cross
            self.fold_norms[fold] += sums.norms
            self.fold_row_sums[fold, :, tile.rows] += sums.row_sums
            if tile.diagonals is None:
                self.fold_row_sums[fold, :, tile.columns] += sums.column_sums

    def state(self) -> dict[str, Float64]:
        """Return the sums by name, to be saved, or set to what was."""
        names = ("cross", "norms", "row_sums", "diagonals", "fold_cross", "fold_norms", "fold_row_sums")
        return {name: getattr(self, name) for name in names}

    def of_terms(self, factors: Float64) -> "GramSums":
        """Return the sums of the kernel that is the sum of its terms, each times a factor of the layer.

        factors : shape (n_layers, n_terms).
        """
        n_layers, n_terms = factors.shape
        one, other = (factors[:, list(places)].T for places in zip(*pairs_of_terms(n_terms), strict=True))
        sums = GramSums(n_layers, self.n_examples, self.x, self.y, self.folds)
        for name, values in self.state().items():
            if name.endswith("cross"):
                total = np.einsum("...pab,pa,pb->...ab", values, one[:, self.x], other[:, self.y])
            elif name.endswith("norms"):
                total = np.einsum("...pa,pa,pa->...a", values, one, other)
            else:  # of rows
                shape = (*values.shape[:-2], n_terms, n_layers, values.shape[-1])
                total = np.einsum("...jan,aj->...an", values.reshape(shape), factors)
            setattr(sums, name, total)
        return sums

    def without(self, fold: int) -> "GramSums":
        """Return the sums over the examples that are not in a fold; widths of kernels stay as they are.

        Norms are NaN where a fold holds so much of the whole that what is left has lost its digits.
        """
        assert self.folds is not None
        kept = self.folds.of_example != fold
        sums = GramSums(len(self.norms), int(np.count_nonzero(kept)), self.x, self.y)
        sums.entry_rounding, sums.product_rounding = self.entry_rounding, self.product_rounding
        sums.cross = self.cross - self.fold_cross[fold]
        sums.norms = self.norms - self.fold_norms[fold]
        sums.norms[sums.norms < _LOST * self.norms] = np.nan
        sums.row_sums = self.row_sums[:, kept] - self.fold_row_sums[fold][:, kept]
        sums.diagonals = self.diagonals[:, kept]
        return sums

    def expected(self) -> Float64:
        """Return the biased HSIC of every pair when rows are paired at random, shape (n_x_layers, n_y_layers).

        The mean over all permutations of the rows of one side, tr(HKH) tr(HLH)/(n−1)³.
        """
        traces = self._traces()
        return mean_over_pairings(traces[self.x], traces[self.y], self.n_examples) / (self.n_examples - 1) ** 2

    def effective_dimensions(self) -> Float64:
        """Return (Σλ)²/Σλ² of the eigenvalues of each centred Gram matrix, shape (n_layers,); NaN where it is flat.

        The participation ratio: 1 to n_examples − 1. Σλ is the trace and √Σλ² the norm, so no eigenvalue is needed.
        """
        _, norms = self.biased()
        dimensions = effective_dimension(self._traces() / (self.n_examples - 1), norms)
        return np.where(norms > self.rounding(is_unbiased=False), dimensions, np.nan)

    def _traces(self) -> Float64:
        """Return tr(HKH) of each layer."""
        n = self.n_examples
        return np.asarray(self.diagonals.sum(axis=1) * (1 - 1 / n) - self.row_sums.sum(axis=1) / n)

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


def _outer(totals: Float64, x: slice, y: slice) -> Float64:
    return np.asarray(np.multiply.outer(totals[x], totals[y]))
