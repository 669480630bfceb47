"""Which words stand by which panel: shared names and files once, what differs in the headings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, sqrt

import numpy as np

from cka_cli.errors import DataError
from cka_cli.pictures.heatmap.scale import ColourScale, colour_scales
from cka_cli.pictures.heatmap.style import HeatmapStyle
from cka_cli.pictures.kit import check_number
from cka_cli.pictures.words import file_labels, literal
from cka_cli.results.matrix import Matrix
from cka_cli.text import fixed

_PANELS_IN_A_ROW = 4  # of few; many stand in a square
# Twelve by twelve are 15 to 50 inches on a side: more takes minutes, and no screen or page shows it.
MOST_PANELS = 144
NO_VALUE, BEST_OF_ROW, ON_PATH = "no value", "largest value of the row", "best monotone path"


@dataclass(frozen=True)
class Panel:
    """One matrix with its colours and the words around it; a word that is empty is not drawn.

    path : for each row the column that a line goes through; empty for no line.
    """

    matrix: Matrix
    scale: ColourScale
    heading: tuple[str, ...]
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    row_file: str
    column_file: str
    has_bar: bool
    bar_label: str
    path: tuple[int | None, ...] = ()

    @property
    def is_bare(self) -> bool:
        """Whether the cells stand alone, without any word or colour bar."""
        return not self.bar_label

    @cached_property
    def numbers(self) -> list[list[str]]:
        """The text of every cell, two decimals so that 1.00 and 0.99 are as wide; empty where there is no value."""
        values = self.scale.scaled(self.matrix.values)
        return [["" if np.isnan(value) else fixed(value, 2, minus="−") for value in row] for row in values]

    @cached_property
    def distinct_numbers(self) -> list[str]:
        """Every text that stands in some cell, once."""
        return sorted({number for row in self.numbers for number in row})


@dataclass(frozen=True)
class Picture:
    """All panels, in rows of `n_columns`, and the words that belong to all of them.

    has_bar : one colour bar for all panels; otherwise each has its own.
    notes : what the line below explains: NO_VALUE, BEST_OF_ROW, ON_PATH.
    """

    panels: tuple[Panel, ...]
    n_columns: int
    style: HeatmapStyle
    has_bar: bool
    bar_label: str
    title: str
    notes: tuple[str, ...]

    def ever_simpler(self) -> Iterator["Picture"]:
        """Give the picture, then without files, without names, and at last without any word or colour bar."""
        yield self
        without_files = self._each(row_file="", column_file="")
        yield without_files
        without_names = without_files._each(row_names=(), column_names=())
        yield without_names
        bare = without_names._each(heading=(), has_bar=False, bar_label="")
        yield replace(bare, has_bar=False, title="", notes=())

    def bar_elsewhere(self) -> Iterator[tuple["Picture", bool]]:
        """Give what may leave the cells more of a given size: the label of a shared bar on top, or the bar below.

        The second value says whether the bar lies below the panels.
        """
        if not self.has_bar:
            return
        yield self, True
        first = self.panels[0]
        if len(self.panels) == 1:
            yield replace(self, bar_label="")._each(heading=(self.bar_label,)), False
        elif first.matrix.measure and not first.scale.unit:  # every heading names the measure
            yield replace(self, bar_label=""), False

    def _each(self, **changes: object) -> "Picture":
        return replace(self, panels=tuple(replace(panel, **changes) for panel in self.panels))  # type: ignore[arg-type]


def check_panels(n_panels: int) -> None:
    """Raise UsageError for more panels than one picture takes: ask before the matrices are worked out."""
    check_number(n_panels, "panels", MOST_PANELS)


def compose(
    matrices: Sequence[Matrix],
    style: HeatmapStyle,
    captions: Sequence[str] = (),
    paths: Sequence[tuple[int | None, ...]] = (),
) -> Picture:
    """Return the picture of some matrices; raise DataError when there is nothing to draw.

    captions, paths : a line over each panel, and a line through its cells; empty for none.
    """
    if not matrices:
        raise DataError("heatmap: no matrix to draw (an empty list); give at least one")
    for matrix in matrices:
        if 0 in matrix.values.shape:
            n_rows, n_columns = matrix.values.shape
            what = literal(matrix.title) or "matrix"
            raise DataError(f"{what}: nothing to draw ({n_rows} rows, {n_columns} columns); give at least one layer")
    scales = colour_scales(matrices, style)
    check_panels(len(matrices))
    n_grid_rows = ceil(len(matrices) / max(_PANELS_IN_A_ROW, ceil(sqrt(len(matrices)))))
    n_columns = ceil(len(matrices) / n_grid_rows)
    has_bar = len(set(scales)) == 1 and len({matrix.measure for matrix in matrices}) == 1
    titles = {matrix.title for matrix in matrices}
    notes = [NO_VALUE] if any(np.isnan(matrix.values).any() for matrix in matrices) else []
    notes += [BEST_OF_ROW] if style.mark_best else []
    notes += [ON_PATH] if paths else []
    panels = _panels(matrices, scales, n_columns, own_bars=not has_bar)
    for place, caption in enumerate(captions):
        panels[place] = replace(panels[place], heading=(*panels[place].heading, literal(caption)))
    for place, path in enumerate(paths):
        panels[place] = replace(panels[place], path=path)
    bar_label = _bar_label(matrices[0].title if len(titles) == 1 else matrices[0].measure, scales[0])
    title = literal(style.title or "")
    return Picture(tuple(panels), n_columns, style, has_bar, bar_label, title, tuple(notes))


def _panels(
    matrices: Sequence[Matrix], scales: Sequence[ColourScale], n_columns: int, *, own_bars: bool
) -> list[Panel]:
    labels = file_labels([path for matrix in matrices for path in (matrix.x_file, matrix.y_file)])
    row_files_differ = len({matrix.x_file for matrix in matrices}) > 1
    column_files_differ = len({matrix.y_file for matrix in matrices}) > 1
    told = [(matrix.title, matrix.x_file, matrix.y_file) for matrix in matrices]
    examples_differ = len({matrix.n_examples for matrix in matrices}) > 1
    panels = []
    for index, (matrix, scale) in enumerate(zip(matrices, scales, strict=True)):
        left = matrices[index - 1] if index % n_columns else None
        below = matrices[index + n_columns] if index + n_columns < len(matrices) else None
        shape = matrix.values.shape
        shares_rows = left is not None and (left.x_layers, left.values.shape) == (matrix.x_layers, shape)
        shares_columns = below is not None and (below.y_layers, below.values.shape) == (matrix.y_layers, shape)
        row_file, column_file = labels[matrix.x_file], labels[matrix.y_file]
        differing = [row_file] * row_files_differ + [column_file] * column_files_differ
        n_examples = f"{matrix.n_examples} examples" if examples_differ and told.count(told[index]) > 1 else ""
        heading = (literal(matrix.title), " × ".join(dict.fromkeys(filter(None, differing))), n_examples)
        panels.append(
            Panel(
                matrix=matrix,
                scale=scale,
                heading=tuple(filter(None, heading)) if len(matrices) > 1 else (),
                row_names=() if shares_rows else tuple(map(literal, matrix.x_layers)),
                column_names=() if shares_columns else tuple(map(literal, matrix.y_layers)),
                row_file="" if shares_rows or row_files_differ else row_file,
                column_file="" if shares_columns or column_files_differ else column_file,
                has_bar=own_bars,
                bar_label=_bar_label(matrix.measure, scale),
            )
        )
    return panels


def _bar_label(text: str, scale: ColourScale) -> str:
    return (literal(text) or "value") + scale.unit
