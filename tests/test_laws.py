"""Laws that hold for any data, exact to 1e-9 in float64: invariances, and where they end; closed forms; limits."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cka_cli.measures.cca import FactorPair
from cka_cli.reductions import gram_matrices
from tests import oracle
from tests.measures.measure_tests import invertible, layer, orthogonal
from tests.small_files import factorise

seeds = st.integers(0, 2**32 - 1)
scales = st.integers(-6, 6).map(lambda power: 10.0**power)
few = settings(max_examples=15)


def exactly(expected):
    return pytest.approx(expected, rel=0, abs=1e-9)


# --- 1: what each measure feels and what it does not


@few
@given(seeds, st.integers(8, 40), st.integers(2, 12), scales, scales)
def test_cka_with_a_rotated_scaled_and_shifted_copy_is_one(compare_arrays, seed, n_examples, n_features, scale, shift):
    rng = np.random.default_rng(seed)
    x = layer(rng, n_examples, n_features)
    y = scale * (x @ orthogonal(rng, n_features) + min(shift, 1e3) * rng.normal(size=n_features))
    for measure in ("cka", "cka-debiased"):
        assert compare_arrays(x, y, measure) == exactly(1)
        assert compare_arrays(x, y, measure, "rbf:sigma=0.5") == exactly(1)


@few
@given(seeds, st.integers(20, 40), st.integers(3, 8))
def test_cka_with_an_arbitrary_invertible_map_is_not_one(compare_arrays, seed, n_examples, n_features):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_examples, n_features))
    y = x @ np.diag(10.0 ** np.arange(n_features))
    assert compare_arrays(x, y, "cka") < 0.99
    assert compare_arrays(x, y, "cka-debiased") < 0.99
    assert compare_arrays(x, y, "procrustes") < 0.99
    assert compare_arrays(x, y, "cca-r2") == exactly(1)
    assert compare_arrays(x, y, "regression-r2") == exactly(1)


MAPS = {
    "orthogonal": lambda rng, x: x @ orthogonal(rng, x.shape[1]),
    "scale": lambda rng, x: 3.7 * x,
    "shift": lambda rng, x: x + rng.normal(size=x.shape[1]) * 5,
    "permutation of features": lambda rng, x: x[:, rng.permutation(x.shape[1])],
    "invertible": lambda rng, x: x @ invertible(rng, x.shape[1]),
    "scale of each example": lambda rng, x: x * rng.uniform(0.5, 2, size=(len(x), 1)),
    "permutation of examples": lambda rng, x: x[rng.permutation(len(x))],
}
RIGID = ["orthogonal", "scale", "shift", "permutation of features"]
# (measure, kernel, which side is mapped, the maps it does not feel). X has 6 features, Y has 9.
INVARIANCES = [
    ("cka", "linear", "x", RIGID),
    ("cka-debiased", "linear", "y", RIGID),
    ("hsic", "linear", "x", ["orthogonal", "shift", "permutation of features"]),
    ("hsic-unbiased", "linear", "y", ["orthogonal", "shift", "permutation of features"]),
    ("cka", "rbf", "x", RIGID),
    ("cka-debiased", "rbf:sigma=0.4", "y", RIGID),
    ("cka", "rbf:gamma=0.02", "x", ["orthogonal", "shift", "permutation of features"]),
    ("cka", "polynomial", "x", ["orthogonal", "permutation of features"]),
    ("cka", "sigmoid:gamma=0.02", "y", ["orthogonal", "permutation of features"]),
    ("cka", "laplacian", "x", ["shift", "permutation of features"]),
    ("cka", "cosine", "x", ["orthogonal", "scale", "permutation of features", "scale of each example"]),
    ("cca-r2", "linear", "x", [*RIGID, "invertible"]),
    ("cca-rho", "linear", "y", [*RIGID, "invertible"]),
    ("svcca-r2:variance=0.9", "linear", "x", RIGID),
    ("svcca-rho:variance=0.9", "linear", "y", RIGID),
    ("pwcca", "linear", "x", ["scale", "shift", "permutation of features"]),
    ("pwcca", "linear", "y", [*RIGID, "invertible"]),
    ("regression-r2", "linear", "x", RIGID),
    ("regression-r2", "linear", "y", [*RIGID, "invertible"]),
    ("procrustes", "linear", "x", RIGID),
    ("procrustes", "linear", "y", RIGID),
]


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize(("measure", "kernel", "side", "unfelt"), INVARIANCES)
def test_a_measure_feels_every_map_but_those_it_is_invariant_to(compare_arrays, measure, kernel, side, unfelt, name):
    rng = np.random.default_rng(7)
    x = layer(rng, 40, 6)
    y = np.hstack([x[:, :4] + 0.5 * rng.normal(size=(40, 4)), layer(rng, 40, 5)])
    before = compare_arrays(x, y, measure, kernel)
    mapped = MAPS[name](rng, x if side == "x" else y)
    after = compare_arrays(mapped, y, measure, kernel) if side == "x" else compare_arrays(x, mapped, measure, kernel)
    if name in unfelt:
        assert after == pytest.approx(before, rel=1e-9)
    else:
        assert abs(after / before - 1) > 1e-4


@pytest.mark.parametrize(("measure", "kernel", "side", "unfelt"), INVARIANCES)
def test_the_order_of_the_examples_does_not_matter_as_long_as_it_is_one(compare_arrays, measure, kernel, side, unfelt):
    rng = np.random.default_rng(8)
    x, y, order = layer(rng, 30, 6), layer(rng, 30, 9), rng.permutation(30)
    before = compare_arrays(x, y, measure, kernel)
    assert compare_arrays(x[order], y[order], measure, kernel) == pytest.approx(before, rel=1e-9)


@few
@given(seeds, scales)
def test_linear_hsic_grows_with_the_square_of_the_scale(compare_arrays, seed, scale):
    rng = np.random.default_rng(seed)
    x, y = layer(rng, 12, 4), layer(rng, 12, 5)
    for measure in ("hsic", "hsic-unbiased"):
        expected = scale**2 * compare_arrays(x, y, measure)
        assert compare_arrays(scale * x, y, measure) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "measure", ["cka", "cka-debiased", "hsic", "hsic-unbiased", "cca-r2", "cca-rho", "svcca-r2", "procrustes"]
)
def test_symmetric_measures_do_not_feel_the_order_of_the_arguments(compare_arrays, measure):
    rng = np.random.default_rng(9)
    x, y = layer(rng, 30, 6), layer(rng, 30, 9)
    assert compare_arrays(x, y, measure) == pytest.approx(compare_arrays(y, x, measure), rel=1e-12)


# --- 2: Gram route, feature route, sums of tiles


def sums_of_tiles(k_x, k_y, n_rows):
    """⟨K,L⟩, a·b and the product of the totals, tile by tile."""
    n = len(k_x)
    blocks = [slice(start, start + n_rows) for start in range(0, n, n_rows)]
    inner, (a, b) = 0.0, np.zeros((2, n))
    for rows, columns in itertools.product(blocks, blocks):
        inner += np.vdot(k_x[rows, columns], k_y[rows, columns])
        a[rows] += k_x[rows, columns].sum(axis=1)
        b[rows] += k_y[rows, columns].sum(axis=1)
    return inner, a @ b, a.sum() * b.sum()


def biased_from_tiles(k_x, k_y, n_rows):
    return float(gram_matrices.hsic_biased(*sums_of_tiles(k_x, k_y, n_rows), len(k_x)))


def unbiased_from_tiles(k_x, k_y, n_rows):
    k_x, k_y = (k - np.diag(np.diag(k)) for k in (k_x, k_y))
    return float(gram_matrices.hsic_unbiased(*sums_of_tiles(k_x, k_y, n_rows), len(k_x)))


@few
@given(seeds, st.integers(4, 40), st.integers(1, 30), st.integers(1, 30), st.integers(1, 41))
def test_gram_route_feature_route_and_any_tiles_give_one_value(compare_arrays, seed, n, p, q, n_rows):
    rng = np.random.default_rng(seed)
    x, y = layer(rng, n, p), layer(rng, n, q)
    x_c, y_c = oracle.centred(x), oracle.centred(y)
    cross = np.linalg.norm(x_c.T @ y_c) ** 2
    x_norms, y_norms = (x_c**2).sum(axis=1), (y_c**2).sum(axis=1)
    by_features = {
        "hsic": cross / (n - 1) ** 2,
        "hsic-unbiased": (
            cross - n / (n - 2) * (x_norms @ y_norms) + x_norms.sum() * y_norms.sum() / ((n - 1) * (n - 2))
        )
        / (n * (n - 3)),
    }
    k_x, k_y = oracle.gram(x), oracle.gram(y)
    by_tiles = {"hsic": biased_from_tiles(k_x, k_y, n_rows), "hsic-unbiased": unbiased_from_tiles(k_x, k_y, n_rows)}
    size = math.sqrt(oracle.hsic_biased(k_x, k_x) * oracle.hsic_biased(k_y, k_y))
    for measure, expected in by_features.items():
        assert compare_arrays(x, y, measure) == pytest.approx(expected, rel=0, abs=1e-9 * size)
        assert by_tiles[measure] == pytest.approx(expected, rel=0, abs=1e-9 * size)


# --- 3 to 6: closed forms


@few
@given(seeds, st.integers(4, 200), scales)
def test_of_single_features_every_linear_measure_is_a_power_of_pearson_r(compare_arrays, seed, n_examples, scale):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_examples, 1)) * scale
    y = x / scale + rng.normal(size=(n_examples, 1)) + 3
    r = np.corrcoef(x[:, 0], y[:, 0])[0, 1]
    for measure in ("cka", "cca-r2", "regression-r2", "svcca-r2"):
        assert compare_arrays(x, y, measure) == exactly(r**2)
    for measure in ("cca-rho", "pwcca", "procrustes", "svcca-rho"):
        assert compare_arrays(x, y, measure) == exactly(abs(r))


@few
@given(seeds, st.integers(10, 40), st.integers(2, 8), st.data())
def test_cka_with_the_leading_components_alone(compare_arrays, seed, n_examples, n_features, data):
    n_kept = data.draw(st.integers(1, n_features - 1))
    x = layer(np.random.default_rng(seed), n_examples, n_features)
    u, s, v = np.linalg.svd(oracle.centred(x), full_matrices=False)
    squares = s**4
    leading = (u[:, :n_kept] * s[:n_kept]) @ v[:n_kept]
    assert compare_arrays(x, leading) == exactly(math.sqrt(squares[:n_kept].sum() / squares.sum()))
    without_first = (u[:, 1:] * s[1:]) @ v[1:]
    assert compare_arrays(x, without_first) == exactly(math.sqrt(squares[1:].sum() / squares.sum()))


@few
@given(seeds, st.integers(4, 40), st.integers(1, 50))
def test_cka_with_the_whitened_layer(compare_arrays, seed, n_examples, n_features):
    x = np.random.default_rng(seed).normal(size=(n_examples, n_features)) + 1
    white = oracle.basis(x)
    expected = math.sqrt(oracle.effective_dimension(x) / white.shape[1])
    assert compare_arrays(x, white) == exactly(expected)


@pytest.mark.parametrize("n_repeats", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
@pytest.mark.parametrize(("n_classes", "n_groups", "expected"), [(12, 4, 0.522233), (12, 3, None), (6, 2, None)])
def test_labels_against_groups_of_labels(compare_arrays, n_classes, n_groups, expected, dtype, n_repeats):
    classes = np.tile(np.arange(n_classes), n_repeats)
    x, y = np.eye(n_classes, dtype=dtype)[classes], np.eye(n_groups, dtype=dtype)[classes % n_groups]
    value = compare_arrays(x, y, precision="double")
    assert value == exactly(math.sqrt((n_groups - 1) / (n_classes - 1)))
    assert expected is None or value == pytest.approx(expected, abs=5e-7)
    assert compare_arrays(x, y) == pytest.approx(value, rel=0, abs=1e-6 if dtype == np.uint8 else 1e-12)


def test_crossed_factors_have_nothing_in_common(compare_arrays):
    first, second = np.divmod(np.tile(np.arange(12), 5), 4)
    x, y = np.eye(3)[first], np.eye(4)[second]
    for measure in ("cka", "cca-r2", "cca-rho", "regression-r2", "procrustes"):
        assert compare_arrays(x, y, measure) == pytest.approx(0, abs=1e-12)


@few
@given(seeds, st.integers(2, 6), st.integers(2, 8), st.integers(1, 10))
def test_cka_with_labels_follows_from_the_variance_between_classes(compare_arrays, seed, n_classes, n_each, n_features):
    rng = np.random.default_rng(seed)
    classes = np.repeat(np.arange(n_classes), n_each)
    x = layer(rng, len(classes), n_features) + rng.normal(size=(n_classes, n_features))[classes]
    x_c = oracle.centred(x)
    means = np.array([x_c[classes == each].mean(axis=0) for each in range(n_classes)])
    share = n_each * (means**2).sum() / (x_c**2).sum()
    expected = share * math.sqrt(oracle.effective_dimension(x) / (n_classes - 1))
    assert compare_arrays(x, np.eye(n_classes)[classes]) == exactly(expected)


# --- 7 and 8: repeated examples, distances as kernels


@pytest.mark.parametrize("kernel", ["linear", "rbf:gamma=0.1", "polynomial", "cosine"])
def test_repeating_every_example_leaves_biased_cka_and_changes_debiased(compare_arrays, kernel):
    rng = np.random.default_rng(11)
    x, y = layer(rng, 20, 4), layer(rng, 20, 6)
    for n_times in (2, 5):
        x_many, y_many = np.repeat(x, n_times, axis=0), np.repeat(y, n_times, axis=0)
        assert compare_arrays(x_many, y_many, "cka", kernel) == exactly(compare_arrays(x, y, "cka", kernel))
        change = compare_arrays(x_many, y_many, "cka-debiased", kernel) - compare_arrays(x, y, "cka-debiased", kernel)
        assert abs(change) > 1e-3


@few
@given(seeds, st.integers(5, 30), st.integers(1, 6), st.integers(1, 31))
def test_half_squared_distances_as_kernel_give_linear_cka(compare_arrays, seed, n_examples, n_features, n_rows):
    rng = np.random.default_rng(seed)
    x, y = layer(rng, n_examples, n_features), layer(rng, n_examples, 3)
    k_x, k_y = (-oracle.squared_distances(each) / 2 for each in (x, y))
    for measure, estimate in (("hsic", biased_from_tiles), ("hsic-unbiased", unbiased_from_tiles)):
        assert estimate(k_x, k_y, n_rows) == pytest.approx(compare_arrays(x, y, measure), rel=1e-9, abs=1e-9)


@few
@given(seeds, st.integers(5, 30), st.integers(1, 6), st.integers(1, 31))
def test_distances_as_kernel_give_distance_correlation(seed, n_examples, n_features, n_rows):
    rng = np.random.default_rng(seed)
    x, y = layer(rng, n_examples, n_features), layer(rng, n_examples, 3)
    k_x, k_y = (-np.sqrt(oracle.squared_distances(each)) for each in (x, y))
    for is_bias_corrected, estimate in ((False, biased_from_tiles), (True, unbiased_from_tiles)):
        cross, x_norm, y_norm = (estimate(*pair, n_rows) for pair in ((k_x, k_y), (k_x, k_x), (k_y, k_y)))
        expected = oracle.distance_correlation(x, y, is_bias_corrected=is_bias_corrected)
        assert cross / math.sqrt(x_norm * y_norm) == exactly(expected)


# --- 10 and 11: estimators over all subsets and all permutations


@pytest.mark.parametrize("n_drawn", [4, 5, 6])
def test_mean_of_unbiased_hsic_over_all_subsets_is_that_of_all_examples(compare_layers, n_drawn):
    rng = np.random.default_rng(12)
    x, y = layer(rng, 7, 3), layer(rng, 7, 2)
    kernels = ["linear", "rbf:gamma=0.1", "polynomial:gamma=0.5", "laplacian:gamma=0.3", "cosine"]

    def values(rows):
        options = {"measures": ["hsic-unbiased", "hsic"], "kernels": kernels}
        matrices = compare_layers({"x": x[rows]}, {"y": y[rows]}, **options).matrices
        return np.array([matrix.values[0, 0] for matrix in matrices]).reshape(2, -1)

    of_all = values(list(range(7)))
    of_subsets = np.mean([values(list(rows)) for rows in itertools.combinations(range(7), n_drawn)], axis=0)
    np.testing.assert_allclose(of_subsets[0], of_all[0], rtol=1e-9)
    assert np.all(np.abs(of_subsets[1] / of_all[1] - 1) > 1e-3)  # not so for the biased one


@pytest.mark.parametrize("kernel", ["linear", "rbf", "polynomial", "laplacian"])
def test_over_all_permutations_debiased_cka_has_mean_zero_and_a_known_variance(compare_layers, kernel):
    n = 5
    rng = np.random.default_rng(13)
    x, y = layer(rng, n, 3), layer(rng, n, 4)
    permuted = {f"y{number}": y[list(rows)] for number, rows in enumerate(itertools.permutations(range(n)))}
    comparison = compare_layers({"x": x}, permuted, measures=["cka-debiased", "cka"], kernels=[kernel])
    debiased, biased = (matrix.values[0] for matrix in comparison.matrices)
    assert len(debiased) == math.factorial(n)
    assert debiased.mean() == exactly(0)
    assert debiased.var() == exactly(2 / (n * (n - 3)))
    ratios = []
    for each in (x, y):
        h = np.eye(n) - 1 / n
        spectrum = np.linalg.eigvalsh(h @ oracle.gram(each, kernel) @ h)
        ratios.append(spectrum.sum() ** 2 / (spectrum**2).sum())
    assert biased.mean() == exactly(math.sqrt(ratios[0] * ratios[1]) / (n - 1))


@few
@given(seeds, st.integers(4, 12), st.integers(1, 20), st.integers(1, 20))
def test_debiased_cka_stays_between_minus_one_and_one(compare_arrays, seed, n_examples, p, q):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n_examples, p)), rng.normal(size=(n_examples, q))
    for kernel in ("linear", "rbf", "sigmoid"):
        assert abs(compare_arrays(x, y, "cka-debiased", kernel)) <= 1 + 1e-9
        assert compare_arrays(x, x, "cka-debiased", kernel) == exactly(1)


@few
@given(seeds, st.integers(3, 12), st.integers(1, 20), st.integers(1, 20))
def test_biased_values_are_never_negative(compare_arrays, seed, n_examples, p, q):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n_examples, p)), rng.normal(size=(n_examples, q))
    for kernel in ("linear", "rbf", "laplacian"):
        assert 0 <= compare_arrays(x, y, "cka", kernel) <= 1 + 1e-12
        assert compare_arrays(x, y, "hsic", kernel) >= 0


# --- 12: too many features


@few
@given(seeds, st.integers(6, 20), st.data())
def test_features_beyond_the_examples_force_correlations_of_one(seed, n_examples, data):
    degrees = n_examples - 1
    p = data.draw(st.integers(2, degrees - 1))
    q = data.draw(st.integers(degrees - p + 1, degrees - 1))
    rng = np.random.default_rng(seed)
    pair = FactorPair(*(factorise(name, rng.normal(size=(n_examples, size))) for name, size in (("x", p), ("y", q))))
    correlations = np.linalg.svd(pair.products, compute_uv=False)
    assert len(correlations) == min(p, q)
    assert np.count_nonzero(correlations > 1 - 1e-9) == p + q - degrees


@pytest.mark.parametrize("n_features", [19, 20, 35])
def test_as_many_features_as_degrees_of_freedom_explain_anything(compare_arrays, n_features):
    rng = np.random.default_rng(14)
    noise, y = rng.normal(size=(20, n_features)), rng.normal(size=(20, 3))
    for measure in ("cca-r2", "cca-rho", "pwcca"):
        assert compare_arrays(noise, y, measure) == 1
        assert compare_arrays(y, noise, measure) == 1
    assert compare_arrays(y, noise, "regression-r2") == 1
    assert compare_arrays(noise, y, "regression-r2") < 0.5
    assert compare_arrays(noise[:, :18], y, "cca-r2") < 1 - 1e-6
    assert compare_arrays(noise, y, "cka") < 0.9


# --- 18: what chance gives CCA and regression


@pytest.mark.parametrize(("p", "q"), [(1, 1), (2, 3), (3, 1), (3, 3)])
def test_over_all_permutations_cca_and_regression_have_means_that_only_the_numbers_of_features_decide(
    compare_layers, p, q
):
    n = 5
    rng = np.random.default_rng(18)
    x, y = layer(rng, n, p), layer(rng, n, q)
    permuted = {f"y{number}": y[list(rows)] for number, rows in enumerate(itertools.permutations(range(n)))}
    cca, regression = compare_layers({"x": x}, permuted, measures=["cca-r2", "regression-r2"]).matrices
    assert cca.values.mean() == exactly(max(p, q) / (n - 1))
    assert regression.values.mean() == exactly(q / (n - 1))


def test_of_independent_gaussian_layers_cca_and_regression_have_the_same_means(compare_layers):
    rng = np.random.default_rng(19)
    n, p, q, n_draws = 40, 4, 10, 60
    xs, ys = ({f"l{draw}": rng.normal(size=(n, size)) for draw in range(n_draws)} for size in (p, q))
    for matrix, expected in zip(
        compare_layers(xs, ys, measures=["cca-r2", "regression-r2"]).matrices,
        (max(p, q) / (n - 1), q / (n - 1)),
        strict=True,
    ):
        own = np.diag(matrix.values)  # independent of each other
        assert abs(own.mean() - expected) < 4 * own.std(ddof=1) / math.sqrt(n_draws)


# --- 13: the width of the rbf kernel


def test_a_wide_rbf_kernel_approaches_the_linear_one_as_its_width_squared(compare_arrays):
    rng = np.random.default_rng(15)
    x = layer(rng, 50, 6)
    y = x[:, :3] + layer(rng, 50, 3)
    for measure in ("cka", "cka-debiased"):
        linear = compare_arrays(x, y, measure)
        excess = {
            sigma: (compare_arrays(x, y, measure, f"rbf:sigma={sigma}") - linear) * sigma**2
            for sigma in (100, 1000, 10000)
        }
        assert abs(excess[1000]) > 1e-3
        assert excess[100] == pytest.approx(excess[1000], rel=1e-3)
        assert excess[10000] == pytest.approx(excess[1000], rel=1e-3)


@pytest.mark.parametrize("sigma", [1e4, 1e6])
def test_a_wide_rbf_kernel_keeps_its_digits_in_single_precision(compare_arrays, sigma):
    rng = np.random.default_rng(16)
    x, y = layer(rng, 60, 6).astype(np.float32), layer(rng, 60, 3).astype(np.float32)
    for measure in ("cka", "cka-debiased"):
        assert compare_arrays(x, y, measure, f"rbf:sigma={sigma}") == pytest.approx(
            compare_arrays(x, y, measure), abs=1e-6
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_narrow_rbf_kernel_makes_anything_equal_but_for_the_debiased_value(compare_arrays, dtype):
    rng = np.random.default_rng(17)
    x, y = rng.normal(size=(30, 6)).astype(dtype), rng.normal(size=(30, 4)).astype(dtype)
    assert compare_arrays(x, y, "cka", "rbf:sigma=0.001") == exactly(1)
    assert compare_arrays(x, y, "cka", "rbf:sigma=0.2") > compare_arrays(x, y, "cka", "rbf:sigma=0.8") + 0.1
    assert abs(compare_arrays(x, y, "cka-debiased", "rbf:sigma=0.2")) < 0.3


# --- 14 and 15: an angle, and two relations between measures


@few
@given(seeds, st.integers(3, 20), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
def test_the_angle_of_cka_obeys_the_triangle_inequality(compare_layers, seed, n_examples, p, q, r):
    rng = np.random.default_rng(seed)
    layers = {name: layer(rng, n_examples, size) for name, size in (("a", p), ("b", q), ("c", r))}
    cosines = compare_layers(layers).matrices[0].values
    angles = np.arccos(np.minimum(cosines, 1))
    for a, b, c in itertools.permutations(range(3)):
        assert angles[a, c] <= angles[a, b] + angles[b, c] + 1e-7


def test_cka_and_one_minus_cka_do_not_obey_the_triangle_inequality(compare_layers):
    a, b = np.array([[1.0], [1], [-1], [-1]]), np.array([[1.0], [-1], [1], [-1]])
    values = compare_layers({"a": a, "ab": np.hstack([a, b]), "b": b}).matrices[0].values
    assert values[0, 1] == exactly(math.sqrt(0.5))
    assert 1 - values[0, 2] > (1 - values[0, 1]) + (1 - values[1, 2]) + 0.1
    assert values[0, 0] > values[0, 2] + values[2, 0] + 0.1


@few
@given(seeds, st.integers(20, 40), st.integers(1, 6), st.integers(6, 12))
def test_squared_weights_turn_pwcca_into_regression(compare_arrays, seed, n_examples, p, q):
    rng = np.random.default_rng(seed)
    x, y = layer(rng, n_examples, p), layer(rng, n_examples, q)
    products, rho = oracle.variate_products(x, y)
    squared = (products**2).sum(axis=1)
    assert compare_arrays(x, y, "regression-r2") == exactly(squared @ rho**2 / squared.sum())
    plain = np.abs(products).sum(axis=1)
    assert compare_arrays(x, y, "pwcca") == exactly(plain @ rho / plain.sum())


@few
@given(seeds, st.integers(12, 30), st.integers(1, 8), st.integers(1, 8))
def test_cka_is_cca_weighted_by_the_variance_of_each_component(compare_arrays, seed, n_examples, p, q):
    rng = np.random.default_rng(seed)
    x, y = layer(rng, n_examples, p), layer(rng, n_examples, q)
    (u_x, s_x, _), (u_y, s_y, _) = (np.linalg.svd(oracle.centred(each), full_matrices=False) for each in (x, y))
    overlaps = (u_x.T @ u_y) ** 2
    weighted = s_x**2 @ overlaps @ s_y**2 / np.sqrt((s_x**4).sum() * (s_y**4).sum())
    assert compare_arrays(x, y, "cka") == exactly(weighted)
    assert compare_arrays(x, y, "cca-r2") == exactly(overlaps.sum() / min(p, q))


@few
@given(seeds, st.integers(12, 30), st.integers(1, 8), st.integers(1, 8))
def test_regression_is_cka_with_the_basis_of_the_other_layer_rescaled(compare_arrays, seed, n_examples, p, q):
    rng = np.random.default_rng(seed)
    x, y = layer(rng, n_examples, p), layer(rng, n_examples, q)
    x_c, q_y = oracle.centred(x), oracle.basis(y)
    factor = math.sqrt(q) * np.linalg.norm(x_c.T @ x_c) / np.linalg.norm(x_c) ** 2
    assert compare_arrays(x, y, "regression-r2") == exactly(compare_arrays(x, q_y, "cka") * factor)


# --- 17 and 19: what independent rows give, and what a shared signal gives


def within_centred_space(rng, n_examples, spectrum):
    """A layer with these eigenvalues whose components point anywhere among the centred vectors."""
    basis = np.linalg.qr(np.eye(n_examples)[:, 1:] - 1 / n_examples)[0]
    directions = basis @ np.linalg.qr(rng.normal(size=(n_examples - 1, len(spectrum))))[0]
    return directions * np.sqrt(spectrum)


def test_cka_of_independent_gaussian_rows_has_the_mean_and_variance_of_its_spectra(compare_layers):
    rng = np.random.default_rng(17)
    n, x_spectrum, y_spectrum, n_draws = 14, [5.0, 2, 1, 0.5], [3.0, 3, 1], 400
    x = {"x": within_centred_space(rng, n, x_spectrum)}
    ys = {f"y{draw}": within_centred_space(rng, n, y_spectrum) for draw in range(n_draws)}
    biased, debiased = (matrix.values[0] for matrix in compare_layers(x, ys, measures=["cka", "cka-debiased"]).matrices)
    nu, (pr_x, pr_y) = n - 1, (np.sum(each) ** 2 / np.sum(np.square(each)) for each in (x_spectrum, y_spectrum))
    expected = math.sqrt(pr_x * pr_y) / nu
    variance = 2 * (1 - pr_x / nu) * (1 - pr_y / nu) / ((nu - 1) * (nu + 2))
    assert abs(biased.mean() - expected) < 4 * biased.std(ddof=1) / math.sqrt(n_draws)
    assert biased.var(ddof=1) == pytest.approx(variance, rel=4 * math.sqrt(3 / n_draws))
    assert abs(debiased.mean()) < 4 * debiased.std(ddof=1) / math.sqrt(n_draws)


@pytest.mark.parametrize(("p", "expected"), [(50, 0.50), (5000, 0.99)])
def test_noise_of_many_features_looks_alike_unless_it_is_debiased(compare_arrays, p, expected):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 50, p))
    assert compare_arrays(x, y, "cka") == pytest.approx(expected, abs=0.02)
    assert p / (50 + p) == pytest.approx(expected, abs=0.005)
    assert abs(compare_arrays(x, y, "cka-debiased")) < 4 * math.sqrt(2 / (50 * 47))


@pytest.mark.parametrize("correlation", [0.8, 0.5])
def test_a_shared_signal_gives_the_square_of_its_correlation(compare_arrays, correlation):
    rng = np.random.default_rng(19)
    n, p = 2000, 100
    x = rng.normal(size=(n, p))
    y = correlation * x + math.sqrt(1 - correlation**2) * rng.normal(size=(n, p))
    assert compare_arrays(x, y, "cka-debiased") == pytest.approx(correlation**2, abs=0.01)
    assert compare_arrays(x, y, "cka") == pytest.approx((n * correlation**2 + p) / (n + p), abs=0.01)


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_added_noise_of_unit_spread_lowers_cka_by_its_share(compare_arrays, noise):
    rng = np.random.default_rng(20)
    x, other = rng.normal(size=(2, 3000, 20))
    assert compare_arrays(x, x + noise * other, "cka-debiased") == pytest.approx(1 / (1 + noise**2), abs=0.02)
