"""Which components make a similarity: the sums of `compare`, the laws of removal, and a sentence that is true."""

# ruff: noqa: E501 - a line of a table is a sentence that a user reads

import csv
import io
import itertools
import json
import re

import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cka_cli.analysis.components import ComponentPairs, Explanation, Spectrum, group_pairs, pair_components, spectrum_of
from cka_cli.analysis.summary import decimals, percent, sentence_of
from cka_cli.api.explain import explain
from cka_cli.errors import DataError, UsageError
from cka_cli.layers.selection import select_layers
from cka_cli.options import ReadOptions
from cka_cli.plan.whole_matrices import explaining_bytes
from cka_cli.report.explain import CSV_HEADER
from cka_cli.report.json_text import Provenance
from tests import oracle
from tests.report.written import format_explanation
from tests.small_files import factorise, write_hdf5

SIZES = st.tuples(st.integers(3, 24), st.integers(1, 30), st.integers(1, 30))
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="session")
def explain_arrays(tmp_path_factory):
    """`explain_arrays(x, y)`: the Explanation of two arrays saved as NPY."""
    folder, numbers = tmp_path_factory.mktemp("explain"), itertools.count()

    def run(x, y, **options):
        paths = [folder / f"{next(numbers)}.npy" for _ in range(2)]
        for path, array in zip(paths, (x, y), strict=True):
            np.save(path, array)
        explanation = explain(*map(str, paths), **options)
        for path in paths:
            path.unlink()
        return explanation

    return run


def related(sizes, seed, scale=1.0, decay=1.0):
    """Two layers with a signal in common, whose features fall off in size."""
    n, p, q = sizes
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((n, 3))
    x, y = (signal @ rng.standard_normal((3, width)) + rng.standard_normal((n, width)) for width in (p, q))
    return scale * x * decay ** np.arange(p), y + 5


def orthonormal(n, rank, seed=0):
    return np.linalg.qr(np.c_[np.ones(n), np.random.default_rng(seed).standard_normal((n, rank))])[0][:, 1:]


def pairs_of(x, y):
    """What `explain` makes of two arrays, without files."""
    spectra = []
    for name, layer in (("x", x), ("y", y)):
        factors = factorise(name, np.asarray(layer))
        spectra += [spectrum_of(factors, "f", name), factors.basis]
    return pair_components(*spectra)


def by_loops(x, y):
    """Contributions to CKA as Kornblith et al. (2019), eq. 13, prints them."""
    (u, s, _), (v, t, _) = (np.linalg.svd(oracle.centred(layer), full_matrices=False) for layer in (x, y))
    norm = np.sqrt(sum(s**4) * sum(t**4))
    return np.array([[a**2 * b**2 * (u[:, i] @ v[:, j]) ** 2 for j, b in enumerate(t)] for i, a in enumerate(s)]) / norm


def parts(layer, kept):
    """The centred layer rebuilt from some of its components, counted from 0."""
    u, s, v = np.linalg.svd(oracle.centred(layer), full_matrices=False)
    return u[:, kept] * s[kept] @ v[kept]


@given(SIZES, SEEDS, st.sampled_from([1e-30, 1.0, 1e12]), st.sampled_from([1.0, 0.7]))
@example((3, 1, 1), 0, 1.0, 1.0)
@example((24, 30, 30), 1, 1.0, 1.0)
@settings(max_examples=50)
def test_contributions_sum_to_what_compare_gives(explain_arrays, compare_arrays, sizes, seed, scale, decay):
    x, y = related(sizes, seed, scale, decay)
    pairs = explain_arrays(x, y).pairs
    cka = compare_arrays(x, y, "cka", precision="double")
    assert pairs.contributions.sum() == pytest.approx(cka, abs=1e-9)
    assert pairs.cka == pytest.approx(oracle.value(x, y), abs=1e-9)
    assert pairs.cca_r2 == pytest.approx(compare_arrays(x, y, "cca-r2"), abs=1e-9)
    assert pairs.cka_shares(pairs.contributions).sum() == pytest.approx(1, abs=1e-9)
    assert pairs.cca_shares(pairs.alignment).sum() == pytest.approx(1, abs=1e-9)
    assert (pairs.alignment >= 0).all()
    assert (pairs.alignment.sum(axis=0) <= 1 + 1e-9).all()
    assert (pairs.alignment.sum(axis=1) <= 1 + 1e-9).all()
    assert not pairs.is_zero


