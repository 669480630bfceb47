"""Mistakes that other tools made: on data where each one matters, its value is not the one given here.

Every test works out the wrong value too, and shows that it is wrong.
"""

import numpy as np
import pytest

from cka_cli.options import ReadOptions
from cka_cli.reductions.kernels import KERNELS
from cka_cli.specs import parse_kernel
from tests import oracle


def shared_signal(n_examples=60, sizes=(12, 8), *, noise=1.0, seed=21):
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_examples, 4))
    return tuple(signal @ rng.normal(size=(4, size)) + noise * rng.normal(size=(n_examples, size)) for size in sizes)


def differs(wrong, right, by=1e-2):
    """Whether a wrong value is wrong by more than a little, NaN included."""
    return not abs(wrong - right) <= by


def hkh(k):
    h = np.eye(len(k), dtype=k.dtype) - k.dtype.type(1 / len(k))
    return h @ k @ h


# --- arithmetic


@pytest.mark.parametrize("offset", [100, 1000])
def test_gram_matrix_of_float32_values_as_saved(compare_arrays, offset):
    x, y = (
        (values / values.std() + offset * 10).astype(np.float32) for values in shared_signal(sizes=(100, 80), noise=2.0)
    )
    right = oracle.value(oracle.centred(x), oracle.centred(y))
    k_x, k_y = hkh(x @ x.T), hkh(y @ y.T)
    with np.errstate(all="ignore"):
        wrong = np.sum(k_x * k_y) / np.sqrt(np.sum(k_x * k_x) * np.sum(k_y * k_y))
    assert differs(wrong, right)
    assert compare_arrays(x, y) == pytest.approx(right, abs=1e-6)


