"""What `cka match` found, as a person reads it in a terminal."""

from collections.abc import Sequence
from math import isfinite

from rich.cells import cell_len
from rich.style import Style
from rich.table import Table
from rich.text import Text

from cka_cli.analysis.correspondence import Correspondence
from cka_cli.analysis.depth import DepthStudy
from cka_cli.analysis.identification import Identification
from cka_cli.errors import one_line
from cka_cli.report import Screen
from cka_cli.report.terminal import (
    MAX_NAME,
    MIN_NAME,
    Colours,
    at_least,
    heading,
    plain_table,
    printed,
    short_names,
    without_padding,
)  # fmt: skip
from cka_cli.results.matrix import Matrix
from cka_cli.text import fixed, number_text

_BOLD, _DIM, _PLAIN = Style(bold=True), Style(dim=True), Style()
# Lines of partners that follow the accuracies unasked: what a person still reads.
_MOST_LINES = 80
_LEAST_WIDTH = 2 * MIN_NAME + 14


def format_matching(
    identifications: Sequence[Identification],
    correspondences: Sequence[Correspondence],
    matrices: Sequence[Matrix],
    report: str | None,
    screen: Screen,
) -> str:
    """Return the accuracies, and the partners where they are asked for or few.

    matrices : the one that each correspondence is of. report : `accuracy` or `partners` alone; None for what suits.
    """
    screen = at_least(screen, _LEAST_WIDTH)
    parts: list[Table | Text] = []
    if report != "partners" and identifications:
        parts += _accuracies(identifications)
    n_lines = sum(len(each.partners) + 3 for each in correspondences)
    if report == "partners" or (report is None and (n_lines <= _MOST_LINES or not identifications)):
        for each, matrix in zip(correspondences, matrices, strict=True):
            parts += _partners(each, matrix, screen.width)
    elif report is None:
        parts.append(Text("the partner of each layer: --report partners", style="dim"))
    return without_padding(printed(parts, screen))


def format_depth(studies: Sequence[DepthStudy], screen: Screen) -> str:
    """Return the layers of each study, and in a sentence which of them add nothing."""
    screen = at_least(screen, _LEAST_WIDTH)
    return without_padding(printed((part for each in studies for part in _depth(each, screen.width)), screen))


def sentences(study: DepthStudy) -> list[str]:
    """Return which layers add nothing to the last, and which to each other; nothing where a threshold means nothing."""
    if study.threshold is None:
        return []
    title, names = study.matrix.title, [one_line(layer.layer) for layer in study.layers]
    reach = f"{title} ≥ {study.threshold:g}"
    if study.n_like_last:
        said = [
            f"from {names[study.like_last[0]]} on ({study.n_like_last} of {len(names)} layers, beside the last) "
            f"every one has {reach} "
            f"with the last ({names[-1]}): they add nothing that {study.matrix.measure} sees"
        ]
    else:
        nearest = number_text(study.layers[-2].to_last, is_bounded=True)
        said = [f"no layer is like the last ({names[-1]}): the one before it has {title} {nearest} with it"]
    if study.stretch and study.stretch != study.like_last:
        first, last = study.stretch[0], study.stretch[-1]
        said.append(
            f"the longest stretch of layers any two of which have {reach}: {names[first]} to {names[last]} "
            f"({len(study.stretch)} of {len(names)} layers)"
        )
    return said


def _accuracies(identifications: Sequence[Identification]) -> list[Table | Text]:
    first = identifications[0]
    networks = f"{first.n_files} networks × {first.n_layers} layers, {first.n_examples} examples"
    above = heading("layers identified", f"{networks}, chance {_percent(first.chance)} %")
    has_errors, has_others = first.std_error is not None, len(identifications) > 1
    table = plain_table()
    table.add_column("measure", overflow="fold")
    for title in ["%", *["±"] * has_errors, *["from best"] * has_others, *["±"] * (has_errors and has_others)]:
        table.add_column(title, no_wrap=True, justify="right")
    table.add_column("", no_wrap=True)
    for each in identifications:
        style = _DIM if each.is_at_chance else _PLAIN if each.differs else _BOLD
        remark = "chance" if each.is_at_chance else "best" if each.is_best else "=" if each.differs is False else ""
        cells = [each.title, _percent(each.accuracy)]
        cells += [_percent(each.std_error)] * has_errors
        cells += ["" if each.is_best else _percent(each.difference)] * has_others
        cells += ["" if each.is_best else _percent(each.difference_std_error)] * (has_errors and has_others)
        cells += [remark if has_others or each.is_at_chance else ""]
        table.add_row(*(Text(cell, style=style) for cell in cells))
    legend = "three networks or more give a standard error"
    if has_errors:
        legend = "±: jackknife over networks" + "; =: not significantly below the best (t test, 5 %)" * has_others
    return [above, table, Text(legend, style="dim"), Text("")]


