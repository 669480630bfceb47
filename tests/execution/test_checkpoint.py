"""A run that is broken off at any moment goes on and ends with the same bits; a wrong checkpoint is refused."""

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import cka_cli.execution.checkpoint
import cka_cli.execution.execute
import cka_cli.reductions.gram_tiles
from cka_cli.api.compare import compare
from cka_cli.errors import DataError
from cka_cli.execution.checkpoint import Checkpoint
from cka_cli.options import RunOptions
from tests.asked import asked, changed, compared
from tests.cli.command import child_environment, run_here

JOBS = {
    "gram": {"kernels": ["polynomial", "cosine"], "measures": ["cka", "cka-debiased"]},
    "medians": {"kernels": ["linear", "rbf", "rbf:sigma=0.3"], "stats": True},
    "terms": {"kernels": ["polynomial", "rbf", "rbf:sigma=0.3"], "stats": True},
    "features": {"kernels": ["linear"], "stats": True},
    "factors": {"measures": ["cka", "cca-rho", "regression-r2"], "kernels": ["rbf"]},
    "batches": {"kernels": ["rbf", "linear"], "n_batch": 12, "n_passes": 3, "stats": True},
    "permutations": {"stats": True, "permutations": 12},
}


class BrokenOffError(Exception):
    pass


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setattr(cka_cli.execution.checkpoint, "EVERY_S", 0.0)
    rng = np.random.default_rng(0)
    for name in "xy":
        np.savez(tmp_path / f"{name}.npz", **{f"l{place}": rng.standard_normal((90, 3 + place)) for place in range(3)})
    return str(tmp_path / "x.npz"), str(tmp_path / "y.npz")


def divided(**changes):
    """Let a job be done in many small tiles, in memory or in pieces."""
    return changed(n_tile_rows=20, **changes)


def bits(comparison):
    statistics = [
        getattr(matrix.statistics, name)
        for matrix in comparison.matrices
        if matrix.statistics
        for name in ("std_error", "p_value", "chance")
    ]
    return [values.tobytes() for values in (*(matrix.values for matrix in comparison.matrices), *statistics)]


