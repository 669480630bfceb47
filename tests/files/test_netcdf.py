"""HDF5 files of netCDF and xarray, whose attributes say what numbers mean: lost, packed, without a sign."""

import h5py
import numpy as np
import pytest

from cka_cli import diagnose, explain
from cka_cli.api.compare import compare
from cka_cli.api.inspect import inspect
from cka_cli.errors import DataError
from cka_cli.files import open_file
from cka_cli.layers.selection import select_layers
from cka_cli.options import ReadOptions
from tests.asked import asked
from tests.cli.command import run_here
from tests.small_files import values, write_hdf5

ROWS, ADVICE = [7, 30], "mend the file, or leave those examples out of every layer with --nonfinite drop"
STORED = {"contiguous": {}, "gzip": {"chunks": (8, 3), "compression": "gzip"}, "lzf": {"compression": "lzf"}}


def write_netcdf(path, array, attributes, stored=(), name="a"):
    with h5py.File(path, "a") as file:
        file.create_dataset(name, data=array, **dict(stored))
        file[name].attrs.update(attributes)
    return str(path)


def holed(fill, dtype="f4", shape=(40, 6), seed=0):
    """Values of which rows 7 and 30 were lost, and the same without these rows."""
    array = values(*shape, seed=seed, dtype="f8")
    array = (100 * array if np.dtype(dtype).kind in "iu" else array).astype(dtype)
    kept = np.delete(array, ROWS, axis=0)
    array[ROWS, 1:3] = fill
    return array, kept


CASES = {
    "scalar": (1e20, "f4", {"_FillValue": np.float32(1e20)}),
    "array of one": (1e20, "f4", {"_FillValue": np.array([1e20], "f4")}),
    "of netCDF": (9.969209968386869e36, "f8", {"_FillValue": np.array([9.969209968386869e36])}),
    "of another type": (-999.9, "f4", {"missing_value": -999.9}),
    "list": ([-1e9, -9.0], "f8", {"missing_value": np.array([-9.0, -99.0, -1e9])}),
    "half precision": (-6e4, "f2", {"_FillValue": np.float16(-6e4)}),
    "other byte order": (-1e4, ">f8", {"_FillValue": np.array([-1e4], ">f8")}),
    "int16": (-32767, "i2", {"_FillValue": np.int16(-32767)}),
    "int32": (-2147483647, "i4", {"_FillValue": np.array([-2147483647], "i4")}),
    "float for integers": (-9999, "i2", {"missing_value": -9999.0}),
    "text": (-9999, "f4", {"missing_value": "-9999"}),
    "both": ([-1.5e5, 2e5], "f4", {"_FillValue": np.float32(2e5), "missing_value": np.float32(-1.5e5)}),
}


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("case", CASES)
def test_lost_examples_are_refused_or_left_out(tmp_path, case, stored):
    fill, dtype, attributes = CASES[case]
    array, kept = holed(fill, dtype)
    path = write_netcdf(tmp_path / "a.nc", array, attributes, STORED[stored])
    right = compare(write_hdf5(tmp_path / "right.h5", {"a": kept.astype("f8")}), measures=["cka-debiased"])
    with pytest.raises(DataError) as error:
        compare(path, measures=["cka-debiased"])
    assert str(error.value).startswith(f"{path}::a: 4 values are lost (they are the file's fill value, ")
    assert str(error.value).endswith(f"; 2 rows, the first is row 7); {ADVICE}")
    found = compare(path, measures=["cka-debiased"], read=ReadOptions(nonfinite="drop"))
    np.testing.assert_allclose(found.matrices[0].values, right.matrices[0].values, rtol=1e-6)
    assert found.notes == (
        "2 of 40 examples left out of every layer: not finite or the file's fill value in at least one",
    )
    layer = select_layers([path], ReadOptions(nonfinite="drop"))[0].layers[0]
    block = layer.layer.read(0, 40)
    np.testing.assert_array_equal(np.delete(block, ROWS, axis=0), kept)
    assert np.isnan(block[ROWS, 1:3]).all()
    for start, stop, part in ((7, 8, slice(2, 4)), (29, 40, slice(0, 3)), (5, 5, slice(None))):
        np.testing.assert_array_equal(layer.layer.read(start, stop, part), block[start:stop, part])


@pytest.mark.parametrize(
    "text", ["_FillValue 1e+20; 1 row, the first is row 3", "missing_value -5.0, missing_value -7.0; 1 row"]
)
def test_the_line_names_the_attribute_and_its_number(tmp_path, text):
    array = values(20, 4)
    array[3, 0] = 1e20 if text.startswith("_Fill") else -7
    attributes = {"_FillValue": [np.float32(1e20)]} if text.startswith("_Fill") else {"missing_value": [-5.0, -7.0]}
    with pytest.raises(DataError) as error:
        compare(write_netcdf(tmp_path / "a.nc", array, attributes))
    assert f"1 value is lost (it is the file's fill value, {text}" in str(error.value)


