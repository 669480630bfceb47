"""Zarr of both versions: what zarr writes, what xarray means by it, and what must not be followed, run or believed."""

# ruff: noqa: E501 - a line of a table is a case

import base64
import json
import os
import struct
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cka_cli.api.compare import compare
from cka_cli.api.inspect import inspect
from cka_cli.errors import DataError
from cka_cli.files import open_file
from cka_cli.files.bfloat16 import widened
from tests.cli.command import run_here
from tests.small_files import values, write_folder, write_hdf5, write_zarr

zarr = pytest.importorskip("zarr")
A = values(40, 6)
LAYERS = {"block1/conv2": values(30, 6, seed=1), "block1/conv10": values(30, 4, 3, seed=2), "fc": values(30, 9, seed=3)}


def edit(path, key, change):
    """Change a document of metadata in place."""
    file = Path(path) / key
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def by_hand(path, held, /, **document):
    """Write an array of version 2 as root: its metadata, and the bytes of its chunks."""
    Path(path).mkdir()
    given = {"zarr_format": 2, "shape": [4, 3], "chunks": [2, 3], "dtype": "<f4", "compressor": None, "fill_value": 0,
             "order": "C", "filters": None}  # fmt: skip
    (Path(path) / ".zarray").write_text(json.dumps(given | document))
    for key, data in held.items():
        (Path(path) / key).write_bytes(data)
    return str(path)


HALVES = {"0.0": values(2, 3).tobytes(), "1.0": values(2, 3, seed=1).tobytes()}
WHOLE = np.concatenate([values(2, 3), values(2, 3, seed=1)])


@pytest.mark.parametrize("suffix", [".zarr", ".zarr.zip"])
@pytest.mark.parametrize("version", [2, 3])
def test_values_are_those_of_other_formats(tmp_path, version, suffix):
    path = write_zarr(tmp_path / f"a{suffix}", LAYERS, version)
    assert [layer.name for layer in open_file(path).layers] == ["block1/conv2", "block1/conv10", "fc"]
    options = {"measures": ["cka-debiased", "svcca-r2"]}
    for found, right in zip(
        compare(path, **options).matrices,
        compare(write_hdf5(tmp_path / "a.h5", LAYERS), **options).matrices,
        strict=True,
    ):
        np.testing.assert_allclose(found.values, right.values, rtol=1e-12)


def test_what_zarr_writes_as_a_zip_and_as_one_array(tmp_path):
    with zarr.storage.ZipStore(tmp_path / "a.zip", mode="w") as store, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that stand twice: attributes are written after the array
        zarr.create_array(store, name="conv1", data=A, chunks=(7, 6)).attrs["epoch"] = 3
    (layer,) = open_file(str(tmp_path / "a.zip")).layers
    np.testing.assert_array_equal(layer.read(0, 40), A)
    zarr.save_array(tmp_path / "conv5.zarr", A)
    (layer,) = open_file(str(tmp_path / "conv5.zarr")).layers
    assert layer.name == "conv5"
    np.testing.assert_array_equal(layer.read(3, 40, slice(1, 3)), A[3:, 1:3])
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:  # as a user packs a folder
        archive.mkdir("conv5.zarr")
        for file in (tmp_path / "conv5.zarr").rglob("*"):
            archive.write(file, file.relative_to(tmp_path))
        archive.writestr("__MACOSX/._conv5.zarr", b"")
    (layer,) = open_file(str(tmp_path / "b.zip")).layers
    np.testing.assert_array_equal(layer.read(0, 40), A)


@pytest.mark.parametrize("version", [2, 3])
def test_consolidated_metadata_says_the_same_again(tmp_path, version):
    path = write_zarr(tmp_path / "a.zarr", {"conv1": A}, version)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that version 3 does not tell of it
        zarr.consolidate_metadata(path)
    np.testing.assert_array_equal(open_file(path).layers[0].read(0, 40), A)