@pytest.mark.parametrize(
    ("job", "keep_distances"), [*((job, True) for job in JOBS), ("medians", False), ("terms", False)]
)
def test_a_run_broken_off_at_any_step_ends_with_the_same_bits(paths, tmp_path, job, keep_distances):
    how = {"route": "gram", "keep_distances": keep_distances} if job == "medians" else {}
    how |= {"n_terms": 4, "keep_distances": False} if job == "terms" else {}
    options = {**JOBS[job], "plan_of": divided(**how, n_threads=2)}
    file = str(tmp_path / "run.ckpt")
    unbroken = bits(compared(*paths, **options))
    steps = []
    compared(*paths, **options, progress=lambda *step: steps.append(step))
    n_resumed = 0
    for stop in range(0, len(steps), max(1, len(steps) // 5)):
        left = [stop]

        def progress(*step, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise BrokenOffError

        with pytest.raises(BrokenOffError):
            compared(*paths, **options, checkpoint=file, progress=progress)
        n_resumed += os.path.exists(file)
        assert bits(compared(*paths, **options, checkpoint=file)) == unbroken
        os.unlink(file)
    assert n_resumed >= 2


def break_off_halfway(stage, done, total):
    if stage == "comparing" and 2 * done >= total:
        raise BrokenOffError


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_steps_that_are_saved_are_not_done_again(paths, tmp_path, monkeypatch, kernel):
    how = {"kernels": [kernel], "plan_of": divided(route="gram", n_threads=1, keep_distances=False)}
    file = str(tmp_path / "run.ckpt")
    steps, works = [], []
    original = cka_cli.reductions.gram_tiles.tile_inputs
    monkeypatch.setattr(
        cka_cli.reductions.gram_tiles,
        "tile_inputs",
        lambda *job, **more: works.append(job[1]) or original(*job, **more),
    )
    compared(*paths, **how)
    n_in_all = len(works)
    with pytest.raises(BrokenOffError):
        compared(*paths, **how, checkpoint=file, progress=break_off_halfway)
    works.clear()
    compared(*paths, **how, checkpoint=file, progress=lambda *step: steps.append(step))
    comparing = [(done, total) for stage, done, total in steps if stage == "comparing"]
    (begun, total), (ended, _) = comparing[0], comparing[-1]
    assert ended == total
    assert 0.3 < begun / total <= 0.6
    assert len(works) <= 0.6 * n_in_all


def saved_checkpoint(paths, tmp_path):
    file = tmp_path / "run.ckpt"
    compare(*paths, run=RunOptions(checkpoint=str(file)))
    return file


def test_another_plan_is_not_made_for_a_run_that_goes_on(paths, tmp_path):
    file, plan_of = str(tmp_path / "run.ckpt"), divided(route="gram")
    unbroken = bits(compared(*paths, plan_of=plan_of, checkpoint=file))
    other = divided(route="gram", in_memory=False, n_slices=(1,) * 6)
    assert bits(compared(*paths, plan_of=other, checkpoint=file)) == unbroken


_MUCH_MEMORY = 6 << 20


@pytest.fixture
def with_far_row(tmp_path, monkeypatch):
    """Paths of layers whose products of features lose their digits, and the plans of runs over them."""
    for name in "xy":
        with np.load(tmp_path / f"{name}.npz") as file:
            layers = dict(file)
        layers["l0"][41] *= 1e9
        np.savez(tmp_path / f"{name}.npz", **layers)
    plans, make_plan = [], cka_cli.execution.execute.make_plan
    add_values = cka_cli.execution.execute._add_gram_values
    monkeypatch.setattr(
        cka_cli.execution.execute,
        "make_plan",
        lambda request, memory_bytes, *more: replace(
            make_plan(request, memory_bytes, *more), n_tile_rows=20 if memory_bytes < _MUCH_MEMORY else 30
        ),
    )
    monkeypatch.setattr(
        cka_cli.execution.execute,
        "_add_gram_values",
        lambda request, plan, *more: plans.append(plan) or add_values(request, plan, *more),
    )
    return plans


@pytest.mark.parametrize(
    ("memory", "memory_then", "stats"),
    [(None, 5 << 20, False), (5 << 20, None, False), (5 << 20, 7 << 20, True), (None, None, True)],
)
def test_a_run_whose_plan_changes_beside_a_far_row_goes_on_by_the_changed_one(
    paths, with_far_row, tmp_path, memory, memory_then, stats
):
    options = {"measures": ["cka-debiased"], "stats": stats}
    file = str(tmp_path / "run.ckpt")
    unbroken = bits(compare(*paths, **asked(**options, memory_bytes=memory)))
    steps = []
    compare(*paths, **asked(**options, memory_bytes=memory), progress=lambda *step: steps.append(step))
    n_comparing, n_resumed = sum(stage == "comparing" for stage, _, _ in steps), 0
    for stop in range(n_comparing // 8, n_comparing, n_comparing // 4):
        left = [stop]

        def progress(stage, done, total, left=left):
            left[0] -= stage == "comparing"
            if left[0] < 0:
                raise BrokenOffError

        with pytest.raises(BrokenOffError):
            compare(*paths, **asked(**options, memory_bytes=memory, checkpoint=file), progress=progress)
        if os.path.exists(file):
            n_resumed += 1
            found = compare(*paths, **asked(**options, memory_bytes=memory_then, checkpoint=file))
            assert bits(found) == unbroken
            os.unlink(file)
    assert n_resumed >= 2
    assert {(plan.route, plan.n_tile_rows) for plan in with_far_row} == {("gram", 20 if memory else 30)}


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"kernels": ["rbf"]}, "kernels: linear then, rbf:sigma=0.8 now"),
        ({"measures": ["hsic"]}, "measures: cka then, hsic now"),
        ({"precision": "double"}, "run precision: auto then, double now"),
        ({"stats": True}, "run stats: False then, True now"),
    ],
)
def test_a_checkpoint_of_other_options_is_refused(paths, tmp_path, options, difference):
    file = saved_checkpoint(paths, tmp_path)
    before = file.read_bytes()
    with pytest.raises(DataError) as error:
        compare(*paths, **asked(**options, checkpoint=str(file)))
    expected = f"{file}: is the checkpoint of another run ({difference}); give another name, or remove it"
    assert str(error.value) == expected
    assert file.read_bytes() == before


def test_a_checkpoint_of_changed_files_is_refused(paths, tmp_path):
    file = saved_checkpoint(paths, tmp_path)
    status = os.stat(paths[0])
    rng = np.random.default_rng(9)
    np.savez(paths[0], **{f"l{place}": rng.standard_normal((90, 3 + place)) for place in range(3)})
    assert os.stat(paths[0]).st_size == status.st_size
    with pytest.raises(DataError, match=r"another run \(file .*x\.npz changed: \d+ then, \d+ now\)"):
        compare(*paths, run=RunOptions(checkpoint=str(file)))
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match=r"another run \(file .*x\.npz samples: \w+ then, \w+ now\)"):
        compare(*paths, run=RunOptions(checkpoint=str(file)))


