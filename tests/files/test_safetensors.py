"""Safetensors beside the library that wrote the format, and headers that are none."""

# ruff: noqa: E501 - a line of the table is a line of bytes and what is said of them

import json

import numpy as np
import pytest

from cka_cli import compare
from cka_cli.errors import DataError
from cka_cli.files import open_file
from tests.small_files import safetensors_bytes, values

X = {"conv1": values(12, 5), "conv2": values(12, 2, 3, 3, dtype="f2"), "ids": np.arange(12, dtype="u2")}


@pytest.fixture
def write(tmp_path):
    def write(data, name="a.safetensors"):
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return write


def headed(header, values=b""):
    """A file of a header that may be anything."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + values


def changed(name="conv1", **entry):
    return safetensors_bytes(X, change=lambda header: header[name].update(entry))


SOUND = safetensors_bytes(X)
ONE = {"dtype": "U8", "shape": [4, 2], "data_offsets": [0, 8]}
NO_FILE = r"^{path}: is not a readable safetensors file \({why}\); save it again$"
HOSTILE = {
    "a header of 100 MB and a byte": ((100_000_001).to_bytes(8, "little") + b"{}" + bytes(9), "its header promises 100000001 bytes, and none has more than 100000000"),
    "not JSON": (headed(b'{"conv1": '), "its header is not JSON: Expecting value: line 1 column 11 .char 10."),
    "not UTF-8": (headed(b'{"\xff": 1}'), "its header is not JSON: .*"),
    "of no bytes": (headed(b"") + b'{"', "its header is not JSON: Expecting value: line 1 column 1 .char 0."),
    "more than JSON": (headed(b"{} []"), "its header is not JSON: Extra data.*"),
    "nested without end": (headed(b'{"a":' + b"[" * 100_000), "its header is not JSON: .*recursion.*"),
    "a number without end": (headed(b'{"a":' + b"9" * 5000 + b"}"), "its header is not JSON: .*limit.*"),
    "a name twice": (headed(b'{"a":1,"b":2,"a":{}}'), "a stands twice in its header"),
    "a field twice": (headed(json.dumps({"a": ONE}).replace('"U8"', '"I8","dtype":"U8"').encode(), bytes(8)), "dtype stands twice in its header"),
    "half a letter for a name": (headed({"\ud800": ONE}, bytes(8)), r"'\\ud800' is no name in Unicode"),
    "letters that are not seen": (headed({"a\n\x1b" * 99: 1}), r"a\\n\\x1ba\\n.*\.\.\.: has no dtype, shape and data_offsets"),
    "metadata of numbers": (headed({"__metadata__": {"epoch": 3}}), "its __metadata__ is no list of texts by name"),
    "a list for metadata": (headed({"__metadata__": []}), "its __metadata__ is no list of texts by name"),
    "no dtype": (headed({"a": {"shape": [1], "data_offsets": [0, 8]}}, bytes(8)), "a: has no dtype, shape and data_offsets"),
    "a number for a tensor": (headed({"a": 3}), "a: has no dtype, shape and data_offsets"),
    "three offsets": (changed(data_offsets=[0, 1, 2]), "conv1: has no dtype, shape and data_offsets"),
    "a dtype that is no name": (changed(dtype="\u202eF32"), "conv1: its dtype is no name"),
    "a negative length": (changed(shape=[-12, -5]), r"conv1: its shape \[-12, -5\] or its data_offsets 0, 240 cannot be"),
    "an enormous length": (changed(shape=[10**30, 0]), "conv1: its shape .* cannot be"),
    "a product beyond 64 bits": (changed(shape=[2**32, 2**32, 15]), r"conv1: F32 of shape .* takes 1106804644422573096960 bytes, not 240"),
    "a length that is no whole number": (changed(shape=[12.0, 5]), "conv1: its shape .* cannot be"),
    "a length that is true": (changed(shape=[True, 60]), "conv1: its shape .* cannot be"),
    "a length that is not finite": (changed(shape=[float("nan"), 60]), "conv1: its shape .* cannot be"),
    "offsets the wrong way round": (changed(data_offsets=[240, 0]), "conv1: its shape .* or its data_offsets 240, 0 cannot be"),
    "a negative offset": (changed(data_offsets=[-240, 0]), "conv1: its shape .* or its data_offsets -240, 0 cannot be"),
    "a shape of more bytes": (changed(shape=[13, 5]), r"conv1: F32 of shape \[13, 5\] takes 260 bytes, not 240"),
    "a dtype of fewer bytes": (changed(dtype="F16"), r"conv1: F16 of shape \[12, 5\] takes 120 bytes, not 240"),
    "values that lie over others": (changed("conv2", data_offsets=[200, 632]), "conv2: its values lie over others, at byte 200 and not 240"),
    "values behind a hole": (safetensors_bytes(X, change=lambda header: header.pop("conv2")), "ids: its values leave a hole before them, at byte 672 and not 240"),
    "a hole before all": (safetensors_bytes(X, change=lambda header: header.pop("conv1")), "conv2: its values leave a hole before them, at byte 240 and not 0"),
    "bytes behind": (SOUND + b"junk", "4 bytes follow the 696 of its tensors"),
    "two files joined": (SOUND * 2, ".* bytes follow the 696 of its tensors"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_header_that_cannot_be_is_one_line(write, case):
    data, why = HOSTILE[case]
    path = write(data)
    with pytest.raises(DataError, match=NO_FILE.format(path=path, why=why)) as raised:
        open_file(path)
    assert "\n" not in str(raised.value)


# The library takes metadata that stand twice, and the last of two fields or tensors.
@pytest.mark.parametrize("case", [case for case in HOSTILE if not case.endswith("twice")])
def test_what_is_refused_the_library_refuses(case):
    library = pytest.importorskip("safetensors")
    with pytest.raises(library.SafetensorError):
        library.deserialize(HOSTILE[case][0])


def test_a_long_header_of_other_lists_is_not_unpacked(write):
    path = write(headed(b'{"a":[' + b"[]," * 500_000 + b"[]]}"))
    with pytest.raises(DataError, match="its header is no list of tensors"):
        open_file(path)


@pytest.mark.parametrize("n_bytes", [8, 9, 10, 60, len(SOUND) - 696, len(SOUND) - 1])
def test_a_file_that_is_cut_says_so(write, n_bytes):
    path = write(SOUND[:n_bytes])
    with pytest.raises(DataError, match=rf"^{path}: is cut short \(\d+ bytes .*\); copy or save it again$"):
        open_file(path)


@pytest.mark.parametrize("data", [SOUND[:7], b'[{"abc":{"x": 1}}]', np.array([5, 123, 9]).tobytes(), bytes(40)])
def test_other_files_are_not_taken_for_one(write, data):
    with pytest.raises(DataError, match=r"is not .*HDF5, .*safetensors"):
        open_file(write(data))


def test_an_hdf5_file_among_its_values_is_not_looked_for(write):
    inner = np.frombuffer((b"\x89HDF\r\n\x1a\n" + bytes(504)) * 4, "u1").reshape(4, 512)
    file = open_file(write(safetensors_bytes({"a": inner}, align=512)))
    assert (file.format, [layer.name for layer in file.layers]) == ("safetensors", ["a"])


def test_other_dtypes_are_refused_by_name_and_stop_nobody(write):
    def change(header):
        header["conv1"]["dtype"] = "F8_E4M3"
        header["conv1"]["shape"] = [12, 20]
        header["deep"] = {"dtype": "U8", "shape": [1] * 70 + [2], "data_offsets": [696, 698]}

    file = open_file(write(safetensors_bytes(X, change=change) + b"\0\0"))
    assert [layer.name for layer in file.layers] == ["conv2"]
    assert file.refused == {
        "conv1": "values of type F8_E4M3, which is not read; save it as float32",
        "deep": "an array of 71 axes; save it with fewer",
    }


def test_layers_are_in_natural_order_and_a_single_number_is_none(write):
    names = ["conv10", "conv9", "block.2", "block.10", ".hidden"]
    file = open_file(write(safetensors_bytes({**{name: values(3, 2) for name in names}, "step": np.array(7)})))
    assert [layer.name for layer in file.layers] == [".hidden", "block.2", "block.10", "conv9", "conv10"]
    assert list(file.refused) == ["step"]


def test_an_empty_file_holds_no_arrays(write):
    with pytest.raises(DataError, match="holds no arrays"):
        compare(write(headed(b"{}")))


def test_what_the_library_saves_is_what_the_npz_holds(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    arrays = {dtype: (values(30, 7, 2) * 9).astype(dtype) for dtype in "efdbhil"}
    arrays |= {f"u{dtype}": np.abs(values(30, 5) * 9).astype(dtype) for dtype in "BHIL"}
    arrays["flags"] = values(30, 6) > 0
    library.save_file(arrays, str(tmp_path / "a.safetensors"), metadata={"epoch": "3"})
    np.savez(tmp_path / "a.npz", **{name: arrays[name] for name in sorted(arrays)})
    ours, theirs = (compare(str(tmp_path / name)).matrices[0] for name in ("a.safetensors", "a.npz"))
    assert sorted(ours.x_layers) == sorted(theirs.x_layers)
    order = [ours.x_layers.index(name) for name in theirs.x_layers]
    np.testing.assert_allclose(ours.values[np.ix_(order, order)], theirs.values, rtol=0, atol=1e-12)
    for layer in open_file(str(tmp_path / "a.safetensors")).layers:
        np.testing.assert_array_equal(layer.read(0, 30), arrays[layer.name])


def test_bfloat16_comes_to_the_bit_and_is_that_of_the_library(write):
    bits = np.arange(1 << 16, dtype="u2").reshape(256, 256)
    data = safetensors_bytes({"a": bits.view("V2")})
    file = open_file(write(data))
    (layer,) = file.layers
    assert (layer.dtype, layer.storage, layer.n_bytes) == (np.float32, "bfloat16, contiguous", 4 << 16)
    np.testing.assert_array_equal(layer.read(0, 256).view("u4"), bits.astype("u4") << 16)
    ((_, found),) = pytest.importorskip("safetensors").deserialize(data)
    assert (found["dtype"], found["shape"], bytes(found["data"])) == ("BF16", [256, 256], bits.tobytes())


@pytest.mark.slow  # imports torch
def test_what_torch_saves_is_what_torch_has(tmp_path):
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    tensors = {str(dtype): torch.from_numpy(values(40, 3, 4) * 20).to(dtype) for dtype in (torch.bfloat16, torch.half)}
    save_file({**tensors, "small": tensors["torch.float16"].to(torch.float8_e5m2)}, str(tmp_path / "a.safetensors"))
    np.savez(tmp_path / "b.npz", **{name: tensor.float().numpy() for name, tensor in sorted(tensors.items())})
    found = compare(str(tmp_path / "a.safetensors"), [str(tmp_path / "b.npz")])
    assert "small left out: values of type F8_E5M2, which is not read" in found.notes[0]
    plain = compare(str(tmp_path / "b.npz")).matrices[0]
    np.testing.assert_allclose(found.matrices[0].values, plain.values, rtol=0, atol=1e-12)
