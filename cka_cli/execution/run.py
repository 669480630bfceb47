"""From what is asked for to an outcome: the request, its plan, its checkpoint, and the run of it."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from cka_cli.errors import DataError, UsageError
from cka_cli.execution.checkpoint import Checkpoint, facts_of_file
from cka_cli.execution.engine import run
from cka_cli.execution.outcome import Outcome
from cka_cli.layers.rows import ReadOptions
from cka_cli.layers.selection import SelectedFile, SelectedLayer, read_groups
from cka_cli.measures.registry import MEASURES
from cka_cli.plan.options import RunOptions
from cka_cli.plan.planner import Plan, make_plan
from cka_cli.plan.request import Resampling, Task
from cka_cli.reductions.folds import folds_of_rows
from cka_cli.specs import Spec, parse_kernel, parse_measure
from cka_cli.system.memory import default_memory_bytes
from cka_cli.system.progress import Progress
from cka_cli.version import __version__


def plan_task(task: Task, options: RunOptions) -> Plan:
    """Return how a task is done within the memory and the threads allowed; counted permutations included."""
    memory_bytes = default_memory_bytes() if options.memory_bytes is None else options.memory_bytes
    plan = make_plan(task.job(), memory_bytes, options.n_threads)
    if task.resampling is None or task.resampling.n_permutations is None or not task.gram_measures:
        return plan
    from cka_cli.uncertainty.p_values import check_counting

    n_examples, n_y = task.layers[0].n_examples, len(task.layers[task.y])
    needed = check_counting(n_examples, len(task.layers), n_y, memory_bytes, plan.n_threads)
    n_pairs = len(task.layers[task.x]) * n_y * len(task.kernels)
    counting = task.resampling.n_permutations * n_examples**2 // 2 * n_pairs
    peak_bytes, multiplications = max(plan.peak_bytes, needed), plan.multiplications + counting
    return replace(plan, peak_bytes=peak_bytes, multiplications=multiplications)


def execute(
    task: Task, files: list[SelectedFile], options: RunOptions, read: ReadOptions, notes: list[str], progress: Progress
) -> Outcome:
    """Carry out a task, with its checkpoint where one is wanted."""
    if options.checkpoint is None:
        return run(task, plan_task(task, options), progress, Checkpoint())
    checkpoint = Checkpoint(options.checkpoint, _facts_of_run(task, files, options, read))
    plan = plan_task(task, options)
    if checkpoint.plan is not None:
        plan = _plan_to_go_on_with(checkpoint.plan, plan, options)
    checkpoint.set_plan(asdict(plan))
    with checkpoint.running():
        outcome = run(task, plan, progress, checkpoint)
    if checkpoint.trouble:
        notes.append(f"{options.checkpoint}: the checkpoint could not be saved ({checkpoint.trouble}); the run went on")
    return outcome


def _plan_to_go_on_with(saved: dict[str, Any], plan: Plan, options: RunOptions) -> Plan:
    """Return the plan of the run that was broken off, with the threads and the memory that are allowed now."""
    if {name: type(value) for name, value in saved.items()} != {
        name: list if isinstance(value, tuple) else type(value) for name, value in asdict(plan).items()
    }:
        raise DataError(f"{options.checkpoint}: the checkpoint is damaged (its plan is none); remove it to start anew")
    before = Plan(**{**saved, "n_slices": tuple(saved["n_slices"])})
    return replace(before, n_threads=min(before.n_threads, options.n_threads), memory_bytes=plan.memory_bytes)


def _facts_of_run(task: Task, files: list[SelectedFile], options: RunOptions, read: ReadOptions) -> dict[str, Any]:
    """Return all that decides the bits of a result: what a checkpoint must be of."""
    return {
        "cka": __version__,
        "numpy": np.__version__,
        "layers": [f"{layer.label} {layer.n_examples}x{layer.n_features} {layer.dtype}" for layer in task.layers],
        "layers of X": len(task.layers[task.x]),
        "measures": [str(spec) for spec in task.measures],
        "kernels": [str(spec) for spec in task.kernels],
        "read": asdict(read),
        "run": {
            name: getattr(options, name)
            for name in ("precision", "n_batch", "n_passes", "stats", "permutations", "groups")
        },
        "file": {file.file.path: facts_of_file(file.file.path) for file in files},
    }


def make_task(
    files: list[SelectedFile],
    x: slice,
    y: slice,
    measures: Sequence[str],
    kernels: Sequence[str],
    options: RunOptions,
    seed: int,
) -> Task:
    """Return what is wanted of the layers of these files; UsageError or DataError where it cannot be had."""
    measure_specs = list(dict.fromkeys(parse_measure(text) for text in measures))
    kernel_specs = list(dict.fromkeys(parse_kernel(text) for text in kernels))
    if not measure_specs or not kernel_specs:
        raise UsageError("--measure, --kernel: one of them has no name; give at least one of each")
    layers = [layer for file in files for layer in file.layers]
    check_enough_examples(layers[0], measure_specs)
    y = slice(y.start, len(layers))
    task = Task(
        layers, x, y, measure_specs, kernel_specs, options.precision, options.n_batch, options.n_passes, seed,
        resampling=_resampling(files[0], options),
    )  # fmt: skip
    _check_batch(task)
    return task


def _resampling(file: SelectedFile, options: RunOptions) -> Resampling | None:
    if not options.stats:
        if options.permutations is not None or options.groups is not None:
            raise UsageError("--permutations, --groups: say how statistics are found; give --stats too")
        return None
    if options.permutations is not None and options.n_batch is not None:
        raise UsageError("--permutations: the minibatch estimate has no p-values; leave out --batch")
    n_rows = len(file.layers[0].rows)
    groups = None if options.groups is None else read_groups(file, options.groups)
    return Resampling(folds_of_rows(n_rows, groups), groups, options.permutations)


def _check_batch(task: Task) -> None:
    if task.n_batch is None:
        if task.n_passes != 1:
            raise UsageError(
                f"--passes {task.n_passes}: are of the minibatch estimate; give --batch too, or leave it out"
            )
        return
    from cka_cli.reductions.minibatch import LEAST_BATCH

    if task.n_batch < LEAST_BATCH:
        raise UsageError(
            f"--batch {task.n_batch}: a batch has at least {LEAST_BATCH} examples; give {LEAST_BATCH} or more"
        )
    if task.n_passes < 1:
        raise UsageError(f"--passes {task.n_passes}: too few; give 1 or more")
    if task.pair_measures:
        raise UsageError(
            f"--batch: {task.pair_measures[0].name} has no minibatch estimate; leave it out, or leave out --batch"
        )


def check_enough_examples(layer: SelectedLayer, specs: list[Spec]) -> None:
    """Raise DataError when a layer has fewer examples than one of the measures needs."""
    for spec in specs:
        needed = MEASURES[spec.name].min_examples
        if layer.n_examples < needed:
            raise DataError(
                f"{layer.label}: {layer.n_examples} examples, but {spec.name} needs at least {needed}; give more rows"
            )
