"""The median and the kernel of one pass are those of two."""

import numpy as np
import pytest

from cka_cli.layers.centring import load_centred
from cka_cli.layers.rows import ReadOptions
from cka_cli.layers.selection import select_layers
from cka_cli.reductions import near_median
from cka_cli.reductions.kernel_inputs import all_distances, prepare
from cka_cli.reductions.kernels import lost_of_terms
from cka_cli.reductions.medians import MedianFunction
from cka_cli.reductions.near_median import Bracket, NearMedian, guessed_median, near_in_tile
from tests.asked import changed, compared

MEASURES = ["cka", "cka-debiased"]
KERNELS = ["rbf", "rbf:sigma=0.3", "linear", "rbf:gamma=0.1"]
TERMS = {"float64": 4, "float32": 3}
TOLERANCE = {"float64": 1e-12, "float32": 1e-7}


@pytest.fixture
def saved(tmp_path):
    def save(name="x", n_examples=1500, dtype="float64", widths=(20, 9, 30), sort=False, seed=0):
        rng = np.random.default_rng(seed)
        classes = rng.integers(0, 5, n_examples)
        classes = np.sort(classes) if sort else classes
        layers = {}
        for place, width in enumerate(widths):
            values = 2 * np.eye(5, width)[classes] + rng.standard_normal((n_examples, width))
            layers[f"l{place}"] = np.maximum(values, 0).astype(dtype)
        np.savez(tmp_path / f"{name}.npz", **layers)
        return str(tmp_path / f"{name}.npz")

    return save


def medians_sought(monkeypatch):
    """The layers whose medians were sought in a pass of their own."""
    seen, original = [], MedianFunction.__call__
    monkeypatch.setattr(MedianFunction, "__call__", lambda self, place: seen.append(place) or original(self, place))
    return seen


def both_ways(paths, dtype, **options):
    two = compared(*paths, plan_of=changed(n_terms=1, keep_distances=False, n_tile_rows=400), **options)
    one = compared(*paths, plan_of=changed(n_terms=TERMS[dtype], keep_distances=False, n_tile_rows=400), **options)
    return two, one


@pytest.mark.parametrize("dtype", TERMS)
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("sort", [True, False])
def test_values_are_those_of_two_passes(saved, monkeypatch, dtype, alone, sort):
    sought = medians_sought(monkeypatch)
    paths = (
        [saved("x", dtype=dtype, sort=sort)] + [] * alone + [saved("y", dtype=dtype, sort=sort, seed=1)] * (not alone)
    )
    precision = {"float64": "double", "float32": "single"}[dtype]
    two, one = both_ways(paths, dtype, measures=MEASURES, kernels=KERNELS, precision=precision)
    assert len(sought) == 3 * len(paths)  # of two passes alone
    assert two.notes == one.notes
    for expected, found in zip(two.matrices, one.matrices, strict=True):
        np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=TOLERANCE[dtype])


def test_statistics_are_those_of_two_passes(saved):
    paths = [saved("x"), saved("y", seed=1)]
    two, one = both_ways(paths, "float64", measures=MEASURES, kernels=KERNELS[:2], stats=True)
    for expected, found in zip(two.matrices, one.matrices, strict=True):
        for name in ("std_error", "p_value", "chance"):
            of_two, of_one = (getattr(each.statistics, name) for each in (expected, found))
            np.testing.assert_allclose(of_one, of_two, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "guess",
    [
        lambda layer: Bracket(0.7 * guessed_median(layer).guess, *guessed_median(layer)[1:]),  # too far off
        lambda layer: Bracket(guessed_median(layer).guess, 0.0, 1e-9),  # outside of the bracket
        lambda layer: Bracket(guessed_median(layer).guess, 1e9, 1e10),
    ],
)
def test_a_wrong_guess_costs_a_pass_and_no_digit(saved, monkeypatch, guess):
    sought = medians_sought(monkeypatch)
    monkeypatch.setattr("cka_cli.execution.routes.guessed_median", guess)
    two, missed = both_ways([saved(n_examples=500)], "float64", measures=MEASURES, kernels=KERNELS)
    assert len(sought) == 3 + 3
    for expected, found in zip(two.matrices, missed.matrices, strict=True):
        np.testing.assert_allclose(found.values, expected.values, rtol=1e-13)


def test_layers_without_a_width_have_no_value_either_way(tmp_path):
    rng = np.random.default_rng(0)
    mostly_equal = np.ones((300, 4))
    mostly_equal[:60] = rng.standard_normal((60, 4))
    np.savez(tmp_path / "x.npz", a=rng.standard_normal((300, 5)), b=mostly_equal, c=np.ones((300, 3)))
    two, one = both_ways([str(tmp_path / "x.npz")], "float64", measures=MEASURES, kernels=["rbf", "linear"])
    assert two.notes == one.notes
    for expected, found in zip(two.matrices, one.matrices, strict=True):
        np.testing.assert_array_equal(found.values, expected.values)


@pytest.mark.parametrize("n_examples", [300, 1001])
@pytest.mark.parametrize("sort", [True, False])
def test_a_sample_guesses_the_median_well_whatever_the_order_of_the_rows(saved, monkeypatch, n_examples, sort):
    monkeypatch.setattr(near_median, "_N_SAMPLE", 30 * n_examples)
    for layer in select_layers([saved(n_examples=n_examples, sort=sort)], ReadOptions())[0].layers:
        ready = prepare(load_centred(layer, np.dtype(np.float64)), frozenset({"distances"}))
        bracket = guessed_median(ready)
        distances = all_distances(ready.source)
        median = np.median(distances)
        assert bracket.low <= median <= bracket.high
        assert abs(bracket.guess / median - 1) < 0.03
        near = NearMedian([bracket])
        for rows in (slice(0, 120), slice(120, n_examples)):
            near.add([near_in_tile(distances[rows, rows].copy(), (rows, rows), bracket)])
        near.add([near_in_tile(distances[:120, 120:].copy(), (slice(0, 120), slice(120, n_examples)), bracket)])
        assert near.medians([ready])[0] == pytest.approx(median, rel=1e-14)


@pytest.mark.parametrize("n_terms", [2, 3, 4])
@pytest.mark.parametrize("off", [-0.01, 0.003, 0.05])
def test_what_terms_lack_is_no_more_than_said(n_terms, off):
    from math import factorial

    u = np.linspace(0, 60, 100_001)
    terms = sum((-off) ** place * u**place * np.exp(-u) / factorial(place) for place in range(n_terms))
    lost = np.abs(terms - np.exp(-u * (1 + off))).max()
    assert 0.5 * lost_of_terms(n_terms, off) < lost <= lost_of_terms(n_terms, off)
