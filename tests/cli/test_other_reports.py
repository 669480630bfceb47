"""Reports of other commands, and tables for a person, given to `cka heatmap`: a line that says what they are."""

import numpy as np
import pytest

from tests.cli.command import run_here
from tests.small_files import values

COMMANDS = [
    "match a.npz b.npz", "match a.npz b.npz c.npz -m cka -m pwcca", "match a.npz", "match a.npz deep.npz",
    "match a.npz b.npz --report partners", "diagnose a.npz b.npz", "diagnose a.npz", "explain a.npz::p b.npz::p",
    "inspect a.npz", "inspect a.npz b.npz", "measures",
]  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("abc"):
        np.savez(f"{name}.npz", p=values(24, 5, seed=seed), q=values(24, 4, seed=seed + 3))
    np.savez("deep.npz", **{f"l{n}": values(24, 4, seed=n + 9) for n in range(3)})


def line_of(typed, report_format, capture):
    """What `cka heatmap` says of the report of a command."""
    name = f"x.{report_format}"
    made = run_here([*typed.split(), "-q", "--format", report_format, "-o", name], capture)
    assert made.status == 0, made.err
    drawn = run_here(["heatmap", name, "-o", "x.png"], capture)
    assert (drawn.status, drawn.err.count("\n")) == (1, 1), drawn.err
    return drawn.err.removeprefix(f"Error: {name}: ").rstrip("\n")


@pytest.mark.parametrize("typed", COMMANDS)
def test_the_csv_of_another_command(here, capsysbinary, typed):
    command = typed.split()[0]
    what = "give cka match --format json, or a report of" if command == "match" else "give a report of"
    told = line_of(typed, "csv", capsysbinary)
    assert told == f"is the CSV of cka {command}, which holds no matrix; {what} cka compare"


@pytest.mark.parametrize("typed", [*COMMANDS, "compare a.npz b.npz", "compare a.npz -m cka -m hsic",
    "compare a.npz b.npz --stats"])  # fmt: skip
def test_a_table_for_a_person(here, capsysbinary, typed):
    command = typed.split()[0]
    told = line_of(typed, "table", capsysbinary)
    assert told.startswith(f"is a table of cka {command} for a person, not for a program; ")
    assert told.endswith("leave out --format table" if command == "compare" else "a report of cka compare")


def test_what_to_do_does(here, capsysbinary):
    assert run_here(["match", "a.npz", "b.npz", "-q", "-o", "m.json"], capsysbinary).status == 0
    assert run_here(["heatmap", "m.json", "-o", "m.png"], capsysbinary).status == 0


def test_layers_may_have_the_names_of_columns(here, capsysbinary):
    with open("wide.csv", "w", encoding="utf-8") as stream:
        stream.write("layer,check,verdict,threshold\nr,1,0.5,0.25\n")
    assert run_here(["heatmap", "wide.csv", "-o", "w.png"], capsysbinary).err == ""
