"""A centred layer as U S V': an orthonormal basis of its columns, its singular values, and the way back.

By QR and SVD in float64, block by block, so that a layer need not be held whole; never through inverse square roots of
covariances: those lose half of the digits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cka_cli.arrays import Float64
from cka_cli.reductions.source import Source
from cka_cli.system.progress import Count, parts_of, uncounted

# Rows, or features, of a block by its other side: less, and joining the blocks takes longer than they do.
_BLOCK = 4
# What decompositions take for each n_rows × n_columns², in multiplications of a product; a triangle alone takes less.
_QR, _TRIANGLE, _SVD = 5.0, 2.0, 14.0
# How far out a row may lie, in typical distances: components beside it are then good to about 1e-5.
LOST_BESIDE = 1e12


@dataclass(frozen=True, eq=False)
class Factors:
    """The thin SVD of one centred layer, cut at its rank.

    basis : U, shape (n_examples, rank), orthonormal columns orthogonal to the constant vector.
    singular_values : S, shape (rank,), descending, in the layer's scaled units.
    columns : S V', what each component is of each feature, shape (rank, n_features); None unless asked for.
    far_ratio : how many times as far out as rows commonly lie the farthest does; 0 where none lies far out.
    """

    label: str
    n_features: int
    basis: Float64
    singular_values: Float64
    columns: Float64 | None = None
    far_ratio: float = 0.0

    @property
    def rank(self) -> int:
        """Number of independent directions."""
        return len(self.singular_values)

    @property
    def n_degrees(self) -> int:
        """Independent directions that any centred layer can have: n_examples − 1."""
        return len(self.basis) - 1

    @property
    def is_saturated(self) -> bool:
        """Whether the layer spans every centred vector, so that any other layer is a linear map of it."""
        return self.rank >= self.n_degrees

    @property
    def is_lost(self) -> bool:
        """Whether a row lies so far out that the components beside it have lost their digits."""
        return self.far_ratio > LOST_BESIDE

    @property
    def effective_dimension(self) -> float:
        """(Σs²)²/Σs⁴, the participation ratio of the variances of the components: 1 to rank; NaN for rank 0."""
        if self.rank == 0:
            return np.nan
        variances = (self.singular_values / self.singular_values[0]) ** 2
        return float(variances.sum() ** 2 / (variances**2).sum())

    def n_kept(self, variance: float) -> int:
        """Return how many leading components hold this share of the variance Σs²."""
        if self.rank == 0:
            return 0
        shares = np.cumsum(self.singular_values**2)
        # A share that rounding leaves a hair below the one asked for counts as reached.
        return min(self.rank, int(np.searchsorted(shares, variance * shares[-1] * (1 - 1e-12))) + 1)


def factorise_layer(source: Source, *, with_columns: bool = False, count: Count = uncounted) -> Factors:
    """Return the factors of a layer, read in blocks of rows or of features.

    source : float64, centred up to a shift. A streamed one with more features than examples gives slices of
    `n_block_features`, or wider ones. count : called with each part of the whole that is done.
    Rank: singular values above max(n_examples, n_features) × 2⁻⁵² × the largest count (numpy's matrix_rank).
    Cost: one QR and one SVD of the smaller side; layers with more features than examples are read once more for
    `columns`. Memory: `work_bytes`, and the factors.
    """
    n_examples, n_features = source.n_examples, source.n_features
    work = _work(n_examples, n_features, with_columns=with_columns)
    of_source = _of_wide if n_features > n_examples else _of_tall
    basis, singular_values, columns = of_source(source, parts_of(1 / work, count))
    tolerance = singular_values[0] * max(n_examples, n_features) * np.finfo(np.float64).eps
    rank = min(int(np.count_nonzero(singular_values > tolerance)), n_examples - 1)
    basis, singular_values = basis[:, :rank], singular_values[:rank]
    if not with_columns:
        columns = None
    elif columns is None:
        columns = np.empty((rank, n_features))
        for features, block in _column_blocks(source):
            columns[:, features] = basis.T @ block
            count(n_examples**2 * block.shape[1] / work)
    else:
        columns = columns[:rank]
    return Factors(source.label, n_features, basis, singular_values, columns, source.far.ratio)


def n_block_features(n_examples: int, n_features: int, n_step: int = 1) -> int:
    """Return how many features of a wide layer are taken in at a time; n_step : a slice is a multiple of it."""
    return min(n_features, -(-_BLOCK * n_examples // n_step) * n_step)


def work_bytes(n_examples: int, n_features: int, n_step: int = 1) -> int:
    """Return the bytes that factors take on the way: blocks with what LAPACK copies of them, and the SVD."""
    smaller = min(n_examples, n_features)
    if n_features > n_examples:
        n_block = n_block_features(n_examples, n_features, n_step)
        return 8 * n_examples * (n_block + 2 * (n_block + n_examples)) + 64 * smaller**2
    n_rows = -(-n_examples // _n_row_blocks(n_examples, n_features))
    return 24 * n_rows * n_features + 64 * smaller**2


def _work(n_examples: int, n_features: int, *, with_columns: bool) -> float:
    """Return about what the steps take in all, in multiplications of a product: as they are counted below."""
    smaller = min(n_examples, n_features)
    svd = _SVD * smaller**3
    if n_features > n_examples:
        n_joined = n_features + (-(-n_features // n_block_features(n_examples, n_features)) - 1) * n_examples
        return svd + n_examples**2 * (_TRIANGLE * n_joined + with_columns * n_features)
    n_joined = _n_row_blocks(n_examples, n_features) * n_features
    return svd + n_features**2 * ((_QR + 1) * n_examples + (_QR + 1) * n_joined)


def _of_wide(source: Source, count: Count) -> tuple[Float64, Float64, None]:
    """Return U and S of X = R'Q', by the triangle R of all features as rows, which blocks are added to in turn."""
    triangle = np.empty((0, source.n_examples))
    for _, block in _column_blocks(source):
        rows = np.concatenate([triangle, block.T]) if len(triangle) else block.T
        triangle = np.asarray(np.linalg.qr(rows, mode="r"))
        count(_TRIANGLE * len(rows) * source.n_examples**2)
    left, singular_values, _ = np.linalg.svd(triangle.T, full_matrices=False)
    count(_SVD * source.n_examples**3)
    return left, singular_values, None


def _column_blocks(source: Source) -> Iterator[tuple[slice, Float64]]:
    """Give the features of all rows, block by block: which, and centred values (n_examples, n_block)."""
    n_block = n_block_features(source.n_examples, source.n_features)
    for features, values in source.slices(slice(0, source.n_examples)):
        for start in range(0, values.shape[1], n_block):
            block = values[:, start : start + n_block]
            block = np.subtract(block, block.mean(axis=0), dtype=np.float64)
            yield slice(features.start + start, features.start + start + block.shape[1]), block


def _of_tall(source: Source, count: Count) -> tuple[Float64, Float64, Float64]:
    """Return U, S and S V' of X = Q R, by a QR of each block of rows and one of all their triangles."""
    n_examples, n_features = source.n_examples, source.n_features
    basis = np.empty((n_examples, n_features))
    edges = np.linspace(0, n_examples, _n_row_blocks(n_examples, n_features) + 1).astype(int)
    blocks = [slice(start, stop) for start, stop in pairwise(edges)]
    for rows in blocks:
        for features, values in source.slices(rows):
            basis[rows, features] = values
    basis -= basis.mean(axis=0)
    triangles = []
    for rows in blocks:
        basis[rows], triangle = np.linalg.qr(basis[rows])
        triangles.append(triangle)
        count(_QR * (rows.stop - rows.start) * n_features**2)
    joined, triangle = np.linalg.qr(np.concatenate(triangles))
    left, singular_values, right = np.linalg.svd(triangle, full_matrices=False)
    joined = joined @ left
    count((_QR + 1) * len(joined) * n_features**2 + _SVD * n_features**3)
    for place, rows in enumerate(blocks):
        basis[rows] = basis[rows] @ joined[place * n_features : (place + 1) * n_features]
        count((rows.stop - rows.start) * n_features**2)
    return basis, singular_values, singular_values[:, None] * right


def _n_row_blocks(n_examples: int, n_features: int) -> int:
    return max(1, n_examples // (_BLOCK * n_features))
