"""A layer as it lies on disk: a name, a shape, a dtype, and a way to read some of its rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cka_cli.errors import DataError, one_line

Array = NDArray[Any]
ReadRows = Callable[[int, int], Array]


@dataclass(frozen=True, eq=False)
class Layer:
    """One named array of a file; nothing of its values is read until `read` is called.

    shape : as saved; the first axis counts examples.
    storage : how the values lie on disk, for a person: `contiguous`, `chunks 32x64, gzip`, ...
    """

    file: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    storage: str
    read_rows: ReadRows

    @property
    def label(self) -> str:
        """`FILE::LAYER`, as it is addressed on the command line."""
        return f"{self.file}::{self.name}"

    @property
    def n_bytes(self) -> int:
        """Bytes of the values once in memory, in the saved dtype."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize

    def read(self, start: int, stop: int) -> Array:
        """Return rows start to stop as saved. Raises DataError when the disk does not give them."""
        try:
            return self.read_rows(start, stop)
        except (OSError, ValueError, EOFError, RuntimeError) as error:
            raise DataError(f"{self.label}: cannot be read ({reason(error)}); the file may be damaged") from error


@dataclass(frozen=True, eq=False)
class ActivationFile:
    """What one activation file holds.

    layers : real numeric arrays with at least two axes, in network order.
    vectors : real or text arrays with one axis (labels, ids): layers only when named.
    refused : names of what can never be a layer, each with the reason.
    """

    path: str
    format: str
    layers: tuple[Layer, ...]
    vectors: tuple[Layer, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)


def reason(error: BaseException) -> str:
    """Return the first line of what an exception says."""
    text = str(error).strip() or type(error).__name__
    return one_line(text.splitlines()[0])


def refusal(dtype: np.dtype[Any]) -> str | None:
    """Return why an array of this dtype cannot be a layer, or None when it can."""
    if dtype.hasobject or dtype.kind == "O":
        return "object array, which only unpickling could read"
    if dtype.kind in "biuf":
        return None
    words = {"c": "complex", "U": "text", "S": "text", "V": "compound", "M": "dates", "m": "time spans"}
    return f"{words.get(dtype.kind, 'not numeric')} ({dtype})"


def sort_arrays(path: str, file_format: str, arrays: list[Layer], refused: dict[str, str]) -> ActivationFile:
    """Return the file whose arrays these are, told apart into layers, vectors and refused."""
    layers, vectors, refused = [], [], dict(refused)
    for array in arrays:
        why = refusal(array.dtype)
        if len(array.shape) == 1 and not array.dtype.hasobject:
            vectors.append(array)
        elif why is not None:
            refused[array.name] = why
        elif len(array.shape) == 0:
            refused[array.name] = "a single number, not an array of examples"
        else:
            layers.append(array)
    return ActivationFile(path, file_format, tuple(layers), tuple(vectors), refused)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key under which conv2 comes before conv10."""
    import re

    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"([0-9]+)", name)]
