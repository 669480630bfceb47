"""Make the files of `when_to_trust_cka.md`: two sound networks, and the same with one trouble each.

Two made-up networks see the same 300 examples of 10 classes. Each turns what it sees, 20 numbers for an example, into
64 features of its own through random weights and a ReLU, with a little noise of its own. To run it (a second):

    python sample_data/make_troubles.py troubles

It needs numpy and h5py, and writes about 4 MB. The values are the same each time, to rounding.
"""

import argparse
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

N_EXAMPLES, N_CLASSES, N_LATENT, N_FEATURES = 300, 10, 20, 64
FAR_ROW, FAR_ROWS, MOVED_LABEL, N_COPIES, DEAD_FEATURE = 41, slice(100, 110), 7, 60, 5
Values = NDArray[np.float64]


def labels() -> NDArray[np.uint8]:
    """Return the class of each example: 30 of each, mixed."""
    return np.random.default_rng(1).permutation(np.arange(N_EXAMPLES) % N_CLASSES).astype(np.uint8)


def network(seed: int) -> Values:
    """Return what one network makes of the examples, shape (300, 64)."""
    what_is_seen = np.random.default_rng(2)
    means = what_is_seen.standard_normal((N_CLASSES, N_LATENT))
    latent = 1.2 * means[labels()] + what_is_seen.standard_normal((N_EXAMPLES, N_LATENT))
    own = np.random.default_rng((3, seed))
    weights = own.standard_normal((N_LATENT, N_FEATURES)) / np.sqrt(N_LATENT)
    return np.maximum(latent @ weights, 0) + 0.1 * own.standard_normal((N_EXAMPLES, N_FEATURES))


def row_length(values: Values) -> float:
    """Return the root mean square distance of the rows from their mean."""
    return float(np.sqrt(np.mean(np.sum((values - values.mean(axis=0)) ** 2, axis=1))))


def moved(values: Values, rows: Any, n_lengths: float, seed: int) -> Values:
    """Return the values with some rows moved together, in a random direction, by some times the length of a row."""
    direction = np.random.default_rng((4, seed)).standard_normal(values.shape[1])
    result = values.copy()
    result[rows] += n_lengths * row_length(values) * direction / np.linalg.norm(direction)
    return result


def few_examples(seed: int, n_examples: int = 40, n_features: int = 4000) -> Values:
    """Return few examples with many features, of which two networks share a little."""
    shared = np.random.default_rng(5).standard_normal((n_examples, n_features))
    return 0.3 * shared + np.random.default_rng((6, seed)).standard_normal((n_examples, n_features))


def noise(seed: int) -> Values:
    """Return noise."""
    return np.random.default_rng((7, seed)).standard_normal((N_EXAMPLES, N_FEATURES))


def rotated(values: Values) -> Values:
    """Return the values rotated, three times as large, and shifted."""
    rotation = np.linalg.qr(np.random.default_rng(8).standard_normal((N_FEATURES, N_FEATURES)))[0]
    return 3 * values @ rotation + 1


def with_copies(values: NDArray[Any]) -> NDArray[Any]:
    """Return the values with the last rows replaced by the first ones again."""
    return np.concatenate([values[:-N_COPIES], values[:N_COPIES]])


def with_dead_feature(values: Values) -> Values:
    """Return the values with one feature that is always 0."""
    return np.where(np.arange(N_FEATURES) == DEAD_FEATURE, 0, values)


def make_troubles() -> dict[str, Values]:
    """Return the values of each file by its name; `a` and `b` are sound, the others hold one trouble."""
    a, b = network(0), network(1)
    label = labels() == MOVED_LABEL
    return {
        "a": a,
        "b": b,
        "far_row_a": moved(a, FAR_ROW, 40, 0),
        "far_rows_a": moved(a, FAR_ROWS, 12, 0),
        "far_rows_b": moved(b, FAR_ROWS, 12, 1),
        "class_moved_a": moved(a, label, 8, 0),
        "class_moved_b": moved(b, label, 8, 1),
        "copies_a": with_copies(a),
        "copies_b": with_copies(b),
        "dead_a": with_dead_feature(a),
        "few_a": few_examples(0),
        "few_b": few_examples(1),
        "noise_a": noise(0),
        "noise_b": noise(1),
        "noise_copies_a": with_copies(noise(0)),
        "noise_copies_b": with_copies(noise(1)),
        "noise_far_row_a": moved(noise(0), FAR_ROW, 60, 0),
        "noise_far_row_b": moved(noise(1), FAR_ROW, 60, 1),
        "rotated_a": rotated(a),
    }


def write(path: Path, values: Values) -> None:
    """Write one file: a layer, and the labels and ids of its rows."""
    with h5py.File(path, "w", track_order=True) as file:
        file["hidden"] = values.astype(np.float32)
        if len(values) == N_EXAMPLES:
            file["labels"] = with_copies(labels()) if "copies" in path.stem else labels()
        file["ids"] = 1000 + np.arange(len(values), dtype=np.int32)


def main() -> None:
    """Make every file in the folder given."""
    parser = argparse.ArgumentParser(description="Make files with one trouble each.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in make_troubles().items():
        write(folder / f"{name}.h5", values)


if __name__ == "__main__":
    main()
