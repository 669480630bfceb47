"""What pairs of factors give, beyond the published values and the laws."""

import math
from functools import partial

import numpy as np
import pytest

from cka_cli.measures import cca
from cka_cli.measures.cca import FactorPair
from cka_cli.specs import parse_measure
from tests import oracle
from tests.small_files import factorise

MEASURES = {name: partial(row.of_pair, spec=parse_measure(name)) for name, row in cca.MEASURES.items()}


def pair_of(x, y):
    return FactorPair(factorise("x", x), factorise("y", y))


def layers(n_examples=40, p=6, q=9, seed=51):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_examples, 3))
    return tuple(signal @ rng.normal(size=(3, size)) + rng.normal(size=(n_examples, size)) for size in (p, q))


def rank_deficient(x):
    return np.hstack([x, x[:, :2] - x[:, 2:4]])


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("p", "q"), [(6, 9), (9, 6), (1, 5), (5, 1), (7, 7)])
def test_values_agree_with_the_oracle(measure, p, q):
    x, y = layers(p=p, q=q)
    value = MEASURES[measure](pair_of(x, y))
    assert isinstance(value, float)
    assert value == pytest.approx(oracle.value(x, y, measure), abs=1e-10)
    assert 0 <= value <= 1


@pytest.mark.parametrize("measure", MEASURES)
def test_features_that_repeat_others_do_not_count_twice(measure):
    x, y = layers()
    value = MEASURES[measure](pair_of(rank_deficient(x), y))
    assert value == pytest.approx(oracle.value(rank_deficient(x), y, measure), abs=1e-10)
    if measure.startswith("cca"):
        assert value == pytest.approx(oracle.value(x, y, measure), abs=1e-10)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_constant_layer_has_no_value(measure):
    x, y = layers()
    flat = np.zeros((40, 3))
    for pair in (pair_of(x, flat), pair_of(flat, y), pair_of(flat, flat)):
        assert not pair.has_value
        assert math.isnan(MEASURES[measure](pair))


@pytest.mark.parametrize("measure", MEASURES)
def test_a_layer_with_itself_is_one(measure):
    x, _ = layers()
    assert MEASURES[measure](pair_of(x, x)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("measure", ["cca-r2", "cca-rho", "pwcca", "regression-r2"])
def test_saturation_gives_exactly_one(measure):
    x, y = layers(n_examples=10, p=3, q=9)
    assert pair_of(x, y).y.is_saturated
    assert MEASURES[measure](pair_of(x, y)) == 1
    assert not pair_of(x, y[:, :8]).y.is_saturated
    assert MEASURES[measure](pair_of(x, y[:, :8])) < 1


@pytest.mark.parametrize("measure", ["svcca-r2", "svcca-rho", "procrustes"])
def test_measures_that_weigh_variance_do_not_saturate(measure):
    rng = np.random.default_rng(52)
    spectrum = 0.5 ** np.arange(12)
    x, y = rng.normal(size=(10, 3)), rng.normal(size=(10, 12)) * spectrum
    assert pair_of(x, y).y.is_saturated
    assert MEASURES[measure](pair_of(x, y)) < 0.99


def test_regression_saturates_by_the_layer_that_explains():
    x, y = layers(n_examples=10, p=9, q=3)
    assert cca.regression_r2(pair_of(x, y)) == pytest.approx(oracle.regression_r2(x, y), abs=1e-10)
    assert MEASURES["regression-r2"](pair_of(x, y)) < 1
    assert MEASURES["regression-r2"](pair_of(y, x)) == 1


def test_the_share_of_variance_decides_what_svcca_sees():
    rng = np.random.default_rng(53)
    basis = np.linalg.qr(oracle.centred(rng.normal(size=(60, 8))))[0]
    x = basis[:, :4] * [10, 5, 1, 0.5]
    y = np.hstack([basis[:, :2] * [10, 5], basis[:, 4:6]])
    assert cca.svcca_r2(pair_of(x, y), 0.9) == pytest.approx(1)
    assert cca.svcca_r2(pair_of(x, y), 1) == pytest.approx(0.5)
    assert cca.svcca_rho(pair_of(x, y), 0.99) == pytest.approx(oracle.value(x, y, "svcca-rho:variance=0.99"))


def test_pwcca_is_of_the_layer_with_fewer_columns_and_of_the_first_of_equals():
    x, y = layers(p=5, q=8)
    x, y = x * 2.0 ** np.arange(5), y * 2.0 ** np.arange(8)
    assert cca.pwcca(pair_of(x, y)) == pytest.approx(cca.pwcca(pair_of(y, x)), abs=1e-12)
    equal = y[:, :5]
    assert cca.pwcca(pair_of(x, equal)) == pytest.approx(oracle.pwcca(x, equal), abs=1e-10)
    assert cca.pwcca(pair_of(equal, x)) == pytest.approx(oracle.pwcca(equal, x), abs=1e-10)
    assert abs(cca.pwcca(pair_of(x, equal)) - cca.pwcca(pair_of(equal, x))) > 1e-4


def test_procrustes_is_one_minus_half_of_the_squared_distance():
    x, y = (oracle.centred(each) / np.linalg.norm(oracle.centred(each)) for each in layers(p=6, q=6))
    u, _, v = np.linalg.svd(y.T @ x)
    distance = np.linalg.norm(x - y @ (u @ v)) ** 2
    assert cca.procrustes(pair_of(x, y)) == pytest.approx(1 - distance / 2, abs=1e-12)


def test_the_product_of_the_bases_is_worked_out_once():
    pair = pair_of(*layers())
    assert pair.products is pair.products
    np.testing.assert_allclose(pair.products, pair.x.basis.T @ pair.y.basis, rtol=0, atol=0)


def test_pwcca_does_not_depend_on_how_the_other_layer_is_turned_where_correlations_are_equal():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(100, 10))
    held = x[:, :5] @ rng.normal(size=(5, 5))  # five correlations are 1
    y = np.hstack([held, rng.normal(size=(100, 7))])
    values = [cca.pwcca(pair_of(x, y @ np.linalg.qr(rng.normal(size=(12, 12)))[0])) for _ in range(5)]
    assert values == pytest.approx([values[0]] * 5, rel=0, abs=1e-12)
