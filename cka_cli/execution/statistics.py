"""Standard errors and p-values of all pairs, once the sums of a kernel are known."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from cka_cli.arrays import Float64, Indices
from cka_cli.execution.checkpoint import Checkpoint
from cka_cli.execution.outcome import Outcome
from cka_cli.measures.registry import MEASURES, HsicSums, values_from_sums
from cka_cli.plan.planner import Plan
from cka_cli.plan.request import Task
from cka_cli.reductions.gram_sums import GramSums
from cka_cli.reductions.kernel_inputs import GramLayer
from cka_cli.reductions.minibatch import BatchSums
from cka_cli.specs import Spec
from cka_cli.system.progress import Progress
from cka_cli.uncertainty.jackknife import std_error_of
from cka_cli.uncertainty.p_values import counted_p_values, p_values_by_law, random_pairings


def add_statistics(
    task: Task,
    plan: Plan,
    kernel: Spec,
    sums: GramSums | BatchSums,
    scales: Float64,
    layers: Sequence[GramLayer],
    outcome: Outcome,
    progress: Progress,
    checkpoint: Checkpoint,
) -> None:
    """Add standard errors and p-values of one kernel to the outcome.

    There are no p-values of the minibatch estimate, nor by law where examples depend on each other.
    """
    std_errors = std_error_of(sums, partial(_all_values, task.gram_measures, scales))
    for spec, std_error in zip(task.gram_measures, std_errors, strict=True):
        outcome.std_errors[spec, kernel] = std_error
    assert task.resampling is not None
    n_permutations, groups = task.resampling.n_permutations, groups_of_examples(task)
    if isinstance(sums, BatchSums) or (groups is not None and n_permutations is None):
        return
    for is_unbiased in sorted({MEASURES[spec.name].is_unbiased for spec in task.gram_measures}):
        of_max = None
        if n_permutations is None:
            by_law = p_values_by_law(layers, kernel, sums, is_unbiased=is_unbiased, n_threads=plan.n_threads)
            p_value = by_law.p_value
            outcome.heavy[kernel] = [layers[place].source.label for place in sorted(by_law.heavy)]
        else:
            pairings = random_pairings(sums.n_examples, task.seed, groups)
            counted = counted_p_values(
                layers, kernel, pairings, n_permutations, task.x, task.y, is_unbiased=is_unbiased,
                n_threads=plan.n_threads, progress=progress, checkpoint=checkpoint,
            )  # fmt: skip
            p_value, of_max = counted.p_value, counted.p_value_of_max
        for spec in task.gram_measures:
            if MEASURES[spec.name].is_unbiased == is_unbiased:
                has_value = ~np.isnan(outcome.values[spec, kernel])
                outcome.p_values[spec, kernel] = np.where(has_value, p_value, np.nan)
                if of_max is not None:
                    outcome.p_values_of_max[spec, kernel] = np.where(has_value, of_max, np.nan)


def groups_of_examples(task: Task) -> Indices | None:
    """Return which examples depend on each other, as typed or as positions of one image; None when none do."""
    assert task.resampling is not None
    groups, n_positions = task.resampling.row_groups, task.layers[0].n_positions
    if groups is None and n_positions > 1:
        groups = np.arange(len(task.resampling.row_folds))
    return None if groups is None else np.repeat(groups, n_positions)


def _all_values(measures: Sequence[Spec], scales: Float64, sums: HsicSums) -> Float64:
    return np.stack([values_from_sums(MEASURES[spec.name], sums, scales).values for spec in measures])
