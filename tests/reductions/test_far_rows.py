"""A few rows that lie far out take no digits from the others, whatever the kernel and the route; nor does an offset."""

import csv
import io

import numpy as np
import pytest

from cka_cli import compare, diagnose, explain
from cka_cli.floating_point import flags_off
from cka_cli.pictures.explain import draw_explained
from cka_cli.reductions.far_rows import NO_FAR_ROWS, Landmark, amid, distances_between, rows_in_the_middle
from tests import oracle, precise
from tests.cli.command import run_here
from tests.report.written import format_explanation
from tests.small_files import values as noise
from tests.small_files import write_hdf5

FILLS = [1e4, 1e5, 1e6, 1e7, 1e8, 1e10, 1e13, 1e16, 1e20]
FAR_PLACES = {"one": [7], "two": [3, 41], "a twentieth": [0, 29, 59]}
# Of these, no row that lies far out has more weight than any other.
BOUNDED = ["rbf", "rbf:sigma=0.2", "rbf:gamma=0.1", "laplacian", "cosine"]
ALL = [*BOUNDED, "linear", "polynomial", "sigmoid"]
MEASURES = ["cka", "cka-debiased"]
# Rows are taken in pieces where so much memory is allowed.
IN_PIECES = 5 << 20


def two_layers(n_examples=60, n_x=8, n_y=6, dtype="float64"):
    rng = np.random.default_rng(26)
    x = rng.normal(size=(n_examples, n_x))
    y = np.tanh(x @ rng.normal(size=(n_x, n_y)) / np.sqrt(n_x / 8)) + 0.1 * rng.normal(size=(n_examples, n_y))
    return x.astype(dtype), y.astype(dtype)


def filled(places, fill, **options):
    x, y = two_layers(**options)
    x[places] = fill
    return x, y


def assert_as_precise(comparison, x, y, atol=1e-9):
    expected = {}
    for matrix in comparison.matrices:
        kernel = matrix.kernel.replace("gamma=auto,", "").replace("gamma=auto", "").rstrip(":")
        if kernel not in expected:
            expected[kernel] = precise.values(x, y, kernel)
        assert matrix.values[0, 0] == pytest.approx(expected[kernel][matrix.measure], abs=atol), matrix.title


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("places", FAR_PLACES.values(), ids=FAR_PLACES)
def test_a_fill_of_any_size_leaves_the_other_rows_their_digits(compare_layers, places, fill):
    x, y = filled(places, fill)
    comparison = compare_layers({"x": x}, {"y": y}, measures=MEASURES, kernels=BOUNDED)
    assert comparison.notes == ()
    assert_as_precise(comparison, x, y)


@pytest.mark.parametrize("fill", [1e5, 1e8, 1e20])
def test_kernels_in_which_the_far_row_counts_for_all_are_right_too_and_name_it(compare_layers, fill):
    x, y = filled([7], fill)
    comparison = compare_layers({"x": x}, {"y": y}, measures=MEASURES, kernels=["linear", "polynomial", "sigmoid"])
    assert_as_precise(comparison, x, y)
    (note,) = comparison.notes
    assert note.startswith("row 7 of ")
    assert note.endswith(
        " times as far out as most rows (a lost example?), and values of linear, polynomial:degree=3,gamma=auto,"
        "coef0=1 may be of such rows alone; mend the file, or use -k rbf or -k cosine"
    )


def test_one_note_names_the_far_rows_of_many_layers(tmp_path):
    layers = {f"l{place}": noise(40, 5, seed=place, dtype="f8") for place in range(6)}
    for place, values in enumerate(layers.values()):
        values[place] = 10.0 ** (10 + place)
    path = write_hdf5(tmp_path / "a.h5", layers)
    note, of_components = compare(path, measures=["cka", "cca-r2"]).notes
    named = ", ".join(f"row {place} of {path}::l{place}" for place in range(4))
    assert note.startswith(f"{named} and 2 more rows lie up to ")
    assert "(a lost example?), and values of linear, cca-r2 may be of such rows alone; " in note
    assert of_components == f"cca-r2: nan, since components have lost digits beside row 5 of {path}::l5"


