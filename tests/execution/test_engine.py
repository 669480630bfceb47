"""However the work is divided, the values are the same."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cka_cli.api.compare import compare, plan_comparison
from cka_cli.errors import DataError
from cka_cli.layers.centring import load_centred, survey
from cka_cli.layers.selection import select_layers
from cka_cli.options import ReadOptions, RunOptions
from cka_cli.plan.planner import Plan
from cka_cli.reductions.feature_products import BlockFunction
from tests import oracle
from tests.asked import asked, compared

FACTOR_MEASURES = list(oracle.FACTOR_MEASURES)
ALL_KERNELS = ["linear", "rbf:sigma=0.5", "rbf:gamma=0.02", "polynomial", "sigmoid", "cosine", "laplacian"]


def save_layers(path, n_examples, widths, seed, dtype, storage):
    import h5py

    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((n_examples, 3))
    layers = {}
    for place, width in enumerate(widths):
        values = signal @ rng.standard_normal((3, width)) + rng.standard_normal((n_examples, width)) + 0.5
        layers[f"layer{place}"] = values.astype(dtype)
    if storage == "npz":
        with path.open("wb") as stream:
            np.savez_compressed(stream, **layers)
    elif storage == "stored":
        with path.open("wb") as stream:
            np.savez(stream, **layers)
    else:
        options = {"gzip": {"compression": "gzip", "chunks": True}, "plain": {}}[storage]
        with h5py.File(path, "w", track_order=True) as file:
            for name, values in layers.items():
                file.create_dataset(name, data=values, **options)
    return str(path)


def values_under(plan_of, x, ys, **options):
    """Return the values of a comparison carried out under another plan than the one that would be made."""
    return [matrix.values for matrix in compared(x, ys, plan_of=plan_of, **options).matrices]


def plan_of(job, *, route="gram", in_memory=True, n_rows=1000, n_slice=10**9, keep=False, threads=1):
    n_blocks = -(-job.n_examples // n_rows)
    slices = tuple(
        min(layer.n_features, max(n_slice // layer.n_step, 1) * layer.n_step) if not in_memory else layer.n_features
        for layer in job.layers
    )
    n_tiles = n_blocks * (n_blocks + 1) // 2
    return Plan(
        route=route, in_memory=in_memory, n_threads=threads, memory_bytes=10**9, n_tile_rows=n_rows, n_tiles=n_tiles,
        n_slices=slices, keep_distances=keep, n_reads=1, bytes_read=0, peak_bytes=0, multiplications=0,
    )  # fmt: skip


@settings(deadline=None, max_examples=8)
@given(
    seed=st.integers(0, 999),
    n_examples=st.sampled_from([5, 17, 90, 256, 301]),
    widths=st.lists(st.integers(2, 130), min_size=1, max_size=3),
    dtype=st.sampled_from(["float64", "float32", "float16", "int16"]),
    storage=st.sampled_from(["plain", "gzip", "npz", "stored"]),
    n_rows=st.sampled_from([3, 40, 100, 257]),
    n_slice=st.integers(1, 150),
    in_memory=st.booleans(),
    keep=st.booleans(),
    threads=st.integers(1, 3),
)
def test_any_division_of_the_work_gives_the_same_values(
    tmp_path_factory, seed, n_examples, widths, dtype, storage, n_rows, n_slice, in_memory, keep, threads
):
    if n_examples > 20:  # thousands of tiles of three rows would tell nothing more
        n_rows, n_slice = max(n_rows, 40), max(n_slice, 30)
    folder = tmp_path_factory.mktemp("division")
    x = save_layers(folder / "x.h5", n_examples, widths, seed, dtype, storage)
    y = save_layers(folder / "y.h5", n_examples, [7, *widths], seed + 1, dtype, "plain")
    kernels = ALL_KERNELS if n_examples < 100 else ALL_KERNELS[:-2]
    options = {"measures": ["cka", "cka-debiased"], "kernels": kernels}
    whole = values_under(lambda job: plan_of(job), x, [y], **options)
    parts = values_under(
        lambda job: plan_of(
            job, in_memory=in_memory, n_rows=n_rows, n_slice=n_slice, keep=keep and in_memory, threads=threads
        ),
        x, [y], **options,
    )  # fmt: skip
    tolerance = 1e-12 if dtype == "float64" else 1e-7
    for one, other in zip(whole, parts, strict=True):
        scale = np.maximum(1, np.abs(one))
        np.testing.assert_allclose(other / scale, one / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("storage", ["plain", "gzip"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("route", ["factors", "gram", "features"])
def test_factors_of_layers_read_in_pieces_are_those_of_whole_layers(tmp_path, route, dtype, storage):
    # Of 20 rows: two blocks of features and a few more, one block, and several blocks of rows.
    x = save_layers(tmp_path / "x.h5", 20, [163, 30, 2], 1, dtype, storage)
    y = save_layers(tmp_path / "y.h5", 20, [20, 90], 2, dtype, storage)
    options = {"measures": [*FACTOR_MEASURES, *["cka"] * (route != "factors")]}
    whole = values_under(lambda job: plan_of(job, route=route), x, [y], **options)
    pieces = values_under(
        lambda job: plan_of(job, route=route, in_memory=False, n_rows=9, n_slice=16), x, [y], **options
    )
    for one, other in zip(whole, pieces, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-12 if dtype == "float64" else 1e-7)


@settings(deadline=None, max_examples=7)
@given(
    seed=st.integers(0, 999),
    n_examples=st.sampled_from([5, 33, 256, 700]),
    widths=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    dtype=st.sampled_from(["float64", "float32"]),
    n_rows=st.sampled_from([3, 100, 300]),
    in_memory=st.booleans(),
    alone=st.booleans(),
)
def test_feature_route_agrees_with_gram_route(
    tmp_path_factory, seed, n_examples, widths, dtype, n_rows, in_memory, alone
):
    folder = tmp_path_factory.mktemp("routes")
    x = save_layers(folder / "x.h5", n_examples, widths, seed, dtype, "plain")
    ys = [] if alone else [save_layers(folder / "y.h5", n_examples, [*widths, 3], seed + 1, dtype, "plain")]
    options = {"measures": ["cka", "cka-debiased", "hsic", "hsic-unbiased"]}
    gram = values_under(lambda job: plan_of(job), x, ys, **options)
    features = values_under(
        lambda job: plan_of(job, route="features", in_memory=in_memory, n_rows=n_rows, threads=2), x, ys, **options
    )
    tolerance = 1e-12 if dtype == "float64" else 1e-7
    for one, other in zip(gram, features, strict=True):
        scale = np.maximum(1, np.abs(one).max())
        np.testing.assert_allclose(other / scale, one / scale, rtol=0, atol=tolerance)


@settings(deadline=None, max_examples=8)
@given(
    seed=st.integers(0, 999),
    n_examples=st.sampled_from([256, 511, 700]),
    n_rows=st.sampled_from([100, 257]),
    n_slice=st.sampled_from([1000, 5000]),
    in_memory=st.booleans(),
    dtype=st.sampled_from(["float32", "float16"]),
)
def test_float32_values_move_by_less_than_1e_7(tmp_path_factory, seed, n_examples, n_rows, n_slice, in_memory, dtype):
    folder = tmp_path_factory.mktemp("single")
    x = save_layers(folder / "x.h5", n_examples, [300, 3000], seed, dtype, "plain")
    y = save_layers(folder / "y.h5", n_examples, [700], seed, dtype, "plain")
    options = {"measures": ["cka", "cka-debiased"], "kernels": ["linear", "rbf"], "precision": "single"}
    whole = values_under(lambda job: plan_of(job), x, [y], **options)
    parts = values_under(
        lambda job: plan_of(job, in_memory=in_memory, n_rows=n_rows, n_slice=n_slice, threads=2), x, [y], **options
    )
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-7)


@pytest.mark.parametrize("pool", ["flatten", "mean", "max", "positions"])
@pytest.mark.parametrize("channels", ["first", "last"])
def test_pieces_of_images_are_the_same_as_the_whole(tmp_path, pool, channels):
    import h5py

    values = np.random.default_rng(3).standard_normal((20, 6, 5, 4)).astype("f4")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", data=values, chunks=(7, 2, 5, 2), compression="gzip")
        file["b"] = values[::-1] ** 2
    read = ReadOptions(pool=pool, channels=channels, sample=17, seed=1)
    options = {"kernels": ["linear", "rbf"], "read": read}
    whole = values_under(lambda job: plan_of(job), str(tmp_path / "x.h5"), [], **options)
    parts = values_under(
        lambda job: plan_of(job, in_memory=False, n_rows=60, n_slice=11, threads=2),
        str(tmp_path / "x.h5"),
        [],
        **options,
    )
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-7)


def test_values_are_identical_for_any_number_of_threads(tmp_path):
    x = save_layers(tmp_path / "x.h5", 700, [30, 40], 0, "float32", "plain")
    options = {"measures": ["cka"], "kernels": ["rbf", "linear"]}
    for in_memory in (True, False):
        one, several = (
            values_under(
                lambda job, threads=threads, in_memory=in_memory: plan_of(
                    job, in_memory=in_memory, n_rows=100, n_slice=16, threads=threads
                ),
                x, [], **options,
            )
            for threads in (1, 4)
        )  # fmt: skip
        assert np.array_equal(one, several)


def test_a_small_budget_reads_in_pieces_and_changes_nothing(tmp_path):
    x = save_layers(tmp_path / "x.h5", 300, [2000, 3000], 0, "float64", "plain")
    small = {"memory_bytes": 14 << 20, "n_threads": 2, "kernels": ["linear", "rbf"]}
    assert not plan_comparison(x, **asked(**small)).in_memory
    assert plan_comparison(x, **asked(**small)).peak_bytes <= 14 << 20
    large = compare(x, kernels=["linear", "rbf"], run=RunOptions(memory_bytes=1 << 30))
    for one, other in zip(compare(x, **asked(**small)).matrices, large.matrices, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-12)


def test_too_small_a_budget_names_the_least_that_would_do(tmp_path):
    x = save_layers(tmp_path / "x.h5", 300, [2000, 3000], 0, "float64", "plain")
    for options in ({}, {"measures": ["cca-r2"]}, {"kernels": ["laplacian"]}):
        with pytest.raises(
            DataError, match=r"^--memory 1MiB: too little for this job .*; give at least --memory"
        ) as error:
            compare(x, **asked(**options, memory_bytes=1 << 20))
        least = int(str(error.value).partition("at least --memory ")[2].partition("MiB")[0])
        compare(x, **asked(**options, memory_bytes=least << 20))  # and it does


def test_nonfinite_values_are_named_when_reading_in_pieces(tmp_path):
    values = np.random.default_rng(0).standard_normal((300, 4000))
    values[17, 5] = np.nan
    values[200, :2] = np.inf
    np.save(tmp_path / "x.npy", values)
    for memory_bytes in (1 << 30, 9 << 20):
        with pytest.raises(DataError, match=r"x.npy::x: 3 values are not finite .*2 rows, the first is row 17\)"):
            compare(str(tmp_path / "x.npy"), kernels=["rbf"], run=RunOptions(memory_bytes=memory_bytes))


def test_a_constant_layer_read_in_pieces_is_nan(tmp_path):
    np.savez(tmp_path / "x.npz", constant=np.full((300, 4000), 0.1), other=np.random.default_rng(0).random((300, 9)))
    comparison = compare(str(tmp_path / "x.npz"), kernels=["rbf"], run=RunOptions(memory_bytes=9 << 20))
    assert np.isnan(comparison.matrices[0].values[0]).all()
    assert comparison.matrices[0].values[1, 1] == pytest.approx(1)
    assert "x.npz::constant: constant" in comparison.notes[0]


def test_narrow_layers_take_the_feature_route_and_wide_ones_tiles(tmp_path):
    narrow = save_layers(tmp_path / "narrow.h5", 500, [4, 8], 0, "float32", "plain")
    wide = save_layers(tmp_path / "wide.h5", 50, [400, 800], 0, "float32", "plain")
    assert plan_comparison(narrow).route == "features"
    assert plan_comparison(narrow, kernels=["rbf"]).route == "gram"
    assert plan_comparison(wide).route == "gram"


def test_positions_sampled_for_a_width_are_few(tmp_path):
    values = np.random.default_rng(0).standard_normal((300, 3, 20, 20)).astype("f4")
    np.save(tmp_path / "x.npy", values)
    (file,) = select_layers([str(tmp_path / "x.npy")], ReadOptions(pool="positions"))
    layer = survey(file.layers[0], np.dtype(np.float32), 3)
    ((_, rows),) = layer.slices(np.array([0, 399, 400, 119_999]))
    expected = np.moveaxis(values, 1, -1).reshape(-1, 3)[[0, 399, 400, 119_999]]
    np.testing.assert_allclose(rows / layer.scale + layer.mean / layer.scale, expected, atol=1e-5)


def test_the_least_memory_that_is_named_does_with_many_threads(tmp_path):
    x = save_layers(tmp_path / "x.h5", 300, [20, 30], 0, "float32", "plain")
    for options in ({}, {"measures": ["cca-r2"]}, {"kernels": ["rbf"]}):
        with pytest.raises(DataError) as error:
            compare(x, **asked(**options, memory_bytes=1 << 20, n_threads=64))
        least = int(str(error.value).partition("at least --memory ")[2].partition("MiB")[0])
        assert least < 16
        compare(x, **asked(**options, memory_bytes=least << 20, n_threads=64))


@pytest.mark.parametrize("storage", ["plain", "npz"])
def test_a_layer_is_worked_in_where_it_was_read_and_the_file_stays_as_it_is(tmp_path, storage):
    path = save_layers(tmp_path / "a", 400, [700], 0, np.float32, storage)
    layer = select_layers([path], ReadOptions())[0].layers[0]
    saved = layer.read(0, 400, slice(0, 700)).copy()
    tracemalloc.start()
    centred = load_centred(layer, np.dtype(np.float32))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (1.5 if storage == "plain" else 3.5) * saved.nbytes
    np.testing.assert_allclose(centred.values, (saved - saved.mean(axis=0)) * centred.scale, atol=1e-6)
    np.testing.assert_array_equal(layer.read(0, 400, slice(0, 700)), saved)


@pytest.mark.parametrize("with_itself", [True, False])
def test_features_are_multiplied_a_run_at_a_time(tmp_path, with_itself):
    path = save_layers(tmp_path / "a.h5", 40, [700, 3, 600], 0, np.float64, "plain")
    layers = [load_centred(layer, np.dtype(np.float64)) for layer in select_layers([path], ReadOptions())[0].layers]
    x, y = (slice(0, 3), slice(0, 3)) if with_itself else (slice(0, 2), slice(2, 3))
    products, squared_norms = BlockFunction(layers, x, y)((0, slice(5, 25)))
    all_values = [layer.values[5:25] for layer in layers]
    x_values, y_values = np.concatenate(all_values[x], axis=1), np.concatenate(all_values[y], axis=1)
    np.testing.assert_allclose(products.cross, x_values.T @ y_values, atol=1e-12)
    assert len(products.own) == (0 if with_itself else 3)
    for own, values in zip(products.own, all_values, strict=False):
        np.testing.assert_allclose(own, values.T @ values, atol=1e-12)
    np.testing.assert_allclose(squared_norms, [(values**2).sum(axis=1) for values in all_values], atol=1e-12)
