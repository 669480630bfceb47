"""What a diagnosis found, in up to six panels: chance, components, rows, what is left out, scales, widths."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cka_cli.analysis.reliability.evaluate import label_changes
from cka_cli.analysis.reliability.quantities import PairNumbers
from cka_cli.analysis.reliability.result import Diagnosis
from cka_cli.analysis.reliability.rules import CHECKS, DISTRUST, FINE, LOOK, VERDICTS
from cka_cli.errors import DataError
from cka_cli.pictures.canvas import new_figure, settings
from cka_cli.pictures.kit import LINE_PT, Box, add_axes, write
from cka_cli.pictures.words import file_labels, literal, shorten, shorten_names, spread, widest_in, wrap

# In inches: a panel, what stands left of it, above it and below it.
_SIDE, _LEFT, _ABOVE, _MOST_BELOW, _NUMBERS_BELOW = 1.8, 0.5, 0.42, 1.0, 0.42
_HEAD, _EDGE = 0.28, 0.06
_TITLE_PT, _TEXT_PT, _NAME_PT = 8.0, 6.5, 6.0
_COLUMNS = 3
_VERDICT_COLOURS = {DISTRUST: "#b2182b", LOOK: "#b35806", FINE: "#4d7c4d"}
_GREY, _INK = "0.55", "0.1"
_MOST_LABELS_NAMED = 3
_OF_ROWS = ("row-of-layer", "rows-of-layer", "rows-carry")


class CheckPanel(NamedTuple):
    """One panel: what is drawn in it, and the checks it stands for."""

    title: str
    draw: Callable[[Axes, Diagnosis], None]
    checks: tuple[str, ...]
    has_names: bool


def draw_diagnosis(diagnosis: Diagnosis, *, everything: bool = False) -> Figure:
    """Return a figure of up to six panels, in rows of three.

    everything : all of them; else how much is chance, and those in which something is not fine. Names are shown
    literally. Raises DataError when there is no pair to draw.
    """
    if not diagnosis.pairs:
        raise DataError(f"{diagnosis.x_file}: nothing to draw (no pair of layers has values); leave out --plot")
    shown = [
        panel for place, panel in enumerate(_PANELS)
        if everything or place == 0 or _verdict(panel, diagnosis) != FINE
    ]  # fmt: skip
    with settings():
        matplotlib.rcParams.update({"font.size": _TEXT_PT, "lines.linewidth": 0.9})
        names_below = min(widest_in(_pair_names(diagnosis.pairs), _NAME_PT) + 0.12, _MOST_BELOW)
        below = [names_below if panel.has_names else _NUMBERS_BELOW for panel in shown]
        rows = [below[start : start + _COLUMNS] for start in range(0, len(shown), _COLUMNS)]
        heights = [_ABOVE + _SIDE + max(row) for row in rows]
        width = min(len(shown), _COLUMNS) * (_LEFT + _SIDE) + 2 * _EDGE
        height = _HEAD + sum(heights) + _EDGE
        figure = new_figure(width, height)
        for place, panel in enumerate(shown):
            row, column = divmod(place, _COLUMNS)
            bottom = height - _HEAD - sum(heights[:row]) - _ABOVE - _SIDE
            box = Box(column * (_LEFT + _SIDE) + _LEFT, bottom, _SIDE, _SIDE)
            _draw_panel(add_axes(figure, box, length=2.2, pad=2, labelsize=_TEXT_PT), panel, diagnosis)
        labels = file_labels([diagnosis.x_file, diagnosis.y_file])
        files = " × ".join(filter(None, (labels[diagnosis.x_file], labels[diagnosis.y_file])))
        heading = shorten(f"{files}, {diagnosis.n_examples} examples", width - 2 * _EDGE, _TITLE_PT)
        write(figure, _EDGE, height - _EDGE, heading, fontsize=_TITLE_PT, va="top")
    return figure


def _verdict(panel: CheckPanel, diagnosis: Diagnosis) -> str:
    """Return the worst verdict of what a panel stands for."""
    found = {finding.verdict for finding in diagnosis.findings if finding.check in panel.checks}
    return next((verdict for verdict in VERDICTS if verdict in found), FINE)


def _draw_panel(axes: Axes, panel: CheckPanel, diagnosis: Diagnosis) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    panel.draw(axes, diagnosis)
    verdict = _verdict(panel, diagnosis)
    above: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    axes.annotate(panel.title, (0, 1), (0, 17), fontsize=_TITLE_PT, ha="left", **above)
    axes.annotate(verdict, (1, 1), (0, 17), ha="right", color=_VERDICT_COLOURS[verdict], weight="bold", **above)
    if panel.has_names:
        _name_pairs(axes, diagnosis.pairs)


def _legend(axes: Axes, handles: Sequence[Line2D]) -> None:
    """Say what is what between the title and the panel, where it can hide no data."""
    axes.legend(
        handles=list(handles), loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=4, frameon=False, borderaxespad=0.1,
        handletextpad=0.3, columnspacing=0.8, handlelength=1.2, borderpad=0.1, fontsize=_TEXT_PT,
    )  # fmt: skip


def _key(label: str, **style: Any) -> Line2D:
    return Line2D([], [], label=label, **style)


def _look(marker: str, colour: str, size_pt: float, **more: Any) -> dict[str, Any]:
    """Return how marks without a line look."""
    return {"linestyle": "none", "marker": marker, "color": colour, "markersize": size_pt, **more}


def _pair_names(pairs: Sequence[PairNumbers]) -> list[str]:
    return [
        literal(pair.x.layer if pair.x.layer == pair.y.layer else f"{pair.x.layer} × {pair.y.layer}") for pair in pairs
    ]


def _name_pairs(axes: Axes, pairs: Sequence[PairNumbers]) -> None:
    n_room = int(_SIDE / (_NAME_PT * 1.15 / 72))
    shown = spread(len(pairs), -(-len(pairs) // n_room))
    names = shorten_names([_pair_names(pairs)[place] for place in shown], _MOST_BELOW - 0.1, _NAME_PT)
    axes.set_xticks(shown, names, rotation=90, fontsize=_NAME_PT, parse_math=False)
    axes.set_xlim(-0.7, len(pairs) - 0.3)


def _colours(n: int) -> list[Any]:
    """Colours from the first pair to the last, none too light for white paper."""
    colours = matplotlib.colormaps["viridis"]
    return [colours(0.0 if n == 1 else 0.85 * place / (n - 1)) for place in range(n)]


def _depth_key(pairs: Sequence[PairNumbers]) -> list[Line2D]:
    """The first and the last pair, whose colours those between run between."""
    if len(pairs) == 1:
        return []
    colours = _colours(len(pairs))
    names = shorten_names([literal(pair.x.layer) for pair in pairs], 0.5, _TEXT_PT, keep_ends=True)
    return [_key(names[place], color=colours[place], linestyle="-") for place in (0, -1)]


def _value_axis(axes: Axes, label: str) -> None:
    """Let the axis reach from 0, or the lowest value that is drawn so far, to 1."""
    lowest = min(0.0, axes.dataLim.y0)
    axes.set_ylim(lowest - 0.03, 1.03)
    axes.set_ylabel(label, labelpad=2)
    if lowest < 0:
        axes.axhline(0, color=_GREY, linewidth=LINE_PT, zorder=0)


def _draw_values(
    axes: Axes, diagnosis: Diagnosis, label: str, styles: Sequence[tuple[str, str, dict[str, Any]]]
) -> None:
    """Draw a mark at each pair for each of some values: what the legend calls it, the value's name, how it looks."""
    for _, name, style in styles:
        axes.plot(range(len(diagnosis.pairs)), [getattr(pair, name) for pair in diagnosis.pairs], **style)
    _value_axis(axes, label)
    _legend(axes, [_key(words, **style) for words, _, style in styles])


