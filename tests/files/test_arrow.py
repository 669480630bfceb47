"""Parquet and Arrow files as people save them: what is taken for what, and what is refused by name."""

import json
import signal
import struct
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas
import pytest

from cka_cli import compare
from cka_cli.errors import DataError
from cka_cli.files import arrow_worker, open_file
from cka_cli.files.arrow_layout import data_files, is_stream
from tests.files.arrow_files import column_of, pa, saved_dataset, table_of, write_arrow, write_parquet
from tests.small_files import values

N = 12
WRITERS = [(write_parquet, "a.parquet"), (write_arrow, "a.arrow")]


@pytest.fixture(params=WRITERS, ids=lambda each: each[1])
def saved(request, tmp_path):
    write, name = request.param
    return lambda columns: open_file(write(tmp_path / name, pa.table(columns)))


def read(file, name="c"):
    (layer,) = (each for each in (*file.layers, *file.vectors) if each.name == name)
    return layer.read(0, layer.shape[0])


@pytest.mark.parametrize("options", [{"is_fixed": False}, {"is_fixed": False, "is_large": True}, {}])
def test_lists_of_lists_are_axes(saved, options):
    array = values(N, 2, 3, 4, dtype="f8")
    np.testing.assert_array_equal(read(saved({"c": column_of(array, **options)})), array)


def test_tensors_have_their_axes_in_their_order(saved):
    array = values(N, 3, 4)
    file = saved({
        "c": pa.FixedShapeTensorArray.from_numpy_ndarray(array),
        "turned": pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.float32(), [3, 4], permutation=[1, 0]), column_of(array.reshape(N, 12))
        ),
    })  # fmt: skip
    np.testing.assert_array_equal(read(file), array)
    np.testing.assert_array_equal(read(file, "turned"), array.transpose(0, 2, 1))


def test_nulls_of_floats_are_nan_and_never_0(saved):
    file = saved({"c": pa.array([[1.0, 2.0], [None, 3.0], None]), "v": pa.array([1.0, None, 3.0])})
    np.testing.assert_array_equal(read(file), [[1, 2], [np.nan, 3], [np.nan, np.nan]])
    np.testing.assert_array_equal(read(file, "v"), [1, np.nan, 3])


def test_text_and_dictionaries_are_vectors(saved):
    words, kinds = pa.array(["é", "b"]), pa.array(["x", "x"]).dictionary_encode()
    file = saved({"c": words, "d": kinds, "l": words.cast("large_string")})
    assert read(file).tolist() == read(file, "l").tolist() == ["é", "b"]
    assert read(file, "d").tolist() == ["x", "x"]


