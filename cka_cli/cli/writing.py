"""Where results go and in which format, and what is said beside them."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from cka_cli.cli.bundles import Bundle, Option, deciding_options
from cka_cli.errors import UsageError, one_line
from cka_cli.report import RENDERERS, Report, Screen, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cka_cli.analysis.components import Explanation
    from cka_cli.analysis.reliability.result import Diagnosis
    from cka_cli.plan.planner import Plan
    from cka_cli.report.json_text import Provenance
    from cka_cli.results.matrix import Comparison
    from cka_cli.system.progress import Progress

PICTURE_FORMATS = {suffix: [suffix] for suffix in ("png", "svg", "pdf")}
# By the end of a name: the formats that may be written under it, the first unless another is typed.
REPORT_FORMATS = {
    row.suffix: [name for name, other in RENDERERS.items() if other.suffix == row.suffix]
    for row in RENDERERS.values()
    if row.suffix
}
_MOST_LETTERS_SHOWN = 12


def chosen_format(
    path: str, typed: str | None, formats: Mapping[str, Sequence[str]], what: str, *, default: str | None,
    option: str = "",
) -> str:  # fmt: skip
    """Return the format typed, or what the name stands for, or the default where a name stands for none.

    A name that stands for another format than was typed is refused, and so is one that stands for none but seems to.
    """
    suffix = os.path.splitext(path)[1].lower().removeprefix(".")
    if suffix in formats:
        if typed is not None and typed not in formats[suffix]:
            raise UsageError(f"{path}: the name says {suffix} and --format says {typed}; make them agree")
        return typed or formats[suffix][0]
    if typed is not None:
        return typed
    if default is None or suffix[:1].isalpha():  # not the digits of a number
        *names, last = (f".{each}" for each in formats)
        raise UsageError(
            f"{option}{path}: no such {what} format (found '.{suffix}'); name it {', '.join(names)} or {last}"
            + ("" if option else ", or say --format")
        )
    return default


@dataclass(frozen=True)
class Output:
    """Where the result goes; `-` is standard output."""

    path: str
    force: bool

    @property
    def is_terminal(self) -> bool:
        """Whether it is a person's screen."""
        return self.path == "-" and sys.stdout.isatty()

    def check(self, inputs: Sequence[str]) -> None:
        """Raise before any work when it could not be written."""
        from cka_cli.system.atomic_files import check_output

        check_output(self.path, force=self.force, inputs=inputs)

    def write(self, data: bytes) -> None:
        """Write it, whole or not at all."""
        from cka_cli.system.atomic_files import write_output

        write_output(self.path, data, force=self.force)


@dataclass(frozen=True)
class ReportOutput(Output):
    """Where a report goes, and the format that was typed."""

    typed: str | None

    @cached_property
    def format(self) -> str:
        """The format typed, or what the name stands for, or a table on a terminal, CSV elsewhere."""
        default = "table" if self.is_terminal else "csv"
        return chosen_format(self.path, self.typed, REPORT_FORMATS, "report", default=default)

    def check(self, inputs: Sequence[str]) -> None:
        """Raise before any work when it could not be written, or the name says another format than was typed."""
        super().check(inputs)
        _ = self.format

    def write_report(self, report: Report) -> None:
        """Write a report; on a terminal with every character escaped that could move its cursor."""
        text = render(report, self.format, _screen(self))
        if self.is_terminal and self.format != "table":  # a table has its colours
            text = "\n".join(map(one_line, text.split("\n")))
        self.write(text.encode())


def _screen(output: Output) -> Screen:
    import shutil

    if not output.is_terminal:
        return Screen()
    has_colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Screen(shutil.get_terminal_size().columns, has_colour)


_OUTPUT_OPTIONS = (
    Option(
        ["-o", "--output"], default="-", metavar="PATH", decides=False,
        help="Where the result goes.  [default: standard output]",
    ),
    Option(["-f", "--force"], is_flag=True, decides=False, help="Replace an existing output file."),
)  # fmt: skip
output_options = Bundle(lambda output, force: Output(output, force), *_OUTPUT_OPTIONS)


def report_options(command: str, words: str = "") -> Bundle[ReportOutput]:
    """Add `--output`, `--force` and `--format`. words : what the formats of the command hold."""
    choices = [name for name, row in RENDERERS.items() if row.command in ("", command)]
    by_name = "; ".join(f"{names[0]} for -o *.{suffix}" for suffix, names in REPORT_FORMATS.items() if suffix != "csv")
    option = Option(
        ["--format", "report_format"], type=click.Choice(choices), decides=False,
        help=f"{words}  [default: table on a terminal, else csv; {by_name}]".lstrip(),
    )  # fmt: skip
    return Bundle(
        lambda output, force, report_format: ReportOutput(output, force, report_format), *_OUTPUT_OPTIONS, option
    )


