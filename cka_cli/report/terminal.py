"""A comparison as a person reads it in a terminal: coloured cells, the best match of each row marked."""

import io
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from cka_cli.errors import one_line
from cka_cli.report import Screen
from cka_cli.results.matrix import Comparison, Matrix, colour_ends
from cka_cli.shortening import shorten_names
from cka_cli.text import number_text

# Colours of the magma map at even steps, dark to light (its lightest fifth, hard to tell from white, left out).
_RAMP = ((0, 0, 4), (28, 16, 68), (79, 18, 123), (129, 37, 129), (181, 54, 122), (229, 80, 100), (251, 135, 97), (254, 194, 135))  # fmt: skip  # noqa: E501
_STYLES = tuple(
    Style(color="black" if sum(step) > 380 else "white", bgcolor=f"rgb({step[0]},{step[1]},{step[2]})")
    for step in _RAMP
)
_NO_COLOUR, _PLAIN_BOLD = Style(dim=True), Style(bold=True)
_MARK = "*"
MAX_NAME, MIN_NAME = 28, 8
_MAX_BLOCKS = 3


def format_table(comparison: Comparison, screen: Screen) -> str:
    """Return every matrix as a table. Rows are the layers of X; `*` marks the best match of each row.

    Columns that do not fit on the screen follow below; where that takes more than 3 blocks, each row has its best and
    second best match only. Colours show the value.
    """
    screen = at_least(screen, 2 * MIN_NAME + 4)
    return printed((part for matrix in comparison.matrices for part in _parts(matrix, screen.width)), screen)


def at_least(screen: Screen, width: int) -> Screen:
    """Return the screen, or one as wide as the narrowest table."""
    return screen._replace(width=max(screen.width, width))


def printed(parts: Iterable[Table | Text], screen: Screen) -> str:
    """Return what a screen shows of tables and lines; what stands in names is shown literally."""
    text = io.StringIO()
    console = Console(
        file=text, width=screen.width, force_terminal=screen.colour, highlight=False, markup=False, emoji=False,
        color_system="truecolor" if screen.colour else None, legacy_windows=False,
    )  # fmt: skip
    for part in parts:
        console.print(part)
    return text.getvalue()


def without_padding(text: str) -> str:
    """Return lines without the blanks that a table puts at their ends."""
    return "\n".join(line.rstrip() for line in text.split("\n"))


def plain_table(titles: Iterable[str] = ()) -> Table:
    """Return a table without lines, and with a column for each title, none of them folded."""
    table = Table(box=None, padding=(0, 1), pad_edge=True, show_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=True)
    return table


def heading(title: str, about: str) -> Text:
    """Return the line above a table: what it is of, and behind it, less bright, what it is about."""
    return Text(f"{title}  ", style="bold").append(about, style="dim not bold")


