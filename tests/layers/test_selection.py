import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cka_cli.api.compare import compare
from cka_cli.errors import DataError, UsageError
from cka_cli.files.layer import Layer
from cka_cli.layers.addresses import split_address
from cka_cli.layers.selection import SelectedLayer, select_layers
from cka_cli.options import ReadOptions
from tests.small_files import values, write_folder, write_hdf5

STRANGE = ["a b", "a,b", "conv[1]", "x::y", "größe/層", "star*", 'quo"te', "q?", "new\nline", "[/x]"]


def names(addresses, **options):
    if isinstance(addresses, str):
        addresses = [addresses]
    return [[layer.name for layer in file.layers] for file in select_layers(addresses, ReadOptions(**options))]


def all_values(layer, max_bytes=1 << 25):
    result = np.empty((layer.n_examples, layer.n_features), np.float64)
    for where, block in layer.blocks(max_bytes):
        result[where] = block
    return result


@pytest.fixture
def net(tmp_path):
    layers = ["stem", "block1/conv1", "block1/conv2", "block2/conv1", "block2/conv10", "head"]
    return write_hdf5(tmp_path / "net.h5", {name: values(9, 4) for name in layers} | {"labels": np.arange(9)})


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("stem", ["stem"]),
        ("block1", ["block1/conv1", "block1/conv2"]),
        ("/block1/", ["block1/conv1", "block1/conv2"]),
        ("block1/*", ["block1/conv1", "block1/conv2"]),
        ("conv1", ["block1/conv1", "block2/conv1"]),
        ("conv1*", ["block1/conv1", "block2/conv1", "block2/conv10"]),
        ("block?/conv1", ["block1/conv1", "block2/conv1"]),
        ("*", ["stem", "block1/conv1", "block1/conv2", "block2/conv1", "block2/conv10", "head"]),
        ("labels", ["labels"]),
    ],
)
def test_a_glob_names_a_path_its_last_part_or_a_group(net, pattern, expected):
    assert names(f"{net}::{pattern}") == [expected]
    if not pattern.startswith("/"):
        assert names(net, layers=(pattern,)) == [expected]


def test_layers_may_be_given_twice_and_stay_in_network_order(net):
    assert names(net, layers=("head", "stem", "st*")) == [["stem", "head"]]
    assert names([f"{net}::block2", f"{net}::block1"], layers=("conv1",)) == [["block2/conv1"], ["block1/conv1"]]


def test_one_axis_arrays_are_layers_only_when_named(net):
    assert "labels" not in names(net)[0]
    assert names(net, layers=("labels", "stem")) == [["stem", "labels"]]
    (file,) = select_layers([f"{net}::labels"], ReadOptions())
    np.testing.assert_array_equal(all_values(file.layers[0]), np.arange(9.0)[:, None])


