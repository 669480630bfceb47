"""Each kernel by name: inner products of two row blocks in, one tile of its Gram matrix out.

Every kernel but the laplacian and the cosine is a function of the inner products of centred rows, so one matrix product
per layer serves all kernels asked for. What a shift of the features changes (polynomial, sigmoid) is put back as
rank-one corrections in float64: x'y = xc'yc + xc'm + m'yc + m'm with m the mean that was taken off. The cosine kernel
is the linear kernel of rows of length 1, centred too.

What depends on one of two rows alone may be taken off a Gram matrix, diagonal included, without changing any HSIC of
it. The rbf kernel takes off its value at a typical distance; polynomial and sigmoid are worked out as k(x,y) − k(x,m) −
k(m,y) + k(m,m), by rules that never form one of the four. So a kernel that is nearly constant keeps the digits in which
it varies.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from cka_cli.arrays import Array, Float64
from cka_cli.reductions.second_differences import second_difference_of_power, second_difference_of_tanh
from cka_cli.specs import Spec

# A kernel of exp(-t) at its typical distance: above this, exp(-t) itself has more digits than 1 - exp(-t).
_NARROW = 0.7
# Above it the terms of exp(−u) are 0 in any sum of theirs.
_MOST_EXPONENT = 80.0
# Entries worked on in one go: few enough to stay in a core's cache.
_CHUNK_VALUES = 1 << 15
_EPSILON = float(np.finfo(np.float64).eps)
_NO_LOSS = 1e-11
_FARTHEST_BESIDE_SHORT = 1e30


@dataclass(frozen=True)
class RowTerms:
    """Terms of each row of a block, float64, shape (n_rows,), in the layer's scaled units.

    squared_norms : of the centred rows.
    mean_products : xc'm.
    """

    squared_norms: Float64
    mean_products: Float64


@dataclass(frozen=True)
class LayerTerms:
    """Terms of a layer that its kernels need.

    scale : the power of two that the saved values were multiplied by.
    mean_square : m'm of the mean taken off, scaled.
    typical_distance : the median (where a width is a share of it) or mean of the squared distances, scaled.
    mean_distance : the mean squared distance, scaled, of rows that do not lie far out.
    typical_l1 : the median L1 distance between a few rows, scaled, where the laplacian kernel asks for it.
    largest_rate : the largest gamma of kernels of distances whose width is given, for scaled units; 0 without one.
    unit_spread : the mean squared distance of rows of length 1 from their mean, where the cosine kernel asks for it.
    shrink : the power of two that brings the farthest row to 1: products of rows that lie far out are beyond float32.
    """

    n_features: int
    scale: float
    mean_square: float
    typical_distance: float
    mean_distance: float = 0.0
    typical_l1: float = 0.0
    largest_rate: float = 0.0
    unit_spread: float = 0.0
    shrink: float = 1.0


TileFunction = Callable[[Array, RowTerms, RowTerms, LayerTerms, Spec], Array]
# f(a+u+v+w) − f(a+u) − f(a+v) + f(a): see `second_differences`.
Difference = Callable[[float, Float64, Float64, Float64, Spec], Float64]


def linear_tile(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Array:
    """x'y of the centred rows, in scaled units (multiply by (scale × shrink)⁻² for the value)."""
    return products if layer.shrink == 1 else products * products.dtype.type(layer.shrink**2)


def squared_distances(products: Array, rows: RowTerms, columns: RowTerms) -> Array:
    """‖x−y‖² from the inner products of centred rows; overwrites `products`.

    What rounding makes negative is 0, and so is the distance of a row from itself.
    """
    distances = products
    distances *= -2
    distances += rows.squared_norms.astype(distances.dtype)[:, None]
    distances += columns.squared_norms.astype(distances.dtype)
    np.maximum(distances, 0, out=distances)
    if rows is columns:
        np.fill_diagonal(distances, 0)
    return distances


