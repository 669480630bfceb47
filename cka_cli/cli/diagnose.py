"""`cka diagnose`."""

from typing import TYPE_CHECKING, Any

import click

from cka_cli.cli.letters import noting_missing_letters
from cka_cli.cli.options import (
    check_plot,
    make_read_options,
    output_options,
    parse_memory,
    plot_option,
    provenance_of,
    read_options,
    screen,
    settle_report,
    show_notes,
    talk_options,
    use_own_threads,
    write_report,
)

if TYPE_CHECKING:
    from cka_cli.analysis.reliability.result import Diagnosis


@click.command("diagnose")
@click.argument("x", metavar="X")
@click.argument("y", metavar="[Y]", required=False)
@click.option("--labels", metavar="DATASET", help="One-axis array of classes.  [default: labels, where there is one]")
@click.option(
    "--all-pairs", is_flag=True, help="Every pair of layers, not only those of one name (X alone: neighbours)."
)
@click.option("--all", "everything", is_flag=True, help="What is fine too, in the table and in the picture.")
@click.option("--strict", is_flag=True, help="Exit status 1 when something must not be trusted.")
@plot_option
@read_options
@output_options
@click.option(
    "--format", "report_format", type=click.Choice(["csv", "json", "table"]),
    help="[default: table on a terminal, else csv; json for -o *.json]",
)  # fmt: skip
@click.option("--memory", metavar="SIZE", help="Limit, as 512MiB or 4GB.  [default: half of what is free]")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads.  [default: all cores]")
@talk_options
@click.pass_context
def diagnose_command(context: click.Context, /, x: str, y: str | None, **options: Any) -> None:
    """Say how far the similarities of X with Y, or of X with itself, can be trusted.

    Looks for few examples, chance, far rows, copies, dead features, classes and components that decide alone. Every
    check has a verdict (fine, look, do not trust), its number, its threshold, and what to do.

    \b
    cka diagnose a.h5 b.h5                        each layer with the one of the same name
    cka diagnose a.h5 b.h5 --labels digit --plot trust.png
    cka diagnose 'a.h5::conv*' --strict           neighbouring layers; for a script
    """
    from cka_cli.system.atomic_files import write_output

    inputs = [x] if y is None else [x, y]
    picture_format = check_plot(options, inputs)
    settle_report(options, inputs)
    diagnosis = _run(x, y, options)
    if picture_format is not None:
        from cka_cli.pictures.diagnose import diagnosis_bytes

        with noting_missing_letters(options):
            picture = diagnosis_bytes(diagnosis, picture_format, everything=options["everything"])
        write_output(options["plot"], picture, force=options["force"], option="--plot")
    write_report(_report(diagnosis, options), options)
    if options["strict"] and diagnosis.is_distrusted:
        context.exit(1)


def _run(x: str, y: str | None, options: dict[str, Any]) -> "Diagnosis":
    use_own_threads()
    from cka_cli.api.diagnose import diagnose
    from cka_cli.system.memory import n_cores
    from cka_cli.system.progress import shown_progress

    with shown_progress(quiet=options["quiet"]) as progress:
        diagnosis = diagnose(
            x,
            y,
            read=make_read_options(options),
            labels=options["labels"],
            all_pairs=options["all_pairs"],
            memory_bytes=parse_memory(options["memory"]),
            n_threads=options["threads"] or n_cores(),
            progress=progress,
        )
    show_notes(diagnosis, options)
    return diagnosis


def _report(diagnosis: "Diagnosis", options: dict[str, Any]) -> str:
    from cka_cli.report.diagnose import format_diagnosis, format_findings, format_summary

    report_format = options["report_format"]
    if report_format == "csv":
        return format_findings(diagnosis)
    if report_format == "json":
        return format_diagnosis(diagnosis, provenance_of(options))
    return format_summary(diagnosis, everything=options["everything"], **screen(options["output"]))
