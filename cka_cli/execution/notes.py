"""What a reader of values must be told, in sentences: layers without a value, and values that mean nothing.

A warning is a note that says that a number may not be what was asked for: `-q` keeps it.
"""

import numpy as np

from cka_cli.arrays import Float64
from cka_cli.execution.found import Found
from cka_cli.measures.registry import MEASURES
from cka_cli.plan.request import Request
from cka_cli.reductions.factors import LOST_BESIDE
from cka_cli.reductions.folds import N_FOLDS
from cka_cli.reductions.kernels import KERNELS
from cka_cli.text import listed
from cka_cli.uncertainty.jackknife import critical_t

# How far out, in typical distances, a row costs components nine digits.
_FAR_FOR_COMPONENTS = 1e8
# Below so many parts left out a standard error is itself off by a quarter or more, as √(1 / 2(k−1)).
_FEW_FOLDS = 10


def warnings_of(request: Request, found: Found) -> list[str]:
    """Say which layers were not compared as saved, what far rows decide or spoil, which p-values may be too small."""
    warnings: list[str] = []
    if rounded := found.labels("rounded"):
        warnings.append(
            f"{listed(rounded)}: integers beyond 2**53, of which float64 drops the last digits; take an offset off "
            "before saving"
        )
    _add_warnings_of_far_rows(request, found, warnings)
    if heavy := found.labels("heavy"):
        warnings.append(
            f"{listed(heavy)}: a few examples outweigh the rest, and p_value may be too small; count permutations "
            "with --permutations 9999"
        )
    return warnings


def notes_of(request: Request, found: Found) -> list[str]:
    """Say which layers have no value, or none that means anything, and why."""
    notes: list[str] = []
    if constant := found.labels("constant"):
        same = "the same once rounded" if set(constant) & set(found.labels("rounded")) else "the same"
        notes.append(f"{listed(constant)}: constant (every example is {same}), so its values are nan")
    for kernel, labels in found.by_kernel("without width"):
        notes.append(
            f"{listed(labels)}: half of the distances or more are 0 to rounding (equal examples), so {kernel} has "
            "no width and its values are nan; give -k rbf:gamma=VALUE"
        )
    for kernel, labels in found.by_kernel("flat"):
        without = found.flat_in[kernel]
        which = "its values are" if len(without) == len(request.gram_measures) else f"its {' and '.join(without)} is"
        # Without the diagonal, or beside one huge row, nothing may be left where the biased value has something.
        but_for = "" if which == "its values are" else ", but for its diagonal or a few examples"
        notes.append(f"{listed(labels)}: the {kernel} kernel is constant to rounding{but_for}, so {which} nan")
    for kernel, labels in found.by_kernel("overflowing"):
        notes.append(f"{listed(labels)}: the {kernel} kernel overflows, so its values are nan; give a smaller gamma")
    for (spec, kernel), count in found.out_of_range.items():
        notes.append(
            f"{spec}, {kernel}: {count} {'value is' if count == 1 else 'values are'} beyond the range of float64 "
            "(1e-308 to 1e308) in the units of the layers, and nan; rescale the layers, or use cka, which has no units"
        )
    _add_notes_of_cca(request, found, notes)
    _add_note_of_batches(request, notes)
    if request.resampling is not None:
        if any(errors.size > 1 for errors in _std_errors(found)):
            notes.append(
                "std_error is of each cell alone: cells share their examples, so the error of a difference of two does "
                "not follow from theirs"
            )
        _add_note_of_few_folds(request, found, notes)
        _add_note_of_chance(request, found, notes)
        _add_note_of_p_values(request, found, notes)
    return notes


def _std_errors(found: Found) -> list[Float64]:
    return [cells.std_error for cells in found.cells.values() if cells.std_error is not None]


def _add_warnings_of_far_rows(request: Request, found: Found, warnings: list[str]) -> None:
    """Say which rows lie far out, where they decide values or take the digits of the others."""
    if not found.far:
        return
    of_layers = {f"row {row} of {label}": ratio for label, (row, ratio) in found.far.items()}
    farthest = max(of_layers, key=of_layers.__getitem__)
    kernels = request.kernels if request.gram_measures else ()
    weighing = [str(kernel) for kernel in kernels if KERNELS[kernel.name].weighs_far_rows]
    weighing += [spec.name for spec in request.pair_measures]
    if weighing:
        lie = "lies" if len(of_layers) == 1 else "lie up to"
        warnings.append(
            f"{listed(list(of_layers), 'row')} {lie} {of_layers[farthest]:.0e} times as far out as most rows (a lost "
            f"example?), and values of {', '.join(weighing)} may be of such rows alone; mend the file, or use -k rbf "
            "or -k cosine"
        )
    alike = [spec.name for spec in request.pair_measures if MEASURES[spec.name].counts_components_alike]
    if alike and of_layers[farthest] > _FAR_FOR_COMPONENTS:
        is_lost = of_layers[farthest] > LOST_BESIDE
        what = "nan" if is_lost else f"good to about {of_layers[farthest] * 1e-17:.0e} only"
        warnings.append(f"{', '.join(alike)}: {what}, since components have lost digits beside {farthest}")
    for kernel, labels in found.by_kernel("doubtful"):
        warnings.append(
            f"{listed(labels)}: rows lie so far from each other that values of {kernel} have lost digits; compare "
            "without those far out"
        )
    with_error = ((cells.value, cells.std_error) for cells in found.cells.values() if cells.std_error is not None)
    if any(np.any(np.isnan(std_error) & ~np.isnan(value)) for value, std_error in with_error):
        warnings.append(f"std_error: empty, since sums without {farthest} have no digits left")


