"""From measured places to artists, and from a figure to the bytes of a file."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox, ScaledTranslation, TransformedBbox

from cka_cli.floating_point import quiet_arithmetic
from cka_cli.pictures.canvas import new_figure, settings
from cka_cli.pictures.heatmap import layout
from cka_cli.pictures.heatmap.layout import Names, Place, Sheet, arrange
from cka_cli.pictures.heatmap.panels import NO_VALUE, ON_PATH, Panel, compose
from cka_cli.pictures.heatmap.style import HeatmapStyle, check_style
from cka_cli.pictures.kit import LINE_PT, NO_VALUE_GREY, Box, add_axes, colour_map, draw_bar, draw_cells, write
from cka_cli.pictures.words import height_in, shorten, shorten_names, spread, widest_in
from cka_cli.results.matrix import Matrix, is_largest

_MARK_PT = (1.4, 4.5)  # smallest, largest diameter
_FRAME_PT = (0.5, 1.5)  # thinnest, thickest
_TICKS = {"length": layout.TICK_IN * 72, "pad": layout.TEXT_GAP_IN * 72}


@quiet_arithmetic
def draw_heatmap(
    matrices: Sequence[Matrix],
    style: HeatmapStyle = HeatmapStyle(),  # noqa: B008 - frozen
    *,
    captions: Sequence[str] = (),
    paths: Sequence[tuple[int | None, ...]] = (),
) -> Figure:
    """Return a figure with one panel for each matrix: square cells, rows upwards from the lower left.

    The rows are `x_layers` (vertical axis), the columns `y_layers` (horizontal axis), as Kornblith et al. (2019),
    arXiv:1905.00414, figure 3 prints them. Grey cells have no value; values beyond the colour bar, infinite ones
    too, have the colour of its end, and the bar ends in an arrow. Panels share a scale and a colour bar where their
    measure is the same. Names, files and titles are shown literally: `$` starts no formula, control characters and
    characters the font lacks are escapes.
    captions : a line over each panel, below its heading. paths : for each row of each panel the column that a line goes
    through, None where it is broken.

    Raises UsageError for a style that cannot be drawn, DataError when there is nothing to draw.
    """
    check_style(style)
    with settings():
        sheet = arrange(compose(matrices, style, captions, paths))
        figure = new_figure(sheet.width, sheet.height, style.dpi)
        colours = colour_map(style.cmap)
        for place in sheet.places:
            _draw_panel(figure, place, style, colours, frame_best=sheet.has_numbers)
            if place.panel.has_bar:
                _draw_bar(figure, place.panel, place.bar, place.bar_label, colours)
        if sheet.picture.has_bar:
            _draw_bar(figure, sheet.picture.panels[0], sheet.bar, sheet.bar_label, colours, lies=sheet.bar_below)
        _draw_title_and_notes(figure, sheet)
    return figure


def check_drawable(matrices: Sequence[Matrix], style: HeatmapStyle) -> None:
    """Raise what `draw_heatmap` would: for matrices that have their names and no values yet."""
    check_style(style)
    with settings():
        arrange(compose(matrices, style))


def _draw_panel(figure: Figure, place: Place, style: HeatmapStyle, colours: Colormap, *, frame_best: bool) -> None:
    panel = place.panel
    axes = add_axes(figure, place.axes, **_TICKS)
    ends = panel.scale.low, panel.scale.high
    values = np.clip(panel.scale.scaled(panel.matrix.values), *ends)
    image = draw_cells(axes, values, colours, ends, flip=style.flip)
    # A box that rounding makes wider than whole pixels is stretched over one more by matplotlib before 3.11.
    image.set_clip_box(TransformedBbox(Bbox.from_extents(0, 0, 1 - 1e-12, 1 - 1e-12), axes.transAxes))
    _draw_names(axes, place)
    words: dict[str, Any] = {"fontsize": layout.FILE_PT, "labelpad": layout.FILE_GAP_IN * 72, "parse_math": False}
    axes.set_ylabel(shorten(panel.row_file, place.box_height, layout.FILE_PT), **words)
    axes.set_xlabel(shorten(panel.column_file, place.box_width, layout.FILE_PT), **words)
    if place.heading:
        gap_pt = layout.HEADING_GAP_IN * 72
        axes.set_title("\n".join(place.heading), fontsize=layout.HEADING_PT, pad=gap_pt, parse_math=False)
    if panel.path:
        _draw_path(axes, place)
    inks = _inks(np.asarray(colours(image.norm(np.ma.masked_invalid(values)))))
    if place.number_pt:
        _draw_numbers(axes, place, inks)
    if style.mark_best and frame_best:
        _draw_frames(axes, place, inks)
    elif style.mark_best:
        _draw_marks(axes, place)


def _draw_names(axes: Axes, place: Place) -> None:
    for set_ticks, names, stand, rotation in (
        (axes.set_yticks, place.panel.row_names, place.row_names, 0),
        (axes.set_xticks, place.panel.column_names, place.column_names, 90 if place.upright else 0),
    ):
        short = shorten_names(names, place.name_room, place.name_pt)
        shown = spread(len(names), stand.stride) if names else []
        texts = [short[index] for index in shown]
        set_ticks(shown, texts, rotation=rotation, fontsize=place.name_pt, parse_math=False)
    _fan_out(axes, place.axes, place.row_names, "y")
    _fan_out(axes, place.axes, place.column_names, "x")


def _fan_out(axes: Axes, box: Box, names: Names, side: Literal["x", "y"]) -> None:
    """Set the names of cells narrower than a letter apart, a line from each to its tick."""
    if not names.pitch_in:
        return
    figure = axes.figure
    assert figure is not None
    axes.tick_params(axis=side, pad=(layout.TEXT_GAP_IN + layout.FAN_IN) * 72)
    axis, start, length = (axes.xaxis, box.left, box.width) if side == "x" else (axes.yaxis, box.bottom, box.height)
    edge = (box.bottom if side == "x" else box.left) - layout.TICK_IN
    labels = axis.get_ticklabels()
    cell, direction = length / len(labels), -1 if axis.get_inverted() else 1
    for index, label in enumerate(labels):
        aside = direction * (index - (len(labels) - 1) / 2)
        moved = aside * (names.pitch_in - cell)
        at_tick = start + length / 2 + aside * cell
        along, away = [at_tick, at_tick + moved], [edge, edge - layout.FAN_IN]
        offset, ends = ((moved, 0.0), (along, away)) if side == "x" else ((0.0, moved), (away, along))
        label.set_transform(label.get_transform() + ScaledTranslation(*offset, figure.dpi_scale_trans))
        figure.add_artist(Line2D(*ends, transform=figure.dpi_scale_trans, color="black", linewidth=LINE_PT, gid="fan"))


def _inks(cell_colours: np.ndarray) -> np.ndarray:
    """Return for each cell black or white, whichever has the higher contrast (WCAG 2.1, relative luminance)."""
    channels = cell_colours[..., :3]
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return np.where(linear @ np.array([0.2126, 0.7152, 0.0722]) > 0.179, "black", "white")


def _draw_numbers(axes: Axes, place: Place, inks: np.ndarray) -> None:
    looks: dict[str, Any] = {"fontsize": place.number_pt, "parse_math": False}
    for row, numbers in enumerate(place.panel.numbers):
        for column, number in enumerate(numbers):
            ink = str(inks[row, column])
            axes.text(column, row, number, color=ink, ha="center", va="center_baseline", **looks)


def _dot(diameter_pt: float) -> dict[str, Any]:
    """White inside, black around: seen on dark and on light cells."""
    edge = {"markeredgecolor": "black", "markeredgewidth": min(0.5, diameter_pt / 6)}
    return {"marker": "o", "linestyle": "none", "markersize": diameter_pt, "markerfacecolor": "white", **edge}


def _cell_pt(place: Place) -> float:
    return 72 * place.axes.width / len(place.panel.matrix.y_layers)


def _draw_frames(axes: Axes, place: Place, inks: np.ndarray) -> None:
    """Frame the best columns of each row inside their cells, where a dot would cover numbers."""
    cell_pt = _cell_pt(place)
    line_pt = min(max(0.06 * cell_pt, _FRAME_PT[0]), _FRAME_PT[1])
    inset = 0.5 - 0.5 * line_pt / cell_pt
    for row, column in np.argwhere(is_largest(place.panel.matrix.values)):
        corner = (column - inset, row - inset)
        frame: dict[str, Any] = {"fill": False, "edgecolor": str(inks[row, column]), "linewidth": line_pt}
        axes.add_patch(Rectangle(corner, 2 * inset, 2 * inset, gid="best", joinstyle="miter", **frame))


def _draw_marks(axes: Axes, place: Place) -> None:
    """Mark the best columns of each row with a dot in the middle of the cell; several where they are equal."""
    rows, columns = np.nonzero(is_largest(place.panel.matrix.values))
    diameter_pt = min(max(0.22 * _cell_pt(place), _MARK_PT[0]), _MARK_PT[1])
    axes.plot(columns, rows, scalex=False, scaley=False, gid="best", **_dot(diameter_pt))


def _path_line(cell_pt: float) -> list[dict[str, Any]]:
    """Return how the lines of a path look, one over the other: white, with black on both sides."""
    width_pt = min(max(0.12 * cell_pt, 0.8), 1.6)
    return [
        {"color": colour, "linewidth": width_pt * share, "solid_capstyle": "round", "solid_joinstyle": "round"}
        for colour, share in (("black", 1.8), ("white", 1.0))
    ]


def _draw_path(axes: Axes, place: Place) -> None:
    """Draw the line from row to row, below the marks of best matches."""
    columns = [np.nan if column is None else column for column in place.panel.path]
    for looks in _path_line(_cell_pt(place)):
        axes.plot(columns, range(len(columns)), scalex=False, scaley=False, gid="path", **looks)


def _draw_bar(
    figure: Figure, panel: Panel, box: Box, label: tuple[str, ...], colours: Colormap, *, lies: bool = False
) -> None:
    """Draw a colour bar; one that lies has its first and last number within its ends."""
    scale = panel.scale
    axes = add_axes(figure, box, labelsize=layout.TICK_PT, **_TICKS)
    positions, texts = layout.bar_ticks(scale, box.width if lies else box.height, lies=lies)
    draw_bar(
        axes, colours, (scale.low, scale.high), positions, texts, "\n".join(label), label_pt=layout.BAR_PT,
        label_gap_pt=layout.TEXT_GAP_IN * 72, lies=lies, extend=scale.extend,
    )  # fmt: skip
    if lies:
        first, *_, last = axes.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")


def _draw_title_and_notes(figure: Figure, sheet: Sheet) -> None:
    content, title = sheet.content, "\n".join(sheet.title)
    middle = content.left + content.width / 2
    write(figure, middle, content.top, title, fontsize=layout.TITLE_PT, ha="center", va="top")
    line = height_in(1, layout.NOTE_PT)
    left, middle = sheet.notes_left, content.bottom + line * (0.5 if sheet.notes_in_one_line else 1.5)
    for note in sheet.picture.notes:
        for artist in _note_marks(note, left + 0.1 * layout.NOTE_MARK_IN, middle, has_numbers=sheet.has_numbers):
            artist.set_transform(figure.dpi_scale_trans)
            figure.add_artist(artist)
        text_left = left + layout.NOTE_MARK_IN
        write(figure, text_left, middle, note, fontsize=layout.NOTE_PT, va="center_baseline")
        if sheet.notes_in_one_line:
            left = text_left + widest_in([note], layout.NOTE_PT) + layout.NOTE_GAP_IN
        else:
            middle -= line


def _note_marks(note: str, left: float, middle: float, *, has_numbers: bool) -> list[Artist]:
    """Return what a note explains as it looks in the cells."""
    side = 0.65 * layout.NOTE_MARK_IN
    corner = (left, middle - side / 2)
    if note == NO_VALUE:
        return [Rectangle(corner, side, side, facecolor=NO_VALUE_GREY, edgecolor="black", linewidth=LINE_PT)]
    if note == ON_PATH:
        return [Line2D([left, left + side], [middle] * 2, **looks) for looks in _path_line(_MARK_PT[1] / 0.22)]
    if has_numbers:
        line_pt = _FRAME_PT[1]
        return [Rectangle(corner, side, side, fill=False, edgecolor="black", linewidth=line_pt, joinstyle="miter")]
    return [Line2D([left + side / 2], [middle], **_dot(_MARK_PT[1]))]
