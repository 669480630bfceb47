"""Files that MATLAB saves with -v7.3: HDF5 whose axes count from the other end."""

import h5py
import numpy as np
import pytest

from cka_cli.api.compare import compare
from cka_cli.api.inspect import inspect
from cka_cli.files import open_file
from cka_cli.layers.selection import SelectedLayer
from cka_cli.options import ReadOptions
from tests.cli.command import run_here
from tests.small_files import values, write_hdf5

IMAGES = values(30, 5, 4, 3)
CLASSES = {"f4": "single", "f8": "double"}


def write_matlab(path, arrays, **options):
    """Write arrays as MATLAB does: behind a user block, axes reversed, each with its class."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            array = np.asarray(array)
            options_here = options if array.ndim > 1 and min(array.shape) > 1 else {}
            file.create_dataset(name, data=np.atleast_2d(array).T if array.ndim < 2 else array.T, **options_here)
            file[name].attrs["MATLAB_class"] = np.bytes_(
                {"f4": "single", "f8": "double"}.get(array.dtype.str[1:], "int64")
            )
    with open(path, "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return str(path)


@pytest.mark.parametrize(
    "options",
    [{}, {"chunks": True, "compression": "gzip"}, {"chunks": True, "shuffle": True, "compression": "gzip"}],
    ids=["contiguous", "gzip", "shuffled"],
)
def test_axes_are_those_of_matlab(tmp_path, options):
    path = write_matlab(tmp_path / "a.mat", {"maps": IMAGES, "flat": values(30, 12, dtype="f8")}, **options)
    flat, maps = open_file(path).layers
    assert (flat.shape, maps.shape) == ((30, 12), (30, 5, 4, 3))
    for start, stop, part in ((0, 30, slice(None)), (7, 9, slice(2, 5)), (29, 30, slice(0, 1)), (5, 5, slice(None))):
        np.testing.assert_array_equal(maps.read(start, stop, part), IMAGES[start:stop, part])
        np.testing.assert_array_equal(flat.read(start, stop, part), values(30, 12, dtype="f8")[start:stop, part])


def test_values_are_those_of_the_file_that_python_writes(tmp_path):
    layers = {"layer1": values(40, 12, dtype="f8"), "layer2": np.tanh(values(40, 12, dtype="f8"))}
    found = compare(write_matlab(tmp_path / "a.mat", layers), measures=["cka", "svcca-r2"]).matrices
    right = compare(write_hdf5(tmp_path / "a.h5", layers), measures=["cka", "svcca-r2"]).matrices
    for one, other in zip(found, right, strict=True):
        assert one.n_examples == 40
        np.testing.assert_allclose(one.values, other.values, rtol=1e-12)


def test_rows_and_columns_are_one_axis_and_align(tmp_path):
    order = np.random.default_rng(3).permutation(30)
    ids = np.arange(100, 130)
    a = write_matlab(tmp_path / "a.mat", {"conv": values(30, 6), "ids": ids[:, None]})
    b = write_matlab(tmp_path / "b.mat", {"conv": values(30, 6)[order], "ids": ids[order][None, :], "epoch": [[3]]})
    assert [(vector.name, vector.shape) for vector in open_file(b).vectors] == [("ids", (30,))]
    assert open_file(b).refused == {"epoch": "a single number, not an array of examples"}
    assert compare(a, [b], read=ReadOptions(ids="ids")).matrices[0].values[0, 0] == pytest.approx(1, abs=1e-12)


def test_inspect_says_that_axes_were_reversed(tmp_path):
    path = write_matlab(tmp_path / "a.mat", {"conv": values(30, 6)}, chunks=(6, 10), compression="gzip")
    (found,) = inspect([path], progress=lambda *_: None)
    assert (found.shape, found.storage) == ((30, 6), "chunks 6x10, gzip, axes reversed (MATLAB)")


def test_what_matlab_holds_that_is_no_array(tmp_path, capsysbinary):
    path = write_matlab(tmp_path / "a.mat", {"conv": values(30, 6)})
    with h5py.File(path, "a") as file:
        for name, of_class in (("cells", "cell"), ("text", "char"), ("call", "function_handle")):
            file[name] = np.ones((2, 30), "u1")
            file[name].attrs["MATLAB_class"] = np.bytes_(of_class)
        file["empty"] = np.array([0, 7], "u8")
        file["empty"].attrs["MATLAB_class"], file["empty"].attrs["MATLAB_empty"] = np.bytes_("double"), np.uint8(1)
        file["waves"] = np.zeros((6, 30), [("real", "f8"), ("imag", "f8")])
        file["waves"].attrs["MATLAB_class"] = np.bytes_("double")
        file["thin/data"], file["thin/ir"] = np.ones(4), np.arange(4)
        file["thin"].attrs["MATLAB_class"], file["thin"].attrs["MATLAB_sparse"] = np.bytes_("double"), np.uint64(30)
        file["#refs#/a"] = values(6, 30)
        file["net/fc"] = values(30, 6).T  # a field of a struct
        file["net/fc"].attrs["MATLAB_class"] = np.bytes_("single")
    assert [layer.name for layer in open_file(path).layers] == ["conv", "net/fc"]
    ended = run_here(["compare", path], capsysbinary)
    assert ended.status == 0
    assert [line.rpartition("::")[2] for line in ended.err.splitlines()] == [
        "#refs# left out: parts of cells and objects of MATLAB; save each as an array of its own",
        "call left out: a function_handle of MATLAB; save it as an array of numbers",
        "cells left out: a cell array of MATLAB; save each cell as an array of its own",
        "empty left out: an empty array of MATLAB",
        "text left out: text of MATLAB, not numbers",
        "thin left out: a sparse matrix of MATLAB; save full() of it",
        "waves left out: complex numbers of MATLAB; save real() and imag() of it",
    ]


@pytest.mark.parametrize(("names", "more"), [(["maps"], ""), (["maps", "maps2"], ", and so in 1 more array")])
def test_the_first_of_many_axes_is_named(tmp_path, capsysbinary, names, more):
    maps = np.moveaxis(IMAGES, 0, -1)  # examples last, as many tools do
    path = write_matlab(tmp_path / "a.mat", dict.fromkeys(names, maps) | {"flat": values(5, 3)})
    ended = run_here(["compare", path], capsysbinary)
    assert ended.err == (
        f"Note: {path}::maps: its first axis in MATLAB, of 5, is taken for the examples{more}; "
        "where they are on another, save permute() of it\n"
    )


def test_a_logical_array_is_bool(tmp_path):
    path = write_matlab(tmp_path / "a.mat", {"active": (values(30, 6) > 0).astype("u1"), "x": values(30, 6)})
    with h5py.File(path, "a") as file:
        file["active"].attrs["MATLAB_class"] = np.bytes_("logical")
    active, _ = open_file(path).layers
    assert active.dtype == bool
    np.testing.assert_array_equal(active.read(3, 9, slice(1, 4)), values(30, 6)[3:9, 1:4] > 0)


def test_a_file_that_begins_as_those_of_matlab_has_all_axes_reversed(tmp_path):
    path = write_matlab(tmp_path / "a.mat", {"conv": values(30, 6)})
    with h5py.File(path, "a") as file:
        del file["conv"].attrs["MATLAB_class"]
    np.testing.assert_array_equal(open_file(path).layers[0].read(0, 30), values(30, 6))
    other = write_hdf5(tmp_path / "b.mat", {"conv": values(30, 6)}, userblock_size=512)
    np.testing.assert_array_equal(open_file(other).layers[0].read(0, 30), values(30, 6))


def test_chunks_that_were_never_written_are_no_zeros(tmp_path, capsysbinary):
    path = str(tmp_path / "a.mat")
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("conv", (6, 30), "f4", chunks=(6, 10))[:, :20] = 1
        file["conv"].attrs["MATLAB_class"] = np.bytes_("single")
    ended = run_here(["compare", path], capsysbinary)
    assert (ended.status, ended.out) == (1, b"")
    assert "2 of 3 chunks were written" in ended.err


def test_a_block_of_rows_is_read_alone(tmp_path, monkeypatch):
    from cka_cli.files import hdf5_worker

    path = write_matlab(tmp_path / "a.mat", {"conv": values(3000, 40)}, chunks=(40, 500), compression="gzip")
    (layer,) = open_file(path).layers
    asked, read = [], hdf5_worker.Library.read
    monkeypatch.setattr(hdf5_worker.Library, "read", lambda *args, **how: asked.append(args[2:4]) or read(*args, **how))
    blocks = [block for _, block in SelectedLayer(layer, range(3000)).blocks(700 * 160)]
    np.testing.assert_array_equal(np.concatenate(blocks), values(3000, 40))
    assert asked == [(start, start + 500) for start in range(0, 3000, 500)]


def test_a_group_whose_attributes_are_damaged_stops_no_other(tmp_path, monkeypatch):
    path = write_hdf5(tmp_path / "a.h5", {"conv": values(30, 6), "block/conv": values(30, 6)})

    def damaged(group):
        raise RuntimeError("Can't determine if attribute exists")

    monkeypatch.setattr("cka_cli.files.hdf5.why_no_group", damaged)
    found = open_file(path)
    assert [layer.name for layer in found.layers] == ["conv"]
    assert found.refused == {"block": "cannot be read (Can't determine if attribute exists)"}