def _parts(matrix: Matrix, width: int) -> list[Table | Text]:
    best = matrix.best_columns()
    longest = min(MAX_NAME, max(MIN_NAME, width // 2 - 2))  # a name and a column fit at any width
    colours = Colours(matrix)
    short = short_names((*matrix.x_layers, *matrix.y_layers), longest)
    x_names, y_names = ([short[name] for name in names] for names in (matrix.x_layers, matrix.y_layers))
    cells = _cells(matrix)
    name_width = max(cell_len(name) for name in [*x_names, "layer"]) + 2
    widths = [
        max(cell_len(name), max(len(row[place]) for row in cells) + len(_MARK)) + 2
        for place, name in enumerate(y_names)
    ]
    breaks = _breaks(widths, width - name_width)
    if len(breaks) - 1 > _MAX_BLOCKS:
        matches = _matches(matrix, cells, colours, width)
        if matches is not None:
            hint = f"best matches only: {len(x_names)} x {len(y_names)} values are too wide for this screen; "
            hint += "the whole matrix: --format csv, or as a picture: cka heatmap"
            return [_heading(matrix, mark=False), matches, Text(hint, style="dim"), Text("")]
    parts: list[Table | Text] = [_heading(matrix, mark=True)]
    for first, stop in pairwise(breaks):
        columns = range(first, stop)
        parts.append(_line(" " * name_width, [(y_names[place], _PLAIN_BOLD, widths[place]) for place in columns]))
        for row, name in enumerate(x_names):
            styled = [
                (
                    cells[row][place] + (_MARK if best[row] == place else " "),
                    colours.style(float(matrix.values[row, place]), is_bold=best[row] == place),
                    widths[place],
                )
                for place in columns
            ]
            parts.append(_line(f" {name} ".ljust(name_width - cell_len(name) + len(name)), styled))
        parts.append(Text(""))
    return parts


def _cells(matrix: Matrix) -> list[list[str]]:
    """Return the text of every value, with its standard error where it is known."""
    texts = [[number_text(value, is_bounded=matrix.is_bounded) for value in row] for row in matrix.values.tolist()]
    if matrix.statistics is None or np.isnan(matrix.statistics.std_error).all():
        return texts

    def error(value: float) -> str:
        return "" if math.isnan(value) else "±" + (f"{value:.3f}"[1:] if value < 0.9995 else f"{value:.2g}")

    errors = matrix.statistics.std_error.tolist()
    return [list(map(str.__add__, row, map(error, of_row))) for row, of_row in zip(texts, errors, strict=True)]


def _breaks(widths: list[int], room: int) -> list[int]:
    """Return the columns at which a new table starts, and the end."""
    breaks, used = [0], 0
    for place, width in enumerate(widths):
        if used + width > room and place > breaks[-1]:
            breaks.append(place)
            used = 0
        used += width
    return [*breaks, len(widths)]


def _matches(matrix: Matrix, cells: list[list[str]], colours: "Colours", width: int) -> Table | None:
    """Return for each row the best match and the second best with their values; None on too narrow a screen."""
    value_width = max(len(cell) for row in cells for cell in row)
    longest = min(MAX_NAME, (width - 2 * value_width - 5 * 2) // 3)
    if longest < MIN_NAME:
        return None
    short = short_names((*matrix.x_layers, *matrix.y_layers), longest)
    table = plain_table(("", "best", "", "second", ""))
    for row, name in enumerate(matrix.x_layers):
        values = matrix.values[row]
        largest = np.argsort(-values, kind="stable")[:2]  # NaN last; equal values in their order
        words = [Text(short[name])]
        for place in largest.tolist():
            has_value = not np.isnan(values[place])
            words.append(Text(short[matrix.y_layers[place]] if has_value else ""))
            words.append(Text(cells[row][place].rjust(value_width), style=colours.style(float(values[place]))))
        table.add_row(*words)
    return table


def _heading(matrix: Matrix, *, mark: bool) -> Text:
    sides = f"rows {one_line(matrix.x_file)}, columns {one_line(matrix.y_file)}"
    meaning = f", {_MARK} best of its row" if mark else ""
    if matrix.statistics is not None:
        meaning += ", ± standard error; chance and p-values: --format csv"
    return heading(matrix.title, f"{sides}, {matrix.n_examples} examples{meaning}")


def short_names(names: Sequence[str], longest: int) -> dict[str, str]:
    """Return each name in so many columns of a screen, different from the others; of long ones the end, if that does.

    The end of a name tells layers apart better than its beginning.
    """
    seen = list(dict.fromkeys(map(one_line, names)))
    short = dict(zip(seen, shorten_names(seen, longest, cell_len, keep_ends=True), strict=True))
    return {name: short[one_line(name)] for name in names}


def _line(name: str, cells: list[tuple[str, Style, int]]) -> Text:
    """Return a line of (text, style, width), each text at the right of its width; rich's own table takes seconds."""
    line = Text(name, no_wrap=True, overflow="ignore")
    for text, style, width in cells:
        line.append(" ")
        line.append(" " * (width - 2 - cell_len(text)) + text, style)
        line.append(" ")
    return line


class Colours:
    """The colours of a matrix: from 0, or its lowest value, to 1; of its own range where it has no bound."""

    def __init__(self, matrix: Matrix) -> None:
        self._ends = colour_ends(matrix.values, is_bounded=matrix.is_bounded)  # None when no value is finite

    def style(self, value: float, *, is_bold: bool = False) -> Style:
        """Return the colours of a value."""
        if self._ends is None or not math.isfinite(value):
            return _NO_COLOUR
        low, high = self._ends
        share = (value - low) / (high - low) if high > low else 1.0
        step = round(min(1.0, max(0.0, share)) * (len(_STYLES) - 1))
        return _STYLES[step] + _PLAIN_BOLD if is_bold else _STYLES[step]
