"""The median distance is exact however little of it may be kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cka_cli.reductions.median_distance import median_of_all_pairs, order_statistics


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 9999),
    n_values=st.integers(70, 5000),
    n_distinct=st.sampled_from([1, 2, 5, 1000, 10**9]),
    max_kept=st.sampled_from([1, 10, 100, 10**6]),
    share=st.sampled_from([0.0, 0.01, 0.2]),
    biased=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_order_statistics_are_exact(seed, n_values, n_distinct, max_kept, share, biased, dtype):
    rng = np.random.default_rng(seed)
    values = rng.gamma(2.0, size=n_values).astype(dtype)
    values = np.round(values * n_distinct) / n_distinct if n_distinct < 10**6 else values
    values = values.astype(dtype)
    sample = np.sort(values)[: n_values // 2] if biased else rng.choice(values, n_values // 2)
    chunks = np.array_split(np.concatenate([values, np.full(9, np.inf, dtype)]), 7)
    places = sorted(rng.integers(0, n_values, 2).tolist())
    found = order_statistics(lambda: chunks, sample, places, n_values, share=share, max_kept=max_kept)
    assert [found[place] for place in places] == np.sort(values)[places].tolist()


@pytest.mark.parametrize("n_examples", [2, 3, 4, 5, 30, 31])
def test_median_counts_the_zero_diagonal_and_every_pair_twice(n_examples):
    points = np.random.default_rng(n_examples).standard_normal((n_examples, 3))
    squared = ((points[:, None] - points) ** 2).sum(axis=2)
    pairs = squared[np.triu_indices(n_examples, 1)]
    median = median_of_all_pairs(lambda: [pairs], pairs, n_examples, share=0.1, max_kept=10**6)
    assert median == pytest.approx(np.median(squared), rel=1e-12)


def test_distances_near_the_smallest_numbers_are_narrowed_down():
    values = np.random.default_rng(0).random(5000) * 2e-308
    found = order_statistics(lambda: [values], values[:100], [2500], 5000, share=0.2, max_kept=300)
    assert found == {2500: np.sort(values)[2500]}
