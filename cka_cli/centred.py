"""A layer in memory, centred: read once, checked for values that are not finite, scaled by a power of two.

Scaling by a power of two is exact and keeps squares of squares inside the range of float32, whatever the units of
the activations. The mean that is taken off is a float64 mean rounded to the dtype of the values; what rounding
leaves of it is a shift common to all rows, which every HSIC formula and every factor takes off in float64.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cka_cli.activations import SelectedLayer
from cka_cli.errors import DataError

Array = NDArray[Any]
Progress = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class CentredLayer:
    """The values of one layer, centred and scaled.

    values : shape (n_examples, n_features), float32 or float64: (saved − mean) × scale.
    mean : shape (n_features,), float64: what was taken off, in scaled units.
    is_constant : every row is the same, so that no measure has a value.
    """

    label: str
    values: Array
    mean: NDArray[np.float64]
    scale: float
    is_constant: bool

    def single(self) -> "CentredLayer":
        """Return the same layer with float32 values."""
        return CentredLayer(
            self.label, self.values.astype(np.float32, copy=False), self.mean, self.scale, self.is_constant
        )


def compute_dtype(saved: np.dtype[Any], precision: str) -> np.dtype[Any]:
    """Return the dtype that a layer's products are computed in.

    precision : `single`, `double`, or `auto`: float32 where it holds every saved value exactly, else float64.
    """
    if precision == "auto":
        precision = "single" if (saved.kind in "bf" and saved.itemsize <= 4) or saved.itemsize <= 2 else "double"
    return np.dtype(np.float32 if precision == "single" else np.float64)


def load_centred(layer: SelectedLayer, dtype: np.dtype[Any], progress: Progress) -> CentredLayer:
    """Return a layer's values, read once.

    progress : called with the bytes of each block read.
    Raises DataError with the count and the first row when values are not finite, or when the disk fails.
    """
    values = np.empty((layer.n_examples, layer.n_features), np.float64 if layer.dtype.itemsize > 4 else dtype)
    mean = np.zeros(layer.n_features)
    for where, block in layer.blocks():
        values[where] = block
        progress(block.nbytes)
    scale = _scale(values, layer)
    if scale != 1:
        values *= values.dtype.type(scale)
    values = values.astype(dtype, copy=False)
    for start in range(0, len(values), 1024):
        mean += np.add.reduce(values[start : start + 1024], axis=0, dtype=np.float64)
    mean /= len(values)
    mean = mean.astype(dtype).astype(np.float64)
    is_constant = bool((values[0] == values[-1]).all() and (values == values[0]).all())
    values -= mean.astype(dtype)
    if is_constant:
        values[...] = 0
    return CentredLayer(layer.label, values, mean, scale, is_constant)


def _scale(values: Array, layer: SelectedLayer) -> float:
    """Return the power of two that brings the largest magnitude to between ½ and 1."""
    largest = max(abs(float(values.max())), abs(float(values.min())))
    if not math.isfinite(largest):
        n_values, rows = nonfinite_rows(values)
        row = rows[0] // layer.n_positions
        saved = int(layer.rows[row])
        raise DataError(
            f"{layer.label}: {n_values} values are not finite (NaN or infinite; {len(rows)} rows, the first is "
            f"row {saved}); mend the file, or leave those examples out of every layer with --nonfinite drop"
        )
    return 1.0 if largest == 0 else math.ldexp(1.0, min(1000, -math.frexp(largest)[1]))


def nonfinite_rows(values: Array) -> tuple[int, NDArray[np.intp]]:
    """Return how many values are not finite and which rows hold them."""
    bad = ~np.isfinite(values)
    return int(np.count_nonzero(bad)), np.flatnonzero(bad.any(axis=1))


def find_nonfinite_examples(layer: SelectedLayer) -> NDArray[np.intp]:
    """Return the places in the selection, in saved rows, of examples with values that are not finite; reads it all."""
    found: list[NDArray[np.intp]] = []
    for where, block in layer.blocks():
        if block.dtype.kind != "f":
            continue
        _, rows = nonfinite_rows(block)
        places = rows + where.start if isinstance(where, slice) else where[rows]
        found.append(places // layer.n_positions)
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.intp)
