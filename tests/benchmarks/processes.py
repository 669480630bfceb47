"""Whole processes, measured from outside: wall time, processor time and the largest memory of each run."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]

# Both variables are set on some machines to force an old OpenBLAS kernel or its block sizes: every time below would
# then be that of another processor.
_FORCING_OLD_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
_BUSY = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {int(sys.argv[1])})
while os.getppid() == int(sys.argv[2]):
    sum(range(1_000_000))
"""


class CommandFailedError(Exception):
    """A command ended with a status other than 0; says which one and its last words."""


@dataclass(frozen=True)
class Run:
    """One finished process: its times in seconds, the most memory it held, and what it printed."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    output: str


def child_environment(coretype: str | None = None) -> dict[str, str]:
    """Return this environment without what changes a child's speed, with the OpenBLAS kernels of one core if named."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "CKA_")) and name not in _FORCING_OLD_KERNELS
    }
    return environment | ({"OPENBLAS_CORETYPE": coretype} if coretype else {})


def run_once(command: Sequence[str], environment: dict[str, str]) -> Run:
    """Run a command to its end and return what it took.

    The peak is the child's own as long as this process is the smaller one: Linux counts the memory that a child
    shared with its parent before `exec` as the child's. So the runner imports no numpy before its last line, and
    activations are written by a process of their own.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started_s = time.perf_counter()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment, cwd=ROOT
        )
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            child.wait()
            raise
        wall_s = time.perf_counter() - started_s
        child.returncode = os.waitstatus_to_exitcode(status)  # else Popen waits again for a child that is gone
        if child.returncode:
            raise CommandFailedError(f"status {child.returncode}: {_last_line(_text(errors))}")
        unit = 1 if sys.platform == "darwin" else 1024
        return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit, _text(output))


def run_interleaved(
    commands: Sequence[Sequence[str]], environment: dict[str, str], n_runs: int, *, warm_up: bool = True
) -> list[list[Run]]:
    """Return the runs of each command, taken in turn (A B A B ...), so that a slow minute falls on all of them."""
    if warm_up:
        for command in commands:
            run_once(command, environment)
    rounds = [[run_once(command, environment) for command in commands] for _ in range(n_runs)]
    return [list(runs) for runs in zip(*rounds, strict=True)]


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Keep one process computing on each core for as long as the block lasts."""
    children = [
        subprocess.Popen([sys.executable, "-c", _BUSY, str(core), str(os.getpid())], start_new_session=True)
        for core in cores()
    ]
    try:
        yield
    finally:
        for child in children:
            child.send_signal(signal.SIGKILL)
            child.wait()


def cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]
