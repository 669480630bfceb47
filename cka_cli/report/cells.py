"""Lines of cells as spreadsheets and programs write them: which letters, what stands between cells, which numbers."""

import codecs
import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from cka_cli.errors import DataError
from cka_cli.report.extents import Comments, Rows, is_marked, may_have_comments, used_columns

_MISSING = ("", "nan", "na", "null", "none")
_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16",
          codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip
_BLANKS = " "  # stands for any number of blanks and tabs
_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", _BLANKS: "blanks"}
_N_LOOKED_AT, _MOST_LOOKED_AT = 20, 1 << 20  # lines, letters
_SAID = re.compile(r'"?sep=([,;\t])"?', re.IGNORECASE)
_WITH_COMMA = re.compile(r"[-+]?(?:\d+,\d*|,\d+)(?:[eE][-+]?\d+)?")
_LIKE_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")


def text_of(data: bytes, name: str) -> str:
    """Return the text of UTF-8, or of UTF-16 and UTF-32 with a mark at their beginning; DataError for any other."""
    encoding = next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: is not text in UTF-8 or UTF-16 ({error.reason} at byte {error.start}); "
            "give a CSV or JSON report, saved as UTF-8"
        ) from error
    if "\0" in text:
        where = f"a zero byte at character {text.index(chr(0))}"
        raise DataError(f"{name}: is not text ({where}); give a CSV or JSON report, saved as UTF-8")
    return text


def is_marked_text(data: bytes | bytearray) -> bool:
    """Whether bytes begin as text does that may hold zero bytes: UTF-16 and UTF-32 with their mark."""
    return data.startswith(tuple(_MARKS))


class Table:
    """The lines of one text, and its numbers, all with one decimal mark."""

    def __init__(self, text: str, name: str, is_known_header: Callable[[Sequence[str]], bool]) -> None:
        """name : how errors name the source. is_known_header : whether these cells can be nothing but a header."""
        said, _, rest = text.lstrip().partition("\n")
        match = _SAID.fullmatch(said.strip())  # Excel's own line
        self._text, self._first_line = (rest, text[: len(text) - len(rest)].count("\n")) if match else (text, 0)
        self._name = name
        self._comments = Comments(name, self.value, is_known_header) if may_have_comments(text) else None
        self._delimiter = match[1] if match else _delimiter(text, name, is_known_header)
        self._has_points = self._has_commas = False
        self._are_thousands = True

    def rows(self) -> Rows:
        """Give (line number, cells) of every line that is no comment and not empty, less empty columns at the ends."""
        rows, at_blanks = self._all_rows(), self._delimiter == _BLANKS
        yield from rows if self._comments is None else self._comments.left_out(rows, at_blanks=at_blanks)

    @property
    def names_columns_by_numbers(self) -> bool:
        """Whether the first line that was given is a comment of numbers, which name the columns."""
        return self._comments is not None and self._comments.names_columns

    def _all_rows(self) -> Rows:
        lines = _Lines(self._text, self._delimiter)
        used = slice(0, None)
        with suppress(csv.Error):  # which comes again below, with its line
            used = used_columns(_Lines(self._text, self._delimiter, strict=False))
        try:
            for row in lines:
                if not any(cell.strip() for cell in row):
                    continue
                if used.start and is_marked(row):
                    continue  # all that is no comment begins farther right
                yield lines.number + self._first_line, row[used] if used != slice(0, None) else row
        except csv.Error as error:
            raise DataError(
                f"{self._name}: line {lines.number + self._first_line} is not CSV ({error}); "
                "give a report of cka compare, or mend the line"
            ) from error

    def number(self, text: str, line: int) -> float:
        """Return the number of a cell, NaN for a missing one, a hundredth of a percentage; DataError for words."""
        value = self.value(text)
        if value is None:
            raise DataError(f"{self._name}: line {line} holds {text[:40]!r} where a number belongs; mend the line")
        if self._delimiter != ",":
            self._see_mark(text, line)
        return value

    def value(self, text: str) -> float | None:
        """Return the number that a cell would be, NaN for a missing one, None for words."""
        return _number_of(text, may_have_comma=self._delimiter != ",")

    def _see_mark(self, text: str, line: int) -> None:
        """Raise DataError where some numbers have a decimal point and others a comma."""
        self._has_points |= "." in text
        if "," in text:
            self._has_commas = True
            self._are_thousands &= _LIKE_THOUSANDS.fullmatch(text.strip()) is not None
        if self._has_points and self._has_commas:
            raise DataError(
                f"{self._name}: line {line} holds {text[:40]!r}, and there are numbers with points and with commas; "
                "write all with a point"
            )

    def check_marks(self) -> None:
        """Raise DataError where commas may stand for thousands: call it when all numbers are read."""
        if self._has_commas and self._are_thousands:
            raise DataError(
                f"{self._name}: commas in numbers may mean thousands or decimals; write all numbers with a point"
            )


