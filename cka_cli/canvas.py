"""Figures of matplotlib that are the same everywhere: fixed settings, the same bytes for the same input.

Never pyplot: no global state, and a user's matplotlibrc changes nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cka_cli.errors import UsageError, nearest, one_line

FONT = "DejaVu Sans"  # comes with matplotlib: the same letters, and widths, on every machine
DEFAULT_DPI = 200
# No date, version or random id: the same input gives the same bytes.
_METADATA = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_SETTINGS: dict[Any, Any] = {
    "font.family": [FONT],
    "svg.hashsalt": "cka",
    "svg.fonttype": "path",  # the letters that were measured, also where the font is not installed
    "pdf.fonttype": 42,  # TrueType: publishers refuse the default, Type 3
}


@contextmanager
def settings() -> Iterator[None]:
    """matplotlib's own settings and ours, whatever a matplotlibrc says; the user's are back afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def new_figure(width_in: float, height_in: float, dpi: int = DEFAULT_DPI) -> Figure:
    """Return an empty figure that can be drawn without a screen. Call it, and draw, within `settings()`."""
    figure = Figure(figsize=(width_in, height_in), dpi=dpi)
    FigureCanvasAgg(figure)
    return figure


def check_format(file_format: str) -> None:
    """Raise UsageError for a picture format that cannot be written."""
    if file_format not in _METADATA:
        hint = nearest(file_format, list(_METADATA)) or "; give png, svg or pdf"
        raise UsageError(f"picture: unknown format ('{one_line(file_format)}'){hint}")


def figure_bytes(figure: Figure, file_format: str, dpi: int = DEFAULT_DPI) -> bytes:
    """Return a figure as a PNG, SVG or PDF file; the same figure gives the same bytes."""
    out = BytesIO()
    with settings():
        figure.savefig(out, format=file_format, dpi=dpi, metadata=_METADATA[file_format])
    return out.getvalue()
