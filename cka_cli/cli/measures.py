"""`cka measures`."""

from typing import Any

import click

from cka_cli.cli.options import output_options, settle_report, talk_options, write_report


@click.command("measures")
@output_options
@click.option(
    "--format",
    "report_format",
    type=click.Choice(["csv", "json", "table"]),
    help="[default: table on a terminal, else csv; json for -o *.json]",
)
@talk_options
def measures_command(**options: Any) -> None:
    """List every measure and kernel: formula, range, what it is invariant to, cost and source."""
    settle_report(options, ())
    from cka_cli.report.measures import format_catalogue

    write_report(format_catalogue(options["report_format"]), options)
