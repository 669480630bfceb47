"""Integers that are named as a mask, ids or labels are: beside the layers, until they are named."""

import numpy as np
import pytest

from cka_cli import compare
from cka_cli.api.inspect import inspect
from cka_cli.errors import DataError
from cka_cli.files import open_file
from tests.cli.command import run_here
from tests.small_files import values

ONES = np.ones((12, 4), int)
BESIDE = [
    "mask", "attention_mask", "loss_mask", "padding-mask", "attn.mask", "masks", "token_ids", "input_ids", "ids", "id",
    "token_type_ids", "ID", "inputIds", "labels", "train_labels", "labels_train", "targets", "y_target", "inds",
    "index", "indices", "topk_indices", "idx", "batch_idx", "idx0", "tokens", "a/b/ids", "a/b/train_labels",
    "seq_lengths",
]  # fmt: skip
LAYERS = "conv1 embed masked_conv ids_embedding mask/conv1 index/values hidden labelsmooth valid fluids bass id_map_out"


@pytest.mark.parametrize("dtype", ["i8", "i4", "u1", "?", ">i2"])
def test_integers_of_such_names_are_vectors(tmp_path, dtype):
    arrays = {name: ONES.astype(dtype) for name in [*BESIDE, *LAYERS.split()]}
    np.savez(tmp_path / "x.npz", **arrays)
    file = open_file(str(tmp_path / "x.npz"))
    assert [layer.name for layer in file.layers] == LAYERS.split()
    assert [vector.name for vector in file.vectors] == BESIDE


def test_other_numbers_of_such_names_are_layers(tmp_path):
    np.savez(tmp_path / "x.npz", **{name: values(12, 4) for name in BESIDE})
    assert [layer.name for layer in open_file(str(tmp_path / "x.npz")).layers] == BESIDE


@pytest.fixture
def path(tmp_path):
    masks = {"attention_mask": ONES, "input_ids": ONES, "labels": np.arange(12)}
    np.savez(tmp_path / "x.npz", conv1=values(12, 5), **masks)
    return str(tmp_path / "x.npz")


def test_a_note_says_which_are_not_compared(path):
    found = compare(path)
    assert found.matrices[0].x_layers == ("conv1",)
    assert found.notes == (
        f"{path}::attention_mask, input_ids left out: integers of such a name are a layer only when named; "
        "say --layers to use them",
    )
    (note,) = compare(path, read=_read(exclude=("input_ids",))).notes
    assert "::attention_mask left out" in note
    assert compare(path, read=_read(layers=("conv1",))).notes == ()


def _read(**options):
    from cka_cli.options import ReadOptions

    return ReadOptions(**options)


def test_named_they_are_layers(tmp_path):
    mask = values(12, 4) > 0
    np.savez(tmp_path / "x.npz", conv1=values(12, 5), mask=mask)
    np.savez(tmp_path / "y.npz", conv1=values(12, 5), m=mask)
    named = compare(str(tmp_path / "x.npz"), read=_read(layers=("conv1", "mask")))
    other = compare(str(tmp_path / "y.npz"))
    np.testing.assert_array_equal(named.matrices[0].values, other.matrices[0].values)
    assert compare(f"{tmp_path}/x.npz::mask").matrices[0].x_layers == ("mask",)
    with pytest.raises(DataError, match=r"x\.npz::ma\*: no such layer"):
        compare(f"{tmp_path}/x.npz::ma*")


def test_inspect_says_so(path, capsysbinary):
    kinds = {each.name: each.kind for each in inspect([path], progress=lambda *_: None)}
    assert kinds == {"conv1": "layer", "attention_mask": "vector", "input_ids": "vector", "labels": "vector"}
    lines = run_here(["inspect", path, "--format", "table"], capsysbinary).out.decode().splitlines()
    assert sum(line.endswith("integers of such a name: a layer only when named") for line in lines) == 2


def test_masks_that_differ_between_files_are_no_other_order(tmp_path):
    for name in "xy":
        np.savez(tmp_path / f"{name}.npz", conv1=values(12, 5), mask=ONES * ord(name))
    (x, y) = (str(tmp_path / f"{name}.npz") for name in "xy")
    assert not any("differs" in note for note in compare(x, y).notes)


def test_a_mask_that_is_cut_stops_nobody(tmp_path):
    (tmp_path / "d").mkdir()
    np.save(tmp_path / "d" / "conv1.npy", values(12, 5))
    np.save(tmp_path / "d" / "mask.npy", ONES)
    data = (tmp_path / "d" / "mask.npy").read_bytes()
    (tmp_path / "d" / "mask.npy").write_bytes(data[:-9])
    assert any("mask left out: is cut short" in note for note in compare(str(tmp_path / "d")).notes)
