"""What a report or a picture cannot hold is said from headers alone, before anything is worked out."""

# ruff: noqa: E501 - a line of the table is a line that a user sees

import json

import numpy as np
import pytest

from cka_cli.pictures.heatmap import HeatmapStyle, draw_heatmap
from cka_cli.results.matrix import Matrix
from tests.cli.command import run_here
from tests.small_files import state, values, write_hdf5


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name, n_layers in {"a": 3, "b": 3, "c": 3, "short": 2, "single": 1}.items():
        write_hdf5(tmp_path / f"{name}.h5", {f"conv{n}": values(30, 4, seed=n) for n in range(n_layers)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def no_work(monkeypatch):
    def work(*arguments, **options):
        raise AssertionError("work was done")

    monkeypatch.setattr("cka_cli.execution.run.execute", work)


KERNELS = " ".join(f"-k rbf:sigma={n}" for n in range(1, 146))
FEWER = "draw fewer files, measures or kernels at a time"
TOO_MUCH = [
    ("compare a.h5 b.h5 c.h5 --format wide", 2, "--format wide: holds one matrix (found 2); give one second file, one measure and one kernel, or use --format csv"),
    ("compare a.h5 -k rbf -k linear -m cka -m cca-r2 --format wide", 2, "--format wide: holds one matrix (found 3); give one second file, one measure and one kernel, or use --format csv"),
    ("match single.h5", 1, "single.h5: 1 layer has no depth (found conv0); give two layers or more"),
    ("match a.h5 single.h5 --report depth", 1, "single.h5: 1 layer has no depth (found conv0); give two layers or more"),
    ("match single.h5 single.h5", 1, "single.h5: 1 layer, which leaves no choice; give two layers or more"),
    ("match a.h5 short.h5 --report accuracy", 1, "--report accuracy: needs as many layers in every file (found a.h5 3, short.h5 2); choose layers with --layers or --exclude, or give --report partners"),
    ("match a.h5 --threshold 2", 2, "--threshold 2: a similarity is above 0 and at most 1; 0.95 is usual"),
    (f"heatmap a.h5 -o x.png {KERNELS}", 2, f"picture: 145 panels are too many (at most 144); {FEWER}"),
    (f"match a.h5 b.h5 --plot x.png {KERNELS}", 2, f"picture: 145 panels are too many (at most 144); {FEWER}"),
    (f"match a.h5 b.h5 short.h5 --plot x.png {' '.join(KERNELS.split()[:98])}", 2, f"picture: 147 panels are too many (at most 144); {FEWER}"),
    (f"match a.h5 --plot x.png {' '.join(KERNELS.split()[:82])}", 2, f"picture: 41 studies of depth are too many (at most 40); {FEWER}"),
    (f"heatmap a.h5 -o x.png --size 1x1 {' '.join(KERNELS.split()[:288])}", 2, "size: no room for 144 panels (1 x 1 inches); give a larger size"),
]  # fmt: skip


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]], ids=["", "dry run"])
@pytest.mark.parametrize(("typed", "status", "line"), TOO_MUCH, ids=[typed[:60] for typed, _, _ in TOO_MUCH])
def test_what_cannot_be_written_is_said_before_the_work(here, no_work, capsysbinary, typed, status, line, dry_run):
    ended = run_here([*typed.split(), *dry_run], capsysbinary)
    assert (ended.status, ended.out, ended.err) == (status, b"", f"Error: {line}\n")
    assert not (here / "x.png").exists()


@pytest.mark.parametrize("typed", ["compare a.h5 b.h5", "heatmap a.h5 b.h5 -o x.png", "match a.h5 b.h5", "match a.h5"])
def test_a_dry_run_prints_a_plan_and_does_nothing(here, no_work, capsysbinary, typed):
    ended = run_here([*typed.split(), "--dry-run"], capsysbinary)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith(b"route               products of features with features\n")
    assert ended.out.count(b"\n") == 9
    assert not (here / "x.png").exists()


@pytest.mark.parametrize(
    "typed",
    [
        "compare a.h5 b.h5 -o old.csv -f",
        "compare a.h5 -o old.csv -f --format wide",
        "compare a.h5 -o new.json",
        "match a.h5 b.h5 -o old.csv -f --plot old.png",
        "match a.h5 -o old.json -f --checkpoint c.bin",
        "match a.h5 b.h5 --report depth -o new.csv",
        "heatmap a.h5 -o old.png -f",
    ],
)
def test_a_dry_run_touches_no_file(here, no_work, capsysbinary, typed):
    for name in ("old.csv", "old.json", "old.png"):
        (here / name).write_text("kept")
    before = state(here)
    ended = run_here([*typed.split(), "--dry-run"], capsysbinary)
    assert (ended.status, ended.err) == (0, "")
    assert b"route" in ended.out
    assert ended.out.startswith(b"{") == (".json" in typed)
    assert state(here) == before


