import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.text import Text

from cka_cli.errors import DataError, UsageError
from cka_cli.pictures.heatmap import HeatmapStyle, draw_heatmap
from cka_cli.pictures.words import file_labels, shorten, shorten_names, spread, width_in, wrap
from cka_cli.results.matrix import Matrix
from tests.pictures.written import written

LONG = [f"encoder/layer.{i}/{part}/output/dense/kernel_of_the_projection" for i in range(6) for part in ("mlp", "att")]


def matrix(
    values: object,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    files: tuple[str, str] = ("x.h5", "y.h5"),
    measure: str = "cka",
    kernel: str = "linear",
) -> Matrix:
    array = np.atleast_2d(np.asarray(values, dtype=np.float64))
    rows = [f"layer{i + 1}" for i in range(array.shape[0])] if rows is None else rows
    columns = [f"layer{i + 1}" for i in range(array.shape[1])] if columns is None else columns
    return Matrix(array, tuple(rows), tuple(columns), *files, measure, kernel)


def band(n_rows: int, n_columns: int) -> np.ndarray:
    down, across = np.linspace(0, 1, n_rows)[:, None], np.linspace(0, 1, n_columns)[None]
    return 0.9 * np.exp(-(((down - across) / 0.3) ** 2))


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.images]


def bars(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if not axes.images]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def range_of(figure: Figure) -> tuple[float, float]:
    low, high = panels(figure)[0].images[0].get_clim()
    assert low is not None
    assert high is not None
    return low, high


def shown(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def pixels(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def cell_colour(figure: Figure, row: int, column: int) -> np.ndarray:
    """The pixel a quarter of a cell left of the middle, where no mark or number stands."""
    x, y = panels(figure)[0].transData.transform((column - 0.3, row - 0.3))
    image = pixels(figure)
    return image[image.shape[0] - 1 - int(y), int(x)]


def overlapping(labels: Sequence[Text]) -> int:
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    return sum(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[i + 1 :])


# Cells and orientation


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 1), None),
        ((3, 3), None),
        ((5, 9), (7.3, 5.1)),
        ((120, 150), None),
        ((200, 200), (7.3, 5.1)),
        ((1, 200), None),
        ((200, 2), (7.3, 5.1)),
    ],
)
def test_cells_are_square_and_whole_pixels(shape, size):
    figure = draw_heatmap([matrix(band(*shape))], HeatmapStyle(size=size))
    box = panels(figure)[0].get_window_extent()
    assert box.width / shape[1] == pytest.approx(box.height / shape[0], rel=1e-6)
    assert box.width / shape[1] == pytest.approx(round(box.width / shape[1]), abs=1e-6)
    assert panels(figure)[0].get_aspect() == "auto"  # nothing moves the axes off these pixels when drawn


@pytest.mark.parametrize("n_layers", [3, 60, 200])
def test_every_cell_has_the_same_number_of_pixels_in_the_png(n_layers):
    checkered = np.indices((n_layers, n_layers)).sum(axis=0) % 2
    figure = draw_heatmap([matrix(checkered)])
    box = panels(figure)[0].get_window_extent()
    image = pixels(figure)
    side = round(box.width / n_layers)
    middle = image.shape[0] - 1 - round(box.y0 + side / 2)
    line = image[middle, round(box.x0) : round(box.x1), 0].astype(int)
    changes = np.flatnonzero(np.abs(np.diff(line[2:-2])) > 100) + 3
    assert len(changes) == n_layers - 1
    assert set(np.diff(changes)) <= {side}


@pytest.mark.parametrize(("n_layers", "smallest_in", "largest_in"), [(3, 0.4, 0.8), (200, 0.01, 0.05)])
def test_size_suits_the_number_of_layers(n_layers, smallest_in, largest_in):
    figure = draw_heatmap([matrix(band(n_layers, n_layers))])
    cell_px = panels(figure)[0].get_window_extent().width / n_layers
    assert smallest_in <= cell_px / figure.dpi <= largest_in
    assert cell_px >= 2
    assert max(figure.get_size_inches()) <= 10


def test_first_row_is_at_the_bottom_and_first_column_at_the_left():
    figure = draw_heatmap([matrix([[1, 0], [0, 0], [0, 0]], rows=["r1", "r2", "r3"], columns=["c1", "c2"])])
    axes = panels(figure)[0]
    assert axes.transData.transform((0, 0))[1] < axes.transData.transform((0, 2))[1]
    assert axes.transData.transform((0, 0))[0] < axes.transData.transform((1, 0))[0]
    assert cell_colour(figure, 0, 0).min() > 150
    assert cell_colour(figure, 2, 0).max() == 255 > cell_colour(figure, 2, 0)[:3].max()
    assert (shown(axes.yaxis), list(axes.get_yticks())) == (["r1", "r2", "r3"], [0, 1, 2])
    assert (shown(axes.xaxis), list(axes.get_xticks())) == (["c1", "c2"], [0, 1])


def test_flip_puts_the_first_row_at_the_top_with_its_name():
    figure = draw_heatmap([matrix([[1, 0], [0, 0]], rows=["r1", "r2"])], HeatmapStyle(flip=True))
    axes = panels(figure)[0]
    assert axes.transData.transform((0, 0))[1] > axes.transData.transform((0, 1))[1]
    assert cell_colour(figure, 0, 0).min() > 150
    assert shown(axes.yaxis)[list(axes.get_yticks()).index(0)] == "r1"


def test_files_are_the_axis_titles_rows_upwards():
    axes = panels(draw_heatmap([matrix(band(3, 3), files=("runs/a.h5", "runs/b.h5"))]))[0]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("a.h5", "b.h5")
    axes = panels(draw_heatmap([matrix(band(3, 3), files=("", ""))]))[0]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("", "")


