"""Moments over all permutations: against every permutation of few examples, and against counts of many permutations."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cka_cli.reductions.gram_matrices import centred_gram, u_centred_gram
from cka_cli.uncertainty.pearson_iii import pearson_iii_p_value
from cka_cli.uncertainty.permutations import (
    MatrixInvariants,
    counted_p_value,
    invariants_of,
    invariants_of_sums,
    permutation_moments,
    stack,
)
from tests import oracle

CENTRED = {"biased": centred_gram, "debiased": u_centred_gram}
each_estimator = pytest.mark.parametrize("estimator", CENTRED)


def unit(gram, estimator):
    """A centred Gram matrix of Frobenius norm 1."""
    centred = CENTRED[estimator](gram)
    return centred / np.linalg.norm(centred)


def draw(n_examples, n_features, seed, distribution="normal"):
    rng = np.random.default_rng(seed)
    if distribution == "t":
        return rng.standard_t(2.2, size=(n_examples, n_features))
    values = rng.normal(size=(n_examples, n_features))
    return np.exp(values) if distribution == "skewed" else values


def moments_of(x, y, estimator):
    """(mean, variance, skewness) of one pair of Gram matrices."""
    moments = permutation_moments(*(invariants_of(CENTRED[estimator](gram)) for gram in (x, y)))
    return tuple(float(moment[0, 0]) for moment in moments)


def moments_by_enumeration(v, w):
    permutations = np.array(list(itertools.permutations(range(len(v)))))
    values = np.einsum("ij,pij->p", v, w[permutations[:, :, None], permutations[:, None, :]])
    deviations = values - values.mean()
    return values.mean(), (deviations**2).mean(), (deviations**3).mean() / (deviations**2).mean() ** 1.5


def test_centred_matrices_are_those_of_their_definitions():
    gram = oracle.gram(draw(8, 3, seed=1)) + 5
    h = np.eye(8) - 1 / 8
    np.testing.assert_allclose(centred_gram(gram), h @ gram @ h, atol=1e-13)
    apart = gram - np.diag(np.diag(gram))
    sums, expected = apart.sum(axis=1), np.zeros((8, 8))
    for i, j in itertools.permutations(range(8), 2):
        expected[i, j] = apart[i, j] - (sums[i] + sums[j]) / 6 + sums.sum() / 42
    np.testing.assert_allclose(u_centred_gram(gram), expected, atol=1e-13)
    np.testing.assert_allclose(u_centred_gram(gram).sum(axis=0), 0, atol=1e-13)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize(("estimator", "n_examples"), [("biased", 3), *itertools.product(CENTRED, [4, 5, 6, 7])])
def test_moments_are_those_of_all_permutations(n_examples, kernel, estimator):
    for seed in range(3):
        x, y = draw(n_examples, 3, seed, "skewed"), draw(n_examples, 2, seed + 10)
        grams = oracle.gram(x, kernel), oracle.gram(y, kernel)
        expected = moments_by_enumeration(*(unit(gram, estimator) for gram in grams))
        np.testing.assert_allclose(moments_of(*grams, estimator), expected, rtol=1e-9, atol=1e-12)


@given(seed=st.integers(0, 10**6), n_examples=st.integers(4, 60), n_features=st.integers(1, 80))
def test_debiased_cka_of_any_layers_has_mean_0_and_one_variance(seed, n_examples, n_features):
    x, y = draw(n_examples, n_features, seed, "skewed"), draw(n_examples, 2, seed + 1)
    mean, variance, _ = moments_of(oracle.gram(x), oracle.gram(y, "rbf"), "debiased")
    assert mean == 0
    assert variance == pytest.approx(2 / (n_examples * (n_examples - 3)), rel=1e-10)


@given(seed=st.integers(0, 10**6), n_examples=st.integers(4, 60), n_features=st.integers(1, 80))
def test_the_mean_of_biased_cka_follows_from_effective_dimensions(seed, n_examples, n_features):
    x, y = draw(n_examples, n_features, seed), draw(n_examples, 3, seed + 1)
    ratios = oracle.effective_dimension(x) * oracle.effective_dimension(y)
    mean, _, _ = moments_of(oracle.gram(x), oracle.gram(y), "biased")
    assert mean == pytest.approx(math.sqrt(ratios) / (n_examples - 1), rel=1e-10)


def moments_of_groups(n_examples, a, b, estimator):
    """The moments of CKA of two features that are 1 in a and in b examples and else 0, in exact fractions.

    A permutation makes k examples common to both groups, k hypergeometric, and HSIC is a polynomial in k.
    """
    n = n_examples

    def hsic(k, a, b):
        cross, x, y = Fraction(k) - Fraction(a * b, n), Fraction(a, n), Fraction(b, n)
        if estimator == "biased":
            return cross**2
        in_x, in_y, out_x, out_y = (1 - x) ** 2, (1 - y) ** 2, x**2, y**2
        norms = k * in_x * in_y + (a - k) * in_x * out_y + (b - k) * out_x * in_y + (n - a - b + k) * out_x * out_y
        totals = (a * in_x + (n - a) * out_x) * (b * in_y + (n - b) * out_y)
        return cross**2 - Fraction(n, n - 2) * norms + totals / ((n - 1) * (n - 2))

    counts = range(max(0, a + b - n), min(a, b) + 1)
    chances = [Fraction(math.comb(a, k) * math.comb(n - a, b - k), math.comb(n, b)) for k in counts]
    values = [hsic(k, a, b) for k in counts]
    mean = sum(p * value for p, value in zip(chances, values, strict=True))
    second, third = (sum(p * (v - mean) ** k for p, v in zip(chances, values, strict=True)) for k in (2, 3))
    norms = hsic(a, a, a) * hsic(b, b, b)
    return float(mean) / math.sqrt(norms), float(second / norms), float(third) / float(second) ** 1.5


@each_estimator
@pytest.mark.parametrize(
    ("n_examples", "a", "b"),
    [(60, 5, 20), (500, 10, 250), pytest.param(2000, 3, 700, marks=pytest.mark.slow)],
)
def test_moments_of_many_examples_keep_their_digits(n_examples, a, b, estimator):
    x, y = (np.where(np.arange(n_examples) < size, 1.0, 0.0)[:, None] for size in (a, b))
    expected = moments_of_groups(n_examples, a, b, estimator)
    np.testing.assert_allclose(moments_of(x @ x.T, y @ y.T, estimator), expected, rtol=1e-12, atol=1e-15)


def test_the_skewness_at_many_examples_is_that_of_two_operators():
    # The limit of a degenerate U-statistic: 8 τ_x τ_y/2^(3/2), τ = tr of the cube over tr of the square ^(3/2).
    # At this many examples the products of index counts have left 64-bit integers.
    n, cubes = 10**6, np.array([[0.7, 0.3, 0.0, 0.0, 0.0], [-0.2, 0.9, 0.0, 0.0, 0.0]])
    layers = MatrixInvariants(n, np.zeros(2), np.full((2, 2), [1 / (n * (n - 1)), 0]), cubes)
    _, variance, skewness = permutation_moments(layers, layers)
    np.testing.assert_allclose(variance, 2 / (n * (n - 3)), rtol=1e-12)
    np.testing.assert_allclose(skewness, math.sqrt(8) * np.multiply.outer(cubes[:, 0], cubes[:, 0]), rtol=1e-4)


@each_estimator
def test_units_do_not_matter(estimator):
    gram_x, gram_y = oracle.gram(draw(20, 3, seed=2)), oracle.gram(draw(20, 4, seed=3))
    expected = moments_of(gram_x, gram_y, estimator)
    for scale in (1e-200, 1e200, -3.0):
        mean, variance, skewness = moments_of(scale * gram_x, gram_y, estimator)
        sign = math.copysign(1, scale)
        assert (sign * mean, variance, sign * skewness) == pytest.approx(expected, rel=1e-11)


@each_estimator
def test_all_pairs_at_once_are_the_pairs_one_by_one(estimator):
    grams = [oracle.gram(draw(15, size, seed=size, distribution="skewed")) for size in (1, 2, 5, 40)]
    layers = [invariants_of(CENTRED[estimator](gram)) for gram in grams]
    moments = permutation_moments(stack(layers[:3]), stack(layers))
    assert [moment.shape for moment in moments] == [(3, 4)] * 3
    for i, j in itertools.product(range(3), range(4)):
        found = [moment[i, j] for moment in moments]
        np.testing.assert_allclose(found, moments_of(grams[i], grams[j], estimator), rtol=1e-12)


@each_estimator
@pytest.mark.parametrize("empty", [np.zeros((6, 6)), np.full((6, 6), np.nan)], ids=["zeros", "NaN"])
def test_a_matrix_without_a_norm_has_no_moments_and_spoils_no_other(empty, estimator):
    good = invariants_of(CENTRED[estimator](oracle.gram(draw(6, 2, seed=4))))
    both = stack([invariants_of(empty), good])
    diagonals = np.stack([np.diag(empty), np.arange(6.0) / 6]) if estimator == "biased" else None
    sums = invariants_of_sums(6, np.array([np.sum(empty**2), 3.0]), diagonals)
    for layers in (both, sums.with_cubes_of(both)):
        for moment in permutation_moments(layers, good):
            assert np.isnan(moment[0, 0])
            assert np.isfinite(moment[1, 0])


@pytest.mark.parametrize("n_examples", range(4, 20))
def test_examples_all_equally_far_apart_leave_nothing_to_permute(n_examples):
    flat, gram = centred_gram(np.eye(n_examples)), oracle.gram(draw(n_examples, 2, seed=4))
    y = invariants_of(centred_gram(gram))
    sums = invariants_of_sums(n_examples, np.array([np.sum(flat**2)]), np.diagonal(flat)[None])
    for layers in (invariants_of(flat), sums):
        mean, variance, skewness = permutation_moments(layers, y)
        assert mean[0, 0] == pytest.approx(np.sum(flat / np.linalg.norm(flat) * unit(gram, "biased")))
        assert (variance[0, 0], skewness[0, 0]) == (0, 0)
        assert pearson_iii_p_value(mean, mean, variance, skewness) == 1


@each_estimator
@pytest.mark.parametrize("distribution", ["normal", "t"])
def test_sums_give_what_the_matrix_gives(estimator, distribution):
    matrices = [CENTRED[estimator](oracle.gram(draw(30, size, size, distribution))) for size in (1, 4, 90)]
    whole = stack([invariants_of(matrix) for matrix in matrices])
    diagonals = np.array([np.diag(matrix) for matrix in matrices]) if estimator == "biased" else None
    sums = invariants_of_sums(30, np.array([np.sum(matrix**2) for matrix in matrices]), diagonals)
    np.testing.assert_allclose(sums.traces, whole.traces, rtol=1e-11)
    np.testing.assert_allclose(sums.squares, whole.squares, rtol=1e-11)
    np.testing.assert_allclose(sums.cubes[:, -1], whole.cubes[:, -1], rtol=1e-11)
    for found, expected in zip(
        permutation_moments(sums.with_cubes_of(whole), sums.with_cubes_of(whole)),
        permutation_moments(whole, whole),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def skewness_of_some_and_of_all(layer, estimator, n_rows=300):
    gram, rows = oracle.gram(layer), np.random.default_rng(6).choice(len(layer), n_rows, replace=False)
    whole = invariants_of(CENTRED[estimator](gram))
    some = whole.with_cubes_of(invariants_of(CENTRED[estimator](gram[np.ix_(rows, rows)])))
    found, expected = permutation_moments(some, some), permutation_moments(whole, whole)
    assert (found.mean, found.variance) == (expected.mean, expected.variance)
    return float(found.skewness[0, 0]), float(expected.skewness[0, 0])


@each_estimator
@pytest.mark.parametrize("n_features", [2, 50, 400])
@pytest.mark.parametrize("distribution", ["normal", "skewed"])
def test_a_quarter_of_the_rows_gives_the_skewness_of_all(distribution, n_features, estimator):
    found, expected = skewness_of_some_and_of_all(draw(1200, n_features, 5, distribution), estimator)
    # A skewness that is 0.05 off moves p = 0.01 by 0.001. Lognormal features have heavier tails than most layers.
    assert found == pytest.approx(expected, rel=0.05 if distribution == "normal" else 0.2, abs=0.05)


def test_outliers_are_not_lost_with_the_rows_left_out():
    for seed in range(5):
        found, expected = skewness_of_some_and_of_all(draw(600, 10, seed, "t"), "biased")
        assert found == pytest.approx(expected, rel=0.1)


def permuted_values(x, y, n_permutations, seed):
    """Linear CKA, biased and debiased, of x with shuffled rows of y, from features alone."""
    rng, n = np.random.default_rng(seed), len(x)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    norms_x, norms_y = (x**2).sum(axis=1), (y**2).sum(axis=1)
    biased, products = np.empty(n_permutations), np.empty(n_permutations)
    for place in range(n_permutations):
        order = rng.permutation(n)
        biased[place] = np.sum((x.T @ y[order]) ** 2)
        products[place] = norms_x @ norms_y[order]
    unbiased = biased - n / (n - 2) * products + norms_x.sum() * norms_y.sum() / ((n - 1) * (n - 2))
    values = {"biased": biased, "debiased": unbiased}
    return {
        name: values[name] / math.prod(np.linalg.norm(centre(oracle.gram(layer))) for layer in (x, y))
        for name, centre in CENTRED.items()
    }


@pytest.mark.parametrize(("n_examples", "size", "is_skewed"), [(60, 2, True), (200, 2, True), (60, 50, False)])
def test_p_values_are_those_that_permutations_count(n_examples, size, is_skewed):
    n_permutations = 10_000
    x, y = draw(n_examples, size, seed=7), draw(n_examples, size, seed=8)
    for estimator, values in permuted_values(x, y, n_permutations, seed=9).items():
        mean, variance, skewness = moments_of(oracle.gram(x), oracle.gram(y), estimator)
        assert (skewness > 1) == is_skewed
        descending = np.sort(values)[::-1]
        for level in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01):
            n_at_least = round(level * n_permutations)
            value, error = descending[n_at_least - 1], math.sqrt(level * (1 - level) / n_permutations)
            counted = counted_p_value(n_at_least, n_permutations)
            assert abs(pearson_iii_p_value(value, mean, variance, skewness) - counted) < 4 * error
            if is_skewed and level <= 0.05:  # the same without the third moment
                assert pearson_iii_p_value(value, mean, variance, 0) < counted - 6 * error


def test_outliers_are_told_of_where_p_values_do_not_hold():
    x, y = draw(500, 20, 1, "t"), draw(500, 20, 2, "t")
    calm, wild = (
        stack([invariants_of(centred_gram(oracle.gram(layer))) for layer in pair])
        for pair in ((draw(500, 20, 1), draw(500, 20, 2)), (x, y))
    )
    np.testing.assert_allclose(calm.outlier_ratios, 2 / 500, rtol=0.2)
    assert np.all(wild.outlier_ratios > 0.1)
    values = np.sort(permuted_values(x, y, 10_000, seed=3)["debiased"])[::-1]
    assert pearson_iii_p_value(values[19], *moments_of(oracle.gram(x), oracle.gram(y), "debiased")) < 0.002 / 2


@each_estimator
def test_p_values_of_layers_that_share_nothing_are_uniform(estimator):
    p_values = []
    for seed in range(400):
        grams = [oracle.gram(draw(40, 2, seed=(seed, side))) for side in range(2)]
        value = np.sum(unit(grams[0], estimator) * unit(grams[1], estimator))
        p_values.append(pearson_iii_p_value(value, *moments_of(*grams, estimator)))
    for level in (0.05, 0.2, 0.5):
        assert abs(np.mean(np.array(p_values) < level) - level) < 4 * math.sqrt(level * (1 - level) / 400)


def test_layers_that_share_something_have_small_p_values():
    x = draw(60, 3, seed=12)
    y = x + 2 * draw(60, 3, seed=13)
    for estimator in CENTRED:
        value = np.sum(unit(oracle.gram(x), estimator) * unit(oracle.gram(y), estimator))
        assert pearson_iii_p_value(value, *moments_of(oracle.gram(x), oracle.gram(y), estimator)) < 1e-3


def test_counted_p_values_are_never_0():
    np.testing.assert_array_equal(counted_p_value(np.array([0, 4, 99]), 99), [0.01, 0.05, 1])
