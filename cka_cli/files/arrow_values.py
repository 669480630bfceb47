"""What a column of Arrow is as an array: its axes, its dtype, and its values, each checked before it is taken."""

from math import prod
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from cka_cli.arrays import Array
from cka_cli.text import cut, first_few

_LISTS = (pa.ListType, pa.LargeListType, pa.FixedSizeListType)
_TEXTS = {"string", "large_string", "string_view"}
TEXT = np.dtype("U")
_MOST_SHOWN = 40


class UnfitError(Exception):
    """Why a column, sound as it may be, is no array: the text says what it is, and what to do."""


class Kind(NamedTuple):
    """What the type of a column says of its values.

    levels : how many values a list has at each level, outermost first; None where the values alone tell.
    dtype : of the values, that of text for text. tensor : the axes of a tensor whose values lie in one list.
    order : the order of the tensor's axes, where it is not that of the values; else empty.
    """

    levels: list[int | None]
    dtype: np.dtype[Any]
    tensor: tuple[int, ...] = ()
    order: tuple[int, ...] = ()


def kind_of(column: Any) -> Kind:
    """Return what a type of Arrow is as an array. Raises UnfitError."""
    levels: list[int | None] = []
    tensor, order = (), ()
    if isinstance(column, pa.FixedShapeTensorType):
        tensor, order = tuple(column.shape), tuple(column.permutation or ())
        order = () if order == tuple(sorted(order)) else order
    leaf = _plain_type(column)
    while isinstance(leaf, _LISTS):
        levels.append(leaf.list_size if isinstance(leaf, pa.FixedSizeListType) else None)
        leaf = _plain_type(leaf.value_type)
    if str(leaf) in _TEXTS and not levels:
        return Kind([], TEXT)
    if not (pa.types.is_integer(leaf) or pa.types.is_floating(leaf) or pa.types.is_boolean(leaf)):
        raise UnfitError(_why_none(leaf, "lists of " if levels else ""))
    return Kind(levels, np.dtype(leaf.to_pandas_dtype()), tensor, order)


def _plain_type(of: Any) -> Any:
    """Return the type that the values of an extension are stored as, or those of a dictionary are of."""
    while isinstance(of, pa.BaseExtensionType | pa.DictionaryType):
        of = of.value_type if isinstance(of, pa.DictionaryType) else of.storage_type
    return of


def _why_none(leaf: Any, lists: str) -> str:
    name = cut(str(leaf), _MOST_SHOWN)
    if isinstance(leaf, pa.StructType):
        fields = first_few([leaf.field(place).name for place in range(leaf.num_fields)], 3)
        return f"{lists}a struct (fields {fields}), not numbers; save each field as a column of its own"
    if isinstance(leaf, pa.MapType):
        return f"{lists}a map ({name}), not numbers; save its values as a list of numbers"
    if "binary" in name:
        return f"{lists}bytes without a type ({name}); save them as lists of numbers"
    if pa.types.is_decimal(leaf):
        return f"{lists}decimal numbers ({name}); save them as float64"
    if pa.types.is_temporal(leaf):
        return f"{lists}dates or times ({name}); save them as real numbers"
    if pa.types.is_null(leaf):
        return f"{lists}nulls only; save numbers"
    return f"{lists}text, not numbers" if name in _TEXTS else f"{lists}not numeric ({name}); save them as real numbers"


def lengths_in(column: Any, levels: list[int | None]) -> list[int | None]:
    """Return how many values the lists of some rows have at each level; None where there is no list to tell."""
    found: list[int | None] = []
    for length in levels:
        column = _plain(column)
        if length is None:
            lengths = column.drop_null().slice(0, 1).value_lengths().to_pylist()
            length = lengths[0] if lengths else None
        found.append(length)
        column = column.flatten()
    # Below a list without values there is nothing, whatever its length would be.
    return [0 if length is None and 0 in found[:place] else length for place, length in enumerate(found)]


def checked(column: Any, levels: list[int], dtype: np.dtype[Any]) -> tuple[Any, bool]:
    """Return the values of some rows as a column without lists, and whether there are nulls among lists or values.

    Raises UnfitError for lists of other lengths than `levels`, and for nulls where no NaN can stand for them.
    """
    has_nulls = False
    for length in levels:
        column = _plain(column)
        has_nulls |= column.null_count > 0
        if not isinstance(column.type, pa.FixedSizeListType):
            lengths = column.drop_null().value_lengths().to_numpy(zero_copy_only=False)
            others = lengths[lengths != length]
            if len(others):
                raise UnfitError(
                    f"lists of different lengths ({length} and {others[0]} values); pad or cut them to one length"
                )
        column = column.flatten()
    column = _plain(column)
    has_nulls |= column.null_count > 0
    if has_nulls and dtype.kind != "f":
        raise UnfitError(f"nulls among values of {dtype}, which has no NaN; fill them, or save it as float")
    return column, has_nulls


def dense(column: Any, levels: list[int], dtype: np.dtype[Any]) -> Array:
    """Return some rows as an array, shape (n_rows, *levels); a null is NaN in it. Raises UnfitError as `checked`."""
    values, has_nulls = checked(column, levels, dtype)
    if not has_nulls or not levels:
        array = np.asarray(values.to_numpy(zero_copy_only=False))
        return array.astype(dtype, copy=False).reshape(len(column), *levels)
    column = _plain(column)
    found = np.full((len(column), *levels), np.nan, dtype)
    is_there = column.is_valid().to_numpy(zero_copy_only=False)
    inner = dense(column.flatten(), levels[1:], dtype)
    found[is_there] = inner.reshape(int(is_there.sum()), *levels)
    return found


def place_of_values(column: Any, levels: list[int], dtype: np.dtype[Any]) -> int | None:
    """Return the address of the values of some rows where they lie as numpy has them, else None.

    Raises UnfitError as `checked`.
    """
    values, has_nulls = checked(column, levels, dtype)
    buffer = None if has_nulls or dtype.kind == "b" else values.buffers()[1]
    if buffer is None or len(values) != len(column) * prod(levels):
        return None
    return int(buffer.address) + int(values.offset) * dtype.itemsize


def texts(column: Any) -> list[str]:
    """Return rows of text. Raises UnfitError for nulls."""
    column = _plain(column)
    if column.null_count:
        raise UnfitError("nulls among text; fill them")
    found: list[str] = column.to_pylist()
    return found


def _plain(column: Any) -> Any:
    """Return a column as it is stored, of a dictionary the values themselves."""
    while isinstance(column.type, pa.BaseExtensionType | pa.DictionaryType):
        column = column.dictionary_decode() if isinstance(column.type, pa.DictionaryType) else column.storage
    return column