# Words


SHAPES = [(3, 3), (12, 12), (60, 60), (120, 150), (200, 200), (2, 200), (200, 1)]
CASES = [(shape, "layer{}") for shape in SHAPES]
CASES += [(shape, "encoder/block.{}/attention/output/dense/weights_of_it") for shape in ((3, 3), (120, 150), (2, 200))]
CASES += [((200, 200), "{}"), ((12, 12), "layer.{}.convolution")]


@pytest.mark.parametrize(("shape", "name"), CASES)
def test_words_never_overlap_nor_leave_the_picture(shape, name):
    rows, columns = ([name.format(i) for i in range(n)] for n in shape)
    style = HeatmapStyle(title="A title", mark_best=True)
    figure = draw_heatmap([matrix(band(*shape), rows=rows, columns=columns)], style)
    figure.draw_without_rendering()
    axes = panels(figure)[0]
    for axis in (axes.xaxis, axes.yaxis):
        assert overlapping([*axes.xaxis.get_ticklabels(), *axes.yaxis.get_ticklabels(), axis.label]) == 0
    assert overlapping([*bars(figure)[0].yaxis.get_ticklabels(), bars(figure)[0].yaxis.label]) == 0
    for text in figure.findobj(Text):
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert box.x0 >= -0.5, text
            assert box.y0 >= -0.5, text
            assert box.x1 <= figure.bbox.x1 + 0.5, text
            assert box.y1 <= figure.bbox.y1 + 0.5, text
    for label in (*axes.xaxis.get_ticklabels(), *axes.yaxis.get_ticklabels()):
        assert label.get_fontsize() >= 5


@pytest.mark.parametrize("n_layers", [3, 60, 120, 200])
def test_first_and_last_name_are_always_shown_at_their_cell(n_layers):
    axes = panels(draw_heatmap([matrix(band(n_layers, n_layers))]))[0]
    for axis in (axes.xaxis, axes.yaxis):
        labels = dict(zip(axis.get_ticklocs(), shown(axis), strict=True))
        assert labels[0] == "layer1"
        assert labels[n_layers - 1] == f"layer{n_layers}"
        assert all(text == f"layer{int(at) + 1}" for at, text in labels.items())


@pytest.mark.parametrize(("n", "stride"), [(1, 1), (2, 5), (10, 1), (120, 2), (120, 3), (200, 7), (8, 7)])
def test_spread_keeps_its_distance(n, stride):
    positions = spread(n, stride)
    assert positions[0] == 0
    assert positions[-1] == (n - 1 if n > stride else 0)
    assert all(later - earlier >= stride for earlier, later in pairwise(positions))
    assert all(later - earlier == stride for earlier, later in pairwise(positions[:-1]))


def test_column_names_stand_level_when_they_fit_and_upright_when_not():
    level = panels(draw_heatmap([matrix(band(3, 3))]))[0]
    upright = panels(draw_heatmap([matrix(band(30, 30))]))[0]
    assert {label.get_rotation() for label in level.get_xticklabels()} == {0}
    assert {label.get_rotation() for label in upright.get_xticklabels()} == {90}


def test_long_names_leave_most_of_the_picture_to_the_cells_and_stay_distinct():
    figure = draw_heatmap([matrix(band(12, 12), rows=LONG, columns=LONG)])
    axes = panels(figure)[0]
    box = axes.get_window_extent()
    assert box.width > 0.5 * figure.bbox.width
    assert box.height > 0.5 * figure.bbox.height
    assert len(set(shown(axes.yaxis))) == 12
    assert all("…" in text for text in shown(axes.yaxis))


@pytest.mark.parametrize("shape", [(64, 2), (2, 64), (64, 64), (80, 3), (80, 80), (200, 2), (200, 9), (5, 200)])
def test_no_name_of_a_short_side_is_left_out_and_none_of_a_long_one_up_to_80(shape):
    figure = draw_heatmap([matrix(band(*shape))])
    figure.draw_without_rendering()
    axes = panels(figure)[0]
    for axis, n in ((axes.yaxis, shape[0]), (axes.xaxis, shape[1])):
        if n <= 80:
            assert shown(axis) == [f"layer{i + 1}" for i in range(n)]
    labels = [*axes.xaxis.get_ticklabels(), *axes.yaxis.get_ticklabels()]
    assert overlapping([*labels, axes.xaxis.label, axes.yaxis.label]) == 0
    assert all(label.get_fontsize() >= 5 for label in labels)
    assert all(figure.bbox.padded(0.5).containsx(label.get_window_extent().x0) for label in labels)
    assert all(figure.bbox.padded(0.5).containsy(label.get_window_extent().y0) for label in labels)
    assert max(figure.get_size_inches()) <= 10


def test_panels_too_large_for_a_page_with_every_name_keep_their_good_size():
    figure = draw_heatmap([matrix(band(55, 55), kernel=kernel) for kernel in ("linear", "rbf")])
    assert max(figure.get_size_inches()) < 9.9
    assert len(shown(panels(figure)[0].yaxis)) < 55


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shape", [(200, 3), (3, 200)])
def test_names_fanned_out_have_a_line_each_to_their_cell(shape, flip):
    figure = draw_heatmap([matrix(band(*shape))], HeatmapStyle(flip=flip))
    figure.draw_without_rendering()
    axes = panels(figure)[0]
    lines = [line for line in figure.findobj(Line2D) if line.get_gid() == "fan"]
    along = 0 if shape[1] == 3 else 1
    labels = (axes.xaxis if shape[1] == 3 else axes.yaxis).get_ticklabels()
    assert len(lines) == len(labels) == 3
    for index, (line, label) in enumerate(zip(lines, labels, strict=True)):
        at_cell, at_name = line.get_transform().transform(line.get_xydata())[:, along]
        place = (index, 0) if along == 0 else (0, index)
        assert at_cell == pytest.approx(axes.transData.transform(place)[along], abs=0.1)
        box = label.get_window_extent()
        assert at_name == pytest.approx((box.x0 + box.x1) / 2 if along == 0 else (box.y0 + box.y1) / 2, abs=3)
    assert not [line for line in draw_heatmap([matrix(band(9, 3))]).findobj(Line2D) if line.get_gid() == "fan"]


