"""The oracle again with more digits, for layers in which float64 itself has too few: distances from differences in
long double, inner products as decimals. Slow: for a few dozen rows."""

from decimal import Decimal, localcontext

import numpy as np

DIGITS = 60


def gram(layer, kernel):
    """K, up to what depends on one row alone: long doubles, or decimals where it is of inner products."""
    name, _, rest = kernel.partition(":")
    given = {key: float(value) for key, value in (item.split("=") for item in rest.split(",") if item)}
    x = np.asarray(layer, np.longdouble)
    if name in ("linear", "polynomial", "sigmoid"):
        return _of_products(np.asarray(layer, np.float64), name, given)
    if name == "cosine":
        x = x / np.abs(x).max(axis=1, keepdims=True)
        x = x / np.sqrt((x**2).sum(axis=1, keepdims=True))
        x = x - x.mean(axis=0)
        return x @ x.T
    if name == "laplacian":
        distances = np.array([np.abs(x - row).sum(axis=1) for row in x])
        return np.expm1(-given.get("gamma", 1 / x.shape[1]) * distances)
    squared = np.array([((x - row) ** 2).sum(axis=1) for row in x])
    if "gamma" in given:
        return np.expm1(-given["gamma"] * squared)
    return np.exp(-squared / (2 * given.get("sigma", 0.8) ** 2 * np.median(squared)))


def _of_products(x, name, given):
    decimals = np.array([[Decimal(value) for value in row] for row in x.tolist()], dtype=object)
    products = decimals.dot(decimals.T)
    if name == "linear":
        return products
    gamma = Decimal(given["gamma"]) if "gamma" in given else 1 / Decimal(x.shape[1])
    products = products * gamma + Decimal(given.get("coef0", 1))
    if name == "polynomial":
        return products ** int(given.get("degree", 3))
    return np.array([[_tanh(value) for value in row] for row in products], dtype=object)


def _tanh(value):
    if abs(value) > 60:
        return Decimal(1).copy_sign(value)
    power = (2 * value).exp()
    return (power - 1) / (power + 1)


def _centred(k):
    """HKH."""
    k = k - k.sum(axis=0) / len(k)
    return k - k.sum(axis=1)[:, None] / len(k)


def _u_centred(k):
    """K̃ of Székely and Rizzo (2014): a zero diagonal, and rows that sum to 0."""
    n, others = len(k), ~np.eye(len(k), dtype=bool)
    k = k * others
    sums, total = k.sum(axis=1), k.sum()
    return (k - sums / (n - 2) - sums[:, None] / (n - 2) + total / ((n - 1) * (n - 2))) * others


def values(x, y, kernel):
    """CKA by measure, biased and debiased."""
    with localcontext(prec=DIGITS):
        grams = [gram(each, kernel) for each in (x, y)]
        return {"cka": _cosine(*map(_centred, grams)), "cka-debiased": _cosine(*map(_u_centred, grams))}


def value(x, y, measure, kernel):
    """CKA by one measure."""
    return values(x, y, kernel)[measure]


def _cosine(k, l):  # noqa: E741
    k, l = ((each / abs(each).max()).astype(float) for each in (k, l))  # noqa: E741
    return np.sum(k * l) / np.sqrt(np.sum(k * k) * np.sum(l * l))
