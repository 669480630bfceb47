import csv
import json

import numpy as np
import pytest

from cka_cli.api.compare import compare
from cka_cli.report.reading import read_matrices
from tests.cli.command import run_child, run_here
from tests.small_files import values, write_hdf5


@pytest.fixture
def here(tmp_path, monkeypatch):
    write_hdf5(tmp_path / "a.h5", {"conv1": values(30, 5), "conv2": values(30, 4, seed=1)})
    write_hdf5(tmp_path / "b.h5", {"fc": values(30, 3, seed=2)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pipe_gets_tidy_csv_of_what_the_library_gives(here, capsysbinary):
    chosen = ["-m", "cka", "-m", "cca-r2", "-k", "linear", "-k", "rbf"]
    ended = run_here(["compare", "a.h5", "b.h5", *chosen], capsysbinary)
    assert (ended.status, ended.err) == (0, "")
    read = read_matrices(ended.out, "x")
    expected = compare("a.h5", ["b.h5"], measures=["cka", "cca-r2"], kernels=["linear", "rbf"]).matrices
    assert [matrix.title for matrix in read] == ["cka, linear", "cka, rbf:sigma=0.8", "cca-r2"]
    for one, other in zip(read, expected, strict=True):
        assert one.values.shape == (2, 1)
        np.testing.assert_allclose(one.values, other.values, rtol=1e-6)


def test_one_file_is_compared_with_itself(here, capsysbinary):
    (matrix,) = read_matrices(run_here(["compare", "a.h5"], capsysbinary).out, "x")
    assert (matrix.x_file, matrix.y_file, matrix.n_examples) == ("a.h5", "a.h5", 30)
    np.testing.assert_allclose(np.diag(matrix.values), 1)


def test_each_format_and_where_it_goes(here, capsysbinary):
    tidy = run_here(["compare", "a.h5"], capsysbinary).out
    assert run_here(["compare", "a.h5", "--format", "csv", "-o", "-"], capsysbinary).out == tidy
    for name, arguments in {
        "out.csv": [], "out": [], "table.txt": ["--format", "csv"],
    }.items():  # fmt: skip
        ended = run_here(["compare", "a.h5", "-o", name, *arguments], capsysbinary)
        assert (ended.status, ended.out, ended.err) == (0, b"", "")
        assert (here / name).read_bytes() == tidy
    assert run_here(["compare", "a.h5", "-o", "out.json"], capsysbinary).status == 0
    assert json.loads((here / "out.json").read_bytes())["matrices"][0]["x_layers"] == ["conv1", "conv2"]
    wide = run_here(["compare", "a.h5", "--format", "wide"], capsysbinary).out
    assert wide.splitlines()[0] == b"layer,conv1,conv2"
    table = run_here(["compare", "a.h5", "--format", "table"], capsysbinary).out.decode()
    assert "1.000*" in table
    assert "\x1b" not in table


def test_json_tells_the_command_the_options_and_the_files(here):
    arguments = ["compare", "a.h5::conv1", "b.h5", "--sample", "20", "--seed", "3", "--format", "json"]
    document = json.loads(run_child(arguments, cwd=here).out)
    assert document["command"] == ["cka", *arguments]
    assert (document["options"]["sample"], document["options"]["seed"]) == (20, 3)
    assert [file["path"] for file in document["files"]] == ["a.h5", "b.h5"]
    assert document["files"][0]["size_bytes"] == (here / "a.h5").stat().st_size
    assert document["files"][0]["layers"] == [
        {"name": "conv1", "shape": [30, 5], "dtype": "float32", "n_features": 5},
    ]  # fmt: skip
    assert document["matrices"][0]["n_examples"] == 20


def test_notes_go_to_standard_error_unless_quiet(tmp_path, capsysbinary):
    path = write_hdf5(tmp_path / "a.h5", {"conv1": values(30, 5), "flat": np.ones((30, 2), "f4")})
    ended = run_here(["compare", path], capsysbinary)
    assert ended.err == f"Note: {path}::flat: constant (every example is the same), so its values are nan\n"
    assert ended.out.count(b",nan\n") == 3
    quiet = run_here(["compare", path, "-q"], capsysbinary)
    assert (quiet.err, quiet.out) == ("", ended.out)


def test_threads_do_not_change_values(here, capsysbinary):
    one, four = (
        read_matrices(run_here(["compare", "a.h5", "--threads", count], capsysbinary).out, "x")[0].values
        for count in ("1", "4")
    )
    np.testing.assert_allclose(one, four, rtol=1e-6)


def test_a_name_that_is_no_utf_8(tmp_path, capsysbinary):
    path = tmp_path / "\udcff.h5"
    try:
        write_hdf5(tmp_path / "a.h5", {"conv1": values(30, 5)})
        (tmp_path / "a.h5").rename(path)
    except OSError:
        pytest.skip("the file system takes no such name")
    ended = run_here(["compare", path], capsysbinary)
    assert ended.status == 0
    assert b"\\udcff.h5,conv1," in ended.out


def test_statistics_follow_the_value(tmp_path, monkeypatch, capsysbinary):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("a.npz", one=rng.standard_normal((30, 3)), two=rng.standard_normal((30, 2)), clip=np.arange(30) // 3)
    ended = run_here(["compare", "a.npz", "-m", "cka", "-m", "procrustes", "--stats"], capsysbinary)
    assert ended.status == 0
    header, *rows = list(csv.reader(ended.out.decode().splitlines()))
    assert header[7:] == ["value", "std_error", "chance", "p_value"]
    assert all(all(row[8:]) for row in rows[:4])
    assert all(row[8:] == ["", "", ""] for row in rows[4:])
    ended = run_here(
        ["compare", "a.npz", "--stats", "--permutations", "19", "--groups", "clip", "--format", "json"], capsysbinary
    )
    (matrix,) = json.loads(ended.out)["matrices"]
    assert np.shape(matrix["std_error"]) == np.shape(matrix["p_value_of_max"]) == (2, 2)
    assert matrix["p_value"][0][0] == 0.05
    ended = run_here(["compare", "a.npz", "--stats", "--format", "wide"], capsysbinary)
    assert (ended.status, ended.err) == (2, "Error: --format wide: has no room for --stats; use --format csv or json\n")
    ended = run_here(["compare", "a.npz", "--stats", "--format", "table"], capsysbinary)
    assert "±" in ended.out.decode()
    piped = run_here(["heatmap", "stats.csv", "-o", "a.png"], capsysbinary)
    assert piped.status == 1  # no such file
    (tmp_path / "stats.csv").write_bytes(run_here(["compare", "a.npz", "--stats"], capsysbinary).out)
    assert run_here(["heatmap", "stats.csv", "-o", "a.png"], capsysbinary).status == 0
