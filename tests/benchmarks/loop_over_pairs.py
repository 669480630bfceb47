"""Linear CKA as a notebook usually does it: a loop over pairs of layers, each with its own Gram matrices.

    python tests/benchmarks/loop_over_pairs.py X.h5 Y.h5

For every pair: load both layers, centre their features, form both Gram matrices, centre those, and take the inner
products; float64 throughout. Prints the matrix as JSON, one row per layer of X.
"""

import json
import sys

import h5py
import numpy as np
import numpy.typing as npt


def centred_gram(path: str, name: str) -> npt.NDArray[np.float64]:
    """Return the centred linear Gram matrix of a layer, of shape (n_examples, n_examples)."""
    with h5py.File(path) as file:
        values = np.array(file[name], dtype=float)
    values = values - values.mean(axis=0)
    gram = values @ values.T
    gram = gram - gram.mean(axis=0)
    centred: npt.NDArray[np.float64] = gram - gram.mean(axis=1)[:, None]
    return centred


def linear_cka(gram_x: npt.NDArray[np.float64], gram_y: npt.NDArray[np.float64]) -> float:
    """Return HSIC(K,L)/√(HSIC(K,K) HSIC(L,L)) of two centred Gram matrices."""
    return float(np.sum(gram_x * gram_y) / (np.linalg.norm(gram_x) * np.linalg.norm(gram_y)))


def main(x_path: str, y_path: str) -> None:
    with h5py.File(x_path) as x_file, h5py.File(y_path) as y_file:
        x_names, y_names = list(x_file), list(y_file)
    matrix = []
    for x_name in x_names:
        row = [linear_cka(centred_gram(x_path, x_name), centred_gram(y_path, y_name)) for y_name in y_names]
        matrix.append(row)
    json.dump(matrix, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