@pytest.mark.parametrize("sizes", [(12, 5, 4), (40, 6, 9), (8, 30, 3)])
def test_each_contribution_is_that_of_the_formula(explain_arrays, sizes):
    x, y = related(sizes, 7)
    pairs, expected = explain_arrays(x, y).pairs, by_loops(x, y)
    rows, columns = pairs.alignment.shape
    np.testing.assert_allclose(pairs.contributions, expected[:rows, :columns], rtol=0, atol=1e-12)
    assert abs(expected[rows:]).sum() + abs(expected[:, columns:]).sum() < 1e-12


@given(SIZES, SEEDS)
@settings(max_examples=40)
def test_removal_is_the_similarity_of_what_is_left(sizes, seed):
    x, y = related(sizes, seed)
    pairs = pairs_of(x, y)
    removals = pairs.removals()
    assert [each.n_removed for each in removals] == [n for n in (1, 2, 5, 10) if n <= max(pairs.alignment.shape)]
    for each in removals:
        n = each.n_removed
        for first, rest, layer, rank in (
            (each.x_first, each.x_rest, x, pairs.x.rank),
            (each.y_first, each.y_rest, y, pairs.y.rank),
        ):
            assert first == pytest.approx(oracle.value(layer, parts(layer, slice(0, n))), abs=1e-9)
            if n < rank:
                assert rest == pytest.approx(oracle.value(layer, parts(layer, slice(n, rank))), abs=1e-9)
            else:
                assert np.isnan(rest)
        if n >= min(pairs.alignment.shape):
            assert np.isnan(each.rest).all()
            continue
        x_left, y_left = parts(x, slice(n, pairs.x.rank)), parts(y, slice(n, pairs.y.rank))
        assert each.rest.cka == pytest.approx(oracle.value(x_left, y_left), abs=1e-9)
        assert each.rest.cca_r2 == pytest.approx(oracle.value(x_left, y_left, "cca-r2"), abs=1e-9)


def test_removal_follows_from_the_spectrum_alone(explain_arrays):
    x = orthonormal(30, 6) * [9, 5, 4, 3, 2, 1]
    first, *_ = explain_arrays(x, x).pairs.removals()
    squares = np.array([9.0, 5, 4, 3, 2, 1]) ** 4
    assert first.x_first == pytest.approx(np.sqrt(squares[0] / squares.sum()), abs=1e-12)
    assert first.x_rest == pytest.approx(np.sqrt(squares[1:].sum() / squares.sum()), abs=1e-12)
    assert first.rest == pytest.approx((1, 1), abs=1e-12)


@pytest.mark.parametrize("sizes", [(5, 2, 3), (4, 6, 1), (5, 9, 9)])
def test_chance_is_the_mean_over_all_orders_of_the_rows(sizes):
    x, y = related(sizes, 6)
    orders = [list(order) for order in itertools.permutations(range(sizes[0]))]
    expected = np.mean([oracle.value(x[order], y) for order in orders])
    assert pairs_of(x, y).chance == pytest.approx(expected, abs=1e-9)


@given(SIZES, SEEDS, st.integers(1, 12))
def test_the_first_components_and_the_curves_are_sums_of_the_pairs(sizes, seed, n):
    pairs = pairs_of(*related(sizes, seed))
    shares = pairs.contributions / pairs.cka
    components = pairs.x_components(n)
    assert len(components) == min(n, pairs.x.rank)
    for place, each in enumerate(components):
        assert each.number == place + 1
        assert each.alignment == pairs.alignment[place].max() == pairs.alignment[place, each.partner - 1]
        assert each.cka_share == pytest.approx(shares[place].sum(), abs=1e-12)
        assert each.cka_cumulative == pytest.approx(shares[: place + 1].sum(), abs=1e-12)
        assert each.cca_cumulative == pytest.approx(
            pairs.alignment[: place + 1].sum() / pairs.alignment.sum(), abs=1e-12
        )
    cka, cca = pairs.shares_of_first()
    assert len(cka) == len(cca) == max(pairs.alignment.shape)
    for k in {1, n, len(cka)}:
        if k <= len(cka):
            assert cka[k - 1] == pytest.approx(shares[:k, :k].sum(), abs=1e-12)
            assert cca[k - 1] == pytest.approx(pairs.alignment[:k, :k].sum() / pairs.alignment.sum(), abs=1e-12)


