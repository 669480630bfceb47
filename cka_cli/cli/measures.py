"""`cka measures`."""

import click

from cka_cli.cli import writing


@click.command("measures")
@writing.report_options("measures")
@writing.talk_options
def measures_command(talk: writing.Talk, output: writing.ReportOutput) -> None:
    """List every measure and kernel: formula, range, what it is invariant to, cost and source."""
    output.check(())
    from cka_cli.report.measures import Catalogue

    output.write_report(Catalogue())
