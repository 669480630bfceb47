"""How large panels and their numbers look good, and the smallest at which words can be read."""

from math import ceil

from cka_cli.pictures.heatmap.panels import Panel, Picture
from cka_cli.pictures.words import height_in, widest_in

NAME_PT = (5.0, 8.0)  # smallest, largest
_NUMBER_PT = (5.0, 8.0)  # smallest, largest
_NUMBER_FILL = (0.84, 0.9)  # of a cell's width and height, at most
_FULL_NAMES_IN = 9.0  # cells grow to at most this for the sake of their names


def good_side(picture: Picture, *, annotate: bool) -> float:
    """Return the longest side of a panel, in inches, when nothing limits it: small matrices do not fill a page."""
    n_cells = longest_side(picture)
    longest = max(widest_in(panel.row_names + panel.column_names, 8) for panel in picture.panels)
    side = max(min(0.6 * n_cells, 4 + n_cells / 40, 7), 1.2, min(2 * longest, 3.2))
    if len(picture.panels) > 1:
        side = max(min(side, 2.4), 0.75 * side)
    elif 4 * min(picture.panels[0].matrix.values.shape) < n_cells:  # a thin strip takes little of a page
        side = max(side, min(0.25 * n_cells, _FULL_NAMES_IN))
    if annotate:
        side = max(side, max(_cell_for_numbers(panel) for panel in picture.panels) * n_cells)
    return side


def side_for_names(picture: Picture) -> float:
    """Return the side of a panel at which every name has its line, in inches; 0 when that is too large for a page."""
    dpi, n_cells = picture.style.dpi, longest_side(picture)
    side = ceil(height_in(1, NAME_PT[0]) * dpi) / dpi * n_cells + 1e-6
    return side if side <= _FULL_NAMES_IN else 0.0


def longest_side(picture: Picture) -> int:
    """Return the cells along the longest side of the largest panel."""
    return max(max(len(panel.matrix.x_layers), len(panel.matrix.y_layers)) for panel in picture.panels)


def _cell_for_numbers(panel: Panel) -> float:
    """Return the side of the smallest cell in which the panel's numbers can be read, in inches, and a little over."""
    return 1.05 * max(
        widest_in(panel.distinct_numbers, _NUMBER_PT[0]) / _NUMBER_FILL[0],
        height_in(1, _NUMBER_PT[0]) / _NUMBER_FILL[1],
    )


def number_pt(panel: Panel, cell: float) -> float:
    """Return the largest size at which the panel's numbers fit a cell; 0 when that is too small to read."""
    widest = max(widest_in(panel.distinct_numbers, 1), 1e-3)
    fitting: float = min(_NUMBER_PT[1], _NUMBER_FILL[0] * cell / widest, _NUMBER_FILL[1] * cell / height_in(1, 1))
    return fitting if fitting >= _NUMBER_PT[0] else 0.0
