"""Biased and unbiased HSIC from sums of Gram matrices, and CKA from HSIC.

With K and L Gram matrices of n examples, un-centred, everything needed of a pair is ⟨K,L⟩, the row sums and the
diagonals.
"""

import numpy as np

from cka_cli.arrays import Array, Float64

# Of the largest entry, diagonal apart: what rounding leaves of a Gram matrix that centring makes 0.
_NOTHING = 1e-14


def centred_gram(gram: Array) -> Float64:
    """Return HKH, shape (n_examples, n_examples): rows and columns sum to 0. Cost: one copy of the matrix."""
    centred = np.array(gram, np.float64)
    centred -= centred.mean(axis=0)
    centred -= centred.mean(axis=1)[:, None]
    return centred


def u_centred_gram(gram: Array) -> Float64:
    """Return K̃, whose inner products are n(n−3) times the unbiased HSIC: ⟨K̃,L̃⟩ = n(n−3)·HSIC₁(K,L).

    Zero diagonal; rows and columns sum to 0. All 0, not rounding, where nothing else is left: below 4 examples, or a
    layer that varies in one row only. Székely and Rizzo (2014), Ann. Stat. 42, eq. 2.8.
    """
    n = len(gram)
    centred = np.array(gram, np.float64)
    np.fill_diagonal(centred, 0)
    largest = np.abs(centred).max()
    centred -= centred.sum() / (n * (n - 1))  # the total is 0 from here on
    np.fill_diagonal(centred, 0)
    sums = centred.sum(axis=1)
    centred -= sums[:, None] / (n - 2)
    centred -= sums / (n - 2)
    np.fill_diagonal(centred, 0)
    if np.abs(centred).max() <= _NOTHING * largest:
        centred[:] = 0
    return centred


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
    products = np.multiply.outer(x_norms, y_norms)
    apart = np.multiply.outer(np.sqrt(x_norms), np.sqrt(y_norms))
    # √(a·a) is a to the last digit, so that a layer with itself is 1; √a·√a holds where a·a leaves float64.
    in_range = (products > 1e-290) & (products < 1e290)
    return np.asarray(cross / np.where(in_range, np.sqrt(products), apart))
