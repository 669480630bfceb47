"""The networks of `sample_data`, against the oracle."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from cka_cli.api.compare import compare
from cka_cli.options import ReadOptions
from tests import oracle

FOLDER = Path(__file__).parent.parent / "sample_data"
LAYERS = ("conv6", "gap", "logits")
KERNELS = ("linear", "rbf:sigma=0.4", "polynomial", "sigmoid")


@pytest.fixture(scope="module")
def networks():
    found = []
    for name in "AB":
        with h5py.File(FOLDER / f"{name}.h5") as file:
            found.append({layer: file[layer][:].astype(float) for layer in LAYERS})
    return found


@pytest.fixture(scope="module")
def matrices():
    comparison = compare(
        str(FOLDER / "A.h5"),
        [str(FOLDER / "B.h5")],
        measures=[*oracle.KERNEL_MEASURES, *oracle.FACTOR_MEASURES],
        kernels=KERNELS,
        read=ReadOptions(layers=LAYERS),
    )
    assert all("raised for" in note for note in comparison.notes)
    return {
        (matrix.measure.partition(":")[0], matrix.kernel.partition(":")[0]): matrix for matrix in comparison.matrices
    }


@pytest.mark.parametrize("kernel", KERNELS)
def test_hsic_of_trained_networks_agrees_with_the_oracle(networks, matrices, kernel):
    grams_a, grams_b = ([oracle.gram(values, kernel) for values in network.values()] for network in networks)
    for name, estimator in (("", oracle.hsic_biased), ("-unbiased", oracle.hsic_unbiased)):
        expected = np.array([[estimator(k_a, k_b) for k_b in grams_b] for k_a in grams_a])
        norms_a, norms_b = (np.array([estimator(k, k) for k in grams]) for grams in (grams_a, grams_b))
        found = matrices[f"hsic{name}", kernel.partition(":")[0]].values
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
        similarities = matrices["cka-debiased" if name else "cka", kernel.partition(":")[0]].values
        np.testing.assert_allclose(similarities, expected / np.sqrt(np.outer(norms_a, norms_b)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("measure", oracle.FACTOR_MEASURES)
def test_the_cca_family_of_trained_networks_agrees_with_the_oracle(networks, matrices, measure):
    a, b = networks
    found = matrices[measure, ""]
    assert found.x_layers == found.y_layers
    assert set(found.x_layers) == set(LAYERS)
    for (i, name_a), (j, name_b) in ((i, j) for i in enumerate(found.x_layers) for j in enumerate(found.y_layers)):
        if measure == "pwcca" and name_a == name_b == "conv6":
            continue  # 2 × 256 features on 500 examples: several correlations are 1, and their variates any rotation
        expected = oracle.value(a[name_a], b[name_b], measure)
        assert found.values[i, j] == pytest.approx(expected, rel=0, abs=1e-6)


def test_trained_networks_resemble_each_other_layer_by_layer_and_not_their_start():
    read = ReadOptions(layers=("conv*",))
    trained, start = (
        compare(str(FOLDER / "A.h5"), [str(FOLDER / f"{other}.h5")], read=read).matrices[0].values
        for other in ("B", "untrained")
    )
    assert np.mean(np.argmax(trained, axis=1) == np.arange(8)) >= 0.75
    assert np.diag(trained)[4:].min() > np.diag(start)[4:].max()


def test_a_network_that_is_much_too_deep_has_layers_that_add_nothing():
    read = ReadOptions(layers=("conv*",))
    deep, plain = (compare(str(FOLDER / f"{name}.h5"), read=read).matrices[0].values for name in ("deep", "A"))
    assert deep[41:63, 41:63].min() >= 0.95
    assert np.diagonal(plain, 2).max() < 0.95


def test_four_seeds_of_one_architecture_are_told_apart_by_layer_with_cka_and_not_with_cca():
    from cka_cli import match

    read = ReadOptions(layers=("conv*",))
    paths = [str(FOLDER / f"{name}.h5") for name in "ABCD"]
    accuracies = {
        each.measure: each.accuracy for each in match(paths, measures=["cka", "cca-r2"], read=read).identifications
    }
    assert accuracies["cka"] > 0.6
    assert accuracies["cca-r2"] < 0.2
