"""The registry of measures, and what a user is told when a value means nothing."""

import numpy as np
import pytest

from cka_cli import specs
from cka_cli.measures import registry
from tests import oracle
from tests.measures.measure_tests import LINEAR, RIGID, WITH_UNITS, MeasureTests


class TestCka(MeasureTests):
    measure = "cka"
    unfelt_of_x = unfelt_of_y = RIGID


class TestCkaDebiased(MeasureTests):
    measure = "cka-debiased"
    unfelt_of_x = unfelt_of_y = RIGID


class TestHsic(MeasureTests):
    measure = "hsic"
    unfelt_of_x = unfelt_of_y = WITH_UNITS


class TestHsicUnbiased(MeasureTests):
    measure = "hsic-unbiased"
    unfelt_of_x = unfelt_of_y = WITH_UNITS


class TestCcaR2(MeasureTests):
    measure = "cca-r2"
    unfelt_of_x = unfelt_of_y = LINEAR


class TestCcaRho(MeasureTests):
    measure = "cca-rho"
    unfelt_of_x = unfelt_of_y = LINEAR


class TestSvccaR2(MeasureTests):
    measure = "svcca-r2:variance=0.9"
    unfelt_of_x = unfelt_of_y = RIGID


class TestSvccaRho(MeasureTests):
    measure = "svcca-rho:variance=0.9"
    unfelt_of_x = unfelt_of_y = RIGID


class TestPwcca(MeasureTests):
    measure = "pwcca"
    unfelt_of_x = ("scale", "shift", "permutation of features")
    unfelt_of_y = LINEAR


class TestRegressionR2(MeasureTests):
    measure = "regression-r2"
    unfelt_of_x = RIGID
    unfelt_of_y = LINEAR


class TestProcrustes(MeasureTests):
    measure = "procrustes"
    unfelt_of_x = unfelt_of_y = RIGID


def layers(n_examples=30, sizes=(4, 6), seed=71):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_examples, sizes[0]))
    return x, x @ rng.normal(size=sizes) + rng.normal(size=(n_examples, sizes[1]))


def test_every_measure_a_user_may_name_is_there_and_has_its_tests():
    assert list(registry.MEASURES) == list(specs.MEASURES) == [*oracle.KERNEL_MEASURES, *oracle.FACTOR_MEASURES]
    tests = [each for name, each in globals().items() if name.startswith("Test")]
    assert {each.measure.partition(":")[0] for each in tests} == registry.MEASURES.keys()


def test_saturation_is_said_once_for_all_measures_and_layers(compare_layers):
    rng = np.random.default_rng(73)
    x = {"narrow": rng.normal(size=(20, 3)), "wide": rng.normal(size=(20, 19))}
    comparison = compare_layers(x, measures=["cka", "cca-r2", "svcca-r2", "pwcca"])
    (note,) = comparison.notes
    assert note.startswith("cca-r2, pwcca: 1 for ")
    assert note.partition("1 for ")[2].partition(" whatever")[0].endswith(".h5::wide")
    assert note.endswith(
        " whatever the other layer, which means nothing: 20 examples are too few for 19 or more independent features; "
        "use cka or cka-debiased, more examples, or --pool mean"
    )
    _, cca, _, pwcca = (matrix.values for matrix in comparison.matrices)
    np.testing.assert_array_equal(cca[1], [1, 1])
    np.testing.assert_array_equal(pwcca[:, 1], [1, 1])


def test_no_note_where_nothing_saturates(compare_layers):
    rng = np.random.default_rng(74)
    wide = {"wide": rng.normal(size=(20, 19))}
    assert compare_layers(wide, measures=["cka", "cka-debiased", "svcca-rho", "procrustes"]).notes == ()
    assert compare_layers({"x": rng.normal(size=(20, 18))}, measures=["cca-r2", "regression-r2"]).notes == ()


def test_constant_layers_are_named_the_rest_has_values(compare_layers):
    x, y = layers()
    flat = {f"c{place}": np.full((30, 2 + place), 0.1 * place) for place in range(6)}
    options = {"measures": [*oracle.KERNEL_MEASURES, *oracle.FACTOR_MEASURES], "kernels": ["linear", "rbf", "cosine"]}
    comparison = compare_layers({**flat, "fine": x}, {"y": y}, **options)
    for matrix in comparison.matrices:
        assert np.all(np.isnan(matrix.values[:6]))
        assert np.isfinite(matrix.values[6, 0])
    (note,) = comparison.notes
    assert note.count(".h5::c") == 4
    assert "and 2 more layers: constant (every example is the same), so its values are nan" in note


def test_one_layer_more_is_one_layer(compare_layers):
    flat = {f"c{place}": np.full((30, 2), float(place)) for place in range(5)}
    (note,) = compare_layers(flat, measures=["cka"]).notes
    assert "and 1 more layer: constant" in note
    rng = np.random.default_rng(0)
    crowded = {f"a{place}": rng.normal(size=(20, 12)) for place in range(5)}
    (note,) = compare_layers(crowded, {"y": rng.normal(size=(20, 12))}, measures=["cca-r2"]).notes
    assert "and 1 more pair: their independent features" in note


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
@pytest.mark.parametrize("value", [0, 1, 3, 1000])
def test_a_layer_is_constant_to_the_last_bit_or_not_at_all(compare_layers, dtype, value):
    _, y = layers()
    flat = np.full((30, 7), value, dtype)
    comparison = compare_layers({"flat": flat}, {"y": y})
    assert np.isnan(comparison.matrices[0].values[0, 0])
    nearly = flat.copy()
    nearly[4, 2] += 1
    comparison = compare_layers({"nearly": nearly}, {"y": y})
    expected = oracle.value(oracle.centred(nearly), y)
    assert comparison.notes == ()
    assert comparison.matrices[0].values[0, 0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dead_features_change_nothing(compare_arrays, dtype):
    x, y = (each.astype(dtype) for each in layers())
    with_dead = np.hstack([np.full((30, 3), 7.3, dtype), x, np.zeros((30, 4), dtype)])
    for measure in ("cka", "cka-debiased", "cca-rho", "regression-r2", "procrustes", "svcca-r2"):
        tolerance = 1e-6 if dtype == np.float32 else 1e-9
        assert compare_arrays(with_dead, y, measure) == pytest.approx(compare_arrays(x, y, measure), abs=tolerance)
