"""Activation files that somebody spoilt on purpose, or a disk by chance: one line, or the values that were saved."""

import io
import os
import re
import struct
import sys
import zipfile
import zlib
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from cka_cli.api.compare import compare
from cka_cli.errors import DataError
from cka_cli.files import open_file
from cka_cli.files.hdf5_chunks import chunk_table
from cka_cli.files.source_file import origin_of
from cka_cli.options import RunOptions
from tests.cli.command import run_here
from tests.fuzz import corpus
from tests.fuzz.worker import Watched
from tests.small_files import cut, values

# ruff: noqa: E501 - a line of a table is a file and the line that a user sees

MIB = 1 << 20


def npy_bytes(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array)
    return stream.getvalue()


def npy(shape, dtype="<f4", n_bytes=96, version=1, header_bytes=None):
    """An NPY file that says what it is told to say, and holds `n_bytes` of zeros."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text) if header_bytes is None else header_bytes)
    return b"\x93NUMPY" + bytes((version, 0)) + length + text + bytes(n_bytes)


def zipped(members, method=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def central(data, offset, new):
    """A zip archive with a field of its (first) directory entry changed."""
    place = data.index(b"PK\x01\x02") + offset
    return data[:place] + new + data[place + len(new) :]


ARRAY = npy_bytes(values(12, 5))
STORED, DEFLATED = zipped({"a.npy": ARRAY}), zipped({"a.npy": ARRAY}, zipfile.ZIP_DEFLATED)
PACKED = zipped({"a.npy": ARRAY}, zipfile.ZIP_LZMA)
EVEN = zipped({"a.npy": npy_bytes(np.zeros((4096, 64), np.float32))}, zipfile.ZIP_DEFLATED)
SHARED = zipped({"a.npy": ARRAY, "b.npy": ARRAY})
BYTES = {
    "a shape beyond any memory": ("x.npy", npy("(9223372036854775807, 4)"), r"is cut short \(96 bytes .* promises 147\d+\)"),
    "a product beyond 64 bits": ("x.npy", npy("(4294967296, 4294967296)"), r"is cut short \(96 bytes .* promises 73\d+\)"),
    "more rows than can be counted": ("x.npy", npy("(18446744073709551616, 0)"), r"promises a shape of \(18446744073709551616, 0\)"),
    "a negative length": ("x.npy", npy("(-3, 8)"), r"its header promises a shape of \(-3, 8\)"),
    "a header of a gibibyte": ("x.npy", npy("(3, 8)", version=2, header_bytes=1 << 30), "promises 1073741824 bytes of description"),
    "a header that is cut off": ("x.npy", npy("(3, 8)")[:9], "the file ends within its header"),
    "text of no length": ("x.npy", npy("(1000000000000,)", "<U0"), "its header promises values of no bytes"),
    "more text than there is": ("x.npy", npy("(1000000000000,)", "<U4"), "is cut short"),
    "nested too deeply": ("x.npy", npy("(" * 200 + ")" * 200), "Cannot parse header|its header is no description of an array"),
    "objects": ("x.npy", npy("(3, 8)", "|O"), "object array, which only unpickling could read"),
    "a member in two places": ("x.npz", central(STORED, 42, struct.pack("<I", 7)), "7 bytes stand before the archive"),
    "a member over another": (
        "x.npz", SHARED[: SHARED.rindex(b"PK\x01\x02") + 42] + bytes(4) + SHARED[SHARED.rindex(b"PK\x01\x02") + 46 :],
        "b.npy lies over another member",
    ),
    "a last member over the directory": ("x.npz", STORED[:28] + struct.pack("<H", 8) + STORED[30:], "its last member lies over the directory"),
    "a stored member that grows": ("x.npz", central(STORED, 24, struct.pack("<I", 10**9)), "a.npy promises more bytes than the archive holds"),
    "a member beyond the end": ("x.npz", central(STORED, 20, struct.pack("<I", 10**6)), "a.npy promises more bytes than the archive holds"),
    "more than deflate can hold": ("x.npz", central(DEFLATED, 24, struct.pack("<I", 10**9)), "a.npy promises more bytes than the archive holds"),
    "a method that nobody knows": ("x.npz", central(STORED, 10, struct.pack("<H", 77)), "compression|not supported"),
    "an encrypted member": ("x.npz", central(STORED, 8, struct.pack("<H", 1)), "encrypted"),
    "a dictionary of gibibytes": ("x.npz", PACKED[:40] + struct.pack("<I", 1 << 31) + PACKED[44:], "it asks for a dictionary of 2048 MiB"),
    "a sum that is not theirs": ("x.npz", central(STORED, 16, bytes(4)), "its values are not those that were saved|Bad CRC-32"),
    "a sum that is not theirs, packed": ("x.npz", central(EVEN, 16, bytes(4)), "Bad CRC-32"),
    "objects in an archive": ("x.npz", zipped({"a.npy": npy("(3, 8)", "|O")}), "object array, which only unpickling could read"),
    "a shape beyond the member": ("x.npz", zipped({"a.npy": npy("(1000000000000, 8)")}), r"x\.npz::a: is cut short \(96 bytes"),
    "a zip of nothing": ("x.npz", zipped({}), "is a zip archive without NPY arrays"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "data", "line"), BYTES.values(), ids=BYTES)
def test_bytes_that_lie_are_one_line(tmp_path, capsysbinary, name, data, line):
    path = tmp_path / name
    path.write_bytes(data)
    for command in ("compare", "inspect"):
        ended = run_here([command, path], capsysbinary)
        said = ended.err if ended.status else ended.out.decode()  # what is refused alone is inspected all the same
        assert re.search(line, said), said
        assert command == "inspect" or (ended.status, ended.err.count("\n"), ended.out) == (1, 1, b"")
        assert "out of memory" not in ended.err
        assert len(ended.err) < 500


def test_names_that_lead_elsewhere_or_control_a_terminal_are_only_names(tmp_path, capsysbinary):
    names = ["../../evil", "/etc/x", "a\x1b[2J\nb", "c" * 300]
    (tmp_path / "x.npz").write_bytes(
        zipped({f"{name}.npy": npy_bytes(values(9, 3, seed=place)) for place, name in enumerate(names)})
    )
    assert [layer.name for layer in open_file(str(tmp_path / "x.npz")).layers] == names
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a\x1b[2J\nb"] = values(9, 0)
    for arguments in (["inspect", tmp_path / "x.npz", "--format", "table"], ["compare", tmp_path / "x.h5"]):
        ended = run_here(arguments, capsysbinary)
        assert b"\x1b" not in ended.out
        assert "\x1b" not in ended.err
        assert ended.err.count("\n") == ended.status
    assert sorted(os.listdir(tmp_path)) == ["x.h5", "x.npz"]


def arrays_of(path):
    """What can be read of a file, by name."""
    found = {}
    for array in (*open_file(str(path)).layers, *open_file(str(path)).vectors):
        try:
            found[array.name] = array.read(0, array.shape[0])
        except DataError:
            continue
    return found


@pytest.mark.parametrize(
    "name", ["rows.npy", "maps-columns.npy", "stored.npz", "deflated.npz", "chunks.h5", "plain-latest.h5"]
)
def test_a_file_cut_anywhere_gives_saved_values_or_a_line(tmp_path, name):
    whole = tmp_path / f"whole-{name}"
    whole.write_bytes(corpus.corpus()[name])
    saved = arrays_of(whole)
    n_bytes = whole.stat().st_size
    for length in range(1, n_bytes, 251 if name.endswith("h5") else 29):
        path = cut(whole, tmp_path / f"{length}-{name}", length)
        try:
            found = arrays_of(path)
        except DataError:
            continue
        for layer, array in found.items():
            np.testing.assert_array_equal(array, saved[layer])


@pytest.mark.parametrize("name", ["stored.npz", "deflated.npz"])
def test_a_flipped_bit_of_an_archive_is_found(tmp_path, name):
    data = corpus.corpus()[name]
    (tmp_path / "whole.npz").write_bytes(data)
    saved = arrays_of(tmp_path / "whole.npz")
    for place in range(3, len(data), 37):
        path = tmp_path / f"{place}.npz"
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        try:
            found = arrays_of(path)
        except DataError:
            continue
        for layer in found.keys() & saved.keys():
            np.testing.assert_array_equal(found[layer], saved[layer])


def test_a_flipped_bit_of_packed_chunks_is_found(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", data=values(40, 30), chunks=(10, 30), compression="gzip")
        place = file["a"].id.get_chunk_info(2).byte_offset + 200
    data = bytearray((tmp_path / "x.h5").read_bytes())
    data[place] ^= 16
    (tmp_path / "x.h5").write_bytes(data)
    (layer,) = open_file(str(tmp_path / "x.h5")).layers
    np.testing.assert_array_equal(layer.read(0, 20), values(40, 30)[:20])
    with pytest.raises(
        DataError, match=r"x\.h5::a: cannot be read \(a chunk cannot be unpacked: .*\); the file may be"
    ):
        layer.read(19, 21)


# --- HDF5


def chunk_of(data, *, shape=(256, 4), skipped=0, **options):
    """A file whose one chunk holds `data` as it stands."""

    def fill(file):
        dataset = file.create_dataset("a", shape, "f4", chunks=shape, **options)
        dataset.id.write_direct_chunk((0, 0), data, skipped)

    return fill


def without_values(shape, **options):
    return lambda file: file.create_dataset("a", shape, "f4", **options)


def written_in_part(file):
    file.create_dataset("a", (10**9, 4), "f4", chunks=(8, 4), compression="gzip")[:20] = 1


DATASETS = {
    "a chunk that is too short": (chunk_of(zlib.compress(bytes(8)), compression="gzip"), "a chunk unpacks to 8 of its 4096 bytes"),
    "a chunk that is cut off": (chunk_of(zlib.compress(values(256, 4).tobytes())[:900], compression="gzip"), r"a chunk unpacks to \d+ of its 4096 bytes"),
    "a chunk that has no end": (chunk_of(zlib.compress(bytes(1 << 28)), compression="gzip"), "a chunk unpacks to more than its 4096 bytes"),
    "a plain chunk that is too short": (chunk_of(bytes(8)), "a chunk has 8 bytes where it should have 4096"),
    "a filter that was skipped": (chunk_of(bytes(8), skipped=1, compression="gzip"), "a chunk has 8 bytes where it should have 4096"),
    "a sum without values": (chunk_of(b"ab", fletcher32=True), r"a: cannot be read \(|cannot be read \("),
    "a library's chunk that is damaged": (chunk_of(b"\xff" * 90, compression="lzf"), r"cannot be read \("),
    "rubbish for a chunk": (chunk_of(b"rubbish", compression="gzip"), "a chunk cannot be unpacked"),
    "nothing written, in one piece": (without_values((10**6, 10**6)), r"its values were never written \(shape \(1000000, 1000000\)\); was the run that wrote it ended early"),
    "nothing written, in chunks": (without_values((10**6, 10**6), chunks=(64, 64)), "0 of 244140625 chunks were written"),
    "nothing written, packed": (without_values((10**6, 10**6), chunks=(512, 512), compression="gzip"), "0 of 3818116 chunks were written"),
    "written in part": (written_in_part, "3 of 125000000 chunks were written"),
}  # fmt: skip


@pytest.mark.parametrize(("fill", "line"), DATASETS.values(), ids=DATASETS)
def test_datasets_that_lie_are_one_line(tmp_path, capsysbinary, fill, line):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        fill(file)
    for arguments in (["compare"], ["inspect", "--format", "json"]):
        ended = run_here([*arguments, tmp_path / "x.h5"], capsysbinary)
        said = ended.err if ended.status else ended.out.decode()
        assert re.search(line, said), said
        assert ended.status == (arguments[0] == "compare")


def test_rows_that_were_written_are_read_though_others_were_not(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", (100, 6), "f4", chunks=(8, 4))[:24] = values(24, 6)
    (layer,) = open_file(str(tmp_path / "x.h5")).layers
    np.testing.assert_array_equal(layer.read(3, 24), values(24, 6)[3:])
    with pytest.raises(DataError, match=r"6 of 26 chunks were written, and not all of rows 20 to 25"):
        layer.read(20, 25)


def test_groups_in_a_circle_are_walked_once(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/b/layer"] = values(9, 3)
        file["a/b/up"], file["a/top"], file["self"] = file["a"], file["/"], file["/"]
    assert [layer.name for layer in open_file(str(tmp_path / "x.h5")).layers] == ["a/b/layer"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify tells which files are opened")
def test_no_other_file_is_opened(tmp_path, capsysbinary):
    for name, data in corpus.other_files().items():
        (tmp_path / name).write_bytes(data)
    watched = Watched(tmp_path)
    (tmp_path / corpus.OTHER_RAW).read_bytes()
    assert watched.names() == {corpus.OTHER_RAW}
    for name, data in corpus.corpus().items():
        if name.startswith(("others", "links")):
            (tmp_path / name).write_bytes(data)
            watched.names()
            ended = run_here(["inspect", tmp_path / name], capsysbinary)
            assert ended.status == 0
            assert re.search(rb"never read|never followed", ended.out)
            assert watched.names() == {name}


def test_a_filter_that_is_not_installed_is_named(tmp_path, capsysbinary):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4, 4))
        properties.set_filter(h5py.h5z.FILTER_DEFLATE, 0, (4,))
        h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4, 4)), properties)
    data = (tmp_path / "x.h5").read_bytes()
    message = b"\x01\x00\x08\x00\x00\x00\x01\x00deflate\x00"  # filter 1, a name of 8 bytes, one parameter
    assert data.count(message) == 1
    (tmp_path / "x.h5").write_bytes(data.replace(message, b"\xab\x7d" + message[2:]))
    ended = run_here(["compare", tmp_path / "x.h5"], capsysbinary)
    assert "compressed with deflate (32171), which this HDF5 library cannot undo; save it with gzip" in ended.err
    (tmp_path / "x.h5").write_bytes(data.replace(message, b"\x01\x7d" + message[2:]))
    ended = run_here(["compare", tmp_path / "x.h5"], capsysbinary)
    assert "compressed with blosc (32001), which this HDF5 library cannot undo; pip install hdf5plugin" in ended.err


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("dtype", ["f4", ">f8", "i2", "?", "f2", "u8"])
def test_chunks_read_here_are_those_that_the_library_reads(tmp_path, libver, dtype):
    array = (values(30, 7, 3) * 50).astype(dtype)
    options = [
        {"chunks": (8, 3, 2)},
        {"chunks": (8, 7, 3), "compression": "gzip", "shuffle": True},
        {"chunks": (30, 7, 3), "compression": "gzip"},
        {"chunks": (1, 2, 3), "shuffle": True},
        {"chunks": (7, 2, 3), "compression": "gzip", "fletcher32": True},
        {"chunks": (7, 2, 3), "compression": "lzf"},
        {"maxshape": (None, 7, 3), "compression": "gzip"},
        {"maxshape": (None, None, 3)},
        {},
    ]
    with h5py.File(tmp_path / "x.h5", "w", libver=libver, userblock_size=512 if dtype == "i2" else 0) as file:
        for number, option in enumerate(options):
            file.create_dataset(str(number), data=array, **option)
        file["0"].attrs["ends"] = 1
    for layer in open_file(str(tmp_path / "x.h5")).layers:
        for start, stop, part in (
            (0, 30, slice(None)),
            (7, 9, slice(2, 5)),
            (29, 30, slice(0, 1)),
            (5, 5, slice(None)),
        ):
            read = layer.read(start, stop, part)
            assert read.dtype == array.dtype
            np.testing.assert_array_equal(read, array[start:stop, part])


def test_no_chunk_is_unpacked_twice_on_the_way_through_a_layer(tmp_path, monkeypatch):
    from cka_cli.files.hdf5_chunks import ChunkRows
    from cka_cli.layers.selection import SelectedLayer

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", data=values(100, 6), chunks=(8, 6), compression="gzip")
    unpacked, inflated = [], ChunkRows._inflated
    monkeypatch.setattr(ChunkRows, "_inflated", lambda *asked: unpacked.append(asked[2]) or inflated(*asked))
    (layer,) = open_file(str(tmp_path / "x.h5")).layers
    parts = [part for _, part in SelectedLayer(layer, range(100)).blocks(21 * 6 * 4)]
    np.testing.assert_array_equal(np.concatenate(parts), values(100, 6))
    assert len(unpacked) == len(set(unpacked)) == 13


# --- memory


@pytest.fixture
def peak_of(tmp_path_factory):
    """`peak_of(function)`: the bytes that Python and numpy had at most while it ran."""
    import tracemalloc

    def measure(function):
        tracemalloc.start()
        try:
            function()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measure


def read_in_pieces(path):
    (layer,) = open_file(str(path)).layers
    for start in range(0, layer.shape[0], 500):
        expected = np.arange(start, min(start + 500, layer.shape[0]))
        np.testing.assert_array_equal(layer.read(start, start + len(expected), slice(5, 6))[:, 0], expected)


def rows_that_count(n_rows, n_features, order="C"):
    array = np.zeros((n_rows, n_features), np.float32, order=order)
    array += np.arange(n_rows)[:, None]
    return array


def test_a_packed_array_in_column_order_takes_little_memory(tmp_path, peak_of):
    np.savez_compressed(tmp_path / "x.npz", a=rows_that_count(2000, 10000, order="F"))
    assert peak_of(lambda: read_in_pieces(tmp_path / "x.npz")) < 16 * MIB  # of 80 MB


@pytest.mark.parametrize("shuffle", [False, True])
def test_one_chunk_as_large_as_the_layer_takes_little_memory(tmp_path, peak_of, shuffle):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset(
            "a", data=rows_that_count(2000, 5000), chunks=(2000, 5000), compression="gzip", compression_opts=1, shuffle=shuffle
        )  # fmt: skip
    assert peak_of(lambda: read_in_pieces(tmp_path / "x.h5")) < 24 * MIB  # of 40 MB


def test_no_room_to_unpack_is_one_line(tmp_path, monkeypatch):
    from cka_cli.files import spill as unpacked

    np.savez_compressed(tmp_path / "x.npz", a=rows_that_count(2000, 3000, order="F"))
    free = type("Usage", (), {"free": 5 * MIB})
    monkeypatch.setattr(unpacked.shutil, "disk_usage", lambda folder: free)
    with pytest.raises(DataError, match=r"x\.npz::a: .* to 23 MiB in .*, which has 5 MiB free: set TMPDIR"):
        read_in_pieces(tmp_path / "x.npz")


# --- what changes, and what is no file


@pytest.mark.parametrize("name", ["rows.npy", "stored.npz", "deflated.npz", "plain.h5", "filters.h5"])
def test_a_file_that_becomes_shorter_while_it_is_read_is_one_line(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(corpus.corpus()[name])
    layers = open_file(str(path)).layers
    os.truncate(path, 200)
    for layer in layers:
        with pytest.raises(DataError, match=rf"{name}::.*: changed while it was read; wait until"):
            layer.read(0, 5)


def test_another_file_in_the_place_of_one_is_noticed(tmp_path):
    np.save(tmp_path / "x.npy", values(9, 4))
    (layer,) = open_file(str(tmp_path / "x.npy")).layers
    np.save(tmp_path / "y.npy", values(9, 4, seed=1))
    os.replace(tmp_path / "y.npy", tmp_path / "x.npy")
    with pytest.raises(DataError, match="changed while it was read"):
        layer.read(0, 9)


def test_a_folder_of_what_is_no_file(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    np.save(folder / "conv1.npy", values(9, 4))
    os.mkdir(folder / "deep.npy")
    os.symlink(folder, folder / "round")
    assert [layer.name for layer in open_file(str(folder)).layers] == ["conv1"]
    os.mkfifo(folder / "pipe.npy")
    with pytest.raises(DataError, match=r"folder::pipe: is not a readable NPY array \(it is a pipe or a device"):
        compare(str(folder))
    os.unlink(folder / "pipe.npy")
    for target, why in (
        ("/dev/zero", "a pipe or a device"),
        ("gone.npy", "No such file"),
        ("link.npy", "Too many levels"),
    ):
        os.symlink(target, folder / "link.npy")
        with pytest.raises(DataError, match=rf"folder::link: is not a readable NPY array \(.*{why}"):
            compare(str(folder))
        os.unlink(folder / "link.npy")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_not_passed_over(tmp_path):
    (tmp_path / "folder" / "closed").mkdir(parents=True)
    np.save(tmp_path / "folder" / "conv1.npy", values(9, 4))
    os.chmod(tmp_path / "folder" / "closed", 0)
    with pytest.raises(DataError, match=r"folder/closed: cannot be opened \(Permission denied\)"):
        open_file(str(tmp_path / "folder"))


def test_values_of_a_stored_member_are_those_that_were_summed(tmp_path):
    np.savez(tmp_path / "x.npz", a=values(700, 30))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[2000] ^= 1
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(DataError, match=r"x\.npz::a: cannot be read \(its values are not those that were saved"):
        compare(str(tmp_path / "x.npz"), run=RunOptions(memory_bytes=1 << 30))


@pytest.mark.parametrize("offset", [(1 << 63, 0), ((1 << 64) - 8, 0), (4, 0), (24, 0), (0, 9)])
def test_a_chunk_that_says_it_lies_outside_of_the_array_is_refused(tmp_path, offset):
    (tmp_path / "a.h5").write_bytes(bytes(4096))
    chunk = SimpleNamespace(chunk_offset=offset, byte_offset=0, size=100, filter_mask=0)
    with pytest.raises(ValueError, match="outside of its shape"):
        chunk_table([chunk], (24, 9), (8, 9), origin_of(str(tmp_path / "a.h5")))
