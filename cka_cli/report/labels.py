"""Which cells of a table are names: those of its first line and column, of one of them, or none."""

import re
from collections.abc import Sequence

import numpy as np

from cka_cli.arrays import Float64
from cka_cli.errors import DataError
from cka_cli.text import cut

# What programs write above a column of names.
_CORNERS = ("layer", "layers", "name", "index", "unnamed: 0")
_WHOLE = re.compile(r"-?\d+")
_MOST_FOUND = 40


def has_names(
    header: Sequence[str], column: Sequence[str], values: Float64, numbers: Sequence[Sequence[float | None]], name: str
) -> tuple[bool, bool]:
    """Return whether the first line holds names, and whether the first column does.

    header : the cells of the first line, stripped, the corner first. column : the first cells of the other lines.
    values : all other cells. numbers : the numbers of header and column, None for a word.
    Whatever could be both is refused with a DataError: a number taken for a name is lost, and nobody sees it.
    """
    corner, above, beside = header[0], header[1:], column
    above_has_words, beside_has_words = (None in cells for cells in (numbers[0][1:], numbers[1]))
    is_known = corner.lower() in _CORNERS
    if is_known or (above_has_words and beside_has_words):
        return True, True
    if not corner:
        if above_has_words or beside_has_words or _are_whole(above) or _are_whole(beside):
            return True, True
        raise _unclear(header, "line", name)
    is_fractional = bool(np.any(np.isfinite(values) & (values % 1 != 0)))
    if numbers[0][0] is not None:
        return _below_a_number(header, column, above_has_words, beside_has_words, is_fractional, name)
    if above_has_words:
        if _are_counted(beside):
            return True, True
        if _are_whole(beside):
            raise _unclear(beside, "column", name)
        return True, False
    if beside_has_words:
        if _are_counted(above) or (_are_values(numbers[0][1:], len(beside) + 1) and not _are_whole(above)):
            return _are_counted(above), True
        raise _unclear(header, "line", name)
    if _are_whole(above) or _are_whole(beside):
        return True, True
    raise _unclear(header, "line", name)


def _below_a_number(
    header: Sequence[str], column: Sequence[str], above_has_words: bool, beside_has_words: bool,
    is_fractional: bool, name: str,
) -> tuple[bool, bool]:  # fmt: skip
    """Return what is a name where the corner is a number: nothing, unless words say so."""
    if above_has_words and _are_counted(column):
        return True, True
    if above_has_words:
        raise _unclear(header, "line", name)
    if beside_has_words:
        raise _unclear(column, "column", name)
    if is_fractional and _are_counted(header):
        raise _unclear(header, "line", name)
    if is_fractional and _are_counted([header[0], *column]):
        raise _unclear([header[0], *column], "column", name)
    return False, False


def _are_whole(cells: Sequence[str]) -> bool:
    """Whether cells are whole numbers, each another, as names may be."""
    return len(set(cells)) == len(cells) and all(_WHOLE.fullmatch(cell) for cell in cells)


def _are_counted(cells: Sequence[str]) -> bool:
    """Whether cells are 0, 1, 2, ... or 1, 2, 3, ...: no similarities are, but for two of them."""
    return (len(cells) > 1 and list(cells) == [str(place) for place in range(len(cells))]) or (
        len(cells) > 2 and list(cells) == [str(place + 1) for place in range(len(cells))]
    )


def _are_values(cells: Sequence[float | None], n_lines: int) -> bool:
    """Whether the numbers of a first line can be no names: some are equal, or they are a layer's with itself first."""
    known = [cell for cell in cells if cell is not None and cell == cell]
    return len(set(known)) < len(cells) or (len(cells) == n_lines > 1 and known[0] == max(known))


def _unclear(cells: Sequence[str], where: str, name: str) -> DataError:
    return DataError(
        f"{name}: its first {where} may be names or numbers (found {cut(', '.join(cells), _MOST_FOUND)}); "
        "give names to all rows and columns, with 'layer' in the corner"
    )
