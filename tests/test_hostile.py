"""What a disk, a hand or chance can do to a file or a command: a line, a note or the right number, never worse."""

import io
import os
import zipfile

import h5py
import numpy as np
import pytest

from cka_cli.api.compare import compare, plan_comparison
from cka_cli.cli.options import parse_memory
from cka_cli.errors import DataError, UsageError
from cka_cli.files import open_file
from cka_cli.layers.selection import select_layers
from cka_cli.options import ReadOptions, RunOptions
from cka_cli.specs import parse_kernel
from cka_cli.system.atomic_files import check_output
from tests import oracle


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_an_output_that_is_a_link_into_an_input_folder_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "target.npy", noise(9, 3))
    os.symlink(tmp_path / "target.npy", tmp_path / "folder" / "y.npy")
    with pytest.raises(UsageError, match="is also an input"):
        check_output(str(tmp_path / "target.npy"), force=True, inputs=[str(tmp_path / "folder")])


@pytest.mark.parametrize("memory_bytes", [1 << 30, 24 << 20])
def test_one_row_unlike_all_others_has_no_debiased_value_under_any_memory(tmp_path, memory_bytes):
    values = np.ones((700, 6))
    values[0] = 2
    np.savez(tmp_path / "ab.npz", a=values, w=noise(700, 1500))
    kernels = ["linear", "rbf:gamma=1e-6", "polynomial"]
    comparison = compare(
        str(tmp_path / "ab.npz"),
        measures=["cka-debiased"],
        kernels=kernels,
        run=RunOptions(memory_bytes=memory_bytes, n_threads=2),
    )
    for matrix in comparison.matrices:
        assert np.isnan(matrix.values[0]).all(), matrix.kernel
        assert matrix.values[1, 1] == pytest.approx(1, abs=1e-12)
    assert len(comparison.notes) == 3


@pytest.mark.parametrize("measure", ["cka", "cka-debiased", "cca-r2", "procrustes"])
def test_values_near_the_largest_float_are_compared(tmp_path, measure):
    x, y = np.random.default_rng(0).uniform(-1, 1, (2, 50, 8))
    np.save(tmp_path / "x.npy", x * 1.7e308)
    np.save(tmp_path / "y.npy", y * 1.7e308)
    for memory_bytes in (1 << 30, 6 << 20) if measure.startswith("cka") else (1 << 30,):
        run = RunOptions(memory_bytes=memory_bytes)
        comparison = compare(str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), measures=[measure], run=run)
        value = comparison.matrices[0].values[0, 0]
        assert value == pytest.approx(oracle.value(x, y, measure), abs=1e-9)


def test_the_mean_over_positions_of_large_values_is_finite(tmp_path):
    values = np.random.default_rng(0).uniform(0.5, 1, (50, 8, 3, 3)) * 1.7e308
    np.save(tmp_path / "x.npy", values)
    matrix = compare(str(tmp_path / "x.npy"), read=ReadOptions(pool="mean")).matrices[0]
    assert matrix.values[0, 0] == pytest.approx(1)


def test_the_smallest_floats_are_compared_in_single_precision(tmp_path):
    np.save(tmp_path / "x.npy", (noise(50, 8) * 1e-41).astype(np.float32))
    comparison = compare(str(tmp_path / "x.npy"), kernels=["linear", "rbf"], run=RunOptions(precision="single"))
    assert comparison.notes == ()
    assert [matrix.values[0, 0] for matrix in comparison.matrices] == pytest.approx([1, 1], abs=1e-6)


def test_a_signalling_nan_is_told_of_like_any_other(tmp_path):
    values = noise(10, 4).astype(np.float32)
    values.view(np.uint32)[3, 2] = 0x7F800001
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(DataError, match=r"1 value is not finite .*1 row, the first is row 3"):
        compare(str(tmp_path / "x.npy"), run=RunOptions(precision="double"))


def test_a_long_double_beyond_float64_is_told_of(tmp_path):
    values = noise(10, 4).astype(np.longdouble)
    values[5, 1] = np.longdouble("1e400")
    if not np.isfinite(values[5, 1]):
        pytest.skip("long double is float64 here")
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(DataError, match="the first is row 5"):
        compare(str(tmp_path / "x.npy"))


def test_the_laplacian_of_rows_far_apart_keeps_its_digits(tmp_path):
    x, y = (np.random.default_rng(seed).integers(0, 256, (150, 40)).astype(np.uint8) for seed in (0, 1))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    comparison = compare(
        str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), measures=["cka-debiased"], kernels=["laplacian"]
    )
    expected = oracle.value(x.astype(float), y.astype(float), "cka-debiased", "laplacian")
    assert comparison.matrices[0].values[0, 0] == pytest.approx(expected, abs=1e-9)
    assert np.isfinite(compare(str(tmp_path / "x.npy"), kernels=["laplacian:gamma=1e308"]).matrices[0].values[0, 0])


def test_a_member_that_stands_twice_in_an_archive_is_refused(tmp_path):
    stream = io.BytesIO()
    np.save(stream, noise(10, 4))
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", stream.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.npy", stream.getvalue())
    with pytest.raises(DataError, match=r"x\.npz::a: stands more than once"):
        open_file(str(tmp_path / "x.npz"))


def test_ids_that_are_not_utf8_stay_apart(tmp_path):
    for name, first in (("a", b"\xff"), ("b", b"\xfe")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["conv"] = noise(4, 3)
            file["ids"] = np.array([first, b"p", b"q", b"r"])
    with pytest.raises(DataError, match="is missing"):
        select_layers([str(tmp_path / "a.h5"), str(tmp_path / "b.h5")], ReadOptions(ids="ids"))


def test_odd_names_and_groups_of_hdf5(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file[b"bad\xff"] = noise(4, 3)
        file["n" + "9" * 5000] = noise(4, 3)
        file["top"] = noise(4, 3)
        place = file
        for _ in range(150):
            place = place.create_group("g")
        place["deep"] = noise(4, 3)
        place = file.create_group("links")
        for _ in range(40):  # 2**40 paths, were every one walked
            place["a"] = below = place.create_group("b")
            place = below
        place["shared"] = noise(4, 3)
    file = open_file(str(tmp_path / "x.h5"))
    assert {layer.name[:3] for layer in file.layers} == {"n99", "top", "lin"}
    assert any("not UTF-8" in why for why in file.refused.values())
    assert any("more than 100 groups" in why for why in file.refused.values())


def test_a_row_wider_than_the_memory_is_refused_beforehand(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((6, 2_000_000), np.float16))
    with pytest.raises(DataError, match="too little for this job"):
        plan_comparison(str(tmp_path / "x.npy"), run=RunOptions(memory_bytes=32 << 20))


def test_numbers_without_end_are_numbers():
    assert parse_memory("9" * 400 + "TiB") == 1 << 60
    assert isinstance(parse_kernel("polynomial:degree=1e15").get("degree"), int)
    with pytest.raises(UsageError):
        parse_memory("0.0000001KB1")


def test_a_budget_of_less_than_a_byte_is_a_budget(tmp_path):
    np.save(tmp_path / "x.npy", noise(9, 3))
    with pytest.raises(DataError, match="too little"):
        compare(str(tmp_path / "x.npy"), run=RunOptions(memory_bytes=0))


def test_more_threads_than_tasks_cost_nothing(tmp_path):
    np.save(tmp_path / "x.npy", noise(50, 3))
    assert (
        plan_comparison(
            str(tmp_path / "x.npy"), run=RunOptions(n_threads=10**9, memory_bytes=1 << 30), kernels=["rbf"]
        ).n_threads
        <= 256
    )
