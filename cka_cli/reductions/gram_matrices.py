"""Gram matrices: centred, HSIC and CKA of two, the effective dimension of one, and what chance gives.

Whole matrices where they are held; else sums of them: with K and L Gram matrices of n examples, un-centred, everything
needed of a pair is ⟨K,L⟩, the row sums and the diagonals.
"""

import math

import numpy as np

from cka_cli.arrays import Array, Float64
from cka_cli.floating_point import quiet_arithmetic

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


def unit_norm(gram: Float64) -> Float64:
    """Return a centred Gram matrix at Frobenius norm 1; overwrites it. NaN for one of zeros, or not finite."""
    largest = float(np.abs(gram).max())
    if not 0 < largest < math.inf:
        return np.full_like(gram, np.nan)
    gram /= largest
    gram /= np.sqrt((gram**2).sum())
    return gram


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


@quiet_arithmetic
def cosine(cross: Array | float, x_squares: Array | float, y_squares: Array | float) -> Float64:
    """Return ⟨K,L⟩/(‖K‖‖L‖) of sums that broadcast, ⟨K,L⟩, ‖K‖² and ‖L‖²; NaN where a norm is NaN or not above 0.

    CKA of matrices that are centred, debiased CKA of those that are U-centred. Kornblith et al. (2019), eq. 4.
    """
    x, y = np.asarray(x_squares, np.float64), np.asarray(y_squares, np.float64)
    products, apart = x * y, np.sqrt(x) * np.sqrt(y)
    # √(a·a) is a to the last digit, so that a layer with itself is 1; √a·√a holds where a·a leaves float64.
    in_range = (products > 1e-290) & (products < 1e290)
    return np.where((x > 0) & (y > 0), cross / np.where(in_range, np.sqrt(products), apart), np.nan)


def cka(cross: Float64, x_norms: Float64, y_norms: Float64) -> Float64:
    """Return HSIC(K,L)/√(HSIC(K,K) HSIC(L,L)) of all pairs, shape (n_x_layers, n_y_layers); see `cosine`."""
    return cosine(cross, x_norms[:, None], y_norms)


def cka_of_matrices(k: Float64, l: Float64) -> float:  # noqa: E741 - L of the formula
    """Return CKA of two centred Gram matrices, debiased CKA of two that are U-centred; NaN when one is 0."""
    return float(cosine(*(float(np.vdot(one, other)) for one, other in ((k, l), (k, k), (l, l)))))


def effective_dimension(total: Array | float, total_squared: Array | float) -> Float64:
    """Return the participation ratio (Σλ)²/Σλ²: how many directions share the variance, from 1 to n−1.

    total, total_squared : Σλ and Σλ² of the eigenvalues of a centred Gram matrix, which are its trace and ‖K‖².
    """
    return np.asarray((total / np.sqrt(total_squared)) ** 2)


def mean_over_pairings(x_traces: Float64, y_traces: Float64, n_examples: int) -> Float64:
    """Return the mean of ⟨K,L⟩ over all orders of the rows of one layer, tr(K) tr(L)/(n−1), for all pairs.

    x_traces, y_traces : of centred Gram matrices, shapes (n_x_layers,) and (n_y_layers,). Exact for any data.
    """
    return np.asarray(np.multiply.outer(x_traces, y_traces) / (n_examples - 1))


def chance_cka(x_dimension: float, y_dimension: float, n_examples: int) -> float:
    """Return the mean of biased CKA over all orders of the rows: √(PR_X PR_Y)/(n−1).

    x_dimension, y_dimension : effective dimensions, the squared traces at norm 1. Exact for any data and any kernel.
    """
    return float(np.sqrt(x_dimension * y_dimension)) / (n_examples - 1)


def z_score(debiased: float, n_examples: int) -> float:
    """Return debiased CKA in units of its standard deviation over all orders of the rows, √(2/(n(n−3))).

    The variance is exact for any data and any kernel; the distribution is skewed when few directions hold the
    variance. Needs at least 4 examples.
    """
    return debiased * float(np.sqrt(n_examples * (n_examples - 3) / 2))
