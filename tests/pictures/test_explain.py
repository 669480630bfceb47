"""The picture of an explanation: words that can be read, never overlap and are literal; the same bytes again."""

from itertools import combinations

import numpy as np
import pytest

from cka_cli.analysis.components import Explanation, pair_components, spectrum_of
from cka_cli.analysis.summary import sentence_of
from cka_cli.errors import UsageError
from cka_cli.pictures.explain import draw_explained
from tests.pictures.written import written
from tests.small_files import factorise

LONG = "encoder/block.10/attention/output/dense/LayerNorm/and/more/of/it"
NAMES = {"short": ("conv5", "conv5"), "long": (LONG, LONG + "2"), "odd": ("$x$", "W" * 60)}
CASES = {
    "plain": ((60, 30, 20), 10),
    "saturated": ((20, 40, 30), 10),
    "all of many": ((90, 80, 70), 100),
    "one beside many": ((60, 1, 30), 10),
    "many beside one": ((60, 30, 1), 10),
    "few beside very many": ((150, 140, 4), 200),
    "one beside one": ((60, 1, 1), 10),
    "three": ((60, 3, 2), 10),
}


def explained(sizes, names=("conv5", "conv5"), files=("runs/a.h5", "runs/b.h5")):
    n, *widths = sizes
    rng = np.random.default_rng(0)
    signal, parts = rng.standard_normal((n, 2)), []
    for width, name, file in zip(widths, names, files, strict=True):
        layer = signal @ rng.standard_normal((2, width)) + 0.5 * rng.standard_normal((n, width))
        factors = factorise(name, layer * 0.9 ** np.arange(width))
        parts += [spectrum_of(factors, file, name), factors.basis]
    pairs = pair_components(*parts)
    return Explanation(pairs, sentence_of(pairs))


def words_of(figure):
    """Every text in sight with its extent in pixels."""
    figure.canvas.draw()
    texts = list(figure.texts)
    for axes in figure.axes:
        texts += [axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()]
    return [(text, text.get_window_extent()) for text in texts if text.get_text() and text.get_visible()]


@pytest.mark.parametrize("names", [("conv5", "conv5"), (LONG, "$x$" + "W" * 60)], ids=["short", "long"])
@pytest.mark.parametrize(("sizes", "n"), CASES.values(), ids=CASES)
def test_words_can_be_read_stay_on_the_page_and_never_overlap(sizes, n, names):
    figure = draw_explained(explained(sizes, names), n)
    words = words_of(figure)
    assert all(text.get_fontsize() >= 7 for text, _ in words)
    assert not any(text.get_parse_math() for text in figure.texts)
    for text, extent in words:
        assert figure.bbox.x0 <= extent.x0, text
        assert extent.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= extent.y0, text
        assert extent.y1 <= figure.bbox.y1, text
    for (one, first), (other, second) in combinations(words, 2):
        assert not first.padded(-1).overlaps(second.padded(-1)), (one, other)
    for text, extent in words:
        for axes in figure.axes:
            assert not axes.bbox.padded(-1).overlaps(extent.padded(-1)), (text, axes)
    for one, other in combinations(figure.axes, 2):
        assert not one.bbox.padded(-1).overlaps(other.bbox.padded(-1))


def test_the_panels_hold_what_was_worked_out():
    explanation = explained((60, 30, 20))
    pairs = explanation.pairs
    figure = draw_explained(explanation, 7)
    alignment, shares = (axes.images[0].get_array() for axes in figure.axes if axes.images)
    np.testing.assert_array_equal(alignment, pairs.alignment[:7, :7])
    np.testing.assert_allclose(shares, 100 * pairs.contributions[:7, :7] / pairs.cka)
    cka, cca = figure.axes[-1].lines
    for line, expected in zip((cka, cca), pairs.shares_of_first(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 31))
        np.testing.assert_allclose(line.get_ydata(), 100 * expected)
    texts = [text.get_text() for text, _ in words_of(figure)]
    assert "X, a.h5::conv5" in texts
    assert texts.count("Y, b.h5::conv5") == 2
    assert any(text.startswith(f"CKA {pairs.cka:.3f}, 60 examples") for text in texts)


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_the_same_input_gives_the_same_bytes(file_format):
    explanation = explained((60, 30, 20))
    first = written(draw_explained, explanation, 10, file_format)
    assert first == written(draw_explained, explained((60, 30, 20)), 10, file_format)
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[file_format])


def test_names_are_literal():
    names = ("$\\frac{a}{b}$", "a\nb\x1b漢")
    texts = [text.get_text() for text, _ in words_of(draw_explained(explained((30, 5, 4), names)))]
    assert "X, a.h5::$\\frac{a}{b}$" in texts
    assert r"Y, b.h5::a\nb\x1b\u6f22" in texts


def test_a_similarity_of_nothing_is_drawn_as_none():
    basis = np.linalg.qr(np.c_[np.ones(40), np.random.default_rng(0).standard_normal((40, 8))])[0][:, 1:]
    parts = []
    for name, layer in (("x", basis[:, :4]), ("y", basis[:, 4:])):
        factors = factorise(name, layer * [4, 3, 2, 1])
        parts += [spectrum_of(factors, "a.h5", name), factors.basis]
    figure = draw_explained(Explanation(pair_components(*parts), ""))
    assert any("no pair contributes" in text.get_text() for text, _ in words_of(figure))
    assert figure.axes[4].images[0].get_array().mask.all()


def test_another_format_is_refused():
    with pytest.raises(UsageError, match="unknown format"):
        written(draw_explained, explained((30, 5, 4)), 10, "gif")
