"""The figure of a study of depth: what is drawn where, literal words, and the same bytes."""

import itertools

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from cka_cli.analysis.depth import DepthStudy, study
from cka_cli.errors import DataError, UsageError
from cka_cli.pictures.depth import draw_depth
from cka_cli.results.matrix import Matrix
from tests.pictures.written import written


def made(n_layers: int, *, n_alike: int = 0, measure: str = "cka", name: str = "conv{}", **facts) -> DepthStudy:
    """A band along the diagonal, the last `n_alike` layers all alike."""
    values = 0.9 * np.exp(-np.abs(np.subtract.outer(np.arange(n_layers), np.arange(n_layers))) / 5)
    values[n_layers - n_alike :, n_layers - n_alike :] = 0.97
    np.fill_diagonal(values, 1)
    names = tuple(name.format(place) for place in range(1, n_layers + 1))
    matrix = Matrix(values, names, names, "runs/deep.h5", "runs/deep.h5", measure, "linear", 9)
    return study(matrix, facts.get("dimensions", tuple(np.linspace(2, 40, n_layers))), 0.95)


def by_gid(figure: Figure, gid: str) -> list:
    return list(figure.findobj(lambda artist: artist.get_gid() == gid))


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible())


def rows_of(axes: Axes) -> tuple[float, float]:
    return axes.get_ylim()


@pytest.mark.parametrize("n_layers", [2, 8, 64])
def test_the_curves_stand_beside_the_rows_of_the_map(n_layers):
    found = made(n_layers)
    figure = draw_depth([found])
    heat_map = figure.axes[0]
    np.testing.assert_array_equal(heat_map.images[0].get_array(), found.matrix.values)
    assert heat_map.images[0].origin == "lower"
    for gid in ("last", "before", "dimension"):
        (line,) = by_gid(figure, gid)
        np.testing.assert_array_equal(line.get_ydata(), range(n_layers))
        assert rows_of(line.axes) == rows_of(heat_map) == (-0.5, n_layers - 0.5)
        one, other = line.axes.get_position(), heat_map.get_position()
        assert (one.y0, one.y1) == pytest.approx((other.y0, other.y1))
    np.testing.assert_array_equal(by_gid(figure, "last")[0].get_xdata(), found.matrix.values[:, -1])
    np.testing.assert_array_equal(by_gid(figure, "before")[0].get_xdata()[1:], np.diag(found.matrix.values, 1))
    np.testing.assert_array_equal(by_gid(figure, "dimension")[0].get_xdata(), np.linspace(2, 40, n_layers))
    assert by_gid(figure, "threshold")[0].get_xdata()[0] == 0.95


def test_the_colour_bar_is_the_axis_of_the_curves():
    figure = draw_depth([made(5)])
    curves = by_gid(figure, "last")[0].axes
    (bar,) = [axes for axes in figure.axes if axes.images and axes is not figure.axes[0]]
    assert bar.get_xlim() == curves.get_xlim() == figure.axes[0].images[0].get_clim() == (0, 1)
    assert (bar.get_position().x0, bar.get_position().y1) == pytest.approx(
        (curves.get_position().x0, curves.get_position().y0)
    )


def test_what_adds_nothing_is_framed_and_said():
    figure = draw_depth([made(9, n_alike=4)])
    for frame in by_gid(figure, "frame"):
        assert (frame.get_x(), frame.get_y(), frame.get_width(), frame.get_height()) == (4.5, 4.5, 4, 4)
    assert len(by_gid(figure, "frame")) == 2  # a white line on a black one
    assert "any two ≥ 0.95: conv6 to conv9" in words(figure)
    assert "all ≥ 0.95 with the last: from conv6 on" in words(figure)
    plain = draw_depth([made(9)])
    assert not by_gid(plain, "frame")
    assert "≥" not in words(plain)


def test_values_without_a_bound_have_their_own_range_and_no_threshold():
    figure = draw_depth([made(4, measure="hsic")])
    assert figure.axes[0].images[0].get_clim() == pytest.approx((0.9 * np.exp(-0.6), 1))
    assert not by_gid(figure, "threshold")


def test_without_dimensions_there_is_no_panel_for_them():
    with_them, without = draw_depth([made(4)]), draw_depth([made(4, dimensions=())])
    assert not by_gid(without, "dimension")
    assert without.get_size_inches()[0] < with_them.get_size_inches()[0] - 1


def test_several_studies_stand_below_each_other_with_one_axis_of_dimensions():
    figure = draw_depth([made(4), made(9, dimensions=tuple(np.full(9, 200.0)))])
    one, other = (line.axes for line in by_gid(figure, "dimension"))
    assert one.get_xlim() == other.get_xlim()
    assert {len(line.get_ydata()) for line in by_gid(figure, "last")} == {4, 9}
    first, second = (axes for axes in figure.axes if len(axes.images) and axes.get_ylim()[0] == -0.5)
    assert len(first.images[0].get_array()) == 9  # drawn from the bottom up
    assert first.get_position().y1 < second.get_position().y0


@pytest.mark.parametrize("name", ["conv{}", "encoder/layer.{}/attention/output/dense/kernel_of_the_projection"])
@pytest.mark.parametrize("n_layers", [2, 17, 64, 300])
def test_names_do_not_overlap_and_stay_on_the_figure(name, n_layers):
    figure = draw_depth([made(n_layers, name=name)])
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert min(box.x0 for box in boxes) >= 0
    whole = figure.bbox
    for text in figure.findobj(Text):
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert box.x0 >= -1
            assert box.x1 <= whole.x1 + 1, text.get_text()


def test_names_are_literal():
    figure = draw_depth([made(3, name="$\\frac{{}}\x1b_{}")])
    figure.draw_without_rendering()
    assert "\x1b" not in words(figure)


@pytest.mark.parametrize(("file_format", "head"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF-")])
def test_the_same_study_gives_the_same_bytes(file_format, head):
    one, other = (written(draw_depth, [made(5, n_alike=2)], file_format) for _ in range(2))
    assert one.startswith(head)
    assert one == other


def test_what_cannot_be_drawn():
    with pytest.raises(DataError, match="no network to draw"):
        draw_depth([])
    with pytest.raises(UsageError, match="unknown format"):
        written(draw_depth, [made(3)], "gif")
    cells = np.full((2, 2), np.nan)
    nothing = study(Matrix(cells, ("a", "b"), ("a", "b"), measure="cka"), (np.nan, np.nan), 0.95)
    assert written(draw_depth, [nothing], "png").startswith(b"\x89PNG")


@pytest.mark.parametrize(("lowest", "end"), [(-1e-17, 0.0), (-9e-7, 0.0), (-0.25, -0.25), (0.25, 0.0)])
def test_what_rounding_leaves_below_zero_is_a_zero(lowest, end):
    values = np.array([[1.0, lowest], [lowest, 1.0]])
    matrix = Matrix(values, ("a", "b"), ("a", "b"), "a.h5", "a.h5", "cka", "linear", 9)
    figure = draw_depth([study(matrix, (), 0.95)])
    assert by_gid(figure, "last")[0].axes.get_xlim() == figure.axes[0].images[0].get_clim() == (end, 1)
