"""What commands that hold whole matrices take: the arithmetic, and the memory that they then do take."""

import re
import tracemalloc
from functools import partial

import numpy as np
import pytest

from cka_cli.api.diagnose import diagnose
from cka_cli.api.explain import explain
from cka_cli.errors import DataError
from cka_cli.files.layer import Layer
from cka_cli.files.spill import IN_MEMORY_BYTES
from cka_cli.layers.selection import SelectedLayer, select_layers
from cka_cli.options import ReadOptions
from cka_cli.plan import whole_matrices
from cka_cli.plan.whole_matrices import (
    check_counting,
    explaining_bytes,
    plan_diagnosis,
    plan_explanation,
    reading_bytes,
)
from cka_cli.reductions.factors import work_bytes

MIB = 1 << 20


def layer(n_examples=1000, n_features=200, n_step=1):
    """A layer of float32 values that nobody reads."""
    saved = Layer("a.h5", "conv1", (n_examples, n_features), np.dtype("f4"), "contiguous", None, n_second_axis=n_step)
    return SelectedLayer(saved, range(n_examples))


def least_of(plan):
    """The bytes that an error names, of a plan for so many bytes."""
    with pytest.raises(DataError) as error:
        plan(1)
    return int(re.findall(r"at least --memory (\d+)MiB", str(error.value))[0]) * MIB


def test_what_a_reader_unpacks_in_memory_is_counted():
    assert whole_matrices._UNPACKED_BYTES == IN_MEMORY_BYTES
    assert reading_bytes(layer(1 << 30, 256)) == 2 * (1 << 25) + IN_MEMORY_BYTES
    assert reading_bytes(layer(10, 25)) == 3000


# --- explain


@pytest.mark.parametrize("shapes", [((1000, 200), (1000, 30)), ((300, 5000), (300, 20)), ((300, 5000), (300, 4000))])
def test_an_explanation_takes_a_layer_its_basis_and_its_work_beside_the_other_basis(shapes):
    x, y = (layer(*shape) for shape in shapes)
    (n, p), (_, q) = shapes
    x_basis, y_basis = 8 * n * min(n, p), 8 * n * min(n, q)
    x_peak = 8 * n * p + x_basis + work_bytes(n, p) + reading_bytes(x)
    y_peak = 8 * n * q + y_basis + work_bytes(n, q) + reading_bytes(y)
    assert explaining_bytes(x, y) == max(x_peak, x_basis + y_peak)
    assert explaining_bytes(x, y, is_at_once=True) == x_peak + y_peak


def test_two_layers_are_decomposed_at_once_where_both_fit():
    pair = [layer(), layer(n_features=300)]
    both = explaining_bytes(*pair, is_at_once=True)
    assert plan_explanation(pair, both, 8) == 2
    assert plan_explanation(pair, both, 1) == 1
    assert plan_explanation(pair, both - 1, 8) == 1
    assert plan_explanation(pair, least_of(partial(plan_explanation, pair, n_threads=8)), 8) == 1


# --- diagnose


SIZES = [(8, 3), (500, 512), (3000, 10), (3000, 100_000), (60, 1_000_000)]


@pytest.mark.parametrize("n_pairs", [0, 1, 9])
@pytest.mark.parametrize("size", SIZES)
def test_the_least_that_is_named_does_and_is_kept_to(size, n_pairs):
    layers = [layer(*size), layer(size[0], 7)]
    least = least_of(lambda memory_bytes: plan_diagnosis(layers, n_pairs, memory_bytes, 4))
    for memory_bytes in (least, 2 * least, 5 * least, 1 << 44):
        plan = plan_diagnosis(layers, n_pairs, memory_bytes, 4)
        assert plan.peak_bytes <= memory_bytes
        assert 1 <= plan.n_threads <= 4
    assert (plan.n_threads, plan.n_kept) == (4, 2)
    with pytest.raises(DataError, match=f"layers of {size[0]} examples"):
        plan_diagnosis(layers, n_pairs, least - MIB, 4)