def rbf_tile(distances: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Array:
    """exp(−‖x−y‖²/(2σ²)) less a constant; overwrites `distances`.

    σ = sigma × the median distance (Kornblith et al. 2019 and their notebook: σ² = sigma² × the median of all n²
    squared distances, the n zeros of the diagonal included), or gamma = 1/(2σ²) as given.
    """
    return _less_typical(distances, _bounded_rate(layer, spec, distances), layer.typical_distance)


def _less_typical(distances: Array, rate: float, typical_distance: float) -> Array:
    """Return exp(−rate × distance) less its value at a typical distance; overwrites `distances`."""
    distances *= -rate  # may overflow: of distances that count as infinite
    function = _exponential(rate * typical_distance)
    function(distances, out=distances)
    distances -= distances.dtype.type(function(-rate * typical_distance))
    return distances


def _exponential(typical: float) -> np.ufunc:
    """Return exp for a narrow kernel, near 0 at a typical distance, and exp − 1 for a wide one: each keeps digits."""
    return np.exp if typical > _NARROW else np.expm1


def rbf_terms(distances: Array, layer: LayerTerms, spec: Spec, out: Array) -> None:
    """Set `out` to the terms of exp(−u(1+ε)) = Σⱼ (−ε)ʲ uʲ e^(−u)/j! for u = ‖x−y‖²/(2σ²), each less a constant.

    Of a σ that is not known exactly yet. out : shape (n_terms, n_rows, n_columns), the first as `rbf_tile` has it;
    overwrites `distances`.
    """
    rate = _bounded_rate(layer, spec, distances)
    typical = rate * layer.typical_distance
    n_chunk = max(1, _CHUNK_VALUES // max(1, distances.shape[1]))
    for start in range(0, len(distances), n_chunk):
        chunk = slice(start, start + n_chunk)
        u = np.minimum(distances[chunk] * distances.dtype.type(rate), _MOST_EXPONENT)
        term = np.exp(-u)
        for place in range(1, len(out)):
            term *= u
            if place > 1:
                term /= place
            constant = typical**place / math.factorial(place) * math.exp(-typical)
            np.subtract(term, term.dtype.type(constant), out=out[place, chunk])
    out[0] = _less_typical(distances, rate, layer.typical_distance)


def lost_of_terms(n_terms: int, off: float) -> float:
    """Return what `rbf_terms` may lack of an entry: the largest uᴶ e^(−u)/J! times |ε|ᴶ, ε how far off σ² was."""
    most = n_terms**n_terms * math.exp(-n_terms) / math.factorial(n_terms)
    return float(most * (abs(off) * (1 + abs(off))) ** n_terms)


def rbf_rate(layer: LayerTerms, spec: Spec) -> float:
    """Return 1/(2σ²) in scaled units; infinite when that is beyond float64."""
    gamma = spec.get("gamma")
    if gamma is not None:
        return descaled(float(gamma), layer.scale)
    sigma = spec.get("sigma")
    assert sigma is not None
    squared = float(sigma) * float(sigma) * layer.typical_distance
    return float(np.divide(0.5, squared)) if squared > 0 else np.inf


def _bounded_rate(layer: LayerTerms, spec: Spec, distances: Array) -> float:
    return min(rbf_rate(layer, spec), float(np.finfo(distances.dtype).max) / 1e9)


def descaled(gamma: float, scale: float) -> float:
    """Return gamma/scale², for products in scaled units; too large is infinite, never an error."""
    return float(np.float64(gamma) / scale / scale)


def _rate(layer: LayerTerms, spec: Spec) -> tuple[float, float]:
    """Return γ in scaled units, and c, of a function of γ x'y + c."""
    gamma, coef0 = spec.get("gamma"), spec.get("coef0")
    assert coef0 is not None
    return descaled(1 / layer.n_features if gamma is None else float(gamma), layer.scale), float(coef0)


def _less_single_rows(
    difference: Difference, products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec
) -> Float64:
    """f(γ x'y + c) of the rows as saved, float64, less what depends on one row alone; f is a power, or tanh.

    f(x'y) − f(x'm) − f(m'y) + f(m'm), a few rows at a time; what overflows is left infinite or NaN.
    """
    rate, coef0 = _rate(layer, spec)
    values = np.empty(products.shape)
    n_chunk = max(1, _CHUNK_VALUES // max(1, products.shape[1]))
    at_mean = rate * layer.mean_square + coef0
    of_columns = rate * columns.mean_products
    for start in range(0, len(products), n_chunk):
        chunk = slice(start, start + n_chunk)
        beside = rate * products[chunk].astype(np.float64)
        values[chunk] = difference(at_mean, rate * rows.mean_products[chunk], of_columns, beside, spec)
    return values


def cosine_tile(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Array:
    """x'y/(‖x‖‖y‖) of the rows as saved, less what depends on one row alone: rows of length 1 come centred.

    0 where a row is all zeros, as scikit-learn has it.
    """
    return products


def laplacian_tile(distances: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Float64:
    """exp(−γ‖x−y‖₁) less a constant, from L1 distances in scaled units, float64; as `rbf_tile` does it."""
    gamma = spec.get("gamma")
    rate = min((1 / layer.n_features if gamma is None else float(gamma)) / layer.scale, 1e290)
    return _less_typical(distances.astype(np.float64), rate, layer.typical_l1)


def l1_distances(rows: Array, columns: Array) -> Float64:
    """Return ‖x−y‖₁ of every row with every column block row, float64, shape (n_rows, n_columns).

    No matrix product gives this: it costs n_rows × n_columns × n_features additions.
    """
    distances = np.empty((len(rows), len(columns)))
    ones = np.ones(columns.shape[1], columns.dtype)
    difference = np.empty_like(columns)
    for place, row in enumerate(rows):
        np.subtract(columns, row, out=difference)
        np.abs(difference, out=difference)
        distances[place] = difference @ ones
    return distances


def _rounding_of_rbf(layer: LayerTerms, spec: Spec, epsilon: float) -> float:
    rate = rbf_rate(layer, spec)
    return epsilon * abs(float(_exponential(rate * layer.typical_distance)(-rate * layer.typical_distance)))


def _rounding_of_unit_rows(layer: LayerTerms, spec: Spec, epsilon: float) -> float:
    return epsilon * (math.sqrt(layer.unit_spread) + epsilon)


def _rounding_less_single_rows(difference: Difference, layer: LayerTerms, spec: Spec, epsilon: float) -> float:
    rate, coef0 = _rate(layer, spec)
    spread = rate * layer.typical_distance / 2
    along_mean = math.sqrt(spread) * math.sqrt(rate * layer.mean_square)
    one = np.array([along_mean]), np.array([along_mean]), np.array([[spread]])
    return float(epsilon * np.abs(difference(rate * layer.mean_square + coef0, *one, spec)).item())


def _sigmoid_loses_origin(layer: LayerTerms, spec: Spec, far_ratio: float) -> bool:
    """Most rows lie too far from it, or some lie so far out that short ones cannot be told from 0 beside them."""
    rate, _ = _rate(layer, spec)
    return _EPSILON * rate * layer.mean_square > _NO_LOSS or far_ratio > _FARTHEST_BESIDE_SHORT


@dataclass(frozen=True)
class Kernel:
    """One kernel: how a tile follows, what it needs, and what others must know of it.

    invariant_to : maps of all examples that change no HSIC and no CKA of the kernel.
    needs : `products` of centred rows, `saved` (products and terms of rows), squared `distances`, `l1` distances, or
        products of rows of length 1: `unit`.
    is_linear : whether its Gram matrix is XX' of the centred features in scaled units: then products of features give
        the same sums, and its spectrum is the variance of the layer.
    keeps_single : whether float32 holds its tile; the others are float64 always. weighs_rows_alike : whether a row much
        smaller than others counts as much, so that products in float32 do not do.
    weighs_far_rows : whether rows that lie far out count for more than others.
    share_of_median : the parameter, where one is typed or meant, that is a share of the median distance.
    rounding : see `entry_rounding`; None where that goes with the entries. origin_lost : see `loses_origin`; None where
        it does not count, in a kernel that is not bounded.
    """

    tile: TileFunction
    formula: str
    invariant_to: str
    needs: str = "products"
    is_linear: bool = False
    keeps_single: bool = False
    weighs_rows_alike: bool = False
    weighs_far_rows: bool = False
    share_of_median: str = ""
    rounding: Callable[[LayerTerms, Spec, float], float] | None = None
    origin_lost: Callable[[LayerTerms, Spec, float], bool] | None = None
    note: str = ""


_GAMMA = "gamma = 1/n_features unless given"
KERNELS = {
    "linear": Kernel(
        linear_tile, "x'y", "orthogonal maps, shift", is_linear=True, keeps_single=True, weighs_far_rows=True,
        note="features centred",
    ),
    "polynomial": Kernel(
        partial(_less_single_rows, second_difference_of_power), "(gamma x'y + coef0)^degree", "orthogonal maps",
        needs="saved", weighs_far_rows=True,
        rounding=partial(_rounding_less_single_rows, second_difference_of_power), note=_GAMMA,
    ),
    "rbf": Kernel(
        rbf_tile, "exp(-|x-y|²/(2σ²)), σ = sigma × median distance",
        "orthogonal maps, shift; with sigma isotropic scale", needs="distances", keeps_single=True,
        share_of_median="sigma", rounding=_rounding_of_rbf,
        note="the median of all n² distances, the zero diagonal included, as in Kornblith et al.; or gamma=1/(2σ²)",
    ),
    "sigmoid": Kernel(
        partial(_less_single_rows, second_difference_of_tanh), "tanh(gamma x'y + coef0)", "orthogonal maps",
        needs="saved",
        rounding=partial(_rounding_less_single_rows, second_difference_of_tanh), origin_lost=_sigmoid_loses_origin,
        note=_GAMMA,
    ),
    "laplacian": Kernel(
        laplacian_tile, "exp(-gamma |x-y|₁)", "permutations and signs of features, shift", needs="l1",
        note=_GAMMA + "; slow: no matrix product",
    ),
    "cosine": Kernel(
        cosine_tile, "x'y/(|x||y|)", "orthogonal maps, scale of each example", needs="unit", weighs_rows_alike=True,
        rounding=_rounding_of_unit_rows, note="features as saved; 0 for a row of zeros",
    ),
}  # fmt: skip


def needs_median(spec: Spec) -> bool:
    """Whether the width of the kernel follows from the median distance of the layer."""
    return spec.get(KERNELS[spec.name].share_of_median) is not None


def entry_rounding(layer: LayerTerms, spec: Spec, epsilon: float) -> float:
    """Return about how far rounding moves an entry of a Gram matrix, where that does not go with the entry itself.

    epsilon : relative rounding of the inner products.
    """
    rounding = KERNELS[spec.name].rounding
    return 0.0 if rounding is None else rounding(layer, spec, epsilon)


def loses_origin(layer: LayerTerms, spec: Spec, far_ratio: float) -> bool:
    """Whether rows near the origin may have no digits left in the kernel: of a bounded one alone does that count.

    far_ratio : how far out the farthest row lies, in typical distances.
    """
    is_lost = KERNELS[spec.name].origin_lost
    return is_lost is not None and is_lost(layer, spec, far_ratio)
