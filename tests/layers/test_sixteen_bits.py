"""16-bit integers: taken for bfloat16 where that is said, and told of where they look so."""

import h5py
import numpy as np
import pytest

from cka_cli import ReadOptions, compare
from cka_cli.api.compare import silent
from cka_cli.api.inspect import inspect
from cka_cli.errors import DataError, UsageError
from cka_cli.layers.selection import select_layers
from tests.small_files import values, write_hdf5

BF16 = ReadOptions(dtype="bf16")
SAVED = (values(40, 3, 4).view("u4") >> 16).astype("u2")
ROUNDED = (SAVED.astype("u4") << 16).view("f4")


def save(path, **layers):
    np.savez(path, **layers)
    return str(path)


@pytest.mark.parametrize("dtype", ["<u2", "<i2", ">u2", ">i2"])
def test_layers_are_taken_for_bfloat16_and_nothing_else_is(tmp_path, dtype):
    path = save(tmp_path / "a.npz", a=SAVED.view("i2").astype(dtype), b=values(40, 3), ids=np.arange(40, dtype="i2"))
    (file,) = select_layers([path], ReadOptions(dtype="bf16", ids="ids"))
    a, b = file.layers
    np.testing.assert_array_equal(a.read(0, 40, slice(0, 12)), ROUNDED.reshape(40, 12))
    assert (a.layer.storage, b.layer.storage) == ("bfloat16, contiguous", "contiguous")
    assert [vector.dtype for vector in file.file.vectors] == [np.int16]
    plain = compare(save(tmp_path / "b.npz", a=ROUNDED, b=values(40, 3))).matrices[0]
    np.testing.assert_allclose(compare(path, read=BF16).matrices[0].values, plain.values, rtol=0, atol=1e-12)


def test_an_array_of_one_axis_is_too_where_it_is_named(tmp_path):
    path = save(tmp_path / "a.npz", score=SAVED[:, 0, 0])
    (file,) = select_layers([path], ReadOptions(layers=("score",), dtype="bf16"))
    np.testing.assert_array_equal(file.layers[0].read(0, 40, slice(0, 1))[:, 0], ROUNDED[:, 0, 0])


def test_where_it_is_meant_for_no_layer_it_is_refused(tmp_path):
    floats, both = save(tmp_path / "a.npz", a=values(12, 3)), save(tmp_path / "b.npz", a=values(12, 3), b=SAVED[:12])
    for read in (lambda: compare(floats, read=BF16), lambda: inspect([floats], dtype="bf16", progress=silent)):
        with pytest.raises(
            UsageError, match=r"^--dtype bf16: no layer of .*a\.npz is of 16-bit integers \(found float32\)"
        ):
            read()
    assert compare(floats, both, read=BF16).matrices
    assert compare(save(tmp_path / "c.npz", a=SAVED.view("V2")), read=BF16).matrices
    with pytest.raises(UsageError, match=r"^--dtype half: no such type of values; give bf16$"):
        compare(both, read=ReadOptions(dtype="half"))


def test_integers_that_attributes_give_a_meaning_are_refused(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", {"a": SAVED, "b": SAVED})
    with h5py.File(path, "r+") as file:
        file["a"].attrs["_FillValue"] = np.uint16(7)
    with pytest.raises(
        DataError, match=r"a\.h5::a: cannot be read as bfloat16 \(attributes say what its integers mean\)"
    ):
        compare(path, read=BF16)
    assert compare(path, read=ReadOptions(dtype="bf16", exclude=("a",))).matrices


LOOKS = "integers that look like bfloat16 (of 2^-"
RNG = np.random.default_rng(0)
INTEGERS = {
    "small": RNG.integers(-9, 300, (80, 20)),
    "of a camera": RNG.integers(0, 4096, (80, 20)),
    "of all bits": RNG.integers(-(2**15), 2**15, (80, 20)),
    "of audio": RNG.normal(0, 8000, (80, 20)).clip(-32000, 32000),
    "float16": values(80, 20).astype("f2").view("i2"),
    "zeros": np.zeros((80, 20)),
    "of one value": np.full((80, 20), 16256),
    "few": SAVED.reshape(-1)[:20].reshape(10, 2).view("i2"),
}
FLOATS = {
    "normal": values(80, 20),
    "with zeros": np.maximum(values(80, 20), 0),
    "softmax": np.exp(4 * values(80, 20)) / np.exp(4 * values(80, 20)).sum(1, keepdims=True),
    "large": 1000 * values(80, 20),
    "with NaN": np.where(np.arange(1600).reshape(80, 20) == 900, np.nan, values(80, 20)),
}


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_of_other_things_do_not_look_so(tmp_path, kind):
    path = save(tmp_path / "a.npz", a=INTEGERS[kind].astype("i2"))
    assert "bfloat16" not in inspect([path], progress=silent)[0].trouble


@pytest.mark.parametrize("dtype", ["i2", "u2"])
@pytest.mark.parametrize("kind", FLOATS)
def test_bfloat16_looks_so_until_it_is_said(tmp_path, kind, dtype):
    bits = (FLOATS[kind].astype("f4").view("u4") >> 16).astype("u2").view(dtype)
    path = save(tmp_path / "a.npz", a=bits, ids=np.arange(80, dtype="i2"))
    assert [LOOKS in each.trouble for each in inspect([path], progress=silent)] == [True, False]
    assert [each.dtype for each in inspect([path], dtype="bf16", progress=silent)] == ["float32", "int16"]
    assert not any(LOOKS in each.trouble for each in inspect([path], dtype="bf16", progress=silent))
    assert not any(LOOKS in each.trouble for each in inspect([path], scan=False, progress=silent))


def test_a_comparison_notes_it_and_still_sums_up_the_archive(tmp_path):
    saved = (values(3000, 7).view("u4") >> 16).astype("u2")
    path = save(tmp_path / "a.npz", a=saved)
    (note,) = (note for note in compare(path).notes if "bfloat16" in note)
    assert note.startswith(f"{path}::a: {LOOKS}")
    assert note.endswith("): if they are, say --dtype bf16")
    assert not any("bfloat16" in note for note in compare(path, read=BF16).notes)
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(data.replace(saved[2000:].tobytes(), saved[:1999:-1].tobytes()))
    with pytest.raises(DataError, match="wrong CRC-32"):
        compare(str(tmp_path / "b.npz"))
