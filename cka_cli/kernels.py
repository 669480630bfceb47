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
    """Terms of each row of a layer, float64, shape (n_examples,), in the layer's scaled units.

    squared_norms : of the centred rows.
    mean_products : xc'm.
    saved_norms : Euclidean norms of the rows as saved.
    """

    squared_norms: Float64
    mean_products: Float64
    saved_norms: Float64

    def rows(self, start: int, stop: int) -> "RowTerms":
        """Return the facts of some rows."""
        return RowTerms(self.squared_norms[start:stop], self.mean_products[start:stop], self.saved_norms[start:stop])


@dataclass(frozen=True)
class LayerTerms:
    """Terms of a layer that its kernels need.

    scale : the power of two that the saved values were multiplied by.
    mean_square : m'm of the mean taken off, scaled.
    typical_distance : the median (where a bandwidth needs it) or mean of the squared distances, scaled.
    """

    n_features: int
    scale: float
    mean_square: float
    typical_distance: float


TileFunction = Callable[[Array, RowTerms, RowTerms, LayerTerms, Spec], Array]


def linear_tile(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Array:
    """x'y of the centred rows, in scaled units (multiply by scale⁻² for the value)."""
    return products


def rbf_tile(products: Array, rows: RowTerms, columns: RowTerms, layer: LayerTerms, spec: Spec) -> Array:
    """exp(−‖x−y‖²/(2σ²)) less its value at the typical distance; overwrites `products`.

    σ = sigma × the median distance (Kornblith et al. 2019 and their notebook: σ² = sigma² × the median of all n²
    squared distances, the n zeros of the diagonal included), or gamma = 1/(2σ²) as given.
    Squared distances that rounding makes negative are 0. Through expm1, so that a wide kernel keeps its digits.
    """
    rate = rbf_rate(layer, spec)
    exponents = products
    exponents *= 2 * rate
    exponents -= (rate * rows.squared_norms).astype(exponents.dtype)[:, None]
    exponents -= (rate * columns.squared_norms).astype(exponents.dtype)
    np.minimum(exponents, 0, out=exponents)
    if rows is columns:
        np.fill_diagonal(exponents, 0)
    np.expm1(exponents, out=exponents)
    exponents -= exponents.dtype.type(np.expm1(-rate * layer.typical_distance))
    return exponents


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

    needs : `products` (of centred rows) or `l1` (distances).
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


def median_squared_distance(values: Array, squared_norms: Float64, max_rows: int = 512) -> float:
    """Return the median of all n² squared distances between the rows, the n zeros of the diagonal included.

    values : shape (n_examples, n_features), centred. Exact; holds n(n−1)/2 distances at once.
    """
    n_examples = len(values)
    distances = np.empty(n_examples * (n_examples - 1) // 2, values.dtype)
    norms = squared_norms.astype(values.dtype)
    filled = 0
    for start in range(0, n_examples, max_rows):
        stop = min(start + max_rows, n_examples)
        block = values[start:stop] @ values[start:].T
        block *= -2
        block += norms[start:stop, None]
        block += norms[start:]
        np.maximum(block, 0, out=block)
        for place in range(stop - start):
            row = block[place, place + 1 :]
            distances[filled : filled + len(row)] = row
            filled += len(row)
    places = [_upper_place(place, n_examples) for place in ((n_examples**2 - 1) // 2, n_examples**2 // 2)]
    wanted = sorted({place for place in places if place is not None})
    if not wanted:
        return 0.0
    ordered = np.partition(distances, wanted)
    return float(np.mean([0.0 if place is None else float(ordered[place]) for place in places]))


def _upper_place(place: int, n_examples: int) -> int | None:
    """Return where the place-th smallest of all n² distances stands among the n(n−1)/2; None for a diagonal zero."""
    return None if place < n_examples else (place - n_examples) // 2
