"""`cka compare`."""

from typing import TYPE_CHECKING, Any

import click

from cka_cli.cli.checkpoint import end_checkpoint
from cka_cli.cli.dry_run import dry_run_option, write_plans
from cka_cli.cli.options import (
    comparison_options,
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
    use_own_threads,
    write_report,
)
from cka_cli.errors import UsageError

if TYPE_CHECKING:
    from cka_cli.results.matrix import Comparison


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
@dry_run_option
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
    from cka_cli.specs import parse_kernel, parse_measure

    # A mistyped name or an output in the way is said before anything is read.
    for text in options["measures"]:
        parse_measure(text)
    for text in options["kernels"]:
        parse_kernel(text)
    if options["stats"] and options["report_format"] == "wide":
        raise UsageError("--format wide: has no room for --stats; use --format csv or json")
    settle_report(options, (x, *y))
    use_own_threads()
    if options["report_format"] == "wide":
        from cka_cli.measures.registry import kinds_of
        from cka_cli.report.writing import check_wide

        check_wide(max(len(y), 1) * len(kinds_of(options["measures"] or ["cka"], options["kernels"] or ["linear"])))
    if options["dry_run"]:
        from cka_cli.api.compare import plan_comparison

        write_plans({"": plan_comparison(x, y, **comparison_options(options))}, options)
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


def canonical_names(comparison: "Comparison") -> dict[str, list[str]]:
    """Return the measures and kernels of a comparison in canonical form."""
    return {
        "measures": list(dict.fromkeys(matrix.measure for matrix in comparison.matrices)),
        "kernels": list(dict.fromkeys(matrix.kernel for matrix in comparison.matrices if matrix.kernel)),
    }
