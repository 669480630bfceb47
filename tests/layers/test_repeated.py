"""Files in which every example stands more than once, as a recorder leaves them that ran twice, are told of."""

import h5py
import numpy as np
import pytest

from cka_cli.api.compare import compare, compare_each
from cka_cli.api.explain import explain
from cka_cli.api.inspect import inspect
from cka_cli.files import open_file
from cka_cli.files.layer import Layer
from cka_cli.layers.repeated import find_repeats
from cka_cli.options import ReadOptions
from cka_cli.system.progress import silent
from tests.asked import asked, changed, compared
from tests.cli.command import run_here


def network(n_examples, seed=0):
    """Layers as a classifier has them: dead, one-hot and of one class beside real ones."""
    rng = np.random.default_rng(seed)
    conv = np.maximum(rng.standard_normal((n_examples, 3, 4, 4)), 0).astype("f2")
    return {
        "conv": conv,
        "dead": np.zeros((n_examples, 5), "f4"),
        "logits": rng.standard_normal((n_examples, 10)),
        "one_hot": np.eye(10, dtype="f4")[np.arange(n_examples) * 10 // n_examples],
        "truth": (np.arange(n_examples) % 10)[:, None],
    }


def again(layers, n_times):
    return {name: np.concatenate([values] * n_times) for name, values in layers.items()}


def in_a_row(layers, n_times):
    return {name: np.repeat(values, n_times, axis=0) for name, values in layers.items()}


def saved(path, layers):
    np.savez(path, **layers)
    return str(path)


def found(path, **options):
    layers = open_file(path).layers
    repeats = find_repeats(layers, range(layers[0].shape[0])[slice(*options.get("examples", (None, None)))])
    return repeats and (repeats.n_times, repeats.in_runs)


@pytest.mark.parametrize("n_times", [2, 3, 4, 6])
def test_rows_that_stand_there_several_times_are_found(tmp_path, n_times):
    path = saved(tmp_path / "a.npz", again(network(60), n_times))
    assert found(path) == (n_times, False)
    assert found(path, examples=(0, 60)) is None
    assert found(path, examples=(1, 61)) is None
    assert found(saved(tmp_path / "b.npz", in_a_row(network(60), n_times))) == (n_times, True)


def write_npy_folder(folder, layers):
    folder.mkdir()
    for name, values in layers.items():
        np.save(folder / f"{name}.npy", np.asfortranarray(values))
    return str(folder)


def write_packed(path, layers):
    with h5py.File(path, "w") as file:
        for name, values in layers.items():
            file.create_dataset(name, data=values, chunks=values.shape, compression="gzip")
    return str(path)


def write_packed_npz(path, layers):
    np.savez_compressed(f"{path}.npz", **layers)
    return f"{path}.npz"


@pytest.mark.parametrize("write", [write_npy_folder, write_packed, write_packed_npz])
@pytest.mark.parametrize("small_bytes", [0, 1 << 20])
def test_rows_are_found_however_they_lie(tmp_path, monkeypatch, write, small_bytes):
    monkeypatch.setattr("cka_cli.layers.repeated._SMALL_BYTES", small_bytes)
    monkeypatch.setattr("cka_cli.layers.repeated._BLOCK_BYTES", 1000)
    assert found(write(tmp_path / "a", again(network(60), 2))) == (2, False)
    assert found(write(tmp_path / "b", in_a_row(network(60), 2))) == (2, True)
    assert found(write(tmp_path / "c", network(120))) is None


@pytest.mark.parametrize(
    "layers",
    [
        network(120),
        {name: values for name, values in network(120).items() if name in ("dead", "one_hot", "truth")},
        {"one_hot": np.eye(10)[np.arange(20) // 2]},
        {"one_hot": np.eye(10)[np.arange(20) % 10]},
        {"truth": (np.arange(20) // 2)[:, None]},
        {"embedded": np.random.default_rng(0).standard_normal((4, 8))[np.arange(200) // 50]},
        {"embedded": np.random.default_rng(0).standard_normal((4, 8))[np.arange(200) % 4]},
        {"dead": np.zeros((40, 6)), "flat": np.ones((40, 2))},
        {"nearly_dead": np.where(np.arange(400).reshape(100, 4) == 11, 1.0, 0.0)},
        {"few": np.tile(np.random.default_rng(0).standard_normal((3, 2)), (2, 1))},
        {"one": np.ones((1, 3))},
        {"prime": np.random.default_rng(0).standard_normal((101, 3))},
    ],
    ids=lambda layers: " ".join(layers),
)
def test_few_distinct_rows_are_no_recorder_that_ran_twice(tmp_path, layers):
    assert found(saved(tmp_path / "a.npz", layers)) is None


def test_one_row_that_differs_or_one_layer_is_enough(tmp_path):
    for name in ("conv", "logits", "dead"):
        layers = again(network(60), 2)
        layers[name][70] += 1
        assert found(saved(tmp_path / "a.npz", layers)) is None
    other = again(network(60), 2) | {"conv": np.random.default_rng(1).standard_normal((120, 3))}
    assert found(saved(tmp_path / "a.npz", other)) is None


def test_rows_with_nan_are_the_same_as_themselves(tmp_path):
    layers = network(60)
    layers["logits"][5, 3] = np.nan
    assert found(saved(tmp_path / "a.npz", again(layers, 2))) == (2, False)


def test_a_few_rows_of_the_smallest_layer_are_read_where_nothing_repeats():
    reads = []

    def layer(name, values):
        def read(start, stop, part):
            reads.append((name, stop - start))
            return values[start:stop]

        return Layer("a.h5", name, values.shape, values.dtype, "contiguous", read)

    rng = np.random.default_rng(0)
    layers = [layer(f"l{width}", rng.standard_normal((5040, width))) for width in (90, 40, 200)]
    assert find_repeats(layers, range(5040)) is None
    assert {name for name, _ in reads} == {"l40"}
    assert sum(n_rows for _, n_rows in reads) <= 8


def test_compare_match_explain_and_inspect_say_so(tmp_path):
    path, other = saved(tmp_path / "a.npz", again(network(60), 2)), saved(tmp_path / "b.npz", network(120, seed=1))
    advice = "60 examples, which debiased values and p-values count as 120; give --examples 0:60"
    note = f"{path}: rows 60 to 119 are rows 0 to 59 again: {advice}"
    for in_memory in (True, False):
        comparison = compared(path, other, plan_of=changed(in_memory=in_memory))
        assert comparison.warnings == (note,)
        assert comparison.notes[0] == note
        assert comparison.notes.count(note) == 1
    assert compare_each([other, path, path]).warnings == (note,)
    assert explain(f"{path}::conv", f"{other}::conv").warnings == (note,)
    assert compare(path, read=ReadOptions(sample=50)).warnings == (note,)
    assert compare(path, read=ReadOptions(examples=(0, 60))).warnings == ()
    assert compare(path, read=ReadOptions(examples=(20, 120))).warnings == ()
    trouble = {array.name: array.trouble for array in inspect([path, other], progress=silent) if array.file == path}
    assert trouble["conv"] == "rows 60 to 119 are rows 0 to 59 again"
    assert trouble["dead"] == "constant; rows 60 to 119 are rows 0 to 59 again"
    assert not any("again" in array.trouble for array in inspect([other], progress=silent))
    assert not any(array.trouble for array in inspect([path], scan=False, progress=silent))


def test_rows_in_a_row_and_rows_several_times_are_named(tmp_path):
    (note,) = compare(saved(tmp_path / "a.npz", in_a_row({"x": network(60)["logits"]}, 2))).warnings
    assert note.endswith(
        ": every row stands there 2 times, one behind the other: 60 examples, which debiased values and p-values "
        "count as 120; save each once"
    )
    layers = {"x": np.concatenate([np.ones((7, 10)), again(network(60), 3)["logits"]])}
    (note,) = compare(saved(tmp_path / "b.npz", layers), read=ReadOptions(examples=(7, None))).warnings
    assert note.endswith(
        ": rows 67 to 186 are rows 7 to 66 again, 2 times: 60 examples, which debiased values and p-values count as "
        "180; give --examples 7:67"
    )


def test_rows_counted_twice_raise_debiased_values(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 50, 40))
    paths = [saved(tmp_path / f"{name}.npz", {"l": np.concatenate([v, v])}) for name, v in (("x", x), ("y", y))]
    options = {"measures": ["cka-debiased"], "stats": True}
    once = compare(*paths, **asked(**options), read=ReadOptions(examples=(0, 50))).matrices[0]
    twice = compare(*paths, **asked(**options)).matrices[0]
    assert twice.values[0, 0] > 0.2 > abs(once.values[0, 0])
    assert twice.statistics.p_value[0, 0] < 1e-6 < 0.01 < once.statistics.p_value[0, 0]


def test_quiet_keeps_what_says_that_a_number_may_be_wrong(tmp_path, capsysbinary, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = np.arange(120) % 7
    saved("a.npz", again({"l": network(60)["logits"], "flat": np.ones((60, 2))}, 2) | {"labels": labels})
    saved("b.npz", {"l": network(120, seed=2)["logits"], "labels": labels[::-1]})
    saved("c.npz", {"l": np.arange(2**60, 2**60 + 120)[:, None] * np.array([1, 3])})
    twice = "a.npz: rows 60 to 119 are rows 0 to 59 again: 60 examples, which debiased values and p-values count as 120"
    order = "b.npz::labels differs from a.npz::labels: are the rows the same examples in the same order?"
    rounded = "c.npz::l: integers beyond 2**53, of which float64 drops the last digits"
    for typed, kept in (
        (["compare", "a.npz", "b.npz"], [order, twice]),
        (["match", "a.npz", "b.npz"], [order, twice]),
        (["match", "a.npz"], [twice]),
        (["heatmap", "a.npz", "b.npz", "--format", "png"], [order, twice]),
        (["explain", "a.npz::l", "b.npz"], [order, twice]),
        (["diagnose", "a.npz::l", "b.npz"], [order]),
        (["compare", "b.npz", "c.npz"], [rounded]),
    ):
        loud, quiet = (run_here([*typed, *more], capsysbinary) for more in ([], ["-q"]))
        assert (loud.status, quiet.status, quiet.out) == (0, 0, loud.out)
        lines = quiet.err.splitlines()
        assert len(lines) == len(kept)
        for line, start in zip(lines, kept, strict=True):
            assert line.startswith(f"Note: {start}")
        assert loud.err.splitlines()[: len(lines)] == lines
        assert len(set(loud.err.splitlines())) == len(loud.err.splitlines())
