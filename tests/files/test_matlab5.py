"""Files that MATLAB saves with -v6 and -v7, as scipy writes them and by hand."""

# ruff: noqa: E501 - a line of a table is a case

import zlib

import h5py
import numpy as np
import pytest

from cka_cli.api.compare import compare
from cka_cli.errors import DataError
from cka_cli.files import open_file
from tests.cli.command import run_here
from tests.files.test_matlab import write_matlab
from tests.small_files import values

CONV, FC = values(30, 6, dtype="f8"), values(30, 4, seed=1)


def element(kind, data, order="<"):
    """Bytes of one element, filled up to 8."""
    return np.array([kind, len(data)], f"{order}u4").tobytes() + data + bytes(-len(data) % 8)


def matrix(name, array, *, of_class=6, kind=9, order="<", flags=0, dims=None):
    """An array in the words of the format, as MATLAB lays it out. kind : of the values saved."""
    dims = np.array(np.shape(array) if dims is None else dims, f"{order}i4")
    saved = np.asarray(array).astype(order + {9: "f8", 7: "f4", 2: "u1", 3: "i2"}[kind])
    parts = [(6, np.array([of_class | flags, 0], f"{order}u4").tobytes()), (5, dims.tobytes()), (1, name.encode())]
    body = b"".join(element(*part, order) for part in parts)
    return element(14, body + element(kind, saved.tobytes(order="F"), order), order)


def write(path, *elements, order="<"):
    header = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + (b"\0\1IM" if order == "<" else b"\1\0MI")
    path.write_bytes(header + b"".join(elements))
    return str(path)


def packed(data):
    deflated = zlib.compress(data)
    return np.array([15, len(deflated)], "<u4").tobytes() + deflated


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_matrix_is_the_same_in_every_format(tmp_path, is_packed):
    scipy_io = pytest.importorskip("scipy.io")
    layers = {"conv": CONV, "fc": FC}
    np.savez(tmp_path / "a.npz", **layers)
    scipy_io.savemat(tmp_path / "a.mat", layers, do_compression=is_packed)
    right = compare(str(tmp_path / "a.npz")).matrices[0].values
    for path in (str(tmp_path / "a.mat"), write_matlab(tmp_path / "b.mat", layers)):
        np.testing.assert_allclose(compare(path).matrices[0].values, right, rtol=1e-12)
        both = compare(path, [str(tmp_path / "a.npz")]).matrices[0].values
        np.testing.assert_allclose(np.diag(both), 1, rtol=1e-12)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("wrap", [bytes, packed])
def test_values_saved_in_fewer_bytes_and_in_either_order(tmp_path, order, wrap):
    small = np.arange(60).reshape(20, 3)
    if wrap is packed and order == ">":
        pytest.skip("its tag is of this order, too")
    path = write(tmp_path / "a.mat", wrap(matrix("conv", small, kind=2, order=order)), order=order)
    (layer,) = open_file(path).layers
    assert layer.dtype == np.dtype(f"{order}f8")
    np.testing.assert_array_equal(layer.read(3, 17, slice(1, 3)), small[3:17, 1:3])


def test_rows_columns_and_bools(tmp_path):
    ids = np.arange(30)
    path = write(tmp_path / "a.mat", matrix("ids", ids[None]), packed(matrix("labels", ids[:, None])),
                 matrix("active", CONV > 0, of_class=9, kind=2, flags=0x200), matrix("epoch", [[3]]))  # fmt: skip
    file = open_file(path)
    assert [(each.name, each.read(3, 6).tolist()) for each in file.vectors] == [
        ("ids", [3, 4, 5]),
        ("labels", [3, 4, 5]),
    ]
    assert file.layers[0].dtype == bool
    np.testing.assert_array_equal(file.layers[0].read(0, 30), CONV > 0)
    assert file.refused == {"epoch": "a single number, not an array of examples"}


