"""`cka compare`."""

from typing import TYPE_CHECKING

import click

from cka_cli.cli import options, writing
from cka_cli.options import ReadOptions, RunOptions

if TYPE_CHECKING:
    from cka_cli.api.compare import Asked
    from cka_cli.layers.examples import Check
    from cka_cli.results.matrix import Comparison


@click.command("compare")
@click.argument("x", metavar="X")
@click.argument("y", metavar="[Y ...]", nargs=-1)
@options.kind_options
@options.read_options
@writing.report_options("compare", writing.all_formats("compare"))
@options.dry_run_option
@options.run_and_stats_options
@writing.talk_options
def compare_command(
    talk: writing.Talk, run: RunOptions, dry_run: bool, output: writing.ReportOutput, read: ReadOptions,
    kinds: options.Kinds, x: str, y: tuple[str, ...],
) -> None:  # fmt: skip
    """Compare the layers of X with those of Y, or with each other when X is alone.

    \b
    cka compare a.h5 b.h5                               linear CKA of every pair of layers
    cka compare a.h5 b.h5 -m cka-debiased -k rbf        debiased, Gaussian kernel
    cka compare 'a.h5::conv*' b.h5 -m cka -m cca-r2 -o result.csv
    """
    asked = kinds.asked(read, run)
    output.check((x, *y))
    options.ignore_flags()
    from cka_cli.report.compare import ComparisonReport, check_wide

    if output.format == "wide":
        check_wide(max(len(y), 1) * len(options.kinds_in(asked)), with_statistics=run.stats)
    if dry_run:
        from cka_cli.api.compare import plan_comparison

        writing.write_plans({"": plan_comparison(x, y, **asked)}, output.format)
        return
    comparison = run_comparison((x, *y), asked, talk, output)
    output.write_report(ComparisonReport(comparison, writing.comparison_provenance(comparison)))
    options.end_checkpoint(run)


def run_comparison(
    sources: tuple[str, ...], asked: "Asked", talk: writing.Talk, output: writing.Output,
    check: "Check | None" = None,
) -> "Comparison":  # fmt: skip
    """Return the comparison that is asked for; notes go to standard error.

    check : called with the files before their values are read.
    """
    options.check_checkpoint(asked["run"], (*sources, output.path))
    from cka_cli.api.compare import compare

    with talk.progress() as progress:
        comparison = compare(sources[0], sources[1:], progress=progress, check=check, **asked)
    talk.notes(comparison)
    return comparison
