"""What figures are made of: boxes in inches and axes in them, cells with their colour bar, words at a place."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from cka_cli.arrays import Float64
from cka_cli.errors import UsageError

LINE_PT = 0.6
NO_VALUE_GREY = "0.75"


class Box(NamedTuple):
    """A rectangle, in inches from the lower left corner of the figure."""

    left: float
    bottom: float
    width: float
    height: float

    @property
    def top(self) -> float:
        """Where it ends, upwards."""
        return self.bottom + self.height

    @property
    def right(self) -> float:
        """Where it ends, to the right."""
        return self.left + self.width


def add_axes(figure: Figure, box: Box, **ticks: Any) -> Axes:
    """Return axes that fill a box, with thin lines. ticks : length, pad and labelsize of their ticks, in points."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((box.left / width, box.bottom / height, box.width / width, box.height / height))
    axes.spines[:].set_linewidth(LINE_PT)
    axes.tick_params(width=LINE_PT, **ticks)
    return axes


def write(figure: Figure, left: float, bottom: float, text: str, **style: Any) -> None:
    """Write text as it is, `$` and all, at a place in inches. style : fontsize, ha and the like, of matplotlib."""
    figure.text(left, bottom, text, transform=figure.dpi_scale_trans, parse_math=False, **style)


def colour_map(name: str) -> Colormap:
    """Return a colour map of matplotlib, grey where there is no value."""
    return matplotlib.colormaps[name].with_extremes(bad=NO_VALUE_GREY)


def draw_cells(
    axes: Axes, values: Float64, colours: Colormap, ends: tuple[float, float], *, flip: bool = False,
    extent: tuple[float, float, float, float] | None = None,
) -> AxesImage:  # fmt: skip
    """Fill axes with a cell for each value, the first row at the bottom, or at the top with `flip`.

    extent : left, right, bottom and top of all cells on the axes; None for places counted from 0.
    Cells are whole pixels where the axes are, embedded at that resolution: no viewer has anything to blur. Smaller than
    a pixel, cells are averaged rather than dropped.
    """
    n_rows, n_columns = values.shape
    is_fine = axes.bbox.width < n_columns - 1e-6 or axes.bbox.height < n_rows - 1e-6
    return axes.imshow(
        np.ma.masked_invalid(values), cmap=colours, norm=Normalize(*ends), origin="upper" if flip else "lower",
        aspect="auto", interpolation="antialiased" if is_fine else "nearest", extent=extent,
    )  # fmt: skip


def draw_bar(
    axes: Axes, colours: Colormap, ends: tuple[float, float], ticks: Sequence[float], texts: Sequence[str], label: str,
    *, label_pt: float, label_gap_pt: float, lies: bool = True, extend: str = "neither",
) -> None:  # fmt: skip
    """Make axes a colour bar, which lies or stands. extend : the sides on which it ends in an arrow."""
    figure = axes.figure
    assert figure is not None
    bar = figure.colorbar(
        ScalarMappable(Normalize(*ends), colours), cax=axes, orientation="horizontal" if lies else "vertical",
        extend=extend, extendfrac=0.04, ticks=ticks,
    )  # fmt: skip
    bar.outline.set(linewidth=LINE_PT)
    axes.collections[0].set_rasterized(True)  # 256 vector strips show hairlines between them in many viewers
    axes.minorticks_off()
    (axes.set_xticks if lies else axes.set_yticks)(ticks, texts)
    (axes.set_xlabel if lies else axes.set_ylabel)(label, fontsize=label_pt, labelpad=label_gap_pt, parse_math=False)


def round_numbers(highest: float, digits: Sequence[int] = (1, 2, 5)) -> list[int]:
    """Return 1, 2, 5, 10, 20, 50 and so on, or those of them with other digits, up to the highest."""
    numbers = (digit * 10**power for power in range(12) for digit in digits)
    return [number for number in numbers if number <= highest]


def check_number(n: int, what: str, most: int) -> None:
    """Raise UsageError for more of something than one picture takes: ask before they are worked out."""
    if n > most:
        raise UsageError(
            f"picture: {n} {what} are too many (at most {most}); draw fewer files, measures or kernels at a time"
        )