ROUTES = {
    "in memory": {},
    "in pieces": {"memory_bytes": IN_PIECES},
    "one batch": {"n_batch": 120},
    "single": {"precision": "single"},
    "single in pieces": {"precision": "single", "memory_bytes": IN_PIECES},
    "with statistics": {"stats": True},
    "cosine alone": {"kernels": ["cosine"]},
    "cosine alone in pieces": {"kernels": ["cosine"], "memory_bytes": IN_PIECES},
    "rows in another order": {},
}


@pytest.mark.parametrize("fill", [1e5, 1e20, 1e38])
@pytest.mark.parametrize("route", ROUTES)
def test_every_route_gives_the_same(compare_layers, route, fill):
    options = {"kernels": ["rbf", "rbf:gamma=0.01", "laplacian", "cosine"], **ROUTES[route]}
    x, y = filled([3, 50], fill, n_examples=120, n_x=20, n_y=15, dtype="float32")
    x[77] = -fill / 3
    if route == "rows in another order":
        order = np.random.default_rng(1).permutation(120)
        x, y = x[order], y[order]
    single = options.get("precision") == "single"
    comparison = compare_layers({"x": x}, {"y": y}, measures=MEASURES, **{"precision": "double", **options})
    assert_as_precise(comparison, x, y, atol=2e-6 if single else 1e-9)
    if options.get("stats"):
        assert all(0 < matrix.statistics.std_error[0, 0] < 0.2 for matrix in comparison.matrices)


def test_rows_that_lie_far_out_and_near_each_other_keep_their_distances(compare_layers):
    # Half of the rows a hundred million away from the other half, and in each half all different.
    x, y = two_layers()
    x[::2] += 1e8
    comparison = compare_layers({"x": x}, {"y": y}, measures=MEASURES, kernels=[*BOUNDED, "linear", "polynomial"])
    assert_as_precise(comparison, x, y, atol=1e-8)  # at 1e8 eight digits of a difference of 1 are saved


def test_the_sigmoid_of_rows_near_0_is_doubted_when_most_lie_far_from_it(compare_layers):
    x, y = two_layers()
    x[:40] += 1e8
    comparison = compare_layers({"x": x}, {"y": y}, kernels=["sigmoid"])
    assert any("rows lie so far from each other that values of sigmoid" in note for note in comparison.notes)


def test_the_sigmoid_of_rows_of_all_lengths_is_doubted(compare_layers):
    x, y = two_layers()
    x *= 10.0 ** np.random.default_rng(0).uniform(-50, 50, size=(60, 1))
    comparison = compare_layers({"x": x}, {"y": y}, kernels=["sigmoid:gamma=1"])
    assert any("so far from each other that values of sigmoid" in note for note in comparison.notes)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kernel", ALL)
@pytest.mark.parametrize("kind", ["lengths", "offset", "own offsets", "tiny", "saturated"])
def test_milder_kinds(compare_layers, kind, kernel, seed):
    rng = np.random.default_rng(seed)
    x, y = two_layers()
    if kind == "lengths":
        x, y = (each * np.exp(rng.uniform(-9, 9, size=(60, 1))) for each in (x, y))
    elif kind == "offset":
        x, y = x + 1e6, y + 1e6
    elif kind == "own offsets":
        x, y = x + 1e6 * rng.normal(size=8), y + 1e3
    elif kind == "tiny":
        x, y = x * 1e-6, y * 1e-7
    else:
        x, y = x / 4 + 4, y / 4 + 3
    comparison = compare_layers({"x": x}, {"y": y}, measures=MEASURES, kernels=[kernel])
    if kernel == "sigmoid" and "offset" in kind:
        assert all(np.isnan(matrix.values).all() for matrix in comparison.matrices)
        assert "constant to rounding" in comparison.notes[0]
    else:
        assert_as_precise(comparison, x, y)


