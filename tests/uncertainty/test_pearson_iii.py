"""The tail of Pearson type III, against scipy's values and the laws of a distribution."""

import math

import numpy as np
import pytest

from cka_cli.uncertainty.pearson_iii import pearson_iii_p_value

# deviation, skewness, scipy.stats.pearson3.sf (scipy 1.17.1)
SCIPY = [
    (0.3, 0.0, 0.3820885778110474),
    (6.5, 0.0, 4.016000583859088e-11),
    (-3.0, 0.1, 0.9991774361793324),
    (7.0, 0.1, 1.1931550932907638e-10),
    (8.2, 0.39, 2.0708329896172576e-09),
    (8.3, 0.41, 2.243578705390648e-09),
    (-1.9, 0.41, 0.9843623970684946),
    (1.0, 0.7, 0.15469359207603203),
    (2.5, 1.0, 0.0212264863029089),
    (27.0, 2.0, 6.914400106940193e-13),
    (-0.5, 2.0, 0.6065306597126334),
    (1.5, 2.8, 0.07747877329057591),
    (30.0, 2.8, 3.6813551528033867e-11),
    (4.0, 6.0, 0.013831728995233529),
    (1.0, -0.05, 0.15862959207886412),
    (5.6, -0.2, 3.25327639895965e-13),
    (4.0, -0.39, 4.048180557355967e-10),
    (-2.0, -0.41, 0.9674164682454732),
    (1.4, -1.4, 0.0006847947933127481),
    (-3.0, -2.8, 0.9780489659259587),
]

SKEWNESSES = [0.05, 0.2, 0.39, 0.41, 0.7, 1.0, 1.5, 2.0, 2.8, 6.0]


def tail(deviation, skewness):
    return pearson_iii_p_value(deviation, 0, 1, skewness)


@pytest.mark.parametrize(("deviation", "skewness", "expected"), SCIPY)
def test_values_are_those_of_scipy(deviation, skewness, expected):
    assert tail(deviation, skewness) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("skewness", [*SKEWNESSES, *(-size for size in SKEWNESSES)])
def test_whole_tails_are_those_of_scipy_where_it_is_installed(skewness):
    stats = pytest.importorskip("scipy.stats")
    deviations = np.linspace(-8, 40, 500)
    expected = stats.pearson3.sf(deviations, skewness)
    np.testing.assert_allclose(tail(deviations, skewness), expected, rtol=0, atol=1e-13)
    is_large = expected > 1e-12
    np.testing.assert_allclose(tail(deviations[is_large], skewness), expected[is_large], rtol=1e-11)


@pytest.mark.parametrize("skewness", [0.0, 1e-300, 1e-12, 1e-4, *SKEWNESSES, *(-size for size in SKEWNESSES)])
def test_a_tail_falls_from_1_to_0(skewness):
    # Steps fine enough to cross every border between one formula and the next.
    deviations = np.linspace(-40, 40, 20_001)
    p_values = tail(deviations, skewness)
    assert np.all(np.diff(p_values) <= 1e-13 * p_values[1:])
    assert tail(-np.inf, skewness) == 1
    assert tail(np.inf, skewness) == 0


def test_a_vanishing_skewness_is_the_normal_distribution_from_both_sides():
    deviations = np.linspace(-7, 7, 57)
    normal = tail(deviations, 0)
    np.testing.assert_allclose(normal + tail(-deviations, 0), 1, rtol=1e-14)
    for size in (1e-300, 1e-18, 1e-15):
        np.testing.assert_allclose(tail(deviations, size), normal, rtol=1e-12)
        np.testing.assert_allclose(tail(deviations, -size), normal, rtol=1e-12)
    # The first term of an Edgeworth series, φ(z)(z² − 1)/6 times the skewness, is all there is at a small one.
    slope = np.exp(-(deviations**2) / 2) / np.sqrt(2 * np.pi) * (deviations**2 - 1) / 6
    for size in (1e-7, -1e-7):
        np.testing.assert_allclose((tail(deviations, size) - normal) / size, slope, atol=1e-7)


def test_at_the_border_of_stirlings_series_both_ways_agree():
    deviations, border = np.linspace(-5, 10, 301), 2 / np.sqrt(10)
    below, above = tail(deviations, border - 1e-15), tail(deviations, border + 1e-15)
    np.testing.assert_allclose(below, above, rtol=1e-11)


@pytest.mark.parametrize("shape", [1, 2, 3, 9, 10, 11, 25, 400])
def test_of_a_whole_shape_the_tail_is_a_sum_of_poisson_probabilities(shape):
    deviations = np.linspace(-0.99 * np.sqrt(shape), 30, 200)
    x = (shape + np.sqrt(shape) * deviations).tolist()
    exactly = [math.fsum(math.exp(k * math.log(at) - at - math.lgamma(k + 1)) for k in range(shape)) for at in x]
    np.testing.assert_allclose(tail(deviations, 2 / np.sqrt(shape)), exactly, rtol=1e-11)


def test_a_skewness_of_one_example_among_many_keeps_its_digits():
    # Of shape a near 0, Γ(a, x) is the exponential integral E₁(x), and E₁(1) = 0.21938393439552029.
    shape = 1e-9
    p_value = tail((1 - shape) / np.sqrt(shape), 2 / np.sqrt(shape))
    assert p_value == pytest.approx(0.21938393439552029 / math.gamma(shape), rel=1e-8)


@pytest.mark.parametrize("skewness", SKEWNESSES)
def test_a_negative_skewness_is_the_mirror_image(skewness):
    deviations = np.linspace(-10, 10, 101)
    np.testing.assert_allclose(tail(deviations, skewness), 1 - tail(-deviations, -skewness), atol=1e-14)


@pytest.mark.parametrize("skewness", [0.5, 2.0])
def test_there_is_nothing_beyond_the_end_of_the_support(skewness):
    ends = 2 / skewness * np.array([1, 1.5, 1e6])
    np.testing.assert_array_equal(tail(-ends, skewness), 1)
    np.testing.assert_array_equal(tail(ends, -skewness), 0)


def test_mean_and_variance_move_and_scale_it():
    assert pearson_iii_p_value(7.0, 3.0, 4.0, 0.8) == tail(2.0, 0.8)
    shape = pearson_iii_p_value(np.ones((3, 1)), np.zeros(4), 1.0, 0.5).shape
    assert shape == (3, 4)
    assert pearson_iii_p_value(np.ones((0, 3)), 0.0, 1.0, 0.5).shape == (0, 3)


def test_nan_gives_nan_and_spoils_no_other():
    values = np.array([np.nan, 1.0, 1.0, 1.0, 1.0, 1.0])
    means = np.array([0.0, np.nan, 0.0, 0.0, 0.0, 0.0])
    variances = np.array([1.0, 1.0, np.nan, 1.0, -1.0, 1.0])
    skewnesses = np.array([1.0, 1.0, 1.0, np.nan, 1.0, 1.0])
    p_values = pearson_iii_p_value(values, means, variances, skewnesses)
    np.testing.assert_array_equal(np.isnan(p_values), [True, True, True, True, True, False])
    assert p_values[-1] == tail(1.0, 1.0)


def test_a_value_that_no_permutation_changes_has_p_value_1():
    assert pearson_iii_p_value(0.3 + 1e-16, 0.3, 0.0, 0.0) == 1
    assert np.isnan(pearson_iii_p_value(np.nan, 0.3, 0.0, 0.0))