_OF_CHANCE = (
    ("biased", "biased", _look("o", _INK, 5.5, markerfacecolor="white", markeredgewidth=0.7)),
    ("debiased", "debiased", _look("o", _INK, 2.2)),
    ("chance", "chance", _look("_", _VERDICT_COLOURS[DISTRUST], 6, markeredgewidth=1.2)),
)
_OF_SCALES = (
    ("as it is", "debiased", _look("_", _INK, 6)),
    ("clipped", "clipped", _look("v", "#35b779", 3)),
    ("one length", "normalised", _look("s", "#31688e", 2.6)),
    ("ranks", "ranked", _look("D", "#440154", 2.4)),
)


def _draw_components(axes: Axes, diagnosis: Diagnosis) -> None:
    pairs = diagnosis.pairs
    for pair, colour in zip(pairs, _colours(len(pairs)), strict=True):
        values = [pair.debiased, *pair.without_components.values()]
        axes.plot(range(len(values)), values, color=colour, marker=".", markersize=3)
    axes.set_xticks(range(len(pairs[0].without_components) + 1), ["0", *map(str, pairs[0].without_components)])
    axes.set_xlabel("first components removed", labelpad=2)
    _value_axis(axes, "debiased CKA")
    _legend(axes, _depth_key(pairs))


