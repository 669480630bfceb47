"""`cka heatmap`."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from cka_cli.cli.checkpoint import end_checkpoint
from cka_cli.cli.dry_run import dry_run_option, write_plans
from cka_cli.cli.letters import noting_missing_letters
from cka_cli.cli.options import (
    PICTURE_FORMATS,
    comparison_options,
    is_terminal,
    measure_options,
    output_options,
    picture_format_of,
    read_options,
    run_comparison,
    run_options,
    show_note,
    talk_options,
    use_own_threads,
)
from cka_cli.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cka_cli.layers.selection import SelectedFile
    from cka_cli.pictures.heatmap import HeatmapStyle
    from cka_cli.results.matrix import Matrix

_BLOCK_BYTES = 1 << 20
# Options that say how activations are read and compared.
_READ_OPTIONS = {"layers", "exclude", "examples", "sample", "seed", "ids", "pool", "channels", "nonfinite"}
_RUN_OPTIONS = {"precision", "checkpoint", "batch", "passes", "memory", "threads", "dry_run"}


@click.command("heatmap")
@click.argument("sources", metavar="[MATRIX | X [Y ...]]", nargs=-1)
@output_options
@click.option(
    "--format", "picture_format", type=click.Choice(PICTURE_FORMATS), help="[default: by the name of --output; png]"
)
@click.option("--title", help="A title over the whole picture.")
@click.option("--cmap", default="magma", show_default=True, metavar="NAME", help="A colour map of matplotlib.")
@click.option("--vmin", type=float, metavar="VALUE", help="Value of the darkest colour.")
@click.option("--vmax", type=float, metavar="VALUE", help="Value of the lightest colour.")
@click.option("--annotate", is_flag=True, help="Write the values in the cells.")
@click.option("--mark-best", is_flag=True, help="Mark the largest value of each row.")
@click.option("--flip", is_flag=True, help="First layer at the top, not at the lower left.")
@click.option("--dpi", type=int, default=200, show_default=True, help="Dots per inch.")
@click.option("--size", metavar="WxH", help="Size of the picture in inches, as 6x5.")
@dry_run_option
@measure_options
@read_options
@run_options
@talk_options
def heatmap_command(sources: tuple[str, ...], **options: Any) -> None:
    """Draw matrices as a paper prints them: from reports of `cka compare`, or straight from activation files.

    Reads tidy CSV, wide CSV, JSON or any table of numbers, with names or without; standard input when nothing is named.
    Several measures or kernels become panels side by side.

    \b
    cka compare a.h5 b.h5 | cka heatmap -o sim.png
    cka heatmap a.h5 b.h5 -k rbf:sigma=0.4 --mark-best -o sim.pdf
    """
    from cka_cli.system.atomic_files import check_output, write_output

    if is_terminal(options["output"]) and not options["dry_run"]:
        raise UsageError("standard output: is a terminal, which shows no picture; give -o FILE.png, or a pipe")
    picture_format = picture_format_of(options["output"], options["picture_format"])
    check_output(options["output"], force=options["force"], inputs=[source for source in sources if source != "-"])
    use_own_threads()
    from cka_cli.pictures.heatmap import HeatmapStyle, check_style, heatmap_bytes

    style_names = ("cmap", "vmin", "vmax", "title", "dpi", "annotate", "mark_best", "flip")
    style = HeatmapStyle(size=parse_inches(options["size"]), **{name: options[name] for name in style_names})
    check_style(style)  # before a long comparison, not after it
    matrices = _matrices(sources, options, style)
    if options["dry_run"]:
        return
    with noting_missing_letters(options):
        picture = heatmap_bytes(matrices, style, picture_format)
    write_output(options["output"], picture, force=options["force"])
    end_checkpoint(options)


def parse_inches(text: str | None) -> tuple[float, float] | None:
    """Return (width, height) in inches of `WxH`."""
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    try:
        return float(width), float(height)
    except ValueError:
        raise UsageError(f"--size {text}: give width and height in inches, as 6x5 (found '{text}')") from None


def _matrices(sources: tuple[str, ...], options: dict[str, Any], style: "HeatmapStyle") -> "tuple[Matrix, ...]":
    """Return what is to be drawn; nothing for `--dry-run`, which prints a plan."""
    if not sources:
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("heatmap: nothing to draw; give a CSV, JSON or activation files, or pipe from cka compare")
        sources = ("-",)
    if holds_activations(sources[0]):
        return _compared(sources, options, style)
    context = click.get_current_context()
    for name in sorted(_READ_OPTIONS | _RUN_OPTIONS):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is for activation files, but {sources[0]} is a report; give it to cka compare")
    return _of_reports(sources, options)


def _compared(sources: tuple[str, ...], options: dict[str, Any], style: "HeatmapStyle") -> "tuple[Matrix, ...]":
    """Return the matrices of activation files; what cannot be drawn is said before they are worked out."""
    from cka_cli.api.compare import plan_comparison
    from cka_cli.measures.registry import kinds_of
    from cka_cli.pictures.heatmap import check_drawable, check_panels

    asked = comparison_options(options)
    kinds = kinds_of(asked["measures"], asked["kernels"])
    check_panels(max(len(sources) - 1, 1) * len(kinds))

    def check(files: "Sequence[SelectedFile]") -> None:
        check_drawable(_without_values(files, kinds), style)

    if options["dry_run"]:
        write_plans({"": plan_comparison(sources[0], sources[1:], check=check, **asked)}, options)
        return ()
    return run_comparison(sources, options, check=check).matrices


def _without_values(files: "Sequence[SelectedFile]", kinds: list[tuple[str, str]]) -> "list[Matrix]":
    """Return the matrices that a comparison of files will give, all zero."""
    import numpy as np

    from cka_cli.results.matrix import Matrix

    x, *ys = (tuple(layer.name for layer in file.layers) for file in files)
    return [
        Matrix(np.zeros((len(x), len(y))), x, y, files[0].file.path, file.file.path, measure, kernel)
        for y, file in zip(ys or [x], files[1:] or files, strict=True)
        for measure, kernel in kinds
    ]


def _of_reports(sources: tuple[str, ...], options: dict[str, Any]) -> "tuple[Matrix, ...]":
    """Return the matrices of reports; `--measure` and `--kernel` choose among them."""
    from cka_cli.report import doubts_of, read_matrices
    from cka_cli.specs import parse_kernel, parse_measure

    matrices: list[Matrix] = []
    for source in sources:
        data = _bytes_of(source)
        read = read_matrices(data, _name_of(source))
        matrices += read
        for doubt in [] if options["quiet"] else doubts_of(data, read, _name_of(source)):
            show_note(doubt)
    measures = {str(parse_measure(text)) for text in options["measures"]} or {matrix.measure for matrix in matrices}
    kernels = {str(parse_kernel(text)) for text in options["kernels"]} | {""}
    chosen = [matrix for matrix in matrices
              if matrix.measure in measures and (not options["kernels"] or matrix.kernel in kernels)]  # fmt: skip
    if not chosen:
        found = ", ".join(dict.fromkeys(matrix.title or "a matrix without a name" for matrix in matrices))
        raise DataError(
            f"{_name_of(sources[0])}: holds no such measure and kernel (found {found}); leave out -m and -k to draw all"
        )
    return tuple(chosen)


def holds_activations(source: str) -> bool:
    """Whether a source is an activation file, by its first bytes; reports are text, and pipes are reports."""
    if source == "-":
        return False
    try:
        if os.path.isdir(source) or (not os.path.exists(source) and "::" in source):
            return True
        if os.path.exists(source) and not os.path.isfile(source):
            return False
        from cka_cli.files.registry import begins_as_activations

        return begins_as_activations(source)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{source}: cannot be opened ({why}); give a CSV, JSON or activation file") from error


def _bytes_of(source: str) -> bytes:
    """Return what a source holds, no more than a report may: `read_matrices` refuses the rest."""
    from contextlib import nullcontext

    from cka_cli.report.cells import is_marked_text
    from cka_cli.report.reading import MOST_BYTES

    with nullcontext(sys.stdin.buffer) if source == "-" else open(source, "rb") as stream:
        data = bytearray(stream.read(_BLOCK_BYTES))
        is_text = b"\0" not in data or is_marked_text(data)  # what is none may have no end
        while is_text and len(data) <= MOST_BYTES and (block := stream.read(_BLOCK_BYTES)):
            data += block
    return bytes(data)


def _name_of(source: str) -> str:
    return "standard input" if source == "-" else source
