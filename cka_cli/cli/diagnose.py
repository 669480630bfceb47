"""`cka diagnose`."""

from typing import TYPE_CHECKING

import click

from cka_cli.cli.bundles import Option
from cka_cli.cli.options import ignore_flags, memory_option, read_options, threads_option
from cka_cli.cli.output import Plot, ReportOutput, Talk, plot_option, provenance, report_options, talk_options

if TYPE_CHECKING:
    from cka_cli.layers.options import ReadOptions


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
@plot_option
@read_options
@report_options("diagnose")
@threads_option
@memory_option
@talk_options
def diagnose_command(
    talk: Talk, memory_bytes: int | None, n_threads: int, output: ReportOutput, read: "ReadOptions", plot: Plot,
    x: str, y: str | None, labels: str | None, all_pairs: bool, everything: bool, strict: bool,
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
    ignore_flags()
    from cka_cli.api.diagnose import diagnose
    from cka_cli.report.diagnose import DiagnosisReport

    with talk.progress() as progress:
        diagnosis = diagnose(
            x, y, read=read, labels=labels, all_pairs=all_pairs, memory_bytes=memory_bytes, n_threads=n_threads,
            progress=progress,
        )  # fmt: skip
    talk.notes(diagnosis)

    def draw(picture_format: str) -> bytes:
        from cka_cli.pictures.diagnose import diagnosis_bytes

        return diagnosis_bytes(diagnosis, picture_format, everything=everything)

    plot.write(draw, output, talk)
    output.write_report(DiagnosisReport(diagnosis, everything, provenance()))
    if strict and diagnosis.is_distrusted:
        click.get_current_context().exit(1)
