"""A layer as it lies on disk: a name, a shape, a dtype, and a way to read some of its rows."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from threading import Lock
from typing import Any

import numpy as np

from cka_cli.arrays import Array
from cka_cli.errors import DataError, reason
from cka_cli.files.netcdf import Meaning
from cka_cli.files.source_file import ChangedError
from cka_cli.text import first_few

# (start, stop, part): rows start to stop, and of their second axis only this part where there is one.
ReadRows = Callable[[int, int, slice], Array]
EVERYTHING = slice(None)
# Of numbers that mean others, so much is read at once.
_PIECE_BYTES = 1 << 22
# Two bytes without a type: as ml_dtypes saves bfloat16 in NPY, and HDF5 has it. `SortedOut` reads it so.
BFLOAT16_BITS = np.dtype("V2")
SINGLE_NUMBER = "a single number, not an array of examples"


class Reader:
    """What reads rows for one thread at a time or more, and can go to another process.

    Its lock, and what else is of this process alone (`_here`: names of attributes, None at first), stays here.
    """

    _here: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._lock = Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, **dict.fromkeys((*self._here, "_lock"))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())


@dataclass(frozen=True, eq=False)
class Layer:
    """One named array of a file; nothing of its values is read until `read` is called.

    shape : as saved; the first axis counts examples. dtype : of the values once read.
    storage : how the values lie on disk, for a person: `contiguous`, `chunks 32x64, gzip`, ...
    n_second_axis : the least of the second axis that can be read without reading, or unpacking, more.
    n_first_axis : the same of rows; fewer cost as much.
    meaning : what the file says that saved numbers mean; None where they mean themselves.
    """

    file: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    storage: str
    read_rows: ReadRows
    n_second_axis: int = 1
    n_first_axis: int = 1
    meaning: Meaning | None = None

    @property
    def label(self) -> str:
        """`FILE::LAYER`, as it is addressed on the command line."""
        return f"{self.file}::{self.name}"

    @property
    def n_bytes(self) -> int:
        """Bytes of the values once in memory, in the saved dtype."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def holds_integers(self) -> bool:
        """Whether the values are integers, read as floating-point numbers only where some of them may be lost."""
        meaning = self.meaning
        return (self.dtype if meaning is None or meaning.packing is not None else meaning.taken).kind in "iu"

    @property
    def fill_text(self) -> str:
        """The numbers that stand for lost values, which are read as NaN, with their attributes; empty without any."""
        return "" if self.meaning is None else self.meaning.lost_text

    def as_saved(self) -> "Layer":
        """Return the same array with its numbers as they are saved, whatever they mean."""
        if self.meaning is None:
            return self
        return replace(self, dtype=self.meaning.taken, meaning=replace(self.meaning, lost=(), packing=None))

    def read(self, start: int, stop: int, part: slice = EVERYTHING) -> Array:
        """Return rows start to stop, or a part of their second axis. Raises DataError when the disk fails."""
        try:
            if self.meaning is None:
                return self.read_rows(start, stop, part)
            # Of numbers that mean others, so many rows at once: whole chunks.
            n_piece = max(1, _PIECE_BYTES // max(1, self.row_bytes(part) * self.n_first_axis)) * self.n_first_axis
            return self.meaning.read(lambda first, last: self.read_rows(first, last, part), start, stop, n_piece)
        except ChangedError as error:
            which = f" ({error})" if error.args else ""
            raise DataError(
                f"{self.label}: changed while it was read{which}; wait until the run that writes it has ended, and "
                "start again"
            ) from error
        except (OSError, ValueError, EOFError, RuntimeError) as error:
            raise DataError(
                f"{self.label}: cannot be read ({reason(error)}); the file may be damaged: copy or save it again"
            ) from error

    def row_bytes(self, part: slice = EVERYTHING) -> int:
        """Return the bytes of a row, or of a part of its second axis, in the dtype once read."""
        n_second, *inner = (*self.shape[1:], 1)
        return len(range(*part.indices(n_second))) * prod(inner) * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class ActivationFile:
    """What one activation file holds.

    layers : real numeric arrays with at least two axes, in network order.
    vectors : real or text arrays with one axis (labels, ids), and integers with more axes that are named as such
        (masks, token ids): layers only when named.
    refused : names of what can never be a layer, each with the reason.
    unreadable : names of arrays that may well be layers and are damaged, or quantised, each with the reason: never
        passed over.
    notes : what a reader must know of how the file was read.
    """

    path: str
    format: str
    layers: tuple[Layer, ...]
    vectors: tuple[Layer, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of all that the file holds."""
        return [array.name for array in (*self.layers, *self.vectors)] + list(self.refused) + list(self.unreadable)


def refusal(dtype: np.dtype[Any]) -> str | None:
    """Return why an array of this dtype cannot be a layer, or None when it can."""
    if dtype.names is not None:
        fields = first_few(dtype.names, 3)
        return f"a table (fields {fields}); save its numbers with numpy.lib.recfunctions.structured_to_unstructured"
    if dtype.hasobject:
        return "object array, which only unpickling could read; save it as array.astype('float32'), text as astype('U')"
    if dtype.kind in "biuf" or dtype == BFLOAT16_BITS:
        return None
    if dtype.kind in "US":
        return "text, not numbers"
    if dtype.kind == "V":
        return f"bytes without a type ({dtype}{'; float8?' * (dtype.itemsize == 1)}); save it as float32"
    words = {"c": "complex numbers", "M": "dates", "m": "time spans"}
    return f"{words.get(dtype.kind, 'not numeric')} ({dtype}); save it as real numbers"
