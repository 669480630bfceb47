"""Debiased linear CKA by pytorch-cka, which has no biased one: all pairs of layers in one call.

    PEERS/pytorch-cka/bin/python tests/benchmarks/peer_pytorch_cka.py X.h5 Y.h5

Layers are handed over as saved, on the processor. The library does not centre the features and clamps values to
0 ... 1. Prints the matrix as JSON, one row per layer of X.
"""

import json
import sys

import h5py
import torch
from cka import cka_from_features


def layers(path: str) -> list[torch.Tensor]:
    """Return all layers of a file."""
    with h5py.File(path) as file:
        return [torch.from_numpy(file[name][:]) for name in file]


def main(x_path: str, y_path: str) -> None:
    json.dump(cka_from_features(layers(x_path), layers(y_path)).tolist(), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
