"""Matrices read back from tidy CSV, wide CSV, JSON, or any CSV of numbers with a name to each row and column."""

import csv
import io
import math
from typing import Any

import numpy as np

from cka_cli.errors import DataError
from cka_cli.matrix import Matrix
from cka_cli.report.writing import TIDY_HEADER, from_text

_MISSING = ("", "nan", "na", "null", "none")


def read_matrices(data: bytes, name: str) -> tuple[Matrix, ...]:
    """Return the matrices that a report holds, in the order they stand there.

    name : how errors name the source. Raises DataError naming it and the line when it is no matrix.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: is not text ({error.reason} at byte {error.start}); give a CSV or JSON report"
        ) from error
    if not text.strip():
        raise DataError(f"{name}: is empty; give a CSV or JSON report (did the command before it fail?)")
    if text.lstrip().startswith(("{", "[")):
        return _read_json(text, name)
    rows = _csv_rows(text, name)
    if not rows:
        raise DataError(f"{name}: holds commas and nothing between them; give a CSV or JSON report")
    header = [cell.strip() for cell in rows[0][1]]
    if set(TIDY_HEADER) - {"kernel", "n_examples"} <= set(header):
        return _read_tidy(header, rows[1:], name)
    return (_read_wide(header, rows[1:], name),)


def _csv_rows(text: str, name: str) -> list[tuple[int, list[str]]]:
    """Return (line number, cells) of every line that is not empty."""
    delimiter = "\t" if "\t" in text.splitlines()[0] and "," not in text.splitlines()[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DataError(
            f"{name}: line {reader.line_num} is not CSV ({error}); give a report of cka compare, or mend the line"
        ) from error


def _read_tidy(header: list[str], rows: list[tuple[int, list[str]]], name: str) -> tuple[Matrix, ...]:
    cells: dict[tuple[str, str, str, str, str], dict[tuple[str, str], float]] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(
                f"{name}: line {line} has {len(row)} cells where the header has {len(header)}; is the file cut short?"
            )
        record = dict(zip(header, map(from_text, row), strict=True))
        group = tuple(record.get(key, "") for key in ("x_file", "y_file", "measure", "kernel", "n_examples"))
        pair = (record["x_layer"], record["y_layer"])
        matrix = cells.setdefault(group, {})  # type: ignore[arg-type]
        if pair in matrix:
            raise DataError(f"{name}: line {line} gives {pair[0]} × {pair[1]} a second time; leave one of them out")
        matrix[pair] = _number(record["value"], name, line)
    if not cells:
        raise DataError(f"{name}: holds a header and no values; give the whole report")
    return tuple(_tidy_matrix(group, matrix, name) for group, matrix in cells.items())


def _tidy_matrix(group: tuple[str, str, str, str, str], cells: dict[tuple[str, str], float], name: str) -> Matrix:
    x_file, y_file, measure, kernel, n_examples = group
    x_layers = tuple(dict.fromkeys(x for x, _ in cells))
    y_layers = tuple(dict.fromkeys(y for _, y in cells))
    if len(cells) != len(x_layers) * len(y_layers):
        missing = next((x, y) for x in x_layers for y in y_layers if (x, y) not in cells)
        raise DataError(f"{name}: no value for {missing[0]} × {missing[1]} ({measure}); give the whole report")
    values = np.array([[cells[x, y] for y in y_layers] for x in x_layers])
    count = int(n_examples) if n_examples.isdecimal() and len(n_examples) < 20 else None
    return Matrix(values, x_layers, y_layers, x_file, y_file, measure, kernel, count)


def _read_wide(header: list[str], rows: list[tuple[int, list[str]]], name: str) -> Matrix:
    wanted = "give a report of cka compare, or a CSV of a line of column names, then lines of a name and numbers"
    if len(header) < 2 or not rows:
        raise DataError(f"{name}: is no matrix (found {len(rows) + 1} × {len(header)} cells); {wanted}")
    values = []
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(f"{name}: line {line} has {len(row)} cells where the first has {len(header)}; {wanted}")
        values.append([_number(cell, name, line) for cell in row[1:]])
    return Matrix(
        np.array(values), tuple(from_text(row[0].strip()) for _, row in rows), tuple(map(from_text, header[1:]))
    )


def _number(text: str, name: str, line: int) -> float:
    if text.strip().lower() in _MISSING:
        return math.nan
    try:
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
    values = np.array(
        [[math.nan if value is None else float(value) for value in row] for row in entry["values"]], dtype=np.float64
    )
    x_layers, y_layers = (tuple(str(layer) for layer in entry[key]) for key in ("x_layers", "y_layers"))
    if values.shape != (len(x_layers), len(y_layers)) or not values.size:
        raise ValueError(f"values of shape {values.shape} for {len(x_layers)} × {len(y_layers)} layers")
    texts = {key: str(entry.get(key, "")) for key in ("x_file", "y_file", "measure", "kernel")}
    count = entry.get("n_examples")
    return Matrix(
        values, x_layers, y_layers, texts["x_file"], texts["y_file"], texts["measure"], texts["kernel"], count
    )
