"""`cka inspect`."""

from typing import Any

import click

from cka_cli.cli.options import output_options, settle_report, talk_options, write_report


@click.command("inspect")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--headers", is_flag=True, help="Read headers only: no search for trouble in the values.")
@output_options
@click.option(
    "--format",
    "report_format",
    type=click.Choice(["csv", "json", "table"]),
    help="[default: table on a terminal, else csv; json for -o *.json]",
)
@talk_options
def inspect_command(files: tuple[str, ...], headers: bool, **options: Any) -> None:
    """List the layers of activation files: shape, dtype, bytes, and trouble seen (NaN, constant features).

    \b
    cka inspect a.h5
    cka inspect runs/*.h5 --headers
    """
    from cka_cli.api.inspect import inspect
    from cka_cli.report.inspect import format_inspection
    from cka_cli.system.progress import shown_progress

    settle_report(options, files)
    with shown_progress(quiet=options["quiet"]) as progress:
        arrays = inspect(files, scan=not headers, progress=progress)
    write_report(format_inspection(arrays, options["report_format"]), options)
