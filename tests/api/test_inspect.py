import csv
import io
import json
import re

import h5py
import numpy as np
import pytest
from rich.cells import cell_len

from cka_cli.api.inspect import inspect
from cka_cli.errors import DataError
from tests.report.written import format_inspection
from tests.small_files import values, write_folder, write_hdf5


def silent(stage, done, total):
    return None


@pytest.fixture
def troubled(tmp_path):
    sound = values(20, 4)
    constant = values(20, 4, seed=1)
    constant[:, 1:3] = 2.5
    holes = values(20, 6, seed=2)
    holes[3, 2], holes[5, 2:4] = np.nan, -np.inf
    holes[:, 5] = 1
    with h5py.File(tmp_path / "a.h5", "w", track_order=True) as file:
        file.create_dataset("conv1", data=sound, chunks=(5, 2), compression="gzip")
        file["constant"] = constant
        file["holes"] = holes
        file["same"] = np.full((20, 2, 3), 7, "i2")
        file["ids"] = np.arange(20)
        file["none"] = np.empty((0, 3), "f4")
        file["flat"] = np.empty((20, 0), "f4")
        file["complex"] = sound + 1j
        file["out"] = h5py.ExternalLink("b.h5", "/conv1")
    return str(tmp_path / "a.h5")


def by_name(arrays):
    return {array.name: array for array in arrays}


def test_trouble_is_counted(troubled):
    found = by_name(inspect([troubled], progress=silent))
    assert list(found) == ["conv1", "constant", "holes", "same", "none", "flat", "ids", "out", "complex"]
    counts = {name: (array.n_nonfinite, array.n_constant, array.trouble) for name, array in found.items()}
    assert counts == {
        "conv1": (0, 0, ""),
        "constant": (0, 2, "2 constant features"),
        "holes": (3, 1, "3 values are not finite; 1 constant feature"),
        "same": (0, 6, "constant"),
        "none": (None, None, "no examples"),
        "flat": (None, None, "no features"),
        "ids": (None, None, ""),
        "complex": (None, None, "complex numbers (complex64); save it as real numbers"),
        "out": (None, None, "external link to b.h5, which is never followed; give that file itself"),
    }
    assert found["conv1"].storage == "chunks 5x2, gzip"
    assert (found["same"].shape, found["same"].n_features, found["same"].n_bytes) == ((20, 2, 3), 6, 240)
    assert {name: array.kind for name, array in found.items() if array.kind != "layer"} == {
        "ids": "vector", "complex": "refused", "out": "refused",
    }  # fmt: skip


def test_counts_do_not_depend_on_blocks(tmp_path):
    array = values(3000, 4000)  # more than one block
    array[[0, 2999], 17] = np.nan
    array[:, 30] = array[0, 30]
    array[:2999, 31:33] = 1
    array[2999, 31:33] = 5, -5
    np.save(tmp_path / "a.npy", array)
    (found,) = inspect([str(tmp_path / "a.npy")], progress=silent)
    assert (found.n_nonfinite, found.n_constant) == (2, 1)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    ("row", "value", "said"),
    [
        (7, 1e20, r"row 7 far out \(\de\+(19|20) times as far as most\)"),
        (0, -1e5, r"row 0 far out \(\de\+0[45] "),
        (7, 30, "$"),
    ],
)
def test_a_row_far_out_is_trouble(tmp_path, dtype, row, value, said):
    array = values(60, 5, dtype=dtype)
    array[row] = value
    np.save(tmp_path / "a.npy", array)
    (found,) = inspect([str(tmp_path / "a.npy")], progress=silent)
    assert re.match(said, found.trouble), found.trouble
    (found,) = inspect([str(tmp_path / "a.npy")], scan=False, progress=silent)
    assert found.trouble == ""


def test_a_row_far_out_is_counted_as_saved_beside_rows_that_are_not_finite(tmp_path):
    array = values(60, 5)
    array[[2, 5], 1] = np.nan
    array[30] = 1e20
    np.save(tmp_path / "a.npy", array)
    np.save(tmp_path / "none.npy", np.full((9, 2), np.nan))
    np.save(tmp_path / "integers.npy", np.where(np.arange(60)[:, None] == 41, 10**9, np.arange(120).reshape(60, 2)))
    paths = [str(tmp_path / name) for name in ("a.npy", "none.npy", "integers.npy")]
    some, none, integers = inspect(paths, progress=silent)
    assert re.fullmatch(r"2 values are not finite; row 30 far out \(.*\)", some.trouble), some.trouble
    assert none.trouble == "18 values are not finite"
    assert integers.trouble.startswith("row 41 far out ("), integers.trouble


def test_headers_read_no_values(troubled, monkeypatch):
    monkeypatch.setattr(h5py.Dataset, "__getitem__", None)
    found = by_name(inspect([troubled], scan=False, progress=silent))
    assert all(array.n_nonfinite is array.n_constant is None for array in found.values())
    assert found["holes"].trouble == ""
    assert found["complex"].trouble.startswith("complex numbers")


