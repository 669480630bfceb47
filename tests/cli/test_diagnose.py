# ruff: noqa: E501 - a line of the table is a line that a user sees
import csv
import io
import json

import numpy as np
import pytest

from cka_cli.analysis.reliability.rules import CHECKS
from tests.cli.command import run_child, run_here
from tests.small_files import state, values, write_hdf5

HEADER = "x_file,x_layer,y_file,y_layer,check,verdict,number,threshold,found,advice"


@pytest.fixture
def here(tmp_path, monkeypatch):
    x, z = values(60, 20), values(60, 20, seed=9)
    far = x.copy()
    far[17] += 300
    labels, ids = np.arange(60) % 5, np.arange(60) + 500
    write_hdf5(tmp_path / "a.h5", {"conv/1": x + z, "conv/2": x, "labels": labels, "ids": ids, "short": np.arange(9)})
    write_hdf5(tmp_path / "b.h5", {"conv/1": x - 0.3 * z, "conv/2": x + 0.3 * z, "labels": labels, "ids": ids})
    write_hdf5(tmp_path / "far.h5", {"conv/1": far, "conv/2": far, "labels": labels, "ids": ids})
    write_hdf5(tmp_path / "few.h5", {"conv/1": values(7, 4)})
    write_hdf5(tmp_path / "constant.h5", {"conv/1": np.ones((60, 3)), "conv/2": x})
    write_hdf5(tmp_path / "other.h5", {"p": values(60, 3)})
    (tmp_path / "old.csv").write_text("old\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pipe_gets_one_line_for_each_check(here, capsysbinary):
    ended = run_here(["diagnose", "a.h5", "b.h5"], capsysbinary)
    assert (ended.status, ended.err) == (0, "")
    text = ended.out.decode()
    assert text.splitlines()[0] == HEADER
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["check"] for row in rows} == set(CHECKS) - {"without-doubled"}
    of_layers = [row for row in rows if not row["y_layer"]]
    assert {(row["x_file"], row["x_layer"]) for row in of_layers} == {
        (file, layer) for file in ("a.h5", "b.h5") for layer in ("conv/1", "conv/2")
    }  # fmt: skip
    of_pairs = [row for row in rows if row["y_layer"]]
    assert {tuple(row[key] for key in HEADER.split(",")[:4]) for row in of_pairs} == {
        ("a.h5", layer, "b.h5", layer) for layer in ("conv/1", "conv/2")
    }  # fmt: skip
    for row in rows:
        float(row["number"])
        assert (row["verdict"] == "fine") == (row["advice"] == "")


def test_json_holds_everything_and_no_nan(here, capsysbinary):
    ended = run_here(["diagnose", "far.h5::conv/1", "b.h5", "--ids", "ids", "-o", "r.json"], capsysbinary)
    assert (ended.status, ended.out, ended.err) == (0, b"", "")
    report = json.loads((here / "r.json").read_text(), parse_constant=pytest.fail)
    assert report["options"]["ids"] == "ids"
    assert "everything" not in report["options"]
    assert (report["x_file"], report["y_file"], report["n_examples"], report["labels"]) == (
        "far.h5",
        "b.h5",
        60,
        "labels",
    )
    assert sum(report["counts"].values()) == len(report["findings"])
    found = next(each for each in report["findings"] if each["check"] == "row-of-layer")
    assert (found["verdict"], found["found"], found["threshold"]) == ("do not trust", "row 17 (id 517)", 0.5)
    assert isinstance(found["number"], float)
    assert report["layers"][0]["address"] == {"file": "far.h5", "layer": "conv/1"}
    assert len(report["pairs"][0]["shares"]) == 60
    assert report["pairs"][0]["without_components"].keys() == {"1", "2", "5"}


def test_a_number_that_is_none_is_null(here, capsysbinary):
    write_hdf5(here / "narrow.h5", {"p": values(60, 1), "q": values(60, 1, seed=1)})
    report = json.loads(run_here(["diagnose", "narrow.h5", "--format", "json"], capsysbinary).out)
    assert report["pairs"][0]["without_components"] == {"1": None, "2": None, "5": None}