@pytest.mark.parametrize("kernel", ["rbf", "rbf:gamma=0.1", "laplacian", "cosine", "linear"])
@pytest.mark.parametrize("memory", [None, IN_PIECES])
@pytest.mark.parametrize(("n", "step"), [(97, 12), (65, 8), (61, 3)])
def test_every_so_manieth_row_may_be_lost(compare_layers, n, step, memory, kernel):
    x, y = two_layers(n)
    x[::step] = 1e20
    comparison = compare_layers({"x": x}, {"y": y}, measures=MEASURES, kernels=[kernel], memory_bytes=memory)
    assert_as_precise(comparison, x, y)


@pytest.mark.parametrize("share", [0.2, 0.3, 0.45])
def test_a_share_of_rows_lost_at_random(compare_layers, share):
    rng = np.random.default_rng(5)
    x, y = two_layers()
    x[rng.random(60) < share] = 1e20
    y[rng.random(60) < share / 3] = -1e15
    assert_as_precise(compare_layers({"x": x}, {"y": y}, measures=MEASURES, kernels=BOUNDED), x, y)


@pytest.mark.parametrize("kernel", ["rbf:gamma=0.1", "laplacian", "sigmoid:gamma=0.1", "polynomial"])
@pytest.mark.parametrize("value", [0.0, 1.0, 1e-3])
def test_rows_that_are_all_equal_but_for_a_few(compare_layers, value, kernel):
    _, y = two_layers()
    for x in (np.full((60, 5), value), np.full((60, 5), value)):
        x[11], x[30] = 1e20, -1e20
        if value:
            x[40] = 2 * value
        assert_as_precise(compare_layers({"x": x}, {"y": y}, kernels=[kernel]), x, y)


def test_rows_of_one_direction_have_no_cosine(compare_layers):
    x, y = np.ones((40, 5)), two_layers(40)[1]
    x[11], x[12] = 1e20, 3.7
    comparison = compare_layers({"x": x}, {"y": y}, kernels=["cosine"])
    assert np.isnan(comparison.matrices[0].values).all()
    assert "constant to rounding" in comparison.notes[-1]


@pytest.mark.parametrize("memory", [None, IN_PIECES])
@pytest.mark.parametrize("kernels", [["cosine"], ["cosine", "rbf"]])
@pytest.mark.parametrize(("offset", "length"), [(0, 1e-12), (0, 1e-18), (1, 1e-15), (100, 1e-12), (1e6, 1e-9)])
def test_short_rows_keep_their_directions(compare_layers, offset, length, kernels, memory):
    x, y = two_layers()
    x += offset
    x[::3] = length * np.random.default_rng(3).normal(size=(20, 8))
    y[::3] = x[::3, :6] / length
    for batch in (None, 60):
        options = {"memory_bytes": memory} if batch is None else {"n_batch": batch}
        assert_as_precise(compare_layers({"x": x}, {"y": y}, measures=MEASURES, kernels=kernels, **options), x, y)


@pytest.mark.parametrize("n_groups", [2, 3, 4])
@pytest.mark.parametrize("apart", [1e3, 1e6, 1e8])
def test_distances_within_groups_of_rows_far_apart(compare_layers, apart, n_groups):
    rng = np.random.default_rng(0)
    within, y = two_layers()
    x = apart * rng.normal(size=(n_groups, 8))[np.arange(60) % n_groups] + within
    kernels = ["rbf:gamma=0.1", "rbf", "laplacian", "cosine"]
    comparison = compare_layers({"x": x}, {"y": y}, measures=MEASURES, kernels=kernels)
    assert_as_precise(comparison, x, y, atol=1e-8 if apart > 1e7 else 1e-9)
    x = x.astype("f4")
    if apart < 1e4:
        comparison = compare_layers({"x": x}, {"y": y}, kernels=["rbf:gamma=0.1"], precision="single")
        assert_as_precise(comparison, x, y, atol=1e-4)