def test_debiased_sums_of_float32_values_as_saved(compare_arrays):
    x, y = ((values + 1000).astype(np.float32) for values in shared_signal())
    right = oracle.value(oracle.centred(x), oracle.centred(y), "cka-debiased")
    with np.errstate(all="ignore"):
        wrong = oracle.cka(x @ x.T, y @ y.T, oracle.hsic_unbiased)
    assert differs(wrong, right)
    assert compare_arrays(x, y, "cka-debiased") == pytest.approx(right, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_epsilon_in_the_denominator(compare_arrays, dtype):
    x = (1e-4 * shared_signal()[0]).astype(dtype)
    k = oracle.gram(x)
    norm = oracle.hsic_biased(k, k)
    assert norm / (norm + 1e-8) < 0.5
    assert compare_arrays(x, x.copy()) == pytest.approx(1, abs=1e-12)


def test_negative_squared_distances(compare_arrays):
    # Doubled examples far from 0: rounding makes their squared distance negative, and exp of it above 1.
    x, y = (np.repeat(values[:20] + 3000, 3, axis=0).astype(np.float32) for values in shared_signal())
    norms = (x * x).sum(axis=1)
    distances = norms[:, None] + norms - 2 * (x @ x.T)
    assert distances.min() < -1
    right = oracle.value(x, y, "cka", "rbf:gamma=0.5")
    k_x, k_y = np.exp(-0.5 * distances.astype(np.float64)), oracle.gram(y, "rbf:gamma=0.5")
    assert differs(oracle.cka(k_x, k_y), right)
    assert compare_arrays(x, y, "cka", "rbf:gamma=0.5") == pytest.approx(right, abs=1e-6)


def test_no_entry_of_an_rbf_gram_matrix_exceeds_one(compare_arrays):
    # A kernel so narrow that the rounding of a distance of 0 decides: below 0, an entry would be e to the 100.
    x = np.repeat(shared_signal(seed=28)[0][:20], 3, axis=0).astype(np.float32)
    norms = (x * x).sum(axis=1)
    assert (norms[:, None] + norms - 2 * (x @ x.T)).min() < -1e-6
    largest = (60 / 59) ** 2  # ‖HKH‖² ≤ ‖K‖² ≤ n²
    assert compare_arrays(x, x, "hsic", "rbf:gamma=1e8") <= largest


def test_cca_through_inverse_square_roots_of_covariances(compare_arrays):
    # An integer map of few bits and powers of two: X is an exact linear map of `plain`, at a condition of 1e9.
    rng = np.random.default_rng(3)
    half = rng.integers(-1000, 1000, size=(20, 6)) / 256
    plain = np.vstack([half, -half])
    y = plain[:, :3] @ rng.normal(size=(3, 5)) + 3 * rng.normal(size=(40, 5))
    upper = np.triu(rng.integers(-2, 3, size=(6, 6)), 1) + np.eye(6)
    lower = np.tril(rng.integers(-2, 3, size=(6, 6)), -1) + np.eye(6)
    x = plain * 2.0 ** -np.arange(0, 24, 4) @ (upper @ lower)
    assert np.linalg.cond(x) > 1e9

    def inverse_root(covariance):
        variances, directions = np.linalg.eigh(covariance)
        return directions / np.sqrt(np.abs(variances)) @ directions.T

    x_c, y_c = oracle.centred(x), oracle.centred(y)
    product = inverse_root(x_c.T @ x_c) @ x_c.T @ y_c @ inverse_root(y_c.T @ y_c)
    wrong = np.linalg.svd(product, compute_uv=False).mean()
    rho = oracle.correlations(plain, y)
    assert differs(wrong, rho.mean(), 1e-3)
    assert compare_arrays(x, y, "cca-rho") == pytest.approx(rho.mean(), abs=1e-7)
    assert compare_arrays(x, y, "cca-r2") == pytest.approx((rho**2).mean(), abs=1e-7)


# --- estimators


def test_negative_values_clamped_to_zero(compare_arrays):
    rng = np.random.default_rng(22)
    values = [compare_arrays(rng.normal(size=(20, 8)), rng.normal(size=(20, 8)), "cka-debiased") for _ in range(40)]
    assert min(values) < -0.02
    assert abs(np.mean(values)) < 0.05  # and clamped they are 0.04 on average
    assert np.mean(np.maximum(values, 0)) > abs(np.mean(values))


def test_debiased_numerator_over_biased_norms(compare_arrays):
    x, y = shared_signal(n_examples=20, sizes=(40, 40), noise=2.0)
    k_x, k_y = oracle.gram(x), oracle.gram(y)
    right = oracle.cka(k_x, k_y, oracle.hsic_unbiased)
    norms = oracle.hsic_biased(k_x, k_x) * oracle.hsic_biased(k_y, k_y)
    assert differs(oracle.hsic_unbiased(k_x, k_y) / np.sqrt(norms), right)
    assert compare_arrays(x, y, "cka-debiased") == pytest.approx(right, abs=1e-9)


def test_diagonal_zeroed_after_centring(compare_arrays):
    x, y = shared_signal(n_examples=20, sizes=(40, 40), noise=3.0)
    k_x, k_y = oracle.gram(x), oracle.gram(y)
    right = oracle.cka(k_x, k_y, oracle.hsic_unbiased)
    off_diagonal = ~np.eye(20, dtype=bool)
    c_x, c_y = (hkh(k)[off_diagonal] for k in (k_x, k_y))
    assert differs(c_x @ c_y / np.sqrt(c_x @ c_x * (c_y @ c_y)), right)
    assert compare_arrays(x, y, "cka-debiased") == pytest.approx(right, abs=1e-9)


def test_diagonal_taken_off_every_row(compare_arrays):
    x, y = shared_signal(n_examples=20, sizes=(40, 40))
    k_x, k_y = oracle.gram(x), oracle.gram(y)
    right = oracle.cka(k_x, k_y, oracle.hsic_unbiased)

    def broken(k_x, k_y):  # K − diag(K) takes a vector off every row, and leaves no zero diagonal
        n = len(k_x)
        k_x, k_y = k_x - np.diag(k_x), k_y - np.diag(k_y)
        sums = np.trace(k_x @ k_y) + k_x.sum() * k_y.sum() / ((n - 1) * (n - 2))
        return (sums - 2 / (n - 2) * (k_x @ k_y).sum()) / (n * (n - 3))

    with np.errstate(invalid="ignore"):
        assert differs(oracle.cka(k_x, k_y, broken), right)
    assert compare_arrays(x, y, "cka-debiased") == pytest.approx(right, abs=1e-9)


def test_gretton_denominator_is_not_n_squared(compare_arrays):
    x, y = shared_signal(n_examples=12)
    k_x, k_y = oracle.gram(x), oracle.gram(y)
    right = oracle.hsic_biased(k_x, k_y)
    assert np.sum(hkh(k_x) * hkh(k_y)) / 12**2 < 0.9 * right
    assert compare_arrays(x, y, "hsic") == pytest.approx(right, rel=1e-12)


# --- the width of the rbf kernel


def test_sigma_without_the_half(compare_arrays):
    x, y = shared_signal()
    right = oracle.value(x, y, "cka", "rbf:sigma=0.5")
    distances = [oracle.squared_distances(values) for values in (x, y)]
    wrong = oracle.cka(*(np.exp(-each / (0.25 * np.median(each))) for each in distances))
    assert differs(wrong, right)
    assert compare_arrays(x, y, "cka", "rbf:sigma=0.5") == pytest.approx(right, abs=1e-9)


def test_sigma_of_one_in_the_units_of_the_data(compare_arrays):
    rng = np.random.default_rng(23)
    x, y = rng.normal(size=(50, 300)), rng.normal(size=(50, 300))
    wrong = oracle.value(x, y, "cka", "rbf:gamma=0.5")
    assert wrong > 0.999  # noise looks the same as noise
    for kernel in ("rbf", "rbf:sigma=1"):
        value = compare_arrays(x, y, "cka", kernel)
        assert value < 0.95
        assert value == pytest.approx(oracle.value(x, y, "cka", kernel), abs=1e-9)
    assert abs(compare_arrays(x, y, "cka-debiased", "rbf")) < 0.15


def test_median_without_the_zero_diagonal(compare_arrays):
    x, y = shared_signal(n_examples=8)
    off_diagonal = ~np.eye(8, dtype=bool)
    distances = [oracle.squared_distances(values) for values in (x, y)]
    other = oracle.cka(*(np.exp(-each / (2 * 0.25 * np.median(each[off_diagonal]))) for each in distances))
    right = oracle.value(x, y, "cka", "rbf:sigma=0.5")
    assert differs(other, right)
    assert compare_arrays(x, y, "cka", "rbf:sigma=0.5") == pytest.approx(right, abs=1e-9)
    assert "zero diagonal included" in KERNELS["rbf"].note  # which convention it is, is said


# --- the CCA family


def test_variance_kept_by_singular_values_instead_of_their_squares(compare_arrays):
    x, y = shared_signal(noise=0.7)
    (u_x, s_x, _), (u_y, s_y, _) = (np.linalg.svd(oracle.centred(each), full_matrices=False) for each in (x, y))
    n_x, n_y = (1 + int(np.argmax(np.cumsum(s) / s.sum() >= 0.9)) for s in (s_x, s_y))
    wrong = np.linalg.svd(u_x[:, :n_x].T @ u_y[:, :n_y], compute_uv=False).mean()
    right = oracle.value(x, y, "svcca-rho:variance=0.9")
    assert differs(wrong, right)
    assert compare_arrays(x, y, "svcca-rho:variance=0.9") == pytest.approx(right, abs=1e-9)


def test_share_of_variance_taken_for_a_threshold_of_singular_values(compare_arrays):
    x, y = shared_signal(noise=0.7)
    (u_x, s_x, _), (u_y, s_y, _) = (np.linalg.svd(oracle.centred(each), full_matrices=False) for each in (x, y))
    n_x, n_y = (np.count_nonzero(s > (1 - 0.8) * s[0]) for s in (s_x, s_y))
    wrong = np.linalg.svd(u_x[:, :n_x].T @ u_y[:, :n_y], compute_uv=False).mean()
    right = oracle.value(x, y, "svcca-rho:variance=0.8")
    assert differs(wrong, right)
    assert compare_arrays(x, y, "svcca-rho:variance=0.8") == pytest.approx(right, abs=1e-9)


def test_projection_weights_from_the_other_layer_or_from_values_as_saved(compare_arrays):
    x, y = shared_signal(sizes=(6, 9))
    x, y = x * 3.0 ** -np.arange(6) + 2, y * 3.0 ** np.arange(9)
    right = oracle.pwcca(x, y)
    from_other = oracle.pwcca(y, x)
    products, rho = oracle.variate_products(x, y)
    q_x = oracle.basis(x)
    variates = q_x @ np.linalg.svd(q_x.T @ oracle.basis(y))[0]
    columns_as_weights = np.abs(products).sum(axis=0)
    as_saved = np.abs((variates + 0.2).T @ x).sum(axis=1)
    assert differs(from_other, right)
    assert differs(columns_as_weights @ rho / columns_as_weights.sum(), right)
    assert differs(as_saved @ rho / as_saved.sum(), right)
    assert compare_arrays(x, y, "pwcca") == pytest.approx(right, abs=1e-9)
    assert compare_arrays(y, x, "pwcca") == pytest.approx(right, abs=1e-9)  # of the narrower, whichever comes first


# --- axes and labels


def test_channels_taken_for_examples(compare_arrays):
    rng = np.random.default_rng(24)
    x = rng.normal(size=(30, 5, 4, 4)) + rng.normal(size=(30, 5, 1, 1))
    y = x.mean(axis=(2, 3)) @ rng.normal(size=(5, 7)) + rng.normal(size=(30, 7))
    right = oracle.value(x.reshape(30, -1), y)
    assert compare_arrays(x, y) == pytest.approx(right, abs=1e-9)
    pooled = oracle.value(x.mean(axis=(2, 3)), y)
    assert compare_arrays(x, y, read=ReadOptions(pool="mean")) == pytest.approx(pooled, abs=1e-9)
    wrong = oracle.value(x.mean(axis=(1, 2)), y)
    assert differs(wrong, pooled)
    last = ReadOptions(pool="mean", channels="last")
    assert compare_arrays(x, y, read=last) == pytest.approx(wrong, abs=1e-9)
    assert compare_arrays(np.moveaxis(x, 1, -1), y, read=last) == pytest.approx(pooled, abs=1e-9)


def test_every_position_as_an_example(compare_arrays):
    rng = np.random.default_rng(25)
    x, y = rng.normal(size=(10, 5, 3, 2)), rng.normal(size=(10, 4, 3, 2))
    rows_x, rows_y = (np.moveaxis(each, 1, -1).reshape(60, -1) for each in (x, y))
    value = compare_arrays(x, y, read=ReadOptions(pool="positions", channels="first"))
    assert value == pytest.approx(oracle.value(rows_x, rows_y), abs=1e-9)
    assert differs(value, oracle.value(x.reshape(60, -1)[:, :1], y.reshape(60, -1)[:, :1]))


def test_matrix_transposed_against_its_labels(compare_layers):
    rng = np.random.default_rng(26)
    x = {f"x{place}": rng.normal(size=(30, 3 + place)) for place in range(2)}
    y = {f"y{place}": np.hstack([x[f"x{place % 2}"], rng.normal(size=(30, 1 + place))]) for place in range(3)}
    for measure in ("cka", "cka-debiased", "regression-r2", "pwcca", "cca-rho"):
        (matrix,) = compare_layers(x, y, measures=[measure]).matrices
        assert (matrix.x_layers, matrix.y_layers) == (tuple(x), tuple(y))
        assert matrix.values.shape == (2, 3)
        for (i, a), (j, b) in ((i, j) for i in enumerate(x.items()) for j in enumerate(y.items())):
            assert matrix.values[i, j] == pytest.approx(oracle.value(a[1], b[1], measure), abs=1e-9)


def test_each_second_file_has_its_own_matrix(tmp_path):
    from cka_cli.api.compare import compare

    rng = np.random.default_rng(27)
    arrays = {name: rng.normal(size=(30, size)) for name, size in (("x", 3), ("y", 4), ("z", 5))}
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    x, y, z = (str(tmp_path / f"{name}.npy") for name in "xyz")
    matrices = compare(x, [y, z], measures=["cka", "regression-r2"], kernels=["linear", "rbf"]).matrices
    found = [(matrix.x_file, matrix.y_file, matrix.measure, matrix.kernel) for matrix in matrices]
    kinds = [("cka", "linear"), ("cka", str(parse_kernel("rbf"))), ("regression-r2", "")]
    assert found == [(x, other, *kind) for other in (y, z) for kind in kinds]
    for matrix in matrices:
        other = arrays["y" if matrix.y_file == y else "z"]
        expected = oracle.value(arrays["x"], other, matrix.measure, matrix.kernel)
        assert matrix.values[0, 0] == pytest.approx(expected, abs=1e-9)


# --- a value that cannot be


@pytest.mark.parametrize("measure", ["cka", "cka-debiased", "hsic", *oracle.FACTOR_MEASURES])
def test_nan_comes_with_the_name_of_the_layer_that_caused_it(compare_layers, measure):
    x, y = shared_signal()
    layers = {"dead": np.full((60, 5), 3.7), "fine": x}
    comparison = compare_layers(layers, {"other": y}, measures=[measure])
    (matrix,) = comparison.matrices
    assert np.isnan(matrix.values[0, 0])
    assert matrix.values[1, 0] == pytest.approx(oracle.value(x, y, measure), rel=1e-9)
    (note,) = comparison.notes
    assert "::dead: constant (every example is the same), so its values are nan" in note
    assert "fine" not in note
    assert "other" not in note
