"""Matrices read back from tidy CSV, wide CSV, JSON, or any table of numbers, with names or without, also joined."""

import math
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from cka_cli.arrays import Float64
from cka_cli.errors import DataError
from cka_cli.floating_point import quiet_arithmetic
from cka_cli.report.cells import Table, text_of
from cka_cli.report.compare import TIDY_HEADER
from cka_cli.report.csv_text import from_text
from cka_cli.report.extents import Rows
from cka_cli.report.labels import has_names
from cka_cli.report.others import other_csv, other_table
from cka_cli.results.matrix import TIE, Matrix
from cka_cli.specs import is_bounded
from cka_cli.text import cut

# A report of ten million cells; a picture of more has several to each of its dots.
MOST_BYTES = 1 << 30
_MOST_CELLS = 10**7
_MOST_SHOWN = 60
_facts = attrgetter("x_file", "y_file", "measure", "kernel", "n_examples", "x_layers", "y_layers")
_NEEDED = frozenset(TIDY_HEADER) - {"kernel", "n_examples"}
_WANTED = "give a report of cka compare, or a CSV of a line of column names, then lines of a name and numbers"


@quiet_arithmetic
def read_matrices(data: bytes, name: str) -> tuple[Matrix, ...]:
    """Return the matrices that a report holds, in the order they stand there.

    Reports of one kind may be joined: headers within tidy CSV are passed over, and so is a cell that is given twice
    with the same value to 1e-9. A table without names has the places of its rows and columns for names, from 0.
    name : how errors name the source. Raises DataError naming it and the line when it is no matrix.
    """
    if len(data) > MOST_BYTES:
        raise DataError(f"{name}: is more than {MOST_BYTES >> 20} MiB; give the report of fewer layers (--layers)")
    text = text_of(data, name)
    if not text or text.isspace():
        raise DataError(f"{name}: is empty; give a CSV or JSON report (did the command before it fail?)")
    if text.lstrip().startswith(("{", "[")):
        return _read_json(text, name)
    if other := other_table(text):
        raise DataError(f"{name}: {other}")
    table = Table(text, name, is_known_header)
    rows = table.rows()
    _, first = next(rows, (0, []))
    if not first:
        raise DataError(f"{name}: holds commas and nothing between them; give a CSV or JSON report")
    header = [cell.strip() for cell in first]
    if not is_known_header(header) and (other := other_csv(list(map(_column, header)))):
        raise DataError(f"{name}: {other}")
    matrices = _read_tidy(header, rows, table, name) if _is_tidy(header) else (_read_wide(header, rows, table, name),)
    table.check_marks()
    return matrices


def doubts_of(data: bytes, matrices: Sequence[Matrix], name: str) -> list[str]:
    """Return what a reader of matrices must know of where they come from: what may be cut, doubled or no similarity.

    data : what they were read from, by `read_matrices`.
    """
    doubts = []
    text = text_of(data, name)
    if not text.endswith(("\n", "\r")) and is_known_header(text.partition("\n")[0].split(",")):
        last = text.rpartition("\n")[2].rpartition(",")[2]
        doubts.append(f"{name}: has no line end behind its last value ({_shown(last)}); is the file cut short?")
    for matrix in matrices:
        names = next((each for each in (matrix.x_layers, matrix.y_layers) if len(set(each)) < len(each)), ())
        if names:
            doubled = next(each for each in names if names.count(each) > 1)
            doubts.append(
                f"{name}: {_shown(doubled)} is the name of {names.count(doubled)} layers; is one meant twice?"
            )
        n_infinite = int(np.count_nonzero(np.isinf(matrix.values)))
        if n_infinite:
            are = "value is" if n_infinite == 1 else "values are"
            doubts.append(f"{name}: {n_infinite} {are} infinite, which no similarity is; see what made them")
    return doubts


def is_known_header(cells: Sequence[str]) -> bool:
    """Whether a line can be nothing but the first of a report of `cka compare`."""
    return _is_tidy(cells) or (len(cells) > 1 and cells[0].strip() == "layer")


def _is_tidy(cells: Sequence[str]) -> bool:
    return {_column(cell) for cell in cells} >= _NEEDED


def _column(cell: str) -> str:
    """Return the name of a column of tidy CSV, whatever a spreadsheet or a file joined to another did to it."""
    return cell.strip("\ufeff \t").lower()


