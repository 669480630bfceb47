"""Networks made to correspond, their copies in another order, and noise: what `match` finds in their files."""

from dataclasses import replace
from itertools import permutations

import h5py
import numpy as np
import pytest

from cka_cli import match, study_depth
from cka_cli.api.compare import compare
from cka_cli.api.match import _notes_of_chance, mean_matrices, plan_depths, study_depths
from cka_cli.errors import DataError, UsageError
from cka_cli.options import ReadOptions, RunOptions
from tests.small_files import values, write_hdf5, write_networks

SWEEP = {
    "measures": ["svcca-r2:variance=0.9", "svcca-r2:variance=0.99", "cka"],
    "kernels": ["rbf:sigma=0.2", "rbf:sigma=0.4"],
}


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    return write_networks(tmp_path_factory.mktemp("networks"))


def noise(path, like, seed=0):
    """A file of noise in the shape of another."""
    rng = np.random.default_rng(seed)
    with h5py.File(like) as file:
        return write_hdf5(path, {name: rng.standard_normal(layer.shape) for name, layer in file.items()})


def shuffled(path, source, order):
    with h5py.File(source) as file:
        names = list(file)
        return write_hdf5(path, {names[place]: file[names[place]][:] for place in order})


def test_networks_made_to_correspond_are_identified(networks):
    found = match(networks)
    (cka,) = found.identifications
    assert (cka.measure, cka.kernel, cka.n_files, cka.n_layers, cka.n_examples) == ("cka", "linear", 3, 4, 60)
    assert (cka.accuracy, cka.std_error, cka.by_file) == (1, 0, (1, 1, 1))
    assert found.comparison.notes == ()
    assert [(each.x_file, each.y_file) for each in found.correspondences] == list(permutations(networks, 2))
    assert all(partner.best_layer == partner.layer for each in found.correspondences for partner in each.partners)


def test_values_are_those_of_compare_and_both_ways_round_where_a_measure_is_not_symmetric(networks):
    measures = ["regression-r2", "pwcca", "cka"]
    found = match(networks[:2], measures=measures)
    there, back = (compare(*pair, measures=measures).matrices for pair in permutations(networks[:2]))
    for matrix, one, other, correspondence in zip(found.matrices, there, back, found.correspondences, strict=False):
        expected = one.values if one.measure == "cka" else (one.values + other.values.T) / 2
        np.testing.assert_allclose(matrix.values, expected, rtol=1e-12)
        assert correspondence.partners[0].best_value == matrix.values[0].max()
    assert np.abs(there[0].values - back[0].values.T).max() > 1e-3


def test_a_sweep_of_parameters_is_one_run(networks):
    found = match(networks, **SWEEP)
    assert [(each.measure, each.kernel) for each in found.identifications] == [
        ("svcca-r2:variance=0.9", ""), ("svcca-r2:variance=0.99", ""),
        ("cka", "rbf:sigma=0.2"), ("cka", "rbf:sigma=0.4"),
    ]  # fmt: skip
    assert len(found.matrices) == len(found.correspondences) == 6 * 4
    assert min(each.accuracy for each in found.identifications) > 0.5


def test_a_copy_in_another_order_is_recovered_by_name_and_said_to_be_one(networks, tmp_path):
    order = (2, 0, 3, 1)
    copy = shuffled(tmp_path / "shuffled.h5", networks[0], order)
    found = match([networks[0], copy])
    for each in found.correspondences:
        assert all(partner.best_layer == partner.layer for partner in each.partners)
        assert [partner.best_value for partner in each.partners] == pytest.approx([1] * 4)
    assert found.identifications[0].accuracy == 0
    assert "has the layers of" in found.comparison.notes[0]
    assert "cannot be told from chance" in found.comparison.notes[1]


def test_noise_is_at_chance_and_said_to_be(tmp_path):
    networks = write_networks(tmp_path, 3, 6)
    random = noise(tmp_path / "noise.h5", networks[0])
    alone = match([networks[0], random])
    assert alone.identifications[0].is_at_chance
    (note,) = alone.comparison.notes
    assert note == "cka, linear: the accuracy cannot be told from chance (16.7 %)"
    among = match([*networks, random], measures=["cka", "cka-debiased"])
    assert not any(each.is_at_chance for each in among.identifications)
    (note,) = among.comparison.notes
    assert note.startswith(f"{random}: no measure tells the accuracy of its pairs from chance (16.7 %): at most ")


