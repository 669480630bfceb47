"""Options that commands share, parsed at the edge: what the library gets has its units and types."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cka_cli.cli.checkpoint import check_checkpoint
from cka_cli.errors import UsageError, one_line

if TYPE_CHECKING:
    from cka_cli.analysis.components import Explanation
    from cka_cli.analysis.reliability.result import Diagnosis
    from cka_cli.layers.examples import Check
    from cka_cli.layers.rows import ReadOptions
    from cka_cli.report import Provenance
    from cka_cli.results.matrix import Comparison

PICTURE_FORMATS = ("png", "svg", "pdf")
# By the end of a name: the formats that may be written under it, the first unless another is typed.
REPORT_FORMATS = {"csv": ("csv", "wide"), "json": ("json",)}
# Options that decide where results go, how they look and how long they take, but no number.
_DECIDE_NOTHING = {
    "output", "force", "report_format", "quiet", "threads", "memory", "dry_run", "checkpoint", "plot", "report",
    "everything", "strict",
}  # fmt: skip
Command = TypeVar("Command", bound=Callable[..., Any])


def _decorate(command: Command, options: list[Callable[[Command], Command]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def measure_options(command: Command) -> Command:
    """Add `--measure` and `--kernel`."""
    return _decorate(
        command,
        [
            click.option(
                "-m", "--measure", "measures", multiple=True, metavar="NAME",
                help="What to compute; repeatable.  [default: cka; all: cka measures]",
            ),
            click.option(
                "-k", "--kernel", "kernels", multiple=True, metavar="SPEC",
                help="Kernel of the Gram matrices, as linear or rbf:sigma=0.4; repeatable.  [default: linear]",
            ),
        ],
    )  # fmt: skip


def read_options(command: Command) -> Command:
    """Add the options that say what is read of every file."""
    return _decorate(
        example_options(command),
        [
            click.option("--layers", multiple=True, metavar="GLOB", help="Layers to take in every file; repeatable."),
            click.option("--exclude", multiple=True, metavar="GLOB", help="Layers to leave out; repeatable."),
        ],
    )


def example_options(command: Command) -> Command:
    """Add the options that say which rows are read of every layer, and how."""
    return _decorate(
        command,
        [
            click.option("--examples", metavar="START:STOP", help="Rows to take; either may be left out."),
            click.option("--sample", type=click.IntRange(1), metavar="N", help="Draw N of the rows."),
            click.option(
                "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of whatever is drawn."
            ),
            click.option("--ids", metavar="DATASET", help="One-axis array of example ids by which rows are aligned."),
            click.option(
                "--pool", type=click.Choice(["flatten", "mean", "max", "positions"]), default="flatten",
                show_default=True, help="How arrays with more than two axes become rows × features.",
            ),
            click.option(
                "--channels", multiple=True, metavar="first|last",
                help="Where the channels are, for --pool; (FILE::)GLOB=last for some.  [default: first on images]",
            ),
            click.option(
                "--nonfinite", type=click.Choice(["error", "drop"]), default="error", show_default=True,
                help="NaN and infinite values: an error, or leave those examples out of every layer.",
            ),
        ],
    )  # fmt: skip


def run_options(command: Command) -> Command:
    """Add the options that say how the work is done."""
    return _decorate(
        command,
        [
            click.option(
                "--batch", type=click.IntRange(4), metavar="N",
                help="The minibatch estimate from batches of N shuffled examples, not the exact value.",
            ),
            click.option("--passes", type=click.IntRange(1), default=1, show_default=True, help="Passes of --batch."),
            click.option(
                "--memory", metavar="SIZE", help="Limit, as 512MiB or 4GB.  [default: half of what is free]"
            ),
            click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads.  [default: all cores]"),
            click.option(
                "--checkpoint", metavar="FILE",
                help="Keep what is done so far in FILE, and go on from it when the run was broken off.",
            ),
            click.option(
                "--precision", type=click.Choice(["auto", "single", "double"]), default="auto", show_default=True,
                help="Of the products; auto is single for large jobs on values of up to 32 bits.",
            ),
        ],
    )  # fmt: skip


def stats_options(command: Command) -> Command:
    """Add the options that ask how far values can be trusted."""
    return _decorate(
        command,
        [
            click.option("--stats", is_flag=True, help="Standard error, chance level and p-value of every cell too."),
            click.option(
                "--permutations", type=click.IntRange(19), metavar="N",
                help="With --stats: count N random pairings of the rows for the p-values.",
            ),
            click.option(
                "--groups", metavar="DATASET",
                help="With --stats: one-axis array of groups of rows that depend on each other.",
            ),
        ],
    )  # fmt: skip


def talk_options(command: Command) -> Command:
    """Add `--quiet` and `--verbose`."""
    return _decorate(
        command,
        [
            click.option(
                "-q", "--quiet", is_flag=True, help="No progress, and no notes but warnings that numbers may be wrong."
            ),
            click.option(
                "-v", "--verbose", is_flag=True, expose_value=False, callback=_remember_verbose,
                help="On an error, the traceback too.",
            ),
        ],
    )  # fmt: skip


def output_options(command: Command) -> Command:
    """Add `--output` and `--force`."""
    return _decorate(
        command,
        [
            click.option(
                "-o", "--output", default="-", metavar="PATH", help="Where the result goes.  [default: standard output]"
            ),
            click.option("-f", "--force", is_flag=True, help="Replace an existing output file."),
        ],
    )


def plot_option(command: Command) -> Command:
    """Add `--plot`."""
    return click.option("--plot", metavar="FILE", help="Draw it too, as FILE.png, .svg or .pdf.")(command)


def check_plot(options: dict[str, Any], inputs: Sequence[str]) -> str | None:
    """Return the picture format of `--plot`, None for no plot. Raise before any work when it could not be written."""
    from cka_cli.system.atomic_files import check_output

    plot = options["plot"]
    if plot is None:
        return None
    suffix = _suffix_of(plot)
    if suffix not in PICTURE_FORMATS:
        raise UsageError(f"--plot {plot}: no such picture format (found '.{suffix}'); name it .png, .svg or .pdf")
    if os.path.realpath(plot) == os.path.realpath(options["output"]):
        raise UsageError(f"--plot {plot}: is also the --output; give them names of their own")
    check_output(plot, force=options["force"], inputs=inputs, option="--plot")
    return suffix


def settle_report(options: dict[str, Any], inputs: Sequence[str]) -> None:
    """Put the format of the report into the options; raise before any work when it could not be written."""
    from cka_cli.system.atomic_files import check_output

    check_output(options["output"], force=options["force"], inputs=inputs)
    options["report_format"] = _format_of_report(options["output"], options["report_format"])


def _format_of_report(output: str, typed: str | None) -> str:
    """Return the format typed, or a table on a terminal, what the name of the output stands for, CSV without a name.

    A name that stands for another format than was typed is refused, and so is one that stands for none.
    """
    suffix = _suffix_of(output)
    if suffix in REPORT_FORMATS:
        if typed is not None and typed not in REPORT_FORMATS[suffix]:
            raise UsageError(f"{output}: the name says {suffix} and --format says {typed}; make them agree")
        return typed or REPORT_FORMATS[suffix][0]
    if typed is not None:
        return typed
    if suffix[:1].isalpha():  # not the digits of a number
        raise UsageError(f"{output}: no such report format (found '.{suffix}'); name it .csv or .json, or say --format")
    return "table" if is_terminal(output) else "csv"


def _suffix_of(path: str) -> str:
    return os.path.splitext(path)[1].lower().removeprefix(".")


def write_report(text: str, options: dict[str, Any]) -> None:
    """Write a report where it goes; on a terminal with every character escaped that could move its cursor."""
    from cka_cli.errors import one_line
    from cka_cli.system.atomic_files import write_output

    if is_terminal(options["output"]) and options["report_format"] != "table":  # a table has its colours
        text = "\n".join(map(one_line, text.split("\n")))
    write_output(options["output"], text.encode(), force=options["force"])


def provenance_of(options: dict[str, Any], **plain: Any) -> "Provenance":
    """Return the command as typed, and the options that decide what is found, as JSON takes them.

    plain : options in canonical form instead of as typed.
    """
    from cka_cli.report import Provenance

    chosen = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if name not in _DECIDE_NOTHING
    }
    return Provenance(["cka", *sys.argv[1:]], chosen | plain)


def screen(output: str) -> dict[str, Any]:
    """Return the width of what a table is printed on, and whether it has colours."""
    import shutil

    on_screen = is_terminal(output)
    width = shutil.get_terminal_size().columns if on_screen else 100_000
    return {"width": width, "colour": on_screen and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"}


def _remember_verbose(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and isinstance(context.obj, dict):
        context.obj["verbose"] = True


def make_read_options(options: dict[str, Any]) -> "ReadOptions":
    """Return what is read of every file, from the options as click gives them."""
    from cka_cli.layers.rows import ReadOptions

    return ReadOptions(
        layers=options.get("layers", ()),
        exclude=options.get("exclude", ()),
        examples=parse_examples(options["examples"]),
        sample=options["sample"],
        seed=options["seed"],
        ids=options["ids"],
        pool=options["pool"],
        channels=parse_channels(options["channels"]),
        nonfinite=options["nonfinite"],
    )


def parse_examples(text: str | None) -> tuple[int | None, int | None]:
    """Return (start, stop) of `START:STOP`, either of which may be left out."""
    if text is None:
        return None, None
    start, colon, stop = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return int(start) if start.strip() else None, int(stop) if stop.strip() else None
    except ValueError:
        raise UsageError(f"--examples {text}: rows are given as START:STOP, such as 0:1000 (found '{text}')") from None


def parse_channels(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return (glob, `first` or `last`) of each `GLOB=last` or `FILE::GLOB=last`; a bare `last` is for all layers."""
    pairs = []
    for text in texts:
        glob, _, axis = text.rpartition("=")
        if axis not in ("first", "last"):
            raise UsageError(
                f"--channels {text}: give first, last, or GLOB=last or FILE::GLOB=last for some of the layers"
            )
        pairs.append((glob or "*", axis))
    return tuple(pairs)