class _Columns:
    """Where the columns of a tidy CSV stand."""

    def __init__(self, header: Sequence[str], name: str, line: int) -> None:
        columns = [_column(cell) for cell in header]
        doubled = next((column for column in columns if column and columns.count(column) > 1), None)
        if doubled is not None:
            raise DataError(f"{name}: line {line} names the column {_shown(doubled)} twice; leave one of them out")
        places = {column: place for place, column in enumerate(columns)}
        self.n = len(columns)
        self.group = [places.get(column) for column in ("x_file", "y_file", "measure", "kernel", "n_examples")]
        self.pair = places["x_layer"], places["y_layer"]
        self.value = places["value"]


def _read_tidy(header: list[str], rows: Rows, table: Table, name: str) -> tuple[Matrix, ...]:
    columns = _Columns(header, name, 1)
    cells: dict[tuple[str, ...], dict[tuple[str, str], float]] = {}
    for n_cells, (line, row) in enumerate(rows):
        _check_size(n_cells, name)
        if (len(row) != columns.n or not row[columns.value][-1:].isdigit()) and _is_tidy(row):  # a report joined on
            columns = _Columns(row, name, line)
            continue
        if len(row) != columns.n:
            raise DataError(
                f"{name}: line {line} has {len(row)} cells where the header has {columns.n}; is the file cut short?"
            )
        group = tuple("" if place is None else from_text(row[place]) for place in columns.group)
        pair = from_text(row[columns.pair[0]]), from_text(row[columns.pair[1]])
        matrix = cells.setdefault(group, {})
        value = table.number(row[columns.value], line)
        if not _is_same(matrix.setdefault(pair, value), value, is_bounded=is_bounded(group[2])):
            raise DataError(
                f"{name}: line {line} gives {_pair(pair)} a second time ({_apart(value, matrix[pair])}); "
                "leave one of them out"
            )
    if not cells:
        raise DataError(f"{name}: holds a header and no values; give the whole report")
    return tuple(_tidy_matrix(group, matrix, name) for group, matrix in cells.items())


