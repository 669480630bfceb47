"""Each kernel by what a user sees of it: parameters, defaults, and what it says when it has no value."""

import numpy as np
import pytest

from cka_cli import specs
from cka_cli.reductions import kernels
from tests import oracle

MANY_DOUBLES = (
    "half of the distances or more are 0 to rounding (equal examples), so rbf:sigma=0.8 has no width and its values "
    "are nan"
)


def layers(n_examples=30, dtype=np.float64, seed=61):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_examples, 4))
    return x.astype(dtype), np.hstack([x[:, :2], rng.normal(size=(n_examples, 3))]).astype(dtype)


def test_every_kernel_a_user_may_name_is_there_and_has_a_formula():
    assert kernels.KERNELS.keys() == specs.KERNELS.keys() == oracle.KERNELS.keys()
    assert set(specs.KERNEL_ALIASES.values()) <= kernels.KERNELS.keys()
    for name, kernel in kernels.KERNELS.items():
        assert kernel.formula, name
        for parameter in specs.KERNELS[name].parameters:
            assert parameter.name in kernel.formula + kernel.note, f"{name} does not say what {parameter.name} is"


@pytest.mark.parametrize(
    ("text", "needs"),
    [(name, name == "rbf") for name in kernels.KERNELS] + [("rbf:gamma=2", False), ("rbf:sigma=2", True)],
)
def test_a_median_is_needed_where_a_width_is_a_share_of_it_and_nowhere_else(text, needs):
    assert kernels.needs_median(specs.parse_kernel(text)) == needs


@pytest.mark.parametrize("measure", ["cka", "cka-debiased", "hsic"])
@pytest.mark.parametrize("name", kernels.KERNELS)
def test_a_kernel_is_its_formula(compare_arrays, name, measure):
    x, y = layers()
    expected = oracle.value(x, y, measure, name)
    assert compare_arrays(x, y, measure, name) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", kernels.KERNELS)
def test_a_row_says_where_the_gram_matrix_is_that_of_the_features(compare_arrays, name):
    x, y = layers()
    is_linear = kernels.KERNELS[name].is_linear
    for measure in ("hsic", "hsic-unbiased"):
        is_scaled = compare_arrays(8 * x, y, measure, name) == pytest.approx(64 * compare_arrays(x, y, measure, name))
        assert is_scaled == is_linear


@pytest.mark.parametrize("name", ["polynomial", "sigmoid", "laplacian"])
def test_gamma_is_one_over_the_features_unless_given(compare_arrays, name):
    x, y = layers()
    x = np.hstack([x, y])[:, :5]  # both have 5 features
    assert compare_arrays(x, y, kernel=name) == compare_arrays(x, y, kernel=f"{name}:gamma=0.2")
    assert compare_arrays(x, y, kernel=name) != compare_arrays(x, y, kernel=f"{name}:gamma=0.3")


def test_sigma_is_gamma_in_units_of_the_median_distance(compare_arrays):
    x, _ = layers()
    y = 2.5 * x[:, ::-1]  # the same distances but for the units
    gamma = 1 / (2 * 0.4**2 * np.median(oracle.squared_distances(x)))
    k_x, k_y = oracle.gram(x, f"rbf:gamma={gamma}"), oracle.gram(y, f"rbf:gamma={gamma / 2.5**2}")
    assert oracle.cka(k_x, k_y) == pytest.approx(1)
    assert compare_arrays(x, y, kernel="rbf:sigma=0.4") == pytest.approx(1)
    z = layers(seed=62)[1]
    by_sigma = oracle.cka(k_x, oracle.gram(z, "rbf:sigma=0.4"))
    assert compare_arrays(x, z, kernel="rbf:sigma=0.4") == pytest.approx(by_sigma, abs=1e-12)


def test_polynomial_of_degree_one_is_linear_whatever_gamma_and_coef0(compare_arrays):
    x, y = layers()
    for kernel in ("polynomial:degree=1,gamma=1,coef0=0", "polynomial:degree=1,gamma=7,coef0=-3"):
        for measure in ("cka", "cka-debiased"):
            assert compare_arrays(x, y, measure, kernel) == pytest.approx(compare_arrays(x, y, measure), abs=1e-12)
    assert compare_arrays(x, y, "hsic", "polynomial:degree=1,gamma=2,coef0=5") == pytest.approx(
        4 * compare_arrays(x, y, "hsic"), rel=1e-12
    )


