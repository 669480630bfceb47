"""Which components make a similarity, in three panels: their alignments, what each pair contributes, and the sums."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cka_cli.analysis.components import ComponentPairs, Explanation
from cka_cli.arrays import Float64
from cka_cli.pictures.canvas import new_figure, settings
from cka_cli.pictures.kit import Box, add_axes, colour_map, draw_bar, draw_cells, round_numbers, write
from cka_cli.pictures.words import file_labels, literal, shorten_names, width_in
from cka_cli.text import decimals, percent

# In inches: the page, the longest and the shortest side of a matrix of components, where the panels begin.
_WIDTH, _HEIGHT = 7.0, 3.1
_SIDE = 1.55
_LEAST_CELL, _LEAST_SIDE = 0.25, 0.6  # of a matrix with few components beside one with many
_LEFT, _MIDDLE, _RIGHT, _BOTTOM = 0.46, 2.92, 5.12, 0.98
_CURVE_WIDTH = 1.76
_SPECTRUM_GAP, _SPECTRUM = 0.05, 0.36
_BAR_BOTTOM, _BAR = 0.37, 0.08
_EDGE = 0.05
_NAME_BELOW, _NAME_BESIDE = 0.29, 0.35  # from a matrix to the middle of its layer's name
_LONGEST_NAME = 2.1
_ABOVE = 0.06  # from a panel to the words above it
_TEXT_PT, _TICK_PT = 8.0, 7.0
_TEXT_LINE, _SAMPLE, _SAMPLE_GAP = 0.15, 0.2, 0.06
_TICK_IN, _TICK_GAP_IN, _TICK_APART = 0.03, 0.03, 0.02
_TICKS = {"length": 72 * _TICK_IN, "pad": 72 * _TICK_GAP_IN, "labelsize": _TICK_PT}
_ALIGNMENT_MAP, _SHARE_MAP = "magma", "viridis"
_SPECTRUM_GREY, _CKA_COLOUR, _CCA_COLOUR = "0.4", "#3b0f70", "#e0662c"
_LOG_FROM, _SPARSE_FROM = 20, 150  # components on the axis of the curves


def draw_explained(explanation: Explanation, n_components: int = 10) -> Figure:
    """Return a figure of 7 by 3 inches: alignments between both spectra, shares of CKA, and how the shares add up.

    n_components : how many components of each layer the matrices show, the first at the lower left, X upwards.
    The curves count all components: which share of CKA, and of R²_CCA, the first k of both layers make.
    Names are shown literally: `$` starts no formula, control characters and characters the font lacks are escapes.
    """
    pairs = explanation.pairs
    rows, columns = (slice(min(n_components, side.rank)) for side in (pairs.x, pairs.y))
    shares = 100 * pairs.cka_shares(pairs.contributions[rows, columns])
    most = 1.0 if pairs.is_zero else float(shares.max())
    with settings():
        figure = new_figure(_WIDTH, _HEIGHT)
        height, width = (max(_SIDE * n / max(shares.shape), min(_LEAST_CELL * n, _LEAST_SIDE)) for n in shares.shape)
        box = Box(_LEFT, _BOTTOM, width, height)
        _draw_matrix(figure, box, pairs.alignment[rows, columns], _ALIGNMENT_MAP, 1.0)
        _draw_spectra(figure, box, 100 * pairs.x.shares[rows], 100 * pairs.y.shares[columns])
        _draw_bar(figure, box.left, _ALIGNMENT_MAP, 1.0, "alignment ⟨u, v⟩² of components")
        _draw_names(figure, box, pairs, has_rows=True)
        box = box._replace(left=_MIDDLE)
        _draw_matrix(figure, box, shares, _SHARE_MAP, most)
        _draw_bar(figure, box.left, _SHARE_MAP, most, "share of CKA, %")
        _draw_names(figure, box, pairs, has_rows=False)  # the rows are those of the first matrix
        made = percent(float(np.nansum(shares)) / 100)
        shown = "no pair contributes" if pairs.is_zero else f"these pairs make {made}"
        values = f"CKA {decimals(pairs.cka)}, {pairs.n_examples} examples\n{shown}"
        _write(figure, box.left, box.top + _ABOVE, values, va="bottom")
        _draw_curves(figure, Box(_RIGHT, _BOTTOM, _CURVE_WIDTH, _SIDE), pairs)
    return figure


def _draw_matrix(figure: Figure, box: Box, values: Float64, colours: str, most: float) -> None:
    axes = add_axes(figure, box, **_TICKS)
    draw_cells(axes, values, colour_map(colours), (0, most))
    rows, columns = _ticks(values.shape[0], box.height), _ticks(values.shape[1], box.width)
    axes.set_yticks([number - 1 for number in rows], [str(number) for number in rows])
    axes.set_xticks([number - 1 for number in columns], [str(number) for number in columns])


def _draw_bar(figure: Figure, left: float, colours: str, most: float, label: str) -> None:
    round_values = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(0, most)
    ticks = [float(tick) for tick in round_values if 0 <= tick <= most * (1 + 1e-9)]
    axes = add_axes(figure, Box(left, _BAR_BOTTOM, _SIDE, _BAR), **_TICKS)
    texts = [f"{tick:g}" for tick in ticks]
    draw_bar(axes, colour_map(colours), (0, most), ticks, texts, label, label_pt=_TEXT_PT, label_gap_pt=2)


def _write(figure: Figure, left: float, bottom: float, text: str, size_pt: float = _TEXT_PT, **style: Any) -> None:
    write(figure, left, bottom, text, fontsize=size_pt, linespacing=1.15, **style)


def _ticks(n: int, length_in: float) -> list[int]:
    """Return the components that have a number: all when there is room, else the first and round numbers."""
    room = max(1, int(length_in / (width_in(str(n), _TICK_PT) + _TICK_APART)))
    if n <= room:
        return list(range(1, n + 1))
    step = next(step for step in round_numbers(10 * n) if n / step <= room / 2)
    return [1, *range(step, n + 1, step)]


def _draw_spectra(figure: Figure, box: Box, x_shares: Float64, y_shares: Float64) -> None:
    """Draw the variance of each component at its row or column, on one scale for both layers."""
    most = float(max(x_shares[0], y_shares[0]))
    top = Box(box.left, box.top + _SPECTRUM_GAP, box.width, _SPECTRUM)
    beside = Box(box.right + _SPECTRUM_GAP, box.bottom, _SPECTRUM, box.height)
    end = f"{most:.0f}" if most >= 1 else f"{most:.1g}"
    for place, shares, is_beside in ((top, y_shares, False), (beside, x_shares, True)):
        axes = add_axes(figure, place, **_TICKS)
        axes.stairs(
            shares, np.arange(len(shares) + 1) - 0.5, orientation="horizontal" if is_beside else "vertical",
            fill=True, color=_SPECTRUM_GREY, linewidth=0,
        )  # fmt: skip
        along, across = (axes.yaxis, axes.xaxis) if is_beside else (axes.xaxis, axes.yaxis)
        along.set_ticks([])
        across.set_ticks([most], [end])
        (axes.set_ylim if is_beside else axes.set_xlim)(-0.5, len(shares) - 0.5)
        (axes.set_xlim if is_beside else axes.set_ylim)(0, 1.05 * most)
        axes.spines[["top", "right"]].set_visible(False)
    _write(figure, beside.left, top.bottom, "variance\nof each, %", _TICK_PT, va="bottom")


def _draw_names(figure: Figure, box: Box, pairs: ComponentPairs, *, has_rows: bool) -> None:
    """Write which layer's components stand along the left and the lower side of a matrix, within the page."""
    files = file_labels([pairs.x.file, pairs.y.file])
    names = [literal(f"{files[side.file]}::{side.layer}") for side in (pairs.x, pairs.y)]
    room = _LONGEST_NAME - width_in("X, ", _TEXT_PT)
    x_name, y_name = map("{}, {}".format, "XY", shorten_names(names, room, _TEXT_PT))
    centred: dict[str, Any] = {"ha": "center", "va": "center"}
    if has_rows:
        middle = max(box.bottom + box.height / 2, width_in(x_name, _TEXT_PT) / 2 + _EDGE)
        _write(figure, box.left - _NAME_BESIDE, middle, x_name, rotation=90, rotation_mode="anchor", **centred)
    middle = max(box.left + box.width / 2, box.left - _TICK_GAP_IN + width_in(y_name, _TEXT_PT) / 2)
    middle = box.left + box.width / 2 if width_in(y_name, _TEXT_PT) < _SIDE < 1.01 * box.width else middle
    _write(figure, middle, box.bottom - _NAME_BELOW, y_name, **centred)


