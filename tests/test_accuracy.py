"""Agreement with the naive oracle where arithmetic is hard: offsets, scales, dtypes, sizes at the edges of tiles."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cka_cli.errors import DataError
from tests import oracle

HSIC_MEASURES = list(oracle.KERNEL_MEASURES)
FACTOR_MEASURES = list(oracle.FACTOR_MEASURES)
KERNELS = [
    "linear",
    "polynomial",
    "polynomial:degree=2,gamma=0.05,coef0=0",
    "polynomial:degree=9,gamma=0.01",
    "polynomial:degree=1",
    "rbf",
    "rbf:sigma=0.4",
    "rbf:gamma=0.01",
    "sigmoid",
    "sigmoid:gamma=0.003,coef0=-0.5",
    "laplacian",
    "laplacian:gamma=0.02",
    "cosine",
]
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=15)


def two_networks(n_examples, sizes=((12, 40), (25, 7)), *, offset=0.0, seed=0):
    """Layers of two networks that share a signal; `offset` in standard deviations of a feature."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_examples, 5))

    def layer(n_features):
        x = signal @ rng.normal(size=(5, n_features)) + rng.normal(size=(n_examples, n_features))
        return x / x.std() + offset * (1 + 0.1 * rng.normal(size=n_features))

    return tuple({f"{side}{place}": layer(size) for place, size in enumerate(sizes[side == "y"])} for side in "xy")


def expected_values(x, y, measure, kernel="linear"):
    return np.array([[oracle.value(a, b, measure, kernel) for b in y.values()] for a in x.values()])


def cast(layers, dtype, factor=1):
    return {name: (factor * values).astype(dtype) for name, values in layers.items()}


def values_of(comparison):
    return {(matrix.measure, matrix.kernel): matrix.values for matrix in comparison.matrices}


