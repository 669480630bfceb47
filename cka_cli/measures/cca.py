"""What a pair of factors gives: CCA, SVCCA, PWCCA, linear regression and Procrustes similarity.

All follow from M = Ux'Uy, one product per pair. Kornblith, Norouzi, Lee, Hinton (2019), table 1, arXiv 1905.00414.
They are of layers that vary, and that saturate nothing: `Measure.of_pair` sees to the others.
"""

from functools import cached_property
from itertools import pairwise

import numpy as np

from cka_cli.arrays import Float64
from cka_cli.measures.measure import KORNBLITH, Measure
from cka_cli.reductions.factors import Factors
from cka_cli.specs import Spec

# Canonical correlations nearer than this are equal: rounding alone tells them apart.
_EQUAL = 1e-9


class FactorPair:
    """Two layers' factors and their product, worked out once for all measures of the pair."""

    def __init__(self, x: Factors, y: Factors):
        self.x, self.y = x, y

    @property
    def has_value(self) -> bool:
        """Whether both layers vary at all."""
        return self.x.rank > 0 and self.y.rank > 0

    def reversed(self) -> "FactorPair":
        """Return the pair with X and Y exchanged; their product is not worked out again."""
        pair = FactorPair(self.y, self.x)
        pair.products = self.products.T
        return pair

    def kept(self, variance: float) -> Float64:
        """Return the products of the leading components of X and of Y that hold this share of their variance."""
        return self.products[: self.x.n_kept(variance), : self.y.n_kept(variance)]

    @cached_property
    def products(self) -> Float64:
        """Ux'Uy, shape (x.rank, y.rank)."""
        return self.x.basis.T @ self.y.basis


def cca_r2(pair: FactorPair) -> float:
    """Mean squared canonical correlation ‖Qy'Qx‖²/p₁, p₁ the smaller rank; in [0, 1]."""
    return float((pair.products**2).sum() / min(pair.products.shape))


def chance_r2(pair: FactorPair, x_rank: int, y_rank: int) -> float:
    """Return the mean R² of so many directions when rows are paired at random: the larger of their numbers over n−1.

    The mean over all permutations of the rows of one side, tr(Px) tr(Py)/(n−1) over the smaller rank; for regression,
    whose X counts by its variance, the rank of Y over n−1.
    """
    return min(1.0, max(x_rank, y_rank) / pair.x.n_degrees) if pair.has_value else np.nan


def cca_rho(pair: FactorPair) -> float:
    """Mean canonical correlation ‖Qy'Qx‖_*/p₁, p₁ the smaller rank; in [0, 1]."""
    return float(np.linalg.svd(pair.products, compute_uv=False).mean())


def svcca_r2(pair: FactorPair, variance: float) -> float:
    """`cca_r2` on the leading components that hold this share of each layer's variance. Raghu et al. (2017)."""
    kept = pair.kept(variance)
    return float((kept**2).sum() / min(kept.shape))


def svcca_rho(pair: FactorPair, variance: float) -> float:
    """`cca_rho` on the leading components that hold this share of each layer's variance. Raghu et al. (2017)."""
    return float(np.linalg.svd(pair.kept(variance), compute_uv=False).mean())


def pwcca(pair: FactorPair) -> float:
    """Projection-weighted CCA: Σα_i ρ_i / Σα_i, α_i = Σ_j |⟨h_i, x_j⟩|; in [0, 1].

    h_i are the canonical variates and x_j the columns of the layer with fewer columns; of X when they are equal,
    so the measure is not symmetric there. Variates of equal correlation, which any turn of them could replace, are
    the principal components of what they hold of the columns. Morcos, Raghu, Bengio (2018), arXiv 1806.05759.
    """
    x_is_narrower = pair.x.n_features <= pair.y.n_features
    narrower, products = (pair.x, pair.products) if x_is_narrower else (pair.y, pair.products.T)
    directions, correlations, _ = np.linalg.svd(products, full_matrices=False)
    assert narrower.columns is not None
    variates = directions.T @ narrower.columns
    edges = [0, *(np.flatnonzero(-np.diff(correlations) > _EQUAL) + 1), len(correlations)]
    for start, stop in pairwise(edges):
        if stop - start > 1:
            _, variances, axes = np.linalg.svd(variates[start:stop], full_matrices=False)
            variates[start:stop] = variances[:, None] * axes
    weights = np.abs(variates).sum(axis=1)
    return float(weights @ correlations / weights.sum())


