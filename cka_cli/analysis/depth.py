"""What depth adds: how like the layer before, and the last, each layer of one network is, and how many directions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cka_cli.arrays import Float64
from cka_cli.results.matrix import Matrix

DEFAULT_THRESHOLD = 0.95


@dataclass(frozen=True)
class DepthLayer:
    """One layer in its network.

    to_previous, to_last : similarity to the layer before (None for the first) and to the last.
    effective_dimension : (Σλ)²/Σλ² of the linear centred Gram matrix: 1 where one direction holds all variance, k
        where k directions hold equal parts; NaN for a constant layer, None when unknown.
    is_like_last : whether it and all layers after it are as similar to the last as the threshold asks.
    is_in_stretch : whether it is one of the longest stretch of layers any two of which are as similar as that.
        Both None without a threshold.
    """

    layer: str
    to_previous: float | None
    to_last: float
    effective_dimension: float | None
    is_like_last: bool | None
    is_in_stretch: bool | None


@dataclass(frozen=True)
class DepthStudy:
    """The layers of one network by one measure, in network order.

    matrix : the similarities of the layers with each other that all follows from.
    threshold : the similarity from which on a layer adds nothing to another; None where values have no upper bound.
    like_last : the run of layers at the end that are all like the last, which is one of them.
    stretch : the longest stretch of layers that are all alike, the first of equals; empty when no two neighbours are.
    """

    matrix: Matrix
    threshold: float | None
    layers: tuple[DepthLayer, ...]
    like_last: range
    stretch: range

    @property
    def n_like_last(self) -> int:
        """How many layers before the last are like it, as are all after them."""
        return max(0, len(self.like_last) - 1)


def study(matrix: Matrix, effective_dimensions: Sequence[float], threshold: float) -> DepthStudy:
    """Return what a network's similarities with itself say of its depth.

    matrix : of the layers of one file with each other, symmetric.
    effective_dimensions : of each layer; may be empty.
    """
    values, n_layers = matrix.values, len(matrix.values)
    limit = threshold if matrix.is_bounded else None
    first = n_layers - 1
    while limit is not None and first > 0 and values[first - 1, -1] >= limit:
        first -= 1
    like_last = range(first, n_layers)
    stretch = range(0) if limit is None else longest_stretch(values, limit)
    layers = tuple(
        DepthLayer(
            layer=layer,
            to_previous=float(values[place, place - 1]) if place else None,
            to_last=float(values[place, -1]),
            effective_dimension=effective_dimensions[place] if effective_dimensions else None,
            is_like_last=None if limit is None else place in like_last and not math.isnan(values[place, -1]),
            is_in_stretch=None if limit is None else place in stretch,
        )
        for place, layer in enumerate(matrix.x_layers)
    )
    return DepthStudy(matrix, limit, layers, like_last, stretch)


def longest_stretch(values: Float64, threshold: float) -> range:
    """Return the longest run of neighbouring layers any two of which reach the threshold, the first of equals.

    values : shape (n_layers, n_layers); NaN reaches no threshold. Empty when it would be a single layer.
    """
    longest, first = range(0), 0
    for last in range(len(values)):
        unlike = [place for place in range(first, last) if not values[place, last] >= threshold]
        first = unlike[-1] + 1 if unlike else first
        if last + 1 - first > len(longest):
            longest = range(first, last + 1)
    return longest if len(longest) > 1 else range(0)