def _percent(share: float | None) -> str:
    return "" if share is None else fixed(100 * share, 1, minus="−")


def _partners(each: Correspondence, matrix: Matrix, width: int) -> list[Table | Text]:
    colours, is_bounded = Colours.of(matrix), matrix.is_bounded
    about = f"{each.n_examples} examples" if each.accuracy is None else f"{_percent(each.accuracy)} % identified"
    above = heading(matrix.title, f"{one_line(each.x_file)} → {one_line(each.y_file)}, {about}")
    values = [value for one in each.partners for value in (one.best_value, one.second_value or 0.0, one.monotone_value)]
    value_width = max(len(number_text(value, is_bounded=is_bounded)) for value in values)

    def longest_name(n_names: int, n_numbers: int) -> int:
        """Return the room for each of so many names beside so many numbers."""
        return min(MAX_NAME, (width - n_numbers * (value_width + 2) - 2 * n_names - 1) // n_names)

    needed = min(MIN_NAME, max(cell_len(one_line(name)) for name in (*matrix.x_layers, *matrix.y_layers)))
    has_second = longest_name(4, 4) >= needed
    has_monotone = has_second or longest_name(3, 2) >= needed
    longest = longest_name(4, 4) if has_second else longest_name(3, 2) if has_monotone else longest_name(2, 1)
    short = {"": ""} | short_names((*matrix.x_layers, *matrix.y_layers), longest)
    titles = ["layer", "best", "", *["second", "", "margin"] * has_second, *["monotone", ""] * has_monotone]
    table = plain_table(titles)

    def named(layer: str | None, value: float | None) -> list[Text]:
        return [Text(short[layer or ""]), _number(value, matrix, colours, value_width)]

    for partner in each.partners:
        cells = [Text(short[partner.layer], style=_BOLD), *named(partner.best_layer, partner.best_value)]
        if has_second:
            margin = "" if partner.margin is None else number_text(partner.margin, is_bounded=is_bounded)
            margin = margin if partner.n_best <= 1 else f"{partner.n_best} equal"
            cells += [*named(partner.second_layer, partner.second_value), Text(margin)]
        if has_monotone and partner.monotone_layer == partner.best_layer:
            cells.append(Text(short[partner.monotone_layer or ""], style=_DIM))
        elif has_monotone:
            cells += named(partner.monotone_layer, partner.monotone_value)
        table.add_row(*cells)
    return [above, table, Text(_means(each, is_bounded=is_bounded), style="dim"), Text("")]


def _number(value: float | None, matrix: Matrix, colours: Colours, width: int = 0) -> Text:
    """Return a value in its colour, at the right of so many letters; blanks where there is none."""
    if value is None:
        return Text(" " * width)
    return Text(number_text(value, is_bounded=matrix.is_bounded).rjust(width), style=colours.style(value))


def _means(each: Correspondence, *, is_bounded: bool) -> str:
    lost = each.best_mean - each.monotone_mean
    means = [number_text(value, is_bounded=is_bounded) for value in (each.best_mean, each.monotone_mean, lost)]
    words = f"mean of the best {means[0]}, of the monotone path {means[1]}"
    return words + (f": the order costs {means[2]}" if isfinite(lost) and lost > 5e-4 * abs(each.best_mean) else "")


def _depth(each: DepthStudy, width: int) -> list[Table | Text]:
    matrix, colours = each.matrix, Colours.of(each.matrix)
    about = f"{one_line(matrix.x_file)} with itself, {len(each.layers)} layers, {matrix.n_examples} examples"
    table = plain_table(["layer"])
    for title in ("to the one before", "to the last", "effective dimension"):
        table.add_column(title, justify="right")
    table.add_column("", no_wrap=True)
    longest = min(MAX_NAME, max(MIN_NAME, width - 32))
    short = short_names([layer.layer for layer in each.layers], longest)
    for layer in each.layers:
        numbers = [_number(value, matrix, colours) for value in (layer.to_previous, layer.to_last)]
        dimension = "" if layer.effective_dimension is None else f"{layer.effective_dimension:.1f}"
        marks = "*" * bool(layer.is_like_last and each.n_like_last) + "|" * bool(layer.is_in_stretch)
        table.add_row(Text(short[layer.layer]), *numbers, dimension, marks)
    said = [Text(words, style="bold") for words in sentences(each)]
    return [heading(matrix.title, about), table, *said, Text("")]
