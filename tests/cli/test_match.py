import io
import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cka_cli import match, study_depth
from cka_cli.analysis.depth import DEFAULT_THRESHOLD
from cka_cli.cli.match import match_command
from cka_cli.report.match import ACCURACY_HEADER, DEPTH_HEADER, PARTNERS_HEADER
from tests.cli.command import run_child, run_here
from tests.small_files import write_hdf5, write_networks

PNG = b"\x89PNG\r\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    write_networks(tmp_path, 3)
    (tmp_path / "deeper").mkdir()
    write_networks(tmp_path / "deeper", 1, 7)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(out):
    return pd.read_csv(io.BytesIO(out), keep_default_na=False)


@pytest.mark.parametrize(
    ("typed", "header"),
    [
        ("net0.h5 net1.h5", ACCURACY_HEADER),
        ("net0.h5 net1.h5 --report partners", PARTNERS_HEADER),
        ("net0.h5 deeper/net0.h5", PARTNERS_HEADER),
        ("net0.h5", DEPTH_HEADER),
        ("net0.h5 net1.h5 --report depth", DEPTH_HEADER),
    ],
)
def test_one_csv_holds_the_table_that_suits_or_that_is_asked_for(here, capsysbinary, typed, header):
    ended = run_here(["match", *typed.split()], capsysbinary)
    assert ended.status == 0
    assert tuple(read(ended.out).columns) == header


def test_values_are_those_of_the_library(here, capsysbinary):
    chosen = ["-m", "cka", "-m", "svcca-r2", "-k", "linear", "-k", "rbf:sigma=0.4"]
    frame = read(run_here(["match", "net0.h5", "net1.h5", "net2.h5", *chosen], capsysbinary).out)
    found = match(
        ["net0.h5", "net1.h5", "net2.h5"], measures=["cka", "svcca-r2"], kernels=["linear", "rbf:sigma=0.4"]
    ).identifications
    assert frame["accuracy"].tolist() == pytest.approx([each.accuracy for each in found])
    assert frame["measure"].tolist() == [each.measure for each in found]
    depth = read(run_here(["match", "net0.h5", "--threshold", "0.5"], capsysbinary).out)
    (study,) = study_depth("net0.h5", threshold=0.5).studies
    assert depth["to_last"].tolist() == pytest.approx([layer.to_last for layer in study.layers])


def test_json_holds_everything_and_is_read_by_heatmap(here, capsysbinary):
    ended = run_here(["match", "net0.h5", "net1.h5", "-o", "all.json", "--seed", "3"], capsysbinary)
    assert (ended.status, ended.out) == (0, b"")
    document = json.loads((here / "all.json").read_bytes())
    assert document["options"]["seed"] == 3
    assert document["options"]["measures"] == ["cka"]
    assert "plot" not in document["options"]
    assert [file["path"] for file in document["files"]] == ["net0.h5", "net1.h5"]
    assert (len(document["accuracies"]), len(document["pairs"]), len(document["matrices"])) == (1, 2, 2)
    assert run_here(["heatmap", "all.json"], capsysbinary).out.startswith(PNG)
    run_here(["match", "net0.h5", "-o", "depth.json"], capsysbinary)
    assert json.loads((here / "depth.json").read_bytes())["depth"][0]["file"] == "net0.h5"
    assert run_here(["heatmap", "depth.json"], capsysbinary).out.startswith(PNG)


def test_the_default_threshold_is_that_of_the_library():
    threshold = next(option for option in match_command.params if option.name == "threshold")
    assert threshold.default == DEFAULT_THRESHOLD


def test_tables_are_for_a_person(here, capsysbinary):
    both = run_here(["match", "net0.h5", "net1.h5", "--format", "table"], capsysbinary).out.decode()
    assert both.startswith("layers identified  2 networks × 4 layers")
    assert both.count("→") == 2
    accuracy = run_here(["match", "net0.h5", "net1.h5", "--format", "table", "--report", "accuracy"], capsysbinary)
    assert b"monotone" not in accuracy.out
    depth = run_here(["match", "net0.h5", "--format", "table"], capsysbinary).out.decode()
    assert depth.startswith("cka, linear  net0.h5 with itself, 4 layers")


@pytest.mark.parametrize(
    ("typed", "name", "head"),
    [
        ("net0.h5 net1.h5", "x.png", PNG),
        ("net0.h5 net1.h5", "x.SVG", b"<?xml"),
        ("net0.h5 net1.h5 net2.h5 -m cka -m cca-r2", "x.png", PNG),
        ("net0.h5 deeper/net0.h5", "x.png", PNG),
        ("net0.h5", "x.svg", b"<?xml"),
        ("net0.h5 net1.h5 --report depth", "x.png", PNG),
    ],
)
def test_a_plot_is_drawn_beside_the_report(here, capsysbinary, typed, name, head):
    plain = run_here(["match", *typed.split()], capsysbinary)
    ended = run_here(["match", *typed.split(), "--plot", name], capsysbinary)
    assert (ended.status, ended.out) == (0, plain.out)
    assert (here / name).read_bytes().startswith(head)
    assert run_here(["match", *typed.split(), "--plot", name], capsysbinary).status == 1
    assert run_here(["match", *typed.split(), "--plot", name, "--force"], capsysbinary).status == 0


def drawn(monkeypatch, arguments, capture):
    """What `match` gives to the heat map: matrices, style and the options beside it."""
    calls = []
    monkeypatch.setattr(
        "cka_cli.pictures.match.draw_heatmap", lambda *given, **options: calls.append((*given, options)) or Figure()
    )
    assert run_here(["match", *arguments, "--plot", "x.png"], capture).status == 0
    ((matrices, style, options),) = calls
    return matrices, style, options


def test_the_plot_of_networks_of_one_depth_is_their_mean(here, capsysbinary, monkeypatch):
    files = ["net0.h5", "net1.h5", "net2.h5"]
    (matrix,), style, options = drawn(monkeypatch, files, capsysbinary)
    assert options["captions"] == ["100.0 ± 0.0 %"]
    assert style.title == "mean of 6 ordered pairs of 3 networks; % of layers identified"
    assert style.mark_best
    assert matrix.values == pytest.approx(sum(each.values for each in match(files).matrices) / 6)


def test_the_plot_of_a_pair_is_its_matrix_with_the_path_where_depths_differ(here, capsysbinary, monkeypatch):
    (matrix,), _, options = drawn(monkeypatch, ["net1.h5", "net0.h5"], capsysbinary)
    assert (matrix.x_file, matrix.y_file, options["captions"], options["paths"]) == (
        "net1.h5", "net0.h5", ["100.0 % identified"], [],
    )  # fmt: skip
    (matrix,), _, options = drawn(monkeypatch, ["net1.h5", "deeper/net0.h5", "-f"], capsysbinary)
    assert matrix.values.shape == (4, 7)
    assert options == {"captions": [], "paths": [(0, 1, 2, 3)]}


def test_notes_go_to_standard_error_unless_quiet(here):
    rng = np.random.default_rng(0)
    write_hdf5(here / "noise.h5", {f"conv{place}": rng.standard_normal((60, 6)) for place in range(1, 5)})
    ended = run_child(["match", "net0.h5", "noise.h5"], cwd=here)
    assert ended.err == "Note: cka, linear: the accuracy cannot be told from chance (25.0 %)\n"
    assert run_child(["match", "net0.h5", "noise.h5", "-q"], cwd=here).err == ""
