"""Which lines of a table are comments, and which of its columns a spreadsheet left empty at its ends."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from cka_cli.errors import DataError

Rows = Iterator[tuple[int, list[str]]]
_MARK = "#"
_MARKED = re.compile(r"(?:^|[\r\n])[ \t]*#")


def may_have_comments(text: str) -> bool:
    """Whether any line of a text begins with the mark of a comment."""
    return _MARKED.search(text) is not None


def is_marked(row: Sequence[str]) -> bool:
    """Whether a line of cells begins with the mark of a comment, which a name may too."""
    return row[0].lstrip().startswith(_MARK)


def used_columns(rows: Iterable[Sequence[str]]) -> slice:
    """Return the columns that hold something in any line, of those at the ends; comments are not looked at.

    Columns beyond the first line's are never left out, and no more lines are read than it takes to know.
    """
    start = stop = n_cells = 0
    for row in rows:
        places = [place for place, cell in enumerate(row) if cell.strip()]
        if not places or is_marked(row):
            continue
        if not n_cells:
            start, n_cells = places[0], len(row)
        start, stop = min(start, places[0]), max(stop, places[-1] + 1)
        if start == 0 and stop >= n_cells:
            break
    return slice(start, stop if stop < n_cells else None)


class Comments:
    """The lines of a table without its comments, the last of which may name the columns."""

    def __init__(
        self, name: str, value: Callable[[str], float | None], is_known_header: Callable[[Sequence[str]], bool]
    ) -> None:
        """name : how errors name the source. value : the number of a cell, None for words. See `Table`."""
        self._name, self._value, self._is_known_header = name, value, is_known_header
        self.names_columns = False

    def left_out(self, rows: Rows, *, at_blanks: bool) -> Rows:
        """Give the lines that are no comments, first the names of the columns where a comment gives them.

        A line is none that reads as one of the table: it has a word, then as many numbers as the others, and these
        have words too. DataError where it may be both. `names_columns` then says whether numbers in one are names.
        at_blanks : whether blanks stand between the cells, and so behind the mark too.
        """
        above, first = _up_to_unmarked(rows)
        if not first or self._is_known_header(first[0][1]):
            # Reports of ours have no comments, but somebody may have written some above; names may begin like them.
            yield from chain(first or above, rows)
            return
        between, second = _up_to_unmarked(rows)
        body = [row for _, row in (*first, *second)]
        has_words = any(self._value(cell) is None for row in body for cell in row)
        kept = [(line, row) for line, row in above if self._is_row(line, row, body[-1], has_words=has_words)]
        if above and not kept:
            kept = self._header(above[-1], body, at_blanks=at_blanks)
        yield from chain(kept, first)
        for line, row in chain(between, second, rows):
            if not is_marked(row) or self._is_row(line, row, body[-1], has_words=has_words):
                yield line, row

    def _is_row(self, line: int, row: Sequence[str], like: Sequence[str], *, has_words: bool) -> bool:
        if not has_words or len(row) != len(like) or len(row) < 2 or None in map(self._value, row[1:]):
            return False
        if row[0].strip() == _MARK or row[0].lstrip()[1].isspace():
            if not any(cell.strip() for cell in row[1:]):
                return False
            raise DataError(
                f"{self._name}: line {line} may be a comment or a row ({', '.join(row)[:40]}); take the '#' away, or "
                "the line"
            )
        return True

    def _header(
        self, comment: tuple[int, list[str]], body: Sequence[Sequence[str]], *, at_blanks: bool
    ) -> list[tuple[int, list[str]]]:
        """Return the names of the columns, where a comment right above the numbers has as many words."""
        line, row = comment
        if not body[0][0].strip() or None in map(self._value, body[0][1:]):
            return []  # the first line names them
        names = [row[0].lstrip().removeprefix(_MARK).strip(), *(cell.strip() for cell in row[1:])]
        has_column = self._value(body[0][0]) is None
        while names and not names[-1]:  # as a spreadsheet fills lines up
            names.pop()
        if names and not names[0] and (at_blanks or len(names) > len(body[0])):
            names = names[1:]
        if has_column and len(names) == len(body[0]) - 1 > 0:
            names = ["layer", *names]
        elif len(names) != len(body[0]):
            return []
        if has_column and all(cell.strip().isdigit() for cell in body[0][1:]):
            raise DataError(
                f"{self._name}: its first line below a comment may be names or numbers "
                f"(found {', '.join(body[0])[:40]}); "
                "take the comment away, or give names to all rows and columns, with 'layer' in the corner"
            )
        self.names_columns = None not in map(self._value, names)
        return [(line, names)]


def _up_to_unmarked(rows: Rows) -> tuple[list[tuple[int, list[str]]], list[tuple[int, list[str]]]]:
    """Return the marked lines up to the first that is not, and that one, or nothing at the end."""
    marked: list[tuple[int, list[str]]] = []
    for line, row in rows:
        if not is_marked(row):
            return marked, [(line, row)]
        marked.append((line, row))
    return marked, []
