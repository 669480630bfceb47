"""Files that hold more, less or other than they seem to: read right, or told of in a line; never in silence.

For each format a table: what is odd, how it is made, and what must come of it. `READ` stands for the value of the
sound file; `Line` for status 1 and one line on standard error; `Note` for the value of the sound file with a note.
"""

import gzip
import io
import os
import re
import struct
import warnings
import zipfile
from dataclasses import dataclass

import h5py
import numpy as np
import pytest

from tests.cli.command import run_here
from tests.small_files import values

# ruff: noqa: E501 - a line of a table is a way in which a file is odd

N_EXAMPLES = 24
X, OTHER = values(N_EXAMPLES, 5), values(N_EXAMPLES, 4, seed=1)
HOLES = np.where(np.arange(N_EXAMPLES)[:, None] == 7, np.nan, X)
TABLE = np.zeros(N_EXAMPLES, [("x", "f4"), ("y", "f4")])
WORDS = np.array([["a", "b"]] * N_EXAMPLES)
OBJECTS = np.array([[None, 1]] * N_EXAMPLES, object)
RESOURCE_FORK = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(80)
READ = "read"


@dataclass(frozen=True)
class Line:
    """A line that says this."""

    said: str


@dataclass(frozen=True)
class Note:
    """A note that says this."""

    said: str


def npy(array, version=(1, 0)):
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of version 3
        np.lib.format.write_array(stream, array, version=version)
    return stream.getvalue()


def promising(shape):
    """An NPY file of X whose header has another shape of as many letters."""
    return npy(X).replace(b"(24, 5)", shape)


