"""Run the command: in this process, which is quick, or as a child, which is what a shell does."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import pytest

from cka_cli.cli import main


@dataclass(frozen=True)
class Ended:
    status: int
    out: bytes
    err: str


def run_here(arguments, capture):
    """Run `cka` in this process, under pytest's `capsysbinary`; leaves signals and environment as they were."""
    environment, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    capture.readouterr()
    try:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
    finally:
        signal.signal(signal.SIGTERM, handler)
        os.environ.clear()
        os.environ.update(environment)
    out, err = capture.readouterr()
    return Ended(ended.value.code, out, err.decode())


def child_environment(**extra):
    """The environment without what would change Python or the command."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CKA_", "COV_"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        kept.pop(name, None)
    return kept | extra


CKA = [sys.executable, "-m", "cka_cli"]


def run_child(arguments, *, environment=None, **options):
    """Run `cka` as a child of its own; `stdin`, `cwd` and the like as in `subprocess.run`."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    ended = subprocess.run(
        [*CKA, *map(str, arguments)], env=child_environment(**(environment or {})), timeout=300, check=False, **options
    )
    return Ended(ended.returncode, ended.stdout or b"", (ended.stderr or b"").decode())