@given(SIZES, SEEDS, st.integers(1, 12))
def test_the_largest_pairs_come_in_order(sizes, seed, n):
    pairs = pairs_of(*related(sizes, seed))
    places = pairs.largest(n)
    found = [pairs.contributions[place] for place in places]
    assert found == sorted(pairs.contributions.ravel().tolist(), reverse=True)[:n]
    assert len(set(places)) == len(places)


@given(SIZES, SEEDS, st.integers(1, 12))
def test_csv_sums_to_the_whole_however_many_are_listed(sizes, seed, n):
    pairs = pairs_of(*related(sizes, seed))
    explanation = Explanation(pairs, "")
    rows = list(csv.DictReader(io.StringIO(format_explanation(explanation, n, "csv"))))
    assert tuple(rows[0]) == CSV_HEADER
    assert len(rows) == min(n + 1, pairs.x.rank) * min(n + 1, pairs.y.rank)
    assert sum(float(row["contribution"]) for row in rows) == pytest.approx(pairs.cka, abs=1e-9)
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1, abs=1e-9)
    assert sum(float(row["cca_share"]) for row in rows) == pytest.approx(1, abs=1e-9)
    assert sum(float(row["alignment"]) for row in rows) == pytest.approx(pairs.alignment.sum(), abs=1e-9)
    for name in ("x", "y"):
        shares = {row[f"{name}_component"]: float(row[f"{name}_variance_share"]) for row in rows}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-9)
        assert ("rest" in shares) == (n < getattr(pairs, name).rank)
    first = rows[0]
    assert (first["x_component"], first["y_component"]) == ("1", "1")
    assert float(first["alignment"]) == pytest.approx(pairs.alignment[0, 0])


def test_json_holds_everything(explain_arrays):
    explanation = explain_arrays(*related((30, 12, 4), 3))
    text = format_explanation(explanation, 3, "json", Provenance(["cka"], {"components": 3}))
    document = json.loads(text)
    pairs = explanation.pairs
    assert document["sentence"] == explanation.sentence
    assert (document["cka"], document["cca_r2"]) == (pairs.cka, pairs.cca_r2)
    assert len(document["x"]["components"]) == len(document["largest_pairs"]) == 3
    assert document["pairs"]["x_components"] == [1, 2, 3, "rest"]
    assert np.sum(document["pairs"]["share"]) == pytest.approx(1, abs=1e-9)
    for name, side, places in (
        ("x", pairs.x, pairs.alignment.argmax(axis=1)),
        ("y", pairs.y, pairs.alignment.argmax(axis=0)),
    ):
        assert (document[name]["file"], document[name]["layer"]) == (side.file, side.layer)
        assert (document[name]["n_features"], document[name]["n_components"]) == (side.n_features, side.rank)
        assert document[name]["variance_shares"] == side.shares.tolist()
        assert [each["partner"] for each in document[name]["components"]] == (places[:3] + 1).tolist()
    assert [each["n_removed"] for each in document["removals"]] == [1, 2, 5, 10]
    assert document["removals"][2]["cka"] is None
    assert [file["layers"][0]["n_features"] for file in document["files"]] == [12, 4]


# What the sentence says.


def made_of(contributions, n_examples=100):
    """Pairs of components of equal variance shares that contribute as asked, all of CKA together 1 over the sides."""
    contributions = np.asarray(contributions, float)
    spectra = [
        Spectrum("f", name, n, n_examples - 1, np.sqrt(1.0 + 1e-6 * np.arange(n, 0, -1)))
        for name, n in zip("xy", contributions.shape, strict=True)
    ]
    alignment = contributions / np.outer(spectra[0].weights, spectra[1].weights)
    return ComponentPairs(*spectra, alignment, n_examples)


