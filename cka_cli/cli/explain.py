"""`cka explain`."""

import click

from cka_cli.cli import options, writing
from cka_cli.options import ReadOptions


@click.command("explain")
@click.argument("x", metavar="X::LAYER")
@click.argument("y", metavar="Y::LAYER")
@click.option(
    "--components", type=click.IntRange(1), default=10, show_default=True, metavar="N",
    help="How many components of each layer, and pairs of them, to list and draw.",
)  # fmt: skip
@options.example_options
@writing.report_options("explain", "Pairs of components as CSV, everything as JSON, or a table.")
@writing.plot_option
@options.memory_option
@writing.talk_options
def explain_command(
    talk: writing.Talk, memory_bytes: int | None, plot: writing.Plot, output: writing.ReportOutput, read: ReadOptions,
    x: str, y: str, components: int,
) -> None:  # fmt: skip
    """Tell which principal components make the linear CKA of two layers, and which do not.

    CKA adds up how well each component of X is aligned with each of Y, weighted by their variances; CCA weighs them
    all alike. One layer each: FILE::LAYER, or a FILE with one layer. The linear kernel only.

    \b
    cka explain a.h5::conv5 b.h5::conv5
    cka explain a.h5::conv1 a.h5::conv8 --components 20 --plot why.pdf
    """
    plot.check(output, (x, y))
    output.check((x, y))
    options.ignore_flags()
    from cka_cli.api.explain import explain
    from cka_cli.report.explain import ExplanationReport

    with talk.progress() as progress:
        explanation = explain(x, y, read=read, memory_bytes=memory_bytes, progress=progress)
    talk.notes(explanation)
    if plot.path is not None:
        from cka_cli.pictures.explain import draw_explained

        plot.write(lambda: draw_explained(explanation, components), output, talk)
    output.write_report(ExplanationReport(explanation, components, writing.provenance()))
