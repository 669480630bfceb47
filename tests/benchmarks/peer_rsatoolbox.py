"""Linear CKA by rsatoolbox: squared Euclidean dissimilarities and their whitened cosine, which is the same number.

    PEERS/rsatoolbox/bin/python tests/benchmarks/peer_rsatoolbox.py X.h5 Y.h5

`compare` without a covariance takes the library's own short cut through centred second moments, all pairs in one call.
Layers are handed over as saved. Prints the matrix as JSON, one row per layer of X.
"""

import json
import sys

import h5py
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import RDMs, calc_rdm, compare


def dissimilarities(path: str) -> RDMs:
    """Return the dissimilarity matrices of all layers of a file."""
    with h5py.File(path) as file:
        return calc_rdm([Dataset(file[name][:]) for name in file], method="euclidean")


def main(x_path: str, y_path: str) -> None:
    matrix = compare(dissimilarities(x_path), dissimilarities(y_path), method="cosine_cov")
    json.dump(matrix.tolist(), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
