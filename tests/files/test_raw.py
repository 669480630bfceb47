"""Raw values with a JSON file beside them: every way in which public code writes it, and every way it can be wrong."""

import json
import os

import numpy as np
import pytest

from cka_cli import compare
from cka_cli.errors import DataError
from cka_cli.files import open_file, registry
from tests.files.format_tests import of_dtype
from tests.small_files import values

# ruff: noqa: E501 - a line of a table is a way in which a sidecar is written

X = values(24, 5)
HALVES = (X.view("u4") >> 16).astype("u2")
WIDENED = (HALVES.astype("u4") << 16).view("f4")
PLAIN = {"shape": [24, 5], "dtype": "float32"}


def beside(folder, array=X, said=PLAIN, name="x.json", file="x.bin", head=b"", order="C"):
    """Save an array as raw values with a sidecar of these words; return its path."""
    (folder / file).write_bytes(head + array.tobytes(order))
    if said is not None:
        (folder / name).write_text(said if isinstance(said, str) else json.dumps(said))
    return str(folder / file)


def read(path):
    (layer,) = open_file(path).layers
    return layer.read(0, layer.shape[0])


@pytest.mark.parametrize("file", ["x.bin", "x.memmap", "x.dat", "x.raw", "x.mmap", "x", "x.BIN", "x.activations"])
@pytest.mark.parametrize("name", ["x.json", "x.meta", "{}.json", "{}.meta"])
def test_a_sidecar_has_the_name_of_its_file(tmp_path, file, name):
    path = beside(tmp_path, name=name.format(file), file=file)
    np.testing.assert_array_equal(read(path), X)
    assert registry.members(path) == [str(tmp_path / name.format(file)), path]


@pytest.mark.parametrize("name", ["metadata.json", "meta.json"])
@pytest.mark.parametrize(
    "said",
    [
        PLAIN,
        {"x.bin": PLAIN, "y.bin": {"shape": [3, 4], "dtype": "f8"}},
        {"x": PLAIN, "y": {"shape": [3, 4], "dtype": "f8"}},
        {"dtype": "float32", "layers": {"x": {"shape": [24, 5]}, "y": {"shape": [3, 4]}}},
        {"model": "gpt2", "layers": [{"name": "x", **PLAIN}, {"name": "y", "shape": [3, 4], "dtype": "f8"}]},
        {"layers": [{"path": "/home/of/someone/x.bin", **PLAIN}]},
        {**PLAIN, "files": ["x.bin", "y.bin"]},
        {"file": "x.bin", **PLAIN},
    ],
)
def test_a_sidecar_of_the_folder(tmp_path, name, said):
    path = beside(tmp_path, said=said, name=name)
    if said != PLAIN:  # that one says it of the only file there is
        (tmp_path / "y.bin").write_bytes(bytes(96))
    np.testing.assert_array_equal(read(path), X)


def test_a_sidecar_of_the_folder_that_names_no_file_is_of_none_where_there_are_several(tmp_path):
    path = beside(tmp_path, name="metadata.json")
    (tmp_path / "labels.bin").write_bytes(X.tobytes())
    with pytest.raises(
        DataError, match=r"x\.bin: is of no format .*; of raw values, give x\.json with shape and dtype"
    ):
        open_file(path)


def test_a_sidecar_of_the_folder_that_is_of_another_file_is_not_taken(tmp_path):
    with pytest.raises(DataError, match=r"give x\.json with shape and dtype"):
        open_file(beside(tmp_path, said={"file": "y.bin", **PLAIN}, name="metadata.json"))


def test_the_sidecar_of_a_file_goes_before_that_of_its_folder(tmp_path):
    (tmp_path / "metadata.json").write_text(json.dumps({"x": {"shape": [5, 24], "dtype": "float32"}}))
    assert read(beside(tmp_path)).shape == (24, 5)