def picture_format_of(output: str, typed: str | None) -> str:
    """Return the picture format typed, or the one that the name of the output stands for; PNG for standard output."""
    suffix = _suffix_of(output)
    if output == "-" or (typed and suffix not in PICTURE_FORMATS):
        return typed or "png"
    if suffix not in PICTURE_FORMATS:
        raise UsageError(
            f"{output}: no such picture format (found '.{suffix}'); name it .png, .svg or .pdf, or say --format"
        )
    if typed and typed != suffix:
        raise UsageError(f"{output}: the name says {suffix} and --format says {typed}; make them agree")
    return suffix


def parse_memory(text: str | None) -> int | None:
    """Return the bytes of a size such as `512MiB` or `1.5GB`; None for none. The unit must be said."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT])(i?)B?\s*", text, re.IGNORECASE)
    if not match or float(match[1]) <= 0:
        raise UsageError(f"--memory {text}: give a size with its unit, as 512MiB or 4GB (found '{text}')")
    n_bytes = float(match[1]) * (1024 if match[3] else 1000) ** " KMGT".index(match[2].upper())
    return int(min(n_bytes, 1 << 60))


def comparison_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return what `compare` and `plan_comparison` take, from the options as click gives them."""
    from cka_cli.plan.options import RunOptions
    from cka_cli.system.memory import n_cores

    return {
        "measures": options["measures"] or ("cka",),
        "kernels": options["kernels"] or ("linear",),
        "read": make_read_options(options),
        "run": RunOptions(
            precision=options["precision"],
            n_batch=options["batch"],
            n_passes=options["passes"],
            memory_bytes=parse_memory(options["memory"]),
            n_threads=options["threads"] or n_cores(),
            stats=options.get("stats", False),
            permutations=options.get("permutations"),
            groups=options.get("groups"),
            checkpoint=options.get("checkpoint"),
        ),
    }