# --- linear alone, which products of features give: debiased values are of what these leave out


@pytest.mark.parametrize("memory", [None, IN_PIECES])
@pytest.mark.parametrize("fill", [1e2, 1e3, 1e6, 1e9, 1e20])
@pytest.mark.parametrize("places", FAR_PLACES.values(), ids=FAR_PLACES)
def test_the_linear_kernel_alone(compare_layers, places, fill, memory):
    rng = np.random.default_rng(0)
    x, y = two_layers()
    x[places] = fill * (1 + 0.1 * rng.normal(size=(len(places), 8)))
    comparison = compare_layers({"x": x}, {"y": y}, measures=MEASURES, memory_bytes=memory)
    assert_as_precise(comparison, x, y)


@pytest.mark.parametrize("far", [50.0, 900.0, 3e3, 9e3])
def test_features_that_a_far_row_alone_is_awake_in(compare_layers, far):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 6))
    x[:, :4], y = 0, np.zeros((20, 6))
    y[:, 4:] = x[:, 4:] @ rng.normal(size=(2, 2)) + rng.normal(size=(20, 2))
    x[7, :4], y[11, :4] = far, far
    assert_as_precise(compare_layers({"x": x}, {"y": y}, measures=MEASURES), x, y)


def test_statistics_of_the_linear_kernel_beside_a_far_row_are_left_out_with_a_note(compare_layers):
    x, y = filled([7], 1e9)
    comparison = compare_layers({"x": x}, {"y": y}, measures=MEASURES, stats=True)
    assert all(np.isnan(matrix.statistics.std_error).all() for matrix in comparison.matrices)
    (note,) = [note for note in comparison.notes if note.startswith("std_error: empty, since sums without row 7 of ")]
    assert note.endswith("::x have no digits left")


def test_hsic_in_the_units_of_the_layers(compare_layers):
    x, y = filled([7], 1e8)
    comparison = compare_layers({"x": x}, {"y": y}, measures=["hsic", "hsic-unbiased"], kernels=["linear", "rbf"])
    for matrix in comparison.matrices:
        expected = oracle.value(x - x[0], y, matrix.measure, matrix.kernel)
        assert matrix.values[0, 0] == pytest.approx(expected, rel=1e-9)


# --- components, which lose their digits to a far row by the nature of a decomposition


@pytest.mark.parametrize(("fill", "is_lost"), [(1e6, False), (1e9, False), (1e15, True), (1e20, True)])
def test_measures_of_components_are_right_or_tell(compare_layers, fill, is_lost):
    names = ["cca-r2", "cca-rho", "pwcca", "regression-r2", "procrustes", "svcca-r2"]
    x, y = filled([7], fill)
    comparison = compare_layers({"y": y}, {"x": x}, measures=names)
    values = {matrix.measure.partition(":")[0]: matrix.values[0, 0] for matrix in comparison.matrices}
    for name in names[:4]:
        assert np.isnan(values[name]) == is_lost
    assert np.isfinite([values["procrustes"], values["svcca-r2"]]).all()
    told = [note for note in comparison.notes if note.startswith("cca-r2, cca-rho, pwcca, regression-r2: ")]
    assert len(told) == (fill > 1e7)
    if not is_lost:
        limit = x.copy()
        limit[7] = 1e6
        expected = oracle.value(y, limit, "cca-r2", "linear")
        assert values["cca-r2"] == pytest.approx(expected, abs=1e-5)


def test_explain_names_the_row(tmp_path):
    x, y = filled([7], 1e20)
    path = write_hdf5(tmp_path / "a.h5", {"x": x, "y": y})
    found = explain(f"{path}::x", f"{path}::y")
    assert found.pairs.cka == pytest.approx(precise.value(x, y, "cka", "linear"), abs=1e-9)
    assert np.isnan(found.pairs.cca_r2)
    assert any(
        note.startswith(f"{path}::x: row 7 lies ") and "those behind it have no digits" in note for note in found.notes
    )
    tame = explain(f"{path}::y", f"{path}::y")
    assert not any("lies" in note for note in tame.notes)


