"""What a reader of values must be told, in sentences: layers without a value, and values that mean nothing.

A warning is a note that says that a number may not be what was asked for: `-q` keeps it.
"""

import numpy as np

from cka_cli.execution.outcome import Outcome
from cka_cli.layers.notes import listed
from cka_cli.measures.registry import MEASURES
from cka_cli.plan.request import Task
from cka_cli.reductions.factors import LOST_BESIDE
from cka_cli.reductions.folds import N_FOLDS
from cka_cli.reductions.kernels import KERNELS
from cka_cli.uncertainty.jackknife import interval_factor

# How far out, in typical distances, a row costs components nine digits.
_FAR_FOR_COMPONENTS = 1e8
# Below so many parts left out a standard error is itself off by a quarter or more, as √(1 / 2(k−1)).
_FEW_FOLDS = 10


def warnings_of(task: Task, outcome: Outcome) -> list[str]:
    """Say which layers were not compared as saved, what far rows decide or spoil, which p-values may be too small."""
    warnings: list[str] = []
    if outcome.rounded:
        warnings.append(
            f"{listed(outcome.rounded)}: integers beyond 2**53, of which float64 drops the last digits; take an "
            "offset off before saving"
        )
    _add_warnings_of_far_rows(task, outcome, warnings)
    heavy = [label for labels in outcome.heavy.values() for label in labels]
    if heavy:
        warnings.append(
            f"{listed(heavy)}: a few examples outweigh the rest, and p_value may be too small; count permutations "
            "with --permutations 9999"
        )
    return warnings


def notes_of(task: Task, outcome: Outcome) -> list[str]:
    """Say which layers have no value, or none that means anything, and why."""
    notes: list[str] = []
    if outcome.constant:
        same = "the same once rounded" if set(outcome.constant) & set(outcome.rounded) else "the same"
        notes.append(f"{listed(outcome.constant)}: constant (every example is {same}), so its values are nan")
    for kernel, labels in outcome.without_width.items():
        if labels:
            notes.append(
                f"{listed(labels)}: half of the distances or more are 0 to rounding (equal examples), so {kernel} has "
                "no width and its values are nan; give -k rbf:gamma=VALUE"
            )
    for kernel, labels in outcome.flat.items():
        if labels:
            without = outcome.flat_in[kernel]
            which = "its values are" if len(without) == len(task.gram_measures) else f"its {' and '.join(without)} is"
            # Without the diagonal, or beside one huge row, nothing may be left where the biased value has something.
            cause = "constant to rounding" + (
                ", but for its diagonal or a few examples" if "its values" not in which else ""
            )
            notes.append(f"{listed(labels)}: the {kernel} kernel is {cause}, so {which} nan")
    for kernel, labels in outcome.overflowing.items():
        if labels:
            notes.append(
                f"{listed(labels)}: the {kernel} kernel overflows, so its values are nan; give a smaller gamma"
            )
    for (spec, kernel), count in outcome.out_of_range.items():
        notes.append(
            f"{spec}, {kernel}: {count} {'value is' if count == 1 else 'values are'} beyond the range of float64 "
            "(1e-308 to 1e308) in the units of the layers, and nan; rescale the layers, or use cka, which has no units"
        )
    _add_notes_of_cca(task, outcome, notes)
    _add_note_of_batches(task, notes)
    if task.resampling is not None:
        if any(errors.size > 1 for errors in outcome.std_errors.values()):
            notes.append(
                "std_error is of each cell alone: cells share their examples, so the error of a difference of two does "
                "not follow from theirs"
            )
        _add_note_of_few_folds(task, outcome, notes)
        _add_note_of_chance(task, outcome, notes)
        _add_note_of_p_values(task, outcome, notes)
    return notes


def _add_warnings_of_far_rows(task: Task, outcome: Outcome, warnings: list[str]) -> None:
    """Say which rows lie far out, where they decide values or take the digits of the others."""
    if not outcome.far:
        return
    of_layers = {f"row {row} of {label}": ratio for label, (row, ratio) in outcome.far.items()}
    farthest = max(of_layers, key=of_layers.__getitem__)
    weighing = [str(kernel) for kernel in task.kernels if task.gram_measures and KERNELS[kernel.name].weighs_far_rows]
    weighing += [spec.name for spec in task.pair_measures]
    if weighing:
        lie = "lies" if len(of_layers) == 1 else "lie up to"
        warnings.append(
            f"{listed(list(of_layers), 'row')} {lie} {of_layers[farthest]:.0e} times as far out as most rows (a lost "
            f"example?), and values of {', '.join(weighing)} may be of such rows alone; mend the file, or use -k rbf "
            "or -k cosine"
        )
    alike = [spec.name for spec in task.pair_measures if MEASURES[spec.name].counts_components_alike]
    if alike and of_layers[farthest] > _FAR_FOR_COMPONENTS:
        is_lost = of_layers[farthest] > LOST_BESIDE
        what = "nan" if is_lost else f"good to about {of_layers[farthest] * 1e-17:.0e} only"
        warnings.append(f"{', '.join(alike)}: {what}, since components have lost digits beside {farthest}")
    for kernel, labels in outcome.doubtful.items():
        if labels:
            warnings.append(
                f"{listed(labels)}: rows lie so far from each other that values of {kernel} have lost digits; "
                "compare without those far out"
            )
    lost = [kernel for (spec, kernel), errors in outcome.std_errors.items()
            if np.any(np.isnan(errors) & ~np.isnan(outcome.values[spec, kernel]))]  # fmt: skip
    if lost:
        warnings.append(f"std_error: empty, since sums without {farthest} have no digits left")