def test_cosine_is_linear_on_rows_of_unit_length(compare_arrays):
    x, y = (each / np.linalg.norm(each, axis=1)[:, None] for each in layers())
    assert compare_arrays(x, y, kernel="cosine") == pytest.approx(compare_arrays(x, y), abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cosine_with_a_row_of_zeros_is_zero_and_not_nan(compare_arrays, dtype):
    x, y = layers(dtype=dtype)
    x[3] = 0
    lengths = np.linalg.norm(x.astype(float), axis=1)
    unit = x / np.where(lengths > 0, lengths, 1)[:, None]
    expected = oracle.cka(unit @ unit.T, oracle.gram(y, "cosine"))
    assert compare_arrays(x, y, kernel="cosine") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n_examples", [4, 5, 6, 7, 40, 41])
def test_median_of_odd_and_even_numbers_of_distances(compare_arrays, n_examples):
    x, y = layers(n_examples)
    expected = oracle.value(x, y, "cka", "rbf:sigma=0.7")
    assert compare_arrays(x, y, kernel="rbf:sigma=0.7") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n_same", [15, 18, 20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_median_among_many_distances_of_zero(compare_arrays, dtype, n_same):
    x, y = layers(dtype=dtype)
    x[:n_same] = x[0]
    assert np.count_nonzero(oracle.squared_distances(x) == 0) < 30**2 / 2
    expected = oracle.value(x, y, "cka", "rbf")
    assert compare_arrays(x, y, kernel="rbf") == pytest.approx(expected, abs=1e-5 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_median_distance_of_zero_gives_nan_and_says_why(compare_layers, dtype):
    x, y = layers(dtype=dtype)
    x[:22] = 0
    x[26:] = -x[22:26]  # the mean is 0, exactly
    comparison = compare_layers(
        {"same": x, "yes": y}, {"y": y}, measures=["cka", "cka-debiased", "hsic"], kernels=["rbf"]
    )
    for matrix in comparison.matrices:
        assert np.isnan(matrix.values[0, 0])
        assert np.isfinite(matrix.values[1, 0])
    (note,) = comparison.notes
    assert note.endswith(f"::same: {MANY_DOUBLES}; give -k rbf:gamma=VALUE")
    assert note.count("::") == 1
    # A width of its own it can have.
    by_gamma = compare_layers({"same": x}, {"y": y}, kernels=["rbf:gamma=0.1"])
    assert by_gamma.notes == ()
    expected = oracle.value(x, y, "cka", "rbf:gamma=0.1")
    assert by_gamma.matrices[0].values[0, 0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_examples_are_at_a_distance_of_zero_wherever_they_lie(compare_arrays, dtype):
    values = []
    for n_features in (3, 10, 37, 100):
        for n_examples in (20, 37, 60):
            rng = np.random.default_rng(n_features)
            x, y = rng.normal(size=(2, n_examples, n_features)).astype(dtype) + dtype(3)
            x[: n_examples * 8 // 10] = x[0]
            assert np.median(oracle.squared_distances(x)) == 0
            values.append(compare_arrays(x, y, "cka", "rbf"))
    assert np.all(np.isnan(values))


def test_a_kernel_that_is_constant_on_a_layer_gives_nan_and_says_so(compare_layers):
    x, y = layers()
    comparison = compare_layers({"x": x, "y": y}, kernels=["linear", "sigmoid:coef0=800"])
    linear, sigmoid = (matrix.values for matrix in comparison.matrices)
    assert np.all(np.isfinite(linear))
    assert np.all(np.isnan(sigmoid))
    (note,) = comparison.notes
    assert note.endswith("the sigmoid:gamma=auto,coef0=800 kernel is constant to rounding, so its values are nan")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_cosine_of_a_single_positive_feature_is_constant(compare_layers, dtype):
    x, y = layers(dtype=dtype)
    comparison = compare_layers({"x": np.abs(x[:, :1])}, {"y": y}, kernels=["cosine"])
    assert np.isnan(comparison.matrices[0].values[0, 0])
    assert len(comparison.notes) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_narrowest_kernels_know_an_example_from_itself_alone(compare_layers, dtype):
    x, y = layers(dtype=dtype)
    comparison = compare_layers({"x": x}, {"y": y}, measures=["cka", "cka-debiased"], kernels=["rbf:gamma=1e6"])
    biased, debiased = (matrix.values[0, 0] for matrix in comparison.matrices)
    assert biased == pytest.approx(1, abs=1e-12)
    assert np.isnan(debiased)
    assert len(comparison.notes) == 1


@pytest.mark.parametrize("kernel", ["rbf:gamma=1e40", "rbf:sigma=1e-20"])
def test_a_kernel_may_be_narrower_than_float32_can_say(compare_arrays, kernel):
    x, y = layers(dtype=np.float32)
    assert compare_arrays(x, y, "cka", kernel) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("kernel", "dtype", "scale"),
    [
        ("rbf:gamma=1e60", np.float32, 1e-30),
        ("rbf:gamma=1e60", np.float64, 1e-30),
        ("rbf:gamma=1e-60", np.float32, 1e30),
        ("laplacian:gamma=1e30", np.float32, 1e-30),
        ("laplacian:gamma=1e-30", np.float64, 1e30),
        ("sigmoid:gamma=1e60", np.float32, 1e-30),
        ("polynomial:gamma=1e-60", np.float32, 1e30),
    ],
)
def test_parameters_are_in_the_units_of_the_data(compare_arrays, kernel, dtype, scale):
    x, y = (scale * each for each in layers())
    expected = oracle.value(x, y, "cka", kernel)
    assert compare_arrays(x.astype(dtype), y.astype(dtype), kernel=kernel) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "kernel", ["polynomial:degree=1000", "polynomial:gamma=1e300", "rbf:sigma=1e200", "rbf:sigma=1e-200"]
)
def test_a_value_lost_to_the_range_of_floats_comes_with_a_note(compare_layers, kernel):
    x, y = layers()
    comparison = compare_layers({"x": x}, {"y": y}, kernels=[kernel])
    assert np.isfinite(comparison.matrices[0].values[0, 0]) or comparison.notes


@pytest.mark.parametrize("kernel", ["rbf", "polynomial", "cosine", "laplacian", "sigmoid"])
def test_kernels_that_are_not_linear_differ_from_it(compare_arrays, kernel):
    x, y = layers()
    assert abs(compare_arrays(x, y, kernel=kernel) - compare_arrays(x, y)) > 1e-3
