"""The guts of `cka compare`: paths and options in, a Comparison out. Prints nothing; progress by callback."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise, permutations, product
from typing import TypedDict, Unpack

import numpy as np

from cka_cli.execution.executors import EXECUTORS, Executor
from cka_cli.execution.found import Cells, Found
from cka_cli.execution.run import run_plan
from cka_cli.floating_point import quiet_arithmetic
from cka_cli.layers.examples import Check, Selection, select_files
from cka_cli.layers.selection import SelectedFile
from cka_cli.measures.registry import MEASURES
from cka_cli.options import ReadOptions, RunOptions
from cka_cli.plan.planner import Plan, make_plan
from cka_cli.plan.request import Request, make_request
from cka_cli.results.matrix import Comparison, Matrix, Statistics
from cka_cli.system.progress import Progress, silent


class Asked(TypedDict, total=False):
    """What any comparison may be asked for, by the names and with the defaults of `compare`."""

    measures: Sequence[str]
    kernels: Sequence[str]
    read: ReadOptions
    run: RunOptions


@dataclass(frozen=True)
class Prepared:
    """A comparison that can be carried out: which layers, what is wanted of them, and what must be said already.

    blocks : the files of each pair, with the rows and the columns of the request that are theirs.
    """

    selection: Selection
    request: Request
    read: ReadOptions
    blocks: Sequence[tuple[SelectedFile, slice, SelectedFile, slice]]


@quiet_arithmetic
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
    progress : called with the stage, and how much of it is done of how much in all: first when it begins.
    check : called with the files before their values are read; what it raises ends the work.
    run : how the work is done. Values depend on memory and threads by rounding only; the minibatch estimate is
    seeded by `read.seed`.
    Each of a layer's Gram matrices is computed once, however many pairs and measures need it.
    Values are float64, NaN where a measure has none; the notes of the result say why.
    Raises UsageError for options that do not fit, DataError for files that do not.
    """
    asked: Asked = {"measures": measures, "kernels": kernels, "read": read, "run": run}
    return carry_out(prepare(x, ys, progress, check, **asked), progress)


@quiet_arithmetic
def compare_each(
    sources: Sequence[str], *, progress: Progress = silent, check: Check | None = None, **asked: Unpack[Asked]
) -> Comparison:
    """Return the similarities of the layers of every file with those of every other, both ways round.

    One matrix for each ordered pair of files, measure and kernel; each layer is read, and each of its Gram matrices
    and factors computed, once. The rest as in `compare`.
    """
    return carry_out(prepare(sources[0], sources[1:], progress, check, each=True, **asked), progress)


@quiet_arithmetic
def plan_comparison(
    x: str, ys: str | Sequence[str] = (), *, each: bool = False, check: Check | None = None, **asked: Unpack[Asked]
) -> Plan:
    """Return how `compare`, or `compare_each`, would do the same job and what it would cost; only headers are read."""
    return make_plan(prepare(x, ys, check=check, each=each, only_headers=True, **asked).request)


def prepare(
    x: str,
    ys: str | Sequence[str] = (),
    progress: Progress = silent,
    check: Check | None = None,
    *,
    each: bool = False,
    only_headers: bool = False,
    measures: Sequence[str] = ("cka",),
    kernels: Sequence[str] = ("linear",),
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
) -> Prepared:
    """Select what `compare` is asked for: X with each Y, or with itself. each : every file with every other."""
    sources = [x, ys] if isinstance(ys, str) else [x, *ys]
    selection = select_files(sources, read, progress, check, with_repeats=not only_headers)
    files = selection.files
    layers_of = [len(file.layers) for file in files]
    y_files = files if each else files[1:] or files
    placed, y_placed = (list(zip(some, _places(some), strict=True)) for some in (files, y_files))
    pairs = permutations(placed, 2) if each else product(placed[:1], y_placed)
    rows = slice(0, sum(layers_of) if each else layers_of[0])
    columns = slice(sum(layers_of[: len(files) - len(y_files)]), None)
    request = make_request(files, rows, columns, measures, kernels, run, read.seed)
    if each:
        request = replace(request, apart=tuple(np.repeat(range(len(files)), layers_of).tolist()))
    blocks = [(*x_and_rows, *y_and_columns) for x_and_rows, y_and_columns in pairs]
    return Prepared(selection, request, read, blocks)


def _places(files: Sequence[SelectedFile]) -> list[slice]:
    """Return where the layers of each file stand among those of all."""
    ends = np.cumsum([0, *(len(file.layers) for file in files)]).tolist()
    return [slice(start, stop) for start, stop in pairwise(ends)]


def carry_out(
    prepared: Prepared,
    progress: Progress = silent,
    plan_of: Callable[[Request], Plan] | None = None,
    executor: Callable[[int], Executor] = EXECUTORS["threads"],
) -> Comparison:
    """Return the result. plan_of : gives another plan of the request; executor : does the tasks, so many at once."""
    request, (files, facts, notes, warnings) = prepared.request, prepared.selection
    plan = (plan_of or make_plan)(request)
    found, more_notes, more_warnings = run_plan(request, plan, files, prepared.read, executor, progress)
    matrices = tuple(matrix for block in prepared.blocks for matrix in _matrices(request, found, *block))
    warnings, notes = warnings + more_warnings, notes + more_notes
    return Comparison(matrices, facts, (*warnings, *notes), _dimensions(files, found), tuple(warnings))


def _matrices(
    request: Request, found: Found, x: SelectedFile, rows: slice, y: SelectedFile, columns: slice
) -> list[Matrix]:
    """Return the matrices of one pair of files, whose layers stand in these rows and columns of what was found."""
    x_names, y_names = (tuple(layer.name for layer in file.layers) for file in (x, y))
    kinds = [
        (spec, kernel)
        for spec in request.measures
        for kernel in (request.kernels if MEASURES[spec.name].takes_kernel else [None])
    ]
    return [
        Matrix(
            found.cells[kind].value[rows, columns], x_names, y_names, x.file.path, y.file.path, str(kind[0]),
            str(kind[1] or ""), request.n_examples,
            None if request.resampling is None else _statistics(request, found.cells[kind], rows, columns),
        )
        for kind in kinds
    ]  # fmt: skip


def _statistics(request: Request, cells: Cells, rows: slice, columns: slice) -> Statistics:
    missing = np.full_like(cells.value[rows, columns], np.nan)
    std_error, p_value, of_max = (
        missing if each is None else each[rows, columns]
        for each in (cells.std_error, cells.p_value, cells.p_value_of_max)
    )
    has_max = cells.p_value_of_max is not None or request.run.permutations is not None
    return Statistics(std_error, cells.chance[rows, columns], p_value, of_max if has_max else None)


def _dimensions(files: Sequence[SelectedFile], found: Found) -> tuple[tuple[float, ...], ...]:
    """Return the effective dimensions of the layers of each file, which stand one after the other in what was found."""
    if found.effective_dimensions is None:
        return ()
    remaining = iter(found.effective_dimensions.tolist())
    return tuple(tuple(islice(remaining, len(file.layers))) for file in files)
