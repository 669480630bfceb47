import csv
import io
import json

import numpy as np
import pytest

from cka_cli.api.compare import compare
from cka_cli.api.explain import explain
from tests.cli.command import run_child, run_here
from tests.cli.test_errors import is_line
from tests.cli.test_startup import HEAVY, OTHERS, imported, modules_of
from tests.report.written import format_explanation
from tests.small_files import make_wrong_files, state, values, write_hdf5

# ruff: noqa: E501 - a line of the table is a line that a user sees

CONSTANT = "constant (every example is the same), so it has no components; give a layer that varies"
WRONG = [
    ("explain a.h5 b.h5", 2, "a.h5: is 3 layers (conv1, conv2, fc); give one of them, as a.h5::conv1"),
    ("explain b.h5 a.h5::conv*", 2, "a.h5::conv*: is 2 layers (conv1, conv2); give one of them, as a.h5::conv1"),
    ("explain b.h5 uneven.h5", 2, "uneven.h5: is 2 layers (conv1, conv2); give one of them, as uneven.h5::conv1"),
    ("explain a.h5::conv3 b.h5", 1, "a.h5::conv3: no such layer; did you mean 'conv2'? (the file has conv1, conv2, fc)"),
    ("explain b.h5 short.h5", 1, "short.h5::conv1: 9 examples, but b.h5::conv1 has 12; give files of the same examples, choose layers that have them with --layers, or say which rows are the same ones in all, as --examples 0:9"),
    ("explain b.h5 flat.h5", 1, f"flat.h5::conv1: {CONSTANT}"),
    ("explain flat.h5 b.h5", 1, f"flat.h5::conv1: {CONSTANT}"),
    ("explain rows2.h5 rows2.h5", 1, "rows2.h5::conv1: 2 examples, but cka needs at least 3{advice}"),
    ("explain b.h5 nan.h5", 1, "nan.h5::conv1: 2 values are not finite (NaN or infinite; 2 rows, the first is row 3); mend the file, or leave those examples out of every layer with --nonfinite drop"),
    ("explain b.h5 nowhere.h5", 1, "nowhere.h5: no such file or folder; check the name"),
    ("explain b.h5 a.npy --memory 1KiB", 1, "--memory 1KiB: too little to decompose b.h5::conv1 and a.npy::a, which are held whole; give at least --memory 1MiB, or fewer examples (--sample) or --pool mean"),
    ("explain b.h5 a.npy --memory lots", 2, "--memory lots: give a size with its unit, as 512MiB or 4GB (found 'lots')"),
    ("explain b.h5 a.npy -o good.csv", 1, "good.csv: exists already; give --force to replace it, or another --output"),
    ("explain b.h5 a.npy -o a.npy -f", 2, "a.npy: is also an input; give another --output"),
    ("explain b.h5 a.npy --plot old.png", 1, "old.png: exists already; give --force to replace it, or another --plot"),
    ("explain b.h5 a.npy --plot nowhere/x.png", 1, "nowhere/x.png: cannot be written (there is no folder nowhere); make it, or give another --plot"),
    ("explain b.h5 a.npy --plot x.gif", 2, "--plot x.gif: no such picture format (found '.gif'); name it .png, .svg or .pdf"),
    ("explain b.h5 a.npy --plot -", 2, "--plot -: no such picture format (found '.'); name it .png, .svg or .pdf"),
    ("explain b.h5 a.npy --plot x.svg -o ./x.svg", 2, "--plot x.svg: is also the --output; give them names of their own"),
    ("explain b.h5", 2, "Missing argument 'Y::LAYER'. (see: cka explain --help)"),
    ("explain b.h5 a.npy --components 0", 2, "Invalid value for '--components': 0 is not in the range x>=1. (see: cka explain --help)"),
    ("explain b.h5 a.npy -k rbf", 2, "No such option{library}-k{library}(see: cka explain --help)"),
]  # fmt: skip


@pytest.fixture(scope="module")
def wrong_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    make_wrong_files(folder)
    write_hdf5(folder / "flat.h5", {"conv1": np.ones((12, 3))})
    return folder


@pytest.mark.parametrize(("typed", "status", "line"), WRONG, ids=[typed for typed, _, _ in WRONG])
def test_one_line_says_what_is_wrong(wrong_files, monkeypatch, capsysbinary, typed, status, line):
    monkeypatch.chdir(wrong_files)
    before = state(wrong_files)
    ended = run_here(typed.split(), capsysbinary)
    assert is_line(ended.err, line), ended.err
    assert (ended.status, ended.out) == (status, b"")
    assert state(wrong_files) == before