def _add_note_of_batches(task: Task, notes: list[str]) -> None:
    """Say once that more passes do not bring the biased estimate nearer to the value of all examples."""
    biased = [spec.name for spec in task.gram_measures if not MEASURES[spec.name].is_unbiased]
    if biased and task.n_batch is not None and task.n_batch < task.layers[0].n_examples:
        instead = {"cka": "cka-debiased", "hsic": "hsic-unbiased"}
        notes.append(
            f"{', '.join(biased)}: batches of {task.n_batch} give about the value of {task.n_batch} examples, whatever "
            f"the passes; use -m {' -m '.join(instead[name] for name in biased)}"
        )


def _add_note_of_few_folds(task: Task, outcome: Outcome, notes: list[str]) -> None:
    """Say on how few parts standard errors rest, and how wide an interval is by them."""
    assert task.resampling is not None
    if all(np.isnan(errors).all() for errors in outcome.std_errors.values()):
        return
    if task.n_batch is not None:
        from cka_cli.reductions.minibatch import batches_of

        n_folds, parts = len(batches_of([np.arange(task.layers[0].n_examples)], task.n_batch)), "batches"
    else:
        n_folds = int(task.resampling.row_folds.max()) + 1
        parts = "examples" if task.resampling.row_groups is None else "groups"
    if n_folds < N_FOLDS:
        rough = ", and is rough" if n_folds < _FEW_FOLDS else ""
        notes.append(
            f"std_error rests on {n_folds} {parts}{rough}: an interval of 95 % is ± {interval_factor(n_folds):.2f} × "
            f"std_error (Student's t, {n_folds - 1} degree{'s' * (n_folds > 2)} of freedom)"
        )


def _add_note_of_p_values(task: Task, outcome: Outcome, notes: list[str]) -> None:
    """Say when p-values are missing that a user may expect."""
    assert task.resampling is not None
    if task.gram_measures and task.n_batch is None and not outcome.p_values:
        notes.append("p_value is empty: rows come in groups, so it must be counted; give --permutations 9999")
    groups = task.resampling.row_groups
    if groups is not None and outcome.p_values and len(np.unique(sizes := np.bincount(groups))) == len(sizes):
        notes.append(
            "p_value is 1: whole groups change places with groups of as many rows, and no two have as many; give "
            "groups of equal size, or leave out --groups"
        )


def _add_note_of_chance(task: Task, outcome: Outcome, notes: list[str]) -> None:
    """Say once when plain CKA is mostly what rows paired at random give too."""
    n_most = n_all = 0
    for kernel in task.kernels:
        for spec in task.gram_measures:
            if spec.name == "cka":
                values, chance = outcome.values[spec, kernel], outcome.chances[spec, kernel]
                n_most += int(np.count_nonzero(chance > values / 2))
                n_all += int(np.count_nonzero(~np.isnan(values)))
    if n_most:
        notes.append(
            f"cka: {n_most} of {n_all} values {'is' if n_most == 1 else 'are'} mostly chance (rows paired at random "
            f"give more than half as much: {task.layers[0].n_examples} examples are few for so many features); use "
            "cka-debiased, which is 0 for chance"
        )


def _add_notes_of_cca(task: Task, outcome: Outcome, notes: list[str]) -> None:
    n_examples = task.layers[0].n_examples
    advice = "use cka or cka-debiased, more examples, or --pool mean"
    for side, labels in (("either", outcome.saturated), ("Y", outcome.saturated_y)):
        names = [spec.name for spec in task.measures if MEASURES[spec.name].saturated_by == side]
        if names and labels:
            notes.append(
                f"{', '.join(names)}: 1 for {listed(labels)}{' as Y' * (side == 'Y')} whatever the other layer, which "
                f"means nothing: {n_examples} examples are too few for {n_examples - 1} or more independent features; "
                + advice
            )
    names = [spec.name for spec in task.measures if MEASURES[spec.name].saturated_by == "either"]
    if names and outcome.crowded:
        notes.append(
            f"{', '.join(names)}: raised for {listed(outcome.crowded, 'pair')}: their independent features "
            f"add up to more than {n_examples - 1}, so some correlations are 1 by force; " + advice
        )
