"""What is there twice, or does not vary: rows, features, layers."""

import numpy as np

from cka_cli.arrays import Array, Float64, Indices

# Of the squared distance to the squared norms: rows this near are one row in float32.
_SAME_ROW = 1e-12
N_PROBES = 8


def doubled_rows(gram: Float64, distances: Float64) -> dict[int, int]:
    """Return for each row that repeats an earlier one the first such row; only when all values agree to rounding."""
    norms = np.diag(gram)
    near = distances <= _SAME_ROW * (norms + norms[:, None] + float(norms.mean()))
    rows, firsts = np.nonzero(np.tril(near, -1))
    doubled: dict[int, int] = {}
    for row, first in zip(rows.tolist(), firsts.tolist(), strict=True):
        doubled.setdefault(row, first)
    return doubled


def constant_features(values: Array) -> Indices:
    """Return which features have the same value in every row."""
    return np.flatnonzero((values == values[0]).all(axis=0))


def fingerprint(gram: Float64) -> Float64:
    """Return K/‖K‖ times 8 fixed random vectors, shape (n_examples, 8): equal when two layers are one up to rotation,
    scale and shift."""
    probes = np.random.default_rng(0).standard_normal((len(gram), N_PROBES))
    return np.asarray(gram @ probes / np.linalg.norm(gram))


def distance_of(one: Float64, other: Float64) -> float:
    """Return an unbiased estimate of 1 − CKA from two fingerprints: E‖(K̂−L̂)v‖² = ‖K̂−L̂‖² = 2(1−CKA)."""
    return float(np.sum((one - other) ** 2)) / (2 * N_PROBES)
