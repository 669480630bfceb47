"""f(a+u+v+w) − f(a+u) − f(a+v) + f(a), by rules that never form one of the four.

Of a kernel f(x'y) with x = m + s and y = m + t, that is what is left when all that depends on one of the two rows alone
has been taken off: a = f's argument at m'm, u of m's, v of m't, w of s't. Where m is a million times as large as s, the
four agree in so many digits that their difference has none.
"""

from dataclasses import dataclass

import numpy as np

from cka_cli.arrays import Float64
from cka_cli.specs import Spec

# Below this, what the argument of tanh varies by costs the four values more than three digits.
_GENTLE = 2.0**-5


@dataclass(frozen=True)
class _Differences:
    """A function g, given by its value at a and its differences from that.

    base : g(a). of_rows : g(a+u) − g(a), a column. of_columns : g(a+v) − g(a), a row. both : the second difference.
    """

    base: float | Float64
    of_rows: Float64
    of_columns: Float64
    both: Float64

    def times(self, other: "_Differences") -> "_Differences":
        """Return the product of two such functions: no term of it cancels another for small u, v and w."""
        one = self
        both = one.both * (other.base + other.of_rows + other.of_columns + other.both)
        both += other.both * (one.base + one.of_rows + one.of_columns)
        both += one.of_rows * other.of_columns
        both += other.of_rows * one.of_columns
        return _Differences(
            one.base * other.base,
            one.of_rows * other.base + one.base * other.of_rows + one.of_rows * other.of_rows,
            one.of_columns * other.base + one.base * other.of_columns + one.of_columns * other.of_columns,
            both,
        )


def second_difference_of_power(a: float, u: Float64, v: Float64, w: Float64, spec: Spec) -> Float64:
    """Return the second difference of z^degree. u : shape (n_rows,); v : (n_columns,); w : (n_rows, n_columns).

    By repeated squaring. Cost: about ten additions and multiplications for each entry and squaring.
    """
    degree = spec.get("degree")
    assert isinstance(degree, int)
    power: _Differences | None = None
    square = _Differences(np.float64(a), u[:, None], v, w)
    while True:
        if degree % 2:
            power = square if power is None else power.times(square)
        degree //= 2
        if not degree:
            assert power is not None
            return power.both
        square = square.times(square)


def second_difference_of_tanh(a: float, u: Float64, v: Float64, w: Float64, spec: Spec) -> Float64:
    """Return the second difference of tanh. u : shape (n_rows,); v : (n_columns,); w : (n_rows, n_columns).

    Where u, v and w are small, by their exponentials; else from tanh z ∓ 1, which keeps its digits at the far end.
    """
    sign = -1.0 if a > 0 else 1.0  # tanh is odd: at or below 0 its exponential stays in range
    a, u, v, w = sign * a, sign * u[:, None], sign * v, sign * w
    rows, columns = np.flatnonzero(np.abs(u[:, 0]) <= _GENTLE), np.flatnonzero(np.abs(v) <= _GENTLE)
    gentle = np.ix_(rows, columns)
    is_gentle = bool(len(rows) and len(columns) and np.abs(w[gentle]).max() <= _GENTLE)
    if is_gentle and len(rows) == len(u) and len(columns) == len(v):
        return sign * _of_gentle_tanh(a, u, v, w)
    values = _tanh_and_one(a + u + v + w)
    values -= _tanh_and_one(a + u)
    values -= _tanh_and_one(a + v) - _tanh_and_one(np.float64(a))
    if is_gentle:  # all but a few rows that lie far out
        values[gentle] = _of_gentle_tanh(a, u[rows], v[columns], w[gentle])
    return sign * values


def _tanh_and_one(z: Float64 | float) -> Float64:
    """Return tanh z + 1 = 2/(1 + exp(−2z))."""
    return np.asarray(2 / (1 + np.exp(-2 * np.asarray(z))))


def _of_gentle_tanh(a: float, u: Float64, v: Float64, w: Float64) -> Float64:
    """Return the second difference of 2/(1 + e^(−2z)), in which a, u, v, w stand as factors e^2a, 1+α, 1+β, 1+ω."""
    e = np.exp(2 * np.float64(a))
    alpha, beta, omega = np.expm1(2 * u), np.expm1(2 * v), np.expm1(2 * w)
    rows, columns = 1 + alpha, 1 + beta
    at_rows, at_columns, at_mean = 1 / (1 + e * rows), 1 / (1 + e * columns), 1 / (1 + e)
    at_both = 1 / (1 + e * rows * columns * (1 + omega))
    inner = alpha - e * rows * columns * (omega + e * (alpha + omega + alpha * omega))
    inner *= beta * at_columns * at_mean
    inner += rows * columns * omega
    return np.asarray(2 * e * at_rows * at_both * inner)