def run_comparison(sources: tuple[str, ...], options: dict[str, Any], check: "Check | None" = None) -> "Comparison":
    """Return the comparison that the arguments and options of `compare` ask for; notes go to standard error.

    check : called with the files before their values are read.
    """
    check_checkpoint(options, sources)
    use_own_threads()
    from cka_cli.api.compare import compare
    from cka_cli.system.progress import shown_progress

    with shown_progress(quiet=options["quiet"]) as progress:
        asked = comparison_options(options)
        comparison = compare(sources[0], sources[1:], progress=progress, check=check, **asked)
    show_notes(comparison, options)
    return comparison


def use_own_threads() -> None:
    """Give each BLAS call one thread, before numpy is imported: the work is divided among threads of our own.

    BLAS threads wait for each other on the short, wide products of tiles, and sums of tiles that are added in a fixed
    order are the same for any number of threads. Until the command ends floating-point flags are ignored, which what
    it does around the library needs too.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ[name] = "1"
    from cka_cli.floating_point import flags_off

    click.get_current_context().with_resource(flags_off())


def show_notes(result: "Comparison | Diagnosis | Explanation", options: dict[str, Any]) -> None:
    """Say what a reader of the result must know, each once, on standard error; with `--quiet` warnings only."""
    for note in dict.fromkeys(result.warnings if options["quiet"] else result.notes):
        show_note(note)


def show_note(note: str) -> None:
    """Say one note, in one line, on standard error."""
    with suppress(OSError):  # nobody reads standard error any more; the result matters
        click.echo(f"Note: {one_line(note)}", err=True)


def is_terminal(output: str) -> bool:
    """Whether the result goes to a person's screen."""
    return output == "-" and sys.stdout.isatty()