def test_what_is_no_array_of_numbers_is_named(tmp_path, capsysbinary):
    scipy_io = pytest.importorskip("scipy.io")
    sparse = pytest.importorskip("scipy.sparse")
    path = tmp_path / "a.mat"
    cells = np.empty((2, 1), object)
    cells[:] = [["a"], [CONV]]
    scipy_io.savemat(path, {"conv": CONV, "cells": cells, "net": {"w": CONV}, "text": "abc", "thin": sparse.eye(30).tocsc(),
                            "waves": CONV + 1j, "void": np.zeros((0, 7))}, do_compression=True)  # fmt: skip
    ended = run_here(["compare", path], capsysbinary)
    assert ended.status == 0
    assert [line.rpartition("::")[2] for line in ended.err.splitlines()] == [
        "cells left out: a cell array of MATLAB; save each cell as an array of its own",
        "net left out: an array of structs of MATLAB; save each field as an array of its own",
        "text left out: text of MATLAB, not numbers",
        "thin left out: a sparse matrix of MATLAB; save full() of it",
        "waves left out: complex numbers of MATLAB; save real() and imag() of it",
        "void left out: an empty array of MATLAB",
    ]


def test_the_first_of_many_axes_is_named(tmp_path):
    (note,) = open_file(write(tmp_path / "a.mat", matrix("maps", values(5, 4, 30)))).notes
    assert note.endswith("::maps: its first axis in MATLAB, of 5, is taken for the examples; "
                         "where they are on another, save permute() of it")  # fmt: skip


def test_a_large_packed_array_is_unpacked_once(tmp_path, monkeypatch):
    from cka_cli.files import matlab5

    monkeypatch.setattr(matlab5, "IN_MEMORY_BYTES", 10)
    (layer,) = open_file(write(tmp_path / "a.mat", packed(matrix("conv", CONV)))).layers
    np.testing.assert_array_equal(layer.read(3, 17, slice(1, 3)), CONV[3:17, 1:3])


GOOD = matrix("conv", CONV)
DAMAGED = {
    "no such type": (element(9, b"x" * 8), r"what stands at byte 128 of its 144 is of the type 9"),
    "two files": (GOOD + b"MATLAB 5.0 MAT-file".ljust(128), r"what stands at byte \d+ of its \d+ is of the type 16717"),
    "twice": (GOOD + GOOD, "conv stands in it more than once"),
    "cut": (GOOD[:-3], r"what stands at byte 128 of its \d+ promises \d+ bytes"),
    "no parts": (element(14, bytes(40)), "a part of the type 0 and 0 bytes stands where another must"),
    "not packed": (element(15, b"junk" * 9), "it cannot be unpacked"),
    "shape": (matrix("conv", CONV, dims=(99, 6)), r"1440 bytes of the type 9 are its values, of shape \(99, 6\)"),
    "negative": (matrix("conv", CONV, dims=(-30, -6)), r"it has the shape \(-30, -6\)"),
    "one axis": (matrix("conv", CONV, dims=(180,)), r"it has the shape \(180,\)"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_one_line(tmp_path, case):
    data, line = DAMAGED[case]
    with pytest.raises(DataError, match=rf"^\S+a\.mat[^\n]+ \({line}[^\n]*$"):
        open_file(write(tmp_path / "a.mat", data))


def test_a_packed_array_that_unpacks_to_less_or_is_damaged(tmp_path):
    whole = zlib.compress(GOOD)
    for data in (zlib.compress(GOOD[:-40]), whole[:-4] + b"junk", whole[: len(whole) // 2]):
        path = write(tmp_path / "a.mat", np.array([15, len(data)], "<u4").tobytes() + data)
        with pytest.raises(DataError, match=r"a\.mat[^\n]* \(it (is cut short|cannot be unpacked)"):
            open_file(path).layers[0].read(0, 30)


def test_what_promises_more_than_it_can_hold_takes_no_memory(tmp_path):
    big = matrix("conv", np.zeros((1, 1)), dims=(1 << 20, 1 << 10)).replace(
        np.array([9, 8], "<u4").tobytes(), np.array([9, 1 << 33 & 0xFFFFFFFF], "<u4").tobytes()
    )
    with pytest.raises(DataError, match=r"a\.mat::conv: cannot be read"):
        open_file(write(tmp_path / "a.mat", packed(big)))


def test_an_hdf5_file_under_the_name_of_matlab_keeps_its_axes(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["conv"] = CONV
    assert open_file(str(tmp_path / "a.mat")).layers[0].shape == (30, 6)
