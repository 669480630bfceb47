"""Standard errors: the jackknife's formula, and the same value by every route."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cka_cli.api.compare import compare, compare_each
from cka_cli.errors import DataError, UsageError
from cka_cli.options import RunOptions
from cka_cli.reductions.folds import Folds, folds_of_rows, order_by_fold, runs_of
from cka_cli.uncertainty.jackknife import critical_t, jackknife_std_error
from tests import oracle
from tests.asked import asked, changed, compared

MEASURES = ["cka", "cka-debiased", "hsic", "hsic-unbiased"]


def two_layers(n_examples, seed=0, widths=(5, 4)):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_examples, widths[0])) + 1
    y = x @ rng.standard_normal((widths[0], widths[1])) + rng.standard_normal((n_examples, widths[1])) + 3
    return x, y


@pytest.fixture
def saved(tmp_path):
    x, y = two_layers(101)
    np.savez(tmp_path / "x.npz", a=x, b=x[:, :2] ** 2)
    np.savez(tmp_path / "y.npz", a=y)
    return str(tmp_path / "x.npz"), str(tmp_path / "y.npz")


def oracle_std_error(x, y, measure, kernel, folds):
    """By whole Gram matrices without the rows and columns of each fold; widths are those of all examples."""
    k_x, k_y = oracle.gram(x, kernel), oracle.gram(y, kernel)
    estimator = oracle.hsic_unbiased if measure in ("cka-debiased", "hsic-unbiased") else oracle.hsic_biased

    def value(kept):
        grams = k_x[np.ix_(kept, kept)], k_y[np.ix_(kept, kept)]
        return oracle.cka(*grams, estimator) if measure.startswith("cka") else estimator(*grams)

    sizes = np.bincount(folds)
    left_out = np.array([value(folds != fold) for fold in range(len(sizes))])
    theta, n, g = value(folds >= 0), sizes.sum(), len(sizes)
    pseudo = n / sizes * theta - (n / sizes - 1) * left_out
    centre = g * theta - ((1 - sizes / n) * left_out).sum()
    return math.sqrt(np.mean((pseudo - centre) ** 2 / (n / sizes - 1)))


@given(st.integers(2, 30), st.integers(0, 1000))
def test_with_folds_of_one_the_jackknife_of_a_mean_is_its_standard_error(n, seed):
    values = np.random.default_rng(seed).standard_normal(n)
    left_out = np.array([np.delete(values, place).mean() for place in range(n)])
    found = jackknife_std_error(np.array(values.mean()), left_out, np.ones(n, int))
    assert found == pytest.approx(values.std(ddof=1) / math.sqrt(n), rel=1e-12)


def test_folds_of_equal_size_give_the_plain_formula():
    left_out = np.random.default_rng(0).standard_normal((7, 3))
    found = jackknife_std_error(np.full(3, 9.0), left_out, np.full(7, 4))
    np.testing.assert_allclose(found, np.sqrt(6 / 7 * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)))


def test_one_fold_has_no_standard_error():
    assert np.isnan(jackknife_std_error(np.zeros(2), np.zeros((1, 2)), np.array([5]))).all()


def test_every_twentieth_row_is_in_a_fold():
    assert folds_of_rows(45).tolist() == [*range(20), *range(20), *range(5)]
    assert folds_of_rows(5).tolist() == [0, 1, 2, 3, 4]


@given(st.integers(1, 60), st.integers(1, 200), st.integers(0, 99))
def test_groups_stay_whole_and_folds_are_about_equal(n_groups, n_rows, seed):
    groups = np.unique(np.random.default_rng(seed).integers(n_groups, size=n_rows), return_inverse=True)[1]
    folds = folds_of_rows(n_rows, groups)
    assert all(len(set(folds[groups == group])) == 1 for group in range(groups.max() + 1))
    sizes, largest = np.bincount(folds), np.bincount(groups).max()
    assert len(sizes) == min(20, groups.max() + 1)
    assert sizes.max() - sizes.min() <= largest


def test_rows_of_a_fold_stand_together_within_each_window():
    folds = folds_of_rows(50)
    order = order_by_fold(folds, 25)
    assert sorted(order[:25]) == list(range(25))
    assert (np.diff(folds[order[:25]]) >= 0).all()
    assert runs_of(Folds(np.array([3, 3, 0, 0, 0, 1])), slice(1, 6)) == [
        (3, slice(0, 1)),
        (0, slice(1, 4)),
        (1, slice(4, 5)),
    ]


@pytest.mark.parametrize(
    ("kernel", "route"),
    [("linear", "features"), *((name, "gram") for name in ("linear", "rbf:sigma=0.5", "polynomial", "cosine"))],
)
@pytest.mark.parametrize("in_memory", [True, False])
def test_every_route_gives_the_standard_error_of_whole_gram_matrices(saved, kernel, route, in_memory):
    plan_of = changed(route=route, in_memory=in_memory, n_tile_rows=30, n_slices=(2, 1, 3), n_threads=2)
    comparison = compared(*saved, measures=MEASURES, kernels=[kernel], stats=True, plan_of=plan_of)
    with np.load(saved[0]) as x_file, np.load(saved[1]) as y_file:
        x, y = x_file["b"], y_file["a"]
    for measure, matrix in zip(MEASURES, comparison.matrices, strict=True):
        expected = oracle_std_error(x, y, measure, kernel, np.arange(101) % 20)
        assert matrix.statistics.std_error[1, 0] == pytest.approx(expected, rel=1e-9)
        assert matrix.values[1, 0] == pytest.approx(oracle.value(x, y, measure, kernel), rel=1e-9)


def test_a_file_with_itself_and_each_with_every_other(saved):
    paired = compare(saved[0], saved[0], run=RunOptions(stats=True)).matrices[0].statistics
    for comparison in (
        compare(saved[0], run=RunOptions(stats=True)),
        compare_each([saved[0], saved[0]], run=RunOptions(stats=True)),
    ):
        statistics = comparison.matrices[0].statistics
        np.testing.assert_allclose(statistics.std_error, paired.std_error, atol=1e-14)
        np.testing.assert_allclose(statistics.chance, paired.chance, rtol=1e-12)
        np.testing.assert_allclose(statistics.p_value, paired.p_value, rtol=1e-9)
    assert paired.std_error[0, 0] < 1e-12 < paired.std_error[0, 1]


def test_groups_are_left_out_whole(tmp_path):
    x, y = two_layers(60)
    groups = np.random.default_rng(5).integers(9, size=60)
    np.savez(tmp_path / "x.npz", a=x, clip=groups)
    np.savez(tmp_path / "y.npz", a=y)
    paths = str(tmp_path / "x.npz"), str(tmp_path / "y.npz")
    statistics = compare(*paths, run=RunOptions(stats=True, groups="clip")).matrices[0].statistics
    folds = folds_of_rows(60, groups)
    assert statistics.std_error[0, 0] == pytest.approx(oracle_std_error(x, y, "cka", "linear", folds), rel=1e-9)
    assert np.isnan(statistics.p_value[0, 0])  # no law where examples depend on each other
    with pytest.raises(DataError, match=r"x\.npz::clips: no such one-axis array"):
        compare(*paths, run=RunOptions(stats=True, groups="clips"))
    with pytest.raises(UsageError, match="give --stats too"):
        compare(*paths, run=RunOptions(groups="clip"))


def test_one_group_is_no_groups(tmp_path):
    x, _ = two_layers(20)
    np.savez(tmp_path / "x.npz", a=x, clip=np.ones(20))
    with pytest.raises(DataError, match=r"x\.npz::clip: all rows are of one group; give an array with several"):
        compare(str(tmp_path / "x.npz"), run=RunOptions(stats=True, groups="clip"))


def test_positions_of_one_image_are_left_out_together(tmp_path):
    rng = np.random.default_rng(1)
    images = rng.standard_normal((30, 3, 2, 2)) + rng.standard_normal((30, 1, 1, 1))
    other = images + rng.standard_normal(images.shape)
    np.save(tmp_path / "x.npy", images)
    np.save(tmp_path / "y.npy", other)
    from cka_cli.options import ReadOptions

    read = ReadOptions(pool="positions")
    statistics = (
        compare(str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), read=read, run=RunOptions(stats=True))
        .matrices[0]
        .statistics
    )
    x, y = (np.moveaxis(each, 1, -1).reshape(-1, 3) for each in (images, other))
    folds = np.repeat(np.arange(30) % 20, 4)
    assert statistics.std_error[0, 0] == pytest.approx(oracle_std_error(x, y, "cka", "linear", folds), rel=1e-9)
    assert np.isnan(statistics.p_value[0, 0])


def test_of_the_minibatch_estimate_batches_are_left_out(tmp_path):
    x, y = two_layers(120)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    paths = str(tmp_path / "x.npy"), str(tmp_path / "y.npy")
    from cka_cli.reductions.minibatch import batches_of, shuffled_orders

    def hsic_of(batches):
        pairs = [(oracle.gram(x[rows]), oracle.gram(y[rows])) for rows in batches]
        cross, x_norm, y_norm = (
            np.mean([oracle.hsic_unbiased(*each) for each in products])
            for products in (pairs, [(k, k) for k, _ in pairs], [(k, k) for _, k in pairs])
        )
        return cross / math.sqrt(x_norm * y_norm)

    by_pass = [batches_of([order], 20) for order in shuffled_orders(120, 3, 0)]
    of_one = []
    for batches in by_pass:
        left_out = np.array([hsic_of(batches[:place] + batches[place + 1 :]) for place in range(6)])
        of_one.append(5 / 6 * ((left_out - left_out.mean()) ** 2).sum())
    options = {"measures": ["cka-debiased"], "n_batch": 20, "stats": True}
    one = compare(*paths, **asked(**options)).matrices[0].statistics
    assert one.std_error[0, 0] == pytest.approx(math.sqrt(of_one[0]), rel=1e-9)
    assert np.isnan(one.p_value[0, 0])
    between = np.var([hsic_of(batches) for batches in by_pass], ddof=1)
    three = compare(*paths, **asked(**options, n_passes=3)).matrices[0].statistics
    expected = max(np.mean(of_one) - 2 / 3 * between, between / 3)
    assert three.std_error[0, 0] == pytest.approx(math.sqrt(expected), rel=1e-9)
    whole = compare(*paths, **asked(**{**options, "n_batch": 120})).matrices[0].statistics
    assert np.isnan(whole.std_error[0, 0])


@pytest.mark.parametrize(
    ("n_rows", "n_groups", "n_batch", "said"),
    [
        (60, 3, None, "3 groups, and is rough: an interval of 95 % is ± 4.30 × std_error (Student's t, 2 degrees of"),
        (60, 2, None, "2 groups, and is rough: an interval of 95 % is ± 12.71 × std_error (Student's t, 1 degree of"),
        (60, 9, None, "9 groups, and is rough: an interval of 95 % is ± 2.31 × std_error (Student's t, 8 degrees of"),
        (60, 10, None, "10 groups: an interval of 95 % is ± 2.26 × std_error (Student's t, 9 degrees of"),
        (60, 19, None, "19 groups: an interval of 95 % is ± 2.10 × std_error (Student's t, 18 degrees of"),
        (15, None, None, "15 examples: an interval of 95 % is ± 2.14 × std_error (Student's t, 14 degrees of"),
        (60, None, 10, "6 batches, and is rough: an interval of 95 % is ± 2.57 × std_error (Student's t, 5 degrees of"),
        (60, 20, None, None),
        (60, None, None, None),
        (200, None, 10, None),
        (60, None, 60, None),
    ],
)
def test_a_note_says_on_how_few_parts_a_standard_error_rests(tmp_path, n_rows, n_groups, n_batch, said):
    x, y = two_layers(n_rows)
    vectors = {} if n_groups is None else {"clip": np.arange(n_rows) % n_groups}
    np.savez(tmp_path / "x.npz", x=x, y=y, **vectors)
    options = {"measures": ["cka-debiased"], "n_batch": n_batch, "groups": "clip" if n_groups else None}
    found = compare(str(tmp_path / "x.npz"), **asked(**options, stats=True))
    notes = [note for note in found.notes if note.startswith("std_error rests on ")]
    assert notes == ([] if said is None else [f"std_error rests on {said} freedom)"])
    assert not any("rests on" in note for note in compare(str(tmp_path / "x.npz"), measures=["cca-r2"]).notes)
    cca = compare(str(tmp_path / "x.npz"), run=RunOptions(stats=True, groups=options["groups"]), measures=["cca-r2"])
    assert not any("rests on" in note for note in cca.notes)


def shared_signal(draw, signal, n=400, p=20):
    """Two layers with a shared signal in every coordinate, whose debiased CKA is about signal² (law 19)."""
    rng = np.random.default_rng([11, draw])
    shared = rng.standard_normal((n, p))
    return (math.sqrt(signal) * shared + math.sqrt(1 - signal) * rng.standard_normal((n, p)) for _ in range(2))


def debiased(x, y):
    """Debiased linear CKA in the feature form, quick enough for thousands of draws."""
    n, (x, y) = len(x), (each - each.mean(axis=0) for each in (x, y))

    def hsic(one, other):
        norms, other_norms = (one**2).sum(axis=1), (other**2).sum(axis=1)
        products = norms.sum() * other_norms.sum() / ((n - 1) * (n - 2))
        return ((one.T @ other) ** 2).sum() - n / (n - 2) * (norms @ other_norms) + products

    return hsic(x, y) / math.sqrt(hsic(x, x) * hsic(y, y))


@pytest.mark.slow
@pytest.mark.parametrize("signal", [0.7, 0.4, 0.0])
def test_standard_errors_are_true_and_intervals_cover(tmp_path, signal):
    truth = np.array([debiased(*shared_signal(draw, signal)) for draw in range(2000)])
    errors, covered = [], []
    for draw in range(200):
        for name, layer in zip("xy", shared_signal(draw, signal), strict=True):
            np.save(tmp_path / f"{name}.npy", layer)
        paths = str(tmp_path / "x.npy"), str(tmp_path / "y.npy")
        (matrix,) = compare(*paths, measures=["cka-debiased"], run=RunOptions(stats=True)).matrices
        assert matrix.values[0, 0] == pytest.approx(truth[draw], abs=1e-12)
        errors.append(matrix.statistics.std_error[0, 0])
        covered.append(abs(truth[draw] - truth.mean()) <= 2.093 * errors[-1])  # t of 19 degrees of freedom, 95 %
    sd = truth.std(ddof=1)
    print(f"signal {signal}: sd {sd:.5f}, mean std_error {np.mean(errors):.5f}, covered {np.mean(covered):.1%}")
    if signal:
        assert np.mean(errors) == pytest.approx(sd, rel=0.1)
        assert 0.92 <= np.mean(covered) <= 0.98
    else:
        # Without any relation the statistic is degenerate: its jackknife is too large, never too small.
        assert sd <= np.mean(errors) <= 1.6 * sd
        assert np.mean(covered) >= 0.92


# As tables have it, for 1 to 19 degrees of freedom and a few more.
TABLE = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
         2.120, 2.110, 2.101, 2.093]  # fmt: skip


@pytest.mark.parametrize(("n_degrees", "expected"), [*enumerate(TABLE, 1), (30, 2.042), (100, 1.984), (10_000, 1.960)])
def test_the_critical_value_is_that_of_the_tables(n_degrees, expected):
    assert critical_t(n_degrees) == pytest.approx(expected, abs=6e-4)