@pytest.mark.parametrize(("p_values", "is_named"), [((0.03,), False), ((0.03, 0.04), True), ((0.03, 0.01), False)])
def test_the_more_measures_the_less_one_of_them_says_of_a_network(networks, p_values, is_named):
    found = match(networks)
    known = replace(found.identifications[0], n_layers=8, p_value_by_file=(0.001, 0.001, 0.001))
    each = [replace(known, p_value_by_file=(0.001, p_value, 0.001)) for p_value in p_values]
    assert len(_notes_of_chance(found.comparison, each)) == is_named


def test_too_few_layers_are_not_said_to_be_at_chance(tmp_path):
    networks = write_networks(tmp_path, 2, 3)
    found = match(networks)
    assert (found.identifications[0].accuracy, found.identifications[0].is_at_chance) == (1, False)
    assert found.comparison.notes == ("2 networks of 3 layers are too few to tell an accuracy from chance",)


def test_saturated_measures_credit_each_of_the_tied_layers_with_its_share(networks, tmp_path):
    rng = np.random.default_rng(0)
    wide = [write_hdf5(tmp_path / f"{n}.h5", {f"l{k}": rng.normal(size=(20, 30)) for k in range(5)}) for n in range(3)]
    found = match(wide, measures=["cca-r2", "pwcca"])
    assert [each.accuracy for each in found.identifications] == pytest.approx([1 / 5, 1 / 5])
    assert {partner.n_best for each in found.correspondences for partner in each.partners} == {5}


def test_files_of_different_depth_have_partners_and_no_accuracy(networks, tmp_path):
    (deeper,) = write_networks(tmp_path, 1, 6)
    found = match([networks[1], deeper])
    assert found.identifications == ()
    assert found.comparison.notes == (
        f"the files have different numbers of layers ({networks[1]} 4, {deeper} 6): no accuracy, "
        "only the correspondence",
    )
    there, back = found.correspondences
    assert [partner.monotone_layer for partner in there.partners] == ["conv1", "conv2", "conv3", "conv4"]
    assert len(back.partners) == 6
    assert back.accuracy is None


def test_the_same_file_twice_is_said_to_identify_itself(networks):
    found = match([networks[0], networks[0], networks[1]])
    assert found.comparison.notes == (
        f"{networks[0]}: is the same file as {networks[0]}; a network always identifies itself",
    )
    parts = match([f"{networks[0]}::conv[12]", f"{networks[0]}::conv[34]"])
    assert not any("same file" in note for note in parts.comparison.notes)


def test_a_layer_without_a_value_is_not_identified(networks, tmp_path):
    with h5py.File(networks[0]) as file:
        layers = {name: layer[:] for name, layer in file.items()}
    layers["conv2"] = np.ones((60, 3))
    dead = write_hdf5(tmp_path / "dead.h5", layers)
    found = match([networks[1], dead])
    assert found.identifications[0].accuracy == 0.75
    assert found.comparison.notes[-1] == "a layer without a value counts as not identified"


@pytest.mark.parametrize(
    ("sources", "error", "line"),
    [
        (["0"], UsageError, "match: needs two networks or more (found 1); give another file"),
        (["0::conv1", "1::conv1"], DataError, "0: 1 layer, which leaves no choice; give two layers or more"),
    ],
)
def test_what_cannot_be_matched(networks, sources, error, line):
    paths = [source.replace(source[0], networks[int(source[0])], 1) for source in sources]
    with pytest.raises(error) as raised:
        match(paths)
    assert str(raised.value) == line.replace("0:", f"{networks[0]}:")


def test_one_layer_finds_its_partner_among_many(networks):
    there, back = match([f"{networks[0]}::conv3", networks[1]]).correspondences
    assert [partner.best_layer for partner in there.partners] == ["conv3"]
    assert {partner.margin for partner in back.partners} == {None}


def test_the_mean_matrix_is_that_of_all_ordered_pairs(networks):
    found = match(networks, measures=["regression-r2", "cka"])
    regression, cka = mean_matrices(found)
    np.testing.assert_allclose(regression.values, np.mean([each.values for each in found.matrices[::2]], axis=0))
    np.testing.assert_allclose(regression.values, regression.values.T)
    assert (cka.x_layers, cka.y_layers, cka.x_file) == (("conv1", "conv2", "conv3", "conv4"),) * 2 + ("",)


# Depth


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """Three layers that differ, and then three that are the same but for a little noise."""
    rng = np.random.default_rng(0)
    layers = {f"conv{place}": rng.standard_normal((50, 8)) for place in range(1, 4)}
    last = rng.standard_normal((50, 5))
    layers |= {f"conv{place}": last + 0.05 * rng.standard_normal((50, 5)) for place in range(4, 7)}
    return write_hdf5(tmp_path_factory.mktemp("deep") / "deep.h5", layers)


