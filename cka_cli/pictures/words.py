"""Text of others, as it can stand in a picture: literal, measured, thinned, wrapped and shortened."""

import re
from collections.abc import Sequence
from functools import cache, partial
from pathlib import PurePath

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from cka_cli import shortening
from cka_cli.errors import one_line
from cka_cli.pictures.canvas import can_draw, families

LINE_HEIGHT = 1.25  # of a line of text, in units of its size
_HINTING_SLACK = 1.04  # letters snapped to pixels may come out wider than the outline says
_POINTS_PER_INCH = 72
_REFERENCE_PT = 100


def literal(text: str) -> str:
    """Return `text` with control characters, and letters that no font on this machine has, written as escapes."""
    return "".join(
        letter if can_draw(letter) else letter.encode("unicode_escape").decode("ascii") for letter in one_line(text)
    )


@cache
def _relative_advance(character: str) -> float:
    font = FontProperties(family=families(), size=_REFERENCE_PT)
    width, _, _ = text_to_path.get_text_width_height_descent(character, font, ismath=False)
    return float(width) / _REFERENCE_PT * _HINTING_SLACK


def width_in(text: str, size_pt: float) -> float:
    """Return the width of one line of text, in inches."""
    return sum(map(_relative_advance, text)) * size_pt / _POINTS_PER_INCH


def widest_in(texts: Sequence[str], size_pt: float) -> float:
    """Return the width of the widest of some lines, in inches; 0 when there are none."""
    return max((width_in(text, size_pt) for text in texts), default=0.0)


def height_in(n_lines: int, size_pt: float) -> float:
    """Return the height of some lines of text, in inches."""
    return n_lines * LINE_HEIGHT * size_pt / _POINTS_PER_INCH


def shorten(text: str, max_in: float, size_pt: float) -> str:
    """Return `text`, or as much of its head and tail around an ellipsis as fits `max_in` inches."""
    return shortening.shorten(text, max_in, partial(width_in, size_pt=size_pt))


def shorten_names(names: Sequence[str], max_in: float, size_pt: float, *, keep_ends: bool = False) -> list[str]:
    """Return names that fit `max_in` inches, different where they were: see `cka_cli.shortening`."""
    return shortening.shorten_names(names, max_in, partial(width_in, size_pt=size_pt), keep_ends=keep_ends)


def wrap(text: str, max_in: float, size_pt: float, max_lines: int) -> list[str]:
    """Return `text` in at most `max_lines` lines that fit `max_in` inches.

    Lines are broken after commas and spaces, and after colons where a piece between these does not fit.
    """
    lines = [""]
    pieces: list[str] = []
    for piece in re.findall(r"[^, ]*[, ]*", text):
        pieces += [piece] if width_in(piece.rstrip(), size_pt) <= max_in else re.findall(r"[^:]*:?", piece)
    for piece in pieces:
        fits = width_in((lines[-1] + piece).rstrip(), size_pt) <= max_in
        if lines[-1] and not fits and len(lines) < max_lines:
            lines.append("")
        lines[-1] += piece
    return [shorten(line.rstrip(), max_in, size_pt) for line in lines]


def spread(n: int, stride: int) -> list[int]:
    """Return the positions 0, stride, 2 * stride, ... among `n`, and the last; none nearer to the last than `stride`.

    Only the first when the last is nearer than `stride`.
    """
    return [0] if n <= stride else [*range(0, n - stride, stride), n - 1]


def file_labels(paths: Sequence[str]) -> dict[str, str]:
    """Return for each path its last part, or as many trailing parts as tell it from the others."""
    parts = {path: PurePath(path).parts for path in paths if path}
    labels = {"": ""}
    for path, own in parts.items():
        others = [other for other in parts.values() if other != own]
        n_parts = 1
        while n_parts < len(own) and any(other[-n_parts:] == own[-n_parts:] for other in others):
            n_parts += 1
        labels[path] = literal(str(PurePath(*own[-n_parts:])))
    return labels