@pytest.fixture
def here(tmp_path, monkeypatch):
    write_hdf5(tmp_path / "a.h5", {"conv1": values(30, 5), "conv2": values(30, 12, seed=1)})
    write_hdf5(tmp_path / "b.h5", {"fc": values(30, 3, seed=2)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pipe_gets_csv_that_sums_to_what_compare_gives(here, capsysbinary):
    ended = run_here(["explain", "a.h5::conv2", "b.h5", "--components", "4"], capsysbinary)
    assert (ended.status, ended.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(ended.out.decode())))
    assert {(row["x_file"], row["x_layer"], row["y_file"], row["y_layer"]) for row in rows} == {
        ("a.h5", "conv2", "b.h5", "fc")
    }
    assert [row["x_component"] for row in rows[::3]] == ["1", "2", "3", "4", "rest"]
    expected = compare("a.h5::conv2", "b.h5").matrices[0].values[0, 0]
    assert sum(float(row["contribution"]) for row in rows) == pytest.approx(expected, abs=1e-9)


def test_each_format_and_where_it_goes(here, capsysbinary):
    explanation = explain("a.h5::conv1", "b.h5::fc")
    table = run_here(["explain", "a.h5::conv1", "b.h5", "--format", "table"], capsysbinary).out.decode()
    assert table == format_explanation(explanation, 10, "table")
    assert "\x1b" not in table
    for name, arguments in {"out.csv": [], "out": [], "x.txt": ["--format", "csv"]}.items():
        ended = run_here(["explain", "a.h5::conv1", "b.h5", "-o", name, *arguments], capsysbinary)
        assert (ended.status, ended.out, ended.err) == (0, b"", "")
        assert (here / name).read_text() == format_explanation(explanation, 10, "csv")
    assert run_here(["explain", "a.h5::conv1", "b.h5", "-o", "x.json"], capsysbinary).status == 0
    assert json.loads((here / "x.json").read_bytes())["sentence"] == explanation.sentence


def test_json_tells_the_command_and_the_options(here):
    arguments = ["explain", "a.h5::conv1", "b.h5", "--sample", "20", "--seed", "3", "--format", "json"]
    document = json.loads(run_child(arguments, cwd=here).out)
    assert document["command"] == ["cka", *arguments]
    assert (document["options"]["sample"], document["options"]["seed"]) == (20, 3)
    assert (document["n_examples"], document["kernel"]) == (20, "linear")


def test_a_plot_is_drawn_beside_the_result(here, capsysbinary):
    typed = ["explain", "a.h5::conv1", "a.h5::conv2"]
    alone = run_here(typed, capsysbinary)
    (here / "why.svg").write_bytes(b"old")
    assert run_here([*typed, "--plot", "why.svg"], capsysbinary).status == 1
    assert (here / "why.svg").read_bytes() == b"old"
    ended = run_here([*typed, "--plot", "why.svg", "-f"], capsysbinary)
    assert (ended.status, ended.out, ended.err) == (0, alone.out, "")
    assert (here / "why.svg").read_bytes().startswith(b"<?xml")


def test_notes_go_to_standard_error_unless_quiet(here, capsysbinary):
    typed = ["explain", "a.h5::conv1", "a.h5::conv2", "--examples", ":9"]
    ended = run_here(typed, capsysbinary)
    assert ended.err == (
        "Note: CCA R²: 1 by force, which means nothing: 9 examples are too few for the 8 independent features of "
        "a.h5::conv2; give more examples, or --pool mean\n"
    )
    quiet = run_here([*typed, "-q"], capsysbinary)
    assert (quiet.err, quiet.out) == ("", ended.out)


def test_help_imports_nothing_heavy():
    child, modules = imported(["explain", "--help"])
    assert child.returncode == 0
    assert not (modules - modules_of("import click")) & {*HEAVY, *OTHERS}


def test_an_explanation_without_a_plot_imports_no_matplotlib(here):
    child, modules = imported(["explain", "a.h5::conv1", "b.h5"], cwd=here)
    assert child.stdout.startswith(b"x_file,")
    assert not modules & {"rich", "matplotlib", "scipy", "PIL"}