def test_shortened_text_fits_keeps_both_ends_and_is_untouched_when_it_fits():
    short = shorten(LONG[0], 1.0, 7)
    assert width_in(short, 7) <= 1.0
    assert len(short) > 10
    assert LONG[0].startswith(short.split("…")[0])
    assert LONG[0].endswith(short.split("…")[1])
    assert shorten("conv1", 1.0, 7) == "conv1"
    assert shorten(LONG[0], 0.0, 7) == "…"


def test_shortened_names_are_told_apart_wherever_they_differ():
    differ_in_front = [f"{i}_block_with_a_very_long_name_that_does_not_fit" for i in range(9)]
    differ_behind = [f"block_with_a_very_long_name_that_does_not_fit_{i}" for i in range(9)]
    for names in (LONG, differ_in_front, differ_behind):
        short = shorten_names(names, 0.8, 7)
        assert len(set(short)) == len(names)
        assert max(width_in(name, 7) for name in short) <= 0.8
    assert len(set(shorten_names(LONG, 0.15, 7))) < len(LONG)  # no room to tell them apart: as many as can be
    assert shorten_names(["only/one/" + "x" * 80], 0.8, 7)[0].startswith("o")


def test_wrap_breaks_after_commas_and_shortens_what_is_still_too_long():
    text = "cka-debiased, polynomial:degree=3,gamma=0.002,coef0=1"
    lines = wrap(text, 1.2, 8, 3)
    assert 1 < len(lines) <= 3
    assert all(width_in(line, 8) <= 1.2 for line in lines)
    assert wrap(text, 9, 8, 3) == [text]
    assert wrap("cka, polynomial:degree=2,gamma=1", 1.0, 9, 4) == ["cka,", "polynomial:", "degree=2,", "gamma=1"]
    assert wrap("cka, polynomial:degree=2", 1.5, 9, 4) == ["cka,", "polynomial:degree=2"]


NASTY = ["$\\frac{", "a_b^c", "$x$", "tab\tnew\nline", "\x1b[31m", "层", "\udc80", "\\alpha", "\u202etxet"]


def test_names_of_others_are_no_code_in_a_vector_picture():
    names = ["--><script>alert(1)</script>", "]]><x/>", "&lt;b&gt;", ") Tj (", "\u202etxet"]
    drawn = [matrix(band(5, 5), rows=names, columns=names, files=("--><a/>.h5", "b.h5"))]
    svg = written(draw_heatmap, drawn, HeatmapStyle(title="--><i/>"), "svg")
    tree = ElementTree.fromstring(svg)
    assert not {element.tag.rpartition("}")[2] for element in tree.iter()} & {"script", "a", "i", "x", "b"}
    assert b"\xe2\x80\xae" not in svg
    pdf = written(draw_heatmap, drawn, HeatmapStyle(title="--><i/>"), "pdf")
    assert not re.search(rb"/(JavaScript|JS|Launch|URI|OpenAction|EmbeddedFile)\b", pdf)


def test_names_of_others_are_shown_literally(recwarn):
    figure = draw_heatmap(
        [matrix(band(9, 9), rows=NASTY, columns=NASTY, files=("$x_1$.h5", "数\n.h5"), kernel="$k$")],
        HeatmapStyle(title="$t$ \\beta"),
    )
    written(draw_heatmap, [matrix(band(9, 9), rows=NASTY, columns=NASTY)], HeatmapStyle(), "pdf")
    pixels(figure)
    expected = [
        "$\\frac{",
        "a_b^c",
        "$x$",
        "tab\\tnew\\nline",
        "\\x1b[31m",
        "\\u5c42",
        "\\udc80",
        "\\alpha",
        "\\u202etxet",
    ]
    axes = panels(figure)[0]
    assert shown(axes.yaxis) == expected
    assert shown(axes.xaxis) == expected
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("$x_1$.h5", "\\u6570\\n.h5")
    assert {"$t$ \\beta", "cka, $k$"} <= set(words(figure))
    theirs = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label]
    theirs += [text for text in figure.findobj(Text) if "$" in text.get_text()]
    assert not any(text.get_parse_math() for text in theirs)
    assert not recwarn.list


def test_long_file_names_and_titles_stay_inside():
    many = "a_very_long_file_name_of_activations_" * 5
    figure = draw_heatmap([matrix(band(3, 3), files=(many, many + "2"))], HeatmapStyle(title="word " * 40))
    pixels(figure)
    for text in figure.findobj(Text):
        if text.get_text():
            assert figure.bbox.padded(1).fully_containsx(text.get_window_extent().x0)
            assert figure.bbox.padded(1).fully_containsx(text.get_window_extent().x1)
            assert figure.bbox.padded(1).fully_containsy(text.get_window_extent().y0)


