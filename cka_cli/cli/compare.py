"""`cka compare`."""

from typing import TYPE_CHECKING

import click

from cka_cli.cli.options import (
    Asked,
    Kinds,
    check_checkpoint,
    dry_run_option,
    end_checkpoint,
    ignore_flags,
    kind_options,
    kinds_in,
    read_options,
    run_and_stats_options,
)
from cka_cli.cli.output import (
    Output,
    ReportOutput,
    Talk,
    all_formats,
    comparison_provenance,
    report_options,
    talk_options,
    write_plans,
)
from cka_cli.plan.options import RunOptions

if TYPE_CHECKING:
    from cka_cli.layers.examples import Check
    from cka_cli.layers.options import ReadOptions
    from cka_cli.results.matrix import Comparison


@click.command("compare")
@click.argument("x", metavar="X")
@click.argument("y", metavar="[Y ...]", nargs=-1)
@kind_options
@read_options
@report_options("compare", all_formats("compare"))
@dry_run_option
@run_and_stats_options
@talk_options
def compare_command(
    talk: Talk, run: RunOptions, dry_run: bool, output: ReportOutput, read: "ReadOptions", kinds: Kinds,
    x: str, y: tuple[str, ...],
) -> None:  # fmt: skip
    """Compare the layers of X with those of Y, or with each other when X is alone.

    \b
    cka compare a.h5 b.h5                               linear CKA of every pair of layers
    cka compare a.h5 b.h5 -m cka-debiased -k rbf        debiased, Gaussian kernel
    cka compare 'a.h5::conv*' b.h5 -m cka -m cca-r2 -o result.csv
    """
    asked = kinds.asked(read, run)
    output.check((x, *y))
    ignore_flags()
    if output.format == "wide":
        from cka_cli.report.compare import check_wide

        check_wide(max(len(y), 1) * len(kinds_in(asked)), with_statistics=run.stats)
    if dry_run:
        from cka_cli.api.compare import plan_comparison

        write_plans({"": plan_comparison(x, y, **asked)}, output.format)
        return
    comparison = run_comparison((x, *y), asked, talk, output)
    from cka_cli.report.compare import ComparisonReport

    output.write_report(ComparisonReport(comparison, comparison_provenance(comparison)))
    end_checkpoint(run)


def run_comparison(
    sources: tuple[str, ...], asked: Asked, talk: Talk, output: Output, check: "Check | None" = None
) -> "Comparison":
    """Return the comparison that is asked for; notes go to standard error.

    check : called with the files before their values are read.
    """
    check_checkpoint(asked["run"], (*sources, output.path))
    from cka_cli.api.compare import compare

    with talk.progress() as progress:
        comparison = compare(sources[0], sources[1:], progress=progress, check=check, **asked)
    talk.notes(comparison)
    return comparison
