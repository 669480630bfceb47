"""The guts of `cka compare`: paths and options in, a Comparison out. Prints nothing; progress by callback."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise, permutations

import numpy as np

from cka_cli.execution.notes import notes_of, warnings_of
from cka_cli.execution.outcome import Outcome
from cka_cli.execution.run import execute, make_task, plan_task
from cka_cli.floating_point import flags_ignored
from cka_cli.layers.examples import Check, file_facts, select_files
from cka_cli.layers.notes import warnings_of_repeats
from cka_cli.layers.rows import ReadOptions
from cka_cli.layers.selection import SelectedFile
from cka_cli.measures.registry import MEASURES
from cka_cli.plan.options import RunOptions
from cka_cli.plan.planner import Plan
from cka_cli.plan.request import Task
from cka_cli.results.matrix import Comparison, Matrix, Statistics
from cka_cli.specs import Spec
from cka_cli.system.progress import Progress


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
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
    progress: Progress = silent,
    check: Check | None = None,
) -> Comparison:
    """Return the similarities of the layers of X with those of each Y, or with each other when X is alone.

    x, ys : `FILE` or `FILE::LAYER`; ys may be one or several. measures, kernels : as typed on the command line.
    progress : called with the stage, and how much of it is done of how much in all: first when it begins, from any
    thread. check : called with the files before their values are read; what it raises ends the work.
    run : how the work is done. Values depend on memory and threads by rounding only; the minibatch estimate is
    seeded by `read.seed`.
    Each of a layer's Gram matrices is computed once, however many pairs and measures need it.
    Values are float64, NaN where a measure has none; the notes of the result say why.
    Raises UsageError for options that do not fit, DataError for files that do not.
    """
    files, notes, warnings = select_files([x, *_as_list(ys)], read, progress, check)
    n_x = len(files[0].layers)
    task = make_task(files, slice(0, n_x), slice(n_x if ys else 0, None), measures, kernels, run, read.seed)
    warnings += warnings_of_repeats(files, read)
    outcome = execute(task, files, run, read, notes, progress)
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
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
    progress: Progress = silent,
    check: Check | None = None,
) -> Comparison:
    """Return the similarities of the layers of every file with those of every other, both ways round.

    One matrix for each ordered pair of files, measure and kernel; each layer is read, and each of its Gram matrices
    and factors computed, once. The rest as in `compare`.
    """
    files, notes, warnings = select_files(sources, read, progress, check)
    task = _task_of_each(files, measures, kernels, run, read.seed)
    ends = np.cumsum([0, *(len(file.layers) for file in files)]).tolist()
    places = [slice(start, stop) for start, stop in pairwise(ends)]
    warnings += warnings_of_repeats(files, read)
    outcome = execute(task, files, run, read, notes, progress)
    matrices: list[Matrix] = []
    for (x, rows), (y, columns) in permutations(zip(files, places, strict=True), 2):
        matrices += _matrices(task, outcome, (x, rows), (y, columns))
    return _comparison(matrices, files, outcome, (notes, warnings), task)


def _task_of_each(
    files: list[SelectedFile], measures: Sequence[str], kernels: Sequence[str], options: RunOptions, seed: int
) -> Task:
    everything = slice(0, sum(len(file.layers) for file in files))
    task = make_task(files, everything, everything, measures, kernels, options, seed)
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
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
    check: Check | None = None,
) -> Plan:
    """Return how `compare` would do the same job and what it would cost; only headers are read."""
    files, _, _ = select_files([x, *_as_list(ys)], read, silent, check)
    n_x = len(files[0].layers)
    task = make_task(files, slice(0, n_x), slice(n_x if ys else 0, None), measures, kernels, run, read.seed)
    return plan_task(task, run)


def plan_each(
    sources: Sequence[str], read: ReadOptions, measures: Sequence[str], kernels: Sequence[str], check: Check,
    run: RunOptions,
) -> Plan:  # fmt: skip
    """Return how `compare_each` would do the same job and what it would cost; only headers are read."""
    files, _, _ = select_files(sources, read, silent, check)
    return plan_task(_task_of_each(files, measures, kernels, run, read.seed), run)


def _as_list(ys: str | Sequence[str]) -> list[str]:
    return [ys] if isinstance(ys, str) else list(ys)


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