def _draw_rows(axes: Axes, diagnosis: Diagnosis) -> None:
    pairs = diagnosis.pairs
    highest = 1.0
    with_shares = {(each.x, each.y) for each in diagnosis.findings if each.check == "rows-carry"}
    for pair, colour in zip(pairs, _colours(len(pairs)), strict=True):
        if (pair.x, pair.y) not in with_shares:
            continue
        sums = 100 * np.concatenate([[0.0], np.cumsum(pair.shares)])
        highest = max(highest, float(sums.max()) / 100)
        axes.plot(100 * np.arange(len(sums)) / pair.n_examples, sums, color=colour)
    axes.plot([0, 100], [0, 100], color=_GREY, linestyle=(0, (1, 1.5)))
    axes.set_xlim(-3, 103)
    axes.set_ylim(-3, 100 * highest + 3)
    axes.set_xlabel("rows, those that carry most first, %", labelpad=2)
    worst = max((each for each in diagnosis.findings if each.check in _OF_ROWS and each.verdict != FINE),
                key=lambda each: each.number, default=None)  # fmt: skip
    if worst is not None:  # no curve runs below the diagonal
        words = [f"{worst.number:.0%} carried by", *wrap(literal(worst.found), 1.1, _TEXT_PT, 4)]
        axes.text(0.99, 0.03, "\n".join(words), transform=axes.transAxes, ha="right", parse_math=False)
    axes.set_ylabel("share of the similarity, %", labelpad=2)
    _legend(axes, [*_depth_key(pairs), _key("all alike", color=_GREY, linestyle=(0, (1, 1.5)))])


def _draw_left_out(axes: Axes, diagnosis: Diagnosis) -> None:
    pairs = diagnosis.pairs
    whole = _look("_", _INK, 6)
    few = _look("v", _VERDICT_COLOURS[LOOK], 3.2)
    label = _look("o", _GREY, 2)
    far: list[tuple[float, int, float, str]] = []
    for place, pair in enumerate(pairs):
        for (name, alone, _), (_, before, after) in zip(pair.without_label, label_changes(pair), strict=True):
            axes.plot([place], [alone.value], **label)
            far.append((abs(after - before), place, alone.value, f"label {literal(name)}"))
        axes.plot([place], [pair.most_changed.value], **few)
    _value_axis(axes, "debiased CKA")
    axes.plot(range(len(pairs)), [pair.debiased for pair in pairs], **whole)
    look = CHECKS["without-label"].look or 0.0
    for change, place, value, text in sorted(far, reverse=True)[:_MOST_LABELS_NAMED]:
        if change > look:
            side, aside = ("right", -4) if place > (len(pairs) - 1) / 2 else ("left", 4)
            axes.annotate(text, (place, value), (aside, 0), textcoords="offset points", va="center", ha=side)
    _legend(axes, [_key("all", **whole), _key("few rows out", **few), *[_key("a label out", **label)] * bool(far)])


def _draw_widths(axes: Axes, diagnosis: Diagnosis) -> None:
    pairs = diagnosis.pairs
    for pair, colour in zip(pairs, _colours(len(pairs)), strict=True):
        sigmas, biased, debiased = zip(*pair.rbf, strict=True)
        axes.plot(sigmas, biased, color=colour, linestyle=(0, (2, 1)))
        axes.plot(sigmas, debiased, color=colour, marker=".", markersize=3)
    axes.set_xscale("log")
    axes.set_xticks(sigmas, [f"{sigma:g}" for sigma in sigmas])
    axes.minorticks_off()
    axes.set_xlabel("width of the rbf kernel, medians", labelpad=2)
    _value_axis(axes, "CKA")
    _legend(axes, [*_depth_key(pairs), _key("biased", color=_INK, linestyle=(0, (2, 1)))])


_PANELS = (
    CheckPanel("chance", partial(_draw_values, label="CKA", styles=_OF_CHANCE),
          ("above-chance", "chance-level", "biased-debiased", "features-per-example", "effective-dimension"), True),
    CheckPanel("components", _draw_components, ("first-component", "without-components"), False),
    CheckPanel("rows", _draw_rows, (*_OF_ROWS, "effective-rows"), False),
    CheckPanel("rows left out", _draw_left_out,
          ("without-row", "without-rows", "without-label", "label-of-layer", "label-apart"), True),
    CheckPanel("rescaled", partial(_draw_values, label="debiased CKA", styles=_OF_SCALES),
          ("clipped", "normalised", "ranked"), True),
    CheckPanel("kernel width", _draw_widths, ("rbf-diagonal",), False),
)  # fmt: skip
