"""The tail of a Pearson type III distribution: of a gamma variable, moved and scaled to a mean and a variance.

Three ways to the incomplete gamma function, each where it keeps its digits: a series below the mean, a continued
fraction above it, and around the mean of a large shape the expansion that starts from the normal distribution.
"""

import math
from fractions import Fraction

import numpy as np

from cka_cli.arrays import Array, Float64

# From this shape on the expansion holds to rounding for deviations |η| ≤ 1; below, the other two take few terms.
_LARGE_SHAPE = 25.0
_N_TERMS = 26
# A smaller skewness changes no tail that float64 can hold; its square would leave float64.
_SMALLEST_SKEWNESS = 1e-18
# Where sums and fractions stop: above what rounding may do to one step, so that they do stop.
_ENOUGH = 4e-15

_erfc = np.vectorize(math.erfc, otypes=[np.float64])
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
    """Return P(G ≤ x) and P(G ≥ x) of a gamma variable at x = shape (1 + excess)."""
    lower, upper = np.full(shape.shape, np.nan), np.full(shape.shape, np.nan)
    is_beyond = excess <= -1
    lower[is_beyond], upper[is_beyond] = 0, 1
    eta = _eta(excess)
    is_near = (shape >= _LARGE_SHAPE) & (np.abs(eta) <= 1)
    x = np.minimum(shape * (1 + excess), np.finfo(np.float64).max)
    is_far = ~is_near & ~is_beyond
    is_left, is_right = is_far & (x < shape + 1), is_far & (x >= shape + 1)
    lower[is_near], upper[is_near] = _tails_of_large_shape(shape[is_near], eta[is_near])
    lower[is_left] = _lower_by_series(shape[is_left], x[is_left])
    upper[is_left] = 1 - lower[is_left]
    upper[is_right] = _upper_by_fraction(shape[is_right], x[is_right])
    lower[is_right] = 1 - upper[is_right]
    return lower, upper


def _lower_by_series(shape: Float64, x: Float64) -> Float64:
    """Return x^a e^−x/Γ(a+1) (1 + x/(a+1) + x²/((a+1)(a+2)) + ...): Abramowitz and Stegun, 6.5.29."""
    total, term, place = np.ones_like(x), np.ones_like(x), shape.copy()
    while np.any(term > _ENOUGH * total):
        place += 1
        term *= x / place
        total += term
    return np.asarray(total * np.exp(shape * np.log(x) - x - _lgamma(shape + 1)))


def _upper_by_fraction(shape: Float64, x: Float64) -> Float64:
    """Return x^a e^−x/Γ(a) 1/(x+1−a − 1(1−a)/(x+3−a − 2(2−a)/(x+5−a − ...))): Abramowitz and Stegun, 6.5.31."""
    # Lentz's method; no denominator comes near 0 at x > a + 1.
    denominator = x + 1 - shape
    above, below = np.full_like(x, np.inf), 1 / denominator
    total, step, place = below.copy(), np.zeros_like(x), 0
    while np.any(np.abs(step - 1) > _ENOUGH):
        place += 1
        numerator = place * (shape - place)
        denominator += 2
        below = 1 / (denominator + numerator * below)
        above = denominator + numerator / above
        step = above * below
        total *= step
    return np.asarray(total * np.exp(shape * np.log(x) - x - _lgamma(shape)))


def _eta(excess: Float64) -> Float64:
    """Return η with the sign of the excess μ and η²/2 = μ − ln(1 + μ); NaN below −1."""
    # With u = μ/(2+μ), ln(1+μ) = 2u + 2u³/3 + 2u⁵/5 + ... and μ − 2u = μu: nothing cancels near 0.
    u = excess / (2 + excess)
    series = np.zeros_like(u)
    for power in range(19, 1, -2):
        series = series * u**2 + 1 / power
    halves = np.where(np.abs(excess) < 0.2, excess * u - 2 * u**3 * series, excess - np.log1p(excess))
    return np.asarray(np.copysign(np.sqrt(2 * halves), excess))


def _expansion() -> list[float]:
    """Return the coefficients of g(η) = η/μ = 1 − η/3 + η²/12 − ..., which solves η g' = g − g³ − η g²."""
    g, square = [Fraction(1)], [Fraction(1)]
    for n in range(1, _N_TERMS):
        without = sum((g[i] * g[n - i] for i in range(1, n)), Fraction(0))  # [g²]_n but for 2 g_n
        cube = without + sum((g[i] * square[n - i] for i in range(1, n)), Fraction(0))  # [g³]_n but for 3 g_n
        g.append(-(cube + square[n - 1]) / (n + 2))
        square.append(without + 2 * g[n])
    return [float(coefficient) for coefficient in g]


_G = _expansion()


def _tails_of_large_shape(shape: Float64, eta: Float64) -> tuple[Float64, Float64]:
    """Return both tails as those of the normal distribution at η√a, and what is left.

    Temme (1979), SIAM J. Math. Anal. 10; summed as in Gil, Segura, Temme (2012), SIAM J. Sci. Comput. 34.
    """
    deviation = eta * np.sqrt(shape / 2)
    # The rest is e^(−aη²/2)/√(2πa) Σ b_n η^n with b_(n−1) = g_n + (n+1)/a b_(n+1), but for a factor that b_1 gives.
    next_but_one, following, total = np.zeros_like(eta), np.zeros_like(eta), np.zeros_like(eta)
    for n in range(_N_TERMS - 1, 0, -1):
        current = _G[n] + (n + 1) / shape * next_but_one
        total = total * eta + current
        next_but_one, following = following, current
    scale = 1 + next_but_one / shape
    rest = np.exp(-(deviation**2)) / np.sqrt(2 * np.pi * shape) * total / scale
    return _erfc(-deviation) / 2 - rest, _erfc(deviation) / 2 + rest