def test_a_dry_run_of_several_studies_names_each(here, no_work, capsysbinary):
    typed = ["match", "a.h5", "b.h5", "--report", "depth", "--dry-run"]
    shown = run_here(typed, capsysbinary).out.decode().split("\n\n")
    assert [plan.partition("\n")[0] for plan in shown] == ["a.h5", "b.h5"]
    assert list(json.loads(run_here([*typed, "--format", "json"], capsysbinary).out)) == ["a.h5", "b.h5"]


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]], ids=["", "dry run"])
def test_channels_of_one_file_alone_are_of_one_study_of_depth(here, capsysbinary, dry_run):
    for name, shape in {"first": (3, 4, 4), "last": (4, 4, 3)}.items():
        write_hdf5(here / f"{name}.h5", {f"conv{n}": values(30, *shape, seed=n) for n in range(3)})
    typed = ["match", "first.h5", "last.h5", "--report", "depth", "--pool", "mean", "--format", "json", *dry_run]
    for_each = ["--channels", "first.h5::*=first", "--channels", "last.h5::*=last"]
    report = json.loads(run_here([*typed, *for_each], capsysbinary).out)
    if not dry_run:
        assert [layer["n_features"] for file in report["files"] for layer in file["layers"]] == [3] * 6
    ended = run_here([*typed, *for_each, "--channels", "other.h5::*=last"], capsysbinary)
    assert (ended.status, ended.out) == (2, b"")
    assert ended.err.startswith("Error: --channels other.h5::*: no such file among those compared (found ")


def test_a_plan_of_a_match_counts_the_layers_of_all_files(here, capsysbinary):
    one, two = (
        json.loads(run_here(["match", *files, "--dry-run", "--format", "json"], capsysbinary).out)
        for files in (["a.h5", "b.h5"], ["a.h5", "b.h5", "c.h5"])
    )
    assert two["bytes_read"] == 1.5 * one["bytes_read"]


def test_a_dry_run_is_for_activations(here, capsysbinary):
    (here / "r.csv").write_text("layer,p\nr,1\n")
    ended = run_here(["heatmap", "r.csv", "-o", "x.png", "--dry-run"], capsysbinary)
    line = "--dry-run is for activation files, but r.csv is a report; give it to cka compare"
    assert (ended.status, ended.err) == (2, f"Error: {line}\n")


def test_a_report_of_too_many_matrices_is_not_drawn(here, capsysbinary):
    header = "x_file,x_layer,y_file,y_layer,measure,kernel,n_examples,value\n"
    (here / "r.csv").write_text(header + "".join(f"a,p,b{n},q,cka,linear,9,1\n" for n in range(145)))
    ended = run_here(["heatmap", "r.csv", "-o", "x.png"], capsysbinary)
    assert (ended.status, ended.err) == (2, f"Error: picture: 145 panels are too many (at most 144); {FEWER}\n")


def matrices(n):
    return [Matrix(np.full((2, 2), 0.5), ("p", "q"), ("p", "q"), "a", f"b{k}", "cka", "linear", 9) for k in range(n)]


@pytest.mark.parametrize(("n", "n_columns"), [(4, 4), (6, 3), (12, 4), (16, 4), (17, 5), (30, 6), (40, 7)])
def test_many_panels_stand_in_a_square(n, n_columns):
    figure = draw_heatmap(matrices(n), HeatmapStyle(dpi=50))
    lefts = [round(axes.get_position().x0, 3) for axes in figure.axes[:n]]
    assert len(set(lefts)) == n_columns


def test_more_pixels_than_viewers_open_are_refused(here, no_work, capsysbinary, monkeypatch):
    monkeypatch.setattr("cka_cli.pictures.heatmap.layout.MAX_PIXELS", 5000)
    ended = run_here(f"heatmap a.h5 -o x.png --dpi 1200 {' '.join(KERNELS.split()[:60])}".split(), capsysbinary)
    assert ended.status == 2
    assert ended.err.startswith("Error: dpi: more than 5000 pixels on a side (")