def test_the_table_tells_the_worst_first_and_only_what_is_not_fine(here, capsysbinary):
    table = run_here(["diagnose", "far.h5", "b.h5", "--format", "table"], capsysbinary).out.decode()
    lines = table.splitlines()
    assert lines[:3] == ["X far.h5", "Y b.h5", "2 pairs of layers, 60 examples, classes by 'labels'"]
    heads = [line for line in lines if line.startswith(("do not trust", "look", "fine"))]
    assert heads == sorted(heads, key=lambda line: line.startswith("look"))
    assert not any(line.startswith("fine") for line in lines)
    place = lines.index("do not trust  row-of-layer  (above 0.5)")
    assert lines[place + 2] == "  → look at these examples, and compare again without them"
    assert lines[place + 3 : place + 5] == ["    X conv/1  1  row 17", "    X conv/2  1  row 17"]
    everything = run_here(["diagnose", "far.h5", "b.h5", "--format", "table", "--all"], capsysbinary).out.decode()
    assert "fine  constant-layer  (up to 0.5)\n" in everything
    assert "within ±" in everything
    assert len(everything) > len(table)


@pytest.mark.parametrize("everything", [[], ["--all"]])
@pytest.mark.parametrize("name", ["conv", "a/very/long/name/of/a/layer/that/goes/on/and/on/and/is/not/nearly/over/yet"])
def test_no_line_is_longer_than_a_hundred_columns(here, capsysbinary, name, everything):
    far = values(60, 20)
    far[np.arange(1, 60, 9)] *= 30
    write_hdf5(here / "long.h5", {f"{name}{number}": far + number * values(60, 20, seed=3) for number in range(3, 15)})
    ended = run_here(["diagnose", "long.h5", "--format", "table", *everything], capsysbinary)
    lines = ended.out.decode().splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.endswith("more, less far off (--all)") for line in lines) == (not everything)
    pairs = {line[4:].partition("  ")[0] for line in lines if " × " in line}
    assert ("conv3 × conv4" if name == "conv" else "…arly/over/yet3 × …arly/over/yet4") in {
        pair.strip() for pair in pairs
    }


def test_a_terminal_gets_a_table_in_colour_and_as_wide_as_it_is(here):
    from cka_cli.api.diagnose import diagnose
    from tests.report.written import format_summary

    diagnosis = diagnose("far.h5", "b.h5")
    plain = format_summary(diagnosis, width=70)
    assert max(map(len, plain.splitlines())) <= 70
    coloured = format_summary(diagnosis, width=70, colour=True)
    assert "\x1b[1;31mdo not trust" in coloured
    assert plain == format_summary(diagnosis, width=70)


def test_one_file_needs_no_sides(here, capsysbinary):
    table = run_here(["diagnose", "far.h5", "--format", "table"], capsysbinary).out.decode()
    assert table.startswith("X far.h5\n1 pair of layers, 60 examples")
    assert "    conv/1  1  row 17\n" in table
    assert "    conv/1 × conv/2  1  row 17\n" in table


def test_strict_tells_a_script(here, capsysbinary):
    for files, status in ((["a.h5", "b.h5"], 0), (["far.h5", "b.h5"], 1)):
        plain = run_here(["diagnose", *files], capsysbinary)
        strict = run_here(["diagnose", *files, "--strict"], capsysbinary)
        assert (plain.status, strict.status) == (0, status)
        assert plain.out == strict.out
        assert strict.err == ""


def test_notes_go_to_standard_error(here, capsysbinary):
    ended = run_here(["diagnose", "a.h5", "b.h5::conv/2"], capsysbinary)
    assert ended.err == "Note: conv/1: no layer of this name in b.h5; --all-pairs takes every pair\n"
    assert run_here(["diagnose", "a.h5", "b.h5::conv/2", "-q"], capsysbinary).err == ""
    ended = run_here(["diagnose", "a.h5", "b.h5::conv/2", "--all-pairs", "--threads", "1"], capsysbinary)
    assert ended.err == ""
    assert {row["x_layer"] for row in csv.DictReader(io.StringIO(ended.out.decode())) if row["y_layer"]} == {
        "conv/1",
        "conv/2",
    }


def test_labels_by_name_or_by_default(here, capsysbinary):
    named = run_here(["diagnose", "a.h5", "--labels", "labels"], capsysbinary).out
    assert named == run_here(["diagnose", "a.h5"], capsysbinary).out
    assert b"halved-by-label" in named
    assert b"halved-by-label" not in run_here(["diagnose", "other.h5"], capsysbinary).out