def _is_same(one: float, other: float, *, is_bounded: bool) -> bool:
    """Whether two values are one but for the rounding of another order of work: `--stats`, or more threads."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    # A value without bounds may be small as a whole.
    return math.isclose(one, other, rel_tol=TIE, abs_tol=TIE if is_bounded else 0.0)


def _apart(one: float, other: float) -> str:
    """Return two numbers that differ with as many digits as show it."""
    short = f"{one:g}, not {other:g}"
    return short if f"{one:g}" != f"{other:g}" else f"{one!r}, not {other!r}"


def _check_size(n_cells: int, name: str) -> None:
    if n_cells > _MOST_CELLS:
        raise DataError(f"{name}: holds more than {_MOST_CELLS} cells; give the report of fewer layers (--layers)")


def _pair(pair: tuple[str, str]) -> str:
    return f"{_shown(pair[0])} × {_shown(pair[1])}"


def _shown(text: str) -> str:
    """Return a text of the file as an error may show it: of a length that can be read."""
    return cut(text, _MOST_SHOWN)


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


def _read_wide(header: list[str], rows: Rows, table: Table, name: str) -> Matrix:
    if len(header) < 2:
        raise DataError(f"{name}: is no matrix (found {1 + sum(1 for _ in rows)} × {len(header)} cells); {_WANTED}")
    values: list[Float64] = []
    column: list[str] = []
    for line, row in rows:
        if not column and len(row) == len(header) + 1 and None is table.value(header[0]):
            header = ["layer", *header]  # as R writes it, with nothing over the column of names
        if len(row) != len(header):
            raise DataError(f"{name}: line {line} has {len(row)} cells where the first has {len(header)}; {_WANTED}")
        first = row[0].strip()
        if (
            first == header[0]
            and table.value(first) is None
            and ([cell.strip() for cell in row] == header or None in map(table.value, row[1:]))
        ):
            raise DataError(f"{name}: line {line} begins another table; give each for itself, or join tidy CSV")
        values.append(np.array([table.number(cell, line) for cell in row[1:]]))
        column.append(first)
        _check_size(len(values) * len(header), name)
    if not values and None in map(table.value, header):
        raise DataError(f"{name}: is no matrix (found 1 × {len(header)} cells); {_WANTED}")
    numbers = [[table.value(cell) for cell in cells] for cells in (header, column)]
    body = np.array(values).reshape(len(values), len(header) - 1)
    if table.names_columns_by_numbers:
        has_header, has_column = True, None in numbers[1]
    else:
        has_header, has_column = has_names(header, column, body, numbers, name) if values else (False, False)
    if has_header and not header[-1]:
        raise DataError(f"{name}: its last column has values and no name; name each column, with 'layer' in the corner")
    if not has_header:
        body = np.vstack([np.array(numbers[0][1:], dtype=np.float64), body])
    if not has_column:
        beside = ([] if has_header else numbers[0][:1]) + numbers[1]
        body = np.column_stack([np.array(beside, dtype=np.float64), body])
    n_rows, n_columns = body.shape
    x_layers = column if has_header else [header[0], *column]
    y_layers = header[1:] if has_column else header
    return Matrix(
        body,
        tuple(map(from_text, x_layers)) if has_column else tuple(map(str, range(n_rows))),
        tuple(map(from_text, y_layers)) if has_header else tuple(map(str, range(n_columns))),
    )


def _read_json(text: str, name: str) -> tuple[Matrix, ...]:
    try:
        documents = list(_documents(text))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: is not JSON ({error}); is the file cut short?") from error
    matrices: list[Matrix] = []
    for document in documents:
        try:
            if not isinstance(document, dict):
                raise TypeError("it is a list")
            found = [_json_matrix(entry) for entry in document["matrices"]]
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(
                f"{name}: is JSON, but no report of cka compare ({why}); make one with cka compare --format json"
            ) from error
        matrices += [matrix for matrix in found if not _is_among(matrix, matrices, name)]
    if not matrices:
        raise DataError(f"{name}: is a report without matrices; make one with cka compare --format json")
    return tuple(matrices)


def _documents(text: str) -> Iterator[Any]:
    """Give each of the JSON documents that stand one behind the other."""
    import json

    decoder, text = json.JSONDecoder(), text.strip()
    while text:
        document, stop = decoder.raw_decode(text)
        yield document
        text = text[stop:].lstrip("\ufeff \t\r\n")


def _is_among(matrix: Matrix, others: Sequence[Matrix], name: str) -> bool:
    """Whether a report joined before holds the same matrix; DataError where it holds other values for it."""
    for other in others:
        if _facts(matrix) == _facts(other):
            values = zip(matrix.values.flat, other.values.flat, strict=True)
            if all(_is_same(one, another, is_bounded=matrix.is_bounded) for one, another in values):
                return True
            raise DataError(
                f"{name}: gives {_shown(matrix.title)} of {_shown(matrix.x_file)} and {_shown(matrix.y_file)} "
                "a second time with other values; leave one of them out"
            )
    return False


def _json_matrix(entry: dict[str, Any]) -> Matrix:
    x_layers, y_layers = (tuple(_texts(entry[key])) for key in ("x_layers", "y_layers"))
    rows = [[_json_number(value) for value in _listed(row)] for row in _listed(entry["values"])]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise ValueError(f"rows of {min(widths)} to {max(widths)} values")
    shape = (len(rows), *widths)
    if shape != (len(x_layers), len(y_layers)) or 0 in shape:
        raise ValueError(f"values of shape {shape} for {len(x_layers)} × {len(y_layers)} layers")
    x_file, y_file, measure, kernel = (str(entry.get(key, "")) for key in ("x_file", "y_file", "measure", "kernel"))
    n_examples = entry.get("n_examples")
    n_examples = n_examples if type(n_examples) is int else None
    values = np.array(rows, dtype=np.float64)
    return Matrix(values, x_layers, y_layers, x_file, y_file, measure, kernel, n_examples)


def _listed(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{_shown(repr(value))} where a list belongs")
    return value


def _texts(value: Any) -> Sequence[str]:
    for each in _listed(value):
        if not isinstance(each, str):
            raise TypeError(f"{_shown(repr(each))} where the name of a layer belongs")
    return _listed(value)


def _json_number(value: Any) -> float:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TypeError(f"{_shown(repr(value))} where a number belongs")
    return math.nan if value is None else float(value)
