"""What depth adds: stretches against a search of all, and the effective dimension by every route there is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cka_cli.analysis.depth import longest_stretch, study
from cka_cli.api.compare import compare, compare_each
from cka_cli.options import RunOptions
from cka_cli.reductions.gram_sums import GramSums, tile_sums
from cka_cli.results.matrix import Matrix
from tests import oracle
from tests.asked import asked
from tests.small_files import values, write_hdf5

seeds = st.integers(0, 2**32 - 1)


def matrix(cells, measure="cka"):
    cells = np.asarray(cells, float)
    names = tuple(f"l{place}" for place in range(len(cells)))
    return Matrix(cells, names, names, "a.h5", "a.h5", measure, "linear", 9)


@given(seeds, st.integers(1, 8), st.sampled_from([0.3, 0.6, 0.9]))
def test_the_longest_stretch_is_the_longest_run_of_layers_all_alike(seed, n_layers, share):
    rng = np.random.default_rng(seed)
    cells = np.where(rng.random((n_layers, n_layers)) < share, 0.97, 0.5)
    cells = np.triu(cells) + np.triu(cells, 1).T
    cells[0, -1] = cells[-1, 0] = np.nan
    np.fill_diagonal(cells, 1)
    runs = [range(first, last) for first in range(n_layers) for last in range(first + 2, n_layers + 1)]
    alike = [run for run in runs if np.all(cells[run[0] : run[-1] + 1, run[0] : run[-1] + 1] >= 0.95)]
    assert longest_stretch(cells, 0.95) == max(alike, key=len, default=range(0))


@pytest.mark.parametrize(
    ("to_last", "n_like_last"),
    [((0.2, 0.96, 0.97, 1), 2), ((0.99, 0.5, 0.97, 1), 1), ((0.99, 0.99, 0.94, 1), 0), ((0.95, 0.95, 0.95, 1), 3),
     ((0.99, np.nan, 0.96, 1), 1)],
)  # fmt: skip
def test_layers_are_like_the_last_when_all_after_them_are(to_last, n_like_last):
    cells = np.full((4, 4), 0.1)
    cells[:, -1] = cells[-1] = to_last
    found = study(matrix(cells), (), 0.95)
    assert found.n_like_last == n_like_last
    assert [layer.is_like_last for layer in found.layers] == [place >= 3 - n_like_last for place in range(4)]
    assert [layer.to_last for layer in found.layers] == pytest.approx(to_last, nan_ok=True)
    assert found.layers[0].effective_dimension is None


def test_each_layer_is_compared_with_the_one_before():
    cells = np.arange(9.0).reshape(3, 3) / 10
    assert [layer.to_previous for layer in study(matrix(cells), (1, 2, 3), 0.95).layers] == [None, 0.3, 0.7]


def test_values_without_a_bound_have_no_threshold():
    found = study(matrix(np.full((3, 3), 40.0), "hsic"), (), 0.95)
    assert (found.threshold, found.n_like_last, len(found.stretch)) == (None, 0, 0)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("depth")
    rng = np.random.default_rng(0)
    layers = {f"l{width}": rng.normal(size=(40, width)) * 2.0 ** -np.arange(width) + 5 for width in (1, 3, 8, 60)}
    write_hdf5(folder / "b.h5", {"l1": rng.normal(size=(40, 2))})
    return str(folder / "b.h5"), write_hdf5(folder / "a.h5", layers), layers


OPTIONS = {
    "features of few": {},
    "Gram matrices": {"kernels": ["linear", "rbf"]},
    "factors": {"measures": ["cca-r2"]},
    "single precision": {"precision": "single"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_effective_dimensions_agree_with_the_spectrum_on_every_route(networks, options):
    other, path, layers = networks
    expected = [oracle.effective_dimension(layer) for layer in layers.values()]
    (alone,) = compare(path, **asked(**options)).effective_dimensions
    assert alone == pytest.approx(expected, rel=1e-5 if "precision" in options else 1e-9)
    first, second = compare_each([other, path], **asked(**options)).effective_dimensions
    assert second == pytest.approx(alone, rel=1e-6)
    assert len(first) == 1
    assert alone[0] == pytest.approx(1)


def test_the_dimension_of_any_kernel_is_that_of_its_centred_gram_matrix():
    k = oracle.gram(values(20, 3, dtype="float64"), "rbf:sigma=0.4")
    sums = GramSums(1, 20, slice(0, 1), slice(0, 1))
    sums.add(tile_sums(k.copy()[None], slice(0, 20), slice(0, 20), slice(0, 1), slice(0, 1)))
    h = np.eye(20) - 1 / 20
    spectrum = np.linalg.eigvalsh(h @ k @ h)
    assert sums.effective_dimensions()[0] == pytest.approx(spectrum.sum() ** 2 / (spectrum**2).sum())


def test_a_constant_layer_has_no_dimension_and_batches_give_none(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", {"flat": np.ones((30, 4), "f4"), "conv1": values(30, 5)})
    for options in ({}, {"measures": ["cca-r2"]}):
        flat, conv1 = compare(path, **asked(**options)).effective_dimensions[0]
        assert np.isnan(flat)
        assert 1 < conv1 < 5
    assert compare(path, kernels=["rbf"]).effective_dimensions == ()
    assert compare(path, run=RunOptions(n_batch=10)).effective_dimensions == ()


def test_a_layer_without_a_value_is_not_like_itself():
    cells = np.full((3, 3), 0.99)
    cells[:, -1] = cells[-1] = np.nan
    assert [layer.is_like_last for layer in study(matrix(cells), (), 0.95).layers] == [False, False, False]
