"""Make the sample data: activations of small CNNs on handwritten digits.

Six HDF5 files and one folder of NPY files are written, for the same 500 held-out images:

A.h5 to D.h5    four networks of the same architecture, trained from seeds 0 to 3
deep.h5         a network of 64 convolutions, trained briefly; convolutions averaged to 2 x 2 positions
untrained.h5    the network of A.h5 before training
A_pooled/       A.h5 again, one NPY file a layer, convolutions averaged over positions

README.md, beside this script, describes what is in them. To run it (a few minutes):

    python -m pip install torch==2.13.0 scikit-learn h5py
    python sample_data/make_sample_data.py

The result is the same to the byte each time on one machine. Another processor or another version of
these packages may round differently in training, and end in slightly different networks.
"""

import argparse
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

N_HELD_OUT = 500
SPLIT_SEED = 0
BATCH_SIZE = 64
LEARNING_RATE = 0.1
WEIGHT_DECAY = 1e-3
EXAMPLES_PER_CHUNK = 100

# The channels and the stride of each 3x3 convolution, first to last.
Convolutions = tuple[tuple[int, int], ...]

# After the plain ten-layer CNN of Kornblith et al. (2019), arXiv:1905.00414, made narrower for 8x8 images.
PLAIN_10: Convolutions = ((8, 1), (8, 1), (16, 2), (16, 1), (16, 1), (64, 2), (64, 1), (64, 1))


# Eight times as deep: much too deep to be trained without skip connections.
DEEP_64: Convolutions = ((8, 1),) * 16 + ((16, 2),) + ((16, 1),) * 23 + ((16, 2),) + ((16, 1),) * 23


@dataclass(frozen=True)
class Run:
    """One network, and the file that its activations go to; with no epochs it is left untrained.

    n_positions : to how many positions along each axis convolutions are averaged; None to store them whole.
    resets_statistics : whether BatchNorm gets the statistics of the training images once they are learned: in a deep
        network the running averages of training lag behind its weights, and the lag of one layer adds to the next.
    """

    file_name: str
    convolutions: Convolutions
    seed: int
    n_epochs: int
    description: str
    n_positions: int | None = None
    resets_statistics: bool = False


RUNS = (
    Run("A.h5", PLAIN_10, 0, 60, "Plain 10-layer CNN trained on scikit-learn's digits, seed 0"),
    Run("B.h5", PLAIN_10, 1, 60, "Plain 10-layer CNN trained on scikit-learn's digits, seed 1"),
    Run("C.h5", PLAIN_10, 2, 60, "Plain 10-layer CNN trained on scikit-learn's digits, seed 2"),
    Run("D.h5", PLAIN_10, 3, 60, "Plain 10-layer CNN trained on scikit-learn's digits, seed 3"),
    Run(
        "deep.h5",
        DEEP_64,
        0,
        20,
        "Plain 66-layer CNN trained briefly on scikit-learn's digits, convolutions averaged to 2 x 2 positions",
        n_positions=2,
        resets_statistics=True,
    ),
    Run("untrained.h5", PLAIN_10, 0, 0, "The network of A.h5 at its initialisation, seed 0"),
)


@dataclass(frozen=True)
class Digits:
    """The images, shape (n_images, 1, 8, 8) from 0 to 1, and which of them train and which are held out."""

    images: Tensor
    labels: Tensor
    train_ids: NDArray[np.int32]
    held_out_ids: NDArray[np.int32]


def read_digits() -> Digits:
    """Return scikit-learn's digits, split once for all runs with each class in proportion."""
    images, labels = load_digits(return_X_y=True)
    ids = np.arange(len(labels), dtype=np.int32)
    train, held_out = train_test_split(ids, test_size=N_HELD_OUT, stratify=labels, random_state=SPLIT_SEED)
    pixels = torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    return Digits(pixels, torch.tensor(labels), np.sort(train), np.sort(held_out))


