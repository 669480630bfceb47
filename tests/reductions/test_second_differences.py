"""Second differences against eighty digits: small ones of a large value, and those beside a row that lies far out."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

from cka_cli.reductions.second_differences import second_difference_of_power, second_difference_of_tanh
from cka_cli.specs import parse_kernel


def second_difference(function, a, u, v, w):
    """f(a+u+v+w) − f(a+u) − f(a+v) + f(a), with eighty digits."""
    with localcontext(prec=80):
        rows, columns, both = ([Decimal(each) for each in values.ravel().tolist()] for values in (u, v, w))
        found = [
            function(Decimal(a) + row + column + both[len(v) * i + j])
            - function(Decimal(a) + row) - function(Decimal(a) + column) + function(Decimal(a))
            for i, row in enumerate(rows) for j, column in enumerate(columns)
        ]  # fmt: skip
        return np.array([float(value) for value in found]).reshape(w.shape)


def tanh(value):
    power = (2 * value).exp()
    return (power - 1) / (power + 1)


def drawn(size):
    rng = np.random.default_rng(0)
    return size * rng.normal(size=3), size * rng.normal(size=4), size**2 * rng.normal(size=(3, 4))


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 7, 12, 31])
@pytest.mark.parametrize("a", [0.0, 1.0, -3.0, 1e6, 1e-12])
@pytest.mark.parametrize("size", [1e-12, 1e-6, 1e-2, 0.3, 3.0])
def test_powers_keep_their_digits(a, size, degree):
    u, v, w = drawn(size)
    found = second_difference_of_power(a, u, v, w, parse_kernel(f"polynomial:degree={degree}"))
    expected = second_difference(lambda z: z**degree, a, u, v, w)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("a", [0.0, 1.0, -3.0, 9.0, -30.0, 1e-12])
@pytest.mark.parametrize("size", [1e-12, 1e-6, 1e-2, 0.3, 3.0])
def test_tanh_keeps_its_digits(a, size):
    u, v, w = drawn(size)
    found = second_difference_of_tanh(a, u, v, w, parse_kernel("sigmoid"))
    expected = second_difference(tanh, a, u, v, w)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_a_far_row_or_column_costs_the_others_of_tanh_nothing():
    u, v, w = drawn(1e-6)
    u[1], v[2], w[1], w[:, 2] = 20.0, -7.0, 3.0, 2.0
    found = second_difference_of_tanh(0.5, u, v, w, parse_kernel("sigmoid"))
    expected = second_difference(tanh, 0.5, u, v, w)
    np.testing.assert_allclose(found[::2, [0, 1, 3]], expected[::2, [0, 1, 3]], rtol=1e-9)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_tanh_at_its_ends_is_0_and_no_error():
    u, v, w = drawn(1.0)
    for a in (1e3, -1e3, 1e300):
        with np.errstate(over="ignore"):
            assert not second_difference_of_tanh(a, u, v, w, parse_kernel("sigmoid")).any()
