"""`cka heatmap`."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from cka_cli.cli import options, writing
from cka_cli.cli.bundles import Bundle, Option
from cka_cli.cli.compare import run_comparison
from cka_cli.errors import DataError, UsageError
from cka_cli.options import ReadOptions, RunOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cka_cli.api.compare import Asked
    from cka_cli.layers.examples import Check
    from cka_cli.layers.selection import SelectedFile
    from cka_cli.pictures.heatmap import HeatmapStyle
    from cka_cli.results.matrix import Matrix

_BLOCK_BYTES = 1 << 20


# What is given to `HeatmapStyle`, which is loaded with matplotlib.
_style_options = Bundle(
    lambda size, **facts: facts | {"size": parse_inches(size)},
    Option(["--title"], help="A title over the whole picture."),
    Option(["--cmap"], default="magma", show_default=True, metavar="NAME", help="A colour map of matplotlib."),
    Option(["--vmin"], type=float, metavar="VALUE", help="Value of the darkest colour."),
    Option(["--vmax"], type=float, metavar="VALUE", help="Value of the lightest colour."),
    Option(["--annotate"], is_flag=True, help="Write the values in the cells."),
    Option(["--mark-best"], is_flag=True, help="Mark the largest value of each row."),
    Option(["--flip"], is_flag=True, help="First layer at the top, not at the lower left."),
    Option(["--dpi"], type=int, default=200, show_default=True, help="Dots per inch."),
    Option(["--size"], metavar="WxH", help="Size of the picture in inches, as 6x5."),
)


@click.command("heatmap")
@click.argument("sources", metavar="[MATRIX | X [Y ...]]", nargs=-1)
@writing.output_options
@click.option(
    "--format", "picture_format", type=click.Choice(list(writing.PICTURE_FORMATS)),
    help="[default: by the name of --output; png]",
)  # fmt: skip
@_style_options
@options.dry_run_option
@options.kind_options
@options.read_options
@options.run_options
@writing.talk_options
def heatmap_command(
    talk: writing.Talk, run: RunOptions, read: ReadOptions, kinds: options.Kinds, dry_run: bool,
    look: dict[str, Any], output: writing.Output, sources: tuple[str, ...], picture_format: str | None,
) -> None:  # fmt: skip
    """Draw matrices as a paper prints them: from reports of `cka compare`, or straight from activation files.

    Reads tidy CSV, wide CSV, JSON or any table of numbers, with names or without; standard input when nothing is named.
    Several measures or kernels become panels side by side.

    \b
    cka compare a.h5 b.h5 | cka heatmap -o sim.png
    cka heatmap a.h5 b.h5 -k rbf:sigma=0.4 --mark-best -o sim.pdf
    """
    if output.is_terminal and not dry_run:
        raise UsageError("standard output: is a terminal, which shows no picture; give -o FILE.png, or a pipe")
    default = "png" if output.path == "-" else None
    chosen = writing.chosen_format(output.path, picture_format, writing.PICTURE_FORMATS, "picture", default=default)
    output.check([source for source in sources if source != "-"])
    options.ignore_flags()
    from cka_cli.pictures.heatmap import HeatmapStyle, check_style, draw_heatmap

    style = HeatmapStyle(**look)
    check_style(style)  # before a long comparison, not after it
    if not sources and (sys.stdin is None or sys.stdin.isatty()):
        raise UsageError("heatmap: nothing to draw; give a CSV, JSON or activation files, or pipe from cka compare")
    sources = sources or ("-",)
    if holds_activations(sources[0]):
        asked = kinds.asked(read, run)
        check = _drawable(sources, asked, style)
        if dry_run:
            from cka_cli.api.compare import plan_comparison

            writing.write_plans({"": plan_comparison(sources[0], sources[1:], check=check, **asked)}, "table")
            return
        matrices = run_comparison(sources, asked, talk, output, check).matrices
    else:
        _check_for_a_report(sources[0])
        matrices = _of_reports(sources, kinds, talk)
    output.write(talk.drawn(lambda: draw_heatmap(matrices, style), chosen))
    options.end_checkpoint(run)


def parse_inches(text: str | None) -> tuple[float, float] | None:
    """Return (width, height) in inches of `WxH`."""
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    try:
        return float(width), float(height)
    except ValueError:
        raise UsageError(f"--size {text}: give width and height in inches, as 6x5 (found '{text}')") from None


def _check_for_a_report(source: str) -> None:
    """Raise for an option that says how activations are read and compared."""
    context = click.get_current_context()
    for name in sorted(options.read_options.names | options.run_options.names | options.dry_run_option.names):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is for activation files, but {source} is a report; give it to cka compare")


def _drawable(sources: tuple[str, ...], asked: "Asked", style: "HeatmapStyle") -> "Check":
    """Return what raises, by the headers of files, where they could not be drawn; raise what is known without."""
    from cka_cli.pictures.heatmap import check_drawable, check_panels

    kinds = options.kinds_in(asked)
    check_panels(max(len(sources) - 1, 1) * len(kinds))

    def check(files: "Sequence[SelectedFile]") -> None:
        import numpy as np

        from cka_cli.results.matrix import Matrix

        x, *ys = ((tuple(layer.name for layer in file.layers), file.file.path) for file in files)
        without_values = [
            Matrix(np.zeros((len(x[0]), len(y))), x[0], y, x[1], y_file, measure, kernel)
            for y, y_file in ys or [x]
            for measure, kernel in kinds
        ]
        check_drawable(without_values, style)

    return check


def _of_reports(sources: tuple[str, ...], kinds: options.Kinds, talk: writing.Talk) -> "tuple[Matrix, ...]":
    """Return the matrices of reports; `--measure` and `--kernel` choose among them."""
    from cka_cli.report.reading import doubts_of, read_matrices
    from cka_cli.specs import parse_kernel, parse_measure

    matrices: list[Matrix] = []
    for source in sources:
        data = _bytes_of(source)
        read = read_matrices(data, _name_of(source))
        matrices += read
        for doubt in doubts_of(data, read, _name_of(source)):
            talk.doubt(doubt)
    measures = {str(parse_measure(text)) for text in kinds.measures} or {matrix.measure for matrix in matrices}
    kernels = {str(parse_kernel(text)) for text in kinds.kernels} | {""}
    chosen = [matrix for matrix in matrices
              if matrix.measure in measures and (not kinds.kernels or matrix.kernel in kernels)]  # fmt: skip
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