def test_file_labels_take_as_many_parts_as_tell_them_apart():
    paths = ["run1/seed/x.h5", "run2/seed/x.h5", "z.h5", "x.h5", ""]
    labels = file_labels(paths)
    assert labels == {
        "run1/seed/x.h5": str(Path("run1/seed/x.h5")),
        "run2/seed/x.h5": str(Path("run2/seed/x.h5")),
        "z.h5": "z.h5",
        "x.h5": "x.h5",
        "": "",
    }
    assert file_labels(["deep/down/x.h5", "deep/down/x.h5"]) == {"deep/down/x.h5": "x.h5", "": ""}


# Colours


NEGATIVE = [[-0.2, 0.4], [0.9, 1.0]]


@pytest.mark.parametrize("measure", ["cka", "cka-debiased", "cca-r2", "svcca-r2:variance=0.99", "pwcca", "procrustes"])
def test_bounded_measures_run_from_zero_to_one_or_down_to_their_minimum(measure):
    assert range_of(draw_heatmap([matrix([[0.3, 0.4]], measure=measure)])) == (0, 1)
    assert range_of(draw_heatmap([matrix(NEGATIVE, measure=measure)])) == (-0.2, 1)
    assert range_of(draw_heatmap([matrix([[-1e-17, 0.4]], measure=measure)])) == (0, 1)


@pytest.mark.parametrize(
    ("values", "measure", "expected"),
    [
        ([[0.2, 0.6]], "", (0, 1)),
        ([[0.2, 1.6]], "", (0.2, 1.6)),
        ([[-0.2, 0.6]], "", (-0.2, 0.6)),
        ([[0.2, 0.6]], "hsic", (0.2, 0.6)),
        ([[2.0, 2.0]], "hsic", (1, 3)),
        ([[0.0, 0.0]], "hsic", (-0.5, 0.5)),
        ([[np.nan, np.nan]], "hsic", (0, 1)),
        ([[5.0]], "", (2.5, 7.5)),
        ([[np.inf, 3.0, 2.0]], "hsic", (2, 3)),
    ],
)
def test_other_values_have_their_own_range_and_it_never_collapses(values, measure, expected):
    figure = draw_heatmap([matrix(values, measure=measure, kernel="")])
    assert range_of(figure) == pytest.approx(expected)
    pixels(figure)


@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324, 1e-7, 1e7])
def test_values_of_any_magnitude_are_drawn(value):
    for pair in ([[value, 0.0]], [[value, value]], [[value, -value]]):
        low, high = range_of(draw_heatmap([matrix(pair, measure="hsic")]))
        assert low < high
        assert np.isfinite([low, high]).all()
    written(draw_heatmap, [matrix([[value, -value, 0.0]], measure="hsic")], HeatmapStyle(dpi=50, annotate=True), "png")


def test_vmin_and_vmax_override_alone_and_together():
    values = [matrix([[0.1, 0.9]])]
    assert range_of(draw_heatmap(values, HeatmapStyle(vmin=0.2))) == (0.2, 1)
    assert range_of(draw_heatmap(values, HeatmapStyle(vmax=0.8))) == (0, 0.8)
    assert range_of(draw_heatmap(values, HeatmapStyle(vmin=-1, vmax=2))) == (-1, 2)
    assert range_of(draw_heatmap(values, HeatmapStyle(vmin=3))) == (3, 6)
    assert range_of(draw_heatmap(values, HeatmapStyle(vmax=-3))) == (-6, -3)
    assert range_of(draw_heatmap(values, HeatmapStyle(vmax=5e-324, vmin=-5e-324)))[0] < 0


@pytest.mark.parametrize(
    ("values", "n_arrows"),
    [([[0.3, 0.7]], 0), ([[0.1, 0.5]], 1), ([[0.5, np.inf]], 1), ([[-np.inf, np.inf]], 2), ([[0.0, 1.0]], 2)],
)
def test_values_outside_the_range_have_its_end_colour_and_an_arrow_on_the_bar(values, n_arrows):
    style = HeatmapStyle(vmin=0.2, vmax=0.8)
    figure = draw_heatmap([matrix(values)], style)
    assert len(bars(figure)[0].patches) == n_arrows
    ends = draw_heatmap([matrix([[0.2, 0.8]])], style)
    if n_arrows == 2:
        assert (cell_colour(figure, 0, 0) == cell_colour(ends, 0, 0)).all()
        assert (cell_colour(figure, 0, 1) == cell_colour(ends, 0, 1)).all()


def test_cells_without_a_value_are_grey_and_the_picture_says_so():
    figure = draw_heatmap([matrix([[np.nan, 0.5], [0.2, 0.1]])])
    red, green, blue = cell_colour(figure, 0, 0)[:3]
    assert red == green == blue
    assert 150 < red < 220
    assert "no value" in words(figure)
    assert "no value" not in words(draw_heatmap([matrix([[np.inf, 0.5]])]))


def test_notes_stand_below_each_other_where_the_picture_is_narrow():
    figure = draw_heatmap([matrix([[np.nan]], rows=[""], columns=[""], files=("", ""))], HeatmapStyle(mark_best=True))
    pixels(figure)
    notes = [text for text in figure.texts if text.get_text()]
    assert [text.get_text() for text in notes] == ["no value", "largest value of the row"]
    assert overlapping(notes) == 0
    assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in notes)
    wide = draw_heatmap([matrix([[np.nan] * 5] * 5)], HeatmapStyle(mark_best=True))
    assert len({text.get_position()[1] for text in wide.texts if text.get_text()}) == 1


def test_colour_bar_is_labelled_and_as_high_as_the_cells():
    figure = draw_heatmap([matrix(band(10, 10), kernel="rbf:sigma=0.4")])
    (bar,) = bars(figure)
    cells = panels(figure)[0].get_window_extent()
    assert bar.get_ylabel() == "cka, rbf:sigma=0.4"
    assert (bar.get_window_extent().y0, bar.get_window_extent().y1) == pytest.approx((cells.y0, cells.y1))
    assert shown(bar.yaxis) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert bars(draw_heatmap([matrix(band(3, 3), measure="", kernel="")]))[0].get_ylabel() == "value"


