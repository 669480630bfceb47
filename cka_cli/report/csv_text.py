"""CSV. Commas, line feeds, UTF-8, shortest floats that read back the same, `nan` for NaN."""

import re
from functools import lru_cache

from cka_cli.report import Cells, Report, Screen

# What a spreadsheet takes for the beginning of a formula, behind any apostrophes that say it is text.
_FORMULA = re.compile(r"'*(?:[\t\r\n]|\s*[-=+@＝＋－＠])")
_TO_BE_QUOTED = re.compile(r'[,"\r\n]')


def write(report: Report, screen: Screen) -> str:
    """Return the lines of cells of a report."""
    return _csv_text(report.cells())


def write_square(report: Report, screen: Screen) -> str:
    """Return one matrix as a labelled square."""
    return _csv_text(report.square())


def _csv_text(cells: Cells) -> str:
    """Return lines of cells: words so that a spreadsheet takes them for words, numbers as they are, None empty.

    `csv` of Python below 3.13 leaves carriage returns unquoted, which it then reads as the end of the line.
    """
    header, rows = cells
    lines = [",".join(map(_written, header))]
    for row in rows:
        words = [_written(cell) if isinstance(cell, str) else "" if cell is None else repr(cell) for cell in row]
        lines.append(",".join(words))
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=1 << 16)  # the same names stand in many lines
def _written(word: str) -> str:
    word = as_text(word)
    return '"' + word.replace('"', '""') + '"' if _TO_BE_QUOTED.search(word) else word


def as_text(word: str) -> str:
    """Return a word that no spreadsheet takes for a formula: behind an apostrophe where it begins like one.

    A word that begins with apostrophes before such a beginning gets one more, so that `from_text` gives back any word.
    """
    return "'" + word if _FORMULA.match(word) else word


def from_text(cell: str) -> str:
    """Return the word that `as_text` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