# --- every kernel and every measure


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_and_hsic_measure_agrees_with_the_oracle(compare_layers, kernel):
    x, y = two_networks(60)
    comparison = compare_layers(x, y, measures=HSIC_MEASURES, kernels=[kernel])
    assert comparison.notes == ()
    for measure, matrix in zip(HSIC_MEASURES, comparison.matrices, strict=True):
        np.testing.assert_allclose(matrix.values, expected_values(x, y, measure, kernel), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("measure", [*FACTOR_MEASURES, "svcca-r2:variance=0.8", "svcca-rho:variance=1"])
def test_every_measure_of_the_cca_family_agrees_with_the_oracle(compare_layers, measure):
    x, y = two_networks(80)
    values = compare_layers(x, y, measures=[measure]).matrices[0].values
    np.testing.assert_allclose(values, expected_values(x, y, measure), rtol=0, atol=1e-9)


@few
@given(seeds, st.integers(4, 30), st.lists(st.integers(1, 60), min_size=2, max_size=3))
def test_layers_of_any_width_agree_with_the_oracle(compare_layers, seed, n_examples, sizes):
    rng = np.random.default_rng(seed)
    x, y = (
        {f"{side}{place}": rng.normal(size=(n_examples, size)) + 1 for place, size in enumerate(sizes)} for side in "xy"
    )
    measures = ["cka", "cka-debiased", "hsic", "procrustes", "svcca-rho"]
    for measure, matrix in zip(measures, compare_layers(x, y, measures=measures).matrices, strict=True):
        np.testing.assert_allclose(matrix.values, expected_values(x, y, measure), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("n_examples", "n_features"), [(1300, 3), (8, 20000), (300, 300)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tall_wide_and_square_layers(compare_arrays, n_examples, n_features, dtype):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n_examples, n_features)).astype(dtype) + dtype(2)
    y = (x[:, : n_features // 2 + 1] + rng.normal(size=(n_examples, n_features // 2 + 1))).astype(dtype)
    # Rounding of single entries does not average out over 8 examples: single precision is never chosen for them.
    precision = "auto" if n_examples < 256 or dtype == np.float64 else "single"
    for measure in ("cka", "cka-debiased"):
        tolerance = 1e-6 if precision == "single" else 1e-9
        value = compare_arrays(x, y, measure, precision=precision)
        assert value == pytest.approx(oracle.value(x, y, measure), rel=0, abs=tolerance)


# --- sizes around the edges of tiles


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_examples", [4, 5, 511, 512, 513, 769, pytest.param(1025, marks=pytest.mark.slow)])
def test_any_number_of_examples_agrees_with_the_oracle(compare_layers, n_examples, dtype):
    x, y = two_networks(n_examples, ((6,), (3, 30)))
    x, y = cast(x, dtype), cast(y, dtype)
    options = {"measures": ["cka", "cka-debiased"], "kernels": ["linear", "rbf:sigma=0.5"]}
    found = values_of(compare_layers(x, y, **options))
    # Debiasing 4 examples leaves 2 degrees of freedom: what is left is small beside what cancelled.
    tolerance = 1e-9 if dtype == np.float64 else 1e-5 if n_examples == 4 else 1e-6
    for (measure, kernel), values in found.items():
        np.testing.assert_allclose(values, expected_values(x, y, measure, kernel), rtol=0, atol=tolerance)


@pytest.mark.parametrize("n_examples", [513, 769])
@pytest.mark.parametrize("kernel", ["polynomial:degree=2", "laplacian", "cosine", "rbf:gamma=0.02"])
def test_other_kernels_across_tiles(compare_layers, n_examples, kernel):
    x, y = two_networks(n_examples, ((6,), (3,)))
    for measure, matrix in zip(
        HSIC_MEASURES, compare_layers(x, y, measures=HSIC_MEASURES, kernels=[kernel]).matrices, strict=True
    ):
        np.testing.assert_allclose(matrix.values, expected_values(x, y, measure, kernel), rtol=1e-9, atol=1e-12)


def test_three_examples_are_enough_for_biased_values(compare_arrays):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(3, 4)), rng.normal(size=(3, 2))
    for kernel in ("linear", "rbf"):
        assert compare_arrays(x, y, "cka", kernel) == pytest.approx(oracle.value(x, y, "cka", kernel), abs=1e-9)


# --- offsets


@pytest.mark.parametrize("kernel", ["linear", "rbf", "rbf:sigma=0.3"])
@pytest.mark.parametrize("offset", [10, 100, 1000])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int16, np.int32, np.int64, np.float64])
def test_means_far_from_zero_cost_no_digits(compare_layers, dtype, offset, kernel):
    x, y = two_networks(150, offset=offset)
    factor = 20 if np.dtype(dtype).kind == "i" else 1
    x, y = cast(x, dtype, factor), cast(y, dtype, factor)
    measures = ["cka", "cka-debiased"]
    # Neither kernel feels a shift: the oracle takes it off first, in float64.
    x_c, y_c = ({name: oracle.centred(values) for name, values in side.items()} for side in (x, y))
    for measure, matrix in zip(
        measures, compare_layers(x, y, measures=measures, kernels=[kernel]).matrices, strict=True
    ):
        np.testing.assert_allclose(matrix.values, expected_values(x_c, y_c, measure, kernel), rtol=0, atol=1e-6)


