"""Folders whose files are rows of the same layers: known by their names, joined in order, refused where rows lack."""

# ruff: noqa: E501 - a line of a table holds what a user sees

import os
import pickle
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from cka_cli import compare
from cka_cli.errors import DataError, UsageError
from cka_cli.execution.checkpoint import facts_of_file
from cka_cli.files import open_file, registry
from cka_cli.options import ReadOptions
from tests.files.format_tests import RUNS
from tests.small_files import values

ROWS = values(88, 6)
SIZES = [8] * 11
JOIN = ReadOptions(shards="join")


def cut(sizes, array=ROWS):
    return np.split(array[: sum(sizes)], np.cumsum(sizes)[:-1])


def named(pattern, numbers, sizes=SIZES):
    return {pattern.format(number): part for number, part in zip(numbers, cut(sizes), strict=True)}


def spans(sizes, pattern="features_{}-{}.npy", offset=0):
    ends = np.cumsum(sizes).tolist()
    return {
        pattern.format(end - size, end - offset): part for end, size, part in zip(ends, sizes, cut(sizes), strict=True)
    }


@pytest.fixture
def folder(tmp_path):
    def write(files, name="acts"):
        for file, array in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.endswith(".npy"):
                np.save(path, array)
            elif file.endswith(".npz"):
                np.savez(path, **array)
            else:
                with h5py.File(path, "w") as made:
                    for key, each in array.items():
                        made[key] = each
        return str(tmp_path / name)

    return write


def read(layer):
    return layer.read(0, layer.shape[0])


JOINED = {
    "ranges": (spans(SIZES), "features"),
    "ranges of numbers that grow in length": (spans([50, 38]), "features"),
    "ranges with their last row": (spans(SIZES, offset=1), "features"),
    "ranges in words": (spans(SIZES, "conv1_{}_to_{}.npy"), "conv1"),
    "ranges with underscores": (spans(SIZES, "conv1_{}_{}.npy"), "conv1"),
    "ranges, the last shorter than it says": (
        {**spans([40, 40]), "features_80-120.npy": ROWS[80:88]}, "features"
    ),
    "ranges whose ends are the same": (named("features_{0}-{0}.npy", range(0, 88, 8)), "features"),
    "ranges whose ends are both the last": (named("features_{0}-{0}.npy", range(8, 89, 8)), "features"),
    "batches": (named("batch_{}.npy", range(11)), "batch"),
    "batches by their first row": (named("batch_{}.npy", [0, 8, 40], [8, 32, 48]), "batch"),
    "batches by the row behind": (named("batch_{}.npy", [8, 40, 88], [8, 32, 48]), "batch"),
    "shards": (named("conv1_shard{}.npy", range(11)), "conv1"),
    "parts of so many": (named("part-{:05}-of-00011.npy", range(11)), "part"),
    "so many, without a word": (named("conv1-{:05}-of-00011.npy", range(1, 12)), "conv1"),
    "chunks": (named("conv1.chunk.{}.npy", range(11)), "conv1"),
    "ranks": (named("rank{}/conv1.npy", range(11)), "conv1"),
    "acts": (named("acts_{}.npy", range(11)), "acts"),
    "requests": (named("req-{}.npy", range(11)), "req"),
    "numbers alone": (named("{}.npy", range(11)), "acts"),
    "numbers in a folder": (named("conv1/{:03}.npy", range(1, 12)), "conv1"),
    "capitals": (named("Conv1_Batch{}.npy", range(11)), "Conv1"),
}  # fmt: skip


@pytest.mark.parametrize("case", JOINED)
def test_shards_are_joined_in_the_order_of_their_numbers(folder, case):
    files, name = JOINED[case]
    path = folder(files)
    file = open_file(path)
    (layer,) = file.layers
    assert (layer.name, layer.shape) == (name, ROWS.shape)
    np.testing.assert_array_equal(read(layer), ROWS)
    (note,) = file.notes
    assert note.startswith(f"{path}: rows of {len(files)} files (")
    assert note.endswith(f") joined as {name}, 88 rows; give --shards separate if they are layers")


@pytest.mark.parametrize(
    "files",
    [spans([64, 24]), named("batch_{}.npy", [0, 1], [64, 24]), named("{}.npy", [0, 1], [64, 24])],
    ids=["ranges", "batches", "numbers"],
)
def test_rows_of_one_shard_are_not_compared_with_those_of_another(folder, files, tmp_path):
    np.save(tmp_path / "whole.npy", ROWS)
    found = compare(folder(files), str(tmp_path / "whole.npy")).matrices[0]
    assert found.values.tolist() == [[pytest.approx(1, abs=1e-12)]]
    assert found.n_examples == 88