@pytest.mark.parametrize(
    "said",
    [
        {"dims": [24, 5], "dtype": "float32"},
        {"Shape": "(24, 5)", "DType": "float32"},
        {"shape": "24x5", "dtype": "float32"},
        {"n": 24, "d": 5, "dtype": "float32"},
        {"N": 24, "D": 5, "dtype": "float32"},
        {"num_examples": 24, "dim": 5, "dtype": "float32"},
        {"n_tokens": 24, "d_model": 5, "dtype": "float32", "model": "gpt2", "layer": 3},
        {"num_samples": 24, "num_tokens": 24, "hidden_size": 5, "dtype": "float32"},
        {"shape": [24, 5], "num_tokens": 120, "dtype": "float32", "offset": None},
        {"shape": [24, 5], "dtype": "float32", "order": ["conv1", "conv2"]},
    ],
)
def test_a_shape_is_written_in_many_ways(tmp_path, said):
    path = beside(tmp_path, said=said)
    np.testing.assert_array_equal(read(path), X)
    assert open_file(path).notes == ()


@pytest.mark.parametrize(
    ("dtype", "names"),
    {
        "f2": ["float16", "fp16", "half", "torch.float16", "torch.half", "f16", "F16", "np.float16", "numpy.float16", "<f2", "f2", "e", "<class 'numpy.float16'>"],
        "f4": ["float32", "fp32", "float", "torch.float32", "torch.float", "F32", "single", "<f4", "=f4", "dtype('float32')", "dtype('<f4')", "<dtype: 'float32'>", " float32 "],
        "f8": ["float64", "double", "float", "torch.float64", "F64", "f8"],
        ">f4": [">f4"],
        "i1": ["int8", "torch.int8", "I8", "i1", "|i1"],
        "u1": ["uint8", "torch.uint8", "U8", "|u1"],
        "i8": ["int64", "torch.long", "int", "i8", "I64", "<i8"],
        "i4": ["int32", "torch.int32", "int", "torch.int", "I32"],
        "?": ["bool", "torch.bool", "BOOL", "?", "|b1", "bool_"],
        "g": [np.dtype("g").str, np.dtype("g").name, "longdouble"],
    }.items(),
)  # fmt: skip
def test_a_dtype_is_written_in_many_ways(tmp_path, dtype, names):
    array = of_dtype(dtype)
    for name in names:
        (layer,) = open_file(beside(tmp_path, array, {"shape": [7, 3, 2], "dtype": name})).layers
        assert layer.dtype == array.dtype, name
        np.testing.assert_array_equal(layer.read(0, 7), array)


@pytest.mark.parametrize(
    ("said", "swapped"),
    [
        ({"dtype": "bfloat16"}, False),
        ({"dtype": "torch.bfloat16"}, False),
        ({"dtype": "BF16"}, False),
        ({"dtype": "bf16", "byteorder": "big"}, True),
        ({"dtype": "int16", "torch_dtype": "bfloat16"}, False),
        ({"dtype": "uint16", "original_dtype": "torch.bfloat16"}, False),
        ({"dtype": "<i2", "view": "bf16"}, False),
        ({"dtype": ">i2", "stored_as": "bfloat16"}, True),
    ],
)  # fmt: skip
def test_bfloat16_is_read_as_float32_of_the_same_values(tmp_path, said, swapped):
    path = beside(tmp_path, HALVES.byteswap() if swapped else HALVES, {"shape": [24, 5], **said})
    file = open_file(path)
    (layer,) = file.layers
    assert (layer.dtype, layer.storage) == (np.dtype("f4"), "bfloat16, contiguous")
    np.testing.assert_array_equal(layer.read(3, 24, slice(1, 4)), WIDENED[3:, 1:4])
    says = len(said) == 2 and "byteorder" not in said
    assert [note.partition(" as bfloat16, as ")[2] for note in file.notes] == (
        [f"{list(said)[1]} of x.json says, though its dtype is {said['dtype']}"] if says else []
    )