def all_formats(command: str) -> str:
    """Return in words the formats of the reports of a command."""
    *words, last = (row.words for row in RENDERERS.values() if row.command in ("", command))
    text = f"{', '.join(words)} or {last}."
    return text[:1].upper() + text[1:]


def provenance(**plain: Any) -> "Provenance":
    """Return the command as typed, and the options that decide what is found.

    plain : options in canonical form instead of as typed.
    """
    from cka_cli.report.json_text import Provenance

    return Provenance(["cka", *sys.argv[1:]], deciding_options() | plain)


def comparison_provenance(comparison: "Comparison") -> "Provenance":
    """Return where a comparison comes from, with its measures and kernels in canonical form."""
    return provenance(
        measures=list(dict.fromkeys(matrix.measure for matrix in comparison.matrices)),
        kernels=list(dict.fromkeys(matrix.kernel for matrix in comparison.matrices if matrix.kernel)),
    )


def write_plans(plans: "Mapping[str, Plan]", report_format: str) -> None:
    """Write plans, by what each is of, for a person, or as JSON where the report would be JSON.

    Always to standard output: a report under the name of the output is not for a plan to replace.
    """
    from cka_cli.report.planned import PlansReport

    text = render(PlansReport(plans), "json" if report_format == "json" else "table")
    Output("-", force=False).write(text.encode())


@dataclass(frozen=True)
class Talk:
    """What is said on standard error. quiet : no progress, and of notes the warnings only."""

    quiet: bool

    def progress(self) -> "AbstractContextManager[Progress]":
        """Return a context that gives what is told of progress."""
        from cka_cli.system.progress import shown_progress

        return shown_progress(quiet=self.quiet)

    def notes(self, result: "Comparison | Diagnosis | Explanation") -> None:
        """Say what a reader of a result must know, each once."""
        for note in dict.fromkeys(result.warnings if self.quiet else result.notes):
            self._say(note)

    def doubt(self, note: str) -> None:
        """Say one note, unless it is to be quiet."""
        if not self.quiet:
            self._say(note)

    def drawn(self, draw: Callable[[], "Figure"], picture_format: str) -> bytes:
        """Return the bytes of a figure, and say which letters of names stand as escapes in it as no font has them."""
        from cka_cli.pictures.canvas import figure_bytes, missing_letters

        with missing_letters() as missing:
            picture = figure_bytes(draw, picture_format)
        letters = sorted(missing)
        if letters:
            shown = " ".join(letters[:_MOST_LETTERS_SHOWN]) + " ..." * (len(letters) > _MOST_LETTERS_SHOWN)
            self.doubt(
                f"picture: no font on this machine has {shown}, so escapes stand for them; install one that does"
            )
        return picture

    def _say(self, note: str) -> None:
        with suppress(OSError):  # nobody reads standard error any more; the result matters
            click.echo(f"Note: {one_line(note)}", err=True)


def _remember_verbose(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and isinstance(context.obj, dict):
        context.obj["verbose"] = True


talk_options = Bundle(
    Talk,
    Option(
        ["-q", "--quiet"], is_flag=True, decides=False,
        help="No progress, and no notes but warnings that numbers may be wrong.",
    ),
    Option(
        ["-v", "--verbose"], is_flag=True, expose_value=False, callback=_remember_verbose,
        help="On an error, the traceback too.",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """The picture that is drawn beside a report; without a path there is none."""

    path: str | None

    @property
    def _format(self) -> str:
        return chosen_format(self.path or "", None, PICTURE_FORMATS, "picture", default=None, option="--plot ")

    def check(self, output: Output, inputs: Sequence[str]) -> None:
        """Raise before any work when it could not be written."""
        from cka_cli.system.atomic_files import check_output

        if self.path is None:
            return
        _ = self._format
        if os.path.realpath(self.path) == os.path.realpath(output.path):
            raise UsageError(f"--plot {self.path}: is also the --output; give them names of their own")
        check_output(self.path, force=output.force, inputs=inputs, option="--plot")

    def write(self, draw: Callable[[], "Figure"], output: Output, talk: Talk) -> None:
        """Write a figure, if it is wanted."""
        from cka_cli.system.atomic_files import write_output

        if self.path is not None:
            write_output(self.path, talk.drawn(draw, self._format), force=output.force, option="--plot")


plot_option = Bundle(
    lambda plot: Plot(plot),
    Option(["--plot"], metavar="FILE", decides=False, help="Draw it too, as FILE.png, .svg or .pdf."),
)  # fmt: skip