@pytest.mark.parametrize("first", [7, 0])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_layers_that_are_read_in_pieces(tmp_path, kernel, first):
    array = values(300, 4000)
    array[[first, 200], 5] = -999
    path = write_netcdf(tmp_path / "a.nc", array, {"_FillValue": np.float32(-999)}, {"chunks": (100, 1000)})
    kept = write_hdf5(tmp_path / "right.h5", {"a": np.delete(array, [first, 200], axis=0)})
    options = {"kernels": [kernel], "measures": ["hsic"], "memory_bytes": 9 << 20}
    with pytest.raises(DataError, match=rf"a: 2 values are lost .*-999.0; 2 rows, the first is row {first}\)"):
        compare(path, **asked(**options))
    found = compare(path, read=ReadOptions(nonfinite="drop"), **asked(**options))
    np.testing.assert_allclose(
        found.matrices[0].values, compare(kept, **asked(**options)).matrices[0].values, rtol=1e-6
    )


@pytest.mark.parametrize("pool", ["mean", "max", "positions", "flatten"])
@pytest.mark.parametrize("dtype", ["f4", "i2"])
def test_pooled_values_of_which_one_part_is_lost(tmp_path, pool, dtype):
    array, kept = holed(-9999, dtype, (40, 5, 4, 4))
    path = write_netcdf(tmp_path / "a.nc", array, {"_FillValue": np.array([-9999], dtype)})
    read = ReadOptions(pool=pool, channels="first")
    with pytest.raises(DataError, match=r"values are lost .*the first is row 7\)"):
        compare(path, read=read)
    found = compare(path, read=ReadOptions(pool=pool, channels="first", nonfinite="drop"))
    right = compare(write_hdf5(tmp_path / "right.h5", {"a": kept}), read=read)
    np.testing.assert_array_equal(found.matrices[0].values, right.matrices[0].values)


def test_values_that_are_not_finite_beside_lost_ones(tmp_path):
    array, _ = holed(1e20)
    array[12, 0] = np.inf
    path = write_netcdf(tmp_path / "a.nc", array, {"_FillValue": np.float32(1e20)})
    with pytest.raises(DataError, match=r"5 values are not finite \(NaN, infinite or the file's fill value, _FillV"):
        compare(path)
    (found,) = inspect([path], progress=lambda *_: None)
    assert found.n_nonfinite == 5
    assert found.trouble == "1 value is not finite; 4 values are the file's fill value (_FillValue 1e+20)"


@pytest.mark.parametrize("command", [explain, diagnose])
def test_other_commands_refuse_them_too(tmp_path, command):
    path = write_netcdf(tmp_path / "a.nc", holed(-1.0)[0], {"missing_value": [-1.0]})
    write_netcdf(path, values(40, 6, seed=1), {}, name="b")
    with pytest.raises(DataError, match="4 values are lost"):
        command(f"{path}::a", f"{path}::b")


OWN = {"f4": 9.969209968386869e36, "f8": 9.969209968386869e36, "i2": -32767, "i4": -2147483647, "u2": 65535}


@pytest.mark.parametrize("dtype", OWN)
def test_rows_that_nobody_wrote_to_a_variable_of_netcdf(tmp_path, dtype):
    array = np.abs(100 * values(40, 6)).astype(dtype)
    for name, fill in (("own", OWN[dtype]), ("another", 5)):
        with h5py.File(tmp_path / f"{name}.nc", "w") as file:
            file.create_dataset("a", (40, 6), dtype, chunks=(20, 6), fillvalue=fill)[:33] = array[:33]
    with pytest.raises(DataError, match=r"a: 42 values are lost .*_FillValue .*7 rows, the first is row 33\)"):
        compare(str(tmp_path / "own.nc"))
    assert open_file(str(tmp_path / "another.nc")).layers[0].meaning is None


SILENT = {
    "NaN": {"_FillValue": np.float32(np.nan)},
    "none of the values": {"_FillValue": np.float32(1e20)},
    "text": {"missing_value": "n/a", "units": "1"},
    "empty": {"missing_value": h5py.Empty("f4")},
    "no packing": {"scale_factor": 1.0, "add_offset": 0.0},
    "beyond the type": {"missing_value": 1e300},
}


@pytest.mark.parametrize("case", SILENT)
@pytest.mark.parametrize("dtype", ["f4", "i4"])
def test_attributes_that_change_nothing(tmp_path, case, dtype):
    array, _ = holed(0, dtype)
    path = write_netcdf(tmp_path / "a.nc", array, SILENT[case])
    right = compare(write_hdf5(tmp_path / "right.h5", {"a": array})).matrices[0]
    found = compare(path)
    assert (found.matrices[0].values.tobytes(), found.notes) == (right.values.tobytes(), ())


