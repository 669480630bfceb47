"""What is worked out of whole Gram matrices, and HSIC from sums, against the formulas."""

import itertools

import numpy as np
import pytest

from cka_cli.reductions.gram_matrices import (
    centred_gram,
    chance_cka,
    cka,
    cka_of_matrices,
    cosine,
    effective_dimension,
    hsic_biased,
    hsic_unbiased,
    mean_over_pairings,
    u_centred_gram,
    unit_norm,
)
from tests import oracle


def grams(n_examples=12, kernel="rbf", seed=31):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_examples, 3))
    y = np.hstack([x[:, :1], rng.normal(size=(n_examples, 2))])
    return oracle.gram(x, kernel), oracle.gram(y, kernel)


def sums(k_x, k_y):
    a, b = k_x.sum(axis=1), k_y.sum(axis=1)
    return np.vdot(k_x, k_y), a @ b, a.sum() * b.sum(), len(k_x)


def without_diagonal(k):
    return k - np.diag(np.diag(k))


@pytest.mark.parametrize("kernel", ["linear", "rbf", "polynomial", "cosine"])
@pytest.mark.parametrize("n_examples", [4, 5, 12, 40])
def test_both_estimators_agree_with_the_formulas(n_examples, kernel):
    k_x, k_y = grams(n_examples, kernel)
    assert hsic_biased(*sums(k_x, k_y)) == pytest.approx(oracle.hsic_biased(k_x, k_y), rel=1e-10)
    off_x, off_y = without_diagonal(k_x), without_diagonal(k_y)
    assert hsic_unbiased(*sums(off_x, off_y)) == pytest.approx(oracle.hsic_unbiased(k_x, k_y), rel=1e-10)


def test_the_unbiased_estimator_never_sees_the_diagonal():
    k_x, k_y = grams()
    assert oracle.hsic_unbiased(k_x + 1e3 * np.eye(12), k_y) == pytest.approx(oracle.hsic_unbiased(k_x, k_y))
    off_x, off_y = without_diagonal(k_x), without_diagonal(k_y)
    wrong, right = hsic_unbiased(*sums(k_x, k_y)), hsic_unbiased(*sums(off_x, off_y))
    assert abs(wrong / right - 1) > 1e-2  # with it, the sums are of something else


def test_neither_estimator_feels_a_constant_or_a_term_of_each_row():
    k_x, k_y = grams()
    term = np.arange(12.0)
    for shifted in (k_x + 5, k_x + term[:, None] + term):
        assert hsic_biased(*sums(shifted, k_y)) == pytest.approx(hsic_biased(*sums(k_x, k_y)), rel=1e-10)
        one, two = (hsic_unbiased(*sums(without_diagonal(k), without_diagonal(k_y))) for k in (shifted, k_x))
        assert one == pytest.approx(two, rel=1e-9)


def test_the_unbiased_estimator_is_an_inner_product_of_u_centred_matrices():
    k_x, k_y = (without_diagonal(k) for k in grams())
    n, centred = 12, []
    for k in (k_x, k_y):
        row = k.sum(axis=0) / (n - 2)
        centred.append(without_diagonal(k - row - row[:, None] + k.sum() / ((n - 1) * (n - 2))))
    expected = np.vdot(*centred) / (n * (n - 3))
    assert hsic_unbiased(*sums(k_x, k_y)) == pytest.approx(expected, rel=1e-10)


def test_the_unbiased_estimator_is_zero_on_average_where_the_biased_one_is_not():
    rng = np.random.default_rng(32)
    biased, unbiased = [], []
    for _ in range(400):
        k_x, k_y = (oracle.gram(rng.normal(size=(10, 3))) for _ in range(2))
        biased.append(float(hsic_biased(*sums(k_x, k_y))))
        unbiased.append(float(hsic_unbiased(*sums(without_diagonal(k_x), without_diagonal(k_y)))))
    standard_error = np.std(unbiased) / np.sqrt(400)
    assert abs(np.mean(unbiased)) < 4 * standard_error
    assert np.mean(biased) > 40 * standard_error


def test_values_of_many_pairs_at_once_have_the_shape_of_the_sums():
    k_x, k_y = grams()
    inner, rows, totals, n = sums(k_x, k_y)
    stacked = hsic_biased(np.full((2, 3), inner), np.full((2, 3), rows), np.full((2, 3), totals), n)
    np.testing.assert_array_equal(stacked, np.full((2, 3), hsic_biased(inner, rows, totals, n)))


# --- CKA


@pytest.mark.parametrize(
    ("centre", "hsic"), [(centred_gram, oracle.hsic_biased), (u_centred_gram, oracle.hsic_unbiased)]
)
def test_cka_of_centred_matrices_is_that_of_the_estimator(centre, hsic):
    k_x, k_y = grams()
    x, y = centre(k_x), centre(k_y)
    assert cka_of_matrices(x, y) == pytest.approx(oracle.cka(k_x, k_y, hsic), rel=1e-12)
    assert cka_of_matrices(x, x) == 1
    assert np.vdot(unit_norm(x.copy()), unit_norm(y.copy())) == pytest.approx(cka_of_matrices(x, y), rel=1e-12)
    assert np.isnan(cka_of_matrices(x, 0 * y))


@pytest.mark.parametrize("square", [1e-200, 1e-300, 1.0, 1e200, 1e300])
def test_a_layer_with_itself_is_1_in_any_units(square):
    assert cosine(square, square, square) == pytest.approx(1, abs=1e-15)
    np.testing.assert_allclose(cka(square * np.ones((2, 3)), square * np.ones(2), square * np.ones(3)), 1, rtol=1e-15)


@pytest.mark.parametrize("square", [0.0, -1e-20, np.nan])
def test_without_a_norm_there_is_no_value(square):
    with np.errstate(all="raise"):
        assert np.isnan(cosine(1.0, square, 1.0))
        assert np.isnan(cosine(1.0, square, square))


@pytest.mark.parametrize("gram", [np.zeros((3, 3)), np.full((3, 3), np.inf), np.full((3, 3), np.nan)])
def test_what_has_no_norm_is_not_brought_to_1(gram):
    assert np.isnan(unit_norm(gram)).all()


def test_a_norm_whose_square_leaves_float64_is_brought_to_1():
    for scale in (1e-200, 1e200):
        assert np.linalg.norm(unit_norm(scale * centred_gram(grams()[0]))) == pytest.approx(1, rel=1e-14)


# --- directions, and chance


def test_equal_eigenvalues_are_as_many_directions_as_there_are():
    for n in (1, 2, 7):
        assert effective_dimension(n * 3.0, n * 9.0) == pytest.approx(n, rel=1e-15)


def test_chance_is_the_mean_over_all_orders_of_the_rows():
    x, y = (centred_gram(k) for k in grams(5))
    products = [np.vdot(x, y[np.ix_(order, order)]) for order in map(list, itertools.permutations(range(5)))]
    mean = mean_over_pairings(np.array([np.trace(x)]), np.array([np.trace(y)]), 5)
    np.testing.assert_allclose(mean, [[np.mean(products)]], rtol=1e-12)
    dimensions = [float(effective_dimension(np.trace(k), np.vdot(k, k))) for k in (x, y)]
    expected = np.mean(products) / np.linalg.norm(x) / np.linalg.norm(y)
    assert chance_cka(*dimensions, 5) == pytest.approx(expected, rel=1e-12)
