"""What is there twice: rows, layers."""

from hashlib import blake2b

import numpy as np

from cka_cli.arrays import Float64
from cka_cli.layers.selection import SelectedLayer

N_PROBES = 8


def doubled_rows(layer: SelectedLayer) -> dict[int, int]:
    """Return for each row that repeats an earlier one, value for value as saved, the first such row.

    Reads the layer.
    """
    digests: list[bytes] = [b""] * layer.n_examples
    for where, block in layer.blocks():
        rows = np.arange(layer.n_examples)[where]
        plain = np.ascontiguousarray(block + block.dtype.type(0))  # -0 is 0
        for row, values in zip(rows.tolist(), plain, strict=True):
            digests[row] = blake2b(values.tobytes(), digest_size=16).digest()
    firsts: dict[bytes, int] = {}
    doubled = {row: firsts.setdefault(digest, row) for row, digest in enumerate(digests)}
    return {row: first for row, first in doubled.items() if first != row}


def fingerprint(gram: Float64) -> Float64:
    """Return K/‖K‖ times 8 fixed random vectors, shape (n_examples, 8): equal when two layers are one up to rotation,
    scale and shift."""
    probes = np.random.default_rng(0).standard_normal((len(gram), N_PROBES))
    return np.asarray(gram @ probes / np.linalg.norm(gram))


def distance_of(one: Float64, other: Float64) -> float:
    """Return an unbiased estimate of 1 − CKA from two fingerprints: E‖(K̂−L̂)v‖² = ‖K̂−L̂‖² = 2(1−CKA)."""
    return float(np.sum((one - other) ** 2)) / (2 * N_PROBES)
