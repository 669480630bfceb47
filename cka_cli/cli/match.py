"""`cka match`."""

from math import comb
from typing import TYPE_CHECKING, Any

import click

from cka_cli.cli.checkpoint import check_checkpoint, end_checkpoint
from cka_cli.cli.compare import canonical_names
from cka_cli.cli.dry_run import dry_run_option, write_plans
from cka_cli.cli.letters import noting_missing_letters
from cka_cli.cli.options import (
    check_plot,
    comparison_options,
    measure_options,
    output_options,
    plot_option,
    provenance_of,
    read_options,
    run_options,
    screen,
    settle_report,
    show_notes,
    talk_options,
    use_own_threads,
    write_report,
)
from cka_cli.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cka_cli.analysis.depth import DepthStudy
    from cka_cli.api.match import Matching
    from cka_cli.layers.examples import Check
    from cka_cli.layers.selection import SelectedFile
    from cka_cli.results.matrix import Comparison


@click.command("match")
@click.argument("files", metavar="X [Y ...]", nargs=-1, required=True)
@measure_options
@read_options
@output_options
@click.option(
    "--format",
    "report_format",
    type=click.Choice(["csv", "json", "table"]),
    help="One table, everything, or tables.  [default: table on a terminal, else csv; json for -o *.json]",
)
@click.option(
    "--report",
    type=click.Choice(["accuracy", "partners", "depth"]),
    help="What the CSV holds.  [default: accuracy; partners where files differ in depth; depth of one file]",
)
@plot_option
@click.option(
    "--threshold",
    type=float,
    default=0.95,
    show_default=True,
    metavar="VALUE",
    help="Similarity to the last layer from which on a layer adds nothing.",
)
@dry_run_option
@run_options
@talk_options
def match_command(files: tuple[str, ...], **options: Any) -> None:
    """Find which layer of one network corresponds to which of another, and how many each measure identifies.

    Of one network alone: what its depth adds, layer by layer.

    \b
    cka match a.h5 b.h5                              the partner of every layer
    cka match runs/*.h5 -m cka -m svcca-r2           how many layers each measure identifies
    cka match deep.h5 --exclude logits --plot d.png  which layers add nothing
    """  # fmt: skip
    from cka_cli.specs import parse_kernel, parse_measure
    from cka_cli.system.atomic_files import write_output

    # A mistyped name or an output in the way is said before anything is read.
    for text in options["measures"]:
        parse_measure(text)
    for text in options["kernels"]:
        parse_kernel(text)
    picture_format = check_plot(options, files)
    settle_report(options, files)
    check_checkpoint(options, files)
    use_own_threads()
    is_depth = len(files) == 1 or options["report"] == "depth"
    if len(files) == 1 and options["report"] in ("accuracy", "partners"):
        raise UsageError(f"--report {options['report']}: needs two files or more (found 1); give another file")
    if is_depth and len(files) > 1 and options["checkpoint"] is not None:
        raise UsageError("--checkpoint: is of one run; with --report depth give one file at a time")
    if options["dry_run"]:
        _write_plans(files, options, is_depth=is_depth)
        return
    report, picture = (_of_depth if is_depth else _of_matching)(files, options, picture_format)
    if picture is not None:
        write_output(options["plot"], picture, force=options["force"], option="--plot")
    write_report(report, options)
    end_checkpoint(options)


def _write_plans(files: tuple[str, ...], options: dict[str, Any], *, is_depth: bool) -> None:
    """Write how it would be done, and refuse what the work would be refused for."""
    from cka_cli.api.match import plan_depth, plan_match

    if is_depth:
        _check_studies(files, options)
        plans = {
            file: plan_depth(file, threshold=options["threshold"], **_asked_of(file, files, options)) for file in files
        }
    else:
        plans = {"": plan_match(files, check=_checked(options), **comparison_options(options))}
    write_plans(plans, options)


