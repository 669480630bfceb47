"""Every file with every other, in one run: the same values as pair by pair."""

from itertools import permutations

import numpy as np
import pytest

from cka_cli.api.compare import compare, compare_each
from cka_cli.files import open_file
from cka_cli.files.registry import members

MEASURES = ["cka", "cka-debiased", "hsic", "cca-r2", "svcca-rho", "pwcca", "regression-r2", "procrustes"]


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((40, 4))
    result = []
    for number, widths in enumerate([(5, 5, 7), (5, 6), (4, 5, 9, 3)]):
        layers = {
            f"layer{place}": signal @ rng.standard_normal((4, width)) + rng.standard_normal((40, width))
            for place, width in enumerate(widths)
        }
        np.savez(tmp_path / f"{number}.npz", **layers)
        result.append(str(tmp_path / f"{number}.npz"))
    return result


def test_each_pair_of_files_is_there_both_ways_with_the_values_of_compare(paths):
    options = {"measures": MEASURES, "kernels": ["linear", "rbf"]}
    each = compare_each(paths, **options).matrices
    alone = [matrix for x, y in permutations(paths, 2) for matrix in compare(x, y, **options).matrices]
    assert len(each) == len(alone) == 6 * (3 * 2 + 5)
    for one, other in zip(each, alone, strict=True):
        assert (one.x_file, one.y_file, one.measure, one.kernel) == (
            other.x_file, other.y_file, other.measure, other.kernel,
        )  # fmt: skip
        assert (one.x_layers, one.y_layers) == (other.x_layers, other.y_layers)
        np.testing.assert_allclose(one.values, other.values, rtol=1e-12, atol=1e-14, err_msg=one.measure)


def test_a_file_with_itself_gives_each_pair_the_value_it_has_in_a_comparison_of_two(paths):
    alone = compare(paths[0], measures=MEASURES)
    paired = compare(paths[0], paths[0], measures=MEASURES)
    for one, other in zip(alone.matrices, paired.matrices, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-12, atol=1e-14, err_msg=one.measure)


def test_crowded_pairs_of_a_file_with_itself_are_named_once(tmp_path):
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "a.npz", one=rng.standard_normal((12, 7)), two=rng.standard_normal((12, 8)))
    path = str(tmp_path / "a.npz")
    (note,) = compare(path, measures=["cca-r2"]).notes
    assert f"raised for {path}::one and {path}::two: their independent features" in note


FOLDERS = {
    "flat": ["conv1.npy", "conv2.npy"],
    "nested": ["conv.npy", "block/conv.npy", "block/inner/fc.npy"],
    "nothing at the top": ["net/1.npy", "net/2.npy"],
    "beside others": ["conv.npy", "block/conv.npy", "block/notes.txt", ".cache/old.npy", "block/._conv.npy"],
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_the_size_of_a_folder_is_that_of_the_arrays_it_is_read_from(tmp_path, kind):
    rng = np.random.default_rng(0)
    for place, name in enumerate(FOLDERS[kind]):
        (tmp_path / "a" / name).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / "a" / name).open("wb") as stream:
            np.save(stream, rng.standard_normal((9, 3 + place)))
    read = [tmp_path / "a" / f"{layer.name}.npy" for layer in open_file(str(tmp_path / "a")).layers]
    assert members(str(tmp_path / "a")) == list(map(str, read))
    assert compare(str(tmp_path / "a")).files[0].size_bytes == sum(path.stat().st_size for path in read)
