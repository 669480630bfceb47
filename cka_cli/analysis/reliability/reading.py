"""From a layer on disk to the Gram matrices that the checks see, a slice of its features at a time."""

from collections.abc import Iterator

import numpy as np

from cka_cli.analysis.reliability import spectrum
from cka_cli.analysis.reliability.duplicates import constant_features, doubled_rows, fingerprint
from cka_cli.analysis.reliability.quantities import N_REMOVED, Address, LayerGrams
from cka_cli.analysis.reliability.transforms import ranks, squared_distances
from cka_cli.arrays import Array
from cka_cli.layers.centring import load_centred, survey
from cka_cli.layers.selection import SelectedLayer
from cka_cli.reductions.gram_matrices import centred_gram, u_centred_gram
from cka_cli.reductions.kernel_inputs import all_distances
from cka_cli.reductions.source import Source

# A layer larger than this, as float64, is read twice, in slices: once for its mean and once for its products.
_MOST_LAYER_BYTES = 1 << 28
_SLICE_BYTES = 1 << 24
_EPSILON = float(np.finfo(np.float64).eps)


def read_layer(layer: SelectedLayer) -> LayerGrams:
    """Return a layer's Gram matrices, in float64. Raises DataError when a value is not finite or the disk fails."""
    n_examples = layer.n_examples
    address = Address(layer.layer.file, layer.name)
    source = _source(layer)
    gram, rank_gram = np.zeros((2, n_examples, n_examples))
    n_constant = 0
    if not source.is_constant:
        for values in _slices(source):
            gram += values @ values.T
            ordered = ranks(values)
            rank_gram += ordered @ ordered.T
            n_constant += len(constant_features(values))
    unbiased = u_centred_gram(gram)  # of rows less the mean of those that do not lie far out
    gram = centred_gram(gram)
    mean_square = float(np.trace(gram)) / n_examples
    # Less than one unit in the last place of rows far from 0 is rounding, no variance.
    if mean_square <= _EPSILON**2 * float(source.mean @ source.mean):
        nothing = np.zeros((n_examples, 0))
        empty = spectrum.Components(np.zeros(0), nothing, 0.0, 0.0)
        return LayerGrams(
            address,
            layer.n_features,
            n_constant_features=layer.n_features,
            is_constant=True,
            gram=nothing,
            unbiased=nothing,
            distances=nothing,
            rank_gram=nothing,
            doubled={},
            fingerprint=nothing,
            components=empty,
        )
    gram /= mean_square
    unbiased /= mean_square
    if len(source.far.places):
        distances = all_distances(source)
        distances /= mean_square
    else:
        distances = squared_distances(gram)
    return LayerGrams(
        address,
        layer.n_features,
        n_constant_features=n_constant,
        is_constant=False,
        gram=gram,
        unbiased=unbiased,
        distances=distances,
        rank_gram=centred_gram(rank_gram),
        doubled=doubled_rows(layer),
        fingerprint=fingerprint(gram),
        components=spectrum.leading_components(gram, max(N_REMOVED)),
    )


def _source(layer: SelectedLayer) -> Source:
    double = np.dtype(np.float64)
    if layer.n_examples * layer.n_features * double.itemsize <= _MOST_LAYER_BYTES:
        return load_centred(layer, double)
    n_slice = max(1, _SLICE_BYTES // (double.itemsize * layer.n_examples))
    n_slice = max(1, n_slice // layer.n_step) * layer.n_step
    return survey(layer, double, n_slice)


def _slices(source: Source) -> Iterator[Array]:
    """Give all rows of a few features at a time: ranks need several arrays of the size of what is ranked."""
    n_features = max(1, _SLICE_BYTES // (8 * source.n_examples))
    for _, values in source.slices(slice(0, source.n_examples)):
        for start in range(0, values.shape[1], n_features):
            yield values[:, start : start + n_features]