@pytest.mark.parametrize("options", [{}, {"kernels": ["rbf"]}, {"measures": ["cka-debiased", "procrustes"]}])
def test_layers_that_add_nothing_are_found(deep, options):
    depth = study_depth(deep, **options)
    plain = compare(deep, **options).matrices
    assert [each.matrix.title for each in depth.studies] == [matrix.title for matrix in plain]
    assert depth.comparison.matrices == tuple(each.matrix for each in depth.studies)
    for each, matrix in zip(depth.studies, plain, strict=True):
        np.testing.assert_allclose(each.matrix.values, matrix.values, rtol=1e-6)
        assert (each.like_last, each.n_like_last, each.stretch) == (range(3, 6), 2, range(3, 6))
        dimensions = [layer.effective_dimension for layer in each.layers]
        assert all(4 < dimension < 8 for dimension in dimensions)
        assert dimensions == pytest.approx(study_depth(deep).comparison.effective_dimensions[0])


@pytest.mark.parametrize("channels", [None, "last", [("*", "last")]])
def test_several_networks_are_each_studied_alone_and_joined(deep, tmp_path, channels):
    other = write_hdf5(tmp_path / "other.h5", {f"conv{place}": values(30, 5, 3, 3) for place in range(3)})
    read = ReadOptions(pool="mean", channels=tuple(channels) if isinstance(channels, list) else channels)
    joined = study_depths([deep, other], 0.95, read=read)
    alone = [study_depth(path, read=read) for path in (deep, other)]
    for facts in ("files", "effective_dimensions"):
        assert getattr(joined.comparison, facts) == sum((getattr(each.comparison, facts) for each in alone), ())
    assert joined.comparison.matrices == tuple(each.matrix for each in joined.studies)
    assert [each.layers for each in joined.studies] == [each.studies[0].layers for each in alone]
    assert list(plan_depths([deep, other], 0.95, read=read)) == [deep, other]


def test_channels_of_the_layers_of_one_network_are_not_asked_of_another(deep, tmp_path):
    other = write_hdf5(tmp_path / "other.h5", {f"conv{place}": values(30, 5, 3, 3) for place in range(3)})
    read = ReadOptions(pool="mean", channels=((f"{other}::*", "last"),))
    found = study_depths([deep, other], 0.95, read=read).comparison.effective_dimensions[1]
    first, last = (
        study_depth(other, read=ReadOptions(pool="mean", channels=channels)).comparison.effective_dimensions[0]
        for channels in ("first", "last")
    )
    assert found == last != first


def test_the_threshold_decides_and_the_last_of_the_chosen_layers_is_the_last(deep):
    assert study_depth(deep, threshold=0.9999).studies[0].n_like_last == 0
    (study,) = study_depth(deep, read=ReadOptions(exclude=("conv4", "conv5", "conv6"))).studies
    assert (study.n_like_last, len(study.stretch), study.layers[-1].layer) == (0, 0, "conv3")


def test_an_asymmetric_measure_is_the_mean_of_both_directions(deep):
    (study,) = study_depth(deep, measures=["regression-r2"]).studies
    (matrix,) = compare(deep, measures=["regression-r2"]).matrices
    np.testing.assert_allclose(study.matrix.values, (matrix.values + matrix.values.T) / 2)


def test_what_has_no_threshold_or_no_dimension_says_so(deep):
    assert study_depth(deep, measures=["hsic"]).comparison.notes == (
        "hsic, linear: has no upper bound, so no threshold",
    )
    batches = study_depth(deep, run=RunOptions(n_batch=10))
    assert batches.comparison.notes == (
        "cka: batches of 10 give about the value of 10 examples, whatever the passes; use -m cka-debiased",
        "--batch: gives no effective dimension",
    )
    assert batches.studies[0].layers[0].effective_dimension is None


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan")])
def test_thresholds_that_are_none(deep, threshold):
    with pytest.raises(UsageError, match=r"^--threshold .*: a similarity is above 0 and at most 1; 0.95 is usual$"):
        study_depth(deep, threshold=threshold)


def test_a_single_layer_has_no_depth(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", {"conv1": values(20, 3)})
    with pytest.raises(DataError, match=r"a.h5: 1 layer has no depth \(found conv1\); give two layers or more$"):
        study_depth(path)
