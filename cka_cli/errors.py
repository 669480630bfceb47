"""Errors a user can act on: one line, an exit status, never a traceback."""


class CkaError(Exception):
    """Something a user can mend. The text reads `thing: what is wrong (what was found); what to do`."""

    exit_status = 1


class DataError(CkaError):
    """The data or the disk is not as it must be: exit status 1."""


class UsageError(CkaError):
    """The command line is not as it must be: exit status 2."""

    exit_status = 2


def one_line(text: str) -> str:
    """Return `text` with every character that could move a cursor or start a new line written as an escape."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def nearest(word: str, known: list[str]) -> str:
    """Return `; did you mean '...'?` for the known word closest to `word`, or nothing when none is close."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