def zipped(members, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


class Pipe(io.RawIOBase):
    """A stream that takes bytes and cannot go back, so that sizes stand behind the members."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def streamed(**options):
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.npy", "labels.npy"):
            with archive.open(name, "w", **options) as member:
                member.write(npy(X if name == "a.npy" else np.arange(N_EXAMPLES)))
    return pipe.data


def with_comment(folder):
    with zipfile.ZipFile(folder / "made.npz", "w") as archive:
        archive.writestr("a.npy", npy(X))
        archive.comment = b"of epoch 3"
    return (folder / "made.npz").read_bytes()


def without_entry(members):
    """An archive whose directory does not tell of its second member."""
    data = zipped(members, zipfile.ZIP_STORED)
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 1)
    end = data.index(b"PK\x05\x06")
    tail = bytearray(data[end:])
    tail[8:12] = struct.pack("<HH", 1, 1)
    tail[12:16] = struct.pack("<I", second - first)
    return data[:second] + bytes(tail)


def hdf5(layers=None, fill=None, **options):
    stream = io.BytesIO()
    with h5py.File(stream, "w", **options) as file:
        for name, array in ({"a": X} if layers is None else layers).items():
            file[name] = array
        if fill is not None:
            fill(file)
    return stream.getvalue()


def left_open(folder):
    with h5py.File(folder / "writing.h5", "w", libver="latest") as file:
        file["a"] = X
        file.flush()
        return (folder / "writing.h5").read_bytes()


def paged(folder):
    with h5py.File(folder / "paged.h5", "w", fs_strategy="page", fs_page_size=4096) as file:
        file["a"] = X
    return (folder / "paged.h5").read_bytes()


def matlab(file):
    file["a"] = X.T
    file["a"].attrs["MATLAB_class"] = np.bytes_("single")


def written_in_part(file):
    file.create_dataset("a", X.shape, "f4", chunks=(6, 5))[:12] = X[:12]


def virtual_over(*names):
    """Add a dataset whose values are those of datasets in files of these names."""
    layout = h5py.VirtualLayout((len(names) * N_EXAMPLES, 5), "f4")
    for place, name in enumerate(names):
        layout[place * N_EXAMPLES : (place + 1) * N_EXAMPLES] = h5py.VirtualSource(name, "a", X.shape)
    return lambda file: file.create_virtual_dataset("z", layout)


def with_missing_filter():
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((4, 4))
    properties.set_filter(511, h5py.h5z.FLAG_OPTIONAL)
    return lambda file: h5py.h5d.create(
        file.id, b"z", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4, 4)), properties
    )  # fmt: skip


ARRAY, ARCHIVE, HDF5 = npy(X), zipped([("a.npy", npy(X))]), hdf5()
STORED = zipped([("a.npy", ARRAY)], zipfile.ZIP_STORED)
TWO = [("a.npy", ARRAY), ("z.npy", npy(OTHER))]
CUT, MORE = "is cut short", "holds more than one array"

NPY = {
    "bytes appended": (ARRAY + b"junk", Line(r"4 bytes follow the 480 of shape \(24, 5\)")),
    "five arrays in one file": (ARRAY * 5, Line("4 more arrays follow the first")),
    "two arrays of different shapes": (ARRAY + npy(OTHER), Line("1 more array follows the first")),
    "an archive joined to it": (ARRAY + ARCHIVE, Line("bytes follow the 480")),
    "an HDF5 file joined to it": (npy(values(24, 4)).ljust(512, b"\0") + HDF5, Line("bytes follow the 384")),
    "cut short": (ARRAY[:-1], Line(CUT)),
    "a header of more rows": (promising(b"(94, 5)"), Line(CUT)),
    "a header of fewer rows": (promising(b"(4, 5) "), Line("400 bytes follow")),
    "a header of no rows": (promising(b"(0, 5) "), Line("480 bytes follow")),
    "version 2": (npy(X, (2, 0)), READ),
    "version 3": (npy(X, (3, 0)), READ),
    "version 4": (ARRAY[:6] + b"\4" + ARRAY[7:], Line("NPY version 4.0 is not known")),
    "the other byte order": (npy(X.astype(">f4")), READ),
    "Fortran order": (npy(np.asfortranarray(X)), READ),
    "a table": (npy(TABLE), Line(r"a table \(fields x, y\)")),
    "objects": (npy(OBJECTS), Line("object array")),
    "words": (npy(WORDS), Line("text, not numbers")),
    "bytes without a type": (npy(np.zeros((24, 5), "V3")), Line(r"bytes without a type \(\|V3\); save it as float32")),
    "complex numbers": (npy(X + 1j), Line("complex numbers")),
    "no rows": (npy(X[:0]), Line("has no examples")),
    "NaN": (npy(HOLES), Line("5 values are not finite")),
    "fewer rows than the other file": (npy(X[:20]), Line("24 examples, but .* has 20|20 examples, but .* has 24")),
}  # fmt: skip

NPZ = {
    "bytes appended": (ARCHIVE + b"junk", Line("bytes follow the end of the archive")),
    "bytes before it": (b"PK\x03\x04junk" + ARCHIVE, Line("8 bytes stand before the archive")),
    "two archives joined": (zipped(TWO) + ARCHIVE, Line("bytes stand before the archive")),
    "an array joined to it": (ARCHIVE + ARRAY, Line("bytes follow the end of the archive")),
    "an array that the directory does not tell of": (without_entry(TWO), Line("bytes stand in the archive that its directory does not tell of")),
    "two arrays in a member": (zipped([("a.npy", ARRAY + npy(OTHER)), TWO[1]]), Line(r"x\.npz::a: " + MORE)),
    "two arrays in a stored member": (zipped([("a.npy", ARRAY * 2), TWO[1]], zipfile.ZIP_STORED), Line(r"x\.npz::a: " + MORE)),
    "junk in a member": (zipped([("a.npy", ARRAY + b"junk"), TWO[1]]), Line(r"x\.npz::a: .*4 bytes follow")),
    "a member that is cut": (zipped([("a.npy", ARRAY[:-9]), TWO[1]]), Line(r"x\.npz::a: " + CUT)),
    "cut short": (ARCHIVE[:-9], Line("it may be cut short")),
    "a sum that is not that of its values": (STORED.replace(X.tobytes(), X[::-1].tobytes()), Line("not those that were saved|Bad CRC-32")),
    "a member that is none": (zipped([("a.npy", ARRAY), ("z.npy", b"no array")]), Note("z left out: no NPY file")),
    "a table": (zipped([("a.npy", ARRAY), ("z.npy", npy(TABLE))]), Note("z left out: a table")),
    "objects": (zipped([("a.npy", ARRAY), ("z.npy", npy(OBJECTS))]), Note("z left out: object array")),
    "companions of a Mac": (zipped([("d/", b""), ("d/a.npy", ARRAY), ("__MACOSX/d/._a.npy", RESOURCE_FORK), ("d/.DS_Store", b"Bud1"), ("d/._b.npy", RESOURCE_FORK)]), READ),
    "an array under a hidden name": (zipped([("a.npy", ARRAY), (".z.npy", npy(OTHER))]), Note("z left out: its name is hidden")),
    "plain companions": (zipped([("a.npy", ARRAY), ("readme.txt", b"of epoch 3"), ("t.csv", b"1,2"), ("d/", b""), ("d/meta.json", b"{}")]), Note(r"x\.npz: of an archive only NPY arrays are read, so not readme\.txt, t\.csv, d/meta\.json\n")),
    "many companions": (zipped([("a.npy", ARRAY), *((f"{n}.txt", b"") for n in range(9))]), Note(r"so not 0\.txt, 1\.txt, 2\.txt, \.\.\.\n")),
    "an archive and an HDF5 file in it": (zipped([("a.npy", ARRAY), ("a.txt", b"a"), ("inner.npz", ARCHIVE), ("x.h5", HDF5)]), Note(r"so not inner\.npz, x\.h5, a\.txt; take other files out and give them by themselves\n")),
    "an HDF5 file under another name": (zipped([("a.npy", ARRAY), ("x.nc", HDF5)]), Note(r"so not x\.nc; take other files out")),
    "a packed array": (zipped([("a.npy", ARRAY), ("z.npy.gz", gzip.compress(ARRAY))]), Note(r"so not z\.npy\.gz; take .* by themselves, unpacked\n")),
    "files that systems leave": (zipped([("a.npy", ARRAY), ("Thumbs.db", b"x"), ("d/desktop.ini", b"x"), (".keep", b"")]), READ),
    "written into a pipe": (streamed(), READ),
    "sizes of 64 bits": (streamed(force_zip64=True), READ),
    "a comment": (with_comment, READ),
    "an array without an ending": (zipped([("a", ARRAY)]), READ),
    "a name twice": (zipped([("a.npy", ARRAY), ("a", npy(OTHER))]), Line("a: stands more than once")),
    "strange letters": (zipped([("größe [1]/層 a.npy", ARRAY)]), READ),
    "version 3 in Fortran order": (zipped([("a.npy", npy(np.asfortranarray(X), (3, 0)))]), READ),
    "NaN": (zipped([("a.npy", npy(HOLES))]), Line("not finite")),
    "layers of different lengths": (zipped([("a.npy", ARRAY), ("z.npy", npy(OTHER[:20]))]), Line("20 examples, but a has 24")),
}  # fmt: skip

HDF = {
    "bytes appended": (HDF5 + b"junk", Line("4 bytes follow the end that the file declares")),
    "two files joined": (HDF5 + hdf5({"b": X}), Line("bytes follow the end that the file declares")),
    "two files joined, of the latest version": (hdf5(libver="latest") * 2, Line("bytes follow the end")),
    "bytes behind a user block": (bytes(512) + HDF5 + b"junk", Line("4 bytes follow the end")),
    "a user block put before it": (bytes(1024) + HDF5, READ),
    "a user block of its own": (hdf5(userblock_size=512), READ),
    "pages": (paged, READ),
    "cut short": (HDF5[:-1], Line("it may be cut short")),
    "never closed": (left_open, Line("is still open in the program that writes it, or that program died")),
    "rows never written": (hdf5({}, written_in_part), Line("2 of 4 chunks were written")),
    "nothing written": (hdf5(fill=lambda file: file.create_dataset("z", (24, 4), "f4")), Note("z left out: its values were never written")),
    "axes of MATLAB": (hdf5({}, matlab, userblock_size=512), READ),
    "rows of any length": (hdf5(fill=lambda file: file.create_dataset("z", (24,), h5py.vlen_dtype("f4"))), Note("z left out: a variable-length type")),
    "references": (hdf5(fill=lambda file: file.create_dataset("z", (24, 2), h5py.ref_dtype)), Note("z left out: references")),
    "a table": (hdf5({"a": X, "z": TABLE}), Note("z left out: a table")),
    "bytes without a type": (hdf5({"a": X, "z": np.zeros((24, 5), "V1")}), Note(r"z left out: bytes without a type \(\|V1; float8\?\)")),
    "a filter that is missing": (hdf5(fill=with_missing_filter()), Note(r"z left out: compressed with a filter \(511\)")),
    "a link to another file": (hdf5(fill=lambda file: file.__setitem__("z", h5py.ExternalLink("y.h5", "/a"))), Note("z left out: external link")),
    "values that lie elsewhere in it": (hdf5(fill=virtual_over(".")), Note("z left out: a virtual dataset over others of this file, which is never read; save a copy of its values")),
    "values that lie in it and in another file": (hdf5(fill=virtual_over(".", "y.h5")), Note("z left out: a virtual dataset over other files")),
    "values that lie in two other files": (hdf5(fill=virtual_over("w.h5", "y.h5")), Note("z left out: a virtual dataset over other files")),
    "the other byte order": (hdf5({"a": X.astype(">f8")}), READ),
    "strange letters": (hdf5({"größe [1]/層 a": X}), READ),
    "no rows": (hdf5({"a": X[:0]}), Line("has no examples")),
    "NaN": (hdf5({"a": HOLES}), Line("not finite")),
    "layers of different lengths": (hdf5({"a": X, "z": OTHER[:20]}), Line("20 examples, but a has 24")),
}  # fmt: skip

# What stands in the folder beside a sound a.npy, or in its place.
FOLDER = {
    "bytes appended": ({"a.npy": ARRAY + b"junk"}, Line("x::a: .*4 bytes follow")),
    "five arrays in one file": ({"z.npy": npy(OTHER) * 5}, Line("x::z: " + MORE)),
    "a file that is cut": ({"z.npy": ARRAY[:-9]}, Line("x::z: " + CUT)),
    "a file that is cut in its header": ({"z.npy": ARRAY[:50]}, Line("x::z: is not a readable NPY array")),
    "an empty file": ({"z.npy": b""}, Line(r"x::z: is not a readable NPY array \(it is empty")),
    "labels that are cut": ({"labels.npy": npy(np.arange(24))[:-9]}, Note("labels left out: " + CUT)),
    "a file that is none": ({"z.npy": b"no array"}, Note("z left out: no NPY file")),
    "companions of a Mac": ({"._a.npy": RESOURCE_FORK, ".DS_Store": b"Bud1", "Thumbs.db": b"\xd0\xcf", "__MACOSX/b.npy": b"x"}, READ),
    "an array under a hidden name": ({".z.npy": npy(OTHER)}, Note("z left out: its name is hidden")),
    "a hidden folder": ({".git/z.npy": npy(OTHER)}, READ),
    "files of other kinds": ({"z.npz": ARCHIVE, "y.h5": HDF5}, Note(r"only \.npy files are read, so not y\.h5, z\.npz")),
    "arrays under other names": ({"c": npy(OTHER), "s/d.np": npy(OTHER)}, Note(r"only \.npy files are read, so not c, s/d\.np; give other files by themselves\n")),
    "other files without their endings": ({"y.nc": HDF5, "z": ARCHIVE}, Note(r"so not y\.nc, z; give other files")),
    "a packed array": ({"g.npy.gz": gzip.compress(npy(OTHER))}, Note(r"so not g\.npy\.gz; give other files by themselves, unpacked\n")),
    "plain companions": ({"README.md": b"# Of epoch 3", "empty": b"", "s/meta.json": b"{}"}, Note(r"x: of a folder only \.npy files are read, so not README\.md, empty, s/meta\.json\n")),
    "many companions and one with an array": ({f"{n}.png": b"\x89PNG" for n in range(9)} | {"z": npy(OTHER)}, Note(r"so not z, 0\.png, 1\.png, \.\.\.; give")),
    "an ending in capitals": ({"Z.NPY": npy(OTHER)}, Note(r"only \.npy files are read, so not Z\.NPY")),
    "version 3": ({"a.npy": npy(X, (3, 0))}, READ),
    "Fortran order": ({"a.npy": npy(np.asfortranarray(X))}, READ),
    "the other byte order": ({"a.npy": npy(X.astype(">f4"))}, READ),
    "a table": ({"z.npy": npy(TABLE)}, Note("z left out: a table")),
    "a table of many fields": ({"z.npy": npy(np.zeros(24, [(f"unit number {n}", "f4") for n in range(600)]))}, Note("z left out: a table whose fields take")),
    "objects": ({"z.npy": npy(OBJECTS)}, Note("z left out: object array")),
    "words": ({"z.npy": npy(WORDS)}, Note("z left out: text")),
    "no rows": ({"z.npy": npy(X[:0])}, Line("z: has no examples")),
    "NaN": ({"a.npy": npy(HOLES)}, Line("not finite")),
    "layers of different lengths": ({"z.npy": npy(OTHER[:20])}, Line("20 examples, but a has 24")),
}  # fmt: skip

HEADER = "x_file,x_layer,y_file,y_layer,measure,kernel,n_examples,value\n"
LINES = [
    f"a,{x},b,{y},cka,linear,9,{value}\n"
    for x, y, value in (("p", "p", 1), ("p", "q", 0.5), ("r", "p", 0.25), ("r", "q", 0.75))
]
REPORT = HEADER + "".join(LINES)

CSV = {
    "cut within a line": (REPORT[:-12], Line("x.csv: line 5 has 6 cells where the header has 8")),
    "cut within its last number": (REPORT[:-2], Note(r"no line end behind its last value \(0.7\)")),
    "a name twice": ("layer,p,p\nr,1,0.5\n", Note("p is the name of 2 layers")),
    "a number beyond float64": (REPORT.replace("0.5", "1e999"), Note("1 value is infinite")),
    "a line missing": (HEADER + "".join(LINES[:3]), Line("no value for r × q")),
    "a line twice": (REPORT + LINES[1], READ),
    "a line twice, and different": (REPORT + LINES[1].replace("0.5", "0.6"), Line("line 6 gives p × q a second time")),
    "two reports joined": (REPORT + REPORT, READ),
    "a cell more": (REPORT.replace("0.5", "0.5,7"), Line("line 3 has 9 cells")),
    "a word for a number": (REPORT.replace("0.5", "high"), Line("line 3 holds 'high'")),
    "a number of another kind": (REPORT.replace("0.5", "0x1p-1"), Line("line 3 holds '0x1p-1'")),
    "bytes appended": (REPORT + "junk\n", Line("line 6 has 1 cell")),
    "bytes of 0 appended": (REPORT + "\x00junk\n", Line("is not text")),
    "a NUL in a number": (REPORT.replace("0.5", "0.\x005"), Line("is not text")),
    "letters of another encoding": (REPORT.replace("a,p", "a,é").encode("latin-1"), Line("x.csv: ")),
    "a quote without end": (REPORT.replace("a,r", 'a,"r'), Line("is not CSV")),
    "values of other examples": (REPORT.replace("9,0.5", "8,0.5"), Line("no value for p × q")),
    "packed": (b"\x1f\x8b\x08\x00" + bytes(40), Line("x.csv: ")),
    "a header alone": (HEADER, Line("holds a header and no values")),
    "empty": ("", Line("is empty")),
    "line ends of another system": (REPORT.replace("\n", "\r\n"), READ),
    "a mark of its encoding": ("\ufeff" + REPORT, READ),
    "no end to its last line": (REPORT[:-1], Note("no line end behind its last value")),
    "empty lines": (REPORT.replace("\na,r", "\n\na,r"), READ),
}  # fmt: skip


def cases_of(table):
    return pytest.mark.parametrize(("made", "expected"), table.values(), ids=table)


def check_compared(folder, path, expected, capture):
    """Compare the odd file with a sound one, as a user would, and hold what comes of it against what must."""
    np.save(folder / "other.npy", OTHER)
    np.save(folder / "sound.npy", X)
    right = run_here(["compare", folder / "sound.npy", folder / "other.npy"], capture)
    ended = run_here(["compare", path, folder / "other.npy"], capture)
    if isinstance(expected, Line):
        assert (ended.status, ended.out, ended.err.count("\n")) == (1, b"", 1), ended
        assert ended.err.startswith(f"Error: {folder}"), ended.err
        assert_said(expected.said, ended.err)
        return
    assert ended.status == 0, ended.err
    assert [row.rpartition(b",")[2] for row in ended.out.splitlines()] == [
        row.rpartition(b",")[2] for row in right.out.splitlines()
    ]
    if expected == READ:
        assert ended.err == ""
    else:
        assert_said(expected.said, ended.err)
        assert all(line.startswith("Note: ") for line in ended.err.splitlines())


def assert_said(pattern, text):
    assert re.search(pattern, text), text


@cases_of(NPY)
def test_npy(tmp_path, capsysbinary, made, expected):
    (tmp_path / "x.npy").write_bytes(made)
    check_compared(tmp_path, tmp_path / "x.npy", expected, capsysbinary)


@cases_of(NPZ)
def test_npz(tmp_path, capsysbinary, made, expected):
    (tmp_path / "x.npz").write_bytes(made(tmp_path) if callable(made) else made)
    check_compared(tmp_path, tmp_path / "x.npz", expected, capsysbinary)


@cases_of(HDF)
def test_hdf5(tmp_path, capsysbinary, made, expected):
    (tmp_path / "x.h5").write_bytes(made(tmp_path) if callable(made) else made)
    check_compared(tmp_path, tmp_path / "x.h5", expected, capsysbinary)


@cases_of(FOLDER)
def test_folder(tmp_path, capsysbinary, made, expected):
    for name, data in ({"a.npy": ARRAY} | made).items():
        path = tmp_path / "x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    check_compared(tmp_path, tmp_path / "x", expected, capsysbinary)


def linked_folder(folder):
    for name in ("x", "elsewhere"):
        (folder / name).mkdir()
        (folder / name / "a.npy").write_bytes(ARRAY)
    return folder / "x"


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ({"sub": "../elsewhere"}, r"so not sub; give them by themselves\n"),
        ({"round": ".", "in/deeper": "../../elsewhere"}, r"so not in/deeper, round; give"),
        ({".hidden": "../elsewhere"}, None),
    ],
    ids=["beside it", "deeper, and round in a circle", "hidden"],
)
def test_links_to_folders_in_a_folder(tmp_path, capsysbinary, links, said):
    folder = linked_folder(tmp_path)
    for name, target in links.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(target, target_is_directory=True)
    expected = READ if said is None else Note(rf"x: links to folders are not followed, {said}")
    check_compared(tmp_path, folder, expected, capsysbinary)


def test_what_is_no_file_in_a_folder_is_not_waited_for(tmp_path, capsysbinary):
    folder = linked_folder(tmp_path)
    os.mkfifo(folder / "pipe")
    (folder / "gone").symlink_to("nowhere")
    check_compared(tmp_path, folder, Note(r"so not gone, pipe\n"), capsysbinary)


@pytest.mark.parametrize(
    ("made", "found"),
    [({"s/t.txt": b"x"}, r"s/t\.txt"), ({}, "a link to a folder, sub")],
    ids=["text", "a link"],
)
def test_a_folder_without_npy_files_says_what_it_has(tmp_path, capsysbinary, made, found):
    (tmp_path / "x").mkdir()
    for name, data in made.items():
        (tmp_path / "x" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "x" / name).write_bytes(data)
    if not made:
        (tmp_path / "x" / "sub").symlink_to(tmp_path, target_is_directory=True)
    said = Line(rf"is a folder without files of activations \(found {found}\); give")
    check_compared(tmp_path, tmp_path / "x", said, capsysbinary)


@cases_of(CSV)
def test_csv(tmp_path, capsysbinary, made, expected):
    for name, data in (("sound.csv", REPORT), ("x.csv", made)):
        (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    ended = run_here(["heatmap", tmp_path / "x.csv", "-o", tmp_path / "x.svg"], capsysbinary)
    if isinstance(expected, Line):
        assert (ended.status, ended.out, ended.err.count("\n")) == (1, b"", 1), ended
        assert_said(expected.said, ended.err)
        assert not (tmp_path / "x.svg").exists()
        return
    if isinstance(expected, Note):
        assert (ended.status, ended.err.count("\n")) == (0, 1), ended
        assert_said(expected.said, ended.err)
        return
    assert (ended.status, ended.err) == (0, "")
    assert run_here(["heatmap", tmp_path / "sound.csv", "-o", tmp_path / "sound.svg"], capsysbinary).status == 0
    assert (tmp_path / "x.svg").read_bytes() == (tmp_path / "sound.svg").read_bytes()