def test_layers_without_such_attributes_are_read_as_before(tmp_path):
    (layer,) = open_file(write_netcdf(tmp_path / "a.nc", values(9, 4), {"units": "m", "long_name": "x"})).layers
    assert layer.meaning is None


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("dtype", ["i2", "u1", "i4", "f4"])
def test_packed_values_are_unpacked(tmp_path, dtype, stored):
    fill = 200 if dtype == "u1" else -9999
    saved = np.random.default_rng(0).integers(0, 100, (40, 6)).astype(dtype)
    saved[30, 2] = fill
    attributes = {"scale_factor": 0.25, "add_offset": np.array([-3.0]), "_FillValue": np.array([fill], dtype)}
    path = write_netcdf(tmp_path / "a.nc", saved, attributes, STORED[stored])
    right = saved.astype("f8") * 0.25 - 3
    right[30, 2] = np.nan
    (layer,) = open_file(path).layers
    assert (layer.dtype, layer.n_bytes) == (np.dtype("f8"), 40 * 6 * 8)
    np.testing.assert_array_equal(layer.read(0, 40), right)
    (found,) = inspect([path], progress=lambda *_: None)
    assert found.storage.endswith(f", packed in {np.dtype(dtype)}")
    read, options = ReadOptions(nonfinite="drop"), {"kernels": ["rbf:gamma=0.1"], "measures": ["hsic"]}
    expected = compare(write_hdf5(tmp_path / "right.h5", {"a": right}), read=read, **asked(**options))
    assert compare(path, read=read, **asked(**options)).matrices[0].values == expected.matrices[0].values


def test_large_packed_layers_take_no_more_memory_than_a_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("cka_cli.files.layer._PIECE_BYTES", 1 << 12)
    saved = np.arange(100 * 50, dtype="i2").reshape(100, 50)
    path = write_netcdf(tmp_path / "a.nc", saved, {"scale_factor": 0.5}, {"chunks": (7, 50), "compression": "gzip"})
    (layer,) = open_file(path).layers
    np.testing.assert_array_equal(layer.read(3, 98, slice(10, 20)), saved[3:98, 10:20] * 0.5)


@pytest.mark.parametrize(("dtype", "text", "meant"), [("i1", "true", "u1"), ("u2", b"false", "i2")])
def test_integers_whose_sign_an_attribute_tells(tmp_path, dtype, text, meant):
    saved = np.arange(-60, 60, dtype="i2" if meant == "i2" else "i1").reshape(20, 6).astype(dtype)
    fill = saved[3, 3]
    path = write_netcdf(tmp_path / "a.nc", saved, {"_Unsigned": text, "_FillValue": fill})
    right = saved.view(meant).astype("f4")
    right[3, 3] = np.nan
    np.testing.assert_array_equal(open_file(path).layers[0].read(0, 20), right)


WRONG = {
    "scale of channels": ({"scale_factor": np.ones(6)}, "its scale_factor is no single number that values"),
    "scale of 0": ({"scale_factor": 0.0}, "its scale_factor is no single number that values"),
    "offset": ({"add_offset": np.nan}, "its add_offset is no single number that values"),
    "long list": ({"missing_value": np.arange(100.0)}, "its missing_value is no number and no short list of them"),
    "complex": ({"_FillValue": 1j}, "its _FillValue is no number and no short list of them; mend the attribute"),
}


@pytest.mark.parametrize("case", WRONG)
def test_attributes_that_nobody_can_follow_leave_their_array_out(tmp_path, capsysbinary, case):
    attributes, why = WRONG[case]
    path = write_netcdf(tmp_path / "a.nc", values(40, 6), attributes)
    write_netcdf(path, values(40, 6), {}, name="b")
    ended = run_here(["compare", path], capsysbinary)
    assert ended.status == 0
    assert ended.err.startswith(f"Note: {path}::a left out: {why}")
    with pytest.raises(DataError, match="cannot be a layer: its "):
        compare(f"{path}::a")


def test_ids_and_labels_are_names_and_stay_as_they_are_saved(tmp_path):
    ids = np.arange(40) + 2**53
    order = np.random.default_rng(1).permutation(40)
    paths = []
    for name, rows in (("a", np.arange(40)), ("b", order)):
        paths.append(write_netcdf(tmp_path / f"{name}.nc", values(40, 6)[rows], {}))
        write_netcdf(paths[-1], ids[rows], {"_FillValue": np.int64(-1)}, name="ids")
        write_netcdf(paths[-1], (np.arange(40) % 3)[rows], {"missing_value": -1}, name="labels")
    found = compare(paths[0], paths[1:], read=ReadOptions(ids="ids"))
    assert found.matrices[0].values[0, 0] == pytest.approx(1, abs=1e-9)
    assert diagnose(paths[0]).labels == "labels"


def test_integers_beyond_2_to_the_53_are_told_of_where_some_may_be_lost(tmp_path):
    array = np.random.default_rng(0).integers(2**60, 2**61, (40, 3))
    path = write_netcdf(tmp_path / "a.nc", array, {"_FillValue": np.int64(-1)})
    assert any("integers beyond 2**53" in warning for warning in compare(path).warnings)
