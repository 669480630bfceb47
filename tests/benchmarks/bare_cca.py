"""The least that CCA can cost: one QR of each layer, one product and its singular values for each pair.

    python tests/benchmarks/bare_cca.py X.h5 Y.h5

Bare numpy in float64; BLAS and LAPACK use their own threads. Ranks are taken to be full: the layers it is measured on
have fewer features than examples and none that depend on each other. Prints nothing and checks nothing.
"""

import sys

import h5py
import numpy as np
import numpy.typing as npt


def bases(path: str) -> list[npt.NDArray[np.float64]]:
    """Return an orthonormal basis of each centred layer of a file."""
    found = []
    with h5py.File(path) as file:
        for name in file:
            values = file[name][:].astype(np.float64)
            values -= values.mean(axis=0)
            found.append(np.linalg.qr(values)[0])
    return found


def main(x_path: str, y_path: str) -> None:
    y_bases = bases(y_path)
    for x_basis in bases(x_path):
        for y_basis in y_bases:
            correlations = np.linalg.svd(x_basis.T @ y_basis, compute_uv=False)
            np.mean(correlations**2), np.mean(correlations)


if __name__ == "__main__":
    main(*sys.argv[1:])