def test_tiny_values_have_ticks_and_numbers_in_units_the_label_names():
    values = [[1e-7, 4e-7], [np.nan, np.nan], [np.nan, np.nan]]
    figure = draw_heatmap([matrix(values, measure="hsic")], HeatmapStyle(annotate=True))
    assert bars(figure)[0].get_ylabel() == "hsic, linear (×10⁻⁷)"
    assert shown(bars(figure)[0].yaxis)[0] == "1"
    assert [text.get_text() for text in panels(figure)[0].texts][:3] == ["1.00", "4.00", ""]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.2134, 0.5823, ["0.21", "0.30", "0.40", "0.50", "0.58"]),
        (3.1, 9.0, ["3.1", "4.0", "6.0", "8.0", "9.0"]),
    ],
)
def test_both_ends_of_the_bar_have_a_number(low, high, expected):
    (bar,) = bars(draw_heatmap([matrix(np.linspace(low, high, 36).reshape(6, 6), measure="hsic")]))
    assert (bar.get_yticks()[0], bar.get_yticks()[-1]) == (low, high)
    assert shown(bar.yaxis) == expected


# Several panels


@pytest.mark.parametrize(
    ("n_matrices", "grid"), [(1, (1, 1)), (2, (1, 2)), (4, (1, 4)), (5, (2, 3)), (6, (2, 3)), (8, (2, 4)), (12, (3, 4))]
)
def test_panels_stand_in_rows_of_at_most_four(n_matrices, grid):
    matrices = [matrix(band(5, 5), files=("x.h5", f"y{i}.h5")) for i in range(n_matrices)]
    figure = draw_heatmap(matrices)
    corners = [axes.get_window_extent() for axes in panels(figure)]
    assert len(corners) == n_matrices
    assert (len({round(box.y0) for box in corners}), len({round(box.x0) for box in corners})) == grid
    assert len(bars(figure)) == 1
    assert max(figure.get_size_inches()) <= 10
    assert not any(one.overlaps(other) for i, one in enumerate(corners) for other in corners[i + 1 :])


def test_more_panels_than_look_good_are_still_drawn():
    assert len(panels(draw_heatmap([matrix(band(2, 2))] * 30))) == 30


def test_panels_of_one_measure_share_a_scale_and_a_bar():
    figure = draw_heatmap([matrix([[0.5, -0.1]]), matrix([[0.5, -0.3]], kernel="rbf")])
    assert [axes.images[0].get_clim() for axes in panels(figure)] == [(-0.3, 1), (-0.3, 1)]
    assert [axes.get_ylabel() for axes in bars(figure)] == ["cka"]
    assert [axes.get_title() for axes in panels(figure)] == ["cka, linear", "cka, rbf"]


def test_panels_of_different_measures_have_a_bar_each():
    figure = draw_heatmap([matrix(band(3, 3)), matrix(NEGATIVE), matrix(band(3, 3), measure="cca-r2", kernel="")])
    assert [axes.get_ylabel() for axes in bars(figure)] == ["cka", "cka", "cca-r2"]
    assert [axes.images[0].get_clim() for axes in panels(figure)] == [(-0.2, 1), (-0.2, 1), (0, 1)]
    for cells, bar in zip(panels(figure), bars(figure), strict=True):
        assert bar.get_window_extent().height == pytest.approx(cells.get_window_extent().height)
        assert 0 < bar.get_window_extent().x0 - cells.get_window_extent().x1 < 40


def test_unbounded_values_of_different_kernels_do_not_share_a_scale():
    figure = draw_heatmap(
        [matrix([[1.0, 2.0]], measure="hsic"), matrix([[3.0, 9.0]], measure="hsic", kernel="rbf:sigma=0.8")]
    )
    assert [axes.images[0].get_clim() for axes in panels(figure)] == [(1, 2), (3, 9)]
    assert len(bars(figure)) == 2
    same = draw_heatmap([matrix([[1.0, 2.0]], measure="hsic"), matrix([[3.0, 9.0]], measure="hsic")])
    assert [axes.images[0].get_clim() for axes in panels(same)] == [(1, 9), (1, 9)]


def test_names_are_repeated_only_where_they_differ():
    same = [matrix(band(3, 3), files=("x.h5", f"y{i}.h5")) for i in range(6)]
    figure = panels(draw_heatmap(same))
    assert [len(shown(axes.yaxis)) for axes in figure] == [3, 0, 0, 3, 0, 0]
    assert [len(shown(axes.xaxis)) for axes in figure] == [0, 0, 0, 3, 3, 3]
    assert [axes.get_ylabel() for axes in figure] == ["x.h5", "", "", "x.h5", "", ""]
    other = matrix(band(3, 3), rows=["a", "b", "c"])
    assert [shown(axes.yaxis)[:1] for axes in panels(draw_heatmap([same[0], other]))] == [["layer1"], ["a"]]
    wider = matrix(band(3, 5))
    assert [len(shown(axes.yaxis)) for axes in panels(draw_heatmap([same[0], wider]))] == [3, 3]


def test_headings_name_the_files_that_differ():
    figure = draw_heatmap([matrix(band(3, 3), files=("x.h5", "a.h5")), matrix(band(3, 3), files=("x.h5", "b.h5"))])
    assert [axes.get_title() for axes in panels(figure)] == ["cka, linear\na.h5", "cka, linear\nb.h5"]
    figure = draw_heatmap([matrix(band(3, 3), files=("p.h5", "a.h5")), matrix(band(3, 3), files=("q.h5", "b.h5"))])
    assert [axes.get_title() for axes in panels(figure)] == ["cka, linear\np.h5 × a.h5", "cka, linear\nq.h5 × b.h5"]


