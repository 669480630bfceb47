"""The guts of `cka compare`: paths and options in, a Comparison out. Prints nothing; progress by callback."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise, permutations
from pathlib import Path
from typing import Unpack

import numpy as np

from cka_cli.activations import ReadOptions, SelectedLayer, select_layers
from cka_cli.activations.selection import SelectedFile
from cka_cli.batches import LEAST_BATCH
from cka_cli.centred import find_nonfinite_examples
from cka_cli.engine import Outcome, Progress, Task, run
from cka_cli.errors import DataError, UsageError
from cka_cli.matrix import Comparison, FileFacts, LayerFacts, Matrix
from cka_cli.measures import MEASURES
from cka_cli.memory import default_memory_bytes
from cka_cli.names import Spec, parse_kernel, parse_measure
from cka_cli.notes import notes_of
from cka_cli.plan import Plan, RunKeywords, RunOptions, make_plan

# One-axis arrays beyond this are not compared between files unless they are named as ids.
_MOST_VECTOR_BYTES = 1 << 24


def silent(stage: str, done: int, total: int) -> None:
    """Report no progress."""


def compare(
    x: str,
    ys: str | Sequence[str] = (),
    *,
    measures: Sequence[str] = ("cka",),
    kernels: Sequence[str] = ("linear",),
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    progress: Progress = silent,
    **run_keywords: Unpack[RunKeywords],
) -> Comparison:
    """Return the similarities of the layers of X with those of each Y, or with each other when X is alone.

    x, ys : `FILE` or `FILE::LAYER`; ys may be one or several. measures, kernels : as typed on the command line.
    run_keywords : the fields of `RunOptions`. Values depend on memory and threads by rounding only; the minibatch
    estimate is seeded by `read.seed`.
    Each of a layer's Gram matrices is computed once, however many pairs and measures need it.
    Values are float64, NaN where a measure has none; the notes of the result say why.
    Raises UsageError for options that do not fit, DataError for files that do not.
    """
    options = RunOptions(**run_keywords)
    files, notes = select_files([x, *_as_list(ys)], read, progress)
    n_x = len(files[0].layers)
    task = _make_task(files, slice(0, n_x), slice(n_x if ys else 0, None), measures, kernels, options, read.seed)
    outcome = run(task, _plan(task, options), progress)
    notes += notes_of(task, outcome)
    others, start = files[1:] or files[:1], 0
    matrices: list[Matrix] = []
    for y in others:
        columns = slice(start, start + len(y.layers))
        start = columns.stop
        matrices += _matrices(task, outcome, (files[0], slice(0, n_x)), (y, columns))
    return Comparison(tuple(matrices), tuple(file_facts(file) for file in files), tuple(notes))


def compare_each(
    sources: Sequence[str],
    *,
    measures: Sequence[str] = ("cka",),
    kernels: Sequence[str] = ("linear",),
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    progress: Progress = silent,
    **run_keywords: Unpack[RunKeywords],
) -> Comparison:
    """Return the similarities of the layers of every file with those of every other, both ways round.

    One matrix for each ordered pair of files, measure and kernel; each layer is read, and each of its Gram matrices
    and factors computed, once. The rest as in `compare`.
    """
    options = RunOptions(**run_keywords)
    files, notes = select_files(sources, read, progress)
    everything = slice(0, sum(len(file.layers) for file in files))
    task = _make_task(files, everything, everything, measures, kernels, options, read.seed)
    ends = np.cumsum([0, *(len(file.layers) for file in files)]).tolist()
    places = [slice(start, stop) for start, stop in pairwise(ends)]
    task = replace(task, apart=tuple(number for number, file in enumerate(files) for _ in file.layers))
    outcome = run(task, _plan(task, options), progress)
    matrices: list[Matrix] = []
    for (x, rows), (y, columns) in permutations(zip(files, places, strict=True), 2):
        matrices += _matrices(task, outcome, (x, rows), (y, columns))
    notes += notes_of(task, outcome)
    return Comparison(tuple(matrices), tuple(file_facts(file) for file in files), tuple(notes))


def plan_comparison(
    x: str,
    ys: str | Sequence[str] = (),
    *,
    measures: Sequence[str] = ("cka",),
    kernels: Sequence[str] = ("linear",),
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    **run_keywords: Unpack[RunKeywords],
) -> Plan:
    """Return how `compare` would do the same job and what it would cost; only headers are read."""
    options = RunOptions(**run_keywords)
    files, _ = select_files([x, *_as_list(ys)], read, silent)
    n_x = len(files[0].layers)
    task = _make_task(files, slice(0, n_x), slice(n_x if ys else 0, None), measures, kernels, options, read.seed)
    return _plan(task, options)


def _plan(task: Task, options: RunOptions) -> Plan:
    memory_bytes = default_memory_bytes() if options.memory_bytes is None else options.memory_bytes
    return make_plan(task.job(), memory_bytes, options.n_threads)


def _as_list(ys: str | Sequence[str]) -> list[str]:
    return [ys] if isinstance(ys, str) else list(ys)


def select_files(sources: Sequence[str], read: ReadOptions, progress: Progress) -> tuple[list[SelectedFile], list[str]]:
    """Return the layers to compare, by file, and what a reader must know of what was left out."""
    files = select_layers(sources, read)
    notes = _left_out(files)
    if read.ids is None:
        notes += _other_order(files)
    if read.nonfinite == "drop":
        files = _drop_nonfinite(files, notes, progress)
    return files, notes


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
        raise UsageError("no measure or no kernel; give at least one of each")
    layers = [layer for file in files for layer in file.layers]
    check_enough_examples(layers[0], measure_specs)
    y = slice(y.start, len(layers))
    task = Task(
        layers, x, y, measure_specs, kernel_specs, options.precision, options.n_batch, options.n_passes, seed
    )  # fmt: skip
    _check_batch(task)
    return task


def _check_batch(task: Task) -> None:
    if task.n_batch is None:
        return
    if task.n_batch < LEAST_BATCH or task.n_passes < 1:
        raise UsageError(f"--batch {task.n_batch}: a batch has at least {LEAST_BATCH} examples, in at least one pass")
    if task.pair_measures:
        raise UsageError(f"--batch: {task.pair_measures[0].name} has no minibatch estimate; it is for cka and hsic")


def _left_out(files: list[SelectedFile]) -> list[str]:
    """Say which arrays would have been layers, were they of another kind, unless layers were named."""
    notes = [f"{file.file.path}::{name} left out: {why}" for file in files for name, why in file.left_out.items()]
    return list(dict.fromkeys(notes))


def _other_order(files: list[SelectedFile]) -> list[str]:
    """Say when files hold the same labels or ids in another order: then their rows are not the same examples."""
    first, notes = files[0].file, []
    for file in dict.fromkeys(each.file for each in files[1:]):
        theirs = {vector.name: vector for vector in file.vectors}
        for vector in first.vectors:
            other = theirs.get(vector.name)
            if other is None or vector.shape != other.shape or vector.n_bytes > _MOST_VECTOR_BYTES:
                continue
            ours = vector.read(0, vector.shape[0]).tolist()
            if ours != other.read(0, other.shape[0]).tolist():
                notes.append(
                    f"{other.label} differs from {vector.label}: are the rows the same examples in the same order? "
                    "if it holds ids, --ids aligns them"
                )
    return notes


def _drop_nonfinite(files: list[SelectedFile], notes: list[str], progress: Progress) -> list[SelectedFile]:
    layers = [layer for file in files for layer in file.layers]
    bad: set[int] = set()
    worst, most = layers[0], 0
    for done, layer in enumerate(layers, start=1):
        found = find_nonfinite_examples(layer).tolist()
        bad.update(found)
        worst, most = (layer, len(found)) if len(found) > most else (worst, most)
        progress("checking values", done, len(layers))
    if not bad:
        return files
    n_before = len(layers[0].rows)
    keep = np.setdiff1d(np.arange(n_before, dtype=np.intp), np.array(sorted(bad), dtype=np.intp))
    if not len(keep):
        raise DataError(
            f"{worst.label}: {most} of {n_before} examples are not finite, and none is finite in every layer; "
            "mend the file, or leave the layer out with --layers"
        )
    notes.append(f"{len(bad)} of {n_before} examples left out of every layer: not finite in at least one")
    return [
        replace(file, layers=tuple(layer.with_rows(np.asarray(layer.rows)[keep]) for layer in file.layers))
        for file in files
    ]


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
        )
        for spec in task.measures
        for kernel in (task.kernels if MEASURES[spec.name].takes_kernel else [None])
    ]


def file_facts(file: SelectedFile) -> FileFacts:
    """Return what a report says of a file and of those of its layers that were chosen."""
    status = Path(file.file.path).stat()
    size = status.st_size
    if Path(file.file.path).is_dir():
        size = sum(entry.stat().st_size for entry in Path(file.file.path).glob("*.npy"))
    modified = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
    layers = tuple(
        LayerFacts(layer.name, layer.layer.shape, str(layer.dtype), layer.n_features) for layer in file.layers
    )
    return FileFacts(file.file.path, size, modified, layers)
