"""What a user may ask of a picture, and which requests no picture can meet."""

import math
from dataclasses import dataclass

import matplotlib

from cka_cli.errors import UsageError, nearest, one_line

_DPI_RANGE = (20, 1200)
_SIZE_RANGE_IN = (1.0, 50.0)
MAX_PIXELS = 30_000  # matplotlib's rasteriser takes fewer than 2**16 on a side


@dataclass(frozen=True)
class HeatmapStyle:
    """How matrices are drawn.

    cmap : a colour map of matplotlib. Kornblith et al. (2019) use magma; it is perceptually uniform.
    vmin, vmax : the values at the ends of the colour bar; None chooses them by the measure.
    title : one line above everything, shown as typed.
    size : width and height of the whole figure in inches; None chooses. A size too small for the words loses
        the file names first, then the layer names, then the headings and the colour bar.
    annotate : numbers in the cells. The figure grows up to 16 inches for them; past that they are left out.
    mark_best : a dot on the largest value of each row; a frame around it where numbers stand in the cells.
    flip : the first row at the top instead of at the bottom.
    """

    cmap: str = "magma"
    vmin: float | None = None
    vmax: float | None = None
    title: str | None = None
    dpi: int = 200
    size: tuple[float, float] | None = None
    annotate: bool = False
    mark_best: bool = False
    flip: bool = False


def check_style(style: HeatmapStyle) -> None:
    """Raise UsageError for a colour map, range, resolution or size that cannot be drawn."""
    known = list(matplotlib.colormaps)
    if style.cmap not in known:
        hint = nearest(style.cmap, known) or "; give one of matplotlib's, such as magma, viridis or cividis"
        raise UsageError(f"colour map: matplotlib has none of this name ('{one_line(style.cmap)}'){hint}")
    for name, value in (("vmin", style.vmin), ("vmax", style.vmax)):
        if value is not None and not math.isfinite(value):
            raise UsageError(f"{name}: must be a finite number ({value}); leave it out to use the data's range")
    if style.vmin is not None and style.vmax is not None and style.vmin >= style.vmax:
        raise UsageError(f"vmin: must be below vmax ({style.vmin:g} and {style.vmax:g}); swap them or leave one out")
    if not _DPI_RANGE[0] <= style.dpi <= _DPI_RANGE[1]:
        raise UsageError(f"dpi: must be from {_DPI_RANGE[0]} to {_DPI_RANGE[1]} ({style.dpi}); 200 suits most papers")
    for side_in in style.size or ():
        if not _SIZE_RANGE_IN[0] <= side_in <= _SIZE_RANGE_IN[1]:
            raise UsageError(
                f"size: each side must be from {_SIZE_RANGE_IN[0]:g} to {_SIZE_RANGE_IN[1]:g} inches ({side_in:g}); "
                "give width and height in inches"
            )
        if side_in * style.dpi > MAX_PIXELS:
            raise UsageError(
                f"size: more than {MAX_PIXELS} pixels on a side ({side_in:g} inches at {style.dpi} dpi); "
                "give a smaller size or dpi"
            )
