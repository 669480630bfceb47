"""`cka measures`."""

from typing import Any

import click

from cka_cli.cli.options import is_terminal, talk_options


@click.command("measures")
@click.option(
    "--format",
    "report_format",
    type=click.Choice(["csv", "json", "table"]),
    help="[default: table on a terminal, else csv]",
)
@talk_options
def measures_command(report_format: str | None, **options: Any) -> None:
    """List every measure and kernel: formula, range, what it is invariant to, cost and source."""
    from cka_cli.report.catalogue import format_catalogue

    report_format = report_format or ("table" if is_terminal("-") else "csv")
    click.echo(format_catalogue(report_format), nl=False)
