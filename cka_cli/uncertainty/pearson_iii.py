"""The tail of a Pearson type III distribution: of a gamma variable, moved and scaled to a mean and a variance."""

import math

import numpy as np

from cka_cli.arrays import Array, Float64

# A smaller skewness changes no tail that float64 can hold; its square would leave float64.
_SMALLEST_SKEWNESS = 1e-18
# A tail is followed to where its density has fallen by e^−40, past what float64 tells from nothing.
_FALL = 40.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
# From this shape on four terms of Stirling's series are good to 1e-12.
_LARGE_SHAPE = 10.0

_lgamma = np.vectorize(math.lgamma, otypes=[np.float64])


def pearson_iii_p_value(value: Array, mean: Array, variance: Array, skewness: Array) -> Float64:
    """Return P(T ≥ value) for T of Pearson type III with this mean, variance and skewness, which broadcast.

    Skewness 0 is the normal distribution. 0 or 1 beyond the end of the support. 1 at a variance of 0: no permutation
    gives another value. NaN where any of the four is NaN or the variance negative. Good to 1e-11, relative.
    As a p-value it is an approximation: Josse, Pagès, Husson (2008), Comput. Stat. Data Anal. 53.
    """
    value, mean, variance, skewness = np.broadcast_arrays(value, mean, variance, skewness)
    deviation = np.asarray((value - mean) / np.sqrt(variance), np.float64)
    # Of a negative skewness, the lower tail of its mirror image.
    is_upper = skewness >= 0
    size = np.asarray(np.maximum(np.abs(skewness), _SMALLEST_SKEWNESS), np.float64)
    lower, upper = _gamma_tails(4 / size**2, np.where(is_upper, deviation, -deviation) * size / 2)
    is_constant = (variance == 0) & ~np.isnan(value + mean + skewness)
    return np.where(is_constant, 1.0, np.where(is_upper, upper, lower))


def _gamma_tails(shape: Float64, excess: Float64) -> tuple[Float64, Float64]:
    """Return P(G ≤ x) and P(G ≥ x) of a gamma variable at x = shape (1 + excess).

    Of shape a, ln(G/a) has the density C e^(−a h(z)), h(z) = e^z − 1 − z: smooth whatever the shape. The tail on the
    side of x away from the mean is integrated from x on by the rule of Gauss and Legendre, its nodes z₀ ± T y² densest
    at x; the other tail is what is left of 1.
    """
    is_beyond, is_right = excess <= -1, excess >= 0
    excess = np.clip(excess, np.nextafter(-1, 0), 1e150)
    start, fall = np.log1p(excess), _FALL / shape
    # How far the tail is followed: h grows by more than μt + (1+μ)t²/2 to the right, −μt + (1+μ)t²/(2+t) to the left.
    right = 2 * fall / (excess + np.sqrt(excess**2 + 2 * (1 + excess) * fall))
    for _ in range(3):  # and to the right by (1+μ)(e^t − 1) − t, which is more where the shape is small
        right = np.minimum(right, np.log1p((fall + right) / (1 + excess)))
    left = (fall + 2 * excess + np.sqrt((fall + 2 * excess) ** 2 + 8 * fall)) / 2
    reach, at_start = np.where(is_right, right, -left), _growth(start)
    total = np.zeros_like(start)
    for place, weight in zip((1 + _NODES) / 2, _WEIGHTS, strict=True):
        total += weight * place * np.exp(-shape * (_growth(start + reach * place**2) - at_start))
    tail = np.abs(reach) * total * np.exp(_log_peak(shape) - shape * at_start)
    lower, upper = np.where(is_right, 1 - tail, tail), np.where(is_right, tail, 1 - tail)
    return np.where(is_beyond, 0.0, lower), np.where(is_beyond, 1.0, upper)


def _growth(z: Float64) -> Float64:
    """Return e^z − 1 − z, which does not cancel near 0."""
    series = np.ones_like(z)
    for n in range(14, 2, -1):
        series = 1 + series * z / n
    return np.asarray(np.where(np.abs(z) < 0.3, z**2 / 2 * series, np.expm1(z) - z))


def _log_peak(shape: Float64) -> Float64:
    """Return ln((a/e)^a/Γ(a)); of a large shape by Stirling's series, Abramowitz and Stegun, 6.1.41."""
    small, large = np.minimum(shape, _LARGE_SHAPE), np.maximum(shape, _LARGE_SHAPE)
    series = (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / large**2) / large**2) / large**2) / large
    of_small, of_large = small * np.log(small) - small - _lgamma(small), np.log(large / (2 * np.pi)) / 2 - series
    return np.asarray(np.where(shape < _LARGE_SHAPE, of_small, of_large))
