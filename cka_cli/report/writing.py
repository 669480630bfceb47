"""Tidy CSV, wide CSV and JSON. Commas, line feeds, UTF-8, shortest floats that read back the same, `nan` for NaN."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np

from cka_cli.arrays import Float64
from cka_cli.errors import UsageError
from cka_cli.results.matrix import Comparison, Matrix
from cka_cli.version import __version__

TIDY_HEADER = ("x_file", "x_layer", "y_file", "y_layer", "measure", "kernel", "n_examples", "value")
Cell = str | float | None
# What a spreadsheet takes for the beginning of a formula, behind any apostrophes that say it is text.
_FORMULA = re.compile(r"'*(?:[\t\r\n]|\s*[-=+@＝＋－＠])")
_TO_BE_QUOTED = re.compile(r'[,"\r\n]')


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from: the command as typed, and its options by name."""

    command: Sequence[str]
    options: dict[str, Any]


def format_tidy(comparison: Comparison) -> str:
    """Return one line per cell, under the header x_file ... value, and std_error, chance, p_value where asked for."""
    names = list(dict.fromkeys(name for matrix in comparison.matrices for name in _statistics(matrix)))
    rows = (row for matrix in comparison.matrices for row in _tidy_rows(matrix, names))
    return csv_text((*TIDY_HEADER, *names), rows)


def _statistics(matrix: Matrix) -> dict[str, Float64]:
    """Return what is known of how far the values can be trusted, by column name."""
    if matrix.statistics is None:
        return {}
    found = {field.name: getattr(matrix.statistics, field.name) for field in fields(matrix.statistics)}
    return {name: values for name, values in found.items() if values is not None}


def _tidy_rows(matrix: Matrix, names: Sequence[str]) -> Iterable[tuple[Cell, ...]]:
    statistics = _statistics(matrix)
    for place, (x_layer, row) in enumerate(zip(matrix.x_layers, matrix.values.tolist(), strict=True)):
        for column, (y_layer, value) in enumerate(zip(matrix.y_layers, row, strict=True)):
            yield (
                matrix.x_file,
                x_layer,
                matrix.y_file,
                y_layer,
                matrix.measure,
                matrix.kernel,
                matrix.n_examples,
                value,
                # Empty where a measure has no such law: `nan` is for values.
                *(None if name not in statistics else _known(statistics[name][place, column]) for name in names),
            )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def format_wide(comparison: Comparison) -> str:
    """Return one matrix as a labelled square: rows are the layers of X, columns those of Y."""
    check_wide(len(comparison.matrices))
    matrix = comparison.matrices[0]
    if matrix.statistics is not None:
        raise UsageError("--format wide: has no room for --stats; use --format csv or json")
    rows = ((name, *row) for name, row in zip(matrix.x_layers, matrix.values.tolist(), strict=True))
    return csv_text(("layer", *matrix.y_layers), rows)


def check_wide(n_matrices: int) -> None:
    """Raise UsageError for more matrices than a wide CSV holds: ask before they are worked out."""
    if n_matrices != 1:
        raise UsageError(
            f"--format wide: holds one matrix (found {n_matrices}); "
            "give one second file, one measure and one kernel, or use --format csv"
        )


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return lines of cells: words so that a spreadsheet takes them for words, numbers as they are, None empty.

    `csv` of Python below 3.13 leaves carriage returns unquoted, which it then reads as the end of the line.
    """
    lines = [",".join(map(_written, header))]
    for row in rows:
        lines.append(",".join([_written(cell) if isinstance(cell, str) else _number(cell) for cell in row]))
    return utf8("\n".join(lines)) + "\n"


@lru_cache(maxsize=1 << 16)  # the same names stand in many lines
def _written(word: str) -> str:
    word = as_text(word)
    return '"' + word.replace('"', '""') + '"' if _TO_BE_QUOTED.search(word) else word


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def as_text(word: str) -> str:
    """Return a word that no spreadsheet takes for a formula: behind an apostrophe where it begins like one.

    A word that begins with apostrophes before such a beginning gets one more, so that `from_text` gives back any word.
    """
    return "'" + word if _FORMULA.match(word) else word


def from_text(cell: str) -> str:
    """Return the word that `as_text` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def utf8(text: str) -> str:
    """Return text that UTF-8 can hold: bytes of a file name that are no UTF-8 become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def format_json(comparison: Comparison, provenance: Provenance) -> str:
    """Return everything: version, command, options, files with sizes and dates, layer shapes, matrices, notes."""
    return json_text(
        provenance,
        files=[asdict(file) for file in comparison.files],
        matrices=[matrix_object(matrix) for matrix in comparison.matrices],
        notes=comparison.notes,
    )


def json_text(provenance: Provenance, **findings: Any) -> str:
    """Return where a result comes from and what was found, with null for what is not finite, which JSON lacks."""
    import json

    document = {"version": __version__, "command": provenance.command, "options": provenance.options, **findings}
    return utf8(json.dumps(_plain(document), ensure_ascii=False, allow_nan=False, indent=1)) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def matrix_object(matrix: Matrix) -> dict[str, Any]:
    """Return a matrix as `json_text` takes it."""
    return {
        "x_file": matrix.x_file,
        "y_file": matrix.y_file,
        "measure": matrix.measure,
        "kernel": matrix.kernel,
        "n_examples": matrix.n_examples,
        "x_layers": list(matrix.x_layers),
        "y_layers": list(matrix.y_layers),
        "values": matrix.values,
        **_statistics(matrix),
    }
