"""Biased and unbiased HSIC from sums of Gram matrices, and CKA from HSIC.

With K and L Gram matrices of n examples, un-centred, everything needed of a pair is ⟨K,L⟩, the row sums and the
diagonals.
"""

import numpy as np

from cka_cli.arrays import Float64


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