def _asked_of(file: str, files: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return what is asked of one of several files, without the channels of layers that another of them addresses."""
    own, *others = (each.partition("::")[0] + "::" for each in (file, *files))
    channels = [text for text in options["channels"]
                if text.startswith(own) or not any(text.startswith(other) for other in others)]  # fmt: skip
    return comparison_options(options | {"channels": tuple(channels)})


def _checked(options: dict[str, Any]) -> "Check":
    """Return what must be so of the files, by their headers, for the report and the picture that are asked for."""

    def check(files: "Sequence[SelectedFile]") -> None:
        depths = [len(file.layers) for file in files]
        is_even = len(set(depths)) == 1
        if options["report"] == "accuracy" and not is_even:
            found = ", ".join(f"{file.file.path} {depth}" for file, depth in zip(files, depths, strict=True))
            raise DataError(
                f"--report accuracy: needs as many layers in every file (found {found}); "
                "choose layers with --layers or --exclude, or give --report partners"
            )
        if options["plot"] is not None:
            from cka_cli.pictures.heatmap import check_panels

            n_pairs = 1 if is_even else comb(len(files), 2)
            check_panels(n_pairs * _n_kinds(options))

    return check


def _n_kinds(options: dict[str, Any]) -> int:
    from cka_cli.measures.registry import kinds_of

    return len(kinds_of(options["measures"] or ["cka"], options["kernels"] or ["linear"]))


def _check_studies(files: tuple[str, ...], options: dict[str, Any]) -> None:
    if options["plot"] is not None:
        from cka_cli.pictures.depth import check_studies

        check_studies(len(files) * _n_kinds(options))


def _of_matching(
    files: tuple[str, ...], options: dict[str, Any], picture_format: str | None
) -> tuple[str, bytes | None]:  # fmt: skip
    """Return the report and the picture of networks compared with each other."""
    from cka_cli.api.match import match
    from cka_cli.system.progress import shown_progress

    with shown_progress(quiet=options["quiet"]) as progress:
        matching = match(files, progress=progress, check=_checked(options), **comparison_options(options))
    show_notes(matching.comparison, options)
    if picture_format is None:
        return _matching_report(matching, options), None
    with noting_missing_letters(options):
        picture = _matching_picture(matching, picture_format)
    return _matching_report(matching, options), picture


def _matching_report(matching: "Matching", options: dict[str, Any]) -> str:
    report_format = options["report_format"]
    comparison, identifications = matching.comparison, matching.identifications
    if report_format == "table":
        from cka_cli.report.match_table import format_matching

        parts = (identifications, matching.correspondences, matching.matrices)
        return format_matching(*parts, report=options["report"], **screen(options["output"]))
    from cka_cli.report import match as matched

    if report_format == "json":
        provenance = provenance_of(options, **canonical_names(comparison))
        return matched.format_matching_json(comparison, matching.correspondences, identifications, provenance)
    if options["report"] == "partners" or not identifications:
        return matched.format_partners(matching.correspondences)
    return matched.format_accuracies(identifications)


def _matching_picture(matching: "Matching", picture_format: str) -> bytes:
    """Draw the mean over all pairs of equally deep networks, or each pair of files with the monotone path."""
    from itertools import combinations, permutations

    from cka_cli.api.match import mean_matrices
    from cka_cli.pictures.heatmap import HeatmapStyle, heatmap_bytes

    n_files, identifications = len(matching.comparison.files), matching.identifications
    captions = [
        f"{100 * each.accuracy:.1f}{'' if each.std_error is None else f' ± {100 * each.std_error:.1f}'} %"
        for each in identifications
    ]
    if identifications and n_files > 2:
        title = f"mean of {n_files * (n_files - 1)} ordered pairs of {n_files} networks; % of layers identified"
        style = HeatmapStyle(mark_best=True, title=title)
        return heatmap_bytes(mean_matrices(matching), style, picture_format, captions=captions)
    pairs = list(permutations(range(n_files), 2))
    n_each = len(matching.matrices) // len(pairs)
    shown = [pairs.index(pair) * n_each + kind for pair in combinations(range(n_files), 2) for kind in range(n_each)]
    paths = [] if identifications else [matching.correspondences[place].path for place in shown]
    captions = [f"{caption} identified" for caption in captions]
    matrices = [matching.matrices[place] for place in shown]
    return heatmap_bytes(matrices, HeatmapStyle(mark_best=True), picture_format, captions=captions, paths=paths)


def _of_depth(
    files: tuple[str, ...], options: dict[str, Any], picture_format: str | None
) -> tuple[str, bytes | None]:  # fmt: skip
    """Return the report and the picture of each network by itself."""
    from dataclasses import replace

    from cka_cli.api.match import plan_depth, study_depth
    from cka_cli.system.progress import shown_progress

    _check_studies(files, options)
    for file in files[1:]:  # what is wrong with the last is said before the first is worked out
        plan_depth(file, threshold=options["threshold"], **_asked_of(file, files, options))
    with shown_progress(quiet=options["quiet"]) as progress:
        depths = [
            study_depth(file, threshold=options["threshold"], progress=progress, **_asked_of(file, files, options))
            for file in files
        ]
    whole = replace(
        depths[0].comparison,
        matrices=tuple(matrix for each in depths for matrix in each.comparison.matrices),
        files=tuple(file for each in depths for file in each.comparison.files),
        notes=tuple(dict.fromkeys(note for each in depths for note in each.comparison.notes)),
        warnings=tuple(dict.fromkeys(warning for each in depths for warning in each.comparison.warnings)),
    )
    show_notes(whole, options)
    studies = [study for each in depths for study in each.studies]
    if picture_format is None:
        return _depth_report(whole, studies, options), None
    from cka_cli.pictures.depth import depth_bytes

    with noting_missing_letters(options):
        picture = depth_bytes(studies, picture_format)
    return _depth_report(whole, studies, options), picture


def _depth_report(comparison: "Comparison", studies: "list[DepthStudy]", options: dict[str, Any]) -> str:
    report_format = options["report_format"]
    if report_format == "table":
        from cka_cli.report.match_table import format_depth

        return format_depth(studies, **screen(options["output"]))
    from cka_cli.report import match as matched

    if report_format == "json":
        return matched.format_depth_json(comparison, studies, provenance_of(options, **canonical_names(comparison)))
    return matched.format_depths(studies)