REFUSED = {
    "struct": (pa.array([{"x": 1}]), "a struct (fields x), not numbers; save each field as a column of its own"),
    "map": (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())), "a map (map<string, int32"),
    "binary": (pa.array([b"x"]), "bytes without a type (binary); save them as lists of numbers"),
    "decimal": (pa.array([Decimal("1.5")]), "decimal numbers (decimal128(2, 1)); save them as float64"),
    "dates": (pa.array([date(2020, 1, 1)]), "dates or times (date32[day]); save them as real numbers"),
    "null": (pa.nulls(1), "nulls only; save numbers"),
    "words": (pa.array([["a"]]), "lists of text, not numbers"),
    "ragged": (pa.array([[1.0], [1.0, 2.0]]), "lists of different lengths (1 and 2 values); pad or cut them"),
    "inner": (pa.array([[[1.0], [2.0, 3.0]]]), "lists of different lengths (1 and 2 values); pad or cut them"),
    "integers": (
        pa.array([[1, None]]),
        "nulls among values of int64, which has no NaN; fill them, or save it as float",
    ),
    "labels": (pa.array([1, None]), "nulls among values of int64, which has no NaN; fill them, or save it as float"),
    "names": (pa.array(["a", None]), "nulls among text; fill them"),
    "lost": (
        pa.array([None], pa.list_(pa.float32())),
        "lists that are all null; was the run that wrote it ended early?",
    ),
    "none": (pa.array([], pa.list_(pa.float32())), "lists of a length that only rows would tell (0 rows)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_array_is_refused_by_name(saved, name):
    column, why = REFUSED[name]
    assert saved({"c": column}).refused["c"].startswith(why)


def test_ragged_lists_with_as_many_values_as_even_ones_are_refused_when_read(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", pa.table({"c": pa.array([[1.0, 2.0], [1.0], [1.0, 2.0, 3.0]])}))
    (layer,) = open_file(path).layers
    with pytest.raises(DataError, match=r"a\.parquet::c: cannot be a layer: lists of different lengths \(2 and 1 "):
        layer.read(0, 3)


def test_two_columns_of_one_name_are_refused_and_names_with_dots_are_themselves(saved):
    columns = [column_of(values(N, 2, seed=seed)) for seed in range(4)]
    file = saved(pa.Table.from_arrays(columns, ["a", "a.b", "twice", "twice"]))
    np.testing.assert_array_equal(read(file, "a"), values(N, 2, seed=0))
    np.testing.assert_array_equal(read(file, "a.b"), values(N, 2, seed=1))
    assert file.refused == {"twice": "2 columns have this name; rename them"}


def test_a_frame_of_pandas_gives_the_matrix_of_npz(tmp_path):
    a, b = values(30, 5, dtype="f8"), values(30, 2, 3)
    np.savez(tmp_path / "a.npz", a=a, b=b.reshape(30, 6))
    frame = pandas.DataFrame({"a": list(a), "b": list(b.reshape(30, 6)), "y": np.arange(30)})
    frame.to_parquet(tmp_path / "a.parquet", engine="pyarrow")
    (expected,) = compare(str(tmp_path / "a.npz")).matrices
    (found,) = compare(str(tmp_path / "a.parquet")).matrices
    np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=1e-12)


def test_splits_are_named(tmp_path):
    saved_dataset(tmp_path / "d" / "train", table_of({"c": values(N, 3)}))
    (tmp_path / "d" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(DataError, match=rf"d: holds datasets, one for each split \(train\); give {tmp_path}/d/train$"):
        open_file(str(tmp_path / "d"))


@pytest.mark.parametrize("name", ["../a.arrow", "/etc/passwd", "", None, "a\0b", ".."])
def test_no_file_outside_of_a_dataset_is_read(tmp_path, name):
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(DataError, match=r"is no readable saved dataset \(its state\.json names .* no file of the fold"):
        open_file(str(tmp_path))


def test_a_dataset_of_picked_rows_or_without_a_file_is_refused(tmp_path):
    path = Path(saved_dataset(tmp_path / "d", table_of({"c": values(N, 3)}), _indices_files=[{"filename": "i"}]))
    with pytest.raises(DataError, match="its rows are picked by a file of indices"):
        open_file(str(path))
    path = Path(saved_dataset(tmp_path / "e", table_of({"c": values(N, 3)})))
    (path / data_files(str(path))[0]).unlink()
    with pytest.raises(DataError, match=r"e: data-00001-of-00002\.arrow is missing; copy the whole folder"):
        open_file(str(path))


def test_a_stream_without_an_end_is_told_of_and_two_joined_are_refused(tmp_path):
    whole = Path(write_arrow(tmp_path / "a.arrow", table_of({"c": values(N, 3)}), is_stream=True)).read_bytes()
    (tmp_path / "b.arrow").write_bytes(whole[:-8])
    assert "has no end mark" in open_file(str(tmp_path / "b.arrow")).notes[0]
    (tmp_path / "c.arrow").write_bytes(whole * 2)
    with pytest.raises(DataError, match="bytes follow the end of the stream; two streams joined"):
        open_file(str(tmp_path / "c.arrow"))


@pytest.mark.parametrize(
    "data", [b"\xff" * 400, b"\xff" * 4 + struct.pack("<I", 64) + bytes(90), b"\xff" * 6, b"\xff" * 4 + bytes(90)]
)
def test_what_begins_as_a_stream_by_chance_is_none(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    assert not is_stream(data[:16], str(tmp_path / "x"))


def test_the_end_of_a_child_is_one_line(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "a.parquet", table_of({"c": values(N, 3)}))
    monkeypatch.setattr(arrow_worker, "_answers", lambda *_: signal.raise_signal(signal.SIGKILL))
    with pytest.raises(
        DataError, match=r"is not a readable Parquet file \(the Arrow library failed with SIGKILL\); it"
    ):
        open_file(path)


def test_without_a_child_the_same_is_read_here(tmp_path, monkeypatch):
    monkeypatch.delattr("cka_cli.files.sandbox.os.fork")
    array = values(N, 3)
    path = write_parquet(tmp_path / "a.parquet", table_of({"c": array}))
    np.testing.assert_array_equal(read(open_file(path)), array)
