"""The checkpoint of a run: what it must be of, and the plan that it goes on by."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from cka_cli.errors import DataError
from cka_cli.execution.checkpoint import Checkpoint, facts_of_file
from cka_cli.layers.selection import SelectedFile
from cka_cli.options import ReadOptions
from cka_cli.plan.planner import Plan
from cka_cli.plan.request import Request
from cka_cli.version import __version__


def open_store(request: Request, files: Sequence[SelectedFile], read: ReadOptions) -> Checkpoint:
    """Return what a run is kept in: in a file where one is asked for, which says what it is of."""
    if request.run.checkpoint is None:
        return Checkpoint()
    return Checkpoint(request.run.checkpoint, _facts_of_run(request, files, read))


def plan_to_go_on_with(store: Checkpoint, plan: Plan, path: str | None) -> Plan:
    """Return the plan of the run that was broken off, with the threads and the memory that are allowed now.

    The plan that would be made now where no run was.
    """
    saved = store.plan
    if saved is None:
        return plan
    if {name: type(value) for name, value in saved.items()} != {
        name: list if isinstance(value, tuple) else type(value) for name, value in asdict(plan).items()
    }:
        raise DataError(f"{path}: the checkpoint is damaged (its plan is none); remove it to start anew")
    before = Plan(**{**saved, "n_slices": tuple(saved["n_slices"])})
    # Another number of threads does the same tasks; more of them than before take more memory than that plan says.
    same = replace(plan, n_threads=before.n_threads, peak_bytes=before.peak_bytes, memory_bytes=before.memory_bytes)
    n_threads = plan.n_threads if same == before else min(before.n_threads, plan.n_threads)
    return replace(before, n_threads=n_threads, memory_bytes=plan.memory_bytes)


def _facts_of_run(request: Request, files: Sequence[SelectedFile], read: ReadOptions) -> dict[str, Any]:
    """Return all that decides the bits of a result: what a checkpoint must be of."""
    decides = ("precision", "n_batch", "n_passes", "stats", "permutations", "groups")
    return {
        "cka": __version__,
        "numpy": np.__version__,
        "layers": [f"{layer.label} {layer.n_examples}x{layer.n_features} {layer.dtype}" for layer in request.layers],
        "layers of X": request.n_x,
        "measures": [str(spec) for spec in request.measures],
        "kernels": [str(spec) for spec in request.kernels],
        "read": asdict(read),
        "run": {name: getattr(request.run, name) for name in decides},
        "file": {file.file.path: facts_of_file(file.file.path) for file in files},
    }
