import io
import pickle
import tracemalloc
import warnings
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cka_cli.errors import DataError
from cka_cli.files import open_file
from cka_cli.files.listing import natural_order
from cka_cli.files.npy_header import read_npy_header
from tests.small_files import values, write_folder, write_hdf5


def test_a_numpy_without_suffix_is_named_after_its_file(tmp_path):
    np.save(tmp_path / "layer.4.conv.npy", values(7, 3))
    assert [layer.name for layer in open_file(str(tmp_path / "layer.4.conv.npy")).layers] == ["layer.4.conv"]


@pytest.mark.parametrize("userblock", [0, 512, 4096])
def test_hdf5_behind_a_user_block(tmp_path, userblock):
    path = write_hdf5(tmp_path / "a.h5", {"conv1": values(7, 3)}, userblock_size=userblock)
    with open(path, "r+b") as stream:
        stream.write(b"my notes"[: userblock // 64])
    assert [layer.name for layer in open_file(path).layers] == ["conv1"]


def test_hdf5_groups_in_creation_order_where_it_is_kept(tmp_path):
    names = ["stem", "block10/conv", "block2/conv", "block2/act", "head"]
    layers = {name: values(7, 3) for name in names}
    kept = open_file(write_hdf5(tmp_path / "kept.h5", layers, track_order=True))
    assert [layer.name for layer in kept.layers][:2] == ["stem", "block10/conv"]
    assert [layer.name for layer in kept.layers][-1] == "head"
    natural = open_file(write_hdf5(tmp_path / "natural.h5", layers, track_order=False))
    assert [layer.name for layer in natural.layers] == ["block2/act", "block2/conv", "block10/conv", "head", "stem"]


def test_natural_order_in_folders_and_saved_order_in_archives(tmp_path):
    layers = {name: values(7, 3) for name in ["conv10", "conv2", "conv", "fc.1", "fc"]}
    write_folder(tmp_path / "folder", layers)
    np.savez(tmp_path / "a.npz", **layers)
    folder, archive = open_file(str(tmp_path / "folder")), open_file(str(tmp_path / "a.npz"))
    assert [layer.name for layer in folder.layers] == ["conv", "conv2", "conv10", "fc", "fc.1"]
    assert [layer.name for layer in archive.layers] == list(layers)


@given(st.lists(st.text(), max_size=6))
def test_any_names_can_be_put_in_natural_order(names):
    ordered = sorted(names, key=natural_order)
    assert sorted(ordered) == sorted(names)


def test_soft_links_within_the_file_are_layers(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", track_order=True) as file:
        file["block/conv"] = values(7, 3)
        file["alias"] = h5py.SoftLink("/block/conv")
        file["near"] = h5py.SoftLink("block/conv")
        file["far"] = h5py.SoftLink("/also/conv")
        file["also"] = h5py.SoftLink("block")
    file = open_file(str(tmp_path / "a.h5"))
    assert [layer.name for layer in file.layers] == ["block/conv", "alias", "near", "far"]
    for layer in file.layers:
        np.testing.assert_array_equal(layer.read(0, 7), values(7, 3))
    assert file.refused == {}


def test_a_soft_link_leads_out_of_the_file_by_no_way_around(tmp_path):
    write_hdf5(tmp_path / "other.h5", {"group/conv": values(7, 3)})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["conv"] = values(7, 3)
        file["out"] = h5py.ExternalLink("other.h5", "/group")
        file["around"] = h5py.SoftLink("/out/conv")
        file["again"] = h5py.SoftLink("around")
    found = open_file(str(tmp_path / "a.h5"))
    assert [layer.name for layer in found.layers] == ["conv"]
    assert set(found.refused) == {"out", "around", "again"}
    assert all(why.startswith("external link to other.h5") for why in found.refused.values())


def test_a_group_that_contains_itself_ends(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", track_order=True) as file:
        file["block/conv"] = values(7, 3)
        file["block/loop"] = file["/"]
        file["block/self"] = file["block"]
        file["root"] = h5py.SoftLink("/")
    assert [layer.name for layer in open_file(str(tmp_path / "a.h5")).layers] == ["block/conv"]


def test_what_hdf5_holds_that_is_no_layer(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["conv"] = values(7, 3)
        file["dtype"] = np.dtype("f4")
        file["epoch"] = 3
        file["hollow"] = h5py.Empty("f4")
        file["kinds"] = np.zeros((7, 2), h5py.enum_dtype({"CAT": 0, "DOG": 1}))
        file["on"] = np.ones((7, 2), bool)
        file["names"] = [["p", "q"]] * 7
        file.create_dataset("ragged", (7,), h5py.vlen_dtype("f4"))
        file.create_dataset("refs", (7,), h5py.ref_dtype)
        h5py.h5d.create(file.id, b"times", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((7, 3)))
    found = open_file(str(tmp_path / "a.h5"))
    assert [layer.name for layer in found.layers] == ["conv", "on"]
    assert found.refused.pop("times").startswith("unsupported HDF5 type (")
    assert found.refused == {
        "epoch": "a single number, not an array of examples",
        "hollow": "an empty dataset without a shape",
        "kinds": "an enumeration (CAT, DOG, ...)",
        "names": "text, not numbers",
        "ragged": "a variable-length type (vlen of float32), a row of any length; "
        "save numpy.stack of rows of one length",
        "refs": "references to other datasets; save what they refer to",
    }


def test_an_unknown_compression_is_named_before_anything_is_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((7, 3))
        properties.set_filter(511, h5py.h5z.FLAG_OPTIONAL)  # a number that HDF5 keeps for private filters
        space = h5py.h5s.create_simple((7, 3))
        dataset = h5py.h5d.create(file.id, b"conv", h5py.h5t.IEEE_F32LE, space, properties)
        dataset.write_direct_chunk((0, 0), bytes(30), 0)
    refused = open_file(str(tmp_path / "a.h5")).refused
    assert refused == {"conv": "compressed with a filter (511), which this HDF5 library cannot undo; save it with gzip"}


def test_one_axis_arrays_stand_apart(tmp_path):
    layers = {"conv": values(7, 3), "ids": np.arange(7), "names": np.array([b"p"] * 7)}
    for path in (write_hdf5(tmp_path / "a.h5", layers), write_folder(tmp_path / "folder", layers)):
        found = open_file(path)
        assert [layer.name for layer in found.layers] == ["conv"]
        assert [vector.name for vector in found.vectors] == ["ids", "names"]


def test_a_folder_leaves_other_things_alone(tmp_path):
    path = write_folder(tmp_path / "folder", {"conv": values(7, 3)})
    (tmp_path / "folder" / "notes.txt").write_text("not an array")
    (tmp_path / "folder" / "deeper.npy").mkdir()
    assert [layer.name for layer in open_file(path).layers] == ["conv"]


def sparse_npy(path, shape):
    """A file of terabytes that takes no room: reading its values would not end in time."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with open(path, "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate(stream.tell() + 4 * int(np.prod(shape, dtype=object)))
    return str(path)


def test_opening_reads_no_values(tmp_path, monkeypatch):
    shape = (1 << 20, 1 << 18)  # 1 TiB
    try:
        npy = sparse_npy(tmp_path / "a.npy", shape)
    except OSError:
        pytest.skip("the file system has no sparse files of this size")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # a place for every value, none of them written
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple(shape), properties)
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros((1000, 1000)))
    monkeypatch.setattr(h5py.Dataset, "__getitem__", None)
    monkeypatch.setattr(zipfile.ZipExtFile, "readline", None)
    for path in (npy, tmp_path / "a.h5", tmp_path / "a.npz"):
        (layer,) = open_file(str(path)).layers
        assert layer.name == "a"
    monkeypatch.undo()
    (layer,) = open_file(npy).layers
    assert layer.n_bytes == 1 << 40
    assert layer.read(1 << 19, (1 << 19) + 2).shape == (2, 1 << 18)


def test_a_far_row_of_a_compressed_array_takes_little_memory(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros((8000, 2000)))
    (layer,) = open_file(str(tmp_path / "a.npz")).layers
    tracemalloc.start()
    try:
        assert layer.read(7990, 8000).shape == (10, 2000)
        assert tracemalloc.get_traced_memory()[1] < 64_000_000  # the rows before it are 128 MB
    finally:
        tracemalloc.stop()


def test_reading_names_the_layer_when_the_file_has_changed(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, values(700, 30))
    (layer,) = open_file(str(path)).layers
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=rf"^{path}::a: changed while it was read; wait until"):
        layer.read(600, 700)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_compression_is_one_error(tmp_path, method):
    path = tmp_path / "a.npz"
    np.save(tmp_path / "a.npy", values(4000, 10))
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.write(tmp_path / "a.npy", "a.npy")
    (layer,) = open_file(str(path)).layers
    np.testing.assert_array_equal(layer.read(0, 4000), values(4000, 10))
    data = bytearray(path.read_bytes())
    data[60_000:60_200] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a.npz::a: "):
        open_file(str(path)).layers[0].read(0, 4000)


@given(
    st.lists(st.tuples(st.integers(8, 80), st.sampled_from(b"()[]{}'\",:0123456789-\\\n ~fOVb\xff#")), max_size=5),
    st.integers(0, 140),
)
def test_no_npy_header_does_more_than_raise_value_error(changes, length):
    stream = io.BytesIO()
    np.save(stream, np.zeros((3, 4)))
    data = bytearray(stream.getvalue()[:length])
    for place, byte in changes:
        data[place : place + 1] = bytes([byte]) if place < len(data) else b""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            shape, dtype, _ = read_npy_header(io.BytesIO(data))
        except ValueError:
            return
    assert all(length >= 0 for length in shape)
    assert isinstance(dtype, np.dtype)


def test_objects_are_never_unpickled(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.array([[None, 1]], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", a=np.array([[None, 1]], dtype=object))
    monkeypatch.setattr(pickle, "load", None)
    monkeypatch.setattr(pickle, "loads", None)
    for name in ("a.npy", "a.npz"):
        found = open_file(str(tmp_path / name))
        assert found.layers == found.vectors == ()
        assert list(found.refused) == ["a"]