def test_what_cannot_be_read_is_trouble_of_one_array(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, good=values(9, 4), torn=values(4000, 20))
    data = bytearray(path.read_bytes())
    data[100_000:100_300] = bytes(300)
    path.write_bytes(data)
    found = by_name(inspect([str(path)], progress=silent))
    assert found["good"].trouble == ""
    assert found["torn"].trouble.startswith("cannot be read (")


def test_globs_choose_and_progress_counts(troubled, tmp_path):
    other = write_folder(tmp_path / "folder", {"conv1": values(9, 4), "conv2": values(9, 4)})
    stages = []
    found = inspect([f"{other}::conv2", f"{troubled}::con*"], progress=lambda *stage: stages.append(stage))
    assert [(array.file, array.name) for array in found] == [
        (other, "conv2"), (troubled, "conv1"), (troubled, "constant"),
    ]  # fmt: skip
    assert stages == [("scanning", done, 3) for done in (0, 1, 2, 3)]
    with pytest.raises(
        DataError, match=r"a.h5::conv7: no such layer; did you mean 'conv1'\? \(the file has conv1, .*\)$"
    ):
        inspect([f"{troubled}::conv7"], progress=silent)


def test_csv_and_json_say_the_same(troubled):
    arrays = inspect([troubled], progress=silent)
    records = json.loads(format_inspection(arrays, "json"))
    rows = list(csv.DictReader(io.StringIO(format_inspection(arrays, "csv"))))
    assert list(rows[0]) == [
        "file", "layer", "kind", "shape", "dtype", "n_examples", "n_features", "bytes", "storage", "n_nonfinite",
        "n_constant_features", "trouble",
    ]  # fmt: skip
    for record, row in zip(records, rows, strict=True):
        record["shape"] = "x".join(map(str, record["shape"] or ()))
        assert {key: "" if value is None else str(value) for key, value in record.items()} == row
    assert [row["shape"] for row in rows][:4] == ["20x4", "20x4", "20x6", "20x2x3"]


def test_table_has_a_line_for_each_array_under_its_file(troubled):
    lines = format_inspection(inspect([troubled], progress=silent), "table").splitlines()
    assert lines[0] == troubled
    assert lines[1].split() == ["layer", "shape", "dtype", "features", "in", "memory", "stored", "trouble"]
    assert lines[2].split() == ["conv1", "20", "×", "4", "float32", "4", "320", "B", "chunks", "5x2,", "gzip"]
    assert lines[4].endswith("3 values are not finite; 1 constant feature")
    assert lines[8].endswith("one axis: a layer only when named")
    assert lines[9].endswith("external link to b.h5, which is never followed; give that file itself")
    assert len(lines) == 11


def test_one_is_singular_in_every_format(tmp_path):
    array = values(9, 24)
    array[0, 0] = np.nan
    array[:, 1] = 1
    np.save(tmp_path / "one.npy", array)
    array[:, 2:12] = 1
    array[1:11, 0] = np.nan
    np.save(tmp_path / "many.npy", array)
    found = inspect([str(tmp_path / "one.npy"), str(tmp_path / "many.npy")], progress=silent)
    for report_format in ("table", "csv", "json"):
        written = format_inspection(found, report_format)
        assert "1 value is not finite; 1 constant feature" in written
        assert "9 values are not finite; 11 constant feature" in written


def test_names_with_control_characters_are_escaped_in_the_table(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", {"new\nline\x1b[31m": values(9, 2)})
    table = format_inspection(inspect([path], progress=silent), "table")
    assert r"new\nline\x1b[31m" in table
    assert "\x1b" not in table


def test_a_table_stays_a_table_with_long_and_wide_names(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", {"x" * 10_000 + "end": values(9, 2), "层" * 9: values(9, 2)})
    lines = format_inspection(inspect([path], progress=silent), "table").splitlines()[2:]
    assert max(map(len, lines)) < 200
    assert "xend  9 × 2" in lines[0] + lines[1]
    assert len({cell_len(line[: line.index("9 × 2")]) for line in lines}) == 1


def test_names_of_fields_are_escaped_in_the_table(tmp_path):
    fields = np.zeros(9, [("\u3164\x1b", "f4")])
    path = write_hdf5(tmp_path / "a.h5", {"conv": values(9, 2), "fields": fields})
    table = format_inspection(inspect([path], progress=silent), "table")
    assert "fields" in table
    assert "\u3164" not in table
    assert "\x1b" not in table


def test_a_spreadsheet_takes_names_for_words(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", {"=1+1": values(9, 2), "-1": values(9, 2)})
    written = format_inspection(inspect([path], progress=silent), "csv")
    assert [line.split(",")[1] for line in written.splitlines()[1:]] == ["'=1+1", "'-1"]


@pytest.mark.parametrize("dtype", ["f2", ">f8", "g", "?", "u1"])
def test_every_dtype_is_scanned(tmp_path, dtype):
    np.save(tmp_path / "a.npy", (np.abs(values(9, 3)) * 20).astype(dtype) * np.array([1, 0, 1], dtype))
    (found,) = inspect([str(tmp_path / "a.npy")], progress=silent)
    assert found.n_nonfinite == 0
    assert found.n_constant == (1 if dtype != "?" else 3)