@pytest.mark.parametrize(
    ("contributions", "sentence"),
    [
        ([[0.4, 0.0], [0.1, 0.05]], r"73 % of this similarity \(CKA 0.550\) comes from the first component of each; without it CKA is 0.100, CCA R² 0.100\."),
        ([[0.01, 0.0], [0.1, 0.04]], r"67 % of this similarity \(CKA 0.150\) comes from component 2 of X with component 1 of Y; without these CKA is 0, CCA R² 0\."),
        ([[0.01, 0.0], [0.0, 0.4]], r"98 % of this similarity \(CKA 0.410\) comes from component 2 of each; without it CKA is .+"),
        ([[0.25]], r"100 % of this similarity \(CKA 0.250\) comes from the first component of each; without it nothing is left of either\."),
        ([[0.3, 0.1]], r"75 % of this similarity \(CKA 0.400\) comes from the first component of each; without it nothing is left of X\."),
        ([[0.3], [0.1]], r"75 % .+ without it nothing is left of Y\."),
        ([[0.2, 0.1], [0.1, 0.2]], r"The 2 largest of 4 pairs of components make 67 % of this similarity \(CKA 0.600\); without the 2 components of X and the 2 of Y in them nothing is left of either\."),
        (np.full((5, 5), 0.01), r"Many pairs of components make this similarity \(CKA 0.250\): the 10 largest make 40 %, and half of it takes 13 of 25; without the . components? of X and the . of Y in these 10 .+"),
        (np.full((5, 5), 0.001), r"CKA 0.025 is no more than rows in random order give \(0.051 on average\); many pairs of components make it: the 10 .+"),
        ([[0.005, 0.0], [0.001, 0.001]], r"CKA 0.007 is no more than rows in random order give \(0.020 on average\); 71 % of it comes from the first component of each; .+"),
        ([[0.0, 0.0], [0.0, 0.0]], r"CKA is 0: no component of X has anything in common with one of Y, so there is nothing to explain\."),
    ],
)  # fmt: skip
def test_the_sentence_in_every_case(contributions, sentence):
    pairs = made_of(contributions)
    assert re.fullmatch(sentence, sentence_of(pairs)), sentence_of(pairs)


@given(SIZES, SEEDS, st.sampled_from([1.0, 0.5, 0.1]))
def test_the_sentence_is_true(sizes, seed, decay):
    x, y = related(sizes, seed, decay=decay)
    pairs = pairs_of(x, y)
    text = sentence_of(pairs)
    shares = np.sort((pairs.contributions / pairs.cka).ravel())[::-1]
    n_half = int(np.argmax(np.cumsum(shares) >= 0.5)) + 1
    stated = float(re.search(r"([\d.]+) %", text)[1])
    n_named = int(re.search(r"[Tt]he (\d+) largest", text)[1]) if "largest" in text else 1
    assert n_named == min(n_half, 10)
    assert stated == pytest.approx(100 * shares[:n_named].sum(), abs=0.51)
    assert ("any pairs" in text) == (n_half > 10)
    assert ("no more than rows in random order" in text) == (pairs.cka <= pairs.chance)
    assert ("by force" in text) == pairs.is_saturated
    rows, columns = (sorted(set(side)) for side in zip(*pairs.largest(n_named), strict=True))
    kept = [np.setdiff1d(np.arange(side.rank), gone) for side, gone in ((pairs.x, rows), (pairs.y, columns))]
    if min(map(len, kept)) == 0:
        assert "nothing is left" in text
    else:
        left = float(re.search(r"; without .+? CKA is ([\d.e-]+[\d])", text)[1])
        assert left == pytest.approx(oracle.value(parts(x, kept[0]), parts(y, kept[1])), abs=6e-4)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1, "100 %"), (1 - 1e-12, "100 %"), (0.9999, "99.9 %"), (0.996, "99.6 %"), (0.994, "99 %"), (0.5, "50 %"),
        (0.4999, "49.9 %"), (0.496, "49.6 %"), (0.494, "49 %"), (0.503, "50 %"), (0.004, "less than 1 %"),
    ],
)  # fmt: skip
def test_a_percentage_is_never_rounded_up_to_a_half_or_all(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1.000"), (0.0005, "0.001"), (0.0004, "4.0e-04"), (1e-15, "1.0e-15"), (1e-30, "0"), (0, "0"),
                      (np.nan, "nan")]
)  # fmt: skip
def test_small_values_keep_their_first_digits(value, text):
    assert decimals(value) == text


# Components that are not unique, and CCA that means nothing.


