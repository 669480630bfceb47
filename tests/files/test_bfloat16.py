"""bfloat16, as files without such a type have it: the float32 that begins with its bits."""

import io
import zipfile

import h5py
import numpy as np
import pytest

from cka_cli import compare
from cka_cli.errors import DataError
from cka_cli.files import open_file
from tests.small_files import values

FLOATS = values(40, 3, 4)
FLOATS[3, 1, :4] = np.inf, -np.inf, np.nan, -0.0
BITS = (FLOATS.view("u4") >> 16).astype("u2")
ROUNDED = (BITS.astype("u4") << 16).view("f4")
SAVED = BITS.view("V2")


def save_npy(path, array):
    with path.open("wb") as stream:
        np.save(stream, array)


def save_npz(path, array, save=np.savez):
    with path.open("wb") as stream:
        save(stream, a=array)


def save_hdf5(path, array, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=array, **options)


WAYS = {
    "NPY": save_npy,
    "NPY in column order": lambda path, array: save_npy(path, np.asfortranarray(array)),
    "NPZ": save_npz,
    "NPZ, compressed": lambda path, array: save_npz(path, array, np.savez_compressed),
    "HDF5": save_hdf5,
    "HDF5 in chunks": lambda path, array: save_hdf5(path, array, chunks=(7, 2, 4)),
    "HDF5, gzip": lambda path, array: save_hdf5(path, array, chunks=(7, 2, 4), compression="gzip", shuffle=True),
    "HDF5 by the library": lambda path, array: save_hdf5(path, array, chunks=(7, 2, 4), compression="lzf"),
}


@pytest.mark.parametrize("way", WAYS)
def test_two_bytes_without_a_type_are_bfloat16_to_the_bit(tmp_path, way):
    WAYS[way](tmp_path / "a", SAVED)
    (layer,) = open_file(str(tmp_path / "a")).layers
    assert (layer.dtype, layer.shape, layer.n_bytes) == (np.float32, (40, 3, 4), 40 * 48)
    assert layer.storage.startswith("bfloat16, ")
    for start, stop, part in ((0, 40, slice(None)), (5, 5, slice(None)), (2, 9, slice(1, 3))):
        found = layer.read(start, stop, part)
        np.testing.assert_array_equal(found.view("u4"), ROUNDED[start:stop, part].view("u4"))


@pytest.mark.parametrize("way", ["NPY", "NPZ", "HDF5"])
def test_what_ml_dtypes_saves_is_compared_as_its_values(tmp_path, way):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    array = values(40, 6).astype(bfloat16)
    WAYS[way](tmp_path / "a", array if way != "HDF5" else array.view("V2"))
    np.savez(tmp_path / "b.npz", a=array.astype("f4"))
    pair, itself = compare(str(tmp_path / "a"), [str(tmp_path / "b.npz")]), compare(str(tmp_path / "b.npz"))
    np.testing.assert_allclose(pair.matrices[0].values, itself.matrices[0].values, rtol=0, atol=1e-12)


def test_what_has_two_bytes_and_a_type_of_its_own_is_not(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["pairs"] = np.zeros((12, 3), [("x", "u1"), ("y", "u1")])
        file.create_dataset("twos", (12, 3), "(2,)u1")[...] = np.ones((12, 3, 2), "u1")
        file["bits"] = np.zeros((12, 3), "V2")
    file = open_file(str(tmp_path / "a.h5"))
    assert [layer.name for layer in file.layers] == ["bits"]
    assert set(file.refused) == {"pairs", "twos"}


def test_a_member_that_is_cut_is_not_taken_for_whole(tmp_path):
    member = io.BytesIO()
    np.save(member, SAVED)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", member.getvalue()[:-2])
        archive.writestr("b.npy", member.getvalue())
    with pytest.raises(DataError, match="a: is cut short"):
        compare(str(tmp_path / "a.npz"))


def test_with_one_axis_it_is_a_vector(tmp_path):
    np.savez(tmp_path / "a.npz", a=SAVED, scores=SAVED[:, 0, 0])
    (vector,) = open_file(str(tmp_path / "a.npz")).vectors
    np.testing.assert_array_equal(vector.read(0, 40), ROUNDED[:, 0, 0])