def test_more_memory_never_means_fewer_threads():
    layers = [layer(2000, 3000)] * 6
    least = least_of(lambda memory_bytes: plan_diagnosis(layers, 5, memory_bytes, 8))
    threads = [plan_diagnosis(layers, 5, least + step * 64 * MIB, 8).n_threads for step in range(200)]
    assert threads == sorted(threads)
    assert threads[0] == 1
    assert threads[-1] == 8


def test_a_layer_is_held_where_it_fits_and_read_in_whole_steps_where_not():
    small, large, in_one = layer(), layer(3000, 1 << 20, n_step=64), layer(3000, 1 << 20, n_step=1 << 20)
    assert plan_diagnosis([small], 0, 1 << 40, 1).n_slices == (200,)
    (n_slice,) = plan_diagnosis([large], 0, 1 << 40, 1).n_slices
    assert n_slice % 64 == 0
    assert 8 * 3000 * n_slice <= 1 << 24
    assert plan_diagnosis([in_one], 0, 1 << 60, 1).n_slices == (1 << 20,)
    held = layer(100, 300_000)
    least = least_of(lambda memory_bytes: plan_diagnosis([held], 0, memory_bytes, 1))
    assert plan_diagnosis([held], 0, least, 1).n_slices[0] < 300_000
    assert plan_diagnosis([held], 0, 1 << 40, 1).n_slices == (300_000,)


# --- counted permutations


def test_counted_permutations_take_two_matrices_a_layer_and_one_more_for_each_of_y_and_thread():
    needed = check_counting(1000, 5, 3, 1 << 40, 2)
    assert needed == 8 * 1000**2 * (2 * 5 + 4 * 2)
    assert check_counting(1000, 5, 3, needed, 2) == needed
    with pytest.raises(DataError, match=f"at least --memory {-(-needed // MIB) + 1}MiB"):
        check_counting(1000, 5, 3, needed - 1, 2)


# --- what is taken in fact


@pytest.fixture
def peak_of():
    """`peak_of(function)`: the bytes that Python and numpy had at most while it ran."""

    def measured(function):
        tracemalloc.start()
        try:
            function()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measured


def save(folder, n_examples, *widths):
    draw = np.random.default_rng(3)
    np.savez(folder / "x.npz", **{f"layer{width}": draw.normal(size=(n_examples, width)) for width in widths})
    (file,) = select_layers([str(folder / "x.npz")], ReadOptions())
    return file.layers


@pytest.mark.parametrize("size", [(400, 40), (620, 900), (100, 20_000)])
@pytest.mark.parametrize("room", ["least", "all"])
def test_a_diagnosis_takes_no_more_than_its_plan_says(tmp_path, peak_of, size, room):
    layers = save(tmp_path, size[0], size[1], size[1] + 1)
    memory_bytes = least_of(lambda memory_bytes: plan_diagnosis(layers, 1, memory_bytes, 1))
    memory_bytes = memory_bytes if room == "least" else 1 << 40
    planned = plan_diagnosis(layers, 1, memory_bytes, 1).peak_bytes
    taken = peak_of(lambda: diagnose(str(tmp_path / "x.npz"), memory_bytes=memory_bytes))
    assert taken <= planned
    assert taken > planned / 4  # what LAPACK takes is not seen here


@pytest.mark.parametrize("size", [(2000, 40), (400, 900), (100, 10_000)])
def test_an_explanation_takes_no_more_than_it_is_said_to(tmp_path, peak_of, size):
    x, y = save(tmp_path, size[0], size[1], size[1] + 1)
    least = least_of(lambda memory_bytes: plan_explanation([x, y], memory_bytes, 1))
    taken = peak_of(lambda: explain(x.label, y.label, memory_bytes=least))
    assert taken <= explaining_bytes(x, y)
    assert taken > explaining_bytes(x, y) / 4
