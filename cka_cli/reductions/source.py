"""What every Gram matrix and factor is made of: a centred layer of which blocks can be had."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from cka_cli.arrays import Array, Float64, Indices, pieces
from cka_cli.reductions.far_rows import NO_FAR_ROWS, FarRows

_CHUNK_BYTES = 1 << 20

# Some rows of a layer: a run of them, or places.
Rows = slice | Indices
# Which features, and their values.
Slice = tuple[slice, Array]


class Source(Protocol):
    """A centred layer of which blocks can be had.

    label : `FILE::LAYER`. dtype : float32 or float64. mean : what was taken off, in scaled units: shape (n_features,).
    scale : the power of two that the saved values were multiplied by.
    is_constant : whether every row is the same, so that no measure has a value.
    far : the rows that lie far out: none of them has part in the mean and the scale.
    """

    @property
    def label(self) -> str: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def n_examples(self) -> int: ...

    @property
    def n_features(self) -> int: ...

    @property
    def mean(self) -> Float64: ...

    @property
    def scale(self) -> float: ...

    @property
    def is_constant(self) -> bool: ...

    @property
    def far(self) -> FarRows: ...

    def slices(self, rows: Rows) -> Iterator[Slice]:
        """Give the features of some rows, slice by slice: which features, and values (n_rows, n_slice_features)."""


class SourceFacts(NamedTuple):
    """What is found out about a layer when it is centred, and must be told: as in `Source`, and the farthest row.

    far_ratio : how many times as far out as rows commonly lie the farthest does; 0 where none lies far out.
    """

    label: str
    is_constant: bool
    scale: float
    far_ratio: float
    farthest: int


def facts_of(source: Source) -> SourceFacts:
    """Return what was found out about a layer."""
    return SourceFacts(source.label, source.is_constant, source.scale, source.far.ratio, source.far.farthest)


@runtime_checkable
class SavedSource(Source, Protocol):
    """A `Source` that has its rows as they were saved, too, but for the scale."""

    def saved_slices(self, rows: Rows) -> Iterator[Slice]:
        """Give the features of some rows, slice by slice, scaled and not centred."""

    def saved_norms(self) -> Float64:
        """Return the norms of all rows as saved, scaled, shape (n_examples,)."""


@dataclass(frozen=True, eq=False)
class CentredLayer:
    """A `Source` whose values are in memory: shape (n_examples, n_features), (saved − mean) × scale."""

    label: str
    values: Array
    mean: Float64
    scale: float
    is_constant: bool
    far: FarRows = NO_FAR_ROWS

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    @property
    def n_examples(self) -> int:
        return len(self.values)

    @property
    def n_features(self) -> int:
        return len(self.mean)

    def slices(self, rows: Rows) -> Iterator[Slice]:
        yield slice(0, self.n_features), self.values[rows]


@dataclass(frozen=True, eq=False)
class ScaledLayer(CentredLayer):
    """A `SavedSource` in memory whose values are as saved but for the scale: (n_examples, n_features), saved × scale.

    For kernels of rows as they were saved: a short row has lost digits once a mean was taken off and put back.
    """

    def slices(self, rows: Rows) -> Iterator[Slice]:
        for features, values in self.saved_slices(rows):
            yield features, values - self.mean

    def saved_slices(self, rows: Rows) -> Iterator[Slice]:
        yield slice(0, self.n_features), self.values[rows]

    def saved_norms(self) -> Float64:
        return row_norms(self.values)


def row_norms(values: Array) -> Float64:
    """Return the Euclidean norms of rows, shape (n_rows,); no square leaves float64 where the norm does not."""
    norms = np.empty(len(values))
    for rows in pieces(len(values), _CHUNK_BYTES // (8 * max(1, values.shape[1]))):
        block = values[rows].astype(np.float64)
        largest = np.abs(block).max(axis=1, initial=0)
        block /= np.where(largest > 0, largest, 1.0)[:, None]
        norms[rows] = largest * np.sqrt(np.einsum("ij,ij->i", block, block))
    return norms


def compute_dtype(saved: np.dtype[Any], precision: str) -> np.dtype[Any]:
    """Return the dtype that a layer's products are computed in.

    precision : `single`, `double`, or `auto`: float32 where it holds every saved value exactly, else float64.
    """
    if precision == "auto":
        precision = "single" if (saved.kind in "bf" and saved.itemsize <= 4) or saved.itemsize <= 2 else "double"
    return np.dtype(np.float32 if precision == "single" else np.float64)
