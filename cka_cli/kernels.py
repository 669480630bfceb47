"""Each kernel by name: inner products of two row blocks in, one tile of its Gram matrix out.

Every kernel but the laplacian is a function of the inner products of centred rows, so one matrix product per layer
serves all kernels asked for. What a shift of the features changes (polynomial, sigmoid, cosine) is put back as
rank-one corrections in float64: x'y = xc'yc + xc'm + m'yc + m'm with m the mean that was taken off.

A constant may be taken off a whole Gram matrix, diagonal included, without changing any HSIC of it; the rbf kernel
takes off its value at a typical distance, so that float32 keeps what the centring would keep.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cka_cli.names import Spec

Array = NDArray[Any]
Float64 = NDArray[np.float64]


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
    """

    n_features: int
    scale: float
    mean_square: float
    typical_distance: float


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
    """exp(−‖x−y‖²/(2σ²)) less its value at the typical distance; overwrites `distances`.

    σ = sigma × the median distance (Kornblith et al. 2019 and their notebook: σ² = sigma² × the median of all n²
    squared distances, the n zeros of the diagonal included), or gamma = 1/(2σ²) as given.
    Through expm1, so that a wide kernel keeps its digits.
    """
    rate = rbf_rate(layer, spec)
    values = distances
    values *= -rate
    np.expm1(values, out=values)
    values -= values.dtype.type(np.expm1(-rate * layer.typical_distance))
    return values


def rbf_rate(layer: LayerTerms, spec: Spec) -> float:
    """Return 1/(2σ²) in scaled units; infinite when every distance of the layer's median is 0."""
    gamma = spec.get("gamma")
    if gamma is not None:
        return float(gamma) / layer.scale**2
    sigma = spec.get("sigma")
    assert sigma is not None
    squared = float(sigma) ** 2 * layer.typical_distance
    return 1 / (2 * squared) if squared > 0 else np.inf


def _saved_products(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms) -> Float64:
    saved: Float64 = products.astype(np.float64)
    saved += rows.mean_products[:, None]
    saved += columns.mean_products
    saved += layer.mean_square
    return saved


def _affine(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Float64:
    gamma, coef0 = spec.get("gamma"), spec.get("coef0")
    assert coef0 is not None
    values = _saved_products(products, rows, columns, layer)
    values *= (1 / layer.n_features if gamma is None else float(gamma)) / layer.scale**2
    values += coef0
    return values


def polynomial_tile(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Float64:
    """(γ x'y + c)^d of the rows as saved, float64."""
    base = _affine(products, rows, columns, layer, spec)
    degree = spec.get("degree")
    assert isinstance(degree, int)
    if degree > 8:
        return np.asarray(np.power(base, degree))
    power = base.copy()
    for _ in range(degree - 1):
        power *= base
    return power


def sigmoid_tile(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Float64:
    """tanh(γ x'y + c) of the rows as saved, float64."""
    values = _affine(products, rows, columns, layer, spec)
    return np.tanh(values, out=values)


def cosine_tile(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Float64:
    """x'y/(‖x‖‖y‖) of the rows as saved, float64; 0 where a row is all zeros (as scikit-learn has it)."""
    values = _saved_products(products, rows, columns, layer)
    with np.errstate(divide="ignore"):
        values *= np.where(rows.saved_norms > 0, 1 / rows.saved_norms, 0)[:, None]
        values *= np.where(columns.saved_norms > 0, 1 / columns.saved_norms, 0)
    return values


def laplacian_tile(distances: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Float64:
    """exp(−γ‖x−y‖₁) − 1 from L1 distances in scaled units, float64."""
    gamma = spec.get("gamma")
    rate = (1 / layer.n_features if gamma is None else float(gamma)) / layer.scale
    exponents: Float64 = distances.astype(np.float64)
    exponents *= -rate
    return np.expm1(exponents, out=exponents)


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


@dataclass(frozen=True)
class Kernel:
    """One kernel: how a tile follows, and what it needs.

    needs : `products` of centred rows, squared `distances`, or `l1` distances.
    keeps_single : whether float32 holds its tile; the others are float64 always.
    """

    tile: TileFunction
    formula: str
    needs: str = "products"
    keeps_single: bool = False
    note: str = ""


KERNELS: dict[str, Kernel] = {
    "linear": Kernel(linear_tile, "x'y", keeps_single=True, note="features centred"),
    "polynomial": Kernel(polynomial_tile, "(gamma x'y + coef0)^degree", note="gamma = 1/n_features unless given"),
    "rbf": Kernel(
        rbf_tile,
        "exp(-|x-y|²/(2σ²)), σ = sigma × median distance",
        needs="distances",
        keeps_single=True,
        note="the median of all n² distances, the zero diagonal included, as in Kornblith et al.; or gamma=1/(2σ²)",
    ),
    "sigmoid": Kernel(sigmoid_tile, "tanh(gamma x'y + coef0)", note="gamma = 1/n_features unless given"),
    "laplacian": Kernel(
        laplacian_tile,
        "exp(-gamma |x-y|₁)",
        needs="l1",
        note="gamma = 1/n_features unless given; slow: no matrix product",
    ),
    "cosine": Kernel(cosine_tile, "x'y/(|x||y|)", note="features as saved"),
}
