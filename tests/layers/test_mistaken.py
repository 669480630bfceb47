"""Arrays that are no layers of the same examples are refused by what they are; files that are sound never are."""

import numpy as np
import pytest

from cka_cli import compare
from cka_cli.errors import DataError
from cka_cli.files import open_file
from cka_cli.options import ReadOptions
from tests.small_files import values

SENTENCES = {str(n): values(13, 3 + n * 7 % 11, 2, seed=n) for n in range(64)}


@pytest.fixture
def save(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / "x.npz", **arrays)
        return str(tmp_path / "x.npz")

    return save


def test_an_array_an_example_is_refused_until_layers_are_named(save):
    path = save(**SENTENCES)
    with pytest.raises(DataError, match="each array looks like one example"):
        compare(path)
    assert compare(path, read=ReadOptions(layers=("1?",))).matrices[0].values.shape == (10, 10)


def test_a_few_such_arrays_are_told_of(save):
    path = save(**{name: SENTENCES[name] for name in "0123"})
    (note,) = compare(path).notes
    assert "axis 0 is taken for 13 examples (found 4 arrays of shape (13, 3 to 13, 2)); if it is layers" in note


@pytest.mark.parametrize(
    "arrays",
    [
        {f"l{n}": values(13, 80 - n, 2, seed=n) for n in range(64)},  # tokens are merged from layer to layer
        {f"l{n}": values(13, 3 + n % 5, 2 + n % 2, seed=n) for n in range(64)},  # stages of other widths
        {f"l{n}": values(13, 5, 2, seed=n) for n in range(64)},
        {f"l{n}": values(13, 3 + n * 7 % 11, seed=n) for n in range(64)},
        {f"l{n}": values(200, 3 + n * 7 % 11, 1, seed=n) for n in range(64)},  # more than layers ever are
        {"a": values(12, 5), "b": values(12, 12), "c": values(12, 12)},
        {"a": np.ones((12, 5), "u1") * np.arange(5, dtype="u1"), "scale": values(5), "scales": values(12, 5)},
        {"a": (values(12, 5) * 20).astype("i1"), "a_scale": np.float32(0.1), "a_zero_point": np.int8(3)},
        {"block": (values(12, 5) * 20).astype("i1"), "block_scale": values(12, 5)},
        {"data": values(12, 5), "indices": np.arange(12), "indptr": np.arange(13)},  # features of the nodes of a graph
        {"conv1": values(12, 5), "weight": values(12, 5), "weight_scale": values(12, 2)},
    ],
    ids=lambda arrays: " ".join(list(arrays)[:3]),
)
def test_sound_files_are_read_without_a_word(save, arrays):
    found = compare(save(**arrays))
    assert found.matrices[0].x_layers == tuple(name for name, array in arrays.items() if array.ndim > 1)
    assert not any("examples (found" in note or "left out" in note for note in found.notes)


@pytest.mark.parametrize("prefix", ["", "X/", "layer.0."])
@pytest.mark.parametrize(
    "members",
    [
        {"data": values(9), "indices": np.arange(9), "indptr": np.arange(13)},
        {"data": values(9), "row": np.arange(9), "col": np.arange(9), "shape": np.array([12, 5]), "format": b"coo"},
        {"data": values(2, 5), "offsets": np.arange(2), "shape": np.array([12, 5]), "format": b"dia"},
        {"data": values(2, 3, 3), "indices": np.arange(2), "indptr": np.arange(3), "shape": (6, 6), "format": b"bsr"},
    ],
    ids=["csr", "coo", "dia", "bsr"],
)
def test_a_sparse_matrix_is_left_out(save, prefix, members):
    named = {prefix + name: array for name, array in members.items()}
    (note,) = (note for note in compare(save(conv1=values(12, 5), **named)).notes if "values of a sparse" in note)
    assert f"::{prefix}data left out: the values of a sparse matrix" in note
    with pytest.raises(DataError, match="data: cannot be a layer: the values of a sparse matrix"):
        compare(save(**named))


@pytest.mark.parametrize(
    ("arrays", "names"),
    [
        ({"qweight": "i4 6,5", "scales": "f2 2,5", "qzeros": "i4 2,2"}, ["qweight", "scales", "qzeros"]),
        ({"weight": "i1 6,5", "weight_scale": "f4 6,1"}, ["weight", "weight_scale"]),
        ({"weight": "u4 6,5", "scales": "f2 6,2", "biases": "f2 6,2"}, ["weight", "scales", "biases"]),
        ({"conv1": "i1 6,5", "conv1_scale": "f4 5"}, ["conv1"]),
        ({"qweight": "i4 6,5", "scales": "f2 5", "zeros": "i4 5"}, ["qweight"]),
    ],
)
@pytest.mark.parametrize("prefix", ["", "model.layers.0.mlp.", "mlp/"])
def test_quantised_integers_are_refused_with_their_scales(save, prefix, arrays, names):
    made = {"out": values(6, 3)}
    for name, words in arrays.items():
        dtype, _, shape = words.partition(" ")
        made[prefix + name] = np.ones([int(each) for each in shape.split(",")], dtype)
    path = save(**made)
    assert sorted(open_file(path).unreadable) == sorted(prefix + name for name in names)
    with pytest.raises(DataError, match=r"x\.npz::.*quantised integers"):
        compare(path)
    assert compare(path, read=ReadOptions(layers=("out",))).matrices[0].x_layers == ("out",)
