"""Carries out a plan: from selected layers to values, reduction by reduction. Nothing is printed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import call
from typing import Any

import numpy as np

from cka_cli.errors import DataError
from cka_cli.execution.checkpoint import Checkpoint
from cka_cli.execution.executors import Executor
from cka_cli.execution.found import Cells, Found
from cka_cli.execution.loop import Loop
from cka_cli.execution.routes import KernelSums, sums_of_kernels
from cka_cli.layers.centring import StreamedLayer, load_centred, survey
from cka_cli.measures.pair_values import PairFunction, PairValues
from cka_cli.measures.registry import MEASURES, values_from_sums
from cka_cli.plan.planner import Plan, make_plan
from cka_cli.plan.request import Request
from cka_cli.reductions.factors import FactorFunction, Factorise, Factors, n_block_features
from cka_cli.reductions.far_rows import FAR_RATIO
from cka_cli.reductions.folds import Folds, order_by_fold
from cka_cli.reductions.gram_sums import GramSums
from cka_cli.reductions.kernel_inputs import GramLayer, has_gram
from cka_cli.reductions.kernels import KERNELS, loses_origin
from cka_cli.reductions.source import CentredLayer, Source, SourceFacts, facts_of
from cka_cli.system.memory import give_back_freed_memory, keep_freed_memory
from cka_cli.system.progress import Progress

# Of values below 2**53, up to which float64 holds every integer.
_SCALE_OF_EXACT_INTEGERS = 2.0**-53
# About what two cores do in five minutes.
_MOST_MULTIPLICATIONS = 10**13


def execute(
    request: Request, plan: Plan, executor: Callable[[int], Executor], on_progress: Progress, store: Checkpoint
) -> Found:
    """Return the values of a request, worked out as the plan says.

    executor : a row of EXECUTORS, called with how many tasks are done at once.
    store : from which the work goes on, and in which it is kept.
    """
    if plan.in_memory:
        keep_freed_memory()
    else:
        give_back_freed_memory()
    loop = Loop(executor(plan.n_threads), store, on_progress)
    ordered, folds = _in_fold_order(request, plan)
    factors, sources = _factors_and_sources(ordered, plan, loop)
    other_plan = _plan_beside_far_rows(request, plan, sources)
    if other_plan is not None:
        del factors, sources
        store.set_plan(other_plan)
        return execute(request, other_plan, executor, on_progress, store)
    found = Found()
    _tell_of_layers(ordered, [facts_of(each) for each in sources] or [each.facts for each in factors], found)
    if request.gram_measures:
        _add_gram_values(ordered, plan, sources, folds, found, loop)
    if request.pair_measures:
        _add_pair_values(request, factors, found, loop)
    return found


def _tell_of_layers(request: Request, facts: Sequence[SourceFacts], found: Found) -> None:
    found.tell("constant", [each.label for each in facts if each.is_constant])
    both = list(zip(facts, request.layers, strict=True))
    found.far = {
        each.label: (layer.saved_row(each.farthest), each.far_ratio)
        for each, layer in both
        if each.far_ratio > FAR_RATIO
    }
    rounded = [
        each.label for each, layer in both if layer.layer.holds_integers and each.scale < _SCALE_OF_EXACT_INTEGERS
    ]
    found.tell("rounded", rounded)


def _plan_beside_far_rows(request: Request, plan: Plan, sources: Sequence[Source]) -> Plan | None:
    """Return another plan where products of features would lose the digits of debiased values; None to keep this one.

    They hold the diagonal, in which a row that lies far out outweighs all else by the square of how far. Gram matrices
    leave it out from the start; they are the other way unless there are too many examples for them.
    """
    if plan.route != "features" or not request.has_unbiased or not any(len(source.far.places) for source in sources):
        return None
    try:
        other = make_plan(replace(request, has_far_rows=True), plan.memory_bytes, plan.n_threads)
    except DataError:  # too little memory for tiles
        return None
    return other if other.multiplications <= _MOST_MULTIPLICATIONS else None


def _in_fold_order(request: Request, plan: Plan) -> tuple[Request, Folds | None]:
    """Return the request with the rows of one fold beside each other: in memory all of them, else in each block."""
    if request.resampling is None or request.run.n_batch is not None or not request.gram_measures:
        return request, None
    folds, groups = request.resampling.row_folds, request.resampling.row_groups
    n_positions = request.layers[0].n_positions
    n_window = len(folds) if plan.in_memory else max(1, plan.n_tile_rows // n_positions)
    order = order_by_fold(folds, n_window)
    layers = [layer.with_rows(np.asarray(layer.rows)[order]) for layer in request.layers]
    resampling = replace(
        request.resampling, row_folds=folds[order], row_groups=None if groups is None else groups[order]
    )  # fmt: skip
    return replace(request, layers=layers, resampling=resampling), Folds(np.repeat(folds[order], n_positions))


def _factors_and_sources(request: Request, plan: Plan, loop: Loop) -> tuple[list[Factors], list[Source]]:
    """Return the factors of all layers, where they are wanted, and the layers centred, where Gram matrices are.

    Layers are in memory, or ready to be read in pieces; each is read once for both.
    """
    n_bytes = [layer.layer.n_bytes for layer in request.layers]
    openers = [partial(_open, request, plan, place) for place in range(len(request.layers))]
    if not request.pair_measures:
        return [], loop.each("reading", call, openers, n_bytes)
    keep = partial(_as_dtype, request.dtype) if request.gram_measures else None
    costs = [each.n_examples * each.n_features * min(each.n_examples, each.n_features) for each in request.layers]
    factorised = loop.run(Factorise(FactorFunction(openers, _in_double, keep, request.needs_columns), costs))
    n_saved = len(openers) - len(factorised.sources)
    if not keep or not n_saved:
        return factorised.factors, factorised.sources
    # Of the first layers an earlier run saved the factors.
    opened = loop.each("reading", call, openers[:n_saved], n_bytes[:n_saved])
    return factorised.factors, [*map(keep, opened), *factorised.sources]


def _open(request: Request, plan: Plan, place: int) -> Source:
    """Return a layer centred; in float64 where factors are wanted of it, too, and it is in memory."""
    layer, saved = request.layers[place], request.needs_unit_rows
    if plan.in_memory:
        dtype = np.dtype(np.float64) if request.pair_measures else request.dtype
        return load_centred(layer, dtype, keep_saved=saved)
    return survey(layer, request.dtype, plan.n_slices[place], with_norms=saved)


def _as_dtype(dtype: np.dtype[Any], source: Source) -> Source:
    if not isinstance(source, CentredLayer):
        return source
    return replace(source, values=source.values.astype(dtype, copy=False))


def _in_double(source: Source) -> Source:
    """Return a layer as factors need it: one that is read in pieces, in slices as wide as they take in."""
    if not isinstance(source, StreamedLayer):
        return source
    n_slice = n_block_features(source.n_examples, source.n_features, source.layer.n_step)
    return replace(source, dtype=np.dtype(np.float64), n_slice=n_slice)


def _add_gram_values(
    request: Request, plan: Plan, sources: Sequence[Source], folds: Folds | None, found: Found, loop: Loop
) -> None:
    for each in sums_of_kernels(request, plan, sources, folds, loop):
        kernel = each.spec
        if KERNELS[kernel.name].is_linear and isinstance(each.sums, GramSums):
            found.effective_dimensions = each.sums.effective_dimensions()
        flat, over = np.zeros(len(sources), bool), np.zeros(len(sources), bool)
        for spec in request.gram_measures:
            of_measure = values_from_sums(MEASURES[spec.name], each.sums, each.scales)
            found.cells[spec, kernel] = Cells(of_measure.values, of_measure.chance)
            flat |= of_measure.is_flat
            if of_measure.is_flat.any():
                found.flat_in.setdefault(kernel, []).append(spec.name)
            if of_measure.is_out_of_range.any():
                found.out_of_range[spec, kernel] = int(np.count_nonzero(of_measure.is_out_of_range))
            over |= of_measure.overflows
        if request.resampling is not None:
            from cka_cli.execution.statistics import add_statistics

            add_statistics(request, each, found, loop)
        doubtful = [layer.source.label for layer in each.layers if _is_doubtful(request, plan, each, layer)]
        found.tell("doubtful", doubtful, kernel)
        found.tell(
            "overflowing", [source.label for source, beyond in zip(sources, over, strict=True) if beyond], kernel
        )
        varying = [source for source, is_flat in zip(sources, flat, strict=True) if is_flat and not source.is_constant]
        without = [layer.source.label for layer in each.layers if not has_gram(layer, kernel)]
        found.tell("without width", [source.label for source in varying if source.label in without], kernel)
        found.tell("flat", [source.label for source in varying if source.label not in without], kernel)


def _is_doubtful(request: Request, plan: Plan, sums: KernelSums, layer: GramLayer) -> bool:
    """Whether values of a kernel have lost digits to rows that lie far out from others."""
    far = layer.source.far
    if plan.route == "features":
        return request.has_unbiased and len(far.places) > 0
    return len(far.places) > 0 and loses_origin(layer.terms, sums.spec, far.ratio)


def _add_pair_values(request: Request, factors: Sequence[Factors], found: Found, loop: Loop) -> None:
    """Work out the measures of every pair wanted; once for (x, y) and (y, x) where both stand in the matrix."""
    x, y = factors[request.x], factors[request.y]
    saturated = [each.label for each in factors if each.is_saturated and each.rank > 0]
    found.tell("saturated", saturated)
    found.tell("saturated Y", [each.label for each in y if each.label in saturated])
    crowded = [
        f"{one.label} and {other.label}"
        for one, other in ((x[row], y[column]) for row, column in request.pairs)
        if one.rank + other.rank > one.n_degrees and not (one.is_saturated or other.is_saturated) and one is not other
    ]
    found.tell("crowded", crowded)
    function = PairFunction(x, y, request.pair_measures, request.is_square)
    table = loop.run(PairValues(function, request.pairs)).table
    for spec, (value, chance) in zip(request.pair_measures, table, strict=True):
        found.cells[spec, None] = Cells(value, chance)
    found.effective_dimensions = np.array([each.effective_dimension for each in factors])
