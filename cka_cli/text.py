"""Numbers, sizes and lists as a person reads them: in reports, in notes, in errors and in pictures."""

import math
from collections.abc import Callable, Collection, Sequence

from cka_cli.errors import counted

MIB = 1 << 20
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def fixed(value: float, n_decimals: int = 3, *, minus: str = "-") -> str:
    """Return so many decimals, without a sign before what rounds to zero."""
    text = f"{value:.{n_decimals}f}"
    return text.replace("-", minus) if text.strip("-0.") else text.lstrip("-")


def number_text(value: float, *, is_bounded: bool) -> str:
    """Return three decimals, `nan`, or a power of ten for what three decimals would not show."""
    if math.isnan(value) or value == 0 or ((is_bounded or abs(value) >= 1e-2) and abs(value) < 1e3):
        return fixed(value)
    return f"{value:.2e}"


def decimals(value: float) -> str:
    """Return three decimals, a power of ten for what they would not show, or 0 for what rounding leaves of it; nan."""
    if math.isnan(value) or value >= 5e-4:
        return f"{value:.3f}"
    return f"{value:.1e}" if value > 1e-20 else "0"


def percent(share: float) -> str:
    """Return a share in whole percent, never rounded up to a half, to all, or down to nothing."""
    value = 100 * share
    if value < 0.5:
        return "less than 1 %"
    if value < 100 * (1 - 1e-9) and round(value) in (50, 100) and value < round(value):
        return f"{math.floor(10 * value) / 10:.1f} %"
    return f"{value:.0f} %"


def size_text(n_bytes: int) -> str:
    """Return a size in binary units, such as `1.5 MiB`."""
    size = float(n_bytes)
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"


def memory_text(n_bytes: int) -> str:
    """Return a limit as `--memory` takes it: `512MiB`, or `1KiB` where it is less than one MiB."""
    if n_bytes < MIB:
        return f"{n_bytes / (1 << 10):.4g}KiB"
    return f"{n_bytes / MIB:.{4 if n_bytes < 1000 * MIB else 10}g}MiB"


def first_few(names: Sequence[str], most: int) -> str:
    """Return `a, b, ...`: so many of these names, and whether there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def listed(names: Sequence[str], what: str = "layer", most: int = 4) -> str:
    """Return `a, b and 3 more layers`: the first few of these names, each once, and how many more there are.

    what : what is named; empty for `and 3 more`.
    """
    unique = list(dict.fromkeys(names))
    n_more = len(unique) - most
    more = counted(n_more, f"more {what}") if what else f"{n_more} more"
    return ", ".join(unique[:most]) + (f" and {more}" if n_more > 0 else "")


def aligned(rows: Sequence[Sequence[str]], left: Collection[int] = (), width: Callable[[str], int] = len) -> list[str]:
    """Return lines of cells two blanks apart, each column as wide as its widest cell, its cells at its right.

    left : the columns whose cells begin at its left, as words do. width : of a text, in blanks.
    """
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        blanks = [" " * (widest - width(cell)) for cell, widest in zip(row, widths, strict=True)]
        cells = (cell + blanks[place] if place in left else blanks[place] + cell for place, cell in enumerate(row))
        lines.append("  ".join(cells).rstrip())
    return lines


def cut(text: str, most: int) -> str:
    """Return a text of no more than so many letters, and dots for the rest."""
    return text if len(text) <= most else text[:most] + "..."
