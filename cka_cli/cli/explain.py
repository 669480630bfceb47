"""`cka explain`."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from cka_cli.cli.options import (
    PICTURE_FORMATS,
    example_options,
    is_terminal,
    make_read_options,
    output_options,
    parse_memory,
    show_note,
    talk_options,
    use_own_threads,
)
from cka_cli.errors import UsageError

if TYPE_CHECKING:
    from cka_cli.components import Explanation

# Options that change no number.
_LEFT_OUT = {"output", "force", "report_format", "plot", "quiet", "memory"}


@click.command("explain")
@click.argument("x", metavar="X::LAYER")
@click.argument("y", metavar="Y::LAYER")
@click.option(
    "--components", type=click.IntRange(1), default=10, show_default=True, metavar="N",
    help="How many components of each layer, and pairs of them, to list and draw.",
)  # fmt: skip
@example_options
@output_options
@click.option(
    "--format", "report_format", type=click.Choice(["csv", "json", "table"]),
    help="Pairs of components as CSV, everything as JSON, or a table.  "
    "[default: table on a terminal, else csv; json for -o *.json]",
)  # fmt: skip
@click.option("--plot", metavar="FILE", help="Draw it too, as FILE.png, .svg or .pdf.")
@click.option("--memory", metavar="SIZE", help="Limit, as 512MiB or 4GB.  [default: half of what is free]")
@talk_options
def explain_command(x: str, y: str, **options: Any) -> None:
    """Tell which principal components make the linear CKA of two layers, and which do not.

    CKA adds up how well each component of X is aligned with each of Y, weighted by their variances; CCA weighs them
    all alike. One layer each: FILE::LAYER, or a FILE with one layer. The linear kernel only.

    \b
    cka explain a.h5::conv5 b.h5::conv5
    cka explain a.h5::conv1 a.h5::conv8 --components 20 --plot why.pdf
    """
    from cka_cli.outputs import check_output, write_output

    plot, memory_bytes = options["plot"], parse_memory(options["memory"])
    plot_format = None if plot is None else _plot_format(plot, options["output"])
    check_output(options["output"], force=options["force"], inputs=(x, y))
    if plot is not None:
        check_output(plot, force=options["force"], inputs=(x, y), option="--plot")
    use_own_threads()
    from cka_cli.explanation import explain
    from cka_cli.progress import shown_progress

    with shown_progress(quiet=options["quiet"]) as progress:
        explanation = explain(x, y, read=make_read_options(options), memory_bytes=memory_bytes, progress=progress)
    for note in () if options["quiet"] else explanation.notes:
        show_note(note)
    if plot_format is not None:
        from cka_cli.figures.explained import explained_bytes

        picture = explained_bytes(explanation, options["components"], plot_format)
        write_output(plot, picture, force=options["force"], option="--plot")
    write_output(options["output"], _report(explanation, options).encode(), force=options["force"])


def _plot_format(plot: str, output: str) -> str:
    """Return the picture format that the name of a plot stands for."""
    suffix = os.path.splitext(plot)[1].lower().removeprefix(".")
    if suffix not in PICTURE_FORMATS:
        raise UsageError(f"--plot {plot}: no such picture format (found '.{suffix}'); name it .png, .svg or .pdf")
    if os.path.realpath(plot) == os.path.realpath(output):
        raise UsageError(f"--plot {plot}: is also the --output; give them names of their own")
    return suffix


def _report(explanation: "Explanation", options: dict[str, Any]) -> str:
    from cka_cli.report import Provenance, explained

    is_json = options["output"].endswith(".json")
    report_format = options["report_format"] or (
        "table" if is_terminal(options["output"]) else "json" if is_json else "csv"
    )
    n_components = options["components"]
    if report_format == "table":
        return explained.format_table(explanation, n_components)
    if report_format == "csv":
        return explained.format_csv(explanation, n_components)
    plain = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if name not in _LEFT_OUT
    }
    return explained.format_json(explanation, n_components, Provenance(["cka", *sys.argv[1:]], plain))
