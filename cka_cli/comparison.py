"""The guts of `cka compare`: paths and options in, a Comparison out. Prints nothing; progress by callback."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import islice, pairwise, permutations
from typing import Any, Unpack

import numpy as np

from cka_cli import __version__
from cka_cli.activations import ReadOptions, SelectedLayer
from cka_cli.activations.selection import SelectedFile, read_groups
from cka_cli.checkpoint import Checkpoint, facts_of_file
from cka_cli.engine import run
from cka_cli.errors import DataError, UsageError
from cka_cli.examples import Check, file_facts, select_files
from cka_cli.floating_point import flags_ignored
from cka_cli.folds import folds_of_rows
from cka_cli.job import RunKeywords, RunOptions
from cka_cli.matrix import Comparison, Matrix, Statistics
from cka_cli.measures import MEASURES
from cka_cli.memory import default_memory_bytes
from cka_cli.meter import Progress
from cka_cli.names import Spec, parse_kernel, parse_measure
from cka_cli.notes import notes_of, warnings_of, warnings_of_repeats
from cka_cli.plan import Plan, make_plan
from cka_cli.task import Outcome, Resampling, Task


def silent(stage: str, done: int, total: int) -> None:
    """Report no progress."""


@flags_ignored
def compare(
    x: str,
    ys: str | Sequence[str] = (),
    *,
    measures: Sequence[str] = ("cka",),
    kernels: Sequence[str] = ("linear",),
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    progress: Progress = silent,
    check: Check | None = None,
    **run_keywords: Unpack[RunKeywords],
) -> Comparison:
    """Return the similarities of the layers of X with those of each Y, or with each other when X is alone.

    x, ys : `FILE` or `FILE::LAYER`; ys may be one or several. measures, kernels : as typed on the command line.
    progress : called with the stage, and how much of it is done of how much in all: first when it begins, from any
    thread. check : called with the files before their values are read; what it raises ends the work.
    run_keywords : the fields of `RunOptions`. Values depend on memory and threads by rounding only; the
    minibatch estimate is seeded by `read.seed`.
    Each of a layer's Gram matrices is computed once, however many pairs and measures need it.
    Values are float64, NaN where a measure has none; the notes of the result say why.
    Raises UsageError for options that do not fit, DataError for files that do not.
    """
    options = RunOptions(**run_keywords)
    files, notes, warnings = select_files([x, *_as_list(ys)], read, progress, check)
    n_x = len(files[0].layers)
    task = _make_task(files, slice(0, n_x), slice(n_x if ys else 0, None), measures, kernels, options, read.seed)
    warnings += warnings_of_repeats(files, read)
    outcome = _run(task, files, options, read, notes, progress)
    others, start = files[1:] or files[:1], 0
    matrices: list[Matrix] = []
    for y in others:
        columns = slice(start, start + len(y.layers))
        start = columns.stop
        matrices += _matrices(task, outcome, (files[0], slice(0, n_x)), (y, columns))
    return _comparison(matrices, files, outcome, (notes, warnings), task)


def compare_each(
    sources: Sequence[str],
    *,
    measures: Sequence[str] = ("cka",),
    kernels: Sequence[str] = ("linear",),
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    progress: Progress = silent,
    check: Check | None = None,
    **run_keywords: Unpack[RunKeywords],
) -> Comparison:
    """Return the similarities of the layers of every file with those of every other, both ways round.

    One matrix for each ordered pair of files, measure and kernel; each layer is read, and each of its Gram matrices
    and factors computed, once. The rest as in `compare`.
    """
    options = RunOptions(**run_keywords)
    files, notes, warnings = select_files(sources, read, progress, check)
    task = _task_of_each(files, measures, kernels, options, read.seed)
    ends = np.cumsum([0, *(len(file.layers) for file in files)]).tolist()
    places = [slice(start, stop) for start, stop in pairwise(ends)]
    warnings += warnings_of_repeats(files, read)
    outcome = _run(task, files, options, read, notes, progress)
    matrices: list[Matrix] = []
    for (x, rows), (y, columns) in permutations(zip(files, places, strict=True), 2):
        matrices += _matrices(task, outcome, (x, rows), (y, columns))
    return _comparison(matrices, files, outcome, (notes, warnings), task)


def _task_of_each(
    files: list[SelectedFile], measures: Sequence[str], kernels: Sequence[str], options: RunOptions, seed: int
) -> Task:
    everything = slice(0, sum(len(file.layers) for file in files))
    task = _make_task(files, everything, everything, measures, kernels, options, seed)
    return replace(task, apart=tuple(number for number, file in enumerate(files) for _ in file.layers))


def _comparison(
    matrices: list[Matrix], files: list[SelectedFile], outcome: Outcome, said: tuple[list[str], list[str]], task: Task
) -> Comparison:
    """Return the result. said : notes and warnings that were made before the values were there."""
    notes, warnings = said[0] + notes_of(task, outcome), said[1] + warnings_of(task, outcome)
    return Comparison(
        tuple(matrices),
        tuple(map(file_facts, files)),
        (*warnings, *notes),
        _dimensions(files, outcome),
        tuple(warnings),
    )


@flags_ignored
def plan_comparison(
    x: str,
    ys: str | Sequence[str] = (),
    *,
    measures: Sequence[str] = ("cka",),
    kernels: Sequence[str] = ("linear",),
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    check: Check | None = None,
    **run_keywords: Unpack[RunKeywords],
) -> Plan:
    """Return how `compare` would do the same job and what it would cost; only headers are read."""
    options = RunOptions(**run_keywords)
    files, _, _ = select_files([x, *_as_list(ys)], read, silent, check)
    n_x = len(files[0].layers)
    task = _make_task(files, slice(0, n_x), slice(n_x if ys else 0, None), measures, kernels, options, read.seed)
    return _plan(task, options)


def plan_each(
    sources: Sequence[str], read: ReadOptions, measures: Sequence[str], kernels: Sequence[str], check: Check,
    **run_keywords: Unpack[RunKeywords],
) -> Plan:  # fmt: skip
    """Return how `compare_each` would do the same job and what it would cost; only headers are read."""
    options = RunOptions(**run_keywords)
    files, _, _ = select_files(sources, read, silent, check)
    return _plan(_task_of_each(files, measures, kernels, options, read.seed), options)


def _plan(task: Task, options: RunOptions) -> Plan:
    memory_bytes = default_memory_bytes() if options.memory_bytes is None else options.memory_bytes
    plan = make_plan(task.job(), memory_bytes, options.n_threads)
    if task.resampling is None or task.resampling.n_permutations is None or not task.gram_measures:
        return plan
    from cka_cli.significance import check_counting

    n_examples, n_y = task.layers[0].n_examples, len(task.layers[task.y])
    needed = check_counting(n_examples, len(task.layers), n_y, memory_bytes, plan.n_threads)
    n_pairs = len(task.layers[task.x]) * n_y * len(task.kernels)
    counting = task.resampling.n_permutations * n_examples**2 // 2 * n_pairs
    peak_bytes, multiplications = max(plan.peak_bytes, needed), plan.multiplications + counting
    return replace(plan, peak_bytes=peak_bytes, multiplications=multiplications)


def _run(
    task: Task, files: list[SelectedFile], options: RunOptions, read: ReadOptions, notes: list[str], progress: Progress
) -> Outcome:
    """Carry out a task, with its checkpoint where one is wanted."""
    if options.checkpoint is None:
        return run(task, _plan(task, options), progress, Checkpoint())
    checkpoint = Checkpoint(options.checkpoint, _facts_of_run(task, files, options, read))
    plan = _plan(task, options)
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


def _as_list(ys: str | Sequence[str]) -> list[str]:
    return [ys] if isinstance(ys, str) else list(ys)


def _make_task(
    files: list[SelectedFile],
    x: slice,
    y: slice,
    measures: Sequence[str],
    kernels: Sequence[str],
    options: RunOptions,
    seed: int,
) -> Task:
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
    from cka_cli.batches import LEAST_BATCH

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


def _matrices(
    task: Task, outcome: Outcome, x: tuple[SelectedFile, slice], y: tuple[SelectedFile, slice]
) -> list[Matrix]:
    """Return the matrices of one pair of files, whose layers stand in these rows and columns of the outcome."""
    (x_file, rows), (y_file, columns) = x, y
    return [
        Matrix(
            outcome.values[spec, kernel][rows, columns],
            tuple(layer.name for layer in x_file.layers),
            tuple(layer.name for layer in y_file.layers),
            x_file.file.path,
            y_file.file.path,
            str(spec),
            str(kernel or ""),
            task.layers[0].n_examples,
            _statistics(task, outcome, (spec, kernel), rows, columns),
        )
        for spec in task.measures
        for kernel in (task.kernels if MEASURES[spec.name].takes_kernel else [None])
    ]


def _statistics(
    task: Task, outcome: Outcome, key: tuple[Spec, Spec | None], rows: slice, columns: slice
) -> Statistics | None:
    if task.resampling is None:
        return None
    found = (outcome.std_errors, outcome.chances, outcome.p_values, outcome.p_values_of_max)
    std_error, chance, p_value, of_max = (each[key][rows, columns] if key in each else None for each in found)
    missing = np.full_like(outcome.values[key][rows, columns], np.nan)
    return Statistics(
        missing if std_error is None else std_error,
        missing if chance is None else chance,
        missing if p_value is None else p_value,
        missing if of_max is None and task.resampling.n_permutations is not None else of_max,
    )


def _dimensions(files: list[SelectedFile], outcome: Outcome) -> tuple[tuple[float, ...], ...]:
    """Return the effective dimensions of the layers of each file, which stand one after the other in the outcome."""
    if outcome.effective_dimensions is None:
        return ()
    remaining = iter(outcome.effective_dimensions.tolist())
    return tuple(tuple(islice(remaining, len(file.layers))) for file in files)
