"""What numbers of an HDF5 file mean by the attributes of netCDF: that a value is lost, packed, or without a sign.

netCDF and xarray write `_FillValue` or `missing_value` where a number stands for a value that is not there: it is read
as NaN here, so that whatever becomes of NaN becomes of it, pooled or not. Packed values are unpacked to float64, as
every reader of netCDF does: as saved they are of no unit, and two files of the same values may be packed otherwise.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from cka_cli.arrays import Array
from cka_cli.text import first_few

FILL, MISSING, SCALE, OFFSET, UNSIGNED = "_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned"
# What netCDF fills a variable with that has no `_FillValue`, by dtype: where nobody has written.
_OWN_FILLS = {
    "i2": -32767, "u2": 65535, "i4": -2147483647, "u4": 4294967295, "i8": -9223372036854775806,
    "u8": 18446744073709551614, "f4": np.float32(9.969209968386869e36), "f8": 9.969209968386869e36,
}  # fmt: skip
_MOST_LOST = 64
_MOST_SHOWN = 4


@dataclass(frozen=True, eq=False)
class Meaning:
    """What saved numbers mean.

    taken : the dtype saved, with the sign they are meant to have. lost : numbers of this dtype that stand for a value
    that is not there, each with the attribute that says so. packing : scale and offset.
    """

    taken: np.dtype[Any]
    lost: tuple[tuple[str, Any], ...] = ()
    packing: tuple[float, float] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of what is read: with room for NaN where values may be lost."""
        if self.packing is not None:
            return np.dtype(np.float64)
        if self.taken.kind == "f" or not self.lost:
            return self.taken
        return np.dtype(np.float32 if self.taken.itemsize <= 2 else np.float64)

    @property
    def lost_text(self) -> str:
        """The numbers that stand for lost values, as `_FillValue 1e+20`."""
        return first_few([f"{name} {value!s}" for name, value in self.lost], _MOST_SHOWN)

    @property
    def storage_text(self) -> str:
        """How `storage` of a layer says it; empty when values are saved as they are meant."""
        return f", packed in {self.taken}" if self.packing is not None else ""

    def read(self, read_rows: Callable[[int, int], Array], start: int, stop: int, n_piece: int) -> Array:
        """Return rows as they are meant. n_piece : at most so many rows are there as saved and as meant at once."""
        meant: Array | None = None
        first = start
        while True:
            last = min(stop, (first // n_piece + 1) * n_piece)
            piece = self._meant(read_rows(first, last))
            if last - first == stop - start:
                return piece
            if meant is None:
                meant = np.empty((stop - start, *piece.shape[1:]), piece.dtype)
            meant[first - start : last - start] = piece
            if last == stop:
                return meant
            first = last

    def _meant(self, saved: Array) -> Array:
        taken = saved if saved.dtype == self.taken else saved.view(self.taken)
        is_lost = np.zeros(taken.shape, bool)
        for _, value in self.lost:
            is_lost |= taken == value
        if self.packing is not None:
            meant = np.multiply(taken, self.packing[0], dtype=np.float64)
            meant += self.packing[1]
        elif self.dtype != self.taken:
            meant = taken.astype(self.dtype)
        else:
            meant = taken if not is_lost.any() or taken.flags.writeable else taken.copy()
        if is_lost.any():
            meant[is_lost] = np.nan
        return meant


def is_own_fill(dtype: np.dtype[Any], fill: Any) -> bool:
    """Whether a dataset that nobody has written to holds what netCDF fills it with."""
    return dtype.str[1:] in _OWN_FILLS and bool(fill == _OWN_FILLS[dtype.str[1:]])


def meaning_of(attributes: Mapping[str, Any], dtype: np.dtype[Any], fill: Any = None) -> Meaning | str | None:
    """Return what the numbers of a dataset mean by its attributes, None where they mean themselves.

    dtype : of numbers. fill : what a dataset of netCDF is filled with where nobody has written, if that is its own.
    A text says why nobody can tell.
    """
    if fill is None and not any(name in attributes for name in (FILL, MISSING, SCALE, OFFSET, UNSIGNED)):
        return None
    found = {name: np.atleast_1d(attributes[name]).ravel() for name in (FILL, MISSING) if name in attributes}
    if fill is not None:
        found.setdefault(FILL, np.atleast_1d(fill))
    taken = _signed(dtype, attributes.get(UNSIGNED))
    lost: dict[Any, str] = {}
    for name, values in found.items():
        if len(values) > _MOST_LOST or values.dtype.kind not in "biufUSO":
            return f"its {name} is no number and no short list of them; mend the attribute, or take it away"
        for value in values:
            if (number := _number_of(value, taken, dtype)) is not None:
                lost.setdefault(number, name)
    packing: list[float] = []
    for name, otherwise in ((SCALE, 1.0), (OFFSET, 0.0)):
        number = _float_of(attributes[name]) if name in attributes else otherwise
        if number is None or (name == SCALE and number == 0):
            return f"its {name} is no single number that values can be unpacked by; save them unpacked"
        packing.append(number)
    is_packed = packing != [1.0, 0.0]
    if not lost and not is_packed and taken == dtype:
        return None
    return Meaning(
        taken, tuple((name, number) for number, name in lost.items()), (packing[0], packing[1]) if is_packed else None
    )


def _signed(dtype: np.dtype[Any], unsigned: Any) -> np.dtype[Any]:
    """Return the dtype of integers by what `_Unsigned` says: older files know only one kind of each."""
    text = unsigned.decode("latin-1") if isinstance(unsigned, bytes) else str(unsigned)
    kinds = {("i", "true"): "u", ("u", "false"): "i"}
    kind = kinds.get((dtype.kind, text.strip("\0 ").lower()), dtype.kind)
    return np.dtype(f"{dtype.byteorder}{kind}{dtype.itemsize}") if kind != dtype.kind else dtype


def _number_of(value: Any, taken: np.dtype[Any], saved: np.dtype[Any]) -> Any:
    """Return the number of a dtype that equals an attribute, None where none does or it is not finite anyway.

    The attribute may be text, or have the sign that the values were saved with.
    """
    if isinstance(value, str | bytes):
        try:
            value = np.float64(value)
        except ValueError:
            return None
    if not isinstance(value, np.generic | int | float) or not np.isfinite(value):
        return None
    if taken.kind == "f":
        number = np.asarray(value).astype(taken)[()]
        return number if np.isfinite(number) else None
    if value != np.floor(value):
        return None
    for dtype in (taken, saved):
        if np.iinfo(dtype).min <= int(value) <= np.iinfo(dtype).max:
            return np.array(int(value), dtype).view(taken)[()]
    return None


def _float_of(attribute: Any) -> float | None:
    """Return the finite number that an attribute is, alone or in an array of one; None where it is none."""
    values = np.atleast_1d(attribute).ravel()
    if len(values) != 1 or values.dtype.kind not in "iuf":
        return None
    number = float(values[0])
    return number if isfinite(number) else None
