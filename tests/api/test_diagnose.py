"""A table of planted trouble and what must be said of it; sound data and what must not; what else a user may give."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cka_cli.analysis.reliability import reading
from cka_cli.analysis.reliability.evaluate import RowNames, judge_layer
from cka_cli.analysis.reliability.quantities import Address
from cka_cli.analysis.reliability.rules import CHECKS, DISTRUST, FINE, LOOK, judge
from cka_cli.api import diagnose as room
from cka_cli.api.diagnose import diagnose
from cka_cli.errors import DataError
from cka_cli.options import ReadOptions
from cka_cli.plan import whole_matrices
from tests import oracle
from tests.small_files import values, write_hdf5

SAMPLE_DATA = Path(__file__).parents[2] / "sample_data"
SPECIFICATION = importlib.util.spec_from_file_location("make_troubles", SAMPLE_DATA / "make_troubles.py")
troubles = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(troubles)

FAR = "rows " + ", ".join(str(row) for row in range(100, 110))
# What is planted (files X and Y) and, of each check named: the verdict, and what must be named.
TROUBLES = {
    "one far row in one network": ("far_row_a", "b", {
        "row-of-layer": (DISTRUST, "row 41"), "without-row": (DISTRUST, "without row 41"), "clipped": (DISTRUST, ""),
        "biased-debiased": (DISTRUST, ""), "without-label": (FINE, ""),
    }),
    "one far row in both, of noise": ("noise_far_row_a", "noise_far_row_b", {
        "row-of-layer": (DISTRUST, "row 41"), "biased-debiased": (DISTRUST, "biased 0.99"),
        "above-chance": (DISTRUST, ""), "without-row": (LOOK, "without row 41"),
    }),
    "ten far rows in one network": ("far_rows_a", "b", {
        "rows-of-layer": (DISTRUST, FAR), "without-rows": (DISTRUST, FAR), "row-of-layer": (FINE, ""),
        "without-row": (FINE, ""),
    }),
    "ten far rows in both": ("far_rows_a", "far_rows_b", {
        "rows-of-layer": (DISTRUST, FAR), "without-rows": (DISTRUST, FAR), "rows-carry": (DISTRUST, FAR),
        "effective-rows": (DISTRUST, "11 effective rows of 300"), "without-row": (FINE, ""),
    }),
    "one class translated in one network": ("class_moved_a", "b", {
        "label-of-layer": (DISTRUST, "label 7"), "without-label": (DISTRUST, "without label 7"),
        "first-component": (LOOK, ""), "normalised": (LOOK, ""), "ranked": (LOOK, ""),
    }),
    "one class translated in both": ("class_moved_a", "class_moved_b", {
        "label-of-layer": (DISTRUST, "label 7"), "label-apart": (DISTRUST, "label 7"),
        "without-label": (DISTRUST, "without label 7"), "effective-rows": (LOOK, ""),
        "without-components": (LOOK, "without the first 5"),
    }),
    "a duplicated block": ("copies_a", "copies_b", {
        "doubled-rows": (LOOK, "60 rows; the first, row 240, is row 0 again"), "without-doubled": (FINE, "60 copies"),
        "above-chance": (FINE, ""),
    }),
    "a duplicated block of noise": ("noise_copies_a", "noise_copies_b", {
        "doubled-rows": (LOOK, "60 rows"), "without-doubled": (LOOK, "60 copies"), "above-chance": (DISTRUST, ""),
    }),
    "a dead feature": ("dead_a", "b", {"dead-features": (LOOK, "1 of 64 features")}),
    "fewer examples than features, all but noise": ("few_a", "few_b", {
        "features-per-example": (LOOK, "4000 features, 40 examples"), "effective-dimension": (LOOK, ""),
        "above-chance": (DISTRUST, ""), "chance-level": (LOOK, ""), "biased-debiased": (DISTRUST, ""),
    }),
    "noise against noise": ("noise_a", "noise_b", {
        "above-chance": (DISTRUST, ""), "biased-debiased": (LOOK, ""), "rbf-diagonal": (LOOK, "sigma 0.2"),
    }),
    "a layer that is another up to rotation": ("a", "rotated_a", {"same-layer": (LOOK, "")}),
    "nothing": ("a", "b", dict.fromkeys(set(CHECKS) - {"rbf-diagonal", "without-doubled"}, (FINE, ""))),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("troubles")
    for name, array in troubles.make_troubles().items():
        troubles.write(folder / f"{name}.h5", array)
    return folder


@pytest.fixture(scope="module")
def diagnosed(folder):
    known = {}

    def run(x, y):
        if (x, y) not in known:
            known[x, y] = diagnose(str(folder / f"{x}.h5"), str(folder / f"{y}.h5"))
        return known[x, y]

    return run


def worst(diagnosis, check):
    """The finding of a check that is farthest off."""
    order = {DISTRUST: 0, LOOK: 1, FINE: 2}
    return min((each for each in diagnosis.findings if each.check == check), key=lambda each: order[each.verdict])


def sorted_rows(text):
    """`rows 3, 1, 2` in the order of the rows."""
    head, _, tail = text.partition("rows ")
    is_list = tail and all(part.strip().isdecimal() for part in tail.split(","))
    return f"{head}rows {', '.join(sorted(tail.split(', '), key=int))}" if is_list else text


CASES = [
    (planted, x, y, check, *expected)
    for planted, (x, y, checks) in TROUBLES.items()
    for check, expected in sorted(checks.items())
]


@pytest.mark.parametrize(
    ("planted", "x", "y", "check", "verdict", "named"), CASES, ids=[f"{case[0]}: {case[3]}" for case in CASES]
)
def test_planted_trouble_is_found_and_named(diagnosed, planted, x, y, check, verdict, named):
    found = worst(diagnosed(x, y), check)
    assert (found.verdict, named in sorted_rows(found.found)) == (verdict, True), found
    assert bool(found.advice) == (verdict != FINE)


@pytest.mark.parametrize("planted", [planted for planted, (_, _, checks) in TROUBLES.items()
                                     if DISTRUST in {verdict for verdict, _ in checks.values()}])  # fmt: skip
def test_trouble_that_must_not_be_trusted_is_trouble(diagnosed, planted):
    x, y, _ = TROUBLES[planted]
    assert diagnosed(x, y).is_distrusted
    assert not diagnosed("a", "b").is_distrusted


@pytest.mark.parametrize(
    ("z", "verdict", "words"),
    [
        (2.9, DISTRUST, "it cannot be told from chance"),
        (-4.0, DISTRUST, "it cannot be told from chance"),
        (3.1, LOOK, "it is hardly above chance"),
        (5.9, LOOK, "it is hardly above chance"),
        (6.1, FINE, ""),
    ],
)
def test_each_verdict_on_chance_has_its_advice(z, verdict, words):
    found = judge("above-chance", z, "", Address("a.h5", "conv"))
    assert (found.verdict, found.advice.partition(":")[0]) == (verdict, words)


@pytest.mark.parametrize("check", CHECKS)
def test_an_advice_of_one_verdict_is_of_a_verdict_that_there_is_and_fits_a_line(check):
    rule = CHECKS[check]
    assert not rule.advice_to_look or rule.look is not None
    assert not rule.advice_to_distrust or rule.distrust is not None
    assert max(map(len, (rule.advice, rule.advice_to_look, rule.advice_to_distrust))) <= 96
    assert rule.advice_on(FINE) == ""


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_is_in_the_table(check):
    in_table = {name for _, _, checks in TROUBLES.values() for name, (verdict, _) in checks.items() if verdict != FINE}
    elsewhere = {"constant-layer", "halved-by-row", "halved-by-label"}
    assert (check in in_table) != (check in elsewhere)


# --- sound data


def test_the_networks_of_the_sample_data_raise_no_alarm():
    diagnosis = diagnose(str(SAMPLE_DATA / "A.h5"), str(SAMPLE_DATA / "B.h5"))
    assert len(diagnosis.pairs) == 10
    assert diagnosis.labels == "labels"
    assert diagnosis.counts[DISTRUST] == 0
    assert {each.check for each in diagnosis.findings if each.verdict == LOOK} == {
        "features-per-example", "dead-features", "rbf-diagonal",
    }  # fmt: skip


def test_one_network_alone_and_every_pair_raise_no_alarm():
    read = ReadOptions(layers=("conv[678]", "gap"), pool="mean", examples=(0, 250))
    alone = diagnose(str(SAMPLE_DATA / "A.h5"), read=read)
    assert [(pair.x.layer, pair.y.layer) for pair in alone.pairs] == [
        ("conv6", "conv7"),
        ("conv7", "conv8"),
        ("conv8", "gap"),
    ]
    assert worst(alone, "same-layer").verdict == LOOK  # averaged over positions, conv8 is gap
    assert not alone.is_distrusted
    every = diagnose(str(SAMPLE_DATA / "A.h5"), read=read, all_pairs=True)
    assert len(every.pairs) == 6
    both = diagnose(str(SAMPLE_DATA / "A.h5"), str(SAMPLE_DATA / "B.h5"), read=read, all_pairs=True)
    assert len(both.pairs) == 16
    assert not both.is_distrusted
    # The two that are one are told of though they are of one file.
    assert [(each.x.layer, each.y.layer, each.x.file[-4:], each.y.file[-4:]) for each in both.findings
            if each.check == "same-layer" and each.verdict == LOOK] == [
        ("conv8", "gap", "A.h5", "A.h5"), ("conv8", "gap", "B.h5", "B.h5"),
    ]  # fmt: skip


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.integers(80, 200), st.integers(10, 400))
def test_sound_networks_raise_no_alarm_even_with_more_features_than_examples(tmp_path_factory, seed, n, p):
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 8
    latent = 1.2 * rng.normal(size=(8, 20))[classes] + rng.normal(size=(n, 20))
    file = tmp_path_factory.mktemp("sound") / "a.h5"
    noisy = {name: np.maximum(latent @ rng.normal(size=(20, p)), 0) + rng.normal(size=(n, p)) for name in ("x", "y")}
    write_hdf5(file, {**noisy, "labels": classes})
    diagnosis = diagnose(str(file))
    assert not diagnosis.is_distrusted, [each for each in diagnosis.findings if each.verdict == DISTRUST]
    assert (worst(diagnosis, "features-per-example").verdict == LOOK) == (p >= n)


@pytest.mark.parametrize("shift", [15, 40, 1e3, 1e6])
@pytest.mark.parametrize("n_far", [1, 10])
def test_far_rows_are_found_however_far(folder, tmp_path, n_far, shift):
    rows = np.arange(n_far) + 20
    for side in "ab":
        with h5py.File(folder / f"{side}.h5") as file:
            array = troubles.moved(file["hidden"][()].astype(float), rows, shift, 5)
        troubles.write(tmp_path / f"{side}.h5", array)
    diagnosis = diagnose(str(tmp_path / "a.h5"), str(tmp_path / "b.h5"))
    checks = ("row-of-layer", "without-row") if n_far == 1 else ("rows-of-layer", "without-rows")
    found = [worst(diagnosis, check) for check in checks]
    assert DISTRUST in {each.verdict for each in found}
    named = "row 20" if n_far == 1 else f"rows {', '.join(map(str, rows))}"
    assert all(sorted_rows(each.found).endswith(named) for each in found if each.verdict != FINE)


# --- numbers of a diagnosis


def test_the_numbers_of_a_pair_are_those_of_compare(diagnosed):
    pair = diagnosed("a", "b").pairs[0]
    x, y = troubles.network(0).astype(np.float32), troubles.network(1).astype(np.float32)
    for name, measure in (("biased", "cka"), ("debiased", "cka-debiased")):
        assert getattr(pair, name) == pytest.approx(oracle.value(x, y, measure), abs=1e-9)
        for place, sigma in enumerate((0.2, 0.4, 0.8, 1.6)):
            expected = oracle.value(x, y, measure, f"rbf:sigma={sigma}")
            assert pair.rbf[place][1 if name == "biased" else 2] == pytest.approx(expected, abs=1e-9)
    ratios = [oracle.effective_dimension(each) for each in (x, y)]
    assert pair.chance == pytest.approx(np.sqrt(ratios[0] * ratios[1]) / 299)
    ranks = [np.argsort(np.argsort(each, axis=0), axis=0) for each in (x, y)]  # there are no ties
    assert pair.ranked == pytest.approx(oracle.value(*ranks, "cka-debiased"), abs=1e-9)
    for n_removed, value in pair.without_components.items():
        rests = []
        for each in (x, y):
            u, s, v = np.linalg.svd(oracle.centred(each), full_matrices=False)
            rests.append((u[:, n_removed:] * s[n_removed:]) @ v[n_removed:])
        assert value == pytest.approx(oracle.value(*rests, "cka-debiased"), abs=1e-9)
    label, alone, _ = pair.without_label[3]
    kept = troubles.labels() != int(label)
    assert alone.value == pytest.approx(oracle.value(x[kept], y[kept], "cka-debiased"), abs=1e-9)


def test_values_in_slices_are_those_in_one_piece(folder, monkeypatch):
    whole = diagnose(str(folder / "a.h5"), str(folder / "b.h5"))
    monkeypatch.setattr(whole_matrices, "_MOST_LAYER_BYTES", 1)
    monkeypatch.setattr(whole_matrices, "SLICE_BYTES", 300 * 8 * 10)
    monkeypatch.setattr(reading, "SLICE_BYTES", 300 * 8 * 10)
    plan = whole_matrices.plan_diagnosis
    monkeypatch.setattr(room, "plan_diagnosis", lambda *job: replace(plan(*job), n_kept=0))
    sliced = diagnose(str(folder / "a.h5"), str(folder / "b.h5"), n_threads=2)
    assert [(each.check, each.verdict) for each in sliced.findings] == [
        (each.check, each.verdict) for each in whole.findings
    ]
    for one, other in zip(sliced.findings, whole.findings, strict=True):
        assert one.number == pytest.approx(other.number, rel=1e-9, abs=1e-12)
        assert one.found == other.found


@pytest.mark.parametrize("scale", [1e-30, 1e150])
def test_units_change_nothing(folder, tmp_path, diagnosed, scale):
    with h5py.File(folder / "a.h5") as file:
        write_hdf5(
            tmp_path / "a.h5", {"hidden": file["hidden"][()].astype(float) * scale, "labels": file["labels"][()]}
        )
    diagnosis = diagnose(str(tmp_path / "a.h5"), str(folder / "b.h5"))
    for one, other in zip(diagnosis.findings, diagnosed("a", "b").findings, strict=True):
        assert one.number == pytest.approx(other.number, rel=1e-6, abs=1e-9)


def test_a_label_counts_for_what_it_adds_to_a_few_rows_that_decide(diagnosed):
    pair = diagnosed("far_row_a", "b").pairs[0]
    label = str(troubles.labels()[troubles.FAR_ROW])
    _, alone, both = next(each for each in pair.without_label if each[0] == label)
    assert abs(alone.value - pair.debiased) > 0.25  # the label of the far row
    assert abs(both.value - pair.most_changed.value) < 0.05


# --- what else a user may give


def layers_of(tmp_path, **layers):
    return write_hdf5(tmp_path / "x.h5", layers)


def test_a_constant_layer_is_told_of_and_has_no_pairs(tmp_path):
    file = layers_of(
        tmp_path, a=values(30, 5), b=np.full((30, 5), 3e8), c=values(30, 4, seed=1), d=values(30, 4, seed=2)
    )
    diagnosis = diagnose(file)
    assert [(pair.x.layer, pair.y.layer) for pair in diagnosis.pairs] == [("c", "d")]
    found = [each for each in diagnosis.findings if each.x.layer == "b"]
    assert [(each.check, each.verdict, each.found) for each in found] == [
        ("constant-layer", DISTRUST, "30 rows, all the same")
    ]


def test_a_layer_that_varies_by_rounding_is_constant(tmp_path):
    almost = np.full((30, 5), 0.1) + 1e-17 * values(30, 5)
    almost[3, 2] = np.nextafter(0.1, 1)
    assert worst(diagnose(layers_of(tmp_path, a=almost)), "constant-layer").verdict == DISTRUST


def test_a_layer_that_varies_in_one_row_names_it(tmp_path):
    one = np.zeros((30, 5))
    one[17] = 2
    diagnosis = diagnose(layers_of(tmp_path, a=one, b=values(30, 5)))
    assert diagnosis.pairs == ()
    found = worst(diagnosis, "row-of-layer")
    assert (found.verdict, found.number, found.found) == (DISTRUST, 1, "all rows are the same but row 17")


def test_layers_without_a_width_or_with_few_components(tmp_path):
    sparse = np.zeros((40, 2))
    sparse[:10] = values(10, 2)
    diagnosis = diagnose(layers_of(tmp_path, a=sparse, b=values(40, 1, seed=1)))
    assert all(np.isnan(value) for _, *both in diagnosis.pairs[0].rbf for value in both)
    assert np.isnan(diagnosis.pairs[0].without_components[1])  # of one feature nothing is left
    assert worst(diagnosis, "rbf-diagonal").verdict == FINE
    assert worst(diagnosis, "doubled-rows").found.startswith("29 rows; the first, row 11, is row 10 again")


def test_narrow_layers_whose_value_is_one_direction(tmp_path):
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(200, 1)) * np.linspace(1, 2, 8)
    layers = {name: 5 * shared + rng.normal(size=(200, 8)) for name in "ab"}
    diagnosis = diagnose(layers_of(tmp_path, **layers))
    found = worst(diagnosis, "without-components")
    assert (found.verdict, found.threshold) == (LOOK, diagnosis.pairs[0].debiased / 2)
    assert worst(diagnosis, "first-component").verdict == LOOK


def test_what_is_easily_halved_is_to_be_looked_at(diagnosed):
    layer = diagnosed("a", "b").layers[0]
    easily = replace(layer, row_halving_shift=2.9, labels=(replace(layer.labels[4], halving_shift=0.4),))
    found = {each.check: each for each in judge_layer(easily, RowNames(range(300)))}
    assert found["halved-by-row"].verdict == LOOK
    assert found["halved-by-row"].found == f"row {layer.farthest_row}"
    assert (found["halved-by-label"].verdict, found["halved-by-label"].number) == (LOOK, 0.4)


def test_of_two_labels_neither_is_apart(tmp_path):
    x = values(40, 6) + 50 * (np.arange(40)[:, None] % 2)
    diagnosis = diagnose(layers_of(tmp_path, a=x, b=x[:, ::-1] + values(40, 6, seed=1), labels=np.arange(40) % 2))
    assert not [each for each in diagnosis.findings if each.check in ("label-of-layer", "label-apart")]
    assert len([each for each in diagnosis.findings if each.check == "halved-by-label"]) == 4


def test_above_the_limit_a_draw_stands_for_all_and_a_note_says_so(folder, monkeypatch):
    monkeypatch.setattr(room, "MOST_EXAMPLES", 100)
    files = [str(folder / f"{name}.h5") for name in ("far_row_a", "b")]
    diagnosis = diagnose(*files, read=ReadOptions(seed=3, ids="ids"))
    assert diagnosis.n_examples == 100
    assert diagnosis.notes[0].startswith(
        "diagnosed on 100 of the 300 examples, drawn with seed 3; a far or doubled row"
    )
    drawn = np.sort(np.random.default_rng(3).choice(300, 100, replace=False))
    x, y = (troubles.make_troubles()[name].astype(np.float32)[drawn] for name in ("far_row_a", "b"))
    assert diagnosis.pairs[0].biased == pytest.approx(oracle.value(x, y), abs=1e-9)
    row = int(worst(diagnosis, "halved-by-row").found.split()[1])
    assert row in drawn
    assert worst(diagnosis, "halved-by-row").found == f"row {row} (id {1000 + row})"


def test_rows_are_named_by_the_file_they_lie_in_and_by_id(folder, tmp_path):
    order = np.random.default_rng(4).permutation(300)
    with h5py.File(folder / "far_row_a.h5") as file:
        write_hdf5(tmp_path / "y.h5", {"hidden": file["hidden"][()][order], "ids": file["ids"][()][order].astype("S4")})
    write_hdf5(
        tmp_path / "x.h5", {"hidden": troubles.network(1)[::-1], "ids": np.arange(1000, 1300)[::-1].astype("S4")}
    )
    diagnosis = diagnose(
        str(tmp_path / "x.h5"), str(tmp_path / "y.h5"), read=ReadOptions(ids="ids", examples=(10, None))
    )
    found = [each for each in diagnosis.findings if each.check == "row-of-layer" and each.verdict == DISTRUST]
    assert [(Path(each.x.file).name, each.found) for each in found] == [
        ("y.h5", f"row {np.flatnonzero(order == 41)[0]} (id 1041)")
    ]
    assert worst(diagnosis, "without-row").found.endswith("without row 258 (id 1041)")


def test_positions_are_rows(tmp_path):
    images = values(40, 3, 4, 4)
    images[12, :, 1, 2] += 1000
    diagnosis = diagnose(layers_of(tmp_path, a=images, labels=np.arange(40) % 4), read=ReadOptions(pool="positions"))
    assert diagnosis.n_examples == 640
    assert worst(diagnosis, "row-of-layer").found == "row 12 at position 6"
    assert diagnosis.labels == "labels"


def test_more_positions_than_rows_that_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "MOST_EXAMPLES", 15)
    with pytest.raises(DataError, match="16 positions, but diagnose takes at most 15 rows; use --pool mean"):
        diagnose(layers_of(tmp_path, a=values(40, 3, 4, 4)), read=ReadOptions(pool="positions"))


@pytest.mark.parametrize(
    ("labels", "note"), [(np.arange(30), "30 labels on 30"), (np.zeros(30), "1 labels on 30"), (np.arange(12), None)]
)
def test_labels_that_are_no_classes_are_not_checked(tmp_path, labels, note):
    diagnosis = diagnose(layers_of(tmp_path, a=values(30, 5), labels=labels))
    assert diagnosis.labels == ""
    assert [note in each for each in diagnosis.notes] == [True] * (note is not None)


@pytest.mark.parametrize("kind", ["text", "bytes", "numbers"])
def test_labels_of_any_type_from_either_file_in_their_order(folder, tmp_path, kind):
    labels = {"text": np.array(["b", "a", "c"] * 100, dtype=object), "bytes": np.array([b"b", b"a", b"c"] * 100),
              "numbers": np.array([10, 9, 2.5] * 100)}[kind]  # fmt: skip
    write_hdf5(tmp_path / "x.h5", {"hidden": values(300, 5)})
    write_hdf5(tmp_path / "y.h5", {"hidden": values(300, 5, seed=1), "kinds/of": labels})
    diagnosis = diagnose(str(tmp_path / "x.h5"), str(tmp_path / "y.h5"), labels="/kinds/of")
    assert [label for label, _, _ in diagnosis.pairs[0].without_label] == (
        ["2.5", "9.0", "10.0"] if kind == "numbers" else ["a", "b", "c"]
    )


def test_layers_are_paired_by_name_else_by_place(tmp_path):
    write_hdf5(tmp_path / "x.h5", {name: values(30, 4, seed=seed) for seed, name in enumerate("abcdef")})
    write_hdf5(tmp_path / "y.h5", {name: values(30, 4, seed=10 + seed) for seed, name in enumerate("zb")})
    write_hdf5(tmp_path / "z.h5", {name: values(30, 4, seed=20 + seed) for seed, name in enumerate("uvwxyz")})
    x, y, z = (str(tmp_path / f"{name}.h5") for name in "xyz")
    by_name = diagnose(x, y)
    assert [(pair.x.layer, pair.y.layer) for pair in by_name.pairs] == [("b", "b")]
    assert by_name.notes == (
        f"a, c, d, e and 1 more layer: no layer of this name in {y}; --all-pairs takes every pair",
    )
    assert [(pair.x.layer, pair.y.layer) for pair in diagnose(x, z).pairs] == list(zip("abcdef", "uvwxyz", strict=True))
    assert [(pair.x.layer, pair.y.layer) for pair in diagnose(f"{x}::a", f"{y}::z").pairs] == [("a", "z")]
    with pytest.raises(DataError, match=r"no layer has the name of one of .*x.h5, and it has 1 where that has 6"):
        diagnose(x, f"{y}::z")
    assert len(diagnose(x, y, all_pairs=True).pairs) == 12


def test_a_file_with_itself_is_the_same_layer_each_time(folder):
    diagnosis = diagnose(str(folder / "a.h5"), str(folder / "a.h5"))
    assert [each.verdict for each in diagnosis.findings if each.check == "same-layer"] == [LOOK]


def test_names_of_many_rows_end():
    rows = RowNames(range(100, 200))
    assert rows.names([3]) == "row 103"
    assert rows.names(range(12)) == f"rows {', '.join(str(row) for row in range(100, 112))}"
    assert rows.names(range(14)).endswith("110, 111 and 2 more")


def test_no_value_is_not_called_wrong():
    nothing = float("nan")
    for check in CHECKS.values():
        assert check.verdict(nothing, 1.0, 2.0) == (FINE, 1.0)
    assert CHECKS["constant-layer"].verdict(0.0, None, 0.5) == (FINE, 0.5)


def test_a_layer_far_from_zero_that_varies_is_not_called_constant(tmp_path):
    far = 1e15 + 0.125 * np.round(8 * values(60, 5, dtype="float64"))
    assert worst(diagnose(layers_of(tmp_path, a=far)), "constant-layer").verdict == FINE