def _number_of(text: str, *, may_have_comma: bool) -> float | None:
    text = text.strip()
    if text.lower() in _MISSING:
        return math.nan
    share = 1.0
    if text.endswith("%"):
        text, share = text[:-1].rstrip(), 100.0
    if may_have_comma and _WITH_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if "_" in text or not text.isascii():  # which Python takes for digits, and nobody else
        return None
    try:
        return float(text) / share
    except ValueError:
        return None


class _Lines:
    """The cells of each line; `number` is that of the line last given."""

    def __init__(self, text: str, delimiter: str, *, strict: bool = True) -> None:
        self.number = 0
        self._lines = io.StringIO(text, newline="")
        self._delimiter, self._strict = delimiter, strict

    def __iter__(self) -> Iterator[list[str]]:
        if self._delimiter == _BLANKS:
            for line in self._lines:
                self.number += 1
                cells = line.split()
                if '"' in line:
                    cells = next(csv.reader([" ".join(cells)], delimiter=" ", strict=self._strict), [])
                yield cells
            return
        reader = csv.reader(self._lines, delimiter=self._delimiter, strict=self._strict)
        try:
            for row in reader:
                self.number = reader.line_num
                yield row
        finally:  # also where a line is no CSV
            self.number = reader.line_num


def _delimiter(text: str, name: str, is_known_header: Callable[[Sequence[str]], bool]) -> str:
    """Return what stands between the cells: that at which the first lines have names and numbers in their places.

    Commas where nothing does, so that errors are those of a CSV. DataError where several would do.
    """
    lines = list(io.StringIO(text[:_MOST_LOOKED_AT].lstrip("\r\n"), newline=""))
    if len(text) > _MOST_LOOKED_AT and len(lines) > 1:
        lines.pop()  # cut
    lines = [line for line in lines if not line.lstrip().startswith("#")] or lines
    sample, first = "".join(lines[:_N_LOOKED_AT]), lines[0]
    tables = {mark: _looked_at(sample, mark) for mark in ",\t;" if mark in sample}
    known = [mark for mark, table in tables.items() if table and is_known_header(table[0])]
    if known:
        return known[0]
    fitting = [mark for mark, table in tables.items() if _is_of_numbers(table, may_have_comma=mark != ",")]
    if len(fitting) > 1:
        between = " or ".join(_NAMES[mark] for mark in fitting)
        raise DataError(f"{name}: {between} may stand between its cells; put names with such letters in quotes")
    if fitting:
        return fitting[0]
    if _is_of_numbers(_looked_at(sample, _BLANKS), may_have_comma=True):
        return _BLANKS
    return next((mark for mark in ",\t;" if mark in first), ",")


def _looked_at(sample: str, delimiter: str) -> list[list[str]]:
    try:
        return [row for row in _Lines(sample, delimiter, strict=False) if any(cell.strip() for cell in row)]
    except csv.Error:
        return []


def _is_of_numbers(table: list[list[str]], *, may_have_comma: bool) -> bool:
    """Whether lines have as many cells, two or more, and numbers in all but the first line and column."""
    n_cells = len(table[-1]) if table else 0
    if n_cells < 2 or any(len(row) != n_cells for row in table[1:]) or len(table[0]) not in (n_cells, n_cells - 1):
        return False
    return all(
        _number_of(cell, may_have_comma=may_have_comma) is not None for row in (table[1:] or table) for cell in row[1:]
    )