def test_of_a_folder_the_files_that_are_read_must_be_the_same(paths, tmp_path):
    (tmp_path / "d" / "block").mkdir(parents=True)
    for name in ("conv", "block/conv"):
        np.save(tmp_path / "d" / f"{name}.npy", np.random.default_rng(0).standard_normal((30, 4)))
    compare(str(tmp_path / "d"), run=RunOptions(checkpoint=str(tmp_path / "run.ckpt")))
    (tmp_path / "d" / ".cache").mkdir()
    np.save(tmp_path / "d" / ".cache" / "conv.npy", np.ones((30, 4)))
    compare(str(tmp_path / "d"), run=RunOptions(checkpoint=str(tmp_path / "run.ckpt")))
    np.save(tmp_path / "d" / "block" / "conv.npy", np.random.default_rng(1).standard_normal((30, 4)))
    with pytest.raises(DataError, match=r"another run \(file .*block/conv\.npy "):
        compare(str(tmp_path / "d"), run=RunOptions(checkpoint=str(tmp_path / "run.ckpt")))


def test_a_damaged_checkpoint_is_refused_wherever_it_is_damaged(paths, tmp_path):
    file = saved_checkpoint(paths, tmp_path)
    data = file.read_bytes()
    for place in random.Random(0).sample(range(len(data)), 60):
        file.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        with pytest.raises(DataError, match=r"is damaged|is no checkpoint"):
            compare(*paths, run=RunOptions(checkpoint=str(file)))
        file.write_bytes(data[:place])
        with pytest.raises(DataError, match=r"is damaged|is no checkpoint"):
            compare(*paths, run=RunOptions(checkpoint=str(file)))
    file.write_bytes(data)
    compare(*paths, run=RunOptions(checkpoint=str(file)))


def test_what_is_no_checkpoint_is_never_replaced(paths, tmp_path):
    for content in (b"", b"my thesis"):
        (tmp_path / "mine").write_bytes(content)
        with pytest.raises(DataError, match=r"mine: exists already and is no checkpoint; give another name"):
            compare(*paths, run=RunOptions(checkpoint=str(tmp_path / "mine")))
        assert (tmp_path / "mine").read_bytes() == content
    with pytest.raises(DataError, match=r"cannot be kept \(there is no folder"):
        compare(*paths, run=RunOptions(checkpoint=str(tmp_path / "nowhere" / "run.ckpt")))
    with pytest.raises(DataError, match="the checkpoint cannot be read"):
        compare(*paths, run=RunOptions(checkpoint=str(tmp_path)))


def test_a_disk_that_takes_nothing_stops_no_run(paths, tmp_path, monkeypatch):
    file = tmp_path / "run.ckpt"

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cka_cli.execution.checkpoint, "replace_file", full)
    comparison = compare(*paths, run=RunOptions(checkpoint=str(file)))
    assert comparison.notes == (
        f"{file}: the checkpoint could not be saved (No space left on device); the run went on",
    )
    assert bits(comparison) == bits(compare(*paths))
    assert not file.exists()


def test_leftovers_of_killed_runs_are_removed(paths, tmp_path):
    (tmp_path / ".run.ckpt.999999999.part").write_bytes(b"half")
    (tmp_path / f".run.ckpt.{os.getpid()}.part").write_bytes(b"of a run that lives")
    (tmp_path / ".run.ckpt.txt.part").write_bytes(b"not ours")
    Checkpoint(str(tmp_path / "run.ckpt"), {})
    assert sorted(path.name for path in tmp_path.glob(".run*")) == [
        f".run.ckpt.{os.getpid()}.part",
        ".run.ckpt.txt.part",
    ]


@pytest.mark.slow
def test_runs_that_are_killed_end_with_the_same_bytes(tmp_path):
    rng = np.random.default_rng(1)
    for name in "xy":
        np.savez(tmp_path / f"{name}.npz", **{f"l{place}": rng.standard_normal((900, 60)) for place in range(4)})
    program = (
        "import sys; import cka_cli.execution.checkpoint as checkpoint; checkpoint.EVERY_S = 0.0; "
        "from cka_cli.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, "compare", "x.npz", "y.npz", "-k", "laplacian", "-k", "rbf"]
    run = {"cwd": tmp_path, "env": child_environment()}
    begun = time.monotonic()
    unbroken = subprocess.run(command, **run, capture_output=True, check=True).stdout
    took_s = time.monotonic() - begun
    dice = random.Random(0)
    for _ in range(10):
        child = subprocess.Popen([*command, "--checkpoint", "run.ckpt", "-o", "out.csv", "-f"], **run)
        try:
            child.wait(dice.uniform(0, took_s))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
        subprocess.run([*command, "--checkpoint", "run.ckpt", "-o", "out.csv", "-f"], **run, check=True)
        assert (tmp_path / "out.csv").read_bytes() == unbroken
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "x.npz", "y.npz"]
        (tmp_path / "out.csv").unlink()


