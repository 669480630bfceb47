"""Matrices read back from tidy CSV, wide CSV, JSON, or any CSV of numbers with a name to each row and column."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from cka_cli.errors import DataError
from cka_cli.floating_point import flags_ignored
from cka_cli.matrix import Matrix
from cka_cli.report.writing import TIDY_HEADER, from_text

_MISSING = ("", "nan", "na", "null", "none")
# A report of ten million cells; a picture of more has several to each of its dots.
MOST_BYTES = 1 << 30
_MOST_CELLS = 10**7
_MOST_SHOWN = 60

Rows = Iterator[tuple[int, list[str]]]


@flags_ignored
def read_matrices(data: bytes, name: str) -> tuple[Matrix, ...]:
    """Return the matrices that a report holds, in the order they stand there.

    name : how errors name the source. Raises DataError naming it and the line when it is no matrix.
    """
    if len(data) > MOST_BYTES:
        raise DataError(f"{name}: is more than {MOST_BYTES >> 20} MiB; give the report of fewer layers (--layers)")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: is not text ({error.reason} at byte {error.start}); give a CSV or JSON report"
        ) from error
    if not text or text.isspace():
        raise DataError(f"{name}: is empty; give a CSV or JSON report (did the command before it fail?)")
    if text.lstrip().startswith(("{", "[")):
        return _read_json(text, name)
    rows = _csv_rows(text, name)
    _, first = next(rows, (0, []))
    if not first:
        raise DataError(f"{name}: holds commas and nothing between them; give a CSV or JSON report")
    header = [cell.strip() for cell in first]
    if set(TIDY_HEADER) - {"kernel", "n_examples"} <= set(header):
        return _read_tidy(header, rows, name)
    return (_read_wide(header, rows, name),)


def _csv_rows(text: str, name: str) -> Rows:
    """Give (line number, cells) of every line that is not empty."""
    first = text.lstrip().partition("\n")[0]
    delimiter = "\t" if "\t" in first and "," not in first else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(
            f"{name}: line {reader.line_num} is not CSV ({error}); give a report of cka compare, or mend the line"
        ) from error


def _read_tidy(header: list[str], rows: Rows, name: str) -> tuple[Matrix, ...]:
    if len(set(header)) < len(header):
        doubled = next(column for column in header if header.count(column) > 1)
        raise DataError(f"{name}: line 1 names the column {_shown(doubled)} twice; leave one of them out")
    places = {column: place for place, column in enumerate(header)}
    of_group = [places.get(column) for column in ("x_file", "y_file", "measure", "kernel", "n_examples")]
    of_pair = places["x_layer"], places["y_layer"]
    cells: dict[tuple[str, ...], dict[tuple[str, str], float]] = {}
    for n_cells, (line, row) in enumerate(rows):
        _check_size(n_cells, name)
        if len(row) != len(header):
            raise DataError(
                f"{name}: line {line} has {len(row)} cells where the header has {len(header)}; is the file cut short?"
            )
        group = tuple("" if place is None else from_text(row[place]) for place in of_group)
        pair = (from_text(row[of_pair[0]]), from_text(row[of_pair[1]]))
        matrix = cells.setdefault(group, {})
        if pair in matrix:
            raise DataError(f"{name}: line {line} gives {_pair(pair)} a second time; leave one of them out")
        matrix[pair] = _number(row[places["value"]], name, line)
    if not cells:
        raise DataError(f"{name}: holds a header and no values; give the whole report")
    return tuple(_tidy_matrix(group, matrix, name) for group, matrix in cells.items())


def _check_size(n_cells: int, name: str) -> None:
    if n_cells > _MOST_CELLS:
        raise DataError(f"{name}: holds more than {_MOST_CELLS} cells; give the report of fewer layers (--layers)")


def _pair(pair: tuple[str, str]) -> str:
    return f"{_shown(pair[0])} × {_shown(pair[1])}"


def _shown(text: str) -> str:
    """Return a text of the file as an error may show it: of a length that can be read."""
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."


def _tidy_matrix(group: tuple[str, ...], cells: dict[tuple[str, str], float], name: str) -> Matrix:
    x_file, y_file, measure, kernel, n_examples = group
    x_layers = tuple(dict.fromkeys(x for x, _ in cells))
    y_layers = tuple(dict.fromkeys(y for _, y in cells))
    if len(cells) != len(x_layers) * len(y_layers):
        missing = next((x, y) for x in x_layers for y in y_layers if (x, y) not in cells)
        raise DataError(f"{name}: no value for {_pair(missing)} ({_shown(measure)}); give the whole report")
    values = np.array([[cells[x, y] for y in y_layers] for x in x_layers])
    is_count = n_examples.isascii() and n_examples.isdecimal() and len(n_examples) < 20
    count = int(n_examples) if is_count else None
    return Matrix(values, x_layers, y_layers, x_file, y_file, measure, kernel, count)


def _read_wide(header: list[str], rows: Rows, name: str) -> Matrix:
    wanted = "give a report of cka compare, or a CSV of a line of column names, then lines of a name and numbers"
    if len(header) < 2:
        raise DataError(f"{name}: is no matrix (found {1 + sum(1 for _ in rows)} × {len(header)} cells); {wanted}")
    values, names = [], []
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(f"{name}: line {line} has {len(row)} cells where the first has {len(header)}; {wanted}")
        values.append(np.array([_number(cell, name, line) for cell in row[1:]]))
        names.append(from_text(row[0].strip()))
        _check_size(len(values) * len(header), name)
    if not values:
        raise DataError(f"{name}: is no matrix (found 1 × {len(header)} cells); {wanted}")
    return Matrix(np.array(values), tuple(names), tuple(map(from_text, header[1:])))


def _number(text: str, name: str, line: int) -> float:
    if text.strip().lower() in _MISSING:
        return math.nan
    try:
        if "_" in text or not text.isascii():  # which Python takes for digits, and nobody else
            raise ValueError
        return float(text)
    except ValueError as error:
        raise DataError(f"{name}: line {line} holds {text[:40]!r} where a number belongs; mend the line") from error


def _read_json(text: str, name: str) -> tuple[Matrix, ...]:
    import json

    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: is not JSON ({error}); is the file cut short?") from error
    try:
        if not isinstance(document, dict):
            raise TypeError("it is a list")
        matrices = tuple(_json_matrix(entry) for entry in document["matrices"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{name}: is JSON, but no report of cka compare ({why}); make one with cka compare --format json"
        ) from error
    if not matrices:
        raise DataError(f"{name}: is a report without matrices; make one with cka compare --format json")
    return matrices


def _json_matrix(entry: dict[str, Any]) -> Matrix:
    x_layers, y_layers = (tuple(_texts(entry[key])) for key in ("x_layers", "y_layers"))
    rows = [[_json_number(value) for value in _listed(row)] for row in _listed(entry["values"])]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise ValueError(f"rows of {min(widths)} to {max(widths)} values")
    shape = (len(rows), *widths)
    if shape != (len(x_layers), len(y_layers)) or 0 in shape:
        raise ValueError(f"values of shape {shape} for {len(x_layers)} × {len(y_layers)} layers")
    texts = {key: str(entry.get(key, "")) for key in ("x_file", "y_file", "measure", "kernel")}
    n_examples = entry.get("n_examples")
    return Matrix(
        np.array(rows, dtype=np.float64),
        x_layers,
        y_layers,
        texts["x_file"],
        texts["y_file"],
        texts["measure"],
        texts["kernel"],
        n_examples if type(n_examples) is int else None,
    )


def _listed(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{_shown(repr(value))} where a list belongs")
    return value


def _texts(value: Any) -> Sequence[str]:
    wrong = next((each for each in _listed(value) if not isinstance(each, str)), None)
    if wrong is not None:
        raise TypeError(f"{_shown(repr(wrong))} where the name of a layer belongs")
    return _listed(value)


def _json_number(value: Any) -> float:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError(f"{_shown(repr(value))} where a number belongs")
    return math.nan if value is None else float(value)