def test_values_of_16_bits_are_integers_where_nothing_says_bfloat16(tmp_path):
    array = HALVES.view("i2")
    np.testing.assert_array_equal(read(beside(tmp_path, array, {"shape": [24, 5], "dtype": "int16"})), array)
    said = {"shape": [24, 5], "dtype": "float16", "model_dtype": "bfloat16"}
    assert open_file(beside(tmp_path, X.astype("f2"), said)).layers[0].storage == "contiguous"


@pytest.mark.parametrize(
    "said", [{"order": "F"}, {"fortran_order": True}, {"order": "fortran"}, {"column_major": True}]
)
def test_columns_may_come_first(tmp_path, said):
    path = beside(tmp_path, X, {**PLAIN, **said}, order="F")
    np.testing.assert_array_equal(read(path), X)


def test_values_may_begin_behind_a_header_and_in_the_other_byte_order(tmp_path):
    said = {"shape": [24, 5], "dtype": "float32", "offset": 16, "endian": "big"}
    np.testing.assert_array_equal(read(beside(tmp_path, X.astype(">f4"), said, head=bytes(16))), X)


def test_it_gives_what_an_array_of_numpy_gives(tmp_path):
    np.save(tmp_path / "x.npy", X)
    raw, plain = compare(beside(tmp_path)), compare(str(tmp_path / "x.npy"))
    np.testing.assert_allclose(raw.matrices[0].values, plain.matrices[0].values, rtol=1e-12)


def test_a_number_of_rows_that_differs_from_the_shape_is_told(tmp_path):
    file = open_file(beside(tmp_path, said={**PLAIN, "num_examples": 20}))
    assert [note.partition(": ")[2] for note in file.notes] == [
        "x.json says num_examples 20 beside shape (24, 5); all 24 rows are read"
    ]


