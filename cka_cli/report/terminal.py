"""A comparison as a person reads it in a terminal: coloured cells, the best match of each row marked."""

import io
from itertools import pairwise

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from cka_cli.errors import one_line
from cka_cli.matrix import Comparison, Matrix

# Colours of the magma map at even steps, dark to light (its lightest fifth, hard to tell from white, left out).
_RAMP = ((0, 0, 4), (28, 16, 68), (79, 18, 123), (129, 37, 129), (181, 54, 122), (229, 80, 100), (251, 135, 97), (254, 194, 135))  # fmt: skip  # noqa: E501
_MARK = "*"
_MAX_NAME, _MIN_NAME = 28, 8


def format_table(comparison: Comparison, *, width: int | None = None, colour: bool = False) -> str:
    """Return every matrix as a table. Rows are the layers of X; `*` marks the best match of each row.

    width : characters to a line; columns that do not fit follow below. Colours show the value where `colour` is on.
    """
    text = io.StringIO()
    if width is not None:
        width = max(width, 2 * _MIN_NAME + 4)
    console = Console(
        file=text, width=width, force_terminal=colour, highlight=False, markup=False, emoji=False,
        color_system="truecolor" if colour else None, legacy_windows=False,
    )  # fmt: skip
    for matrix in comparison.matrices:
        for part in _parts(matrix, console.width):
            console.print(part)
    return text.getvalue()


def _parts(matrix: Matrix, width: int) -> list[Table | Text]:
    best = matrix.best_columns()
    longest = min(_MAX_NAME, max(_MIN_NAME, width // 2 - 2))  # a name and a column fit at any width
    x_names = [_short(name, longest) for name in matrix.x_layers]
    y_names = [_short(name, longest) for name in matrix.y_layers]
    cells = [[_number(value) for value in row] for row in matrix.values.tolist()]
    name_width = max(cell_len(name) for name in [*x_names, "layer"]) + 2
    widths = [
        max(cell_len(name), max(len(row[place]) for row in cells) + len(_MARK)) + 2
        for place, name in enumerate(y_names)
    ]
    parts: list[Table | Text] = [_heading(matrix)]
    for first, stop in pairwise(_breaks(widths, width - name_width)):
        table = Table(box=None, padding=(0, 1), pad_edge=True, show_edge=False)
        table.add_column("", no_wrap=True, justify="left")
        for place in range(first, stop):
            table.add_column(Text(y_names[place]), no_wrap=True, justify="right", min_width=widths[place] - 2)
        for row, name in enumerate(x_names):
            styled = [
                _cell(cells[row][place], matrix, matrix.values[row, place], is_best=best[row] == place)
                for place in range(first, stop)
            ]
            table.add_row(Text(name), *styled)
        parts += [table, Text("")]
    return parts


def _breaks(widths: list[int], room: int) -> list[int]:
    """Return the columns at which a new table starts, and the end."""
    breaks, used = [0], 0
    for place, width in enumerate(widths):
        if used + width > room and place > breaks[-1]:
            breaks.append(place)
            used = 0
        used += width
    return [*breaks, len(widths)]


def _heading(matrix: Matrix) -> Text:
    sides = f"rows {one_line(matrix.x_file)}, columns {one_line(matrix.y_file)}"
    text = Text(f"{matrix.title}  ", style="bold")
    text.append(f"{sides}, {matrix.n_examples} examples, {_MARK} best of its row", style="dim not bold")
    return text


def _short(name: str, longest: int) -> str:
    """Return the end of a name, which tells layers apart better than its beginning, in so many columns of a screen."""
    name = one_line(name)
    if cell_len(name) <= longest:
        return name
    while cell_len(name) >= longest:
        name = name[1:]
    return "…" + name


def _number(value: float) -> str:
    if np.isnan(value):
        return "nan"
    return f"{value:.3f}" if value == 0 or 1e-2 <= abs(value) < 1e3 else f"{value:.2e}"


def _cell(text: str, matrix: Matrix, value: float, *, is_best: bool) -> Text:
    style = _colour(value, matrix)
    return Text(text + (_MARK if is_best else " "), style=style + Style(bold=True) if is_best else style)


def _colour(value: float, matrix: Matrix) -> Style:
    finite = matrix.values[np.isfinite(matrix.values)]
    if not np.isfinite(value) or not finite.size:
        return Style(dim=True)
    bounded = not matrix.measure.startswith("hsic")
    low, high = (min(0.0, float(finite.min())), 1.0) if bounded else (float(finite.min()), float(finite.max()))
    share = (value - low) / (high - low) if high > low else 1.0
    step = _RAMP[round(min(1.0, max(0.0, share)) * (len(_RAMP) - 1))]
    ink = "black" if sum(step) > 380 else "white"
    return Style(color=ink, bgcolor=f"rgb({step[0]},{step[1]},{step[2]})")
