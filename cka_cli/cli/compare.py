"""`cka compare`."""

from typing import TYPE_CHECKING, Any

import click

from cka_cli.cli.options import (
    end_checkpoint,
    measure_options,
    output_options,
    provenance_of,
    read_options,
    run_comparison,
    run_options,
    screen,
    settle_report,
    stats_options,
    talk_options,
    write_report,
)
from cka_cli.errors import UsageError

if TYPE_CHECKING:
    from cka_cli.matrix import Comparison


@click.command("compare")
@click.argument("x", metavar="X")
@click.argument("y", metavar="[Y ...]", nargs=-1)
@measure_options
@read_options
@output_options
@click.option(
    "--format", "report_format", type=click.Choice(["csv", "wide", "json", "table"]),
    help="Tidy CSV, wide CSV, JSON or a table.  [default: table on a terminal, else csv; json for -o *.json]",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print how it would be done and what it would cost, and stop.")
@stats_options
@run_options
@talk_options
def compare_command(x: str, y: tuple[str, ...], **options: Any) -> None:
    """Compare the layers of X with those of Y, or with each other when X is alone.

    \b
    cka compare a.h5 b.h5                               linear CKA of every pair of layers
    cka compare a.h5 b.h5 -m cka-debiased -k rbf        debiased, Gaussian kernel
    cka compare 'a.h5::conv*' b.h5 -m cka -m cca-r2 -o result.csv
    """
    from cka_cli.names import parse_kernel, parse_measure

    # A mistyped name or an output in the way is said before anything is read.
    for text in options["measures"]:
        parse_measure(text)
    for text in options["kernels"]:
        parse_kernel(text)
    if options["stats"] and options["report_format"] == "wide":
        raise UsageError("--format wide: has no room for --stats; use --format csv or json")
    settle_report(options, (x, *y))
    if options["dry_run"]:
        _print_plan((x, *y), options)
        return
    comparison = run_comparison((x, *y), options)
    write_report(_report(comparison, options), options)
    end_checkpoint(options)


def _report(comparison: "Comparison", options: dict[str, Any]) -> str:
    report_format = options["report_format"]
    if report_format == "table":
        from cka_cli.report.terminal import format_table

        return format_table(comparison, **screen(options["output"]))
    from cka_cli import report

    if report_format == "json":
        return report.format_json(comparison, provenance_of(options, **canonical_names(comparison)))
    return report.format_wide(comparison) if report_format == "wide" else report.format_tidy(comparison)


def _print_plan(sources: tuple[str, ...], options: dict[str, Any]) -> None:
    from cka_cli.cli.options import comparison_options
    from cka_cli.comparison import plan_comparison
    from cka_cli.outputs import write_output
    from cka_cli.report.planned import format_plan

    plan = plan_comparison(sources[0], sources[1:], **comparison_options(options))
    text = format_plan(plan, as_json=options["report_format"] == "json")
    write_output(options["output"], text.encode(), force=options["force"])


def canonical_names(comparison: "Comparison") -> dict[str, list[str]]:
    """Return the measures and kernels of a comparison in canonical form."""
    return {
        "measures": list(dict.fromkeys(matrix.measure for matrix in comparison.matrices)),
        "kernels": list(dict.fromkeys(matrix.kernel for matrix in comparison.matrices if matrix.kernel)),
    }
