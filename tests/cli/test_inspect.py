import csv
import io
import json

import numpy as np
import pytest

from tests.cli.command import run_here
from tests.small_files import values, write_folder, write_hdf5


@pytest.fixture
def here(tmp_path, monkeypatch):
    holes = values(12, 3)
    holes[4, 1] = np.nan
    write_hdf5(tmp_path / "a.h5", {"conv1": values(12, 5), "holes": holes, "ids": np.arange(12)})
    write_folder(tmp_path / "folder", {"conv1": values(12, 5)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pipe_gets_csv_of_all_files(here, capsysbinary):
    ended = run_here(["inspect", "a.h5", "folder"], capsysbinary)
    assert (ended.status, ended.err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(ended.out.decode())))
    assert [(row["file"], row["layer"], row["n_nonfinite"]) for row in rows] == [
        ("a.h5", "conv1", "0"), ("a.h5", "holes", "1"), ("a.h5", "ids", ""), ("folder", "conv1", "0"),
    ]  # fmt: skip


def test_json_and_table(here, capsysbinary):
    records = json.loads(run_here(["inspect", "a.h5::holes", "--format", "json"], capsysbinary).out)
    assert [(record["layer"], record["n_nonfinite"]) for record in records] == [("holes", 1)]
    table = run_here(["inspect", "a.h5", "folder", "--format", "table"], capsysbinary).out.decode()
    assert "1 value is not finite" in table
    assert [line for line in table.splitlines() if not line.startswith(" ")] == ["a.h5", "folder"]


def test_headers_only(here, capsysbinary):
    records = json.loads(run_here(["inspect", "a.h5", "--headers", "--format", "json"], capsysbinary).out)
    assert {record["n_nonfinite"] for record in records} == {None}


def test_output_goes_to_a_file(here, capsysbinary):
    shown = run_here(["inspect", "a.h5"], capsysbinary).out
    assert run_here(["inspect", "a.h5", "-o", "layers.csv"], capsysbinary).out == b""
    assert (here / "layers.csv").read_bytes() == shown