def test_the_number_of_examples_tells_apart_what_the_files_do_not():
    twice = [replace(matrix(band(3, 3)), n_examples=n) for n in (500, 100)]
    assert [axes.get_title() for axes in panels(draw_heatmap(twice))] == [
        "cka, linear\n500 examples", "cka, linear\n100 examples",
    ]  # fmt: skip
    by_file = [twice[0], replace(twice[1], y_file="z.h5")]
    assert [axes.get_title() for axes in panels(draw_heatmap(by_file))] == ["cka, linear\ny.h5", "cka, linear\nz.h5"]


def test_panels_stand_level_whatever_the_lines_of_their_headings():
    kernels = ("linear", "polynomial:degree=2,gamma=0.00195,coef0=1", "rbf:sigma=0.4")
    figure = draw_heatmap([matrix(band(2, 2), kernel=kernel) for kernel in kernels])
    titles = [axes.get_title() for axes in panels(figure)]
    assert len({title.count("\n") for title in titles}) > 1
    assert not any("…" in title for title in titles)
    assert len({axes.get_window_extent().y0 for axes in panels(figure)}) == 1


def test_cells_of_all_panels_are_as_large_unless_a_panel_would_vanish():
    figure = draw_heatmap([matrix(band(6, 6)), matrix(band(1, 1)), matrix(band(3, 2))])
    sides = [axes.get_window_extent().width / axes.images[0].get_array().shape[1] for axes in panels(figure)]
    assert sides == pytest.approx([sides[0]] * 3)
    figure = draw_heatmap([matrix(band(100, 100)), matrix(band(1, 1))])
    assert panels(figure)[1].get_window_extent().width > 0.25 * figure.dpi


# Numbers and marks


def test_numbers_have_two_decimals_and_the_colour_that_can_be_read():
    figure = draw_heatmap([matrix([[0.871, 1.0], [0.004, np.nan]])], HeatmapStyle(annotate=True))
    texts = {tuple(text.get_position()): text for text in panels(figure)[0].texts}
    assert {at: text.get_text() for at, text in texts.items()} == {
        (0, 0): "0.87",
        (1, 0): "1.00",
        (0, 1): "0.00",
        (1, 1): "",
    }
    assert (texts[0, 0].get_color(), texts[0, 1].get_color()) == ("black", "white")


@pytest.mark.parametrize(
    ("value", "others", "text"),
    [
        (-0.05, 1.0, "−0.05"),
        (0.994, 1.0, "0.99"),
        (0.996, 1.0, "1.00"),
        (-0.001, 1.0, "0.00"),
        (10.5, 1.0, "10.50"),
        (2.5, 30.0, "2.50"),
        (-0.5, 30.0, "−0.50"),
        (np.inf, 30.0, "inf"),
    ],
)
def test_number_in_a_cell(value, others, text):
    measure = "cka" if others == 1.0 else "hsic"
    figure = draw_heatmap([matrix([[value, others]], measure=measure)], HeatmapStyle(annotate=True))
    assert panels(figure)[0].texts[0].get_text() == text


def test_the_figure_grows_for_numbers_and_leaves_them_out_past_its_limit():
    plain = draw_heatmap([matrix(band(70, 70))])
    grown = draw_heatmap([matrix(band(70, 70))], HeatmapStyle(annotate=True))
    assert max(plain.get_size_inches()) < max(grown.get_size_inches()) <= 16
    texts = panels(grown)[0].texts
    assert len(texts) == 4900
    assert texts[0].get_fontsize() >= 5
    cell = panels(grown)[0].get_window_extent().width / 70
    assert max(text.get_window_extent().width for text in texts[:70]) < cell
    beyond = draw_heatmap([matrix(band(200, 200))], HeatmapStyle(annotate=True))
    assert not panels(beyond)[0].texts
    assert max(beyond.get_size_inches()) <= 10


def test_best_of_each_row_is_marked_and_explained():
    values = np.array([[0.1, 0.9, 0.2], [np.nan, np.nan, np.nan], [0.7, 0.7, 0.1]])
    figure = draw_heatmap([matrix(values)], HeatmapStyle(mark_best=True))
    (marks,) = panels(figure)[0].lines
    assert list(zip(*marks.get_data(), strict=True)) == [(1, 0), (0, 2), (1, 2)]  # both of two equal values
    assert "largest value of the row" in words(figure)
    assert (marks.get_markerfacecolor(), marks.get_markeredgecolor()) == ("white", "black")
    plain = draw_heatmap([matrix(values)])
    assert not panels(plain)[0].lines
    assert "largest value of the row" not in words(plain)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("n_layers", [2, 24])
def test_a_frame_marks_the_best_where_numbers_stand(n_layers, flip):
    values = band(n_layers, n_layers)
    values[0] = np.nan
    figure = draw_heatmap([matrix(values)], HeatmapStyle(mark_best=True, annotate=True, flip=flip))
    figure.draw_without_rendering()
    axes = panels(figure)[0]
    assert not axes.lines
    assert [(round(frame.get_x() + 0.5), round(frame.get_y() + 0.5)) for frame in axes.patches] == [
        (row, row) for row in range(1, n_layers)
    ]
    numbers = {text.get_position(): text for text in axes.texts}
    for row, frame in enumerate(axes.patches, start=1):
        number, box = numbers[row, row].get_window_extent(), frame.get_window_extent()
        half_line = frame.get_linewidth() / 72 * figure.dpi / 2
        assert box.x0 + half_line <= number.x0
        assert number.x1 <= box.x1 - half_line
        assert frame.get_edgecolor()[:3] == ((0, 0, 0) if numbers[row, row].get_color() == "black" else (1, 1, 1))
    assert "largest value of the row" in words(figure)


