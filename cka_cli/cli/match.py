"""`cka match`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import TYPE_CHECKING

import click

from cka_cli.cli import options, writing
from cka_cli.cli.bundles import Option
from cka_cli.errors import DataError, UsageError
from cka_cli.plan.options import RunOptions

if TYPE_CHECKING:
    from cka_cli.layers.options import ReadOptions
    from cka_cli.layers.selection import SelectedFile
    from cka_cli.plan.planner import Plan


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
    read: "ReadOptions", kinds: options.Kinds, files: tuple[str, ...], report: str | None, threshold: float,
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
    job = _Depths(files, asked, plot, threshold) if is_depth else _Matching(files, asked, plot, report)
    if dry_run:
        writing.write_plans(job.plans(), output.format)
        return
    job.write(output, talk)
    options.end_checkpoint(run)


@dataclass(frozen=True)
class _Matching:
    """Networks compared with each other."""

    files: tuple[str, ...]
    asked: options.Asked
    plot: writing.Plot
    report: str | None

    def plans(self) -> "dict[str, Plan]":
        """Return how it would be done; raise what the work would be refused for."""
        from cka_cli.api.match import plan_match

        return {"": plan_match(self.files, check=self._check, **self.asked)}

    def _check(self, files: "Sequence[SelectedFile]") -> None:
        """Raise where the headers of the files say that there is no such report or picture."""
        depths = [len(file.layers) for file in files]
        is_even = len(set(depths)) == 1
        if self.report == "accuracy" and not is_even:
            found = ", ".join(f"{file.file.path} {depth}" for file, depth in zip(files, depths, strict=True))
            raise DataError(
                f"--report accuracy: needs as many layers in every file (found {found}); "
                "choose layers with --layers or --exclude, or give --report partners"
            )
        if self.plot.path is not None:
            from cka_cli.pictures.heatmap import check_panels

            n_pairs = 1 if is_even else comb(len(files), 2)
            check_panels(n_pairs * len(options.kinds_in(self.asked)))

    def write(self, output: writing.ReportOutput, talk: writing.Talk) -> None:
        """Work it out, and write the picture and the report."""
        from cka_cli.api.match import match
        from cka_cli.report.match import MatchingReport

        with talk.progress() as progress:
            matching = match(self.files, progress=progress, check=self._check, **self.asked)
        talk.notes(matching.comparison)
        if self.plot.path is not None:
            from cka_cli.pictures.match import matching_bytes

            self.plot.write(lambda form: matching_bytes(matching, form), output, talk)
        output.write_report(MatchingReport(matching, self.report, writing.comparison_provenance(matching.comparison)))


@dataclass(frozen=True)
class _Depths:
    """Each network by itself."""

    files: tuple[str, ...]
    asked: options.Asked
    plot: writing.Plot
    threshold: float

    def plans(self) -> "dict[str, Plan]":
        """Return how it would be done, by file; raise what the work would be refused for."""
        self._check()
        return {file: self._plan(file) for file in self.files}

    def _plan(self, file: str) -> "Plan":
        from cka_cli.api.match import plan_depth

        return plan_depth(file, threshold=self.threshold, **self._asked_of(file))

    def _check(self) -> None:
        if self.plot.path is not None:
            from cka_cli.pictures.depth import check_studies

            check_studies(len(self.files) * len(options.kinds_in(self.asked)))

    def _asked_of(self, file: str) -> options.Asked:
        """Return what is asked of one of the files, without the channels of layers that another of them addresses."""
        own, *others = (each.partition("::")[0] + "::" for each in (file, *self.files))
        read = self.asked["read"]
        channels = () if isinstance(read.channels, str) else read.channels or ()
        kept = [
            (glob, axis)
            for glob, axis in channels
            if glob.startswith(own) or not any(glob.startswith(other) for other in others)
        ]
        return {**self.asked, "read": replace(read, channels=tuple(kept))}

    def write(self, output: writing.ReportOutput, talk: writing.Talk) -> None:
        """Work it out, and write the picture and the report."""
        from cka_cli.api.match import study_depth
        from cka_cli.report.match import DepthReport

        self._check()
        for file in self.files[1:]:  # what is wrong with the last is said before the first is worked out
            self._plan(file)
        with talk.progress() as progress:
            depths = [
                study_depth(file, threshold=self.threshold, progress=progress, **self._asked_of(file))
                for file in self.files
            ]
        whole = replace(
            depths[0].comparison,
            matrices=tuple(matrix for each in depths for matrix in each.comparison.matrices),
            files=tuple(file for each in depths for file in each.comparison.files),
            notes=tuple(dict.fromkeys(note for each in depths for note in each.comparison.notes)),
            warnings=tuple(dict.fromkeys(warning for each in depths for warning in each.comparison.warnings)),
        )
        talk.notes(whole)
        studies = [study for each in depths for study in each.studies]
        if self.plot.path is not None:
            from cka_cli.pictures.depth import depth_bytes

            self.plot.write(lambda form: depth_bytes(studies, form), output, talk)
        output.write_report(DepthReport(whole, studies, writing.comparison_provenance(whole)))
