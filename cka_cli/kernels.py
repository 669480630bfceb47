"""Each kernel by name: inner products of two row blocks in, one tile of its Gram matrix out.

Every kernel but the laplacian is a function of the inner products of centred rows, so one matrix product per layer
serves all kernels asked for. What a shift of the features changes (polynomial, sigmoid, cosine) is put back as
rank-one corrections in float64: x'y = xc'yc + xc'm + m'yc + m'm with m the mean that was taken off.

What depends on one of two rows alone may be taken off a Gram matrix, diagonal included, without changing any HSIC of
it. The rbf kernel takes off its value at a typical distance; polynomial, sigmoid and cosine take off k(x,m) + k(m,y) −
k(m,m). So a kernel that is nearly constant keeps the digits in which it varies.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cka_cli.arrays import Array, Float64
from cka_cli.names import Spec

# A kernel of exp(-t) at its typical distance: above this, exp(-t) itself has more digits than 1 - exp(-t).
_NARROW = 0.7
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class RowTerms:
    """Terms of each row of a block, float64, shape (n_rows,), in the layer's scaled units.

    squared_norms : of the centred rows.
    mean_products : xc'm.
    saved_norms : Euclidean norms of the rows as saved.
    """

    squared_norms: Float64
    mean_products: Float64
    saved_norms: Float64

    def rows(self, start: int, stop: int) -> "RowTerms":
        """Return the terms of some rows."""
        return RowTerms(self.squared_norms[start:stop], self.mean_products[start:stop], self.saved_norms[start:stop])


@dataclass(frozen=True)
class LayerTerms:
    """Terms of a layer that its kernels need.

    scale : the power of two that the saved values were multiplied by.
    mean_square : m'm of the mean taken off, scaled.
    typical_distance : the median (where a width is a share of it) or mean of the squared distances, scaled.
    typical_l1 : the median L1 distance between a few rows, scaled, where the laplacian kernel asks for it.
    """

    n_features: int
    scale: float
    mean_square: float
    typical_distance: float
    typical_l1: float = 0.0


TileFunction = Callable[[Array, RowTerms, RowTerms, LayerTerms, Spec], Array]


def linear_tile(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Array:
    """x'y of the centred rows, in scaled units (multiply by scale⁻² for the value)."""
    return products


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
    A wide kernel, near 1, is worked out as exp − 1, and a narrow one, near 0, as exp, so that either keeps its digits;
    then the value at the typical distance is taken off.
    """
    rate = min(rbf_rate(layer, spec), float(np.finfo(distances.dtype).max) / 1e9)
    values = distances
    with np.errstate(over="ignore"):  # of distances that count as infinite
        values *= -rate
    function = np.exp if _is_narrow(rate, layer) else np.expm1
    function(values, out=values)
    values -= values.dtype.type(function(-rate * layer.typical_distance))
    return values


def _is_narrow(rate: float, layer: LayerTerms) -> bool:
    return rate * layer.typical_distance > _NARROW


def rbf_rate(layer: LayerTerms, spec: Spec) -> float:
    """Return 1/(2σ²) in scaled units; infinite when that is beyond float64."""
    gamma = spec.get("gamma")
    if gamma is not None:
        return _descaled(float(gamma), layer.scale)
    sigma = spec.get("sigma")
    assert sigma is not None
    squared = float(sigma) * float(sigma) * layer.typical_distance
    return float(np.divide(0.5, squared)) if squared > 0 else np.inf


def _descaled(gamma: float, scale: float) -> float:
    """Return gamma/scale², for products in scaled units; too large is infinite, never an error."""
    with np.errstate(over="ignore"):
        return float(np.float64(gamma) / scale / scale)


def _saved_products(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms) -> Float64:
    saved: Float64 = products.astype(np.float64)
    saved += rows.mean_products[:, None]
    saved += columns.mean_products
    saved += layer.mean_square
    return saved


def _affine(layer: LayerTerms, spec: Spec, *saved_products: Float64 | float) -> list[Float64]:
    """Return γ x'y + c of each array of products of rows as saved, in scaled units."""
    gamma, coef0 = spec.get("gamma"), spec.get("coef0")
    assert coef0 is not None
    rate = _descaled(1 / layer.n_features if gamma is None else float(gamma), layer.scale)
    return [np.asarray(products * rate + coef0) for products in saved_products]


