"""The least that the Gram route can cost: loads, centrings and products in bare numpy, nothing else.

    python tests/benchmarks/bare_products.py X.h5 Y.h5

Each layer is loaded and centred, its Gram matrix formed by one product (numpy halves a symmetric one), and all Gram
matrices are multiplied with each other. BLAS uses its own threads. Prints nothing and checks nothing.
"""

import sys

import h5py
import numpy as np


def main(x_path: str, y_path: str) -> None:
    layers = []
    for path in (x_path, y_path):
        with h5py.File(path) as file:
            layers.append([file[name][:] for name in file])
    n_examples = len(layers[0][0])
    grams = np.empty((sum(map(len, layers)), n_examples**2), np.float32)
    for place, values in enumerate([*layers[0], *layers[1]]):
        values -= values.mean(axis=0)
        np.matmul(values, values.T, out=grams[place].reshape(n_examples, n_examples))
    n_x = len(layers[0])
    grams[:n_x] @ grams[n_x:].T
    np.einsum("ij,ij->i", grams, grams)


if __name__ == "__main__":
    main(*sys.argv[1:])
