"""A layer as U S V': orthonormal, ordered, cut at its rank, and back."""

import numpy as np
import pytest

from tests import oracle
from tests.small_files import factorise


@pytest.mark.parametrize(
    ("n_examples", "n_features"), [(30, 5), (5, 30), (20, 20), (20, 19), (20, 21), (2, 1), (300, 1), (90, 7), (6, 300)]
)
def test_the_factors_multiply_back_to_the_centred_layer(n_examples, n_features):
    x = np.random.default_rng(41).normal(size=(n_examples, n_features)) + 3
    factors = factorise("x", x)
    assert factors.label == "x"
    assert factors.rank == min(n_examples - 1, n_features)
    back = factors.basis @ factors.columns
    np.testing.assert_allclose(back, oracle.centred(x), rtol=0, atol=1e-12)
    np.testing.assert_allclose(factors.basis.T @ factors.basis, np.eye(factors.rank), rtol=0, atol=1e-12)
    variances = np.diag(factors.singular_values**2)
    np.testing.assert_allclose(factors.columns @ factors.columns.T, variances, rtol=0, atol=1e-11)
    np.testing.assert_allclose(factors.basis.sum(axis=0), 0, rtol=0, atol=1e-12)
    assert np.all(np.diff(factors.singular_values) <= 0)


@pytest.mark.parametrize("rank", [1, 3, 7])
@pytest.mark.parametrize("shape", [(40, 10), (12, 60)])
@pytest.mark.parametrize("scale", [1e-20, 1, 1e20])
def test_rank_is_the_number_of_independent_directions(rank, shape, scale):
    rng = np.random.default_rng(42)
    x = rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1])) * scale
    assert factorise("x", x).rank == rank == np.linalg.matrix_rank(oracle.centred(x))


def test_rank_counts_small_directions_down_to_rounding():
    u = np.linalg.qr(oracle.centred(np.random.default_rng(43).normal(size=(50, 4))))[0]
    assert factorise("x", u * [1, 1e-4, 1e-8, 1e-12]).rank == 4
    assert factorise("x", u * [1, 1e-4, 1e-8, 1e-17]).rank == 3
    assert factorise("x", u * [1, 1e-17, 1e-17, 0]).rank == 1


def test_a_constant_layer_has_rank_zero_and_keeps_nothing():
    factors = factorise("x", np.zeros((6, 3)))
    assert (factors.rank, factors.n_kept(0.99), factors.basis.shape) == (0, 0, (6, 0))
    assert not factors.is_saturated


@pytest.mark.parametrize(("n_features", "is_saturated"), [(18, False), (19, True), (20, True), (100, True)])
def test_a_layer_is_saturated_from_n_minus_one_independent_features_on(n_features, is_saturated):
    x = np.random.default_rng(44).normal(size=(20, n_features))
    assert factorise("x", x).is_saturated == is_saturated
    doubled = np.hstack([x[:, :9], x[:, :9], x[:, :9]])
    assert not factorise("x", doubled).is_saturated


def test_components_kept_are_counted_by_squares_of_singular_values():
    u = np.linalg.qr(oracle.centred(np.random.default_rng(45).normal(size=(50, 4))))[0]
    factors = factorise("x", u * np.sqrt([70.0, 20, 9, 1]))
    wanted = {0.01: 1, 0.69: 1, 0.7: 1, 0.71: 2, 0.9: 2, 0.901: 3, 0.99: 3, 0.991: 4, 1: 4}
    assert {share: factors.n_kept(share) for share in wanted} == wanted
    assert factorise("x", 1e-8 * u * np.sqrt([70.0, 20, 9, 1])).n_kept(0.9) == 2


def test_the_values_given_are_left_as_they_were():
    x = np.random.default_rng(46).normal(size=(10, 3))
    before = x.copy()
    factorise("x", x)
    np.testing.assert_array_equal(x, before)
