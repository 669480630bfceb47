"""Layers with long names stay different from each other in every table, and in every picture that shortens names."""

import re

import numpy as np
import pytest

from cka_cli.api.diagnose import diagnose
from cka_cli.api.explain import explain
from cka_cli.api.match import study_depth
from cka_cli.pictures.depth import draw_depth
from cka_cli.pictures.diagnose import draw_diagnosis
from cka_cli.pictures.explain import draw_explained
from cka_cli.report import Screen
from tests.cli.command import run_here
from tests.small_files import write_hdf5

KINDS = {
    "modules": "base_model.model.model.layers.{}.self_attn.o_proj.lora_B.default",
    "folders": "network/encoder/blocks/block_{}/attention/output/dense/activation",
    "one word": "the_output_of_the_residual_block_number_{}_of_the_network_behind_its_normalisation",
}
LAYERS = 12
NUMBERS = {str(number) for number in range(LAYERS)}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def here(request, tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    layers, values = {}, generator.normal(size=(30, 5))
    for number in range(LAYERS):
        values = np.tanh(values + 0.4 * generator.normal(size=values.shape))
        layers[request.param.format(number)] = values
    write_hdf5(tmp_path / "a.h5", layers)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def numbers_in(text):
    """Return the number in each shortened name; the names differ by it."""
    return {re.sub(r"\D", "", name) for name in re.findall(r"\S*…\S*", text)} - {""}


@pytest.mark.parametrize("width", [80, 120, 100_000])
@pytest.mark.parametrize(
    "command",
    ["compare a.h5", "match a.h5", "match a.h5 a.h5 --report partners", "diagnose a.h5 --all"],
)
def test_shortened_names_stay_different_in_tables(here, capsysbinary, monkeypatch, command, width):
    monkeypatch.setattr("cka_cli.cli.writing._screen", lambda output: Screen(width))
    ended = run_here([*command.split(), "--format", "table", "-q"], capsysbinary)
    assert ended.status == 0
    table = re.sub(r"layer[^\n]*is like|from [^\n]* on ", "", ended.out.decode())
    assert numbers_in(table) == NUMBERS


def test_names_beyond_any_screen_stay_different_in_inspect(tmp_path, capsysbinary):
    values = np.random.default_rng(0).normal(size=(9, 2))
    names = [f"{'block.' * 30}{number}.{'dense.' * 30}kernel" for number in range(LAYERS)]
    write_hdf5(tmp_path / "a.h5", dict.fromkeys(names, values))
    ended = run_here(["inspect", tmp_path / "a.h5", "--format", "table"], capsysbinary)
    assert numbers_in(ended.out.decode()) == NUMBERS


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_shortened_names_stay_different_in_pictures(here):
    first, *_, last = [layer.name for layer in study_depth("a.h5").comparison.files[0].layers]
    of_legends = {text for text in texts(draw_diagnosis(diagnose("a.h5"), everything=True)) if "…" in text}
    assert len(of_legends) >= LAYERS  # two in the legends, and a name for each pair of neighbours
    figure = draw_diagnosis(diagnose("a.h5"), everything=True)
    legends = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in figure.axes if axes.get_legend()]
    assert all(len(set(legend)) == len(legend) for legend in legends)
    explanation = explain(f"a.h5::{first}", f"a.h5::{last}")
    assert len({text[3:] for text in texts(draw_explained(explanation)) if "…" in text}) == 2
    names = {text for text in texts(draw_depth(study_depth("a.h5").studies)) if text.startswith("…")}
    assert len(names) >= LAYERS
