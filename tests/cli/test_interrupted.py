"""A run that is interrupted keeps what is done, says in one line how to go on, and ends with the same bytes."""

import contextlib
import re
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import cka_cli.api.compare
from cka_cli.execution.checkpoint import Checkpoint
from tests.cli.command import child_environment, run_here

# What a child does: the work in small tiles, and a signal when so many additions are done, or in the middle of one.
PROGRAM = """
import contextlib, os, sys, time
from dataclasses import replace
import cka_cli.execution.checkpoint as c, cka_cli.api.compare as comparison
number, stop, is_inside, is_stuck, n_done = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "inside", False, 0
make_plan, adding = comparison.make_plan, c.Checkpoint.adding
comparison.make_plan = lambda *job: replace(make_plan(*job), n_tile_rows=20)

@contextlib.contextmanager
def adding_until(self, reduction):
    global n_done
    with adding(self, reduction):
        n_done += reduction.is_kept
        if is_inside and n_done == stop and reduction.is_kept:
            os.kill(os.getpid(), number)
            while is_stuck or not self._is_ending:
                time.sleep(0.001)
        yield
    if n_done == stop and not is_inside and reduction.is_kept:
        os.kill(os.getpid(), number)
        time.sleep(600)

c.Checkpoint.adding = adding_until
c._WAIT_S = 300  # what a busy machine takes for an addition is no matter here
"""
RUN = "\nfrom cka_cli.cli import main; main(sys.argv[4:])"
KEPT = "Interrupted: what is done is kept in run.ckpt; the same command goes on from there\n"
NOTHING = "Interrupted: nothing was written\n"

JOBS = {
    "tiles": ["-k", "polynomial", "-k", "cosine"],
    "medians": ["-k", "linear", "-k", "rbf"],
    "features": [],
    "features of folds": ["--stats"],
    "batches": ["--batch", "12", "--passes", "3"],
    "pairs": ["-m", "cca-r2", "-m", "regression-r2", "--exclude", "l2"],
    "permutations": ["--stats", "--permutations", "30"],
    "features, then pairs": ["-m", "cka", "-m", "pwcca"],
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in "xy":
        np.savez(tmp_path / f"{name}.npz", **{f"l{place}": rng.standard_normal((90, 3 + place)) for place in range(3)})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def counted(monkeypatch):
    """How often something was added, in this process, in as small tiles as in the child."""
    make_plan, adding, steps = cka_cli.api.compare.make_plan, Checkpoint.adding, []

    @contextlib.contextmanager
    def counting(self, reduction):
        steps.extend([reduction.name] * reduction.is_kept)
        with adding(self, reduction):
            yield

    monkeypatch.setattr(Checkpoint, "adding", counting)
    monkeypatch.setattr(cka_cli.api.compare, "make_plan", lambda *job: replace(make_plan(*job), n_tile_rows=20))
    return steps


def command(job):
    files = ["x.npz", "y.npz", "--checkpoint", "run.ckpt", "-o", "out.csv"]
    return ["compare", *files, *JOBS[job], "-q", "--threads", "2"]


def interrupted(job, number, stop, where="after", patch="", arguments=()):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM + patch + RUN, str(int(number)), str(stop), where, *command(job), *arguments],
        env=child_environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.stdout == b""
    return ended.returncode, ended.stderr.decode()


def result(capsysbinary, job, here):
    assert run_here(command(job), capsysbinary).err == ""
    assert not (here / "run.ckpt").exists()
    found = (here / "out.csv").read_bytes()
    (here / "out.csv").unlink()
    return found


@pytest.mark.parametrize(
    ("job", "number"),
    [*((job, signal.SIGINT) for job in JOBS), ("tiles", signal.SIGTERM), ("features", signal.SIGHUP)],
)
def test_an_interrupted_run_goes_on_where_it_was(here, capsysbinary, counted, job, number):
    unbroken, steps = result(capsysbinary, job, here), list(counted)
    stop = 1 + len(steps) // 2
    assert interrupted(job, number, stop) == (128 + number, KEPT)
    assert {path.name for path in here.iterdir()} == {"x.npz", "y.npz", "run.ckpt"}
    counted.clear()
    assert result(capsysbinary, job, here) == unbroken
    assert counted == steps[stop:]


