"""The guts of `cka compare`: paths and options in, a Comparison out. Prints nothing; progress by callback."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cka_cli.activations import ReadOptions, SelectedLayer, select_layers
from cka_cli.activations.selection import SelectedFile
from cka_cli.arrays import Float64
from cka_cli.batches import LEAST_BATCH
from cka_cli.centred import find_nonfinite_examples
from cka_cli.engine import Outcome, Progress, Task, run
from cka_cli.errors import DataError, UsageError
from cka_cli.matrix import Comparison, FileFacts, LayerFacts, Matrix
from cka_cli.measures import MEASURES
from cka_cli.memory import default_memory_bytes
from cka_cli.names import Spec, parse_kernel, parse_measure
from cka_cli.plan import Plan, make_plan

# One-axis arrays beyond this are not compared between files unless they are named as ids.
_MOST_VECTOR_BYTES = 1 << 24


def _silent(stage: str, done: int, total: int) -> None:
    return None


def compare(
    x: str,
    ys: str | Sequence[str] = (),
    *,
    measures: Sequence[str] = ("cka",),
    kernels: Sequence[str] = ("linear",),
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    precision: str = "auto",
    n_batch: int | None = None,
    n_passes: int = 1,
    memory_bytes: int | None = None,
    n_threads: int = 1,
    progress: Progress = _silent,
) -> Comparison:
    """Return the similarities of the layers of X with those of each Y, or with each other when X is alone.

    x, ys : `FILE` or `FILE::LAYER`; ys may be one or several. measures, kernels : as typed on the command line.
    n_batch, n_passes : the minibatch estimate instead of the exact value, seeded by `read.seed`.
    memory_bytes : what the arrays may take; half of the free memory when None. Values depend on it by rounding only.
    Each of a layer's Gram matrices is computed once, however many pairs and measures need it.
    Values are float64, NaN where a measure has none; the notes of the result say why.
    Raises UsageError for options that do not fit, DataError for files that do not.
    """
    files, task, notes = _prepare(x, ys, measures, kernels, read, precision, n_batch, n_passes, progress)
    plan = make_plan(task.job(), default_memory_bytes() if memory_bytes is None else memory_bytes, n_threads)
    outcome = run(task, plan, progress)
    _add_notes(task, outcome, notes)
    matrices = _matrices(files, task, outcome.values)
    return Comparison(matrices, tuple(_facts(file) for file in files), tuple(notes))


def plan_comparison(
    x: str,
    ys: str | Sequence[str] = (),
    *,
    measures: Sequence[str] = ("cka",),
    kernels: Sequence[str] = ("linear",),
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    precision: str = "auto",
    n_batch: int | None = None,
    n_passes: int = 1,
    memory_bytes: int | None = None,
    n_threads: int = 1,
) -> Plan:
    """Return how `compare` would do the same job and what it would cost; only headers are read."""
    _, task, _ = _prepare(x, ys, measures, kernels, read, precision, n_batch, n_passes, _silent)
    return make_plan(task.job(), default_memory_bytes() if memory_bytes is None else memory_bytes, n_threads)


def _prepare(
    x: str,
    ys: str | Sequence[str],
    measures: Sequence[str],
    kernels: Sequence[str],
    read: ReadOptions,
    precision: str,
    n_batch: int | None,
    n_passes: int,
    progress: Progress,
) -> tuple[list[SelectedFile], Task, list[str]]:
    measure_specs = list(dict.fromkeys(parse_measure(text) for text in measures))
    kernel_specs = list(dict.fromkeys(parse_kernel(text) for text in kernels))
    if not measure_specs or not kernel_specs:
        raise UsageError("no measure or no kernel; give at least one of each")
    files = select_layers([x, *([ys] if isinstance(ys, str) else ys)], read)
    notes = _left_out(files)
    if read.ids is None:
        notes += _other_order(files)
    if read.nonfinite == "drop":
        files = _drop_nonfinite(files, notes, progress)
    layers = [layer for file in files for layer in file.layers]
    _check_enough_examples(layers[0], measure_specs)
    n_x = len(files[0].layers)
    x_slice, y_slice = slice(0, n_x), slice(n_x if ys else 0, len(layers))
    task = Task(
        layers, x_slice, y_slice, measure_specs, kernel_specs, precision, n_batch, n_passes, read.seed
    )  # fmt: skip
    _check_batch(task)
    return files, task, notes


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


def _check_enough_examples(layer: SelectedLayer, specs: list[Spec]) -> None:
    for spec in specs:
        needed = MEASURES[spec.name].min_examples
        if layer.n_examples < needed:
            raise DataError(
                f"{layer.label}: {layer.n_examples} examples, but {spec.name} needs at least {needed}; give more rows"
            )


def _add_notes(task: Task, outcome: Outcome, notes: list[str]) -> None:
    """Say which layers have no value, or none that means anything, and why."""
    if outcome.constant:
        notes.append(f"{_listed(outcome.constant)}: constant (every example is the same), so its values are nan")
    for kernel, labels in outcome.without_width.items():
        if labels:
            notes.append(
                f"{_listed(labels)}: more than half of the distances are 0, so {kernel} has no width and its values "
                "are nan; give -k rbf:gamma=VALUE"
            )
    for kernel, labels in outcome.flat.items():
        if labels:
            notes.append(f"{_listed(labels)}: the {kernel} kernel is constant to rounding, so its values are nan")
    for kernel, labels in outcome.overflowing.items():
        if labels:
            notes.append(
                f"{_listed(labels)}: the {kernel} kernel overflows, so its values are nan; give a smaller gamma"
            )
    _add_notes_of_cca(task, outcome, notes)


def _add_notes_of_cca(task: Task, outcome: Outcome, notes: list[str]) -> None:
    n_examples = task.layers[0].n_examples
    advice = "use cka or cka-debiased, more examples, or --pool mean"
    for side, labels in (("either", outcome.saturated), ("Y", outcome.saturated_y)):
        names = [spec.name for spec in task.measures if MEASURES[spec.name].saturated_by == side]
        if names and labels:
            notes.append(
                f"{', '.join(names)}: 1 for {_listed(labels)}{' as Y' * (side == 'Y')} whatever the other layer, which "
                f"means nothing: {n_examples} examples are too few for {n_examples - 1} or more independent features; "
                + advice
            )
    names = [spec.name for spec in task.measures if MEASURES[spec.name].saturated_by == "either"]
    if names and outcome.crowded:
        pairs = _listed(outcome.crowded).replace("more layers", "more pairs")
        notes.append(
            f"{', '.join(names)}: raised for {pairs}: their independent features add up to more than "
            f"{n_examples - 1}, so some correlations are 1 by force (and pwcca is not unique); " + advice
        )


def _listed(names: list[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:4]) + (f" and {len(unique) - 4} more layers" if len(unique) > 4 else "")


def _matrices(
    files: list[SelectedFile], task: Task, values: dict[tuple[Spec, Spec | None], Float64]
) -> tuple[Matrix, ...]:
    x, others = files[0], files[1:] or files[:1]
    matrices = []
    start = 0
    for y in others:
        columns = slice(start, start + len(y.layers))
        start = columns.stop
        for spec in task.measures:
            for kernel in task.kernels if MEASURES[spec.name].takes_kernel else [None]:
                matrices.append(
                    Matrix(
                        values[spec, kernel][:, columns],
                        tuple(layer.name for layer in x.layers),
                        tuple(layer.name for layer in y.layers),
                        x.file.path,
                        y.file.path,
                        str(spec),
                        str(kernel or ""),
                        x.layers[0].n_examples,
                    )
                )
    return tuple(matrices)


def _facts(file: SelectedFile) -> FileFacts:
    status = Path(file.file.path).stat()
    size = status.st_size
    if Path(file.file.path).is_dir():
        size = sum(entry.stat().st_size for entry in Path(file.file.path).glob("*.npy"))
    modified = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
    layers = tuple(
        LayerFacts(layer.name, layer.layer.shape, str(layer.dtype), layer.n_features) for layer in file.layers
    )
    return FileFacts(file.file.path, size, modified, layers)
