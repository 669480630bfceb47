"""The format of a report follows the name of its file, in one place for all commands."""

import csv
import io
import json
import os

import pytest

from cka_cli.report import RENDERERS
from tests.cli.command import run_child, run_here
from tests.small_files import values, write_hdf5

COMMANDS = {
    "compare": ["compare", "a.h5"],
    "match": ["match", "a.h5"],
    "explain": ["explain", "a.h5::conv1", "a.h5::conv2"],
    "diagnose": ["diagnose", "a.h5"],
    "inspect": ["inspect", "a.h5"],
    "measures": ["measures"],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    write_hdf5(tmp_path / "a.h5", {"conv1": values(30, 5), "conv2": values(30, 4, seed=1)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_report_has_the_format_of_its_name(here, capsysbinary, command):
    shown = run_here([*command, "-q"], capsysbinary).out
    for name in ("x.csv", "x.CSV", "without", "run.2024", "acc0.95", ".hidden"):
        assert run_here([*command, "-q", "-o", name], capsysbinary).status == 0
        assert (here / name).read_bytes() == shown
    for name in ("x.json", "X.JSON"):
        assert run_here([*command, "-q", "-o", name], capsysbinary).status == 0
        json.loads((here / name).read_bytes())


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_format_that_is_typed_goes_into_any_other_name(here, capsysbinary, command):
    shown = run_here([*command, "-q", "--format", "table"], capsysbinary).out
    assert run_here([*command, "-q", "--format", "table", "-o", "x.txt"], capsysbinary).status == 0
    assert (here / "x.txt").read_bytes() == shown
    assert run_here([*command, "-q", "--format", "json", "-o", "x.ipynb"], capsysbinary).status == 0
    json.loads((here / "x.ipynb").read_bytes())


@pytest.mark.parametrize("name", RENDERERS)
def test_every_command_writes_every_format_that_it_has(here, capsysbinary, name):
    row = RENDERERS[name]
    stands_for = next((each for each, other in RENDERERS.items() if other.suffix == row.suffix), "")
    for command, arguments in COMMANDS.items():
        if row.command in ("", command):
            shown = run_here([*arguments, "-q", "--format", name], capsysbinary)
            assert (shown.status, shown.out[-1:]) == (0, b"\n")
            if row.suffix and name == stands_for:
                assert run_here([*arguments, "-q", "-f", "-o", f"x.{row.suffix}"], capsysbinary).status == 0
                assert (here / f"x.{row.suffix}").read_bytes() == shown.out


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="no such device here")
def test_the_device_of_standard_output_is_no_name(here):
    (plain, device) = (run_child(["compare", "a.h5", "-o", output], cwd=here) for output in ("-", "/dev/stdout"))
    assert (device.status, device.out) == (0, plain.out)


def test_a_wide_report_is_a_csv(here, capsysbinary):
    assert run_here(["compare", "a.h5", "--format", "wide", "-o", "x.csv"], capsysbinary).status == 0
    assert (here / "x.csv").read_text().startswith("layer,conv1,conv2\n")


def test_a_plan_has_the_format_of_its_name(here, capsysbinary):
    ended = run_here(["compare", "a.h5", "--dry-run", "-o", "plan.json"], capsysbinary)
    assert (ended.status, ended.err) == (0, "")
    assert json.loads(ended.out)["route"]


@pytest.mark.parametrize("report_format", RENDERERS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_report_is_written_in_every_format_of_the_table(here, capsysbinary, command, report_format):
    row = RENDERERS[report_format]
    ended = run_here([*COMMANDS[command], "-q", "--format", report_format], capsysbinary)
    if row.command not in ("", command):
        assert (ended.status, ended.out) == (2, b"")
        return
    assert (ended.status, ended.err) == (0, "")
    name = f"x.{row.suffix or 'txt'}"
    assert run_here([*COMMANDS[command], "-q", "--format", report_format, "-o", name], capsysbinary).status == 0
    assert (here / name).read_bytes() == ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_report_has_as_many_cells_in_each_line_as_columns(here, capsysbinary, command):
    shown = run_here([*COMMANDS[command], "-q", "--format", "csv"], capsysbinary).out.decode()
    header, *rows = csv.reader(io.StringIO(shown))
    assert rows
    assert {len(row) for row in rows} == {len(header)}


# What decides no number: where results go, how they look, how long they take.
_READING = ["examples", "sample", "seed", "ids", "pool", "channels", "dtype", "shards", "nonfinite"]
_KINDS = ["measures", "kernels", "layers", "exclude", *_READING, "batch", "passes", "precision"]
DECIDING = {
    "compare": [*_KINDS, "stats", "permutations", "groups"],
    "match": [*_KINDS, "threshold"],
    "explain": ["components", *_READING],
    "diagnose": ["labels", "all_pairs", "layers", "exclude", *_READING],
}


@pytest.mark.parametrize("command", DECIDING)
def test_json_holds_every_option_that_decides_a_number_and_no_other(here, capsysbinary, command):
    ended = run_here([*COMMANDS[command], "-q", "--format", "json", "-f"], capsysbinary)
    assert sorted(json.loads(ended.out)["options"]) == sorted(DECIDING[command])