MEND = r'; mend it, as {"shape": \[1000, 512\], "dtype": "float32"}$'


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"shape": [24, 6], "dtype": "float32"}, r"has 480 bytes, but shape \(24, 6\) of float32, as x\.json says, takes 576; mend x\.json, as .*, or save the values again$"),
        ({"shape": [23, 5], "dtype": "float32"}, "has 480 bytes, but .* takes 460"),
        ({"shape": [24, 5], "dtype": "float16"}, "has 480 bytes, but .* takes 240"),
        ({"shape": [24, 5], "dtype": "i8"}, "has 480 bytes, but .* takes 120 or 960"),
        ({**PLAIN, "offset": 8}, r"of float32 behind the first 8, as x\.json says, takes 488"),
        ({"shape": [1 << 40, 1 << 40], "dtype": "float32"}, "takes 4835703278458516698824704"),
        ({"shape": [24, 5], "dtype": "object"}, "x.json beside it says dtype 'object', which is no dtype of real numbers; write one such as"),
        ({"shape": [24, 5], "dtype": "O"}, "no dtype of real numbers"),
        ({"shape": [24, 5], "dtype": "complex64"}, "no dtype of real numbers"),
        ({"shape": [24, 5], "dtype": "float8_e4m3fn"}, "no dtype of real numbers"),
        ({"shape": [24, 5], "dtype": "(9999999,9999999)f4"}, "no dtype of real numbers"),
        ({"shape": [24, 5], "dtype": "f4,f4"}, "no dtype of real numbers"),
        ({"shape": [24, 5], "dtype": "f3"}, "no dtype of real numbers"),
        ({"shape": [24, 5], "dtype": "\u202e" * 99}, "no dtype of real numbers"),
        ({"shape": [24, 5], "dtype": 4}, "x.json beside it says dtype 4" + MEND),
        ({"shape": [24, -5], "dtype": "float32"}, r"says shape \[24, -5\]" + MEND),
        ({"shape": [24.0, 5], "dtype": "float32"}, r"says shape \[24.0, 5\]"),
        ({"shape": [True, 5], "dtype": "float32"}, r"says shape \[true, 5\]"),
        ({"shape": [[24], 5], "dtype": "float32"}, r"says shape \[\[24\], 5\]"),
        ({"shape": [1] * 40, "dtype": "float32"}, r"says shape \[1, 1"),
        ({"shape": [1 << 70, 0], "dtype": "float32"}, "says shape"),
        ({"shape": "many", "dtype": "float32"}, 'says shape "many"'),
        ({"n": 24, "num_tokens": 48, "d": 5, "dtype": "float32"}, "says n 24 and num_tokens 48" + MEND),
        ({"n": "24", "d": 5, "dtype": "float32"}, r'says shape \["24", 5\]'),
        ({**PLAIN, "order": "Z"}, 'says order "Z"'),
        ({**PLAIN, "order": "C", "fortran_order": True}, 'says fortran_order true and order "C"'),
        ({**PLAIN, "fortran_order": "no"}, 'says fortran_order "no"'),
        ({**PLAIN, "offset": -4}, "says offset -4"),
        ({**PLAIN, "byte_order": "middle"}, 'says byte order "middle"'),
        ({"dtype": "float32"}, r"is of no format that its bytes tell \(it begins with .*\); of raw values, write x\.json as .* \(it says no shape\)$"),
        ({"shape": [24, 5]}, "it says no dtype"),
        ([1, 2], "it says no shape"),
        ("{", "it cannot be read: "),
        ('{"shape": [24, 5], "shape": [5, 24], "dtype": "float32"}', "it cannot be read: a key stands in it twice"),
        ("[" * 100_000, "it cannot be read: "),
        ('{"a":' * 100_000, "it cannot be read: "),
        (" " * ((1 << 22) + 1), "it cannot be read: it is too large for a description, 4194305 bytes"),
        (None, r"of raw values, give x\.json with shape and dtype, as"),
    ],
)  # fmt: skip
def test_a_sidecar_that_does_not_fit_is_one_line(tmp_path, said, line):
    path = beside(tmp_path, said=said)
    with pytest.raises(DataError, match=line) as raised:
        open_file(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_a_sidecar_that_is_no_file_is_not_read(tmp_path):
    path = beside(tmp_path, said=None)
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(DataError, match="it cannot be read: it is no file"):
        open_file(path)


def test_two_sidecars_must_agree(tmp_path):
    path = beside(tmp_path)
    (tmp_path / "x.meta").write_text(json.dumps({**PLAIN, "dtype": "float32"}))
    np.testing.assert_array_equal(read(path), X)
    assert registry.members(path) == [str(tmp_path / "x.json"), str(tmp_path / "x.meta"), path]
    (tmp_path / "x.meta").write_text(json.dumps({"shape": [5, 24], "dtype": "float32"}))
    with pytest.raises(DataError, match=r"x\.json and x\.meta beside it say different things of it; keep one, as"):
        open_file(path)


def test_two_words_of_one_sidecar_must_agree(tmp_path):
    said = {"a": {"x": PLAIN}, "b": {"x": {"shape": [5, 24], "dtype": "float32"}}}
    with pytest.raises(DataError, match=r"metadata\.json beside it says different things of it; keep one"):
        open_file(beside(tmp_path, said=said, name="metadata.json"))


def test_what_begins_as_a_format_is_of_it_whatever_stands_beside(tmp_path):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.json").write_text(json.dumps({"shape": [5, 24], "dtype": "float32"}))
    assert open_file(str(tmp_path / "x.npy")).format == "NPY"


def test_a_table_beside_other_json_is_no_raw_file(tmp_path):
    (tmp_path / "r.csv").write_text("layer,p\nr,1\n")
    (tmp_path / "r.json").write_text('{"version": "0.1.0", "matrices": []}')
    assert not registry.begins_as_activations(str(tmp_path / "r.csv"))
    (tmp_path / "metadata.json").write_text(json.dumps(PLAIN))
    assert not registry.begins_as_activations(str(tmp_path / "r.csv"))