def test_several_layers_and_what_has_one_axis_are_joined_beside_each_other(folder):
    layers = {"conv2": ROWS, "conv10": ROWS[:, :2], "ids": np.arange(88)}
    names = {f"{name}_batch_{number}.npy": array[8 * number : 8 * number + 8]
             for name, array in layers.items() for number in range(11)}  # fmt: skip
    file = open_file(folder(names))
    assert [layer.name for layer in file.layers] == ["conv2", "conv10"]
    for found in (*file.layers, *file.vectors):
        np.testing.assert_array_equal(read(found), layers[found.name])
    assert len(file.notes) == 1


@pytest.mark.parametrize("ending", [".npz", ".h5"])
@pytest.mark.parametrize("sizes", [SIZES, [3, 0, 80, 5]])
def test_files_of_several_arrays_are_joined_array_by_array(folder, ending, sizes):
    conv2, ids = ROWS.reshape(88, 2, 3), np.arange(88)
    files = {
        f"batch_{number}{ending}": {"conv1": part, "conv2": second, "ids": some}
        for number, (part, second, some) in enumerate(zip(cut(sizes), cut(sizes, conv2), cut(sizes, ids), strict=True))
    }
    if ending == ".h5" and 0 in sizes:
        pytest.skip("netCDF and others hold such rows as never written")
    path = folder(files)
    file = open_file(path)
    assert [layer.name for layer in file.layers] == ["conv1", "conv2"]
    for found, expected in zip((*file.layers, *file.vectors), (ROWS, conv2, ids), strict=True):
        np.testing.assert_array_equal(read(found), expected)
    assert sorted(registry.members(path)) == sorted(f"{path}/{name}" for name in files)
    assert ("without rows: batch_1" in file.notes[0]) == (0 in sizes)


def test_files_of_models_are_no_shards(folder):
    file = open_file(folder({f"resnet{depth}.npz": {"conv1": ROWS} for depth in (18, 50)}))
    assert [layer.name for layer in file.layers] == ["resnet18/conv1", "resnet50/conv1"]
    assert file.notes == ()


def test_files_named_at_random_are_joined_where_that_is_asked_for(folder):
    path = folder(
        {f"cmpl-{name}.npz": {"hidden_states": part} for name, part in zip("cab", cut([8, 30, 50]), strict=True)}
    )
    with pytest.raises(DataError, match="join files that are rows of one layer with --shards join, or say"):
        compare(path)
    file = open_file(path, JOIN)
    np.testing.assert_array_equal(read(file.layers[0]), np.concatenate([ROWS[8:38], ROWS[38:88], ROWS[:8]]))
    assert file.notes[0].endswith("; in the order of their names")


