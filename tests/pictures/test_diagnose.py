"""The picture of a diagnosis: which panels, every word within it and none on another, the same bytes each time."""

from itertools import combinations

import numpy as np
import pytest

from cka_cli.analysis.reliability.rules import CHECKS, DISTRUST
from cka_cli.api.diagnose import diagnose
from cka_cli.errors import DataError, UsageError
from cka_cli.pictures.diagnose import _PANELS, draw_diagnosis
from tests.pictures.written import written
from tests.small_files import values, write_hdf5

TITLES = ["chance", "components", "rows", "rows left out", "rescaled", "kernel width"]


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory):
    """`diagnosed(n_layers, name, far=..., with_labels=...)`: of layers that resemble each other less and less."""
    folder = tmp_path_factory.mktemp("figures")

    def run(n_layers=2, name="conv", *, far=False, with_labels=True):
        x = values(60, 20)
        if far:
            x[7] += 1000
        layers = {f"{name}{number}": x + 0.3 * number * values(60, 20, seed=number) for number in range(n_layers)}
        if with_labels:
            layers["labels"] = np.arange(60) % 5
        return diagnose(write_hdf5(folder / "a file.h5", layers))

    return run


def titles_of(figure):
    return [axes.texts[[text.get_fontsize() for text in axes.texts].index(8.0)].get_text() for axes in figure.axes]


def words_of(figure):
    """Each text that is not empty, with its box in inches of the page."""
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    texts = list(figure.texts)
    for axes in figure.axes:
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        texts += [*axes.texts, axes.xaxis.label, axes.yaxis.label]
        texts += axes.get_legend().get_texts() if axes.get_legend() else []
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts if text.get_text()]
    return [(text, box.x0, box.y0, box.x1, box.y1) for text, box in boxes]


def test_what_is_fine_is_left_out_unless_all_is_asked_for(diagnosed):
    diagnosis = diagnosed(far=True)
    assert titles_of(draw_diagnosis(diagnosis, everything=True)) == TITLES
    shown = titles_of(draw_diagnosis(diagnosis))
    found = {finding.check for finding in diagnosis.findings if finding.verdict != "fine"}
    assert shown == [panel.title for panel in _PANELS if panel.title == "chance" or found & set(panel.checks)]
    assert "rows" in shown
    assert len(titles_of(draw_diagnosis(diagnosed()))) < 6


def test_every_check_of_a_pair_or_of_rows_stands_in_one_panel():
    of_panels = [check for panel in _PANELS for check in panel.checks]
    assert len(of_panels) == len(set(of_panels))
    assert set(CHECKS) - set(of_panels) == {
        "doubled-rows", "dead-features", "constant-layer", "halved-by-row", "halved-by-label", "same-layer",
        "without-doubled",
    }  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {}, {"far": True}, {"n_layers": 12}, {"n_layers": 45}, {"with_labels": False},
        {"name": "encoder/layer.10/attention/output/dense/"}, {"n_layers": 5, "name": "$x_1$ [/x] \u4e2d\n"},
    ],
    ids=str,
)  # fmt: skip
def test_every_word_lies_in_the_picture_and_none_on_another(diagnosed, options):
    figure = draw_diagnosis(diagnosed(**options), everything=True)
    width, height = figure.get_size_inches() * figure.dpi
    words = words_of(figure)
    for text, x0, y0, x1, y1 in words:
        assert min(x0, y0) >= -1, text
        assert (x1 <= width + 1, y1 <= height + 1) == (True, True), text
    for (one, *a), (other, *b) in combinations(words, 2):
        overlap = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        assert min(overlap) < 3, (one, other)


def test_rows_that_carry_a_layer_are_named(diagnosed):
    figure = draw_diagnosis(diagnosed(far=True))
    axes = figure.axes[titles_of(figure).index("rows")]
    assert "100% carried by\nrow 7" in [text.get_text() for text in axes.texts]
    verdicts = [text for text in axes.texts if text.get_text() == DISTRUST]
    assert [text.get_color() for text in verdicts] == ["#b2182b"]


def test_a_label_that_decides_is_named(tmp_path):
    x = values(100, 20)
    moved = x.copy()
    moved[np.arange(100) % 5 == 3] += 20
    diagnosis = diagnose(write_hdf5(tmp_path / "a.h5", {"x": x, "y": moved, "labels": np.arange(100) % 5}))
    figure = draw_diagnosis(diagnosis)
    axes = figure.axes[titles_of(figure).index("rows left out")]
    assert [text.get_text() for text in axes.texts if text.get_text().startswith("label")] == ["label 3"]


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_the_same_diagnosis_gives_the_same_bytes(diagnosed, file_format):
    diagnosis = diagnosed()
    assert written(draw_diagnosis, diagnosis, file_format) == written(draw_diagnosis, diagnosis, file_format)


def test_what_cannot_be_drawn(diagnosed):
    with pytest.raises(DataError, match="nothing to draw"):
        draw_diagnosis(diagnosed(1))
    with pytest.raises(UsageError, match="unknown format"):
        written(draw_diagnosis, diagnosed(), "gif")


def test_values_below_zero_are_on_the_axis(tmp_path):
    diagnosis = diagnose(write_hdf5(tmp_path / "a.h5", {"x": values(9, 3), "y": values(9, 3, seed=5)}))
    lowest = min(diagnosis.pairs[0].debiased, *(value for _, _, value in diagnosis.pairs[0].rbf))
    assert lowest < 0
    for axes in draw_diagnosis(diagnosis, everything=True).axes:
        shown = [value for line in axes.lines for value in np.ravel(line.get_ydata()) if np.isfinite(value)]
        low, high = axes.get_ylim()
        assert low <= min(shown)
        assert max(shown) <= high