@pytest.mark.parametrize("measure", FACTOR_MEASURES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_means_far_from_zero_cost_the_cca_family_no_digits(compare_layers, dtype, measure):
    x, y = two_networks(150, offset=1000)
    x, y = cast(x, dtype), cast(y, dtype)
    values = compare_layers(x, y, measures=[measure]).matrices[0].values
    np.testing.assert_allclose(values, expected_values(x, y, measure), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kernel", ["polynomial:gamma=0.001", "sigmoid:gamma=0.0003", "cosine", "laplacian"])
@pytest.mark.parametrize("offset", [1, 10])
def test_kernels_that_feel_the_mean_see_the_features_as_saved(compare_layers, kernel, offset):
    x, y = two_networks(150, offset=offset)
    x, y = cast(x, np.float32), cast(y, np.float32)
    values = compare_layers(x, y, kernels=[kernel]).matrices[0].values
    np.testing.assert_allclose(values, expected_values(x, y, "cka", kernel), rtol=0, atol=1e-6)
    if kernel != "laplacian":
        x_c = {name: oracle.centred(layer) for name, layer in x.items()}
        assert np.abs(values - expected_values(x_c, y, "cka", kernel)).max() > 1e-4


# --- scales


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e10, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_units_do_not_matter(compare_layers, dtype, scale):
    x, y = two_networks(40)
    scaled_x, scaled_y = cast(x, dtype, scale), cast(y, dtype, scale)
    tolerance = 1e-6 if dtype == np.float32 else 1e-9
    found = values_of(compare_layers(scaled_x, scaled_y, measures=["cka", "cka-debiased"], kernels=["linear", "rbf"]))
    for (measure, kernel), values in found.items():
        np.testing.assert_allclose(values, expected_values(x, y, measure, kernel), rtol=0, atol=tolerance)
    for measure in FACTOR_MEASURES:
        values = compare_layers(scaled_x, scaled_y, measures=[measure]).matrices[0].values
        np.testing.assert_allclose(values, expected_values(x, y, measure), rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e200, 1e300])
def test_units_at_the_ends_of_float64_do_not_matter(compare_layers, scale):
    x, y = two_networks(40)
    found = values_of(compare_layers(cast(x, float, scale), cast(y, float, scale), kernels=["linear", "rbf"]))
    for (measure, kernel), values in found.items():
        np.testing.assert_allclose(values, expected_values(x, y, measure, kernel), rtol=0, atol=1e-9)


def test_layers_of_very_different_units_are_compared(compare_layers):
    x, y = two_networks(40)
    scaled = {name: values * 1e20 ** (place + 1) for place, (name, values) in enumerate(y.items())}
    scaled_x, scaled_y = cast(x, np.float32, 1e-25), cast(scaled, np.float64)
    values = compare_layers(scaled_x, scaled_y).matrices[0].values
    np.testing.assert_allclose(values, expected_values(x, y, "cka"), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kernel", ["linear", "rbf", "cosine"])
@pytest.mark.parametrize(
    ("dtype", "n_examples", "sizes"),
    [
        (np.float64, 60, ((12, 40), (25, 7))),
        (np.float64, 30, ((100,), (50,))),
        (np.float32, 30, ((100,), (50,))),
        (np.float32, 60, ((12, 40), (25, 7))),
    ],
)
def test_one_large_example_does_not_drown_the_others(compare_layers, dtype, n_examples, sizes, kernel):
    x, y = two_networks(n_examples, sizes)
    for side in (x, y):
        for values in side.values():
            values[7] *= 300
    x, y = cast(x, dtype), cast(y, dtype)
    measures = ["cka", "cka-debiased"]
    for measure, matrix in zip(
        measures, compare_layers(x, y, measures=measures, kernels=[kernel]).matrices, strict=True
    ):
        expected = expected_values(x, y, measure, kernel)
        np.testing.assert_allclose(matrix.values, expected, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-9)


# --- Gram matrices that are nearly constant

NEARLY_CONSTANT = [
    ("polynomial:gamma=1e-05", 0.0),
    ("sigmoid:gamma=1e-05", 0.0),
    ("sigmoid", 2.5),
    ("laplacian:gamma=1e-05", 0.0),
    ("rbf:gamma=1e-05", 0.0),
    ("cosine", 100.0),
    ("cosine", 1000.0),
]


@pytest.mark.parametrize(("kernel", "offset"), NEARLY_CONSTANT)
def test_a_nearly_constant_gram_matrix_keeps_its_digits(compare_layers, kernel, offset):
    x, y = two_networks(60, offset=offset)
    measures = ["cka", "cka-debiased"]
    for measure, matrix in zip(
        measures, compare_layers(x, y, measures=measures, kernels=[kernel]).matrices, strict=True
    ):
        expected = expected_from_centred_grams(x, y, measure, kernel)
        np.testing.assert_allclose(matrix.values, expected, rtol=0, atol=1e-6)
    for matrix in compare_layers(x, measures=measures, kernels=[kernel]).matrices:
        np.testing.assert_allclose(np.diag(matrix.values), 1, rtol=0, atol=1e-9)


def expected_from_centred_grams(x, y, measure, kernel):
    """As the oracle, but centre each Gram matrix first: then nothing cancels in the sums."""
    sides = []
    for side in (x, y):
        grams = []
        for values in side.values():
            k = oracle.gram(values, kernel)
            k = k - k.mean(axis=0)
            grams.append(k - k.mean(axis=1)[:, None])
        sides.append(grams)
    estimator = oracle.hsic_unbiased if measure == "cka-debiased" else oracle.hsic_biased
    return np.array([[oracle.cka(a, b, estimator) for b in sides[1]] for a in sides[0]])


# --- precision


@few
@given(seeds, st.integers(8, 60), st.lists(st.integers(1, 300), min_size=3, max_size=3, unique=True))
def test_single_and_double_precision_agree(compare_layers, seed, n_examples, sizes):
    rng = np.random.default_rng(seed)
    layers = {f"l{place}": rng.normal(size=(n_examples, size)) + rng.normal() for place, size in enumerate(sizes)}
    options = {"measures": ["cka", "cka-debiased"], "kernels": ["linear", "rbf", "sigmoid:gamma=0.001"]}
    single = compare_layers(layers, precision="single", **options)
    double = compare_layers(layers, precision="double", **options)
    for one, other in zip(single.matrices, double.matrices, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-6)


def by_precision(compare_layers, x, y, dtype):
    layers = cast(x, dtype), cast(y, dtype)
    names = ("auto", "single", "double")
    return [compare_layers(*layers, precision=name).matrices[0].values for name in names]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int16, np.float64, np.int32])