@pytest.mark.parametrize(("suffix", "head"), [("png", b"\x89PNG\r\n"), ("svg", b"<?xml"), ("PDF", b"%PDF-")])
def test_a_picture_beside_the_report(here, capsysbinary, suffix, head):
    plain = run_here(["diagnose", "b.h5"], capsysbinary).out
    ended = run_here(["diagnose", "b.h5", "--plot", f"x.{suffix}"], capsysbinary)
    assert (ended.status, ended.err, ended.out) == (0, "", plain)
    first = (here / f"x.{suffix}").read_bytes()
    assert first.startswith(head)
    ended = run_here(["diagnose", "b.h5", "--plot", f"x.{suffix}", "-f", "--all"], capsysbinary)
    assert ended.status == 0
    assert (here / f"x.{suffix}").read_bytes() != first  # what is fine is there too


WRONG = [
    ("diagnose", 2, "Missing argument 'X'. (see: cka diagnose --help)"),
    ("diagnose a.h5 b.h5 far.h5", 2, "Got unexpected extra argument (far.h5) (see: cka diagnose --help)"),
    ("diagnose nowhere.h5", 1, "nowhere.h5: no such file or folder; check the name"),
    ("diagnose a.h5 --format wide", 2, None),
    ("diagnose few.h5", 1, "few.h5::conv/1: 7 examples, but diagnose needs at least 8; give more"),
    ("diagnose a.h5 other.h5", 1, "other.h5: no layer has the name of one of a.h5, and it has 1 where that has 2; choose one layer of each, or take every pair with --all-pairs"),
    ("diagnose a.h5 --labels label", 1, "a.h5::label: no such one-axis array of labels; did you mean 'labels'? (the file has labels, ids, short); save the labels beside the layers, or leave out --labels"),
    ("diagnose other.h5 --labels digit", 1, "other.h5::digit: no such one-axis array of labels (the file has none); save the labels beside the layers, or leave out --labels"),
    ("diagnose a.h5 --labels short", 1, "a.h5::short: 9 labels for 60 examples; give one label for each row"),
    ("diagnose a.h5 --ids id", 1, None),
    ("diagnose a.h5 --memory 1KiB", 1, "--memory 1KiB: too little to diagnose layers of 60 examples, whose Gram matrices are held whole; give at least --memory 2MiB, or fewer examples (--sample)"),
    ("diagnose a.h5 b.h5 --memory 1.1MB --threads 2", 1, None),
    ("diagnose a.h5 --memory lots", 2, "--memory lots: give a size with its unit, as 512MiB or 4GB (found 'lots')"),
    ("diagnose a.h5 -o old.csv", 1, "old.csv: exists already; give --force to replace it, or another --output"),
    ("diagnose a.h5 -o a.h5 -f", 2, "a.h5: is also an input; give another --output"),
    ("diagnose a.h5 --plot x.gif", 2, "--plot x.gif: no such picture format (found '.gif'); name it .png, .svg or .pdf"),
    ("diagnose a.h5 --plot -", 2, "--plot -: no such picture format (found '.'); name it .png, .svg or .pdf"),
    ("diagnose a.h5 --plot x.png -o ./x.png", 2, "--plot x.png: is also the --output; give them names of their own"),
    ("diagnose a.h5 --plot nowhere/x.png", 1, "nowhere/x.png: cannot be written (there is no folder nowhere); make it, or give another --plot"),
    ("diagnose other.h5 --plot x.png", 1, "other.h5: nothing to draw (no pair of layers has values); leave out --plot"),
    ("diagnose constant.h5 --plot x.png", 1, "constant.h5: nothing to draw (no pair of layers has values); leave out --plot"),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "status", "line"), WRONG, ids=[typed for typed, _, _ in WRONG])
def test_one_line_says_what_is_wrong(here, capsysbinary, typed, status, line):
    before = state(here)
    ended = run_here(typed.split(), capsysbinary)
    assert ended.status == status
    assert ended.err.startswith("Error: ")
    assert ended.err.count("\n") == 1
    assert line is None or ended.err == f"Error: {line}\n"
    assert ended.out == b""
    assert state(here) == before


def test_a_closed_reader_is_no_error(here):
    ended = run_child(["diagnose", "a.h5", "b.h5", "-q"], cwd=here)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith(HEADER.encode())
