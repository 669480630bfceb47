"""Partners and the best monotone path, against a search of every path."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cka_cli.analysis.correspondence import correspondence, monotone_path
from cka_cli.results.matrix import Matrix

seeds = st.integers(0, 2**32 - 1)


def matrix(values):
    values = np.asarray(values, float)
    names = (tuple(f"x{row}" for row in range(len(values))), tuple(f"y{column}" for column in range(len(values[0]))))
    return Matrix(values, *names, "X.h5", "Y.h5", "cka", "linear", 9)


def total(values, path):
    return sum(values[row, column] for row, column in enumerate(path))


@given(seeds, st.integers(1, 5), st.integers(1, 5), st.sampled_from([1e-9, 1.0, 1e6]))
def test_no_monotone_path_has_a_larger_sum(seed, n_rows, n_columns, scale):
    values = np.random.default_rng(seed).normal(size=(n_rows, n_columns)) * scale
    path = monotone_path(values)
    assert all(one <= other for one, other in itertools.pairwise(path))
    paths = itertools.combinations_with_replacement(range(n_columns), n_rows)
    assert total(values, path) == pytest.approx(max(total(values, each) for each in paths))


@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_a_path_goes_through_as_few_cells_without_a_value_as_it_can(seed, n_rows, n_columns):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((n_rows, n_columns)) < 0.4, np.nan, rng.normal(size=(n_rows, n_columns)))
    path = monotone_path(values)
    rows = [row for row in range(n_rows) if not np.isnan(values[row]).all()]
    assert [row for row in range(n_rows) if path[row] is not None] == rows
    kept = values[rows]

    def rank(path):
        found = [kept[row, column] for row, column in enumerate(path)]
        return sum(map(math.isnan, found)), -sum(value for value in found if not math.isnan(value))

    best = min(rank(each) for each in itertools.combinations_with_replacement(range(n_columns), len(rows)))
    assert rank([path[row] for row in rows]) == pytest.approx(best)


def test_a_deeper_network_shares_columns_and_a_shallower_one_passes_over_some():
    band = 1 / (1 + np.abs(np.subtract.outer(np.arange(20) / 2, np.arange(10) + 0.25)))
    assert monotone_path(band) == tuple(row // 2 for row in range(20))
    assert monotone_path(band.T) == tuple(2 * row for row in range(10)) or monotone_path(band.T)[-1] >= 18


def test_an_order_that_is_not_kept_costs_what_the_path_loses():
    found = correspondence(matrix([[0.2, 0.9, 0.1], [0.8, 0.5, 0.1], [0.1, 0.2, 0.7]]))
    assert [partner.best_layer for partner in found.partners] == ["y1", "y0", "y2"]
    assert [partner.monotone_layer for partner in found.partners] == ["y1", "y1", "y2"]
    assert found.path == (1, 1, 2)
    assert found.best_mean == pytest.approx(0.8)
    assert found.monotone_mean == pytest.approx(0.7)


def test_partners_have_a_runner_up_and_a_margin():
    first, tied, constant = correspondence(matrix([[0.5, 0.25, 0.75], [1, 1, 1], [np.nan] * 3])).partners
    assert (first.best_layer, first.best_value, first.n_best) == ("y2", 0.75, 1)
    assert (first.second_layer, first.second_value, first.margin) == ("y0", 0.5, 0.25)
    assert (tied.best_layer, tied.n_best, tied.second_layer, tied.margin) == ("y0", 3, "y1", 0)
    assert (constant.best_layer, constant.n_best, constant.second_layer, constant.margin) == (None, 0, None, None)
    assert (constant.monotone_layer, constant.second_value) == (None, None)
    assert math.isnan(constant.best_value)
    assert math.isnan(constant.monotone_value)


def test_a_single_column_has_no_runner_up_and_cells_without_a_value_are_none():
    (one,) = correspondence(matrix([[0.5]])).partners
    assert (one.best_layer, one.second_layer, one.margin) == ("y0", None, None)
    (other,) = correspondence(matrix([[np.nan, 0.5, np.nan]])).partners
    assert (other.best_layer, other.second_layer) == ("y1", None)
    nothing = correspondence(matrix([[np.nan, np.nan]]))
    assert math.isnan(nothing.best_mean)
    assert nothing.path == (None,)