def test_captions_stand_over_the_panels_and_a_line_follows_each_path():
    values = band(3, 4)
    figure = draw_heatmap(
        [matrix(values), matrix(values, kernel="rbf")], captions=["90 $right$", "80"], paths=[(0, 0, 3), (1, None, 2)]
    )
    first, second = panels(figure)
    assert [axes.get_title() for axes in (first, second)] == ["cka, linear\n90 $right$", "cka, rbf\n80"]
    for line in first.lines:
        assert list(zip(*line.get_data(), strict=True)) == [(0, 0), (0, 1), (3, 2)]
    np.testing.assert_array_equal(second.lines[0].get_xdata(), [1, np.nan, 2])
    assert "best monotone path" in words(figure)
    alone = draw_heatmap([matrix(values)], captions=["90 % identified"])
    assert panels(alone)[0].get_title() == "90 % identified"
    assert not panels(alone)[0].lines
    assert "best monotone path" not in words(alone)


def test_numbers_left_out_leave_the_dots():
    figure = draw_heatmap([matrix(band(200, 200))], HeatmapStyle(mark_best=True, annotate=True))
    assert len(panels(figure)[0].lines) == 1
    assert not panels(figure)[0].patches


# Style


@pytest.mark.parametrize("size", [(8, 4), (3.25, 3.0), (4.5, 12), (2, 2), (1, 1)])
def test_size_and_dpi_are_honoured_exactly(size):
    data = written(draw_heatmap, [matrix(band(10, 10))], HeatmapStyle(size=size, dpi=100, title="T"), "png")
    assert imread(BytesIO(data)).shape[:2] == (size[1] * 100, size[0] * 100)


def test_one_column_of_a_paper_is_filled():
    figure = draw_heatmap([matrix(band(10, 10))], HeatmapStyle(size=(3.25, 3)))
    figure.draw_without_rendering()
    (bar,) = bars(figure)
    assert (panels(figure)[0].get_title(), bar.get_ylabel()) == ("cka, linear", "")
    axes = panels(figure)[0]
    top, bottom = axes.title.get_window_extent().y1, axes.xaxis.label.get_window_extent().y0
    assert top - bottom > 0.82 * figure.bbox.height


@pytest.mark.parametrize("kernels", [("linear",), ("linear", "rbf:sigma=0.4")])
def test_the_bar_lies_below_where_that_leaves_more_for_the_cells(kernels):
    figure = draw_heatmap([matrix(band(10, 10), kernel=kernel) for kernel in kernels], HeatmapStyle(size=(3, 4)))
    figure.draw_without_rendering()
    (bar,) = bars(figure)
    cells = [axes.get_window_extent() for axes in panels(figure)]
    box = bar.get_window_extent()
    assert box.y1 < cells[0].y0
    assert (box.x0, box.x1) == pytest.approx((cells[0].x0, cells[-1].x1), abs=2)
    assert bar.get_xlabel().startswith("cka")
    labels = bar.xaxis.get_ticklabels()
    assert overlapping([*labels, bar.xaxis.label]) == 0
    assert all(box.x0 - 1 <= label.get_window_extent().x0 for label in labels)
    assert all(label.get_window_extent().x1 <= box.x1 + 1 for label in labels)
    for text in figure.findobj(Text):
        if text.get_text() and text.get_visible():
            assert figure.bbox.padded(0.5).containsy(text.get_window_extent().y0)


def test_the_label_of_a_shared_bar_goes_when_every_heading_has_it_and_the_width_is_scarce():
    pair = [matrix(band(10, 10), kernel=kernel) for kernel in ("linear", "rbf")]
    assert bars(draw_heatmap(pair, HeatmapStyle(size=(4, 2.3))))[0].get_ylabel() == ""
    small = [replace(one, values=one.values * 1e-7, measure="hsic", kernel="") for one in pair]
    (bar,) = bars(draw_heatmap(small, HeatmapStyle(size=(4, 2.3))))
    assert "×10" in bar.get_ylabel() + bar.get_xlabel()


def test_a_small_size_drops_words_before_cells():
    figures = [draw_heatmap([matrix(band(10, 10))], HeatmapStyle(size=(side, side))) for side in (4, 2, 1)]
    assert [bool(panels(figure)[0].get_xlabel()) for figure in figures] == [True, False, False]
    assert [bool(bars(figure)) for figure in figures] == [True, True, False]
    for figure, side in zip(figures, (4, 2, 1), strict=True):
        assert panels(figure)[0].get_window_extent().width > 0.4 * side * figure.dpi


