"""Errors a user can act on: one line, an exit status, never a traceback."""

import re

# Printable by the letter of Unicode, and yet nothing is seen of them: fillers, and selectors of variants.
_INVISIBLE = frozenset(
    map(chr, [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x2800, 0x3164, *range(0xFE00, 0xFE10),
              0xFFA0, *range(0xE0100, 0xE01F0)])
)  # fmt: skip
_MOST_REASON = 200


class CkaError(Exception):
    """Something a user can mend. The text reads `thing: what is wrong (what was found); what to do`."""

    exit_status = 1


class DataError(CkaError):
    """The data or the disk is not as it must be: exit status 1."""


class UsageError(CkaError):
    """The command line is not as it must be: exit status 2."""

    exit_status = 2


def one_line(text: str) -> str:
    """Return `text` with every character written as an escape that could deceive whoever reads it on a screen.

    These move a cursor, start a line, turn the direction of writing, or are not seen at all.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if character in _INVISIBLE or not character.isprintable()
        else character
        for character in text
    )


def counted(n: int, thing: str) -> str:
    """Return `1 row`, `2 rows`: how many of what has a regular plural."""
    return f"{n} {thing}" + "s" * (n != 1)


def nearest(word: str, known: list[str]) -> str:
    """Return `; did you mean '...'?` for the known word closest to `word`, or nothing when none is close."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def reason(error: BaseException) -> str:
    """Return the first line of what an exception says, without the words that h5py puts around it."""
    said = getattr(error, "strerror", None) or str(error)  # without the path, which the error begins with
    text = (said.strip() or type(error).__name__).splitlines()[0]
    text = text if len(text) <= _MOST_REASON else text[:_MOST_REASON] + "..."
    wrapped = re.fullmatch(r"(?:\[Errno \d+\] )?(?:Unable to|Can't) [\w ]+ \((.+)\)", text)
    return one_line(wrapped[1] if wrapped else text)