def _of_affine(
    function: Callable[[Float64], Float64],
    products: Array,
    rows: RowTerms,
    columns: RowTerms,
    layer: LayerTerms,
    spec: Spec,
) -> Float64:
    """Return f(γ x'y + c) less what depends on one row alone; what overflows is left infinite or NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        values, of_rows, of_columns, of_mean = _affine(
            layer,
            spec,
            _saved_products(products, rows, columns, layer),
            rows.mean_products + layer.mean_square,
            columns.mean_products + layer.mean_square,
            layer.mean_square,
        )
        values = function(values)
        values -= function(of_rows)[:, None]
        values -= function(of_columns) - function(of_mean)
        return values


def polynomial_tile(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Float64:
    """(γ x'y + c)^d of the rows as saved, float64, less what depends on one row alone."""
    return _of_affine(_powers(spec), products, rows, columns, layer, spec)


def _powers(spec: Spec) -> Callable[[Float64], Float64]:
    degree = spec.get("degree")
    assert isinstance(degree, int)

    def power(base: Float64) -> Float64:
        if degree > 8:
            return np.asarray(np.power(base, degree))
        result = base.copy()
        for _ in range(degree - 1):
            result *= base
        return result

    return power


def sigmoid_tile(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Float64:
    """tanh(γ x'y + c) of the rows as saved, float64, less what depends on one row alone."""
    return _of_affine(np.tanh, products, rows, columns, layer, spec)


def cosine_tile(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Float64:
    """x'y/(‖x‖‖y‖) of the rows as saved, float64, less what depends on one row alone.

    0 where a row is all zeros, as scikit-learn has it.
    """
    values = _saved_products(products, rows, columns, layer)
    inverse_rows, inverse_columns = (_inverse(terms.saved_norms) for terms in (rows, columns))
    values *= inverse_rows[:, None]
    values *= inverse_columns
    inverse_mean = _inverse(np.sqrt([layer.mean_square]))
    values -= ((rows.mean_products + layer.mean_square) * inverse_rows * inverse_mean)[:, None]
    values -= (columns.mean_products + layer.mean_square) * inverse_columns * inverse_mean - np.sign(layer.mean_square)
    return values


def _inverse(norms: Float64) -> Float64:
    return np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)


def laplacian_tile(distances: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Float64:
    """exp(−γ‖x−y‖₁) less a constant, from L1 distances in scaled units, float64; as `rbf_tile` does it."""
    gamma = spec.get("gamma")
    rate = min((1 / layer.n_features if gamma is None else float(gamma)) / layer.scale, 1e290)
    function = np.exp if rate * layer.typical_l1 > _NARROW else np.expm1
    values: Float64 = distances.astype(np.float64)
    with np.errstate(over="ignore"):
        values *= -rate
    function(values, out=values)
    values -= function(-rate * layer.typical_l1)
    return values


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


def entry_rounding(layer: LayerTerms, spec: Spec, epsilon: float) -> float:
    """Return about how far rounding moves an entry of a Gram matrix, where that does not go with the entry itself.

    epsilon : relative rounding of the inner products.
    """
    with np.errstate(all="ignore"):
        if spec.name == "rbf":
            rate = rbf_rate(layer, spec)
            function = np.exp if _is_narrow(rate, layer) else np.expm1
            return epsilon * abs(float(function(-rate * layer.typical_distance)))
        spread = layer.typical_distance / 2
        if spec.name == "cosine":
            changed = spread / (layer.mean_square + spread) if spread > 0 else 0.0
            return epsilon * changed + _EPSILON * float(layer.mean_square > 0)
        if spec.name in ("polynomial", "sigmoid"):
            at_mean, beside = _affine(layer, spec, layer.mean_square, layer.mean_square + spread)
            of_affine = np.tanh if spec.name == "sigmoid" else _powers(spec)
            at_mean, beside = of_affine(at_mean), of_affine(beside)
            return float(epsilon * np.abs(beside - at_mean) + _EPSILON * np.abs(at_mean))
    return 0.0


@dataclass(frozen=True)
class Kernel:
    """One kernel: how a tile follows, and what it needs.

    invariant_to : maps of all examples that change no HSIC and no CKA of the kernel.
    needs : `products` of centred rows, `saved` (products and terms of rows), squared `distances`, or `l1` distances.
    keeps_single : whether float32 holds its tile; the others are float64 always. weighs_rows_alike : whether a row much
        smaller than others counts as much, so that its digits in float32 do not do.
    entry_work : what an entry takes beside what it is a function of, in multiplications of a float32 product.
    """

    tile: TileFunction
    formula: str
    invariant_to: str
    needs: str = "products"
    keeps_single: bool = False
    weighs_rows_alike: bool = False
    entry_work: int = 0
    note: str = ""


_GAMMA = "gamma = 1/n_features unless given"
KERNELS: dict[str, Kernel] = {
    "linear": Kernel(linear_tile, "x'y", "orthogonal maps, shift", keeps_single=True, note="features centred"),
    "polynomial": Kernel(
        polynomial_tile, "(gamma x'y + coef0)^degree", "orthogonal maps", needs="saved", entry_work=200, note=_GAMMA
    ),
    "rbf": Kernel(
        rbf_tile,
        "exp(-|x-y|²/(2σ²)), σ = sigma × median distance",
        "orthogonal maps, shift; with sigma isotropic scale",
        needs="distances",
        keeps_single=True,
        entry_work=75,
        note="the median of all n² distances, the zero diagonal included, as in Kornblith et al.; or gamma=1/(2σ²)",
    ),
    "sigmoid": Kernel(
        sigmoid_tile, "tanh(gamma x'y + coef0)", "orthogonal maps", needs="saved", entry_work=800, note=_GAMMA
    ),
    "laplacian": Kernel(
        laplacian_tile,
        "exp(-gamma |x-y|₁)",
        "permutations and signs of features, shift",
        needs="l1",
        entry_work=500,
        note=_GAMMA + "; slow: no matrix product",
    ),
    "cosine": Kernel(
        cosine_tile,
        "x'y/(|x||y|)",
        "orthogonal maps, scale of each example",
        needs="saved",
        weighs_rows_alike=True,
        entry_work=160,
        note="features as saved",
    ),
}