def test_inspect_says_how_values_lie(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", {"conv1": A}, shards=True)
    (found,) = inspect([path], progress=lambda *_: None)
    assert (found.shape, found.storage) == ((40, 6), "chunks 7x4 in shards 14x8, zstd")


@pytest.mark.parametrize("version", [2, 3])
def test_ids_that_are_text_and_an_array_of_no_axis(tmp_path, version):
    ids = np.array([f"é{number}" for number in range(30)])
    path = write_zarr(tmp_path / "a.zarr", {"fc": values(30, 3), "ids": ids, "epoch": np.array(3.5)}, version)
    file = open_file(path)
    assert file.refused == {"epoch": "a single number, not an array of examples"}
    assert file.vectors[0].read(0, 30).tolist() == ids.tolist()


CODECS = {
    "zstd": {"compressors": zarr.codecs.ZstdCodec(level=3)},
    "checked": {"compressors": [zarr.codecs.GzipCodec(), zarr.codecs.Crc32cCodec()]},
    "blosc": {"compressors": zarr.codecs.BloscCodec(cname="lz4", shuffle="bitshuffle")},
    "transposed": {"filters": [zarr.codecs.TransposeCodec(order=(1, 0))]},
    "big": {"serializer": zarr.codecs.BytesCodec(endian="big")},
    "dots": {"chunk_key_encoding": {"name": "v2", "separator": "."}},
}
CODECS_2 = {
    "gzip": {"id": "gzip"}, "zlib": {"id": "zlib"}, "bz2": {"id": "bz2"}, "lzma": {"id": "lzma"}, "lz4": {"id": "lz4"},
    "zstd": {"id": "zstd"}, "blosc": {"id": "blosc", "cname": "zstd", "shuffle": 2},
}  # fmt: skip


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("codec", CODECS)
def test_codecs_of_version_3(tmp_path, codec, shards):
    layer = open_file(write_zarr(tmp_path / "a.zarr", {"conv1": A}, shards=shards, **CODECS[codec])).layers[0]
    np.testing.assert_array_equal(layer.read(0, 40), A)
    np.testing.assert_array_equal(layer.read(5, 31, slice(3, 5)), A[5:31, 3:5])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("codec", CODECS_2)
def test_codecs_of_version_2(tmp_path, codec, order):
    import numcodecs

    made = {"compressors": numcodecs.get_codec(dict(CODECS_2[codec])), "order": order}
    layer = open_file(write_zarr(tmp_path / "a.zarr", {"conv1": A}, 2, **made)).layers[0]
    assert layer.storage == f"chunks 7x4, {codec}"
    np.testing.assert_array_equal(layer.read(5, 31, slice(3, 5)), A[5:31, 3:5])


@pytest.mark.parametrize(
    ("filters", "dtype", "off"),
    [
        ([{"id": "delta", "dtype": "<i4", "astype": "<i2"}], "i4", 0),
        ([{"id": "fixedscaleoffset", "offset": 0, "scale": 1000, "dtype": "<f4", "astype": "<i2"}], "f4", 1e-3),
        ([{"id": "quantize", "digits": 2, "dtype": "<f4"}], "f4", 1e-2),
        ([{"id": "bitround", "keepbits": 10}], "f4", 1e-2),
        ([{"id": "astype", "encode_dtype": "<f4", "decode_dtype": "<f8"}, {"id": "shuffle", "elementsize": 4}], "f8", 1e-6),
        ([{"id": "fletcher32"}], "f8", 0),
    ],
)  # fmt: skip
def test_filters_of_version_2(tmp_path, filters, dtype, off):
    import numcodecs

    array = (10 * values(40, 6)).astype(dtype)
    made = {"filters": [numcodecs.get_codec(dict(each)) for each in filters], "compressors": numcodecs.Zstd()}
    path = write_zarr(tmp_path / "a.zarr", {"conv1": array}, 2, **made)
    found = open_file(path).layers[0].read(0, 40)
    np.testing.assert_array_equal(found, zarr.open_array(path, path="conv1")[:])
    np.testing.assert_allclose(found, array, atol=off * 10)


def test_a_frame_of_zstd_that_does_not_say_how_long_it_is(tmp_path):
    frame = bytes.fromhex("28b52ffd0058") + (24 << 3 | 1).to_bytes(3, "little") + HALVES["0.0"]  # one block, not packed
    chunks = {"0.0": frame, "1.0": frame}
    layer = open_file(by_hand(tmp_path / "a", chunks, compressor={"id": "zstd"})).layers[0]
    np.testing.assert_array_equal(layer.read(0, 2), values(2, 3))
    layer = open_file(by_hand(tmp_path / "b", chunks, chunks=[2, 4], compressor={"id": "zstd"})).layers[0]
    with pytest.raises(DataError, match="a chunk is damaged: Zstd decompression error: expected to decompress 32, got"):
        layer.read(0, 2)


@pytest.mark.parametrize("version", [2, 3])
def test_bfloat16_as_other_libraries_write_it(tmp_path, version):
    halves = (values(4, 3).view("u4") >> 16).astype("<u2")
    chunks = {"0.0": halves[:2].tobytes()}
    path = by_hand(tmp_path / "a", chunks, dtype="bfloat16", fill_value=1.5)
    if version == 3:
        (tmp_path / "a" / ".zarray").unlink()
        codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
        write_v3(tmp_path / "a", {"data_type": "bfloat16", "fill_value": "0x3fc0", "codecs": codecs})
        (tmp_path / "a" / "c" / "0").mkdir(parents=True)
        (tmp_path / "a" / "0.0").rename(tmp_path / "a" / "c" / "0" / "0")
    file = open_file(path)
    assert (file.layers[0].dtype, file.layers[0].storage) == (np.float32, "bfloat16, chunks 2x3")
    np.testing.assert_array_equal(file.layers[0].read(0, 2), widened(halves[:2]))
    np.testing.assert_array_equal(file.layers[0].read(2, 4), np.full((2, 3), 1.5))
    assert "1 of 2 chunks are not there and are read as its fill value, 1.5;" in file.notes[0]


def write_v3(folder, more):
    grid = {"name": "regular", "configuration": {"chunk_shape": [2, 3]}}
    document = {"zarr_format": 3, "node_type": "array", "shape": [4, 3], "data_type": "float32", "chunk_grid": grid,
                "chunk_key_encoding": {"name": "default"}, "fill_value": 0, "codecs": ["bytes"]}  # fmt: skip
    Path(folder).mkdir(exist_ok=True)
    (Path(folder) / "zarr.json").write_text(json.dumps(document | more))
    return str(folder)


# --- chunks that are not there


@pytest.mark.parametrize("shards", [False, True])
def test_chunks_that_are_not_there_are_the_fill_value_and_counted(tmp_path, capsysbinary, shards):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w")
    for name in ("conv1", "conv2"):
        made = group.create_array(name, shape=(40, 6), chunks=(5, 6), dtype="f4", fill_value=7, **({"shards": (20, 6)} if shards else {}))  # fmt: skip
        made[:5], made[20:25] = A[:5], A[20:25]
    right = np.full((40, 6), 7, "f4")
    right[:5], right[20:25] = A[:5], A[20:25]
    np.testing.assert_array_equal(open_file(str(path)).layers[0].read(0, 40), right)
    ended = run_here(["compare", path], capsysbinary)
    assert (ended.status, ended.err.splitlines()[0]) == (
        0,
        f"Note: {path}::conv1: 6 of 8 chunks are not there and are read as its fill value, 7.0 (and so in 1 more array); "
        "was the run that wrote them ended early?",
    )


def test_what_was_hardly_written_is_refused_and_what_has_no_fill_value_too(tmp_path):
    file = open_file(by_hand(tmp_path / "a", {}))
    assert file.refused == {"a": "0 of 2 chunks were written; was the run that wrote it ended early?"}
    path = by_hand(tmp_path / "b", {"0.0": HALVES["0.0"]}, fill_value=None)
    with pytest.raises(DataError, match=r"b::b: cannot be read \(a chunk is not there, and the metadata does not say"):
        compare(path)


def test_a_chunk_that_comes_while_it_is_read_is_a_change(tmp_path):
    path = by_hand(tmp_path / "a", {"0.0": HALVES["0.0"]})
    (layer,) = open_file(path).layers
    (tmp_path / "a" / "1.0").write_bytes(HALVES["1.0"])
    with pytest.raises(DataError, match="changed while it was read"):
        layer.read(0, 4)


@pytest.mark.parametrize(
    ("fill", "dtype", "means"),
    [("NaN", "<f4", np.nan), ("-Infinity", "<f8", -np.inf), (True, "|b1", True), (3.0, "<i2", 3), (-7, "|i1", -7)],
)
def test_fill_values_of_version_2(tmp_path, fill, dtype, means):
    size = 2 * 3 * np.dtype(dtype).itemsize
    (layer,) = open_file(by_hand(tmp_path / "a", {"0.0": bytes(size)}, dtype=dtype, fill_value=fill)).layers
    np.testing.assert_array_equal(layer.read(2, 4), np.full((2, 3), means, dtype))


def test_fill_values_as_bits(tmp_path):
    path = write_v3(tmp_path / "a", {"fill_value": "0x40200000"})
    (tmp_path / "a" / "c" / "0").mkdir(parents=True)
    (tmp_path / "a" / "c" / "0" / "0").write_bytes(HALVES["0.0"])
    np.testing.assert_array_equal(open_file(path).layers[0].read(1, 4)[1:], np.full((2, 3), 2.5))


# --- attributes of xarray


@pytest.mark.parametrize("version", [2, 3])
def test_what_is_lost_and_packed_is_so_as_in_netcdf(tmp_path, version):
    array = (100 * A).astype("i2")
    array[7, 1] = -999
    path = write_zarr(tmp_path / "a.zarr", {"conv1": array}, version)
    attributes = {"_FillValue": -999, "scale_factor": 0.5, "add_offset": 2.0}
    zarr.open_array(path, path="conv1").attrs.update(attributes)
    right = array * 0.5 + 2.0
    right[7, 1] = np.nan
    (layer,) = open_file(path).layers
    assert layer.storage.endswith(", packed in int16")
    np.testing.assert_array_equal(layer.read(0, 40), right)
    with pytest.raises(DataError, match=r"1 value is lost \(it is the file's fill value, _FillValue -999; 1 row, the"):
        compare(path)


@pytest.mark.parametrize(
    ("version", "fill"), [(2, 1e20), (3, 1e20), (3, base64.b64encode(struct.pack("<d", 1e20)).decode())]
)
def test_where_xarray_keeps_the_fill_value(tmp_path, version, fill):
    array = values(40, 6, dtype="f8")
    array[3, 2] = 1e20
    path = write_zarr(tmp_path / "a.zarr", {"conv1": array}, version, fill_value=1e20 if version == 2 else 0)
    zarr.open_array(path, path="conv1").attrs.update(
        {"_ARRAY_DIMENSIONS": ["example", "unit"]} if version == 2 else {"_FillValue": fill}
    )
    found = open_file(path).layers[0].read(0, 40)
    assert np.argwhere(np.isnan(found)).tolist() == [[3, 2]]


def test_a_fill_value_of_zarr_itself_is_a_number_like_any(tmp_path):
    relu = np.maximum(A, 0)
    for name, more in (("a", {}), ("b", {"_ARRAY_DIMENSIONS": ["example", "unit"]})):
        path = write_zarr(tmp_path / f"{name}.zarr", {"conv1": relu}, 2)
        zarr.open_array(path, path="conv1").attrs.update(more)
        np.testing.assert_array_equal(open_file(path).layers[0].read(0, 40), relu)


# --- links, and what is a folder of Zarr


def test_links_are_not_followed(tmp_path, capsysbinary):
    path = write_zarr(tmp_path / "a.zarr", {"conv1": A, "conv2": A}, 2)
    write_zarr(tmp_path / "b.zarr", {"conv3": A}, 2)
    (tmp_path / "a.zarr" / "conv3").symlink_to(tmp_path / "b.zarr" / "conv3")
    ended = run_here(["compare", path], capsysbinary)
    assert ended.err == f"Note: {path}: links are not followed, so not conv3; copy what they lead to\n"
    (tmp_path / "a.zarr" / "conv1" / "1.0").unlink()
    (tmp_path / "a.zarr" / "conv1" / "1.0").symlink_to(tmp_path / "b.zarr" / "conv3" / "1.0")
    ended = run_here(["compare", path], capsysbinary)
    assert (ended.status, ended.out) == (1, b"")
    assert "a.zarr::conv1: cannot be read (1.0 is a link or no plain file, which is never followed)" in ended.err
    (tmp_path / "a.zarr" / "conv1" / "1.0").unlink()
    os.mkfifo(tmp_path / "a.zarr" / "conv1" / "1.0")
    assert run_here(["compare", path], capsysbinary).status == 1


def test_a_folder_of_npy_and_an_npz_stay_what_they_are(tmp_path):
    path = write_folder(tmp_path / "folder", {"conv1": A})
    write_zarr(tmp_path / "folder" / "b.zarr", {"conv2": A})
    assert open_file(path).format == "folder of NPY"
    np.savez(tmp_path / "a.npz", conv1=A)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("block/zarr.json", "{}")
    assert open_file(str(tmp_path / "a.npz")).format == "NPZ"


def test_a_chunk_too_large_for_memory_is_unpacked_once(tmp_path, monkeypatch):
    from cka_cli.files import zarr as reader

    monkeypatch.setattr(reader, "IN_MEMORY_BYTES", 10)
    (layer,) = open_file(write_zarr(tmp_path / "a.zarr", {"conv1": A})).layers
    np.testing.assert_array_equal(layer.read(5, 31, slice(3, 5)), A[5:31, 3:5])
    monkeypatch.setattr(reader, "_MOST_CHUNK_BYTES", 10)
    with pytest.raises(DataError, match="its chunks of 0 MiB can only be unpacked whole; save smaller ones"):
        layer.read(0, 40)


def test_zarr_is_named_where_it_is_not_installed(tmp_path, monkeypatch):
    path = by_hand(tmp_path / "a", HALVES)
    for name in [name for name in sys.modules if name.startswith("cka_cli.files.zarr")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numcodecs", None)
    with pytest.raises(DataError, match=r"is Zarr, which needs a package that is not installed \(numcodecs\); pip install "
                                        r"'cka-cli\[zarr\]'$"):  # fmt: skip
        open_file(path)


@pytest.mark.parametrize(("name", "suffix"), [("zarr.json", ".zarr.zip"), ("conv1.npy", ".npz")])
def test_an_archive_with_a_member_without_a_name_is_one_line(tmp_path, name, suffix):
    with zipfile.ZipFile(tmp_path / f"a{suffix}", "w") as archive:
        archive.writestr(name, b"{}")
        archive.writestr("x", b"")
    path = tmp_path / f"a{suffix}"
    data = path.read_bytes()
    place = data.rindex(b"PK\1\2")
    path.write_bytes(data[: place + 28] + b"\0\0" + data[place + 30 : place + 46] + data[place + 47 :])
    spoilt = bytearray(path.read_bytes())
    struct.pack_into("<I", spoilt, len(spoilt) - 10, struct.unpack_from("<I", spoilt, len(spoilt) - 10)[0] - 1)
    path.write_bytes(spoilt)
    with pytest.raises(DataError, match=r"\(a member has no name\)"):
        open_file(str(path))