def build(convolutions: Convolutions, n_classes: int = 10) -> nn.Sequential:
    """Return a network whose children are the layers to record: conv1, conv2, ..., gap, logits."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    n_in = 1
    for number, (n_out, stride) in enumerate(convolutions, start=1):
        layers[f"conv{number}"] = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
        )
        n_in = n_out
    layers["gap"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    layers["logits"] = nn.Linear(n_in, n_classes)
    return nn.Sequential(layers)


def shifted(images: Tensor) -> Tensor:
    """Return the images, each moved at random by -1, 0 or 1 pixel along both axes, zeros moving in."""
    windows = functional.pad(images, (1, 1, 1, 1)).unfold(2, 8, 1).unfold(3, 8, 1)
    rows, columns = torch.randint(3, (2, len(images)))
    return windows[torch.arange(len(images)), :, rows, columns]


def train(network: nn.Sequential, images: Tensor, labels: Tensor, n_epochs: int) -> None:
    """Train in place: SGD with momentum, the learning rate rising and falling in one cycle."""
    optimizer = torch.optim.SGD(
        network.parameters(), LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    n_batches = len(images) // BATCH_SIZE
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, epochs=n_epochs, steps_per_epoch=n_batches)
    network.train()
    for _ in range(n_epochs):
        # The images left over sit out the epoch: BatchNorm needs batches that are not too small.
        order = torch.randperm(len(images))[: n_batches * BATCH_SIZE]
        for batch in order.view(n_batches, BATCH_SIZE):
            loss = functional.cross_entropy(network(shifted(images[batch])), labels[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()


def set_running_statistics(network: nn.Sequential, images: Tensor) -> None:
    """Set the statistics of BatchNorm to those of the images; no weight changes."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain average of the batches seen since the reset: here, of one
    network.train()
    with torch.no_grad():
        network(images)


def record(network: nn.Sequential, images: Tensor) -> dict[str, NDArray[np.float16]]:
    """Return each layer's activations by name, in the order of the network, examples first."""
    network.eval()
    activations = {}
    values = images
    with torch.no_grad():
        for name, layer in network.named_children():
            values = layer(values)
            activations[name] = values.numpy().astype(np.float16)
    return activations


def averaged(values: NDArray[np.float16], n_positions: int) -> NDArray[np.float16]:
    """Return maps averaged to so many positions along each axis; what has no positions as it is."""
    if values.ndim < 4:
        return values
    maps = functional.adaptive_avg_pool2d(torch.tensor(values.astype(np.float32)), n_positions)
    return maps.numpy().astype(np.float16)


def write_hdf5(path: Path, datasets: dict[str, NDArray[Any]], attributes: dict[str, str | int | float]) -> None:
    """Write a file that keeps the order of its datasets and is the same to the byte each time."""
    with h5py.File(path, "w", track_order=True) as file:
        file.attrs.update(attributes)
        for name, values in datasets.items():
            file.create_dataset(
                name,
                data=values,
                chunks=(EXAMPLES_PER_CHUNK, *values.shape[1:]),
                compression="gzip",
                compression_opts=9,
                shuffle=True,
                track_times=False,
            )


def make_run(run: Run, digits: Digits, out: Path) -> None:
    """Build the network of one run, train it if it has epochs, and write its activations."""
    torch.manual_seed(run.seed)
    network = build(run.convolutions)
    images, labels = digits.images[digits.train_ids], digits.labels[digits.train_ids]
    if run.n_epochs:
        train(network, images, labels, run.n_epochs)
    if run.resets_statistics or not run.n_epochs:
        set_running_statistics(network, images)
    activations = record(network, digits.images[digits.held_out_ids])
    if run.n_positions:
        activations = {name: averaged(values, run.n_positions) for name, values in activations.items()}
    held_out_labels = digits.labels[digits.held_out_ids].numpy().astype(np.uint8)
    accuracy = float(np.mean(activations["logits"].argmax(axis=1) == held_out_labels))
    attributes: dict[str, str | int | float] = {
        "description": run.description,
        "seed": run.seed,
        "accuracy": accuracy,
        "n_parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    datasets: dict[str, NDArray[Any]] = {
        **activations,
        "labels": held_out_labels,
        "ids": digits.held_out_ids,
    }
    write_hdf5(out / run.file_name, datasets, attributes)
    print(f"{run.file_name}: {accuracy:.1%} of {N_HELD_OUT} held-out images right")


def write_pooled(source: Path, folder: Path) -> None:
    """Write one NPY file for each dataset of an HDF5 file, averaged over all axes after the second."""
    folder.mkdir(exist_ok=True)
    with h5py.File(source) as file:
        for name, dataset in file.items():
            values = dataset[()]
            if values.ndim > 1:
                positions = tuple(range(2, values.ndim))
                values = values.astype(np.float64).mean(axis=positions).astype(np.float32)
            np.save(folder / f"{name}.npy", values)


def main() -> None:
    """Make every file, in the folder given or beside this script."""
    parser = argparse.ArgumentParser(description="Make the sample data.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, metavar="FOLDER")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    digits = read_digits()
    for run in RUNS:
        make_run(run, digits, out)
    write_pooled(out / "A.h5", out / "A_pooled")


if __name__ == "__main__":
    main()
