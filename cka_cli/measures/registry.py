"""The registry: every measure by name, what it needs, how its value follows, and what a user must know of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from cka_cli.arrays import Booleans, Float64
from cka_cli.measures import cca
from cka_cli.reductions.hsic import cka
from cka_cli.specs import Spec, parse_kernel, parse_measure

# (cross, x_norms, y_norms) of one estimator of HSIC -> values of all pairs
FromHsic = Callable[[Float64, Float64, Float64], Float64]
FromPair = Callable[[cca.FactorPair, Spec], float]


class HsicSums(Protocol):
    """What HSIC of all pairs is read from: Gram sums, or the average over batches."""

    x: slice
    y: slice

    def biased(self) -> tuple[Float64, Float64]:
        """Return biased HSIC of every pair, shape (n_x_layers, n_y_layers), and of every layer with itself."""

    def unbiased(self) -> tuple[Float64, Float64]:
        """Return unbiased HSIC of every pair, and of every layer with itself."""

    def expected(self) -> Float64:
        """Return the biased HSIC of every pair when rows are paired at random."""

    def rounding(self, *, is_unbiased: bool) -> Float64:
        """Return the HSIC of each layer with itself that rounding alone may leave."""


@dataclass(frozen=True)
class Measure:
    """One measure.

    from_hsic : how values follow from HSIC of all pairs and of the layers themselves; None in the CCA family.
    from_pair : how a value follows from the factors of a pair; None in the HSIC family. needs_columns : whether it
        weighs by features.
    chance : what rows paired at random give on average, from the factors of a pair; None where no law is known.
    is_unbiased : which estimator of HSIC it takes. has_units : whether rescaling a layer changes it.
    is_symmetric : whether exchanging X and Y never changes the value.
    counts_components_alike : whether a component of little variance counts as much as one of much.
    saturated_by : whose n−1 independent features make the value 1: `either` layer's, `Y`'s, or nobody's (empty).
    """

    formula: str
    value_range: str
    invariant_to: str
    cost: str
    source: str
    min_examples: int = 3
    from_hsic: FromHsic | None = None
    from_pair: FromPair | None = None
    needs_columns: bool = False
    chance: FromPair | None = None
    is_unbiased: bool = False
    has_units: bool = False
    is_symmetric: bool = True
    counts_components_alike: bool = False
    saturated_by: str = ""

    @property
    def takes_kernel(self) -> bool:
        """Whether the measure is one of Gram matrices."""
        return self.from_hsic is not None


def _cross_only(cross: Float64, x_norms: Float64, y_norms: Float64) -> Float64:
    return cross


_KORNBLITH = "Kornblith et al. 2019, arXiv 1905.00414"
_ORTHOGONAL = "orthogonal maps, isotropic scale, shift"
_OF_KERNEL = "what the kernel is invariant to"
_OF_KERNEL_AND_SCALE = _OF_KERNEL + "; linear: isotropic scale too"
_GRAM_COST = "n²p per layer, n² per pair"
_FACTOR_COST = "np·min(n,p) per layer and pair"

MEASURES: dict[str, Measure] = {
    "cka": Measure(
        "HSIC(K,L)/√(HSIC(K,K) HSIC(L,L))", "0 to 1", _OF_KERNEL_AND_SCALE, _GRAM_COST, _KORNBLITH + ", eq. 4",
        from_hsic=cka,
    ),
    "cka-debiased": Measure(
        "the same with unbiased HSIC", "0 for noise, -1 to 1", _OF_KERNEL_AND_SCALE, _GRAM_COST,
        "Song et al. 2012, JMLR 13; Nguyen et al. 2021, arXiv 2010.15327", 4, from_hsic=cka, is_unbiased=True,
    ),
    "hsic": Measure(
        "tr(KHLH)/(n-1)²", "0 and up", _OF_KERNEL, _GRAM_COST, "Gretton et al. 2005; " + _KORNBLITH,
        from_hsic=_cross_only, has_units=True,
    ),
    "hsic-unbiased": Measure(
        "U-statistic of HSIC", "any, 0 for noise", _OF_KERNEL, _GRAM_COST,
        "Song et al. 2012, JMLR 13, eq. 5",
        4, from_hsic=_cross_only, is_unbiased=True, has_units=True,
    ),
    "cca-r2": Measure(
        "|Qy'Qx|²/p₁", "0 to 1", "any invertible linear map, shift", _FACTOR_COST, _KORNBLITH,
        from_pair=lambda pair, spec: cca.cca_r2(pair), saturated_by="either", counts_components_alike=True,
        chance=lambda pair, spec: cca.chance_r2(pair, pair.x.rank, pair.y.rank),
    ),
    "cca-rho": Measure(
        "|Qy'Qx|_*/p₁", "0 to 1", "any invertible linear map, shift", _FACTOR_COST, _KORNBLITH,
        from_pair=lambda pair, spec: cca.cca_rho(pair), saturated_by="either", counts_components_alike=True,
    ),
    "svcca-r2": Measure(
        "cca-r2 of the components that hold `variance` of Σs²", "0 to 1", _ORTHOGONAL, _FACTOR_COST,
        "Raghu et al. 2017, arXiv 1706.05806", from_pair=lambda pair, spec: cca.svcca_r2(pair, _variance(spec)),
        chance=lambda pair, spec: cca.chance_r2(pair, *pair.n_kept(_variance(spec))),
    ),
    "svcca-rho": Measure(
        "cca-rho of the components that hold `variance` of Σs²", "0 to 1", _ORTHOGONAL, _FACTOR_COST,
        "Raghu et al. 2017, arXiv 1706.05806", from_pair=lambda pair, spec: cca.svcca_rho(pair, _variance(spec)),
    ),
    "pwcca": Measure(
        "Σα_i ρ_i/Σα_i, α_i = Σ_j |<h_i,x_j>|, of the narrower layer", "0 to 1",
        "invertible maps of the wider layer, permutation and scale of the narrower", _FACTOR_COST,
        "Morcos et al. 2018, arXiv 1806.05759", from_pair=lambda pair, spec: cca.pwcca(pair), saturated_by="either",
        needs_columns=True, is_symmetric=False, counts_components_alike=True,
    ),
    "regression-r2": Measure(
        "|Qy'Xc|²/|Xc|²: X explained by Y, not symmetric", "0 to 1", "invertible maps of Y, orthogonal maps of X",
        _FACTOR_COST, _KORNBLITH, from_pair=lambda pair, spec: cca.regression_r2(pair), saturated_by="Y",
        is_symmetric=False, counts_components_alike=True, chance=lambda pair, spec: cca.chance_r2(pair, 0, pair.y.rank),
    ),
    "procrustes": Measure(
        "|Xc'Yc|_*/(|Xc| |Yc|)", "0 to 1", _ORTHOGONAL, _FACTOR_COST, "Williams et al. 2021, arXiv 2110.14739",
        from_pair=lambda pair, spec: cca.procrustes(pair),
    ),
}  # fmt: skip


def _variance(spec: Spec) -> float:
    variance = spec.get("variance")
    assert variance is not None
    return float(variance)


class GramValues(NamedTuple):
    """What follows for all pairs from the sums of one kernel.

    values, chance : shape (n_x_layers, n_y_layers); chance is what rows paired at random give on average.
    is_flat, overflows : of each layer, whether its centred Gram matrix is 0 to rounding, and whether its sums are
        beyond float64; in both cases its values are NaN.
    is_out_of_range : of each pair, whether its value, in the units of the layers, is one that float64 cannot hold.
    """

    values: Float64
    chance: Float64
    is_flat: Booleans
    overflows: Booleans
    is_out_of_range: Booleans


def values_from_sums(measure: Measure, sums: HsicSums, scales: Float64) -> GramValues:
    """Return the values of all pairs.

    scales : shape (n_layers,), the square root of what each Gram matrix was multiplied by; 0 where there is none.
    """
    assert measure.from_hsic is not None
    cross, norms = sums.unbiased() if measure.is_unbiased else sums.biased()
    is_flat = (norms <= sums.rounding(is_unbiased=measure.is_unbiased)) | (scales == 0)
    overflows = ~np.isfinite(norms)
    norms = np.where(is_flat | overflows, np.nan, norms)
    # An unbiased estimate is 0 on average when rows are paired at random.
    expected = 0 * cross if measure.is_unbiased else sums.expected()
    values = measure.from_hsic(cross, norms[sums.x], norms[sums.y])
    chance = measure.from_hsic(expected, norms[sums.x], norms[sums.y])
    is_out_of_range = np.zeros(values.shape, bool)
    if measure.has_units:
        is_nonzero = values != 0
        divisors = np.where(is_flat | overflows, np.nan, scales)
        for _ in range(2):
            values = values / divisors[sums.x][:, None] / divisors[sums.y]
            chance = chance / divisors[sums.x][:, None] / divisors[sums.y]
        # What is left of a value below the smallest normal float has lost digits.
        is_out_of_range = np.isinf(values) | (is_nonzero & (np.abs(values) < np.finfo(np.float64).tiny))
        values, chance = (np.where(is_out_of_range, np.nan, each) for each in (values, chance))
    return GramValues(values, chance, is_flat & ~overflows, overflows, is_out_of_range)


def kinds_of(measures: Sequence[str], kernels: Sequence[str]) -> list[tuple[str, str]]:
    """Return the measure and kernel, in canonical form, of each matrix that a pair of files gives."""
    return [
        (str(measure), str(kernel or ""))
        for measure in dict.fromkeys(map(parse_measure, measures))
        for kernel in (dict.fromkeys(map(parse_kernel, kernels)) if MEASURES[measure.name].takes_kernel else [None])
    ]
