"""Results as text, and back.

A command makes a `Report` of its result, and a format writes any of them: one row of `RENDERERS` a format.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

Cell = str | float | None
# The names of the columns, and the lines below them.
Cells = tuple[Sequence[str], Iterable[Sequence[Cell]]]


class Screen(NamedTuple):
    """What a text for a person is shown on: how many characters a line has, and whether there are colours."""

    width: int = 100_000
    colour: bool = False


class Report:
    """A result as formats ask for it; nothing is worked out before one does."""

    def cells(self) -> Cells:
        """Return the result as lines of cells for a program."""
        raise NotImplementedError

    def square(self) -> Cells:
        """Return the one matrix of a comparison; UsageError for any other number of them."""
        raise NotImplementedError

    def document(self) -> Any:
        """Return everything that is known, as `json_text` takes it."""
        raise NotImplementedError

    def text(self, screen: Screen) -> str:
        """Return the result for a person."""
        raise NotImplementedError


class Renderer(NamedTuple):
    """How a report is written in one format.

    words : what help calls it. place : `module:function`, which is given the report and the screen; loaded when asked
    for. suffix : the end of names that stand for it. command : the one whose reports alone have it.
    """

    words: str
    place: str
    suffix: str = ""
    command: str = ""


def write_text(report: Report, screen: Screen) -> str:
    """Return a report for a person."""
    return report.text(screen)


# The first is what programs get; of several with one suffix, the first is what the suffix stands for.
RENDERERS = {
    "csv": Renderer("tidy CSV", "cka_cli.report.csv_text:write", "csv"),
    "wide": Renderer("wide CSV", "cka_cli.report.csv_text:write_square", "csv", command="compare"),
    "json": Renderer("JSON", "cka_cli.report.json_text:write", "json"),
    "table": Renderer("a table", "cka_cli.report:write_text"),
}


def render(report: Report, report_format: str, screen: Screen = Screen()) -> str:  # noqa: B008 - cannot change
    """Return a report in one of the formats, as UTF-8 can hold it: bytes of names that are no UTF-8 become escapes."""
    from importlib import import_module

    module, _, function = RENDERERS[report_format].place.partition(":")
    text: str = getattr(import_module(module), function)(report, screen)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
