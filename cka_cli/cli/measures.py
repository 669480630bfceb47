"""`cka measures`."""

import click

from cka_cli.cli.output import ReportOutput, Talk, report_options, talk_options


@click.command("measures")
@report_options("measures")
@talk_options
def measures_command(talk: Talk, output: ReportOutput) -> None:
    """List every measure and kernel: formula, range, what it is invariant to, cost and source."""
    output.check(())
    from cka_cli.report.measures import Catalogue

    output.write_report(Catalogue())
