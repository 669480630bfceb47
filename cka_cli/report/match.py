"""What `cka match` found: accuracies, partners or a study of depth, one of them as CSV, all as JSON or for a person."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from cka_cli.analysis.correspondence import Correspondence
from cka_cli.analysis.depth import DepthStudy
from cka_cli.analysis.identification import Identification
from cka_cli.errors import one_line
from cka_cli.report import Cell, Cells, Report, Screen
from cka_cli.report.compare import comparison_document
from cka_cli.report.json_text import Provenance
from cka_cli.results.matrix import Comparison, Matrix
from cka_cli.text import fixed, number_text

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from cka_cli.api.match import Matching
    from cka_cli.report.terminal import Colours

ACCURACY_HEADER = (
    "measure", "kernel", "n_files", "n_layers", "n_examples", "accuracy", "std_error", "chance", "p_value",
    "difference", "difference_std_error", "differs",
)  # fmt: skip
PARTNERS_HEADER = (
    "x_file", "x_layer", "y_file", "measure", "kernel", "n_examples", "best_layer", "best_value", "n_best",
    "second_layer", "second_value", "margin", "monotone_layer", "monotone_value",
)  # fmt: skip
DEPTH_HEADER = (
    "file", "layer", "measure", "kernel", "n_examples", "to_previous", "to_last", "effective_dimension", "is_like_last",
    "is_in_stretch",
)  # fmt: skip
# Lines of partners that follow the accuracies unasked: what a person still reads.
_MOST_LINES = 80
_LEAST_WIDTH = 30  # two short names, and a number


@dataclass(frozen=True)
class MatchingReport(Report):
    """Networks compared with each other. kind : `accuracy` or `partners`; None for what suits."""

    matching: "Matching"
    kind: str | None
    provenance: Provenance

    def cells(self) -> Cells:
        """Return the accuracies, or the partners where those are asked for or files differ in depth.

        Accuracies: one line for each measure and kernel; they and chance are shares from 0 to 1, and what needs three
        networks is empty where there are fewer. Partners: one line for each layer of X, file of Y, measure and
        kernel; empty where a layer has no such partner.
        """
        if self.kind == "partners" or not self.matching.identifications:
            rows = (
                (each.x_file, partner.layer, each.y_file, each.measure, each.kernel, each.n_examples,
                 *(getattr(partner, name) for name in PARTNERS_HEADER[6:]))
                for each in self.matching.correspondences for partner in each.partners
            )  # fmt: skip
            return PARTNERS_HEADER, map(_cells, rows)
        return ACCURACY_HEADER, (_cells(_accuracy(each).values()) for each in self.matching.identifications)

    def document(self) -> dict[str, Any]:
        """Return everything: the accuracies, the partners of every pair, and the matrices they follow from."""
        files = [file.path for file in self.matching.comparison.files]
        return comparison_document(
            self.matching.comparison,
            self.provenance,
            accuracies=[
                _accuracy(each)
                | {
                    "by_file": [
                        {"file": file, "accuracy": accuracy, "p_value": p_value}
                        for file, accuracy, p_value in zip(files, each.by_file, each.p_value_by_file, strict=True)
                    ]
                }
                for each in self.matching.identifications
            ],
            pairs=[_pair_object(each) for each in self.matching.correspondences],
        )

    def text(self, screen: Screen) -> str:
        """Return the accuracies, and the partners where they are asked for or few."""
        from rich.text import Text

        from cka_cli.report.terminal import at_least, printed, without_padding

        screen, found = at_least(screen, _LEAST_WIDTH), self.matching
        parts: list[Table | Text] = []
        if self.kind != "partners" and found.identifications:
            parts += _accuracies(found.identifications)
        n_lines = sum(len(each.partners) + 3 for each in found.correspondences)
        if self.kind == "partners" or (self.kind is None and (n_lines <= _MOST_LINES or not found.identifications)):
            for each, matrix in zip(found.correspondences, found.matrices, strict=True):
                parts += _partners(each, matrix, screen.width)
        elif self.kind is None:
            parts.append(Text("the partner of each layer: --report partners", style="dim"))
        return without_padding(printed(parts, screen))


@dataclass(frozen=True)
class DepthReport(Report):
    """Networks by themselves. comparison : of all of them."""

    comparison: Comparison
    studies: Sequence[DepthStudy]
    provenance: Provenance

    def cells(self) -> Cells:
        """Return one line for each layer, measure and kernel; `to_previous` of the first layer is empty."""
        rows = (
            (matrix.x_file, layer.layer, matrix.measure, matrix.kernel, matrix.n_examples,
             *(getattr(layer, name) for name in DEPTH_HEADER[5:]))
            for each in self.studies for matrix in [each.matrix] for layer in each.layers
        )  # fmt: skip
        return DEPTH_HEADER, map(_cells, rows)

    def document(self) -> dict[str, Any]:
        """Return everything: each layer of each study, the first layer that adds nothing, and the matrices."""
        return comparison_document(
            self.comparison,
            self.provenance,
            depth=[
                {
                    "file": each.matrix.x_file,
                    "measure": each.matrix.measure,
                    "kernel": each.matrix.kernel,
                    "threshold": each.threshold,
                    "like_last": _span(each, each.like_last) if each.n_like_last else None,
                    "stretch": _span(each, each.stretch) if each.stretch else None,
                    "layers": [asdict(layer) for layer in each.layers],
                }
                for each in self.studies
            ],
        )

    def text(self, screen: Screen) -> str:
        """Return the layers of each study, and in a sentence which of them add nothing."""
        from cka_cli.report.terminal import at_least, printed, without_padding

        screen = at_least(screen, _LEAST_WIDTH)
        return without_padding(printed((part for each in self.studies for part in _depth(each, screen.width)), screen))


def _accuracy(each: Identification) -> dict[str, Any]:
    return {name: getattr(each, name) for name in ACCURACY_HEADER}


def _pair_object(each: Correspondence) -> dict[str, Any]:
    names = ("x_file", "y_file", "measure", "kernel", "n_examples", "accuracy", "best_mean", "monotone_mean")
    partners = [asdict(partner) | {"margin": partner.margin} for partner in each.partners]
    return {name: getattr(each, name) for name in names} | {"partners": partners}


def _span(each: DepthStudy, places: range) -> dict[str, Any]:
    first, last = (each.layers[place].layer for place in (places[0], places[-1]))
    return {"first": first, "last": last, "n_layers": len(places)}


def _cells(values: Iterable[Any]) -> list[Cell]:
    """Return values as cells: nothing for what does not exist, Python's numbers for numpy's."""
    return [
        str(each).lower() if isinstance(each, bool) else float(each) if isinstance(each, float) else each
        for each in values
    ]


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


def _accuracies(identifications: Sequence[Identification]) -> "list[Table | Text]":
    from rich.text import Text

    from cka_cli.report.terminal import heading, plain_table

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
        style = "dim" if each.is_at_chance else "" if each.differs else "bold"
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


def _partners(each: Correspondence, matrix: Matrix, width: int) -> "list[Table | Text]":
    from rich.cells import cell_len
    from rich.text import Text

    from cka_cli.report.terminal import MAX_NAME, MIN_NAME, Colours, heading, plain_table, short_names

    colours, is_bounded = Colours(matrix), matrix.is_bounded
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
        cells = [Text(short[partner.layer], style="bold"), *named(partner.best_layer, partner.best_value)]
        if has_second:
            margin = "" if partner.margin is None else number_text(partner.margin, is_bounded=is_bounded)
            margin = margin if partner.n_best <= 1 else f"{partner.n_best} equal"
            cells += [*named(partner.second_layer, partner.second_value), Text(margin)]
        if has_monotone and partner.monotone_layer == partner.best_layer:
            cells.append(Text(short[partner.monotone_layer or ""], style="dim"))
        elif has_monotone:
            cells += named(partner.monotone_layer, partner.monotone_value)
        table.add_row(*cells)
    return [above, table, Text(_means(each, is_bounded=is_bounded), style="dim"), Text("")]


def _number(value: float | None, matrix: Matrix, colours: "Colours", width: int = 0) -> "Text":
    """Return a value in its colour, at the right of so many letters; blanks where there is none."""
    from rich.text import Text

    if value is None:
        return Text(" " * width)
    return Text(number_text(value, is_bounded=matrix.is_bounded).rjust(width), style=colours.style(value))


def _means(each: Correspondence, *, is_bounded: bool) -> str:
    lost = each.best_mean - each.monotone_mean
    means = [number_text(value, is_bounded=is_bounded) for value in (each.best_mean, each.monotone_mean, lost)]
    words = f"mean of the best {means[0]}, of the monotone path {means[1]}"
    return words + (f": the order costs {means[2]}" if isfinite(lost) and lost > 5e-4 * abs(each.best_mean) else "")


def _depth(each: DepthStudy, width: int) -> "list[Table | Text]":
    from rich.text import Text

    from cka_cli.report.terminal import MAX_NAME, MIN_NAME, Colours, heading, plain_table, short_names

    matrix, colours = each.matrix, Colours(each.matrix)
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