def _draw_curves(figure: Figure, box: Box, pairs: ComponentPairs) -> None:
    axes = add_axes(figure, box, **_TICKS)
    cka, cca = pairs.shares_of_first()
    numbers = np.arange(1, len(cka) + 1)
    style: dict[str, Any] = {"clip_on": False, "marker": "o" if len(cka) <= _LOG_FROM else "", "markersize": 2.5}
    axes.plot(numbers, 100 * cka, color=_CKA_COLOUR, linewidth=1.4, **style)
    axes.plot(numbers, 100 * cca, color=_CCA_COLOUR, linewidth=1.4, linestyle=(0, (3, 1.2)), **style)
    axes.set_ylim(0, 100)
    if len(cka) > _LOG_FROM:
        axes.set_xscale("log")
        axes.minorticks_off()
        ticks = round_numbers(len(cka), (1, 2, 5) if len(cka) <= _SPARSE_FROM else (1,))
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xlim(1, len(cka))
    else:
        axes.set_xlim(0.5, len(cka) + 0.5)
        axes.set_xticks(_ticks(len(cka), box.width))
    axes.set_xlabel("first components of both", fontsize=_TEXT_PT, labelpad=3)
    axes.set_ylabel("share they make, %", fontsize=_TEXT_PT, labelpad=2)
    axes.spines[["top", "right"]].set_visible(False)
    of_cca = "share of CCA R²" + (" (nan)" if pairs.is_cca_lost else " (1 by force)" if pairs.is_saturated else "")
    above = box.top + _ABOVE
    for bottom, line, text in zip((above + _TEXT_LINE, above), axes.lines, ("share of CKA", of_cca), strict=True):
        sample = Line2D(
            [box.left, box.left + _SAMPLE], [bottom + _TEXT_LINE / 2] * 2, transform=figure.dpi_scale_trans,
            color=line.get_color(), linewidth=line.get_linewidth(), linestyle=line.get_linestyle(),
        )  # fmt: skip
        figure.add_artist(sample)
        _write(figure, box.left + _SAMPLE + _SAMPLE_GAP, bottom + _TEXT_LINE / 2, text, va="center_baseline")
