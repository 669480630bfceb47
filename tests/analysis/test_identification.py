"""Accuracy, its error and chance: against their definitions, and against every permutation where those are few."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cka_cli.analysis.identification import Guesses, credits_of, identify, jackknife_error
from cka_cli.results.matrix import is_largest

seeds = st.integers(0, 2**32 - 1)
PAIRS_OF_FOUR = list(itertools.permutations(range(4), 2))


def random_credits(rng, n_files, n_layers, *, n_values=4):
    """Credits of matrices of few different values, so that many are tied."""
    return {
        pair: credits_of(rng.integers(0, n_values, (n_layers, n_layers)).astype(float))
        for pair in itertools.permutations(range(n_files), 2)
    }


def with_diagonal(n_files, n_layers, n_right):
    """Credits of networks whose first `n_right` layers are found and whose others all point to the first layer."""
    credits = np.zeros((n_layers, n_layers))
    for layer in range(n_layers):
        credits[layer, layer if layer < n_right else 0] = 1
    return dict.fromkeys(itertools.permutations(range(n_files), 2), credits)


def naive_accuracy(credits, files):
    pairs = list(itertools.permutations(files, 2))
    return sum(np.diag(credits[pair]).mean() for pair in pairs) / len(pairs)


# Ties


def test_the_largest_of_a_row_is_credited_and_equal_ones_share_the_credit():
    values = np.array([[0.1, 0.9, 0.2], [0.5, 0.5, 0.2], [1, 1, 1], [np.nan, 0.3, 0.1], [np.nan] * 3, [-3, -1, -2]])
    assert credits_of(values).tolist() == [
        [0, 1, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3], [0, 1, 0], [0, 0, 0], [0, 1, 0],
    ]  # fmt: skip


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12, -1.0])
def test_what_rounding_tells_apart_is_equal_and_what_is_further_apart_is_not(unit):
    low, high = sorted([unit, unit * (1 + 1e-10)])
    assert is_largest(np.array([[low, high, high - abs(unit) * 1e-8]])).tolist() == [[True, True, False]]


def test_infinite_values_and_rows_without_columns():
    assert is_largest(np.array([[np.inf, 1.0, np.inf], [-np.inf, 0.0, -np.inf]])).tolist() == [
        [True, False, True], [False, True, False],
    ]  # fmt: skip
    assert is_largest(np.empty((2, 0))).shape == (2, 0)


# Accuracy and its error


@given(seeds, st.integers(2, 5), st.integers(1, 5))
def test_accuracy_is_the_mean_over_layers_and_ordered_pairs(seed, n_files, n_layers):
    credits = random_credits(np.random.default_rng(seed), n_files, n_layers)
    guesses = Guesses(credits)
    assert guesses.accuracy == pytest.approx(naive_accuracy(credits, range(n_files)), abs=1e-12)
    for file in range(n_files):
        touching = [np.diag(each).mean() for pair, each in credits.items() if file in pair]
        assert guesses.by_file[file] == pytest.approx(np.mean(touching), abs=1e-12)


@given(seeds, st.integers(3, 6))
def test_the_jackknife_leaves_out_a_network_with_all_its_pairs(seed, n_files):
    credits = random_credits(np.random.default_rng(seed), n_files, 4)
    without = [naive_accuracy(credits, [file for file in range(n_files) if file != out]) for out in range(n_files)]
    np.testing.assert_allclose(Guesses(credits).without_each, without, atol=1e-12)
    expected = math.sqrt((n_files - 1) / n_files * sum((each - np.mean(without)) ** 2 for each in without))
    assert jackknife_error(np.array(without)) == pytest.approx(expected, abs=1e-12)


def test_of_means_the_jackknife_gives_the_usual_standard_error():
    values = np.random.default_rng(0).standard_normal(12)
    without = np.array([np.delete(values, out).mean() for out in range(12)])
    assert jackknife_error(without) == pytest.approx(values.std(ddof=1) / math.sqrt(12))


# Chance


@given(seeds, st.integers(2, 4))
def test_over_all_permutations_the_mean_accuracy_is_one_in_n_layers(seed, n_layers):
    credits = random_credits(np.random.default_rng(seed), 2, n_layers)
    accuracies = []
    for order in itertools.permutations(range(n_layers)):
        order = list(order)
        moved = {(0, 1): credits[0, 1][:, order], (1, 0): credits[1, 0][order]}
        accuracies.append(Guesses(moved).accuracy)
    assert np.mean(accuracies) == pytest.approx(1 / n_layers, abs=1e-12)


@settings(max_examples=15)
@given(seeds)
def test_the_p_value_is_the_share_of_permutations_with_as_high_an_accuracy(seed):
    credits = random_credits(np.random.default_rng(seed), 3, 3)
    guesses = Guesses(credits)
    orders = [list(order) for order in itertools.permutations(range(3))]
    everything = list(itertools.product(orders, repeat=3))
    n_high, n_high_by_file = 0, [0, 0, 0]
    for places in everything:
        moved = {(x, y): each[np.ix_(places[x], places[y])] for (x, y), each in credits.items()}
        n_high += Guesses(moved).accuracy >= guesses.accuracy - 1e-12
    for file in range(3):
        for order in orders:
            places = [order if other == file else [0, 1, 2] for other in range(3)]
            moved = {(x, y): each[np.ix_(places[x], places[y])] for (x, y), each in credits.items()}
            n_high_by_file[file] += Guesses(moved).by_file[file] >= guesses.by_file[file] - 1e-12
    drawn = np.array(everything)
    assert guesses.p_value(drawn) == pytest.approx((1 + n_high) / (1 + len(everything)))
    # Each order of one file stands 36 times among the permutations of all three.
    expected = [(1 + 36 * n) / (1 + len(everything)) for n in n_high_by_file]
    assert guesses.p_value_by_file(drawn) == pytest.approx(expected)


def test_a_measure_that_always_names_one_layer_is_at_chance_and_one_that_names_all_is_not():
    (nothing, everything) = identify(
        [("a", "", 9, Guesses(with_diagonal(2, 8, 0))), ("b", "", 9, Guesses(with_diagonal(2, 8, 8)))]
    )
    assert (nothing.accuracy, nothing.chance, nothing.p_value, nothing.is_at_chance) == (1 / 8, 1 / 8, 1, True)
    assert (everything.accuracy, everything.is_at_chance) == (1, False)
    assert everything.p_value < 0.005
    assert nothing.p_value_by_file == (1, 1)


def test_a_network_unlike_the_others_is_at_chance_by_itself_alone():
    credits = with_diagonal(4, 8, 8)
    rng = np.random.default_rng(0)
    for pair in credits:
        if 3 in pair:
            credits[pair] = np.eye(8)[rng.permutation(8)]
    (found,) = identify([("a", "", 9, Guesses(credits))])
    assert not found.is_at_chance
    assert [p_value > 0.05 for p_value in found.p_value_by_file] == [False, False, False, True]


# Behind the best


def test_what_lies_behind_the_best_differs_unless_the_networks_scatter_as_much():
    rng = np.random.default_rng(1)
    scattering = {pair: np.eye(8)[rng.permutation(8)] for pair in itertools.permutations(range(4), 2)}
    scattering |= {pair: np.eye(8) for pair in itertools.permutations(range(3), 2)}
    guesses = [Guesses(with_diagonal(4, 8, 8)), Guesses(with_diagonal(4, 8, 3)), Guesses(scattering)]
    best, worse, unsure = identify([("m", str(place), 9, each) for place, each in enumerate(guesses)])
    assert (best.difference, best.is_best, best.differs) == (0, True, False)
    assert worse.difference == pytest.approx(-5 / 8)
    assert (worse.difference_std_error, worse.differs, worse.is_best) == (0, True, False)
    assert unsure.difference < -0.3
    assert unsure.difference_std_error > 0.1
    assert not unsure.differs


def test_the_error_of_a_difference_is_not_that_of_its_sides():
    """Two measures that scatter alike from network to network differ by the same everywhere."""
    rng = np.random.default_rng(2)
    right = {pair: rng.random(7) < 0.7 for pair in PAIRS_OF_FOUR}
    many = {pair: np.diag([*each, 1.0]) for pair, each in right.items()}
    fewer = {pair: np.diag([*each, 0.0]) for pair, each in right.items()}
    best, other = identify([("m", "1", 9, Guesses(many)), ("m", "2", 9, Guesses(fewer))])
    assert best.std_error > 0.01
    assert other.std_error == pytest.approx(best.std_error)
    assert other.difference == pytest.approx(-1 / 8)
    assert other.difference_std_error == pytest.approx(0, abs=1e-9)
    assert other.differs


def test_two_networks_have_no_error():
    (found,) = identify([("m", "", 9, Guesses(with_diagonal(2, 4, 4)))])
    assert (found.std_error, found.difference_std_error, found.differs) == (None, None, None)