@pytest.mark.parametrize(("places", "fill", "n_features"), [([7], 1e20, 5), ([7], 1e15, 5), ([3, 7], 1e20, 5),
    ([7], 1e20, 40)])  # fmt: skip
def test_explain_shares_out_nothing_of_a_cca_that_is_nan(tmp_path, places, fill, n_features):
    x, y = filled(places, fill)
    y = np.hstack([y, np.random.default_rng(3).standard_normal((len(y), n_features))])
    path = write_hdf5(tmp_path / "a.h5", {"x": x, "y": y})
    found = explain(f"{path}::x", f"{path}::y")
    shown = format_explanation(found, 2, "table")
    assert ", CCA R² nan, " in shown
    assert "CCA R² is nan" in found.sentence
    assert not any(note.startswith("CCA R²") for note in found.notes)  # of values by force, which it has none
    for line in shown.split("\n\n")[2:4]:  # the components of X, and of Y
        assert all(row.endswith("-       -") for row in line.splitlines()[1:])
    rows = list(csv.DictReader(io.StringIO(format_explanation(found, 2, "csv"))))
    assert {row["cca_share"] for row in rows} == {"nan"}
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1)
    assert all(np.isnan(removal.rest.cca_r2) for removal in found.pairs.removals())
    assert "share of CCA R² (nan)" in {text.get_text() for text in draw_explained(found).texts}


@pytest.mark.parametrize("fill", [1e4, 1e8, 1e20])
def test_diagnose_is_not_misled(tmp_path, fill):
    x, y = filled([7], fill)
    path = write_hdf5(tmp_path / "a.h5", {"x": x, "y": y})
    found = diagnose(path)
    assert [layer.doubled for layer in found.layers] == [(), ()]
    (pair,) = found.pairs
    assert pair.debiased == pytest.approx(precise.value(x, y, "cka-debiased", "linear"), abs=1e-9)
    for sigma, biased, debiased in pair.rbf:
        expected = precise.values(x, y, f"rbf:sigma={sigma}")
        assert [biased, debiased] == pytest.approx([expected["cka"], expected["cka-debiased"]], abs=1e-9)
    assert any(finding.check == "row-of-layer" and finding.verdict == "do not trust" for finding in found.findings)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_diagnose_compares_rows_as_they_are_saved(tmp_path, dtype, offset):
    values = (noise(60, 20, dtype="f8") + offset).astype(dtype)
    values[40:45], values[50] = values[10:15], values[10]
    values[55] = values[20]
    values[55, 3] = np.nextafter(values[20, 3], np.array(np.inf, dtype))  # nearly equal is another row
    layers = {"x": values, "whole": np.round(values.astype("f8") * 10).astype("i4"), "filled": values.copy()}
    layers["filled"][7] = np.finfo(dtype).max
    doubled = {40: 10, 41: 11, 42: 12, 43: 13, 44: 14, 50: 10}
    diagnosis = diagnose(write_hdf5(tmp_path / "a.h5", layers))
    found = {layer.address.layer: dict(layer.doubled) for layer in diagnosis.layers}
    assert found["x"] == found["filled"] == doubled
    assert {row: first for row, first in found["whole"].items() if row != 55} == doubled


def test_a_row_of_0_and_one_of_minus_0_are_one_row(tmp_path):
    values = noise(30, 4, dtype="f8")
    values[3], values[9] = 0.0, -0.0
    (layer,) = diagnose(write_hdf5(tmp_path / "a.h5", {"x": values})).layers
    assert layer.doubled == ((9, 3),)