@pytest.mark.parametrize(
    ("style", "message"),
    [
        (HeatmapStyle(cmap="magna"), "colour map: matplotlib has none of this name ('magna'); did you mean 'magma'?"),
        (
            HeatmapStyle(cmap="\nzzzz"),
            "colour map: matplotlib has none of this name ('\\nzzzz'); give one of matplotlib's, such as magma, "
            "viridis or cividis",
        ),
        (HeatmapStyle(vmin=1, vmax=1), "vmin: must be below vmax (1 and 1); swap them or leave one out"),
        (
            HeatmapStyle(vmin=float("nan")),
            "vmin: must be a finite number (nan); leave it out to use the data's range",
        ),
        (
            HeatmapStyle(vmax=float("inf")),
            "vmax: must be a finite number (inf); leave it out to use the data's range",
        ),
        (HeatmapStyle(dpi=19), "dpi: must be from 20 to 1200 (19); 200 suits most papers"),
        (HeatmapStyle(dpi=1201), "dpi: must be from 20 to 1200 (1201); 200 suits most papers"),
        (
            HeatmapStyle(size=(0.9, 5)),
            "size: each side must be from 1 to 50 inches (0.9); give width and height in inches",
        ),
        (
            HeatmapStyle(size=(5, float("nan"))),
            "size: each side must be from 1 to 50 inches (nan); give width and height in inches",
        ),
        (
            HeatmapStyle(size=(5, 40), dpi=1000),
            "size: more than 30000 pixels on a side (40 inches at 1000 dpi); give a smaller size or dpi",
        ),
    ],
)
def test_styles_that_cannot_be_drawn(style, message):
    with pytest.raises(UsageError) as caught:
        draw_heatmap([matrix(band(3, 3))], style)
    assert str(caught.value) == message


def test_a_size_without_room_for_the_panels():
    with pytest.raises(UsageError) as caught:
        draw_heatmap([matrix(band(3, 3))] * 40, HeatmapStyle(size=(1, 1)))
    assert str(caught.value) == "size: no room for 40 panels (1 x 1 inches); give a larger size"


@pytest.mark.parametrize(
    ("file_format", "message"),
    [
        ("pgn", "picture: unknown format ('pgn'); did you mean 'png'?"),
        ("gif\n", "picture: unknown format ('gif\\n'); give png, svg or pdf"),
    ],
)
def test_unknown_formats(file_format, message):
    with pytest.raises(UsageError) as caught:
        written(draw_heatmap, [matrix(band(3, 3))], HeatmapStyle(), file_format)
    assert str(caught.value) == message


def test_nothing_to_draw():
    with pytest.raises(DataError, match="no matrix to draw"):
        draw_heatmap([])
    with pytest.raises(DataError) as caught:
        draw_heatmap([matrix(np.empty((0, 3)), rows=[], columns=["a", "b", "c"])])
    assert str(caught.value) == "cka, linear: nothing to draw (0 rows, 3 columns); give at least one layer"


# Files


FORMATS = ["png", "svg", "pdf"]
CHILD = """
import hashlib, numpy as np
from cka_cli.pictures.heatmap import HeatmapStyle, draw_heatmap
from cka_cli.results.matrix import Matrix
from tests.pictures.written import written
values = np.linspace(-0.2, 1, 12).reshape(3, 4); values[1, 1] = np.nan
one = Matrix(values, ("a", "b$", "c"), ("d", "e", "f", "é"), "x.h5", "y.h5", "cka-debiased", "linear")
style = HeatmapStyle(annotate=True, mark_best=True, title="T")
for file_format in ("png", "svg", "pdf"):
    print(hashlib.sha256(written(draw_heatmap, [one, one], style, file_format)).hexdigest())
"""


def test_the_same_input_gives_the_same_bytes_in_any_process(tmp_path):
    (tmp_path / "matplotlibrc").write_text("svg.fonttype: none\nfont.size: 20\nsavefig.dpi: 33\naxes.grid: True\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MATPLOTLIB"))}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    variants = [{"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "MATPLOTLIBRC": str(tmp_path)}]
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD], env=environment | more, stdout=subprocess.PIPE, text=True)
        for more in variants
    ]
    outputs = [child.communicate(timeout=300)[0].split() for child in children]
    assert len(outputs[0]) == 3
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("file_format", FORMATS)
def test_bytes_are_the_same_twice_and_hold_no_date(file_format):
    matrices = [matrix(band(3, 3))]
    first, second = (written(draw_heatmap, matrices, HeatmapStyle(), file_format) for _ in range(2))
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[file_format])
    for word in (b"CreationDate", b"dc:date", b"Software", b"atplotlib v"):
        assert word not in first


def test_a_users_settings_change_nothing_and_are_kept():
    matrices, style = [matrix(band(3, 3))], HeatmapStyle(title="T")
    plain = [written(draw_heatmap, matrices, style, file_format) for file_format in FORMATS]
    theirs = {"axes.facecolor": "red", "font.size": 30, "savefig.bbox": "tight", "image.origin": "upper"}
    with matplotlib.rc_context(theirs):
        assert [written(draw_heatmap, matrices, style, file_format) for file_format in FORMATS] == plain
        assert all(matplotlib.rcParams[name] == value for name, value in theirs.items())


def test_vector_files_hold_whole_cells_as_an_image_and_fonts_publishers_accept():
    matrices = [matrix(band(200, 200))]
    svg = written(draw_heatmap, matrices, HeatmapStyle(), "svg")
    images = [node for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}image")]
    assert max(float(image.get("width", "0").rstrip("px")) for image in images) > 300
    assert len(svg) < 1_000_000
    assert b"<text" not in svg
    pdf = written(draw_heatmap, matrices, HeatmapStyle(), "pdf")
    assert b"/Type3" not in pdf
    assert b"/Subtype /Image" in pdf


def test_cells_smaller_than_a_pixel_are_averaged_not_dropped():
    values = np.zeros((900, 900))
    values[::3] = 1
    image = panels(draw_heatmap([matrix(values)], HeatmapStyle(dpi=20)))[0].images[0]
    assert image.get_interpolation() in ("antialiased", "auto")
    assert panels(draw_heatmap([matrix(band(200, 200))]))[0].images[0].get_interpolation() == "nearest"


def test_pyplot_is_never_imported():
    code = "import sys, cka_cli.pictures.heatmap as h; print('matplotlib.pyplot' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
