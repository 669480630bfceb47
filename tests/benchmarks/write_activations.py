"""Write the activations of one network, made up from a seed.

    python tests/benchmarks/write_activations.py X.h5 SEED N_LAYERS N_EXAMPLES N_FEATURES [--gzip]

All networks see the same signal. A layer is the rectified sum of a random mixture of that signal and noise that grows
with depth: about half of the values are zeros, the means are far from zero, and similarities spread between 0 and 1.
"""

import argparse
import os
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]

_SEED = 20190515
_N_SIGNALS = 16
_VALUES_AT_ONCE = 1 << 24
# As many users compress: h5py's guess of the chunks, gzip's level as h5py has it by default.
_GZIP = {"chunks": True, "compression": "gzip", "compression_opts": 4}


def write_file(path: Path, seed: int, shape: tuple[int, int], n_layers: int, *, is_gzipped: bool) -> None:
    """Write `n_layers` float32 layers of shape (n_examples, n_features); the file appears whole or not at all."""
    signal = np.random.default_rng(_SEED).standard_normal((shape[0], _N_SIGNALS), np.float32)
    part = path.with_suffix(".part")
    with h5py.File(part, "w") as file:
        for place in range(n_layers):
            layer = file.create_dataset(f"layer{place:03}", shape, np.float32, **(_GZIP if is_gzipped else {}))
            _fill(layer, signal, np.random.default_rng([_SEED, seed, place]), noise=0.5 + 2 * place / n_layers)
    os.replace(part, path)


def _fill(layer: h5py.Dataset, signal: Matrix, generator: np.random.Generator, noise: float) -> None:
    n_examples, n_features = layer.shape
    mixture = generator.standard_normal((_N_SIGNALS, n_features), np.float32) / np.float32(np.sqrt(_N_SIGNALS))
    n_rows = max(1, _VALUES_AT_ONCE // n_features)
    for start in range(0, n_examples, n_rows):
        rows = signal[start : start + n_rows]
        values = generator.standard_normal((len(rows), n_features), np.float32)
        values *= np.float32(noise)
        values += rows @ mixture
        layer[start : start + n_rows] = np.maximum(values, 0, out=values)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write one activation file.")
    parser.add_argument("path", type=Path)
    for name in ("seed", "n_layers", "n_examples", "n_features"):
        parser.add_argument(name, type=int)
    parser.add_argument("--gzip", action="store_true")
    given = parser.parse_args()
    shape = (given.n_examples, given.n_features)
    write_file(given.path, given.seed, shape, given.n_layers, is_gzipped=given.gzip)


if __name__ == "__main__":
    main()
