"""Changes of a layer that ought not to change much: long rows drawn in, rows of one length, ranks, a kernel's width."""

import numpy as np

from cka_cli.arrays import Array, Float64
from cka_cli.reductions import kernels
from cka_cli.reductions.kernels import LayerTerms, RowTerms
from cka_cli.specs import parse_kernel

# Of the squared norms of two rows: less than this of their squared distance is rounding.
_ROUNDING = 1e-14


def rows_clipped(gram: Float64) -> Float64:
    """Return the Gram matrix of rows drawn in to the 99 % quantile of their norms, where they are longer.

    gram : centred; norms are those of the centred rows, so that a rotation of the features changes nothing.
    """
    norms = np.sqrt(np.maximum(np.diag(gram), 0))
    limit = float(np.quantile(norms, 0.99))
    return _reweighted(gram, np.minimum(norms, limit), norms)


def rows_normalised(gram: Float64) -> Float64:
    """Return the Gram matrix of centred rows brought to length 1; a row at the mean stays there."""
    norms = np.sqrt(np.maximum(np.diag(gram), 0))
    return _reweighted(gram, np.ones(len(norms)), norms)


def _reweighted(gram: Float64, wanted: Float64, norms: Float64) -> Float64:
    weights = np.divide(wanted, norms, out=np.zeros_like(norms), where=norms > 1e-12)
    return np.asarray(gram * weights * weights[:, None])


def ranks(values: Array) -> Float64:
    """Return each feature's values as ranks, ties sharing their mean, centred: shape (n_examples, n_features)."""
    centred = np.empty(values.shape[::-1])
    for column, of_column in zip(np.ascontiguousarray(values.T), centred, strict=True):
        ordered = np.sort(column)  # as many are smaller as stand to the left, and as many no larger as to the right
        of_column[...] = np.searchsorted(ordered, column, "left") + np.searchsorted(ordered, column, "right")
    centred -= len(values)
    centred /= 2
    return np.asarray(centred.T)


def squared_distances(gram: Float64) -> Float64:
    """Return ‖x−y‖² of all rows, from their Gram matrix; 0 on the diagonal and where it is no more than rounding."""
    terms = RowTerms(np.diag(gram), np.zeros(len(gram)))
    distances: Float64 = kernels.squared_distances(gram.copy(), terms, terms)
    rounding = np.add.outer(terms.squared_norms, terms.squared_norms)
    rounding *= _ROUNDING
    distances[distances <= rounding] = 0
    return distances


def rbf(distances: Float64, median: float, sigma: float) -> Float64:
    """Return the rbf kernel of squared distances as `cka compare -k rbf:sigma=...` has it, but for a constant.

    median : of all n² squared distances, zeros of the diagonal included. Kornblith et al. (2019), and their notebook.
    """
    layer = LayerTerms(n_features=1, scale=1.0, mean_square=0.0, typical_distance=median)
    nothing = RowTerms(np.zeros(0), np.zeros(0))
    return np.asarray(kernels.rbf_tile(distances.copy(), nothing, nothing, layer, parse_kernel(f"rbf:sigma={sigma}")))