@pytest.mark.parametrize("job", ["tiles", "features of folds", "batches", "pairs", "permutations"])
@pytest.mark.usefixtures("counted")
def test_a_signal_in_the_middle_of_an_addition_spoils_nothing(here, capsysbinary, job):
    status, line = interrupted(job, signal.SIGINT, 4, "inside")
    assert (status, line) == (130, KEPT)
    resumed = result(capsysbinary, job, here)
    assert resumed == result(capsysbinary, job, here)


def test_an_addition_that_does_not_end_is_not_waited_for(here, capsysbinary, counted):
    stuck = "\nis_stuck, c._WAIT_S = True, 0.2"
    assert interrupted("tiles", signal.SIGINT, 4, "inside", stuck) == (130, NOTHING)
    assert {path.name for path in here.iterdir()} == {"x.npz", "y.npz"}
    stuck += "\nc.EVERY_S = 0.0"
    status, line = interrupted("tiles", signal.SIGINT, 4, "inside", stuck)
    expected = r"Interrupted: the last save, \d+ s ago, is in run.ckpt; the same command goes on from there\n"
    assert status == 130
    assert re.fullmatch(expected, line)
    resumed, n_again = result(capsysbinary, "tiles", here), len(counted)
    counted.clear()
    assert resumed == result(capsysbinary, "tiles", here)
    assert n_again == len(counted) - 3


def test_a_second_signal_ends_at_once(here):
    patch = "\nc.replace_file = lambda *a, **k: os.kill(os.getpid(), number) or time.sleep(600)"
    assert interrupted("tiles", signal.SIGINT, 3, patch=patch) == (130, NOTHING)
    assert {path.name for path in here.iterdir()} == {"x.npz", "y.npz"}


def test_a_disk_that_takes_nothing_is_told_of(here):
    patch = "\ndef full(*a, **k): raise OSError(28, 'No space left on device')\nc.replace_file = full"
    line = "Interrupted: what is done could not be saved (No space left on device)\n"
    assert interrupted("tiles", signal.SIGTERM, 3, patch=patch) == (143, line)


def test_before_anything_is_done_there_is_nothing_to_keep(here):
    load = "lambda *a, **k: os.kill(os.getpid(), number) or time.sleep(600)"
    patch = f"\nimport cka_cli.execution.execute as e\ne.load_centred = {load}"
    one_thread = ("--threads", "1")  # which sends one signal
    assert interrupted("tiles", signal.SIGINT, 0, patch=patch, arguments=one_thread) == (130, NOTHING)
    assert interrupted("tiles", signal.SIGINT, 3) == (130, KEPT)
    saved = (here / "run.ckpt").read_bytes()
    assert interrupted("tiles", signal.SIGINT, 0, patch=patch, arguments=one_thread) == (130, KEPT)
    assert (here / "run.ckpt").read_bytes() == saved


@pytest.mark.usefixtures("counted")
def test_a_signal_while_the_result_is_written_leaves_what_was_kept(here, capsysbinary):
    unbroken = result(capsysbinary, "tiles", here)
    patch = "\nimport cka_cli.system.atomic_files as o\nc.EVERY_S = 0.0\n"
    patch += "o.write_output = lambda *a, **k: os.kill(os.getpid(), number) or time.sleep(600)"
    status, line = interrupted("tiles", signal.SIGINT, 0, patch=patch)
    assert status == 130
    assert re.fullmatch(r"Interrupted: the last save, \d+ s ago, is in run.ckpt; the same .*\n", line)
    assert result(capsysbinary, "tiles", here) == unbroken


def test_what_was_written_before_is_told_of(here):
    program = (
        "import os, sys, time; from cka_cli.cli.writing import ReportOutput\n"
        "ReportOutput.write_report = lambda *a: os.kill(os.getpid(), 2) or time.sleep(600)\n"
        "from cka_cli.cli import main; main(['match', 'x.npz', 'y.npz', '-q', '--plot', 'p.svg'])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env=child_environment(), capture_output=True, timeout=300, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"Interrupted: already written: p.svg\n")
    assert (here / "p.svg").exists()
