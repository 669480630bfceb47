"""p-values: the law against counted permutations, and the chance levels beside them."""

import math
from itertools import islice

import numpy as np
import pytest

from cka_cli.api.compare import compare
from cka_cli.errors import DataError, UsageError
from cka_cli.options import RunOptions
from cka_cli.report.json_text import Provenance
from cka_cli.uncertainty.p_values import least_p_value, random_pairings
from tests import oracle
from tests.asked import asked
from tests.report.written import format_json, format_tidy


def save(tmp_path, **layers):
    paths = []
    for name, values in layers.items():
        np.save(tmp_path / f"{name}.npy", values)
        paths.append(str(tmp_path / f"{name}.npy"))
    return paths


def weakly_related(n, p, q, seed, signal=0.25):
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((n, 1))
    return (signal * shared + rng.standard_normal((n, width)) for width in (p, q))


@pytest.mark.parametrize(("p", "q"), [(2, 2), (30, 20)])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_the_law_agrees_with_counted_permutations(tmp_path, p, q, kernel):
    x, y = weakly_related(80, p, q, seed=p)
    paths = save(tmp_path, x=x, y=y)
    options = {"measures": ["cka", "cka-debiased", "hsic"], "kernels": [kernel], "stats": True, "n_threads": 2}
    by_law = compare(*paths, **asked(**options)).matrices
    counted = compare(*paths, **asked(**options, permutations=4000)).matrices
    for law, count in zip(by_law, counted, strict=True):
        expected = count.statistics.p_value[0, 0]
        assert 0.002 < expected < 0.9
        tolerance = 4 * math.sqrt(expected * (1 - expected) / 4000) + 0.05 * expected
        assert law.statistics.p_value[0, 0] == pytest.approx(expected, abs=tolerance)
        assert count.statistics.p_value_of_max[0, 0] == expected  # of one pair
        assert law.statistics.p_value_of_max is None


def test_counting_is_what_it_says(tmp_path):
    x, y = weakly_related(12, 3, 2, seed=4)
    paths = save(tmp_path, x=x, y=y)
    matrix = compare(*paths, run=RunOptions(stats=True, permutations=99)).matrices[0]
    values = [oracle.value(x, y[order], "cka") for order in islice(random_pairings(12, 0, None), 99)]
    expected = (1 + sum(value >= matrix.values[0, 0] for value in values)) / 100
    assert matrix.statistics.p_value[0, 0] == expected


def test_the_largest_of_many_pairs_is_judged_by_the_largest_of_each_pairing(tmp_path):
    rng = np.random.default_rng(3)
    for name in "ab":
        np.savez(tmp_path / f"{name}.npz", **{f"layer{place}": rng.standard_normal((40, 3)) for place in range(6)})
    matrix = compare(
        str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), run=RunOptions(stats=True, permutations=199)
    ).matrices[0]
    alone, of_max = matrix.statistics.p_value, matrix.statistics.p_value_of_max
    assert (of_max >= alone).all()
    assert alone.min() < 0.1 < of_max.min()


@pytest.mark.slow
def test_more_rows_than_are_sampled_give_about_the_same_p_value(tmp_path):
    x, y = weakly_related(900, 3, 3, seed=1, signal=0.22)
    paths = save(tmp_path, x=x, y=y)
    by_law = compare(*paths, run=RunOptions(stats=True)).matrices[0].statistics.p_value[0, 0]
    counted = (
        compare(*paths, run=RunOptions(stats=True, permutations=2000, n_threads=2)).matrices[0].statistics.p_value[0, 0]
    )
    assert by_law == pytest.approx(counted, abs=4 * math.sqrt(counted * (1 - counted) / 2000) + 0.1 * counted)


def test_no_p_value_is_below_that_of_all_pairings(tmp_path):
    x = np.random.default_rng(0).standard_normal((5, 2))
    (path,) = save(tmp_path, x=x)
    assert compare(path, run=RunOptions(stats=True)).matrices[0].statistics.p_value[0, 0] >= 1 / math.factorial(5)


def test_groups_are_paired_whole_with_groups_of_their_size():
    groups = np.array([0, 0, 1, 1, 2, 2, 2, 3, 3])
    for order in islice(random_pairings(9, 1, groups), 20):
        assert sorted(order) == list(range(9))
        assert order[4:7].tolist() == [4, 5, 6]  # the only group of three
        pairs = [tuple(order[place : place + 2]) for place in (0, 2, 7)]
        assert sorted(pairs) == [(0, 1), (2, 3), (7, 8)]


def test_chance_levels_are_means_over_permutations(tmp_path):
    x, y = weakly_related(30, 4, 3, seed=2)
    paths = save(tmp_path, x=x, y=y)
    measures = ["cka", "cka-debiased", "hsic", "cca-r2", "svcca-r2:variance=0.8", "regression-r2", "cca-rho"]
    rng = np.random.default_rng(0)
    orders = [rng.permutation(30) for _ in range(3000)]
    for matrix in compare(*paths, measures=measures, run=RunOptions(stats=True)).matrices:
        chance = matrix.statistics.chance[0, 0]
        if matrix.measure == "cca-rho":
            assert np.isnan(chance)
            continue
        n_draws = 300 if matrix.measure[0] != "c" or "cca" in matrix.measure else 3000
        values = [oracle.value(x, y[order], matrix.measure) for order in orders[:n_draws]]
        assert chance == pytest.approx(np.mean(values), abs=4 * np.std(values) / math.sqrt(n_draws))


