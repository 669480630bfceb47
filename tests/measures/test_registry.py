"""The registry of measures, and what a user is told when a value means nothing."""

import numpy as np
import pytest

from cka_cli import specs
from cka_cli.errors import DataError
from cka_cli.measures import registry
from tests import oracle


def layers(n_examples=30, sizes=(4, 6), seed=71):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_examples, sizes[0]))
    return x, x @ rng.normal(size=sizes) + rng.normal(size=(n_examples, sizes[1]))


def test_every_measure_a_user_may_name_is_there():
    assert registry.MEASURES.keys() == specs.MEASURES.keys()
    assert registry.MEASURES.keys() == {*oracle.KERNEL_MEASURES, *oracle.FACTOR_MEASURES}


@pytest.mark.parametrize("name", specs.MEASURES)
def test_every_measure_says_what_it_is(name):
    measure = registry.MEASURES[name]
    for text in (measure.formula, measure.value_range, measure.invariant_to, measure.cost, measure.source):
        assert text == text.strip() != ""
    assert any(year in measure.source for year in ("2005", "2012", "2017", "2018", "2019", "2021"))
    assert measure.min_examples == (4 if measure.is_unbiased else 3)


@pytest.mark.parametrize("name", specs.MEASURES)
def test_every_measure_belongs_to_one_family(name):
    measure = registry.MEASURES[name]
    assert (measure.from_hsic is None) != (measure.from_pair is None)
    assert measure.takes_kernel == (name in oracle.KERNEL_MEASURES)
    assert not (measure.saturated_by and measure.takes_kernel)


@pytest.mark.parametrize("name", specs.MEASURES)
def test_a_value_is_in_the_range_that_is_documented(compare_arrays, name):
    x, y = layers()
    value = compare_arrays(x, y, name)
    low, high = {"0 to 1": (0, 1), "0 for noise, -1 to 1": (-1, 1)}.get(
        registry.MEASURES[name].value_range, (-np.inf, np.inf)
    )
    assert low < value < high


@pytest.mark.parametrize("name", specs.MEASURES)
def test_too_few_examples_are_an_error_that_says_how_many_are_needed(compare_arrays, name):
    needed = registry.MEASURES[name].min_examples
    x, y = layers()
    compare_arrays(x[:needed], y[:needed], name)
    with pytest.raises(
        DataError, match=rf"\.npy::\d+: {needed - 1} examples, but {name} needs at least {needed}; give more rows$"
    ):
        compare_arrays(x[: needed - 1], y[: needed - 1], name)


@pytest.mark.parametrize("name", specs.MEASURES)
def test_units_change_a_measure_that_has_units_and_no_other(compare_arrays, name):
    x, y = layers()
    before, after = compare_arrays(x, y, name), compare_arrays(3 * x, y, name)
    assert (abs(after / before - 1) > 1e-9) == registry.MEASURES[name].has_units


@pytest.mark.parametrize("name", specs.MEASURES)
def test_enough_features_saturate_a_measure_that_says_so_and_no_other(compare_arrays, name):
    rng = np.random.default_rng(72)
    x, y = rng.normal(size=(12, 30)) * 0.5 ** np.arange(30), rng.normal(size=(12, 30)) * 0.5 ** np.arange(30)
    assert (compare_arrays(x, y, name) == 1) == bool(registry.MEASURES[name].saturated_by)


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
