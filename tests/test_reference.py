"""The comparison of answers before and after a change: it finds what moved, and passes over what only looks so."""

import json
import shutil

import pytest

from cka_cli.measures.registry import MEASURES
from cka_cli.reductions.kernels import KERNELS
from tests.reference import taking
from tests.reference.commands import COMMANDS, arguments_of
from tests.reference.comparing import differences

CSV = "x_file,value,p_value\na.h5,0.9364860370452214,1e-12\nb.h5,nan,\n"
DOCUMENT = {"version": "1", "values": [[0.5, None], [1234.5678, 7]], "notes": ["a: 0.25 of it"], "is_best": True}
TEXT = "a table  0.936\nof 12 layers 4 × 8\n"


@pytest.fixture
def folders(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    (before / "a.csv").write_text(CSV)
    (before / "b.json").write_text(json.dumps(DOCUMENT))
    (before / "c.txt").write_text(TEXT)
    shutil.copytree(before, after)
    return before, after


def changed(folders, name, text):
    (folders[1] / name).write_text(text)
    return list(differences(*folders))


def test_the_same_answers_have_no_difference(folders):
    assert list(differences(*folders)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.9364860370452214", "0.9364860381452214"),  # by 1.1e-9
        ("nan", "0.5"), ("nan", ""), ("1e-12\n", "1e-12,\n"), ("b.h5", "c.h5"), ("p_value\n", "p\n"),
        (",p_value\n", "\n"),
        ("b.h5,nan,\n", ""), ("x_file,value", "value,x_file"), ("p_value", "value"), ("1e-12", "1e-08"), ("1e-12", "0"),
        ("a.h5,0.9364860370452214,1e-12\n", "a.h5,0.9364860370452214\n"),
    ],
)  # fmt: skip
def test_what_moved_in_csv_is_found(folders, old, new):
    assert old in CSV
    found = changed(folders, "a.csv", CSV.replace(old, new))
    assert found
    assert all(line.startswith("a.csv: ") for line in found)


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.9364860370452214", "0.9364860370452219"), ("0.9364860370452214", "9.364860370452214E-1"), ("1e-12", "2e-12")],
)
def test_what_only_looks_otherwise_in_csv_is_not(folders, old, new):
    assert changed(folders, "a.csv", CSV.replace(old, new)) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"values": [[0.5, None], [1234.5678, 8]]}, ".values[1][1]: 7 → 8"),
        ({"values": [[0.5, None], [1234.567802, 7]]}, ".values[1][0]"),
        ({"values": [[0.5, 0.0], [1234.5678, 7]]}, ".values[0][1]"),
        ({"values": [[0.5, None]]}, ".values: 2 entries → 1 entries"),
        ({"notes": ["a: 0.26 of it"]}, ".notes[0]"),
        ({"notes": ["b: 0.25 of it"]}, ".notes[0]"),
        ({"is_best": 1}, ".is_best"),
        ({"is_best": False}, ".is_best"),
        ({"more": None}, ".more: new"),
    ],
)
def test_what_moved_in_json_is_found(folders, change, place):
    (line,) = changed(folders, "b.json", json.dumps(DOCUMENT | change))
    assert line.startswith(f"b.json: {place}")


@pytest.mark.parametrize("key", list(DOCUMENT))
def test_a_key_that_is_gone_or_has_another_name_is_found(folders, key):
    others = {name: value for name, value in DOCUMENT.items() if name != key}
    assert changed(folders, "b.json", json.dumps(others)) == [f"b.json: .{key}: gone"]
    renamed = others | {"renamed": DOCUMENT[key]}
    assert changed(folders, "b.json", json.dumps(renamed)) == [f"b.json: .{key}: gone", "b.json: .renamed: new"]


@pytest.mark.parametrize("change", [{"version": "2"}, {"values": [[0.5, None], [1234.5678001, 7.0]]}])
def test_what_only_looks_otherwise_in_json_is_not(folders, change):
    assert changed(folders, "b.json", json.dumps(DOCUMENT | change)) == []


@pytest.mark.parametrize(("old", "new"), [("0.936", "0.937"), ("12", "13"), ("table", "tables"), ("\nof", "\n\nof")])
def test_what_moved_in_a_text_is_found(folders, old, new):
    assert changed(folders, "c.txt", TEXT.replace(old, new))


def test_an_answer_that_is_gone_or_new_is_found(folders):
    before, after = folders
    (after / "a.csv").rename(after / "d.csv")
    assert list(differences(before, after)) == [f"a.csv: only in {before}", f"d.csv: only in {after}"]


def test_every_measure_and_kernel_is_asked_for():
    words = [word for command in COMMANDS.values() for word in arguments_of(command)]
    assert set(MEASURES) <= {word.partition(":")[0] for word in words}
    assert set(KERNELS) <= {word.partition(":")[0] for word in words}


def test_answers_are_taken_with_status_errors_and_pictures(tmp_path, monkeypatch):
    names = ["measures-csv", "compare-wide", "heatmap-of-wide", "error-no-measure"]
    monkeypatch.setattr(taking, "COMMANDS", {name: COMMANDS[name] for name in names})
    for folder in ("before", "after"):
        taking.take(tmp_path / folder, say=lambda name: None)
    ended = json.loads((tmp_path / "before" / "ended.json").read_text())
    assert {name: each["status"] for name, each in ended.items()} == dict(zip(names, (0, 0, 0, 2), strict=True))
    assert ended["heatmap-of-wide"]["picture"] == [750, 600]
    assert "no such measure" in ended["error-no-measure"]["said"][0]
    assert sorted(path.name for path in (tmp_path / "before").iterdir()) == [
        "compare-wide.csv", "ended.json", "measures-csv.csv"
    ]  # fmt: skip
    assert list(differences(tmp_path / "before", tmp_path / "after")) == []
