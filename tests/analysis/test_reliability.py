"""The numbers of a diagnosis: against brute force, and the limits and laws that they must obey."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cka_cli.analysis.reliability import duplicates, spectrum, transforms
from cka_cli.analysis.reliability.influence import (
    LeftOut,
    RowShares,
    leave_out_leaders,
    most_carried,
    most_changed,
    most_joint_rows,
)
from cka_cli.analysis.reliability.translation import apart_if_even, translation, translations
from cka_cli.reductions.gram_matrices import (
    centred_gram,
    chance_cka,
    cka_of_matrices,
    effective_dimension,
    u_centred_gram,
    z_score,
)
from tests import oracle

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=15)


def exactly(expected):
    return pytest.approx(expected, rel=0, abs=1e-9)


def layer(rng, n_examples, n_features):
    """Correlated features of unequal variance around means that are not 0."""
    mixing = rng.normal(size=(n_features, n_features)) * 2.0 ** -np.arange(n_features)[:, None]
    return rng.normal(size=(n_examples, n_features)) @ mixing + rng.normal(size=n_features)


def gram(x):
    return oracle.gram(oracle.centred(x))


def debiased(x, y):
    return oracle.cka(oracle.gram(x), oracle.gram(y), oracle.hsic_unbiased)


def biased(x, y):
    return oracle.cka(oracle.gram(x), oracle.gram(y))


def shares_of(x, y):
    return RowShares.of(u_centred_gram(gram(x)), u_centred_gram(gram(y)))


# --- Gram matrices


@few
@given(seeds, st.integers(4, 40), st.integers(1, 30), st.integers(1, 30))
def test_u_centred_matrices_give_the_unbiased_estimate(seed, n, p, q):
    rng = np.random.default_rng(seed)
    x, y = layer(rng, n, p), layer(rng, n, q)
    k, l = u_centred_gram(oracle.gram(x)), u_centred_gram(gram(y))  # noqa: E741
    expected = oracle.hsic_unbiased(oracle.gram(x), oracle.gram(y))
    assert np.vdot(k, l) / (n * (n - 3) or 1) == pytest.approx(expected, rel=1e-9, abs=1e-12 * np.abs(k).max())
    assert np.abs(k.sum(axis=0)).max() < 1e-9 * np.abs(k).max()
    assert cka_of_matrices(gram(x), gram(y)) == exactly(biased(x, y))
    assert cka_of_matrices(k, l) == exactly(debiased(x, y))


def test_a_layer_that_varies_in_one_row_has_no_debiased_value_and_no_rounding_instead():
    x = np.zeros((30, 5))
    x[7] = np.pi * np.arange(1, 6)
    k = u_centred_gram(gram(x))
    assert not k.any()
    assert math.isnan(cka_of_matrices(k, k))


@pytest.mark.parametrize("n_examples", [50, 700])  # the whole spectrum, and a Krylov space
@pytest.mark.parametrize("n_features", [3, 60])
def test_leading_components_are_those_of_the_singular_value_decomposition(n_examples, n_features):
    rng = np.random.default_rng(1)
    x = oracle.centred(layer(rng, n_examples, n_features))
    u, s, v = np.linalg.svd(x, full_matrices=False)
    found = spectrum.leading_components(x @ x.T, 5)
    n_real = min(5, n_features)
    np.testing.assert_allclose(found.variances[:n_real], s[:n_real] ** 2, rtol=1e-8)
    assert found.total == pytest.approx((s**2).sum())
    assert found.total_squared == pytest.approx((s**4).sum())
    assert effective_dimension(found.total, found.total_squared) == pytest.approx(oracle.effective_dimension(x))
    for n_removed in (1, 2):
        rest = (u[:, n_removed:] * s[n_removed:]) @ v[n_removed:]
        np.testing.assert_allclose(found.removed_from(x @ x.T, n_removed), rest @ rest.T, atol=1e-8 * s[0] ** 2)
    assert [found.is_rest_zero(n_removed) for n_removed in (1, 2, 5)] == [False, False, n_features == 3]


def test_components_that_a_krylov_space_does_not_tell_apart_come_from_the_whole_spectrum():
    rng = np.random.default_rng(2)
    u = np.linalg.qr(rng.normal(size=(650, 649)))[0]
    k = centred_gram(u * np.linspace(1.001, 1, 649) @ u.T)
    found = spectrum.leading_components(k, 5)
    np.testing.assert_allclose(found.variances, np.linalg.eigvalsh(k)[::-1][:5], rtol=1e-12)


# --- rows


@few
@given(seeds, st.integers(8, 30), st.integers(1, 12), st.integers(1, 12))
def test_leaving_out_rows_is_what_it_is_by_brute_force(seed, n, p, q):
    rng = np.random.default_rng(seed)
    x, y = layer(rng, n, p), layer(rng, n, q)
    shares = shares_of(x, y)
    assert shares.value == exactly(debiased(x, y))
    assert shares.shares.sum() == exactly(1)
    by_hand = [debiased(np.delete(x, row, axis=0), np.delete(y, row, axis=0)) for row in range(n)]
    np.testing.assert_allclose(shares.leave_one_out(), by_hand, rtol=0, atol=1e-9)
    rows = rng.choice(n, int(rng.integers(1, n - 5)), replace=False)
    left_out = shares.without(rows)
    rest = [np.delete(each, rows, axis=0) for each in (x, y)]
    assert left_out.value == exactly(debiased(*rest))
    k, l = (u_centred_gram(gram(each)) for each in rest)  # noqa: E741
    whole = np.vdot(shares.k, shares.l)
    assert left_out.share == pytest.approx(1 - np.vdot(k, l) / whole, rel=1e-7, abs=1e-7)


def test_leave_one_out_is_that_of_the_general_formula():
    rng = np.random.default_rng(3)
    x, y = layer(rng, 20, 5), layer(rng, 20, 6)
    k, l = (each - np.diag(np.diag(each)) for each in (gram(x), gram(y)))  # noqa: E741
    m = 19
    a, b, r = k.sum(axis=0), l.sum(axis=0), (k * l).sum(axis=0)
    sums = (np.vdot(k, l) - 2 * r - 2 / (m - 2) * (a @ b - a * b - k @ b - l @ a + r)
            + (a.sum() - 2 * a) * (b.sum() - 2 * b) / ((m - 1) * (m - 2)))  # fmt: skip
    shares = shares_of(x, y)
    np.testing.assert_allclose(shares.cross.sum() - 2 * 18 / 17 * shares.cross, sums, rtol=1e-9)


def test_effective_rows_are_all_when_rows_share_alike_and_four_of_one_far_row():
    n = 64
    hadamard = np.array([[1.0]])
    for _ in range(6):
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    assert shares_of(hadamard[:, 1:9], hadamard[:, 1:9]).n_effective() == pytest.approx(n)
    far = np.random.default_rng(4).normal(size=(2000, 3))
    far[5] += 1e5
    assert shares_of(far, far).n_effective() == pytest.approx(4, rel=0.01)  # half of it the row, half the others


def test_rows_that_leave_nothing_but_rounding_have_no_value():
    x = np.zeros((20, 3))
    x[[3, 8, 12]] = [[1.7, 0, 0], [1.3, 0.1, 0], [1.1, 0, 0.3]]
    y = np.random.default_rng(5).normal(size=(20, 3))
    left_out = shares_of(x, y).without([3, 8])  # one row that varies is left
    assert math.isnan(left_out.value)
    assert left_out.share == pytest.approx(1)
    x[12] = 0
    without = shares_of(x, y).leave_one_out()
    assert np.flatnonzero(np.isnan(without)).tolist() == [3, 8]


def test_layers_with_nothing_in_common_have_nothing_to_share():
    first, second = np.divmod(np.arange(16), 4)
    shares = RowShares.of(*(np.outer(side, side) for side in (first - 1.5, second - 1.5)))
    shares = RowShares(shares.k, shares.l, np.zeros(16), shares.x, shares.y)
    assert np.isnan(shares.shares).all()
    assert math.isnan(shares.n_effective())
    assert math.isnan(shares.without([0]).share)


def test_how_many_rows_are_left_out_together():
    assert [most_joint_rows(n) for n in (8, 50, 100, 200, 500, 3000)] == [1, 5, 10, 10, 25, 150]
    rng = np.random.default_rng(6)
    x, y = layer(rng, 400, 3), layer(rng, 400, 3)
    found = leave_out_leaders(shares_of(x, y), np.diag(gram(x)), np.diag(gram(y)))
    assert [[len(each.rows) for each in order] for order in found] == [[*range(1, 11), 15, 20]] * 5


def left_out(n_rows, value=0.5, share=0.5, gap=1.01):
    return LeftOut(tuple(range(n_rows)), value, share, gap)


def test_rows_stand_out_by_the_gap_behind_them_unless_that_gives_away_too_much():
    ten_far = [left_out(1, share=0.1, gap=90), left_out(9, share=1.0), left_out(10, share=0.95, gap=50)]
    assert len(most_carried([ten_far]).rows) == 10
    assert len(most_carried([[left_out(1, share=0.3, gap=90), left_out(2, share=0.9)]]).rows) == 2
    assert most_carried([[left_out(1, share=np.nan), left_out(2, share=0)]]).rows == (0,)


def test_a_change_counts_that_lasts_when_more_rows_go():
    nine_hide_the_tenth = [left_out(8, 0.98), left_out(9, 0.1), left_out(10, 0.7, gap=50), left_out(15, 0.71)]
    assert len(most_changed([nine_hide_the_tenth], 0.99).rows) == 10
    one_far = [left_out(1, 0.7, gap=50), left_out(2, 0.71), left_out(3, 0.72)]
    assert len(most_changed([one_far], 0.4).rows) == 1
    graded = [left_out(n_rows, 0.9 - 0.05 * n_rows, gap=1.2) for n_rows in range(1, 8)]
    assert len(most_changed([graded], 0.9).rows) == 7
    assert most_changed([[left_out(1, np.nan), left_out(2, np.nan)]], 0.9).rows == (0,)


# --- translations: Davari et al. 2023


def moved(x, subset, direction, shift):
    return x + shift * np.outer(subset, direction / np.linalg.norm(direction))


@few
@given(seeds, st.integers(6, 40), st.integers(2, 12), st.floats(-20, 20))
def test_a_finite_translation_is_what_it_is_by_brute_force(seed, n, p, shift):
    rng = np.random.default_rng(seed)
    x = layer(rng, n, p)
    subset = np.isin(np.arange(n), rng.choice(n, int(rng.integers(1, n)), replace=False))
    outwards = oracle.centred(x)[subset].mean(axis=0)
    assert translation(gram(x), subset).value(shift) == exactly(biased(x, moved(x, subset, outwards, shift)))


@few
@given(seeds, st.integers(6, 40), st.integers(2, 12))
def test_the_limit_of_a_translation_knows_no_direction(seed, n, p):
    rng = np.random.default_rng(seed)
    x = layer(rng, n, p)
    subset = np.isin(np.arange(n), rng.choice(n, int(rng.integers(1, n)), replace=False))
    limit = translation(gram(x), subset).limit()
    share, x_c = subset.mean(), oracle.centred(x)
    mean_square = (x_c**2).sum() / n
    expected = share / (1 - share) * (x_c[subset].mean(axis=0) ** 2).sum() / mean_square
    assert limit == exactly(expected * math.sqrt(oracle.effective_dimension(x)))
    assert limit == exactly(biased(x, subset[:, None].astype(float)))
    for _ in range(3):
        far = moved(x, subset, rng.normal(size=p), 1e7 * math.sqrt(mean_square))
        assert biased(x, far) == pytest.approx(limit, abs=1e-5)


def test_one_far_row_leaves_of_the_order_of_one_in_as_many_as_there_are():
    rng = np.random.default_rng(7)
    limits = [
        np.median([translation(gram(x), np.arange(n) == row).limit() for row in range(20)])
        for n in (100, 200, 400)
        for x in [rng.normal(size=(n, 10))]
    ]
    assert limits[0] / limits[1] == pytest.approx(2, rel=0.3)
    assert limits[1] / limits[2] == pytest.approx(2, rel=0.3)


@few
@given(seeds, st.integers(10, 40), st.integers(2, 10))
def test_half_is_lost_where_it_is_said_to_be_and_not_before(seed, n, p):
    rng = np.random.default_rng(seed)
    x = layer(rng, n, p)
    subset = np.arange(n) < max(1, n // 5)
    found = translation(gram(x), subset)
    shift = found.halving_shift()
    if math.isinf(shift):
        assert found.limit() >= 0.5 - 1e-6
        return
    outwards = oracle.centred(x)[subset].mean(axis=0)
    assert biased(x, moved(x, subset, outwards, shift)) == exactly(0.5)
    assert all(biased(x, moved(x, subset, outwards, part * shift)) > 0.5 for part in (0.2, 0.5, 0.9, 0.99))


def test_a_subset_that_already_decides_can_go_as_far_as_it_likes():
    x = np.zeros((20, 3))
    x[:5, 0] = 4
    x += 0.1 * np.random.default_rng(8).normal(size=x.shape)
    assert translation(gram(x), np.arange(20) < 5).halving_shift() == math.inf


def test_a_subset_whose_mean_is_that_of_all_goes_in_a_direction_of_its_own():
    x = np.vstack([np.eye(4), -np.eye(4)])
    subset = np.isin(np.arange(8), [0, 4])
    found = translation(gram(x), subset)
    shift = found.halving_shift()
    beside = np.hstack([x, np.zeros((8, 1))])
    assert biased(beside, moved(beside, subset, np.eye(5)[4], shift)) == exactly(0.5)


@pytest.mark.parametrize(
    ("n", "rows", "others", "expected"), [(30, [1, 2, 3], [1, 2, 3], 1), (30, [4], [9], 1 / 29**2)]
)
def test_both_sides_translated_are_as_alike_as_the_subsets(n, rows, others, expected):
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(n, 4)), rng.normal(size=(n, 6))
    one, other = (np.isin(np.arange(n), each) for each in (rows, others))
    far = [moved(side, subset, rng.normal(size=side.shape[1]), 1e7) for side, subset in ((x, one), (y, other))]
    assert biased(*far) == pytest.approx(expected, abs=1e-5)
    assert np.corrcoef(one, other)[0, 1] ** 2 == exactly(expected)
    # CKA of each layer with the label alone is what a diagnosis goes by.
    for side, subset in zip(far, (one, other), strict=True):
        assert translation(gram(side), subset).limit() == pytest.approx(1, abs=1e-5)


def test_debiased_cka_with_one_shared_outlier_is_a_correlation_of_projections():
    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 7))
    u, v = rng.normal(size=5), rng.normal(size=7)
    row = np.arange(40) == 11
    far = moved(x, row, u, 1e7), moved(y, row, v, 1e7)
    expected = np.corrcoef(x[~row] @ u, y[~row] @ v)[0, 1]
    assert shares_of(*far).value == pytest.approx(expected, abs=1e-5)
    assert biased(*far) == pytest.approx(1, abs=1e-5)
    assert abs(expected) < 0.4
    two = np.isin(np.arange(40), [11, 12])
    assert shares_of(moved(x, two, u, 1e7), moved(y, two, v, 1e7)).value == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("counts", [[5, 5], [10, 10, 10], [30, 10, 5, 5], [7] * 10])
def test_a_label_among_labels_that_are_equally_apart(counts):
    classes = np.repeat(np.arange(len(counts)), counts)
    points = np.eye(len(counts))[classes]
    found = apart_if_even(np.array(counts) / sum(counts)).tolist()
    moved = translations(gram(points), np.array([classes == label for label in range(len(counts))]))
    for label in range(len(counts)):
        expected = biased(points, (classes == label)[:, None].astype(float))
        assert found[label] == exactly(expected)
        assert moved[label].limit() == exactly(expected)
        alone = translation(gram(points), classes == label)
        assert moved[label].halving_shift() == pytest.approx(alone.halving_shift(), rel=1e-6)
        if len(set(counts)) == 1:
            assert expected == exactly(1 / math.sqrt(len(counts) - 1))


# --- chance


def dimension_of(k):
    return effective_dimension(np.trace(k), np.vdot(k, k))


def test_over_all_orders_of_the_rows_chance_is_the_mean_and_z_has_variance_one():
    rng = np.random.default_rng(11)
    n = 6
    x, y = layer(rng, n, 3), layer(rng, n, 8)
    orders = [list(order) for order in itertools.permutations(range(n))]
    k, l = gram(x), gram(y)  # noqa: E741
    ratios = [dimension_of(each) for each in (k, l)]
    mean = np.mean([cka_of_matrices(k, l[np.ix_(order, order)]) for order in orders])
    assert mean == exactly(chance_cka(*ratios, n))
    k, l = u_centred_gram(k), u_centred_gram(l)  # noqa: E741
    z = [z_score(cka_of_matrices(k, l[np.ix_(order, order)]), n) for order in orders]
    assert np.mean(z) == exactly(0)
    assert np.var(z) == exactly(1)


def test_gaussian_rows_are_as_alike_as_chance_says():
    rng = np.random.default_rng(12)
    n, p, q, n_draws = 30, 5, 20, 400
    x = rng.normal(size=(n, p))
    draws = [rng.normal(size=(n, q)) for _ in range(n_draws)]
    k = gram(x)
    values = np.array([cka_of_matrices(k, gram(y)) for y in draws])
    x_ratio = dimension_of(k)
    y_ratios = np.array([dimension_of(gram(y)) for y in draws])
    means = np.array([chance_cka(x_ratio, y_ratio, n) for y_ratio in y_ratios])
    variances = 2 * (1 - x_ratio / (n - 1)) * (1 - y_ratios / (n - 1)) / ((n - 2) * (n + 1))
    z = (values - means) / np.sqrt(variances)
    assert abs(z.mean()) < 4 / math.sqrt(n_draws)
    assert abs(z.var() - 1) < 4 * math.sqrt(2.5 / n_draws)


# --- changes that ought not to matter


@few
@given(seeds, st.integers(10, 120), st.integers(1, 8))
def test_rows_are_drawn_in_and_brought_to_one_length_as_features_are(seed, n, p):
    x = oracle.centred(layer(np.random.default_rng(seed), n, p))
    norms = np.linalg.norm(x, axis=1)
    limit = np.quantile(norms, 0.99)
    drawn_in = x * np.minimum(1, limit / norms)[:, None]
    np.testing.assert_allclose(transforms.rows_clipped(gram(x)), drawn_in @ drawn_in.T, atol=1e-9 * norms.max() ** 2)
    of_one_length = x / norms[:, None]
    np.testing.assert_allclose(transforms.rows_normalised(gram(x)), of_one_length @ of_one_length.T, atol=1e-6)


def test_a_row_at_the_mean_stays_there():
    x = np.array([[1.0, 0], [-1, 0], [0, 0], [0, 2], [0, -2]])
    k = transforms.rows_normalised(gram(x))
    np.testing.assert_allclose(np.diag(k), [1, 1, 0, 1, 1])
    assert not transforms.rows_clipped(gram(x))[2].any()


def test_ranks_share_their_mean_where_values_are_tied():
    x = np.array([[3.0, 0, 5], [1, 0, 5], [2, 4, 5], [3, 0, 5], [-1, 0, 5]])
    expected = [[3.5, 1.5, 2], [1, 1.5, 2], [2, 4, 2], [3.5, 1.5, 2], [0, 1.5, 2]]
    np.testing.assert_allclose(transforms.ranks(x), np.array(expected) - 2)


@few
@given(seeds, st.integers(5, 40), st.floats(0.2, 2))
def test_the_rbf_kernel_is_that_of_the_oracle(seed, n, sigma):
    x = layer(np.random.default_rng(seed), n, 4)
    distances = transforms.squared_distances(gram(x))
    np.testing.assert_allclose(distances, oracle.squared_distances(x), atol=1e-9 * distances.max())
    k = transforms.rbf(distances, float(np.median(distances)), sigma)
    expected = oracle.gram(x, f"rbf:sigma={sigma}")
    np.testing.assert_allclose(k - k[0, 0], expected - 1, atol=1e-9)


def test_a_distance_that_is_rounding_is_none():
    k = gram(layer(np.random.default_rng(16), 20, 4))
    k[3] = k[7]
    k[:, 3] = k[:, 7]
    k[3, 7] = k[7, 3] = k[7, 7] * (1 - 2e-15)
    assert transforms.squared_distances(k)[3, 7] == 0
    k[3, 7] = k[7, 3] = k[7, 7] * (1 - 1e-10)
    assert transforms.squared_distances(k)[3, 7] > 0


# --- what is there twice


def test_the_distance_of_fingerprints_is_one_less_cka_on_average():
    rng = np.random.default_rng(14)
    x = layer(rng, 300, 40)
    turned = 3 * x @ np.linalg.qr(rng.normal(size=(40, 40)))[0] + 1
    prints = [duplicates.fingerprint(gram(each)) for each in (x, turned)]
    assert duplicates.distance_of(*prints) < 1e-20
    found = []
    for size in (0.001, 0.1, 1):
        near = x + size * rng.normal(size=x.shape)
        found.append(duplicates.distance_of(prints[0], duplicates.fingerprint(gram(near))) / (1 - biased(x, near)))
    assert min(found) > 0.3
    assert max(found) < 3
