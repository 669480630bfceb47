"""What of a Zarr must not be run, believed or unpacked to its end: each one line."""

# ruff: noqa: E501 - a line of a table is a case

import bz2
import gzip
import lzma
import re
import struct
import tracemalloc
import zlib

import pytest

from cka_cli.errors import DataError
from cka_cli.files import open_file
from tests.cli.command import run_here
from tests.files.test_zarr import CODECS_2, HALVES, A, by_hand, write_v3
from tests.small_files import write_zarr

numcodecs = pytest.importorskip("numcodecs")

REFUSED = {
    "object": ({"dtype": "|O", "filters": [{"id": "pickle"}]}, "object array, which only unpickling could read"),
    "pickle": ({"filters": [{"id": "pickle", "protocol": 5}]}, "saved with the codec 'pickle', which is not undone here"),
    "json": ({"filters": [{"id": "json2"}]}, "saved with the codec 'json2'"),
    "vlen": ({"dtype": "|O", "filters": [{"id": "vlen-utf8"}]}, "object array"),
    "odd": ({"compressor": {"id": "imagecodecs_jpeg"}}, "saved with the codec 'imagecodecs_jpeg'"),
    "table": ({"dtype": [["x", "<f4"], ["y", "<i2"]]}, r"a table \(fields x, y\)"),
    "complex": ({"dtype": "<c8"}, "complex numbers"),
    "dates": ({"dtype": "<M8[s]"}, "dates"),
    "twice": ({"filters": [{"id": "shuffle"}], "compressor": {"id": "gzip"}, "dtype": "<c16"}, "complex"),
    "objects inside": ({"filters": [{"id": "astype", "encode_dtype": "|O", "decode_dtype": "<f4"}]}, "its filter astype"),
    "another type": ({"filters": [{"id": "delta", "dtype": "<i4"}]}, "its filter delta makes int32 of int32, and is given"),
    "version": ({"zarr_format": 9}, "of version 9 of Zarr"),
    "attributes": ({"attributes": 1, "fill_value": 0, "dtype": "f4,f4"}, "values of the type 'f4,f4'"),
}  # fmt: skip
REFUSED_3 = {
    "grid": ({"chunk_grid": {"name": "rectangular"}}, "its chunks lie in a grid that is 'rectangular'"),
    "string": ({"data_type": "string", "codecs": ["vlen-utf8"]}, "values of the type 'string'"),
    "vlen": ({"codecs": ["vlen-bytes"]}, "saved with the codec 'vlen-bytes'"),
    "pickle": ({"codecs": ["bytes", {"name": "numcodecs.pickle"}]}, "saved with the codec 'pickle'"),
    "transformer": ({"storage_transformers": [{"name": "url"}]}, "its metadata asks for 'storage_transformers'"),
    "extension": ({"elsewhere": {"url": "s3://x"}}, "its metadata asks for 'elsewhere'"),
    "twice": ({"codecs": ["bytes", "gzip", "zstd"]}, "compressed twice"),
    "keys": ({"chunk_key_encoding": "url"}, "its chunks have keys that are 'url'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_by_its_name(tmp_path, case):
    document, line = REFUSED[case]
    file = open_file(by_hand(tmp_path / "a", HALVES, **document))
    assert not file.layers
    (said,) = file.refused.values()
    assert re.match(line, said), said


@pytest.mark.parametrize("case", REFUSED_3)
def test_what_is_refused_of_version_3(tmp_path, case):
    document, line = REFUSED_3[case]
    file = open_file(write_v3(tmp_path / "a", document))
    assert not file.layers
    assert file.refused["a"].startswith(line)


HOSTILE = [
    {"chunks": [0, 3]}, {"chunks": [-2, 3]}, {"chunks": [2]}, {"chunks": [2, True]}, {"chunks": None}, {"shape": [4, -3]},
    {"shape": [4, 3.5]}, {"shape": [1 << 62, 1 << 62]}, {"shape": [1] * 70, "chunks": [1] * 70}, {"shape": "x" * 999},
    {"shape": [1 << 70, 3]}, {"dtype": "<f9"}, {"dtype": "|V0"}, {"fill_value": "high"}, {"fill_value": 3.5, "dtype": "<i2"},
    {"fill_value": 300, "dtype": "|u1"}, {"dimension_separator": "/../"}, {"compressor": {"id": ["x"]}}, {"compressor": 3},
    {"compressor": {}}, {"filters": [{"id": "delta"}]}, {"filters": [{"id": "delta", "dtype": "zz"}]}, {"dtype": "<U999999999"},
    {"filters": [{"id": "bitround", "keepbits": "x"}]},
]  # fmt: skip


@pytest.mark.parametrize("document", HOSTILE, ids=str)
def test_hostile_metadata_is_one_line(tmp_path, capsysbinary, document):
    ended = run_here(["compare", by_hand(tmp_path / "a", HALVES, **document)], capsysbinary)
    assert (ended.status, ended.out) == (1, b"")
    assert len(ended.err.splitlines()) == 1
    assert len(ended.err) < 500


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"zarr_format": ' + "9" * 5000 + "}", "[" * 100000, "\xff", "null"])
def test_metadata_that_is_none_is_one_line(tmp_path, capsysbinary, text):
    path = by_hand(tmp_path / "a", HALVES)
    (tmp_path / "a" / ".zarray").write_text(text, "latin-1")
    ended = run_here(["compare", path], capsysbinary)
    assert (ended.status, ended.out, len(ended.err.splitlines())) == (1, b"", 1)


def test_an_enormous_shape_of_which_little_is_there(tmp_path):
    file = open_file(by_hand(tmp_path / "a", HALVES, shape=[10**15, 3]))
    assert file.refused == {"a": "2 of 500000000000000 chunks were written; was the run that wrote it ended early?"}


N_BOMB = 1 << 24
BOMBS = {
    "gzip": gzip.compress(bytes(N_BOMB)), "zlib": zlib.compress(bytes(N_BOMB)), "bz2": bz2.compress(bytes(N_BOMB)),
    "lzma": lzma.compress(bytes(N_BOMB), preset=0), "lz4": struct.pack("<I", N_BOMB) + bytes(40),
    "zstd": bytes.fromhex("28b52ffda0") + struct.pack("<I", N_BOMB) + bytes(40),
    "blosc": struct.pack("<BBBBIII", 2, 1, 1, 4, N_BOMB, N_BOMB, 40) + bytes(24),
}  # fmt: skip


@pytest.mark.parametrize("codec", BOMBS)
def test_a_chunk_that_unpacks_to_more_than_it_should_takes_no_memory(tmp_path, monkeypatch, codec):
    path = by_hand(tmp_path / "a", {"0.0": BOMBS[codec], "1.0": BOMBS[codec]}, compressor={"id": codec})
    (layer,) = open_file(path).layers
    tracemalloc.start()
    with pytest.raises(DataError, match=r"a::a: cannot be read \(a chunk (is damaged|has \d+ bytes)"):
        layer.read(0, 4)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < N_BOMB // 2


@pytest.mark.parametrize("data", [b"", b"x", bytes(23), bytes(25), bytes(48)])
@pytest.mark.parametrize("codec", [None, *CODECS_2])
def test_a_chunk_of_another_length_is_one_line(tmp_path, codec, data):
    compressor = codec and {"id": codec}
    (layer,) = open_file(by_hand(tmp_path / "a", {"0.0": data, "1.0": data}, compressor=compressor)).layers
    with pytest.raises(DataError, match=r"^\S+a::a: cannot be read \(a chunk [^\n]+$"):
        layer.read(0, 4)


@pytest.mark.parametrize(("place", "number"), [(0, 1 << 40), (1, 1 << 40), (0, 0), (1, 0), (1, (1 << 64) - 1)])
def test_a_shard_whose_index_points_elsewhere(tmp_path, place, number):
    path = write_zarr(tmp_path / "a.zarr", {"conv1": A}, shards=True)
    shard = next(file for file in (tmp_path / "a.zarr").rglob("c/0/0"))
    data = shard.read_bytes()
    begin = len(data) - 4 - 4 * 16
    index = bytearray(data[begin:-4])
    struct.pack_into("<Q", index, 16 + 8 * place, number)
    shard.write_bytes(data[:begin] + numcodecs.CRC32C(location="end").encode(bytes(index)).tobytes())
    with pytest.raises(DataError, match=r"a chunk (is damaged|lies beyond the \d+ bytes of its shard|has \d+ bytes)"):
        open_file(path).layers[0].read(0, 40)
    shard.write_bytes(data[:begin] + bytes(index) + data[-4:])
    with pytest.raises(DataError, match="a chunk is damaged"):  # its sum is another
        open_file(path)
    shard.write_bytes(data[-9:])
    with pytest.raises(DataError, match="a shard has 9 bytes, and its index alone takes 68"):
        open_file(path)
