"""`cka diagnose`."""

import click

from cka_cli.cli import options, writing
from cka_cli.cli.bundles import Option
from cka_cli.options import ReadOptions


@click.command("diagnose")
@click.argument("x", metavar="X")
@click.argument("y", metavar="[Y]", required=False)
@click.option("--labels", metavar="DATASET", help="One-axis array of classes.  [default: labels, where there is one]")
@click.option(
    "--all-pairs", is_flag=True, help="Every pair of layers, not only those of one name (X alone: neighbours)."
)
@click.option(
    "--all", "everything", cls=Option, decides=False, is_flag=True,
    help="What is fine too, in the table and in the picture.",
)  # fmt: skip
@click.option(
    "--strict", cls=Option, decides=False, is_flag=True, help="Exit status 1 when something must not be trusted."
)
@writing.plot_option
@options.read_options
@writing.report_options("diagnose")
@options.threads_option
@options.memory_option
@writing.talk_options
def diagnose_command(
    talk: writing.Talk, memory_bytes: int | None, n_threads: int, output: writing.ReportOutput, read: ReadOptions,
    plot: writing.Plot, x: str, y: str | None, labels: str | None, all_pairs: bool, everything: bool, strict: bool,
) -> None:  # fmt: skip
    """Say how far the similarities of X with Y, or of X with itself, can be trusted.

    Looks for few examples, chance, far rows, copies, dead features, classes and components that decide alone. Every
    check has a verdict (fine, look, do not trust), its number, its threshold, and what to do.

    \b
    cka diagnose a.h5 b.h5                        each layer with the one of the same name
    cka diagnose a.h5 b.h5 --labels digit --plot trust.png
    cka diagnose 'a.h5::conv*' --strict           neighbouring layers; for a script
    """
    inputs = [x] if y is None else [x, y]
    plot.check(output, inputs)
    output.check(inputs)
    options.ignore_flags()
    from cka_cli.api.diagnose import diagnose
    from cka_cli.report.diagnose import DiagnosisReport

    with talk.progress() as progress:
        diagnosis = diagnose(
            x, y, read=read, labels=labels, all_pairs=all_pairs, memory_bytes=memory_bytes, n_threads=n_threads,
            progress=progress,
        )  # fmt: skip
    talk.notes(diagnosis)
    if plot.path is not None:
        from cka_cli.pictures.diagnose import draw_diagnosis

        plot.write(lambda: draw_diagnosis(diagnosis, everything=everything), output, talk)
    output.write_report(DiagnosisReport(diagnosis, everything, writing.provenance()))
    if strict and diagnosis.is_distrusted:
        click.get_current_context().exit(1)
