"""`--dry-run`: how the work would be done and what it would cost."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from cka_cli.cli.options import Command

if TYPE_CHECKING:
    from cka_cli.plan.planner import Plan


def dry_run_option(command: Command) -> Command:
    """Add `--dry-run`."""
    return click.option(
        "--dry-run", is_flag=True, help="Print how it would be done and what it would cost; write no file."
    )(command)


def write_plans(plans: "Mapping[str, Plan]", options: dict[str, Any]) -> None:
    """Write plans, by what each is of, for a person, or as JSON where the report would be JSON.

    Always to standard output: a report under the name of the output is not for a plan to replace.
    """
    from cka_cli.report.planned import format_plans
    from cka_cli.system.atomic_files import write_output

    text = format_plans(plans, as_json=options.get("report_format") == "json")
    write_output("-", text.encode(), force=False)
