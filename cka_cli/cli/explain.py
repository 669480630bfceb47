"""`cka explain`."""

from typing import TYPE_CHECKING, Any

import click

from cka_cli.cli.letters import noting_missing_letters
from cka_cli.cli.options import (
    check_plot,
    example_options,
    make_read_options,
    output_options,
    parse_memory,
    plot_option,
    provenance_of,
    settle_report,
    show_notes,
    talk_options,
    use_own_threads,
    write_report,
)

if TYPE_CHECKING:
    from cka_cli.analysis.components import Explanation


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
@plot_option
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
    from cka_cli.system.atomic_files import write_output

    memory_bytes = parse_memory(options["memory"])
    plot_format = check_plot(options, (x, y))
    settle_report(options, (x, y))
    use_own_threads()
    from cka_cli.api.explain import explain
    from cka_cli.system.progress import shown_progress

    with shown_progress(quiet=options["quiet"]) as progress:
        explanation = explain(x, y, read=make_read_options(options), memory_bytes=memory_bytes, progress=progress)
    show_notes(explanation, options)
    if plot_format is not None:
        from cka_cli.pictures.explain import explained_bytes

        with noting_missing_letters(options):
            picture = explained_bytes(explanation, options["components"], plot_format)
        write_output(options["plot"], picture, force=options["force"], option="--plot")
    write_report(_report(explanation, options), options)


def _report(explanation: "Explanation", options: dict[str, Any]) -> str:
    from cka_cli.report import explain as explained

    report_format, n_components = options["report_format"], options["components"]
    if report_format == "table":
        return explained.format_table(explanation, n_components)
    if report_format == "csv":
        return explained.format_csv(explanation, n_components)
    return explained.format_json(explanation, n_components, provenance_of(options))
