"""Carries out a plan: from selected layers to Gram sums and factors. Progress by callback; nothing is printed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cka_cli.arrays import Array, Float64
from cka_cli.errors import DataError
from cka_cli.execution.checkpoint import Checkpoint
from cka_cli.execution.outcome import Outcome
from cka_cli.execution.threads import in_order
from cka_cli.layers.centring import StreamedLayer, load_centred, survey
from cka_cli.measures.cca import FactorPair
from cka_cli.measures.registry import MEASURES, values_from_sums
from cka_cli.plan.planner import Plan, make_plan
from cka_cli.plan.request import Task
from cka_cli.reductions.factors import Factors, factorise_layer, n_block_features
from cka_cli.reductions.far_rows import FAR_RATIO
from cka_cli.reductions.feature_products import feature_sums
from cka_cli.reductions.folds import Folds, order_by_fold
from cka_cli.reductions.gram_sums import GramSums
from cka_cli.reductions.gram_tiles import GramJob, gram_scales, gram_sums
from cka_cli.reductions.kernel_inputs import GramLayer, has_gram, prepare
from cka_cli.reductions.kernels import KERNELS, loses_origin
from cka_cli.reductions.source import Source
from cka_cli.specs import Spec
from cka_cli.system.memory import give_back_freed_memory
from cka_cli.system.progress import Count, Meter, Progress, Report, Share, parts_of, uncounted

if TYPE_CHECKING:
    from cka_cli.reductions.minibatch import BatchSums

# Of values below 2**53, up to which float64 holds every integer.
_SCALE_OF_EXACT_INTEGERS = 2.0**-53
# About what two cores do in five minutes.
_MOST_MULTIPLICATIONS = 10**13
_PAIRS = "pairs"  # a stage of a checkpoint


def run(task: Task, plan: Plan, progress: Progress, checkpoint: Checkpoint) -> Outcome:
    """Return the values of a task, worked out as the plan says, going on from a checkpoint and keeping it."""
    if not plan.in_memory:
        give_back_freed_memory()
    in_order_of_files = task
    task, folds = _in_fold_order(task, plan)
    sources, factors = _open_sources(task, plan, progress)
    other_plan = _plan_beside_far_rows(task, plan, sources)
    if other_plan is not None:
        del sources, factors
        checkpoint.set_plan(asdict(other_plan))
        return run(in_order_of_files, other_plan, progress, checkpoint)
    outcome = Outcome(constant=[source.label for source in sources if source.is_constant])
    outcome.far = {
        source.label: (layer.saved_row(source.far.farthest), source.far.ratio)
        for source, layer in zip(sources, task.layers, strict=True)
        if source.far.ratio > FAR_RATIO
    }
    outcome.rounded = [
        source.label
        for source, layer in zip(sources, task.layers, strict=True)
        if layer.layer.holds_integers and source.scale < _SCALE_OF_EXACT_INTEGERS
    ]
    if task.gram_measures:
        _add_gram_values(task, plan, sources, folds, outcome, progress, checkpoint)
    if task.pair_measures:
        outcome.saturated = [each.label for each in factors if each.is_saturated and each.rank > 0]
        outcome.saturated_y = [each.label for each in factors[task.y] if each.label in outcome.saturated]
        x_factors, y_factors = factors[task.x], factors[task.y]
        outcome.crowded = [
            f"{x.label} and {y.label}"
            for x, y in ((x_factors[row], y_factors[column]) for row, column in task.pairs)
            if x.rank + y.rank > x.n_degrees and not (x.is_saturated or y.is_saturated) and x is not y
        ]
        _add_pair_values(task, plan, factors, outcome, progress, checkpoint)
        outcome.effective_dimensions = np.array([each.effective_dimension for each in factors])
    return outcome


def _plan_beside_far_rows(task: Task, plan: Plan, sources: Sequence[Source]) -> Plan | None:
    """Return another plan where products of features would lose the digits of debiased values; None to keep this one.

    They hold the diagonal, in which a row that lies far out outweighs all else by the square of how far. Gram matrices
    leave it out from the start; they are the other way unless there are too many examples for them.
    """
    if plan.route != "features" or not task.has_unbiased or not any(len(source.far.places) for source in sources):
        return None
    try:
        other = make_plan(task.job(has_far_rows=True), plan.memory_bytes, plan.n_threads)
    except DataError:  # too little memory for tiles
        return None
    return other if other.multiplications <= _MOST_MULTIPLICATIONS else None


def _in_fold_order(task: Task, plan: Plan) -> tuple[Task, Folds | None]:
    """Return the task with the rows of one fold beside each other: in memory all of them, else within each block."""
    if task.resampling is None or task.n_batch is not None or not task.gram_measures:
        return task, None
    folds, groups = task.resampling.row_folds, task.resampling.row_groups
    n_positions = task.layers[0].n_positions
    n_window = len(folds) if plan.in_memory else max(1, plan.n_tile_rows // n_positions)
    order = order_by_fold(folds, n_window)
    layers = [layer.with_rows(np.asarray(layer.rows)[order]) for layer in task.layers]
    resampling = replace(
        task.resampling, row_folds=folds[order], row_groups=None if groups is None else groups[order]
    )  # fmt: skip
    return replace(task, layers=layers, resampling=resampling), Folds(np.repeat(folds[order], n_positions))


def _open_sources(task: Task, plan: Plan, progress: Progress) -> tuple[list[Source], list[Factors]]:
    """Return the layers centred, in memory or ready to be read in pieces, and the factors of those that need them."""
    stage = "factorising" if task.pair_measures else "reading"
    meter = Meter(partial(progress, stage), sum(layer.layer.n_bytes for layer in task.layers))

    def open_one(place: int, share: Share) -> tuple[Source, Factors | None]:
        layer = task.layers[place]
        if not task.pair_measures:
            if plan.in_memory:
                return load_centred(layer, task.dtype, share.add, keep_saved=task.needs_unit_rows), None
            n_slice = plan.n_slices[place]
            return survey(layer, task.dtype, n_slice, share.add, with_norms=task.needs_unit_rows), None
        count = parts_of(layer.layer.n_bytes, share.add)
        if not plan.in_memory:
            n_slice = plan.n_slices[place]
            streamed = survey(layer, task.dtype, n_slice, uncounted, with_norms=task.needs_unit_rows)
            return streamed, _streamed_factors(task, streamed, count)
        centred = load_centred(layer, np.dtype(np.float64), uncounted, keep_saved=task.needs_unit_rows)
        factors = factorise_layer(centred, with_columns=task.needs_columns, count=count)
        if task.gram_measures:
            return centred.as_dtype(task.dtype), factors
        nothing = np.empty((layer.n_examples, 0))
        return replace(centred, values=nothing), factors

    def open_and_count(place: int) -> tuple[Source, Factors | None]:
        share = meter.share(task.layers[place].layer.n_bytes)
        opened = open_one(place, share)
        share.end()  # of layers of which not all rows are read, too
        return opened

    opened = list(in_order(open_and_count, range(len(task.layers)), plan.n_threads))
    return [source for source, _ in opened], [factors for _, factors in opened if factors is not None]


def _streamed_factors(task: Task, source: StreamedLayer, count: Count) -> Factors:
    """Return the factors of a layer that is not held: in float64, in slices as wide as they are taken in."""
    layer = source.layer
    n_slice = n_block_features(layer.n_examples, layer.n_features, layer.n_step)
    wider = replace(source, dtype=np.dtype(np.float64), n_slice=n_slice)
    return factorise_layer(wider, with_columns=task.needs_columns, count=count)


@dataclass(frozen=True, eq=False)
class _OfKernel:
    """What was worked out of one kernel: the sums of all layers, and the layers with what the kernel needed of them.

    scales : the square root of what each Gram matrix was multiplied by, 0 where there is none.
    """

    spec: Spec
    sums: "GramSums | BatchSums"
    scales: Float64
    layers: Sequence[GramLayer]


def _add_gram_values(
    task: Task,
    plan: Plan,
    sources: Sequence[Source],
    folds: Folds | None,
    outcome: Outcome,
    progress: Progress,
    checkpoint: Checkpoint,
) -> None:
    for each in _gram_sums(task, plan, sources, folds, partial(progress, "comparing"), checkpoint):
        kernel = each.spec
        if kernel.name == "linear" and isinstance(each.sums, GramSums):
            outcome.effective_dimensions = each.sums.effective_dimensions()
        flat, over = np.zeros(len(sources), bool), np.zeros(len(sources), bool)
        for spec in task.gram_measures:
            of_measure = values_from_sums(MEASURES[spec.name], each.sums, each.scales)
            outcome.values[spec, kernel], outcome.chances[spec, kernel] = of_measure.values, of_measure.chance
            flat |= of_measure.is_flat
            if of_measure.is_flat.any():
                outcome.flat_in.setdefault(kernel, []).append(spec.name)
            if of_measure.is_out_of_range.any():
                outcome.out_of_range[spec, kernel] = int(np.count_nonzero(of_measure.is_out_of_range))
            over |= of_measure.overflows
        if task.resampling is not None:
            from cka_cli.execution.statistics import add_statistics

            add_statistics(task, plan, each.spec, each.sums, each.scales, each.layers, outcome, progress, checkpoint)
        outcome.doubtful[kernel] = [
            layer.source.label for layer in each.layers if _is_doubtful(task, plan, kernel, layer)
        ]
        outcome.overflowing[kernel] = [source.label for source, beyond in zip(sources, over, strict=True) if beyond]
        varying = [source for source, is_flat in zip(sources, flat, strict=True) if is_flat and not source.is_constant]
        without = [layer.source.label for layer in each.layers if not has_gram(layer, kernel)]
        outcome.without_width[kernel] = [source.label for source in varying if source.label in without]
        outcome.flat[kernel] = [source.label for source in varying if source.label not in without]


def _is_doubtful(task: Task, plan: Plan, kernel: Spec, layer: GramLayer) -> bool:
    """Whether values of a kernel have lost digits to rows that lie far out from others."""
    far = layer.source.far
    if plan.route == "features":
        return task.has_unbiased and len(far.places) > 0
    return len(far.places) > 0 and loses_origin(layer.terms, kernel, far.ratio)


def _gram_sums(
    task: Task,
    plan: Plan,
    sources: Sequence[Source],
    folds: Folds | None,
    report: Report,
    checkpoint: Checkpoint,
) -> list[_OfKernel]:
    needs = frozenset(KERNELS[spec.name].needs for spec in task.kernels)
    gamma = max(
        (float(spec.get("gamma") or 0) for spec in task.kernels if KERNELS[spec.name].needs == "distances"), default=0.0
    )
    layers = list(in_order(lambda source: prepare(source, needs, gamma), sources, plan.n_threads))
    if plan.route == "features":
        sums = feature_sums(sources, task.x, task.y, plan.n_tile_rows, plan.n_threads, report, checkpoint, folds)
        return [_OfKernel(spec, sums, gram_scales(layers, spec), layers) for spec in task.kernels]
    several_tiles = plan.route == "batches" or (plan.in_memory and plan.n_tiles > 1)
    job = GramJob(
        layers, task.kernels, task.x, task.y, plan.n_tile_rows, plan.keep_distances, folds=folds, n_kept=plan.n_kept,
        tiles_at_once=plan.n_threads if several_tiles else 1, layers_at_once=1 if several_tiles else plan.n_threads,
    )  # fmt: skip
    all_sums: list[GramSums | BatchSums] = []
    if task.n_batch is None:
        job, of_kernels = gram_sums(job, report, checkpoint)
        all_sums += of_kernels
    else:
        from cka_cli.reductions.minibatch import batch_sums, shuffled_orders

        orders = shuffled_orders(job.n_examples, task.n_passes, task.seed)
        job, of_batches = batch_sums(job, orders, task.n_batch, plan.n_threads, report, checkpoint)
        all_sums += of_batches
    return [
        _OfKernel(spec, of_kernel, gram_scales(job.layers, spec), job.layers)
        for spec, of_kernel in zip(task.kernels, all_sums, strict=True)
    ]


def _add_pair_values(
    task: Task,
    plan: Plan,
    factors: Sequence[Factors],
    outcome: Outcome,
    progress: Progress,
    checkpoint: Checkpoint,
) -> None:
    """Work out the measures of every pair wanted; once for (x, y) and (y, x) where both stand in the matrix."""
    x, y, pairs, is_square = factors[task.x], factors[task.y], task.pairs, task.is_square

    def both_ways(pair: tuple[int, int]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        joined = FactorPair(x[pair[0]], y[pair[1]])
        return [_pair_values(spec, joined, is_square=is_square) for spec in task.pair_measures]

    table = np.full((2, len(task.pair_measures), len(x), len(y)), np.nan)
    state: dict[str, Array] = {"table": table, "n_done": np.zeros(1, np.int64)}
    checkpoint.restore(_PAIRS, state)
    left = pairs[int(state["n_done"][0]) :]
    meter = Meter(partial(progress, "comparing pairs"), len(pairs), len(pairs) - len(left))
    for (row, column), values in zip(left, in_order(both_ways, left, plan.n_threads), strict=True):
        with checkpoint.adding(_PAIRS, lambda: state):
            for place, (forth, back) in enumerate(values):
                table[:, place, row, column] = forth
                if is_square and row != column:
                    table[:, place, column, row] = back
            state["n_done"] += 1
        meter.add(1)
    outcome.values |= {(spec, None): table[0, place] for place, spec in enumerate(task.pair_measures)}
    outcome.chances |= {(spec, None): table[1, place] for place, spec in enumerate(task.pair_measures)}


def _pair_values(spec: Spec, pair: FactorPair, *, is_square: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return value and chance of (x, y) and of (y, x), the latter only where they are wanted and others."""
    measure = MEASURES[spec.name]

    def value_and_chance(pair: FactorPair) -> tuple[float, float]:
        assert measure.from_pair is not None
        return measure.from_pair(pair, spec), measure.chance(pair, spec) if measure.chance else np.nan

    forth = value_and_chance(pair)
    return forth, value_and_chance(pair.reversed()) if is_square and not measure.is_symmetric else forth