LAYERS = {
    "layers": (named("layer_{}.npy", range(11)), "layer_0 to layer_10 taken for layers"),
    "layers without a separator": (named("conv{}.npy", range(11)), ""),
    "layers in a folder that says so": (named("layers/{}.npy", range(11)), "layers/0 to layers/10 taken for layers"),
    "acts of another width each": ({"acts_0.npy": ROWS, "acts_1.npy": ROWS[:, :3]}, ""),
    "blocks and their parts": ({f"b_{i}-{j}.npy": ROWS for i in (1, 2) for j in (3, 4)}, "b_1-3 to b_1-4, and 1 more run so"),
    "of one axis": ({"0.npy": ROWS[0], "1.npy": ROWS[1]}, ""),
    "a single file": ({"batch_0.npy": ROWS}, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS)
def test_what_may_be_layers_stays_layers(folder, case):
    files, said = LAYERS[case]
    path = folder(files)
    file = open_file(path)
    assert sorted(file.names) == sorted(name.removesuffix(".npy") for name in files)
    assert [note.removeprefix(f"{path}: ").startswith(said) for note in file.notes] == [True] * bool(said)
    assert all(note.endswith("if they are rows of one, give --shards join") for note in file.notes)
    assert open_file(path, ReadOptions(shards="separate")).notes == ()


REFUSED = {
    "a number is missing": (
        named("batch_{}.npy", [0, 1, 3], [8] * 3), "batch: of its shards number 2 is missing between batch_1 and batch_3"
    ),
    "numbers are missing": (
        named("{}.npy", [0, 1, 10], [8] * 3), "acts: of its shards numbers 2 to 9 are missing between 1 and 10"
    ),
    "a file of so many is missing": (
        named("part-{}-of-3.npy", [0, 2], [8] * 2), "part: of its shards 2 files where the names say 3"
    ),
    "of more files than there are numbers": (
        named("part-{}-of-99999999999999999999.npy", [0, 1], [8] * 2),
        "part: of its shards 2 files where the names say 99999999999999999999",
    ),
    "a range is missing": (
        {**spans([8, 8]), "features_24-32.npy": ROWS[24:32]},
        "features: of its shards rows 16 to 24 are missing between features_8-16 and features_24-32",
    ),
    "ranges overlap": (
        {**spans([8, 8]), "features_12-20.npy": ROWS[12:20]},
        "features: of its shards rows are twice in features_8-16 and features_12-20",
    ),
    "a range has fewer rows": (
        {**spans([8, 8, 8]), "features_8-16.npy": ROWS[8:14]},
        "features: of its shards features_8-16 holds 6 rows, not those its name tells",
    ),
    "a rank lacks a batch": (
        {f"rank_{rank}_batch_{number}.npy": ROWS[:8] for rank, number in [(0, 0), (0, 1), (1, 0), (1, 2)]},
        "rank_batch: of its shards number 1 is missing between rank_1_batch_0 and rank_1_batch_2",
    ),
    "a number is there twice": (
        {"batch_1.npy": ROWS, "batch_01.npy": ROWS},
        "batch: its shards cannot be joined: batch_01 and batch_1 have the same number, so nobody",
    ),
    "another dtype": (
        {"batch_0.npy": ROWS, "batch_1.npy": ROWS.astype("f8")},
        "batch: its shards cannot be joined: batch_1 is float64, batch_0 float32; save them alike",
    ),
    "another width": (
        {"batch_0.npy": ROWS, "batch_1.npy": ROWS[:, :5]},
        "batch: its shards cannot be joined: rows of batch_1 have the shape (5,), those of batch_0 (6,); save them alike",
    ),
    "a file as well as its shards": (
        {**spans([8, 8]), "features.npy": ROWS}, "features: is the name of 2 things, one of them joined"
    ),
    "an array that is not in all": (
        {"batch_0.npz": {"conv1": ROWS}, "batch_1.npz": {"conv1": ROWS, "conv2": ROWS}},
        "conv2: is not in batch_0, but in other shards; save that again",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_rows_are_never_lost_doubled_or_mixed_in_silence(folder, case):
    files, said = REFUSED[case]
    path = folder(files)
    with pytest.raises(DataError) as caught:
        compare(path)
    assert str(caught.value).startswith(f"{path}::{said}")
    assert "--shards separate" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shards_that_are_missing_can_be_done_without(folder):
    file = open_file(folder(named("batch_{}.npy", [0, 1, 3], [8] * 3)), JOIN)
    np.testing.assert_array_equal(read(file.layers[0]), ROWS[:24])
    assert file.notes[0].endswith("24 rows; number 2 is missing between batch_1 and batch_3")
    late = open_file(folder(named("batch_{}.npy", range(5, 8), [8] * 3), "late"))
    assert "24 rows; none comes before batch_5; give" in late.notes[0]


def test_a_shard_that_is_damaged_is_told_and_passes_nothing_over(folder):
    path = folder(named("batch_{}.npy", range(11)))
    shard = Path(path) / "batch_7.npy"
    shard.write_bytes(shard.read_bytes()[:-4])
    with pytest.raises(DataError, match=rf"^{path}::batch: its shard batch_7 is cut short .188 bytes of values where"):
        compare(path)
    shard.write_text("no array")
    with pytest.raises(DataError, match=f"^{path}::batch: its shard batch_7 no NPY file"):
        compare(path)
    npz = folder({f"batch_{number}.npz": {"conv1": ROWS} for number in range(3)}, "npz")
    (Path(npz) / "batch_1.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=f"^{npz}::conv1: its shard batch_1 is not a readable NPZ archive"):
        compare(npz)


PATTERNS = {
    "layer and shard": ("{layer}_{shard}.npy", "{layer}_{number}.npy"),
    "shard first": ("s{shard}/{layer}.npy", "s{number}/{layer}.npy"),
    "with a word": ("run-{shard}-{layer}.npy", "run-{number:04}-{layer}.npy"),
}


@pytest.mark.parametrize("case", PATTERNS)
def test_a_pattern_tells_layer_and_shard(folder, case):
    pattern, written = PATTERNS[case]
    layers = {"conv_1": ROWS, "conv_2": ROWS[:, :3]}
    path = folder({written.format(layer=layer, number=number): array[8 * number : 8 * number + 8]
                   for layer, array in layers.items() for number in range(11)} | {"labels.npy": np.arange(88)})  # fmt: skip
    file = open_file(path, ReadOptions(shards=pattern))
    assert [layer.name for layer in file.layers] == list(layers)
    for layer in file.layers:
        np.testing.assert_array_equal(read(layer), layers[layer.name])
    assert [vector.name for vector in file.vectors] == ["labels"]


@pytest.mark.parametrize("pattern", ["joined", "{layer}.npy", "{shard}{shard}", "{layer}_{number}.npy", ""])
def test_a_pattern_that_is_none_is_refused(pattern):
    with pytest.raises(
        UsageError, match=r"^--shards .*: give join, separate, or a pattern of the files' names such as"
    ):
        open_file(os.curdir, ReadOptions(shards=pattern))


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_come_from_the_shards_that_hold_them(folder, order):
    sizes = [1, 0, 30, 7, 2]
    path = folder({f"batch_{number}.npy": np.asarray(part.reshape(-1, 3, 2), order=order)
                   for number, part in enumerate(cut(sizes))})  # fmt: skip
    (layer,) = open_file(path).layers
    for each in (layer, pickle.loads(pickle.dumps(layer))):
        for start, stop in RUNS:
            for part in (slice(None), slice(1, 2)):
                expected = ROWS[start:stop].reshape(-1, 3, 2)[:, part]
                np.testing.assert_array_equal(each.read(start, stop, part), expected)


@pytest.mark.parametrize("ending", [".npy", ".npz", ".h5"])
def test_threads_read_at_once_and_few_files_are_open(folder, ending):
    parts = np.split(values(640, 3), 160)
    files = {f"batch_{number}{ending}": part if ending == ".npy" else {"a": part} for number, part in enumerate(parts)}
    n_files = 40 if ending == ".h5" else 160
    path = folder(dict(list(files.items())[:n_files]))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_open = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 30, limits[1]))
    try:
        (layer,) = open_file(path).layers
        with ThreadPoolExecutor(4) as threads:
            starts = range(0, 4 * n_files, 10)
            for start, rows in zip(
                starts, threads.map(lambda start: layer.read(start, start + 10), starts), strict=True
            ):
                np.testing.assert_array_equal(rows, np.concatenate(parts)[start : start + 10])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_texts_of_different_length_are_joined(folder):
    path = folder({"a_batch_0.npy": ROWS[:2], "a_batch_1.npy": ROWS[2:4], "ids_batch_0.npy": np.array(["a", "b"]),
                   "ids_batch_1.npy": np.array(["ccc", "d"])})  # fmt: skip
    (ids,) = open_file(path).vectors
    assert ids.read(0, 4).tolist() == ["a", "b", "ccc", "d"]
    assert ids.read(1, 2).dtype == ids.dtype


@pytest.mark.parametrize("second", [ROWS[5, 0], np.float32(-1)])
def test_a_fill_value_counts_in_every_shard(folder, second):
    path = folder({f"batch_{number}.h5": {"a": part} for number, part in enumerate(cut([8, 8]))})
    for number, fill in enumerate((ROWS[5, 0], second)):
        with h5py.File(f"{path}/batch_{number}.h5", "r+") as file:
            file["a"].attrs["_FillValue"] = fill
    if second == -1:
        with pytest.raises(DataError, match="the numbers of batch_1 and batch_0 mean different things"):
            open_file(path)
        return
    (layer,) = open_file(path).layers
    np.testing.assert_array_equal(layer.read(0, 16), np.where(ROWS[:16] == second, np.nan, ROWS[:16]))
    np.testing.assert_array_equal(layer.as_saved().read(0, 16), ROWS[:16])


def test_a_shard_that_changes_is_seen_by_readers_and_checkpoints(folder):
    path = folder(named("batch_{}.npy", range(11)))
    (layer,) = open_file(path).layers
    assert registry.members(path) == [f"{path}/batch_{number}.npy" for number in range(11)]
    before = facts_of_file(path)
    np.save(f"{path}/batch_9.npy", -ROWS[72:80])
    assert facts_of_file(path) != before
    np.testing.assert_array_equal(layer.read(0, 72), ROWS[:72])
    with pytest.raises(DataError, match=rf"^{path}::batch: changed while it was read \(batch_9\); wait until"):
        layer.read(0, 88)


def test_an_archive_with_a_member_without_a_name_is_one_line(tmp_path):
    np.savez(tmp_path / "a.npz", a=ROWS)
    path = tmp_path / "a.npz"
    path.write_bytes(path.read_bytes().replace(b"a.npy", b"\0.npy"))
    with pytest.raises(DataError, match=rf"^{path}: is not a readable NPZ archive"):
        open_file(str(path))


def test_files_of_several_formats_are_told_apart(folder):
    path = folder({"a.npz": {"a": ROWS}, "b.h5": {"a": ROWS}})
    with pytest.raises(
        DataError, match=r"is a folder of files of several formats \(a\.npz is NPZ, b\.h5 is HDF5\); give"
    ):
        open_file(path)
