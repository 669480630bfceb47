"""`cka match`."""

from collections.abc import Sequence
from math import comb
from typing import TYPE_CHECKING

import click

from cka_cli.cli import options, writing
from cka_cli.cli.bundles import Option
from cka_cli.errors import DataError, UsageError
from cka_cli.options import ReadOptions, RunOptions

if TYPE_CHECKING:
    from cka_cli.api.compare import Asked
    from cka_cli.layers.selection import SelectedFile


@click.command("match")
@click.argument("files", metavar="X [Y ...]", nargs=-1, required=True)
@options.kind_options
@options.read_options
@writing.report_options("match", "One table, everything, or tables.")
@click.option(
    "--report", cls=Option, decides=False, type=click.Choice(["accuracy", "partners", "depth"]),
    help="What the CSV holds.  [default: accuracy; partners where files differ in depth; depth of one file]",
)  # fmt: skip
@writing.plot_option
@click.option(
    "--threshold", type=float, default=0.95, show_default=True, metavar="VALUE",
    help="Similarity to the last layer from which on a layer adds nothing.",
)  # fmt: skip
@options.dry_run_option
@options.run_options
@writing.talk_options
def match_command(
    talk: writing.Talk, run: RunOptions, dry_run: bool, plot: writing.Plot, output: writing.ReportOutput,
    read: ReadOptions, kinds: options.Kinds, files: tuple[str, ...], report: str | None, threshold: float,
) -> None:  # fmt: skip
    """Find which layer of one network corresponds to which of another, and how many each measure identifies.

    Of one network alone: what its depth adds, layer by layer.

    \b
    cka match a.h5 b.h5                              the partner of every layer
    cka match runs/*.h5 -m cka -m svcca-r2           how many layers each measure identifies
    cka match deep.h5 --exclude logits --plot d.png  which layers add nothing
    """
    plot.check(output, files)
    output.check(files)
    options.check_checkpoint(run, (*files, output.path, plot.path))
    options.ignore_flags()
    is_depth = len(files) == 1 or report == "depth"
    if len(files) == 1 and report in ("accuracy", "partners"):
        raise UsageError(f"--report {report}: needs two files or more (found 1); give another file")
    if is_depth and len(files) > 1 and run.checkpoint is not None:
        raise UsageError("--checkpoint: is of one run; with --report depth give one file at a time")
    asked = kinds.asked(read, run)
    if is_depth:
        _study_depths(files, asked, threshold, plot, output, talk, dry_run=dry_run)
    else:
        _match(files, asked, report, plot, output, talk, dry_run=dry_run)
    if not dry_run:
        options.end_checkpoint(run)


def _match(
    files: tuple[str, ...], asked: "Asked", report: str | None, plot: writing.Plot, output: writing.ReportOutput,
    talk: writing.Talk, *, dry_run: bool,
) -> None:  # fmt: skip
    """Compare networks with each other, and write the picture and the report."""
    from cka_cli.api.match import match, plan_match
    from cka_cli.report.match import MatchingReport

    def check(files: "Sequence[SelectedFile]") -> None:
        """Raise where the headers of the files say that there is no such report or picture."""
        depths = [len(file.layers) for file in files]
        is_even = len(set(depths)) == 1
        if report == "accuracy" and not is_even:
            found = ", ".join(f"{file.file.path} {depth}" for file, depth in zip(files, depths, strict=True))
            raise DataError(
                f"--report accuracy: needs as many layers in every file (found {found}); "
                "choose layers with --layers or --exclude, or give --report partners"
            )
        if plot.path is not None:
            from cka_cli.pictures.heatmap import check_panels

            check_panels((1 if is_even else comb(len(files), 2)) * len(options.kinds_in(asked)))

    if dry_run:
        writing.write_plans({"": plan_match(files, check=check, **asked)}, output.format)
        return
    with talk.progress() as progress:
        matching = match(files, progress=progress, check=check, **asked)
    talk.notes(matching.comparison)
    if plot.path is not None:
        from cka_cli.pictures.match import draw_matching

        plot.write(lambda: draw_matching(matching), output, talk)
    output.write_report(MatchingReport(matching, report, writing.comparison_provenance(matching.comparison)))


def _study_depths(
    files: tuple[str, ...], asked: "Asked", threshold: float, plot: writing.Plot, output: writing.ReportOutput,
    talk: writing.Talk, *, dry_run: bool,
) -> None:  # fmt: skip
    """Study each network by itself, and write the picture and the report."""
    from cka_cli.api.match import plan_depths, study_depths
    from cka_cli.report.match import DepthReport

    if plot.path is not None:
        from cka_cli.pictures.depth import check_studies

        check_studies(len(files) * len(options.kinds_in(asked)))
    if dry_run:
        writing.write_plans(plan_depths(files, threshold, **asked), output.format)
        return
    with talk.progress() as progress:
        depth = study_depths(files, threshold, progress, **asked)
    talk.notes(depth.comparison)
    if plot.path is not None:
        from cka_cli.pictures.depth import draw_depth

        plot.write(lambda: draw_depth(depth.studies), output, talk)
    output.write_report(DepthReport(depth.comparison, depth.studies, writing.comparison_provenance(depth.comparison)))