def test_names_may_hold_anything(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", {name: values(9, 4, seed=place) for place, name in enumerate(STRANGE)})
    for name in STRANGE:
        assert names(f"{path}::{name}") == [[name]]


def test_a_path_may_hold_two_colons(tmp_path):
    path = write_hdf5(tmp_path / "run::3.h5", {"conv": values(9, 4)})
    assert split_address(path) == (path, None)
    assert names(path) == [["conv"]]


def rows_of(path, **options):
    (file,) = select_layers([path], ReadOptions(**options))
    return np.asarray(file.layers[0].rows).tolist()


@pytest.mark.parametrize(
    ("examples", "expected"),
    [((None, None), range(9)), ((2, 5), [2, 3, 4]), ((-3, None), [6, 7, 8]), ((None, -7), [0, 1]), ((0, 9), range(9)),
     ((-9, -8), [0])],
)  # fmt: skip
def test_examples_are_a_slice(net, examples, expected):
    assert rows_of(net, examples=examples) == list(expected)


def test_a_sample_is_the_same_rows_everywhere_each_time(tmp_path, net):
    other = write_hdf5(tmp_path / "b.h5", {"conv": values(9, 2)})
    first, second = select_layers([net, other], ReadOptions(sample=4, seed=3))
    rows = np.asarray(first.layers[0].rows).tolist()
    assert all(np.array_equal(layer.rows, rows) for layer in (*first.layers, *second.layers))
    assert rows == sorted(set(rows)) == rows_of(net, sample=4, seed=3)
    assert any(rows_of(net, sample=4, seed=seed) != rows for seed in range(4, 8))
    assert set(rows_of(net, sample=2, examples=(5, 8))) <= {5, 6, 7}
    assert rows_of(net, sample=9) == list(range(9))


IDS = {
    "whole": np.arange(100, 160),
    "fixed": np.array([f"image{number}.png".encode() for number in range(60)]),
    "any length": [f"bild-ä{number}" for number in range(60)],
}


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize(
    "options",
    [{}, {"examples": (5, -5), "sample": 30, "seed": 1}],
    ids=["all", "some"],
)
def test_ids_align_a_permuted_copy(tmp_path, kind, options):
    order = np.random.default_rng(5).permutation(60)
    x, y = values(60, 8), values(60, 6, seed=1)
    ids = IDS[kind]
    a = write_hdf5(tmp_path / "a.h5", {"conv": x, "meta/id": ids})
    same = write_hdf5(tmp_path / "same.h5", {"conv": y, "meta/id": ids})
    permuted = write_hdf5(tmp_path / "permuted.h5", {"conv": y[order], "meta/id": [ids[place] for place in order]})
    read = ReadOptions(ids="meta/id", **options)
    expected = compare(a, [same], read=ReadOptions(**options)).matrices[0].values
    np.testing.assert_array_equal(compare(a, [same], read=read).matrices[0].values, expected)
    np.testing.assert_array_equal(compare(a, [permuted], read=read).matrices[0].values, expected)
    assert compare(a, [permuted], read=ReadOptions(**options)).matrices[0].values != expected


def test_ids_from_a_folder(tmp_path):
    ids = np.array(["p", "qq", "r", "s"])
    a = write_folder(tmp_path / "a", {"conv": values(4, 3), "ids": ids})
    b = write_folder(tmp_path / "b", {"conv": values(4, 3)[::-1], "ids": ids[::-1]})
    first, second = select_layers([a, b], ReadOptions(ids="ids"))
    np.testing.assert_array_equal(all_values(first.layers[0]), all_values(second.layers[0]))


def test_dropping_what_is_not_finite_is_leaving_those_rows_out(tmp_path):
    x, y = values(40, 5), values(40, 6, seed=1)
    x[[3, 7]], y[[7, 30], 2] = np.nan, np.inf
    keep = np.setdiff1d(np.arange(40), [3, 7, 30])
    a, b = write_hdf5(tmp_path / "a.h5", {"conv": x}), write_hdf5(tmp_path / "b.h5", {"conv": y})
    clean = [write_hdf5(tmp_path / f"clean{place}.h5", {"conv": array[keep]}) for place, array in enumerate((x, y))]
    dropped = compare(a, [b], read=ReadOptions(nonfinite="drop"))
    np.testing.assert_array_equal(dropped.matrices[0].values, compare(clean[0], clean[1:]).matrices[0].values)
    assert dropped.matrices[0].n_examples == 37
    assert dropped.notes == ("3 of 40 examples left out of every layer: not finite in at least one",)
    part = compare(a, [b], read=ReadOptions(nonfinite="drop", examples=(5, 25)))
    assert part.notes == ("1 of 20 examples left out of every layer: not finite in at least one",)


SHAPES = [(6, 5, 3), (6, 5, 3, 4), (6, 2, 3, 4, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("channels", ["first", "last"])
@pytest.mark.parametrize("pool", ["flatten", "mean", "max", "positions"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "u1", "?"])
def test_pools_are_what_numpy_makes_of_them(tmp_path, shape, channels, pool, dtype):
    array = np.abs(values(*shape) * 9).astype(dtype)
    path = tmp_path / "conv.npy"
    np.save(path, array)
    (file,) = select_layers([str(path)], ReadOptions(pool=pool, channels=channels))
    last = np.moveaxis(array, 1, -1) if channels == "first" else array
    spatial = tuple(range(1, len(shape) - 1))
    expected = {
        "flatten": array.reshape(6, -1),
        "mean": last.mean(axis=spatial, dtype=np.float64),
        "max": last.max(axis=spatial),
        "positions": last.reshape(-1, last.shape[-1]),
    }[pool]
    layer = file.layers[0]
    assert (layer.n_examples, layer.n_features) == expected.shape
    for max_bytes in (1, 1 << 25):
        np.testing.assert_allclose(all_values(layer, max_bytes), expected.astype(np.float64), rtol=1e-14)


@pytest.mark.parametrize("pool", ["mean", "max", "positions"])
@pytest.mark.parametrize(
    "shape", [(2, 4, 4), (4, 4, 4), (8, 1, 1), (2, 3, 4, 4), (3, 3, 5, 5), (12, 7, 7), (2, 3, 2, 5, 5)]
)
def test_images_have_channels_first_unless_said(tmp_path, shape, pool):
    np.save(tmp_path / "conv.npy", values(6, *shape))
    (file,) = select_layers([str(tmp_path / "conv.npy")], ReadOptions(pool=pool))
    assert (file.layers[0].n_features, file.assumed) == (shape[0], ("conv",))
    for channels, n_features in (("first", shape[0]), ("last", shape[-1])):
        (file,) = select_layers([str(tmp_path / "conv.npy")], ReadOptions(pool=pool, channels=channels))
        assert (file.layers[0].n_features, file.assumed) == (n_features, ())


@pytest.mark.parametrize("pool", ["mean", "max", "positions"])
@pytest.mark.parametrize("shape", [(4, 4, 2), (8, 8, 16), (2, 3, 4), (3, 5, 5, 4), (5, 5, 3, 4), (2, 3, 4, 4, 5)])
def test_channels_are_asked_for_where_the_last_axes_are_no_square(tmp_path, shape, pool):
    np.save(tmp_path / "conv.npy", values(6, *shape))
    with pytest.raises(
        UsageError,
        match=rf"last or --channels first with --pool {pool}, 'conv=last' for .+, or '.*conv.npy::\*=last' for",
    ):
        select_layers([str(tmp_path / "conv.npy")], ReadOptions(pool=pool))
    (file,) = select_layers([str(tmp_path / "conv.npy")], ReadOptions())
    assert (file.layers[0].n_features, file.assumed) == (np.prod(shape), ())


def test_one_note_for_each_file_says_which_axis_was_taken_for_the_channels(tmp_path):
    layers = {f"conv{number}": values(6, 2, 4, 4, seed=number) for number in range(6)} | {"fc": values(6, 3)}
    paths = [write_hdf5(tmp_path / name, layers) for name in ("a.h5", "b.h5")]
    named = "conv0, conv1, conv2, conv3 and 2 more layers"
    taken = f"axis 1 taken for the channels of {named}; if it is not, give --channels last"
    comparison = compare(*paths, read=ReadOptions(pool="mean"))
    of_each = tuple(f"{path}: {taken}, or '{path}::*=last' for this file alone" for path in paths)
    assert (comparison.notes, comparison.warnings) == (of_each, ())
    assert compare(paths[0], paths[0], read=ReadOptions(pool="mean")).notes == (f"{paths[0]}: {taken}",)
    some = ReadOptions(pool="mean", channels=(("conv[0-2]", "first"), ("conv[45]", "last")))
    (note,) = compare(paths[0], read=some).notes
    assert note == f"{paths[0]}: axis 1 taken for the channels of conv3; if it is not, give --channels last"
    assert compare(paths[0], read=ReadOptions(pool="mean", channels="first")).notes == ()
    assert compare(paths[0]).notes == ()


@pytest.mark.parametrize(
    ("pairs", "n_features"),
    [
        ([("{b}::*", "last")], (3, 4)),
        ([("{a}::*", "first"), ("{b}::block/conv", "last")], (3, 4)),
        ([("last", "first"), ("{b}::block", "last"), ("*", "first")], None),
        ([("{a}::/block/*", "last"), ("{a}/../b::::*", "last")], None),
        ([("*", "last"), ("{a}::conv", "first")], (3, 4)),
        ([("{link}::conv", "last")], (3, 4)),
        ([("b.h5::*", "last")], None),
    ],
    ids=str,
)
def test_channels_of_one_file_alone(tmp_path, pairs, n_features):
    a = write_hdf5(tmp_path / "a.h5", {"block/conv": values(6, 3, 4, 4)})
    b = write_hdf5(tmp_path / "b.h5", {"block/conv": values(6, 4, 4, 4)})
    (tmp_path / "link.h5").symlink_to(b)
    typed = tuple((glob.format(a=a, b=b, link=tmp_path / "link.h5"), axis) for glob, axis in pairs)
    options = ReadOptions(pool="mean", channels=typed)
    if n_features is None:
        with pytest.raises(UsageError, match=r"^--channels .+; mend it or leave it out$"):
            select_layers([a, b], options)
        return
    of_a, of_b = select_layers([a, b], options)
    assert [(file.layers[0].n_features, file.layers[0].channels_last) for file in (of_a, of_b)] == [
        (3, False),
        (4, True),
    ]


def test_networks_that_differ_in_where_their_channels_are_can_be_pooled_together(tmp_path):
    first = {"conv1": values(30, 5, 4, 4), "conv2": values(30, 6, 3, 3, seed=1)}
    a = write_hdf5(tmp_path / "a.h5", first)
    b = write_hdf5(tmp_path / "b.h5", {name: np.moveaxis(array, 1, -1) for name, array in first.items()})
    comparison = compare(a, b, read=ReadOptions(pool="mean", channels=(("*", "first"), (f"{b}::*", "last"))))
    np.testing.assert_allclose(np.diag(comparison.matrices[0].values), 1, rtol=1e-12)
    assert comparison.notes == ()


def test_channels_of_a_layer_with_one_axis_that_was_named(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", {"conv": values(6, 2, 4, 4), "score": values(6)})
    (file,) = select_layers([path], ReadOptions(layers=("score",), pool="mean", channels="last"))
    assert [layer.name for layer in file.layers] == ["score"]


def test_pools_leave_two_axes_alone(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", {"conv": values(6, 2, 4, 4), "fc": values(6, 3)})
    (file,) = select_layers([path], ReadOptions(pool="mean"))
    assert [layer.n_features for layer in file.layers] == [2, 3]


@given(
    st.integers(1, 30),
    st.sampled_from(["flatten", "positions", "mean"]),
    st.one_of(st.none(), st.integers(0, 1 << 20)),
    st.integers(1, 400),
)
def test_blocks_of_any_size_give_the_same(n_saved, pool, seed, max_bytes):
    array = values(n_saved, 2, 2, 3)
    reads = []

    def read(start, stop, part):
        assert 0 <= start < stop <= n_saved
        reads.append(stop - start)
        return array[start:stop]

    if seed is None:
        rows = range(n_saved // 3, n_saved)
    else:
        generator = np.random.default_rng(seed)
        rows = generator.permutation(n_saved)[: generator.integers(1, n_saved + 1)]
    layer = SelectedLayer(Layer("a", "conv", array.shape, array.dtype, "", read), rows, pool)
    whole = all_values(layer)
    reads.clear()
    np.testing.assert_array_equal(all_values(layer, max_bytes), whole)
    assert max(reads) <= max(1, max_bytes // 48)
    of_all = all_values(layer.with_rows(range(n_saved))).reshape(n_saved, -1)
    np.testing.assert_array_equal(whole.reshape(len(rows), -1), of_all[rows])


@given(st.integers(0, 1 << 20), st.sampled_from(["flatten", "positions", "mean", "max"]), st.booleans())
def test_slices_of_rows_and_features_are_those_of_the_whole(seed, pool, channels_last):
    generator = np.random.default_rng(seed)
    array = values(300, 6, 2, 3, seed=seed)

    def read(start, stop, part):
        assert 0 <= start < stop <= len(array)
        return array[start:stop, part]

    n_together = int(generator.integers(1, 4))
    rows = range(20, 270) if generator.random() < 0.3 else generator.permutation(300)[: generator.integers(1, 300)]
    layer = SelectedLayer(Layer("a", "conv", array.shape, array.dtype, "", read, n_together), rows, pool, channels_last)
    whole = all_values(layer)
    for _ in range(5):
        start, stop = sorted(generator.choice(layer.n_examples + 1, 2, replace=False).tolist())
        n_steps = -(-layer.n_features // layer.n_step)
        first, last = sorted(generator.choice(n_steps + 1, 2, replace=False).tolist())
        features = slice(first * layer.n_step, min(layer.n_features, last * layer.n_step))
        np.testing.assert_array_equal(layer.read(start, stop, features), whole[start:stop, features])


@pytest.mark.parametrize("address", ["a.h5::", "::conv", "::"])
def test_an_address_has_both_parts(address):
    with pytest.raises(UsageError, match="a layer is addressed FILE::LAYER"):
        split_address(address)


def test_formats_compare_alike(tmp_path):
    layers = {"conv1": values(20, 5), "conv2": values(20, 3, seed=1)}
    write_hdf5(tmp_path / "a.h5", layers)
    np.savez_compressed(tmp_path / "a.npz", **layers)
    write_folder(tmp_path / "a", layers)
    with h5py.File(tmp_path / "chunked.h5", "w") as file:
        for name, array in layers.items():
            file.create_dataset(name, data=array, chunks=(3, 2), compression="gzip")
    expected = compare(str(tmp_path / "a.h5")).matrices[0].values
    for name in ("a.npz", "a", "chunked.h5"):
        np.testing.assert_array_equal(compare(str(tmp_path / name)).matrices[0].values, expected)


def test_channels_may_be_said_for_some_layers(tmp_path):
    tokens, images = values(6, 5, 3), values(6, 4, 3, 3)
    np.savez(tmp_path / "a.npz", attn=tokens, conv=images)
    read = ReadOptions(pool="mean", channels=(("attn", "last"),))
    (file,) = select_layers([str(tmp_path / "a.npz")], read)
    attn, conv = (next(layer.blocks())[1] for layer in file.layers)
    np.testing.assert_allclose(attn, tokens.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(conv, images.mean(axis=(2, 3)), rtol=1e-5)


def test_vectors_in_another_order_are_told_of(tmp_path):
    for name, order in (("a", slice(None)), ("b", slice(None, None, -1)), ("c", slice(None))):
        np.savez(tmp_path / f"{name}.npz", conv=values(6, 5)[order], ids=np.arange(6)[order])
    paths = [str(tmp_path / f"{name}.npz") for name in "abc"]
    (note,) = compare(paths[0], paths[1:]).notes
    assert compare(paths[0], paths[1:]).warnings == (note,)
    assert note.startswith(f"{paths[1]}::ids differs from {paths[0]}::ids: are the rows the same examples")
    assert compare(paths[0], paths[1:], read=ReadOptions(ids="ids")).notes == ()


def test_an_npy_folder_is_read_with_its_subfolders(tmp_path):
    (tmp_path / "net" / "block").mkdir(parents=True)
    for name in ("head", "block/c10", "block/c2"):
        np.save(tmp_path / "net" / f"{name}.npy", values(6, 5))
    (file,) = select_layers([str(tmp_path / "net")], ReadOptions())
    assert [layer.name for layer in file.layers] == ["block/c2", "block/c10", "head"]


def test_layers_are_left_out_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", conv1=np.ones((4, 2)), conv2=np.ones((4, 2)), logits=np.ones((4, 3)))
    (file,) = select_layers([str(tmp_path / "a.npz")], ReadOptions(exclude=("logits", "*2")))
    assert [layer.name for layer in file.layers] == ["conv1"]
    with pytest.raises(UsageError, match=r"--exclude logit: no file has such a layer; did you mean 'logits'\?"):
        select_layers([str(tmp_path / "a.npz")], ReadOptions(exclude=("logit",)))
    with pytest.raises(UsageError, match=r"a.npz: --exclude \* leaves no layer; exclude fewer"):
        select_layers([str(tmp_path / "a.npz")], ReadOptions(exclude=("*",)))


def test_an_array_with_nan_is_in_the_same_order_as_itself(tmp_path):
    layers = {"conv": values(6, 3), "score": np.array([1.0, np.nan, 3, 4, 5, 6])}
    paths = [write_hdf5(tmp_path / name, layers) for name in ("a.h5", "b.h5")]
    assert not [note for note in compare(paths[0], [paths[1]]).notes if "same order" in note]


def test_text_saved_as_bytes_and_as_letters_is_the_same(tmp_path):
    a = write_hdf5(tmp_path / "a.h5", {"conv": values(4, 3), "name": np.array([b"p", b"q", b"r", b"s"])})
    np.savez(tmp_path / "b.npz", conv=values(4, 3), name=np.array(["p", "q", "r", "s"]))
    assert not [note for note in compare(a, [str(tmp_path / "b.npz")]).notes if "same order" in note]


@pytest.fixture
def uneven(tmp_path):
    """Layers of 70 and 64 rows, of which the first 64 are the same examples; ids in another order in the second."""
    order = np.random.default_rng(2).permutation(64)
    ids = np.arange(100, 170)
    a = write_hdf5(tmp_path / "long.h5", {"conv": values(70, 5), "ids": ids})
    b = write_hdf5(tmp_path / "short.h5", {"conv": values(70, 5)[:64], "ids": ids[:64]})
    c = write_hdf5(tmp_path / "turned.h5", {"conv": values(70, 5)[:64][order], "ids": ids[:64][order]})
    return a, b, c


@pytest.mark.parametrize("options", [{}, {"sample": 20, "seed": 4}, {"ids": "ids"}, {"ids": "ids", "sample": 20}])
@pytest.mark.parametrize("examples", [(0, 64), (None, 64), (3, 30)])
def test_rows_that_are_in_all_are_taken_from_layers_of_different_lengths(uneven, examples, options):
    others = uneven[1:] if "ids" in options else uneven[1:2]
    for pair in [(uneven[0], other) for other in others] + [(other, uneven[0]) for other in others]:
        first, second = select_layers(pair, ReadOptions(examples=examples, **options))
        np.testing.assert_array_equal(all_values(first.layers[0]), all_values(second.layers[0]))
        assert first.layers[0].n_examples == options.get("sample", examples[1] - (examples[0] or 0))


@pytest.mark.parametrize("options", [{}, {"ids": "ids"}, {"sample": 20}])
@pytest.mark.parametrize("examples", [(None, None), (10, None), (-10, None), (-70, -6), (-64, 64), (5, -6), (None, -1)])
def test_rows_that_depend_on_the_length_are_refused_where_lengths_differ(uneven, examples, options):
    for pair in (uneven[:2], uneven[1::-1]):
        said = "say which rows are the same ones in all, as --examples 0:64"
        if "ids" in options:
            said = (
                r"short\.h5::ids: 6 of 70 ids of .*long\.h5 are missing \(164, 165, 166, \.\.\.\)|-70 is beyond the 64"
            )
        with pytest.raises((DataError, UsageError), match=said):
            select_layers(pair, ReadOptions(examples=examples, **options))


def test_rows_beyond_the_shortest_layer_are_refused(uneven):
    for pair in (uneven[:2], uneven[1::-1]):
        with pytest.raises(UsageError, match=r"66 is beyond the 64 examples of .*short\.h5::conv"):
            select_layers(pair, ReadOptions(examples=(0, 66)))
    with pytest.raises(DataError, match=r"short\.h5::ids: 2 of 66 ids of .*long\.h5 are missing \(164, 165\)"):
        select_layers(uneven[:2], ReadOptions(examples=(0, 66), ids="ids"))


def test_ids_that_lead_behind_the_end_of_a_layer_are_refused(tmp_path):
    x = values(70, 5)
    a = write_hdf5(tmp_path / "a.h5", {"one": x, "ids": np.arange(70)})
    b = write_hdf5(tmp_path / "b.h5", {"one": x[::-1], "two": x[::-1][:64], "ids": np.arange(70)[::-1]})
    with pytest.raises(DataError, match=r"b\.h5::two: 64 examples, but the ids lead to row 69"):
        select_layers([a, b], ReadOptions(examples=(0, 30), ids="ids"))
    first, second = select_layers([a, b], ReadOptions(examples=(6, 30), ids="ids"))
    for layer in second.layers:
        np.testing.assert_array_equal(all_values(layer), all_values(first.layers[0]))


def test_labels_of_layers_of_different_lengths_are_compared_at_the_rows_taken(tmp_path):
    labels = np.arange(70) % 7
    a = write_hdf5(tmp_path / "a.h5", {"conv": values(70, 5), "labels": labels})
    same = write_hdf5(tmp_path / "same.h5", {"conv": values(64, 5), "labels": labels[:64]})
    other = write_hdf5(tmp_path / "other.h5", {"conv": values(64, 5), "labels": labels[6:]})
    read = ReadOptions(examples=(0, 64))
    assert compare(a, [same], read=read).notes == ()
    (note,) = compare(a, [other], read=read).notes
    assert note.startswith(f"{other}::labels differs from {a}::labels")
