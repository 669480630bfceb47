"""From a layer on disk to the Gram matrices that the checks see, a slice of its features at a time."""

from collections.abc import Iterator

import numpy as np

from cka_cli.analysis.reliability.duplicates import doubled_rows, fingerprint
from cka_cli.analysis.reliability.quantities import N_REMOVED, Address, LayerGrams
from cka_cli.analysis.reliability.spectrum import leading_components
from cka_cli.analysis.reliability.transforms import ranks, squared_distances
from cka_cli.arrays import Array, Float64, pieces
from cka_cli.layers.centring import load_centred, survey
from cka_cli.layers.selection import SelectedLayer
from cka_cli.plan.whole_matrices import SLICE_BYTES
from cka_cli.reductions.gram_matrices import centred_gram, u_centred_gram
from cka_cli.reductions.kernel_inputs import all_distances
from cka_cli.reductions.source import Source

_EPSILON = float(np.finfo(np.float64).eps)


def read_layer(layer: SelectedLayer, n_slice: int) -> LayerGrams | None:
    """Return a layer's Gram matrices, in float64; None where every row is the same, to rounding.

    n_slice : features that are read at a time, twice: for their mean and for their products; or all, which are held.
    Raises DataError when a value is not finite or the disk fails.
    """
    found = _grams(layer, n_slice)
    if found is None:
        return None
    address, components = Address(layer.layer.file, layer.name), leading_components(found[1], max(N_REMOVED))
    return LayerGrams(
        address, layer.n_features, *found, doubled_rows(layer), fingerprint(found[1]), components=components
    )


def _grams(layer: SelectedLayer, n_slice: int) -> tuple[int, Float64, Float64, Float64, Float64] | None:
    """Return how many features are constant, the Gram matrix centred and U-centred, distances, and the Gram matrix of
    ranks; None for a layer that is constant. What is read is let go before components are sought."""
    double = np.dtype(np.float64)
    is_held = n_slice == layer.n_features
    source: Source = load_centred(layer, double) if is_held else survey(layer, double, n_slice)
    if source.is_constant:
        return None
    gram, rank_gram = np.zeros((2, layer.n_examples, layer.n_examples))
    n_constant = 0
    for values in _slices(source):
        gram += values @ values.T
        ordered = ranks(values)
        rank_gram += ordered @ ordered.T
        n_constant += int((values == values[0]).all(axis=0).sum())
    unbiased = u_centred_gram(gram)  # of rows less the mean of those that do not lie far out
    gram = centred_gram(gram)
    mean_square = float(np.trace(gram)) / layer.n_examples
    # Less than one unit in the last place of rows far from 0 is rounding, no variance.
    if mean_square <= _EPSILON**2 * float(source.mean @ source.mean):
        return None
    gram /= mean_square
    unbiased /= mean_square
    if len(source.far.places):
        distances = all_distances(source)
        distances /= mean_square
    else:
        distances = squared_distances(gram)
    return n_constant, gram, unbiased, distances, centred_gram(rank_gram)


def _slices(source: Source) -> Iterator[Array]:
    """Give all rows of a few features at a time: ranks need several arrays of the size of what is ranked."""
    n_features = SLICE_BYTES // (8 * source.n_examples)
    for _, values in source.slices(slice(0, source.n_examples)):
        for features in pieces(values.shape[1], n_features):
            yield values[:, features]