QUIET = {
    "linear": (["compare"], 1e6, "linear may be of such rows alone"),
    "components": (["compare", "-m", "cca-r2"], 1e9, "cca-r2: good to about "),
    "beyond all digits": (["compare", "-m", "pwcca"], 1e20, "pwcca: nan, since components have lost digits beside "),
    "statistics": (["compare", "--stats", "-m", "cka-debiased"], 1e9, "std_error: empty, since sums without row 7 of "),
    "explain": (["explain"], 1e6, "the first component is that row"),
    "match": (["match"], 1e6, "linear may be of such rows alone"),
    "heatmap": (["heatmap", "-o", "a.png"], 1e6, "linear may be of such rows alone"),
}


@pytest.mark.parametrize("kind", QUIET)
def test_what_is_said_of_far_rows_is_said_by_quiet_too(tmp_path, monkeypatch, capsysbinary, kind):
    monkeypatch.chdir(tmp_path)
    command, fill, said = QUIET[kind]
    x, y = filled([7], fill)
    write_hdf5("x.h5", {"one": x, "two": x[:, :5]})
    write_hdf5("y.h5", {"one": y, "two": y[:, :5]})
    layer = "::one" if command == ["explain"] else ""
    ended = run_here([*command, f"x.h5{layer}", f"y.h5{layer}", "-q"], capsysbinary)
    assert ended.status == 0
    assert any(said in line for line in ended.err.splitlines())
    tame = run_here([*command, f"y.h5{layer}", f"y.h5{layer}", "-q", *["-f"] * (command[0] == "heatmap")], capsysbinary)
    assert (tame.status, tame.err) == (0, "")


def test_digits_that_a_kernel_lost_are_told_of_by_quiet_too(compare_layers):
    x, y = two_layers()
    x[:40] += 1e8
    comparison = compare_layers({"x": x}, {"y": y}, kernels=["sigmoid"])
    assert any("rows lie so far from each other that values of sigmoid" in warning for warning in comparison.warnings)
    assert set(comparison.warnings) <= set(comparison.notes)


# --- finding them


def landmark_of(values):
    sample = values[rows_in_the_middle(np.abs(values).max(axis=1))]
    place, typical = amid(distances_between([sample[:, :3], sample[:, 3:]]))
    return Landmark(sample[place], typical)


@pytest.mark.parametrize("places", [[0], [59], [0, 7, 14], list(range(0, 60, 3)), [44, 45, 46], list(range(25))])
@pytest.mark.parametrize("fill", [1e3, 1e300, np.finfo("f8").max])
def test_rows_that_lie_far_out_are_found_wherever_they_stand(places, fill):
    values, _ = filled(places, fill)
    with flags_off():  # infinitely far is far
        landmark = landmark_of(values)
        far = landmark.far_rows(landmark.distances(values), fill)
    assert not landmark.holds_all(values.min(), values.max())
    assert far.places.tolist() == places
    assert far.farthest in places


def test_none_is_found_where_none_is():
    values = noise(500, 8)
    landmark = landmark_of(values)
    assert landmark.holds_all(values.min(), values.max())
    assert landmark.far_rows(landmark.distances(values), 5.0) is NO_FAR_ROWS
    shifted = values + 1e4 * np.arange(8)  # so far from 0, each feature elsewhere, that only the distances tell
    landmark = landmark_of(shifted)
    assert not landmark.holds_all(shifted.min(), shifted.max())
    assert landmark.far_rows(landmark.distances(shifted), 1e4) is NO_FAR_ROWS


def test_most_rows_equal_and_one_far_out():
    values = np.zeros((60, 8))
    values[5], values[6], values[50], values[20] = 1.0, 2.0, 1.5, 1e9
    landmark = landmark_of(values)
    assert landmark.typical == 0
    assert landmark.far_rows(landmark.distances(values), 1e9).places.tolist() == [5, 6, 20, 50]  # all that differ


def test_a_block_leaves_out_its_far_rows():
    values, _ = filled([3, 41], 1e9)
    far = landmark_of(values).far_rows(landmark_of(values).distances(values), 1e9)
    assert len(far.leave_out(values[:10], 0)) == 9
    assert len(far.leave_out(values[10:41], 10)) == 31
    assert len(far.leave_out(values[40:], 40)) == 19
