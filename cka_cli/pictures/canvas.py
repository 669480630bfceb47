"""Figures of matplotlib that are the same everywhere: fixed settings, the same bytes for the same input.

Never pyplot: no global state, and a user's matplotlibrc changes nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

from cka_cli.errors import UsageError, nearest, one_line

FONT = "DejaVu Sans"  # comes with matplotlib: its letters, and widths, are the same on every machine
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


# Fonts of matplotlib's own and of Unicode that hold pictures of code points, or other letters at their places.
_NO_LETTERS = ("cm", "STIXNonUnicode", "STIXSize", "Last Resort", ".LastResort", "LastResort", "Adobe Blank", "Unifont")
_REGULAR = {("normal", weight) for weight in ("400", "normal", "regular", "book")}
# Families that were asked for letters that FONT lacks; and where the letters of a drawing go that no family has.
_borrowed: set[str] = set()
_missing: ContextVar[set[str] | None] = ContextVar("_missing", default=None)


@contextmanager
def settings() -> Iterator[None]:
    """matplotlib's own settings and ours, whatever a matplotlibrc says; the user's are back afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        matplotlib.rcParams["font.family"] = families()
        yield


def families() -> list[str]:
    """Return the font of all pictures, and behind it those that have letters which it lacks and a picture needed.

    They stand in one order, and each letter is of the first that has it: no other picture changes which one.
    """
    return [FONT, *(family for family in _other_families() if family in _borrowed)] if _borrowed else [FONT]


def can_draw(letter: str) -> bool:
    """Whether a font on this machine has a letter; what is drawn from then on may hold it."""
    if ord(letter) in _letters_of(FONT):
        return True
    family = next((family for family in _other_families() if ord(letter) in _letters_of(family)), None)
    if family is None:
        if (missing := _missing.get()) is not None:
            missing.add(letter)
        return False
    if family not in _borrowed:
        _borrowed.add(family)
        if matplotlib.rcParams["font.family"][0] == FONT:  # within settings()
            matplotlib.rcParams["font.family"] = families()
    return True


@contextmanager
def missing_letters() -> Iterator[set[str]]:
    """Give the set of the letters that what is drawn within asks for and that no font has, none of what is outside."""
    missing: set[str] = set()
    token = _missing.set(missing)
    try:
        yield missing
    finally:
        _missing.reset(token)


@cache
def _other_families() -> tuple[str, ...]:
    """Return the names of all other fonts that are upright and regular, those without serifs first, then by name."""
    names = {
        entry.name
        for entry in fontManager.ttflist
        if (entry.style, str(entry.weight)) in _REGULAR and entry.name != FONT
    }
    letters = (name for name in names if not name.startswith(_NO_LETTERS) and "Emoji" not in name)
    return tuple(sorted(letters, key=lambda name: ("Sans" not in name and "Gothic" not in name, name)))


@cache
def _letters_of(family: str) -> frozenset[int]:
    """Return the code points of a family as matplotlib will draw it; none of one that it cannot read or scale."""
    try:
        font = get_font(findfont(FontProperties(family=family), fallback_to_default=False))
    except (OSError, RuntimeError, ValueError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()


def new_figure(width_in: float, height_in: float, dpi: int = DEFAULT_DPI) -> Figure:
    """Return an empty figure that can be drawn without a screen. Call it, and draw, within `settings()`."""
    figure = Figure(figsize=(width_in, height_in), dpi=dpi)
    FigureCanvasAgg(figure)
    return figure


def figure_bytes(draw: Callable[[], Figure], file_format: str) -> bytes:
    """Return a figure as a PNG, SVG or PDF file; the same input gives the same bytes.

    Raises UsageError for a format that cannot be written, before anything is drawn.
    """
    if file_format not in _METADATA:
        hint = nearest(file_format, list(_METADATA)) or "; give png, svg or pdf"
        raise UsageError(f"picture: unknown format ('{one_line(file_format)}'){hint}")
    figure, out = draw(), BytesIO()
    with settings():
        figure.savefig(out, format=file_format, dpi=figure.dpi, metadata=_METADATA[file_format])
    return out.getvalue()