def _add_note_of_batches(request: Request, notes: list[str]) -> None:
    """Say once that more passes do not bring the biased estimate nearer to the value of all examples."""
    n_batch = request.run.n_batch
    biased = [spec.name for spec in request.gram_measures if not MEASURES[spec.name].is_unbiased]
    if biased and n_batch is not None and n_batch < request.n_examples:
        instead = {"cka": "cka-debiased", "hsic": "hsic-unbiased"}
        notes.append(
            f"{', '.join(biased)}: batches of {n_batch} give about the value of {n_batch} examples, whatever the "
            f"passes; use -m {' -m '.join(instead[name] for name in biased)}"
        )


def _add_note_of_few_folds(request: Request, found: Found, notes: list[str]) -> None:
    """Say on how few parts standard errors rest, and how wide an interval is by them."""
    assert request.resampling is not None
    if all(np.isnan(errors).all() for errors in _std_errors(found)):
        return
    if request.run.n_batch is not None:
        from cka_cli.reductions.minibatch import batches_of

        n_folds, parts = len(batches_of([np.arange(request.n_examples)], request.run.n_batch)), "batches"
    else:
        n_folds = int(request.resampling.row_folds.max()) + 1
        parts = "examples" if request.resampling.row_groups is None else "groups"
    if n_folds < N_FOLDS:
        rough = ", and is rough" if n_folds < _FEW_FOLDS else ""
        notes.append(
            f"std_error rests on {n_folds} {parts}{rough}: an interval of 95 % is ± {critical_t(n_folds - 1):.2f} × "
            f"std_error (Student's t, {n_folds - 1} degree{'s' * (n_folds > 2)} of freedom)"
        )


def _add_note_of_p_values(request: Request, found: Found, notes: list[str]) -> None:
    """Say when p-values are missing that a user may expect."""
    assert request.resampling is not None
    has_p_values = any(cells.p_value is not None for cells in found.cells.values())
    if request.gram_measures and request.run.n_batch is None and not has_p_values:
        notes.append("p_value is empty: rows come in groups, so it must be counted; give --permutations 9999")
    groups = request.resampling.row_groups
    if groups is not None and has_p_values and len(np.unique(sizes := np.bincount(groups))) == len(sizes):
        notes.append(
            "p_value is 1: whole groups change places with groups of as many rows, and no two have as many; give "
            "groups of equal size, or leave out --groups"
        )


def _add_note_of_chance(request: Request, found: Found, notes: list[str]) -> None:
    """Say once when plain CKA is mostly what rows paired at random give too."""
    n_most = n_all = 0
    for kernel in request.kernels:
        for spec in request.gram_measures:
            if spec.name == "cka":
                values, chance = found.cells[spec, kernel].value, found.cells[spec, kernel].chance
                n_most += int(np.count_nonzero(chance > values / 2))
                n_all += int(np.count_nonzero(~np.isnan(values)))
    if n_most:
        notes.append(
            f"cka: {n_most} of {n_all} values {'is' if n_most == 1 else 'are'} mostly chance (rows paired at random "
            f"give more than half as much: {request.n_examples} examples are few for so many features); use "
            "cka-debiased, which is 0 for chance"
        )


def _add_notes_of_cca(request: Request, found: Found, notes: list[str]) -> None:
    n_examples = request.n_examples
    advice = "use cka or cka-debiased, more examples, or --pool mean"
    for side, labels in (("either", found.labels("saturated")), ("Y", found.labels("saturated Y"))):
        names = [spec.name for spec in request.measures if MEASURES[spec.name].saturated_by == side]
        if names and labels:
            notes.append(
                f"{', '.join(names)}: 1 for {listed(labels)}{' as Y' * (side == 'Y')} whatever the other layer, which "
                f"means nothing: {n_examples} examples are too few for {n_examples - 1} or more independent features; "
                + advice
            )
    names = [spec.name for spec in request.measures if MEASURES[spec.name].saturated_by == "either"]
    if names and (crowded := found.labels("crowded")):
        notes.append(
            f"{', '.join(names)}: raised for {listed(crowded, 'pair')}: their independent features "
            f"add up to more than {n_examples - 1}, so some correlations are 1 by force; " + advice
        )