def test_equal_variances_count_as_one_whatever_the_basis(explain_arrays):
    basis = orthonormal(60, 12)
    rng = np.random.default_rng(5)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    y = basis[:, :6] @ rng.standard_normal((6, 6)) * [5, 4, 3, 2, 1, 0.5]
    one = np.c_[3 * basis[:, :1], 2 * basis[:, 1:4], basis[:, 4:5]]
    other = np.c_[3 * basis[:, :1], 2 * basis[:, 1:4] @ turn, basis[:, 4:5]]
    explained = [explain_arrays(layer, y) for layer in (one, other)]
    assert [each.pairs.x.equal for each in explained] == [[(2, 4)]] * 2
    assert explained[0].sentence == explained[1].sentence
    assert "components 2 to 4 have equal variance" in explained[0].notes[0]
    np.testing.assert_allclose(*(group_pairs(each.pairs, 3).shares for each in explained), rtol=0, atol=1e-9)
    assert [each.is_unique for each in explained[0].pairs.removals()] == [True, False, True]
    table = format_explanation(explained[0], 4, "table")
    assert re.search(r"^ +~2 ", table, re.MULTILINE)
    assert "~ cuts between components of equal variance" in table


def test_one_hot_labels_are_one_group(explain_arrays):
    labels = np.eye(5)[np.arange(60) % 5]
    explanation = explain_arrays(labels, labels * [1, 0.9, 0.8, 0.7, 0.6])
    assert explanation.pairs.x.equal == [(1, 4)]
    assert explanation.pairs.y.equal == []
    assert "The 2 largest of 4 pairs of components (equal variances taken together) make" in explanation.sentence
    itself = explain_arrays(labels, labels)
    assert itself.sentence.startswith(
        "100 % of this similarity (CKA 1.000) comes from components 1 to 4 of each (equal"
    )
    assert "without these nothing is left of either" in itself.sentence


def test_near_but_different_variances_are_told_apart():
    assert Spectrum("f", "x", 4, 99, np.array([1, 1 - 1e-6, 0.5, 1e-9])).equal == []
    assert Spectrum("f", "x", 4, 99, np.array([1, 1 - 1e-9, 0.5, 0.5 - 1e-10])).equal == [(1, 2), (3, 4)]


def test_layers_without_anything_in_common(explain_arrays):
    basis = orthonormal(40, 9)
    explanation = explain_arrays(basis[:, :4] * [4, 3, 2, 1], basis[:, 4:] * [5, 4, 3, 2, 1])
    assert explanation.pairs.is_zero
    assert explanation.sentence.startswith("CKA is 0: ")
    rows = list(csv.DictReader(io.StringIO(format_explanation(explanation, 2, "csv"))))
    assert {row["share"] for row in rows} == {"nan"}
    document = json.loads(format_explanation(explanation, 2, "json", Provenance([], {})))
    assert document["largest_pairs"][0]["share"] is None
    assert "linear CKA 0, CCA R² 0" in format_explanation(explanation, 2, "table")
    assert "contribute most" not in format_explanation(explanation, 2, "table")


@pytest.mark.parametrize(
    ("sizes", "note"),
    [
        ((20, 30, 5), r"CCA R²: 1 by force, which means nothing: 20 examples are too few for the 19 independent features of .+; give .+"),
        ((20, 30, 40), r"CCA R²: 1 by force, .+ of .+ and .+; give more examples, or --pool mean"),
        ((20, 12, 10), r"CCA R²: raised: the independent features of the layers \(12 \+ 10\) add up to more than 19, so 3 of 10 correlations are 1 by force; give .+"),
        ((20, 9, 10), None),
    ],
)  # fmt: skip
def test_a_note_says_when_cca_means_nothing(explain_arrays, sizes, note):
    explanation = explain_arrays(*related(sizes, 1))
    if note is None:
        assert explanation.notes == ()
    else:
        assert re.fullmatch(note, explanation.notes[0])
    n_ones = int((oracle.correlations(*related(sizes, 1)) > 1 - 1e-9).sum())
    assert explanation.pairs.is_saturated or explanation.pairs.n_forced == n_ones


# One feature, the same layer, and what is read.


def test_one_feature_each_is_the_squared_correlation(explain_arrays):
    x, y = np.random.default_rng(2).standard_normal((2, 30, 1))
    pairs = explain_arrays(x, y).pairs
    r2 = np.corrcoef(x[:, 0], y[:, 0])[0, 1] ** 2
    assert pairs.cka == pairs.cca_r2 == pytest.approx(r2, abs=1e-12)
    assert np.isnan(pairs.removals()[0].rest.cka)


