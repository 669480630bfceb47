"""Whatever finite numbers a file holds, a value lies in the range of its measure, or is NaN with a note of why."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cka_cli.specs import MEASURES
from tests import oracle

ROUNDING = {"auto": 1e-9, "single": 1e-7}  # as README.md has it
KERNELS = ["linear", "rbf", "polynomial:degree=2", "sigmoid", "laplacian", "cosine"]


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def equal_rows(values):
    values[:] = values[0]


def one_huge_row(values):
    values[0] *= 1e8


def equal_but_for_one_row(values):
    values[1:] = values[1]


def rank_one(values):
    values[:] = np.outer(values[:, 0], values[0])


def constant_columns(values):
    values[:, ::2] = 3.7


def doubled_rows(values):
    values[len(values) // 2 :] = values[: len(values) - len(values) // 2]


def far_from_zero(values):
    values += 1e6


def sound(values):
    """As they are."""


SHAPES = [
    sound,
    equal_rows,
    one_huge_row,
    equal_but_for_one_row,
    rank_one,
    constant_columns,
    doubled_rows,
    far_from_zero,
]


def assert_in_range(comparison, precision):
    for matrix in comparison.matrices:
        low, high = MEASURES[matrix.measure.partition(":")[0]].bounds
        # The sigmoid is not positive semidefinite, and beside a row 1e8 times larger angles are lost to rounding.
        if matrix.kernel.startswith(("sigmoid", "cosine")):
            low = -high
        values = matrix.values[~np.isnan(matrix.values)]
        assert not np.isinf(values).any(), matrix.title
        rounding = ROUNDING[precision] * (max(1.0, np.max(np.abs(values), initial=0)) if np.isinf(high) else 1.0)
        assert ((values >= low - rounding) & (values <= high + rounding)).all(), (matrix.title, values)
        if len(values) < matrix.values.size:
            assert any("nan" in note for note in comparison.notes), (matrix.title, comparison.notes)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    n_examples=st.integers(4, 24),
    shapes=st.tuples(st.sampled_from(SHAPES), st.sampled_from(SHAPES)),
    exponents=st.tuples(st.integers(-320, 299), st.integers(-30, 30)),
    dtypes=st.tuples(st.sampled_from(["f8", ">f8"]), st.sampled_from(["f2", "f4", "i8", "u1", "?"])),
    precision=st.sampled_from(["auto", "single"]),
)
def test_no_finite_input_gives_a_value_out_of_range(
    compare_layers, seed, n_examples, shapes, exponents, dtypes, precision
):
    rng = np.random.default_rng(seed)
    layers = {}
    for name, shape, exponent, dtype in zip("xy", shapes, exponents, dtypes, strict=True):
        values = rng.standard_normal((n_examples, int(rng.integers(1, 9))))
        shape(values)
        ends = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype) if dtype != "?" else None
        values = values * 10.0**exponent
        if ends is not None:
            values = np.clip(values, float(ends.min) / 2, float(ends.max) / 2)
        layers[name] = values.astype(dtype)
    options = {"measures": list(MEASURES), "kernels": KERNELS, "precision": precision}
    assert_in_range(compare_layers({"x": layers["x"]}, {"y": layers["y"], "x": layers["x"]}, **options), precision)


@pytest.mark.parametrize("scale", [1e-310, 1e-150, 1e-30, 1e30, 1e300])
def test_values_without_units_are_the_same_at_any_scale(compare_layers, scale):
    x, y = noise(30, 6), noise(30, 4, seed=1)
    names = [name for name in MEASURES if not name.startswith("hsic")]
    plain, scaled = (compare_layers({"x": x * by}, {"y": y * by}, measures=names) for by in (1.0, scale))
    for one, other in zip(plain.matrices, scaled.matrices, strict=True):
        assert other.values[0, 0] == pytest.approx(one.values[0, 0], rel=1e-9)  # at 1e-310 fourteen digits are left
    assert scaled.notes == plain.notes


@pytest.mark.parametrize("scale", [1e-150, 1e300])
@pytest.mark.parametrize("measure", ["hsic", "hsic-unbiased"])
def test_a_value_with_units_that_no_float_holds_is_nan_with_a_note(compare_layers, measure, scale):
    comparison = compare_layers({"x": noise(30, 6) * scale}, measures=[measure])
    assert np.isnan(comparison.matrices[0].values[0, 0])
    assert comparison.notes == (
        f"{measure}, linear: 1 value is beyond the range of float64 (1e-308 to 1e308) in the units of the layers, and "
        "nan; rescale the layers, or use cka, which has no units",
    )
    comparison = compare_layers({"x": noise(30, 6) * 1e-70}, measures=[measure])
    expected = oracle.value(noise(30, 6), noise(30, 6), measure)
    assert comparison.matrices[0].values[0, 0] == pytest.approx(expected * 1e-280, rel=1e-9)


@pytest.mark.parametrize(("dtype", "first"), [("i8", 2**63 - 1), ("u8", 2**64 - 1), ("i8", -(2**63) + 40)])
def test_integers_beyond_float64_come_with_a_note(compare_layers, dtype, first):
    values = np.array([[first - place] for place in range(30)], dtype=dtype)
    comparison = compare_layers({"x": values}, {"y": noise(30, 2)})
    assert np.isnan(comparison.matrices[0].values[0, 0])
    rounded, constant = (note.partition("::")[2] for note in comparison.notes)
    assert (
        rounded == "x: integers beyond 2**53, of which float64 drops the last digits; take an offset off before saving"
    )
    assert constant == "x: constant (every example is the same once rounded), so its values are nan"
    exact = np.array([[2**53 - 1 - place] for place in range(30)], dtype="i8")
    comparison = compare_layers({"x": exact}, {"y": np.arange(30.0)[:, None]})
    assert comparison.notes == ()
    assert comparison.matrices[0].values[0, 0] == pytest.approx(1, abs=1e-12)


def test_a_note_tells_which_values_are_missing(compare_layers):
    lone = noise(30, 6)
    lone[1:] = lone[1]
    comparison = compare_layers({"x": lone}, {"y": noise(30, 4, seed=1)}, measures=["cka", "cka-debiased"])
    cka, debiased = (matrix.values[0, 0] for matrix in comparison.matrices)
    assert cka == pytest.approx(oracle.value(lone, noise(30, 4, seed=1)), abs=1e-9)
    assert np.isnan(debiased)
    (note,) = comparison.notes
    cause = "constant to rounding, but for its diagonal or a few examples"
    assert note.partition("::")[2] == f"x: the linear kernel is {cause}, so its cka-debiased is nan"