def test_chance_of_biased_cka_is_that_of_the_effective_dimensions(tmp_path):
    x, y = weakly_related(50, 8, 5, seed=3)
    paths = save(tmp_path, x=x, y=y)
    expected = math.sqrt(oracle.effective_dimension(x) * oracle.effective_dimension(y)) / 49
    assert compare(*paths, run=RunOptions(stats=True)).matrices[0].statistics.chance[0, 0] == pytest.approx(
        expected, rel=1e-12
    )


def test_a_constant_layer_has_no_statistics(tmp_path):
    x, _ = weakly_related(20, 3, 3, seed=3)
    paths = save(tmp_path, x=x, y=np.ones((20, 2)))
    for permutations in (None, 19):
        statistics = compare(*paths, run=RunOptions(stats=True, permutations=permutations)).matrices[0].statistics
        assert np.isnan([statistics.std_error, statistics.chance, statistics.p_value]).all()


def test_permutations_that_do_not_fit_are_refused(tmp_path):
    x, y = weakly_related(2000, 3, 3, seed=3)
    paths = save(tmp_path, x=x, y=y)
    with pytest.raises(DataError, match=r"too little to count permutations .* give at least --memory \d+MiB"):
        compare(*paths, run=RunOptions(stats=True, permutations=100, memory_bytes=64 << 20))
    with pytest.raises(UsageError, match="minibatch estimate has no p-values"):
        compare(*paths, run=RunOptions(stats=True, permutations=100, n_batch=100))


def test_values_that_are_mostly_chance_are_told_of_once(tmp_path):
    rng = np.random.default_rng(0)
    paths = save(tmp_path, x=rng.standard_normal((30, 200)), y=rng.standard_normal((30, 200)))
    comparison = compare(*paths, measures=["cka", "cka-debiased"], run=RunOptions(stats=True))
    assert comparison.notes == (
        "cka: 1 of 1 values is mostly chance (rows paired at random give more than half as much: 30 examples are few "
        "for so many features); use cka-debiased, which is 0 for chance",
    )
    assert compare(*paths, measures=["cka-debiased"], run=RunOptions(stats=True)).notes == ()


def test_layers_that_a_few_examples_outweigh_are_named(tmp_path):
    x, y = weakly_related(60, 3, 3, seed=0)
    x[7], y[7] = 40, 30
    paths = save(tmp_path, x=x, y=y)
    (note,) = compare(*paths, run=RunOptions(stats=True)).notes
    assert note == (
        f"{paths[0]}::x and {paths[1]}::y: a few examples outweigh the rest, and p_value may be too small; "
        "count permutations with --permutations 9999"
    ).replace(" and ", ", ", 1)
    assert compare(*paths, run=RunOptions(stats=True, permutations=19)).notes == ()


def test_pairings_are_drawn_as_they_come_and_go_on_where_they_were():
    whole = list(islice(random_pairings(9, 3, None), 12))
    for one, other in zip(islice(random_pairings(9, 3, None), 7, 12), whole[7:], strict=True):
        np.testing.assert_array_equal(one, other)
    next(islice(random_pairings(9, 3, None), 0, 10**12))  # which no list could hold


@pytest.mark.parametrize("measure", ["cka", "cka-debiased", "hsic", "hsic-unbiased"])
@pytest.mark.parametrize("kernel", ["linear", "laplacian"])
def test_no_p_value_is_0_however_far_in_the_tail(tmp_path, measure, kernel):
    # A layer with itself: a share of the random pairings that no float can hold gives as much.
    x = np.random.default_rng(0).standard_normal((500, 300))
    np.savez(tmp_path / "x.npz", x=x, constant=np.ones((500, 3)))
    comparison = compare(str(tmp_path / "x.npz"), measures=[measure], kernels=[kernel], run=RunOptions(stats=True))
    p_value = comparison.matrices[0].statistics.p_value
    assert p_value[0, 0] == np.finfo(float).tiny
    assert np.isnan(p_value[0, 1])
    assert np.isnan(p_value[1, 1])
    assert format_tidy(comparison).splitlines()[1].endswith(",2.2250738585072014e-308")
    assert "2.2250738585072014e-308" in format_json(comparison, Provenance([], {}))


@pytest.mark.parametrize("n_examples", [3, 4, 20, 170, 171, 200, 10**6])
def test_the_least_p_value_is_one_of_all_pairings_while_floats_can_hold_that(n_examples):
    least = least_p_value(n_examples)
    assert least >= np.finfo(float).tiny
    if n_examples < 170:
        assert least == pytest.approx(1 / math.factorial(n_examples), rel=1e-9)


def test_one_note_says_that_cells_share_their_examples(tmp_path):
    rng = np.random.default_rng(1)
    layers = {f"l{place}": rng.standard_normal((60, 3)) for place in range(2)}
    np.savez(tmp_path / "x.npz", **layers)
    options = {"measures": ["cka-debiased", "hsic-unbiased"], "kernels": ["linear", "rbf"]}
    (note,) = compare(str(tmp_path / "x.npz"), **asked(**options, stats=True)).notes
    assert note == (
        "std_error is of each cell alone: cells share their examples, so the error of a difference of two does not "
        "follow from theirs"
    )
    assert compare(str(tmp_path / "x.npz"), measures=["cca-rho"], run=RunOptions(stats=True)).notes == ()
    assert compare(f"{tmp_path / 'x.npz'}::l0", **asked(**options, stats=True)).notes == ()
