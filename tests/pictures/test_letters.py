"""Letters that the font of all pictures lacks: of another font of this machine, or escapes and a note."""

import numpy as np
import pytest
from matplotlib.font_manager import FontProperties, findfont, get_font

from cka_cli.errors import UsageError
from cka_cli.pictures import canvas
from cka_cli.pictures.heatmap import HeatmapStyle, check_drawable, draw_heatmap
from cka_cli.pictures.words import literal, width_in
from cka_cli.results.matrix import Matrix
from tests.cli.command import run_here
from tests.pictures.written import written
from tests.small_files import values


@pytest.fixture
def only_stix(monkeypatch):
    """A machine with one font beside the usual one: STIXGeneral, which comes with matplotlib too."""
    monkeypatch.setattr(canvas, "_other_families", lambda: ("STIXGeneral",))
    monkeypatch.setattr(canvas, "_borrowed", set())


def letters_of(family):
    return set(get_font(findfont(FontProperties(family=family))).get_charmap())


def borrowed_letters(n):
    lacking = sorted(letters_of("STIXGeneral") - letters_of(canvas.FONT))
    return [chr(code) for code in lacking if chr(code).isalpha() and chr(code).isprintable() and code < 0xE000][:n]


def drawn(name, file_format="png"):
    matrix = Matrix(np.array([[1.0, 0.5]]), (f"row {name}",), (f"column {name}", "other"))
    return written(draw_heatmap, [matrix], HeatmapStyle(title=name), file_format)


def test_a_letter_of_another_font_is_drawn(only_stix):
    letter, other = borrowed_letters(2)
    with canvas.missing_letters() as missing:
        assert literal(f"x{letter}\u4e2d\n") == f"x{letter}\\u4e2d\\n"
    assert missing == {"\u4e2d"}
    assert canvas.families() == [canvas.FONT, "STIXGeneral"]
    assert width_in(letter, 8) > 0
    assert drawn(letter) != drawn(other)
    with canvas.settings():
        assert canvas.matplotlib.rcParams["font.family"] == [canvas.FONT, "STIXGeneral"]


@pytest.mark.parametrize("file_format", ["png", "svg", "pdf"])
def test_what_was_drawn_before_changes_nothing(only_stix, file_format):
    (letter,) = borrowed_letters(1)
    plain, strange = drawn("conv1", file_format), drawn(letter, file_format)
    assert (drawn("conv1", file_format), drawn(letter, file_format)) == (plain, strange)


def test_fonts_without_letters_of_their_own_are_never_taken():
    families = canvas._other_families()
    assert canvas.FONT not in families
    assert not [family for family in families if family.startswith(("cm", "Last", "STIXSize", "STIXNon"))]
    assert list(families) == sorted(families, key=lambda name: ("Sans" not in name and "Gothic" not in name, name))


def test_a_font_that_cannot_be_read_has_no_letters():
    assert canvas._letters_of("no such font") == frozenset()


def test_the_missing_letters_of_a_picture_are_none_of_another(only_stix):
    drawn("\u6587")  # and nobody asks which it lacks
    with canvas.missing_letters() as missing:
        drawn("\u4e2d")
        with canvas.missing_letters() as within:
            drawn("\u6587")
        with pytest.raises(UsageError), canvas.missing_letters():
            drawn("\u6587", "xyz")
        check_drawable([Matrix(np.ones((1, 1)), ("\u4e2d",), ("p",))], HeatmapStyle())
    drawn("\u6587")
    assert (missing, within) == ({"\u4e2d"}, {"\u6587"})


@pytest.mark.parametrize("arguments", [["heatmap", "r.csv", "-o"], ["match", "a.npz", "--plot"],
    ["match", "a.npz", "b.npz", "--plot"], ["explain", "a.npz::p", "b.npz::p", "--plot"],
    ["diagnose", "a.npz", "b.npz", "--plot"]])  # fmt: skip
def test_a_note_is_of_no_picture_drawn_before(only_stix, tmp_path, monkeypatch, capsysbinary, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.csv").write_text("layer,p\nr,0.5\n")
    for seed, name in enumerate("ab"):
        np.savez(tmp_path / f"{name}.npz", p=values(24, 5, seed=seed), q=values(24, 4, seed=seed + 2))
    drawn("\u6587")
    ended = run_here([*arguments, "x.png"], capsysbinary)
    assert (ended.status, "no font" in ended.err) == (0, False), ended


@pytest.mark.parametrize(("letters", "shown"), [("\u4e2d", "\u4e2d"), ("\u6587\u4e2d", "\u4e2d \u6587")])
def test_a_note_names_the_letters_that_no_font_has(only_stix, tmp_path, monkeypatch, capsysbinary, letters, shown):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.csv").write_text(f"layer,{letters}\nr,0.5\n", encoding="utf-8")
    ended = run_here(["heatmap", "r.csv", "-o", "x.png"], capsysbinary)
    assert (
        ended.err
        == f"Note: picture: no font on this machine has {shown}, so escapes stand for them; install one that does\n"
    )
    assert run_here(["heatmap", "r.csv", "-o", "x.png", "-f", "-q"], capsysbinary).err == ""
    (tmp_path / "many.csv").write_text(
        "layer," + "".join(map(chr, range(0x4E00, 0x4E20))) + "\nr,0.5\n", encoding="utf-8"
    )
    assert " ..., so escapes" in run_here(["heatmap", "many.csv", "-o", "y.png"], capsysbinary).err