def test_a_pipe_is_no_checkpoint_and_is_not_waited_for(paths, tmp_path):
    os.mkfifo(tmp_path / "run.ckpt")
    with pytest.raises(DataError, match="is no checkpoint"):
        compare(*paths, run=RunOptions(checkpoint=str(tmp_path / "run.ckpt")))


@pytest.mark.parametrize(
    "header", [b"", b"no JSON", b"[1]", b"{}", b"[" * 100000, b'{"facts": {}, "plan": null, "arrays": []}']
)
def test_a_checkpoint_with_a_right_digest_and_a_wrong_header_is_damaged(paths, tmp_path, header):
    body = len(header).to_bytes(8, "little") + header
    digest = hashlib.sha256(body).hexdigest().encode()
    (tmp_path / "run.ckpt").write_bytes(b"cka checkpoint 1\n" + digest + body)
    with pytest.raises(DataError, match="is damaged"):
        compare(*paths, run=RunOptions(checkpoint=str(tmp_path / "run.ckpt")))


@pytest.mark.parametrize("change", ["plan", "more", "fewer", "shape", "text", "complex", "cut", "header"])
def test_a_checkpoint_of_this_run_that_was_written_by_hand_is_damaged(paths, tmp_path, change):
    file, plan_of = tmp_path / "run.ckpt", divided(route="gram", n_threads=1)
    with pytest.raises(BrokenOffError):
        compared(*paths, plan_of=plan_of, checkpoint=str(file), progress=break_off_halfway)
    body = file.read_bytes()[len(b"cka checkpoint 1\n") + 64 :]
    stop = 8 + int.from_bytes(body[:8], "little")
    header, stream = json.loads(body[8:stop]), io.BytesIO(body[stop:])
    arrays = {name: np.lib.format.read_array(stream) for name in header["arrays"]}
    name = next(name for name in arrays if "row_sums" in name)
    if change == "plan":
        header["plan"]["n_more"] = 1
    elif change == "more":
        arrays["tiles/more"] = np.zeros(3)
    elif change == "fewer":
        del arrays[name]
    elif change == "shape":
        arrays[name] = arrays[name][:, 1:]
    elif change in ("text", "complex"):
        arrays[name] = arrays[name].astype("U8" if change == "text" else complex)
    header["arrays"] = list(arrays)
    text, out = json.dumps(header).encode(), io.BytesIO()
    out.write(len(text).to_bytes(8, "little") + text)
    for values in arrays.values():
        np.lib.format.write_array(out, values)
    body = out.getvalue()[: -8 if change == "cut" else None]
    if change == "header":
        body = body.replace(b"'shape': (", b"'shape': ((", 1)
    file.write_bytes(b"cka checkpoint 1\n" + hashlib.sha256(body).hexdigest().encode() + body)
    with pytest.raises(DataError, match="is damaged"):
        compare(*paths, run=RunOptions(checkpoint=str(file)))


@pytest.mark.parametrize("byte", [b",", b"(", b"'", b"9", b"\0", b"\xff"])
def test_any_byte_of_the_header_of_an_array_may_be_damaged(paths, tmp_path, byte):
    file = tmp_path / "run.ckpt"
    with pytest.raises(BrokenOffError):
        compared(*paths, checkpoint=str(file), progress=break_off_halfway)
    sound = file.read_bytes()
    begin = sound.index(b"\x93NUMPY")
    for place in range(begin, begin + 128):
        if sound[place : place + 1] != byte:
            file.write_bytes(sound[:place] + byte + sound[place + 1 :])
            with pytest.raises(DataError, match="is damaged"):
                Checkpoint(str(file))


def test_a_link_to_a_checkpoint_stays(tmp_path, monkeypatch, capsysbinary, paths):
    monkeypatch.chdir(tmp_path)
    os.symlink("real.ckpt", "link.ckpt")
    ended = run_here(["compare", "x.npz", "y.npz", "--checkpoint", "link.ckpt", "-q"], capsysbinary)
    assert ended.status == 0
    assert os.path.islink("link.ckpt")
    assert not os.path.exists("real.ckpt")