def test_a_layer_with_itself_is_a_diagonal(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", {"conv": related((30, 8, 1), 4)[0]})
    pairs = explain(f"{path}::conv", path).pairs
    np.testing.assert_allclose(pairs.alignment, np.eye(8), rtol=0, atol=1e-12)
    assert pairs.cka == pytest.approx(1, abs=1e-12)
    assert all(each.rest == pytest.approx((1, 1)) for each in pairs.removals()[:3])


def test_two_layers_of_one_file_and_rows_as_asked(tmp_path):
    x, y = related((40, 6, 5), 8)
    path = write_hdf5(tmp_path / "a.h5", {"x": x, "y": y, "ids": np.arange(40)})
    pairs = explain(f"{path}::x", f"{path}::y", read=ReadOptions(examples=(10, 30))).pairs
    assert pairs.n_examples == 20
    assert pairs.cka == pytest.approx(oracle.value(x[10:30], y[10:30]), abs=1e-9)
    order = np.random.default_rng(0).permutation(40)
    other = write_hdf5(tmp_path / "b.h5", {"y": y[order], "ids": order})
    assert explain(f"{path}::x", other, read=ReadOptions(ids="ids")).pairs.cka == pytest.approx(oracle.value(x, y))
    x[3, 2] = np.nan
    bad = write_hdf5(tmp_path / "bad.h5", {"x": x})
    explanation = explain(bad, f"{path}::y", read=ReadOptions(nonfinite="drop"))
    kept = np.arange(40) != 3
    assert explanation.pairs.cka == pytest.approx(oracle.value(x[kept], y[kept]), abs=1e-9)
    assert explanation.notes == ("1 of 40 examples left out of every layer: not finite in at least one",)


def test_a_name_to_the_letter_is_one_layer_also_where_it_is_the_last_part_of_another(tmp_path):
    x, y = related((30, 6, 5), 9)
    path = write_hdf5(tmp_path / "a.h5", {"conv": x, "block/conv": y})
    explanation = explain(f"{path}::conv", f"{path}::block/conv")
    assert explanation.pairs.cka == pytest.approx(oracle.value(x, y), abs=1e-9)
    assert [[layer.name for layer in file.layers] for file in explanation.files] == [["conv"], ["block/conv"]]


def test_an_address_of_several_layers_is_refused_before_their_rows_are_counted(tmp_path):
    layers = {f"conv{number}": np.ones((number, 3)) for number in range(1, 15)}
    path = write_hdf5(tmp_path / "a.h5", layers)
    with pytest.raises(UsageError, match=r"a.h5: is 14 layers \(conv1, conv2, .+ conv12, ...\); give one .+::conv1$"):
        explain(f"{path}::conv1", path)


def test_what_does_not_fit_in_memory_is_refused_with_what_would_do(tmp_path):
    x, y = related((50, 400, 300), 1)
    path = write_hdf5(tmp_path / "a.h5", {"x": x, "y": y})
    (file,) = select_layers([path], ReadOptions())
    needed = explaining_bytes(*file.layers)
    with pytest.raises(DataError, match="too little to decompose") as caught:
        explain(f"{path}::x", f"{path}::y", memory_bytes=needed - 1)
    (least_mib,) = re.findall(r"give at least --memory (\d+)MiB", str(caught.value))
    assert explain(f"{path}::x", f"{path}::y", memory_bytes=int(least_mib) << 20).pairs.cka == pytest.approx(
        oracle.value(x, y), abs=1e-9
    )


def test_factorising_is_told_of(tmp_path):
    seen = []
    x, y = related((30, 6, 5), 9)
    path = write_hdf5(tmp_path / "a.h5", {"x": x, "y": y})
    explain(f"{path}::x", f"{path}::y", progress=lambda *report: seen.append(report))
    assert seen[-1] == ("factorising", x.nbytes + y.nbytes, x.nbytes + y.nbytes)


def test_names_stay_on_their_line(tmp_path):
    path = str(tmp_path / "two\nlines.h5")
    with h5py.File(path, "w") as file:
        file["a\tb"] = related((30, 6, 5), 9)[0]
    table = format_explanation(explain(path, path), 3, "table")
    assert r"two\nlines.h5::a\tb  6 features, 6 components" in table.splitlines()[0]
    assert all(len(line) <= 80 for line in table.splitlines()[2:])
