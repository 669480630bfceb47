"""What depth adds, drawn: a network's similarity with itself, and beside each row what follows for that layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, NullLocator

from cka_cli.analysis.depth import DepthStudy
from cka_cli.errors import DataError
from cka_cli.pictures.canvas import new_figure, settings
from cka_cli.pictures.kit import LINE_PT, Box, add_axes, check_number, colour_map, draw_cells, round_numbers, write
from cka_cli.pictures.words import file_labels, literal, shorten, shorten_names, spread, widest_in
from cka_cli.results.matrix import colour_ends

# Inches along one row of the figure, and up.
_EDGE_IN, _MAP_IN, _CURVES_IN, _GAP_IN = 0.1, 2.7, 1.55, 0.16
_BELOW_IN, _ABOVE_IN, _BAR_IN = 0.5, 0.36, 0.09
_NAME_PT, _LABEL_PT, _HEADING_PT = 7.0, 8.0, 9.0
_LONGEST_NAME_IN = 1.6
_NAME_IN_WORDS_IN = 0.9  # two of them beside the words that say what they are
_MOST_NAMES = 16
MOST_STUDIES = 40  # 143 inches, below the 30,000 pixels that viewers still open
_TICKS = {"length": 2.5, "pad": 2, "labelsize": _NAME_PT}
_LAST, _BEFORE, _DIMENSION = "#b5367a", "#2c6fa6", "0.2"
_SHADE = "0.9"


def draw_depth(studies: Sequence[DepthStudy]) -> Figure:
    """Return a figure with a row for each study: the heat map, and beside it curves along the same layers.

    The first layer is at the bottom, as in the heat maps. The longest stretch of layers that are all alike, and those
    at the end that are like the last, are framed on the map and shaded beside it. The colour bar is the axis of the
    curves of similarity. Names are shown literally.
    Raises DataError when there is nothing to draw.
    """
    check_studies(len(studies))
    if not studies:
        raise DataError("depth: no network to draw (an empty list); give at least one")
    names = [literal(layer.layer) for study in studies for layer in study.layers]
    left = _EDGE_IN + min(widest_in(names, _NAME_PT), _LONGEST_NAME_IN) + 0.12
    dimensions = [layer.effective_dimension for study in studies for layer in study.layers]
    most_dimensions = max((value for value in dimensions if value is not None and value == value), default=0.0)
    has_dimension = most_dimensions > 0
    width = left + _MAP_IN + (1 + has_dimension) * (_GAP_IN + _CURVES_IN) + _EDGE_IN
    row_in = _ABOVE_IN + _MAP_IN + _BELOW_IN
    labels = file_labels([study.matrix.x_file for study in studies])
    with settings():
        figure = new_figure(width, len(studies) * row_in)
        for number, study in enumerate(reversed(studies)):
            bottom = number * row_in + _BELOW_IN
            curves_left = left + _MAP_IN + _GAP_IN
            curves = Box(curves_left, bottom, _CURVES_IN, _MAP_IN)
            _draw_map(add_axes(figure, Box(left, bottom, _MAP_IN, _MAP_IN), **_TICKS), study)
            _draw_curves(add_axes(figure, curves, **_TICKS), study)
            _draw_bar(add_axes(figure, Box(curves_left, bottom - _BAR_IN, _CURVES_IN, _BAR_IN), **_TICKS), study)
            if has_dimension:
                right = add_axes(figure, curves._replace(left=curves.right + _GAP_IN), **_TICKS)
                _draw_dimensions(right, study, most_dimensions)
            for line, words in enumerate(_words_below(study), start=1):
                below = bottom - 0.03 - 0.14 * line
                write(figure, left, below, shorten(words, _MAP_IN, _NAME_PT), fontsize=_NAME_PT)
            heading = ": ".join(filter(None, (labels[study.matrix.x_file], literal(study.matrix.title))))
            heading = shorten(heading, _MAP_IN, _HEADING_PT)
            write(figure, left, bottom + _MAP_IN + 0.06, heading, fontsize=_HEADING_PT)
    return figure


def check_studies(n_studies: int) -> None:
    """Raise UsageError for more studies than one picture takes: ask before they are made."""
    check_number(n_studies, "studies of depth", MOST_STUDIES)


def _ends(study: DepthStudy) -> tuple[float, float]:
    """Return the values at the ends of the colours and of the axis of similarity."""
    low, high = colour_ends(study.matrix.values, is_bounded=study.matrix.is_bounded) or (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _draw_map(axes: Axes, study: DepthStudy) -> None:
    draw_cells(axes, study.matrix.values, colour_map("magma"), _ends(study))
    n_layers = len(study.layers)
    shown = spread(n_layers, -(-n_layers // _MOST_NAMES))
    names = shorten_names([literal(layer.layer) for layer in study.layers], _LONGEST_NAME_IN, _NAME_PT)
    axes.set_yticks(shown, [names[place] for place in shown], parse_math=False)
    axes.set_xticks([])
    for places in _framed(study):
        for colour, line_pt in (("black", 2.0), ("white", 1.0)):
            corner, side = places[0] - 0.5, len(places)
            axes.add_patch(
                Rectangle((corner, corner), side, side, fill=False, edgecolor=colour, linewidth=line_pt, gid="frame")
            )


def _framed(study: DepthStudy) -> list[range]:
    """Return the layers that are all alike, and those at the end that are like the last, where there are any."""
    found = [study.stretch] if study.stretch else []
    return found + ([study.like_last] if study.n_like_last and study.like_last != study.stretch else [])


def _words_below(study: DepthStudy) -> list[str]:
    """Return what the frames on the map say."""
    names = shorten_names([literal(layer.layer) for layer in study.layers], _NAME_IN_WORDS_IN, _NAME_PT)
    lines = []
    if study.stretch:
        lines.append(f"any two ≥ {study.threshold:g}: {names[study.stretch[0]]} to {names[study.stretch[-1]]}")
    if study.n_like_last:
        lines.append(f"all ≥ {study.threshold:g} with the last: from {names[study.like_last[0]]} on")
    return lines


def _draw_curves(axes: Axes, study: DepthStudy) -> None:
    places = np.arange(len(study.layers))
    before = np.array([layer.to_previous for layer in study.layers], dtype=np.float64)  # NaN for None
    _along_layers(axes, study)
    axes.plot(before, places, color=_BEFORE, linewidth=1.2, gid="before", **_dots(study))
    axes.plot([layer.to_last for layer in study.layers], places, color=_LAST, linewidth=1.2, gid="last", **_dots(study))
    axes.set_xlim(*_ends(study))
    axes.set_xticks([])
    if study.threshold is not None:
        axes.axvline(study.threshold, color="black", linewidth=LINE_PT, linestyle=(0, (3, 2)), gid="threshold")
    words: dict[str, Any] = {"fontsize": _LABEL_PT, "transform": axes.transAxes, "va": "bottom"}
    axes.text(0, 1.06, "similarity to the last layer", color=_LAST, **words)
    axes.text(0, 1.015, "and to the layer below", color=_BEFORE, **words)


def _draw_bar(axes: Axes, study: DepthStudy) -> None:
    """Draw the colours of the map along the axis of similarity."""
    low, high = _ends(study)
    draw_cells(axes, np.linspace(low, high, 256)[None], colour_map("magma"), (low, high), extent=(low, high, 0, 1))
    axes.set_yticks([])
    axes.set_xlabel(literal(study.matrix.measure), fontsize=_LABEL_PT, labelpad=2, parse_math=False)


def _draw_dimensions(axes: Axes, study: DepthStudy, most: float) -> None:
    """Draw the effective dimensions on an axis that reaches `most`, in proportions; it is the same for all studies."""
    dimensions = np.array([layer.effective_dimension for layer in study.layers], dtype=np.float64)  # NaN for None
    _along_layers(axes, study)
    axes.plot(dimensions, range(len(dimensions)), color=_DIMENSION, linewidth=1.2, gid="dimension", **_dots(study))
    axes.set_xscale("log")
    highest = 1.25 * max(most, 4.0)
    axes.set_xlim(0.9, highest)
    ticks = round_numbers(highest)
    axes.set_xticks(ticks if len(ticks) <= 6 else round_numbers(highest, (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.text(0, 1.015, "effective dimension", fontsize=_LABEL_PT, transform=axes.transAxes, va="bottom")


def _along_layers(axes: Axes, study: DepthStudy) -> None:
    """Give the panel the rows of the map, and shade those that add nothing to the last."""
    n_layers = len(study.layers)
    axes.set_ylim(-0.5, n_layers - 0.5)
    axes.set_yticks([])
    for places in _framed(study):
        axes.axhspan(places[0] - 0.5, places[-1] + 0.5, color=_SHADE, linewidth=0)


def _dots(study: DepthStudy) -> dict[str, Any]:
    """Mark each layer while there is room between them; none is cut off at the edge."""
    return {"clip_on": False, **({"marker": "o", "markersize": 2.5} if len(study.layers) <= 24 else {})}