def test_auto_precision_is_single_for_large_jobs_of_values_that_float32_holds(compare_layers, dtype):
    # More than 10⁹ multiplications.
    x, y = two_networks(1000, ((600,), (600,)))
    auto, single, double = by_precision(compare_layers, x, y, dtype)
    np.testing.assert_array_equal(auto, double if dtype in (np.float64, np.int32) else single)
    assert np.any(single != double)
    np.testing.assert_allclose(single, double, rtol=0, atol=1e-6)


def test_auto_precision_of_the_cosine_is_double_since_small_rows_count_as_much(compare_layers):
    x, y = two_networks(1000, ((600,), (600,)))
    for values in (*x.values(), *y.values()):
        values[7] *= 1e5
    x, y = cast(x, np.float32), cast(y, np.float32)
    value = compare_layers(x, y, kernels=["cosine"], precision="auto").matrices[0].values
    np.testing.assert_allclose(value, expected_values(x, y, "cka", "cosine"), rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_auto_precision_is_double_for_small_jobs(compare_layers, dtype):
    auto, single, double = by_precision(compare_layers, *two_networks(40), dtype)
    np.testing.assert_array_equal(auto, double)
    assert np.any(single != double)


def test_one_large_example_does_not_drown_the_others_of_a_large_job(compare_layers):
    x, y = two_networks(4000, ((12, 40), (25, 7)))
    for values in (*x.values(), *y.values()):
        values[7] *= 3000
    layers = cast(x, np.float32), cast(y, np.float32)
    auto, double = (
        compare_layers(*layers, measures=["cka-debiased"], precision=name).matrices[0].values
        for name in ("auto", "double")
    )
    np.testing.assert_allclose(auto, double, rtol=0, atol=1e-5)


def test_integers_that_float32_cannot_hold_are_computed_in_double(compare_layers):
    x, y = two_networks(40)
    x, y = ({name: (values * 1e3).astype(np.int64) + 2**40 for name, values in side.items()} for side in (x, y))
    values = compare_layers(x, y).matrices[0].values
    centred_x, centred_y = ({name: oracle.centred(values - 2**40) for name, values in side.items()} for side in (x, y))
    np.testing.assert_allclose(values, expected_values(centred_x, centred_y, "cka"), rtol=0, atol=1e-9)


def test_booleans_are_numbers(compare_arrays):
    rng = np.random.default_rng(3)
    x, y = rng.random((50, 8)) < 0.5, rng.random((50, 5)) < 0.3
    assert compare_arrays(x, y) == pytest.approx(oracle.value(x, y), abs=1e-6)


# --- one run, many runs


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_threads_gives_the_same_bits(compare_layers, dtype):
    x, y = two_networks(1100, ((6, 40), (3, 30)))
    options = {"measures": [*HSIC_MEASURES, "cca-rho", "procrustes"], "kernels": ["linear", "rbf", "polynomial"]}
    alone, *others = (
        compare_layers(cast(x, dtype), cast(y, dtype), n_threads=n_threads, **options) for n_threads in (1, 2, 3, 7)
    )
    for other in others:
        for one, two in zip(alone.matrices, other.matrices, strict=True):
            np.testing.assert_array_equal(one.values, two.values)


@pytest.mark.parametrize("n_threads", [2, 3, 7])
def test_any_number_of_threads_gives_the_same_values_but_for_rounding(compare_layers, n_threads):
    x, y = two_networks(1100, ((6, 40), (3, 30)))
    options = {"measures": [*HSIC_MEASURES, "cca-rho", "procrustes"], "kernels": ["linear", "rbf", "polynomial"]}
    for one, two in zip(
        compare_layers(x, y, **options).matrices,
        compare_layers(x, y, n_threads=n_threads, **options).matrices,
        strict=True,
    ):
        np.testing.assert_allclose(one.values, two.values, rtol=1e-11)


@pytest.mark.parametrize(
    ("kernels", "offset"),
    [
        (["linear"], 0.0),
        (["linear"], 3000.0),
        (["linear", "rbf", "rbf:gamma=0.0001"], 1000.0),
        (["laplacian", "cosine", "sigmoid"], 0.0),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_memory_changes_the_values_by_rounding_alone(compare_layers, dtype, kernels, offset):
    # 10 or 20 MB of values, so that with little memory they are read in pieces, and in tiles.
    x, y = two_networks(150, ((8000, 30), (8000, 300)), offset=offset)
    x, y = cast(x, dtype), cast(y, dtype)
    options = {"measures": HSIC_MEASURES, "kernels": kernels}
    plenty, *others = (compare_layers(x, y, memory_bytes=size << 20, **options) for size in (8192, 8, 12))
    for little in others:
        for one, two in zip(plenty.matrices, little.matrices, strict=True):
            np.testing.assert_allclose(one.values, two.values, rtol=2e-6 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize("measure", ["cka", "pwcca", "cca-r2"])
@pytest.mark.parametrize("sizes", [((8000, 30), (8000, 300)), ((3, 5), (4,))])
def test_memory_that_is_said_to_be_enough_is_enough(compare_layers, measure, sizes):
    x, y = two_networks(150, sizes)
    with pytest.raises(DataError, match=r"; give at least --memory \d+MiB, or fewer") as caught:
        compare_layers(x, y, measures=[measure], memory_bytes=1 << 20)
    least = int(re.search(r"at least --memory (\d+)MiB", str(caught.value))[1])
    values = compare_layers(x, y, measures=[measure], memory_bytes=least << 20).matrices[0].values
    plenty = compare_layers(x, y, measures=[measure], memory_bytes=1 << 33).matrices[0].values
    np.testing.assert_allclose(values, plenty, rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_several_measures_and_kernels_in_one_run_equal_single_runs(compare_layers, dtype):
    x, y = two_networks(70)
    x, y = cast(x, dtype), cast(y, dtype)
    measures, kernels = ["cka", "cka-debiased", "hsic", "svcca-r2", "pwcca"], ["linear", "rbf", "cosine", "laplacian"]
    together = compare_layers(x, y, measures=measures, kernels=kernels)
    assert len(together.matrices) == 3 * 4 + 2
    for matrix in together.matrices:
        (alone,) = compare_layers(x, y, measures=[matrix.measure], kernels=[matrix.kernel or "linear"]).matrices
        assert (alone.measure, alone.kernel) == (matrix.measure, matrix.kernel)
        # Beside a kernel or measure that needs other sums, single precision may round elsewhere.
        np.testing.assert_allclose(alone.values, matrix.values, rtol=2e-7 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("measure", ["cka", "cka-debiased", *FACTOR_MEASURES])
def test_a_layer_with_itself_is_one(compare_layers, measure, dtype):
    x = cast(two_networks(80)[0], dtype)
    kernels = ["linear", "rbf", "polynomial", "sigmoid", "laplacian", "cosine"]
    for matrix in compare_layers(x, measures=[measure], kernels=kernels).matrices:
        np.testing.assert_allclose(np.diag(matrix.values), 1, rtol=0, atol=1e-12)
        assert np.all(matrix.values[~np.eye(2, dtype=bool)] < 0.999)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_file_alone_is_compared_with_itself(compare_layers, dtype):
    x = cast({**two_networks(600)[0], **two_networks(600)[1]}, dtype)
    options = {"measures": [*HSIC_MEASURES, *FACTOR_MEASURES], "kernels": ["linear", "rbf"]}
    alone, paired = compare_layers(x, **options), compare_layers(x, x, **options)
    for one, two in zip(alone.matrices, paired.matrices, strict=True):
        assert one.x_layers == one.y_layers == two.x_layers == two.y_layers == tuple(x)
        assert one.x_file == one.y_file
        np.testing.assert_allclose(one.values, two.values, rtol=1e-12, atol=1e-14)
        if one.measure not in ("pwcca", "regression-r2"):
            np.testing.assert_allclose(one.values, one.values.T, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_layer_saved_twice_gives_the_same_values_twice(compare_layers, dtype):
    x, y = two_networks(70)
    x, y = cast(x, dtype), cast(y, dtype)
    doubled = {**x, "x9": x["x0"].copy()}
    for matrix in compare_layers(doubled, y, measures=["cka", "cka-debiased", "cca-r2"], kernels=["rbf"]).matrices:
        np.testing.assert_allclose(matrix.values[2], matrix.values[0], rtol=1e-12)
    values = compare_layers(doubled).matrices[0].values
    assert values[0, 2] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_doubled_examples_agree_with_the_oracle(compare_layers, dtype):
    x, y = (cast(side, dtype) for side in two_networks(40))
    x, y = ({name: np.vstack([values, values[:15]]) for name, values in side.items()} for side in (x, y))
    found = values_of(compare_layers(x, y, measures=["cka", "cka-debiased"], kernels=["linear", "rbf", "laplacian"]))
    tolerance = 1e-6 if dtype == np.float32 else 1e-9
    for (measure, kernel), values in found.items():
        kernel = kernel.removesuffix(":gamma=auto")
        np.testing.assert_allclose(values, expected_values(x, y, measure, kernel), rtol=0, atol=tolerance)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_debiased_values_of_noise_fall_on_both_sides_of_zero(compare_layers, kernel):
    rng = np.random.default_rng(4)
    x, y = ({f"{side}{place}": rng.normal(size=(30, 10)) for place in range(6)} for side in "xy")
    options = {"measures": ["cka-debiased", "hsic-unbiased", "cka"], "kernels": [kernel]}
    debiased, unbiased, biased = (matrix.values for matrix in compare_layers(x, y, **options).matrices)
    assert np.count_nonzero(debiased < 0) > 8
    assert np.count_nonzero(debiased > 0) > 8
    np.testing.assert_array_equal(debiased < 0, unbiased < 0)
    assert np.all(biased > 0)


def test_values_do_not_depend_on_the_other_layers_of_the_run(compare_layers):
    x, y = two_networks(50)
    together = compare_layers(x, y, measures=["cka", "pwcca"], kernels=["rbf"])
    for (i, a), (j, b) in itertools.product(enumerate(x), enumerate(y)):
        alone = compare_layers({a: x[a]}, {b: y[b]}, measures=["cka", "pwcca"], kernels=["rbf"])
        for one, many in zip(alone.matrices, together.matrices, strict=True):
            assert one.values[0, 0] == pytest.approx(many.values[i, j], rel=1e-12)