def regression_r2(pair: FactorPair) -> float:
    """Share of the variance of X that a linear map of Y explains, ‖Qy'Xc‖²/‖Xc‖²; in [0, 1], not symmetric."""
    variances = pair.x.singular_values**2
    return float(variances @ (pair.products**2).sum(axis=1) / variances.sum())


def procrustes(pair: FactorPair) -> float:
    """Procrustes similarity ‖Xc'Yc‖_*/(‖Xc‖ ‖Yc‖), also called normalised Bures similarity; in [0, 1].

    1 minus half of the squared Procrustes distance of the layers scaled to unit norm.
    """
    x, y = (side.singular_values / np.linalg.norm(side.singular_values) for side in (pair.x, pair.y))
    return float(np.linalg.svd(x[:, None] * pair.products * y, compute_uv=False).sum())


def _variance(spec: Spec) -> float:
    variance = spec.get("variance")
    assert variance is not None
    return float(variance)


_ORTHOGONAL = "orthogonal maps, isotropic scale, shift"
_COST = "np·min(n,p) per layer and pair"

MEASURES = {
    "cca-r2": Measure(
        "|Qy'Qx|²/p₁", "0 to 1", "any invertible linear map, shift", _COST, KORNBLITH,
        from_pair=lambda pair, spec: cca_r2(pair), saturated_by="either", counts_components_alike=True,
        chance=lambda pair, spec: chance_r2(pair, pair.x.rank, pair.y.rank),
    ),
    "cca-rho": Measure(
        "|Qy'Qx|_*/p₁", "0 to 1", "any invertible linear map, shift", _COST, KORNBLITH,
        from_pair=lambda pair, spec: cca_rho(pair), saturated_by="either", counts_components_alike=True,
    ),
    "svcca-r2": Measure(
        "cca-r2 of the components that hold `variance` of Σs²", "0 to 1", _ORTHOGONAL, _COST,
        "Raghu et al. 2017, arXiv 1706.05806", from_pair=lambda pair, spec: svcca_r2(pair, _variance(spec)),
        chance=lambda pair, spec: chance_r2(pair, *pair.kept(_variance(spec)).shape),
    ),
    "svcca-rho": Measure(
        "cca-rho of the components that hold `variance` of Σs²", "0 to 1", _ORTHOGONAL, _COST,
        "Raghu et al. 2017, arXiv 1706.05806", from_pair=lambda pair, spec: svcca_rho(pair, _variance(spec)),
    ),
    "pwcca": Measure(
        "Σα_i ρ_i/Σα_i, α_i = Σ_j |<h_i,x_j>|, of the narrower layer", "0 to 1",
        "invertible maps of the wider layer, permutation and scale of the narrower", _COST,
        "Morcos et al. 2018, arXiv 1806.05759", from_pair=lambda pair, spec: pwcca(pair), saturated_by="either",
        needs_columns=True, is_symmetric=False, counts_components_alike=True,
    ),
    "regression-r2": Measure(
        "|Qy'Xc|²/|Xc|²: X explained by Y, not symmetric", "0 to 1", "invertible maps of Y, orthogonal maps of X",
        _COST, KORNBLITH, from_pair=lambda pair, spec: regression_r2(pair), saturated_by="Y",
        is_symmetric=False, counts_components_alike=True, chance=lambda pair, spec: chance_r2(pair, 0, pair.y.rank),
    ),
    "procrustes": Measure(
        "|Xc'Yc|_*/(|Xc| |Yc|)", "0 to 1", _ORTHOGONAL, _COST, "Williams et al. 2021, arXiv 2110.14739",
        from_pair=lambda pair, spec: procrustes(pair),
    ),
}  # fmt: skip
