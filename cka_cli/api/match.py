"""The guts of `cka match`: files in, correspondences, accuracies or a study of depth out. Prints nothing."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from math import factorial
from typing import Unpack

from cka_cli.analysis.correspondence import Correspondence, correspondence
from cka_cli.analysis.depth import DEFAULT_THRESHOLD, DepthStudy, study
from cka_cli.analysis.identification import SIGNIFICANT, Guesses, Identification, credits_of, identify
from cka_cli.api.compare import Asked, compare, compare_each, plan_comparison
from cka_cli.errors import DataError, UsageError
from cka_cli.floating_point import quiet_arithmetic
from cka_cli.layers.examples import Check
from cka_cli.layers.selection import SelectedFile
from cka_cli.measures.registry import MEASURES
from cka_cli.options import ReadOptions, RunOptions
from cka_cli.plan.planner import Plan
from cka_cli.results.matrix import Comparison, Matrix, is_largest
from cka_cli.specs import parse_kernel, parse_measure
from cka_cli.system.progress import Progress, silent


@dataclass(frozen=True)
class Matching:
    """Which layers of networks correspond to which, by every measure.

    comparison : the matrices of all ordered pairs as they were worked out, and every note.
    matrices : the same, in the same order, where the measure is not symmetric the mean of both directions; all that
        follows is of these.
    correspondences : of each matrix. identifications : of each measure and kernel; empty where files differ in depth.
    """

    comparison: Comparison
    matrices: tuple[Matrix, ...]
    correspondences: tuple[Correspondence, ...]
    identifications: tuple[Identification, ...]


@dataclass(frozen=True)
class Depth:
    """The studies of one network, one for each measure and kernel, and the comparison that they follow from."""

    comparison: Comparison
    studies: tuple[DepthStudy, ...]


@quiet_arithmetic
def match(
    sources: Sequence[str],
    *,
    measures: Sequence[str] = ("cka",),
    kernels: Sequence[str] = ("linear",),
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
    progress: Progress = silent,
    check: Check | None = None,
) -> Matching:
    """Return which layers of each file correspond to which of every other, and how many are identified.

    sources : at least two of `FILE` or `FILE::LAYER`. The rest as in `compare`.
    A measure that is not symmetric counts as the mean of both directions, (S(X,Y) + S(Y,X)')/2, as in Kornblith et al.
    (2019), arXiv 1905.00414. Layers are identified where all files have as many of them.
    """
    _check_number(sources)
    comparison = compare_each(
        sources, measures=measures, kernels=kernels, read=read, run=run, progress=progress, check=_with_choice(check)
    )
    depths = [len(file.layers) for file in comparison.files]
    pairs = list(permutations(range(len(sources)), 2))
    matrices = _symmetrised(comparison.matrices, pairs)
    identifications: tuple[Identification, ...] = ()
    accuracies: list[float | None] = [None] * len(matrices)
    if len(set(depths)) == 1:
        identifications, accuracies = _identified(matrices, pairs)
    notes = (*comparison.notes, *_notes(comparison, matrices, identifications))
    return Matching(
        replace(comparison, notes=notes), matrices, tuple(map(correspondence, matrices, accuracies)), identifications
    )


def plan_match(sources: Sequence[str], *, check: Check | None = None, **asked: Unpack[Asked]) -> Plan:
    """Return how `match` would do the same job and what it would cost; only headers are read."""
    _check_number(sources)
    return plan_comparison(sources[0], sources[1:], each=True, check=_with_choice(check), **asked)


def _check_number(sources: Sequence[str]) -> None:
    if len(sources) < 2:
        raise UsageError(f"match: needs two networks or more (found {len(sources)}); give another file")


def _with_choice(check: Check | None) -> Check:
    """Return a check that also wants a file with more layers than one."""

    def check_both(files: Sequence[SelectedFile]) -> None:
        if max(len(file.layers) for file in files) < 2:
            raise DataError(f"{files[0].file.path}: 1 layer, which leaves no choice; give two layers or more")
        if check is not None:
            check(files)

    return check_both


def _symmetrised(matrices: Sequence[Matrix], pairs: Sequence[tuple[int, int]]) -> tuple[Matrix, ...]:
    """Return each matrix, where its measure is not symmetric the mean with the transposed one of the reversed pair."""
    n_each = len(matrices) // len(pairs)
    of_pair = {pair: matrices[place * n_each : (place + 1) * n_each] for place, pair in enumerate(pairs)}
    both = (zip(of_pair[one, other], of_pair[other, one], strict=True) for one, other in pairs)
    return tuple(_symmetric(matrix, reverse) for pair in both for matrix, reverse in pair)


def _symmetric(matrix: Matrix, reverse: Matrix) -> Matrix:
    if MEASURES[parse_measure(matrix.measure).name].is_symmetric:
        return matrix
    return replace(matrix, values=(matrix.values + reverse.values.T) / 2)


def _identified(
    matrices: Sequence[Matrix], pairs: Sequence[tuple[int, int]]
) -> tuple[tuple[Identification, ...], list[float | None]]:
    """Return how well each measure identifies layers, and the accuracy of each matrix."""
    n_each = len(matrices) // len(pairs)
    of_kinds = [dict(zip(pairs, matrices[kind::n_each], strict=True)) for kind in range(n_each)]
    guesses = [Guesses({pair: credits_of(matrix.values) for pair, matrix in kind.items()}) for kind in of_kinds]
    kinds = [(each.measure, each.kernel, each.n_examples) for each in matrices[:n_each]]
    identifications = identify([(*kind, each) for kind, each in zip(kinds, guesses, strict=True)])
    return identifications, [float(each.by_pair[pair]) for pair in pairs for each in guesses]


def mean_matrices(matching: Matching) -> tuple[Matrix, ...]:
    """Return for each measure and kernel the mean of the matrices of all ordered pairs; files of one depth.

    Layers have the names that they have in the first file. NaN where any pair has no value.
    """
    n_each = len(matching.identifications)
    result = []
    for kind in range(n_each):
        first, *others = matching.matrices[kind::n_each]
        values = sum((matrix.values for matrix in others), start=first.values) / (1 + len(others))
        result.append(replace(first, values=values, y_layers=first.x_layers, x_file="", y_file=""))
    return tuple(result)


@quiet_arithmetic
def study_depth(
    source: str,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    measures: Sequence[str] = ("cka",),
    kernels: Sequence[str] = ("linear",),
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    run: RunOptions = RunOptions(),  # noqa: B008 - frozen
    progress: Progress = silent,
) -> Depth:
    """Return how similar each layer of one network is to the layer before and to the last, and its dimension.

    threshold : the similarity to the last layer from which on a layer adds nothing, above 0 and at most 1.
    The dimension is that of the linear kernel, whatever kernels are asked for: it is worked out beside them, from sums
    of the same products, and its similarities are left out again. The rest as in `compare`.
    """
    _check_threshold(threshold)
    comparison = compare(
        source, measures=measures, kernels=_with_linear(kernels), read=read, run=run, progress=progress,
        check=_check_depth,
    )  # fmt: skip
    asked = {parse_kernel(text) for text in kernels}
    wanted = tuple(
        _symmetric(matrix, matrix)
        for matrix in comparison.matrices
        if not matrix.kernel or parse_kernel(matrix.kernel) in asked
    )
    dimensions = comparison.effective_dimensions[0] if comparison.effective_dimensions else ()
    studies = tuple(study(matrix, dimensions, threshold) for matrix in wanted)
    unbounded = dict.fromkeys(each.matrix.title for each in studies if each.threshold is None)
    notes = [f"{', '.join(unbounded)}: has no upper bound, so no threshold"] if unbounded else []
    if not dimensions:
        notes.append("--batch: gives no effective dimension")
    return Depth(replace(comparison, matrices=wanted, notes=(*comparison.notes, *notes)), studies)


def study_depths(
    sources: Sequence[str], threshold: float, progress: Progress = silent, **asked: Unpack[Asked]
) -> Depth:  # fmt: skip
    """Return the studies of several networks, each by itself, and of all of them the matrices in one comparison."""
    for source in sources[1:]:  # what is wrong with the last is said before the first is worked out
        _plan_depth(source, threshold, _asked_of(source, sources, asked))
    depths = [
        study_depth(source, threshold=threshold, progress=progress, **_asked_of(source, sources, asked))
        for source in sources
    ]
    comparisons = [each.comparison for each in depths]
    whole = replace(
        comparisons[0],
        matrices=tuple(matrix for each in comparisons for matrix in each.matrices),
        files=tuple(file for each in comparisons for file in each.files),
        effective_dimensions=tuple(of_file for each in comparisons for of_file in each.effective_dimensions),
        notes=tuple(dict.fromkeys(note for each in comparisons for note in each.notes)),
        warnings=tuple(dict.fromkeys(warning for each in comparisons for warning in each.warnings)),
    )
    return Depth(whole, tuple(study for each in depths for study in each.studies))


def plan_depths(sources: Sequence[str], threshold: float, **asked: Unpack[Asked]) -> dict[str, Plan]:
    """Return by network how `study_depths` would do the same job and what it would cost; only headers are read."""
    return {source: _plan_depth(source, threshold, _asked_of(source, sources, asked)) for source in sources}


def _plan_depth(source: str, threshold: float, asked: Asked) -> Plan:
    _check_threshold(threshold)
    asked["kernels"] = _with_linear(asked.get("kernels", ["linear"]))
    return plan_comparison(source, check=_check_depth, **asked)


def _asked_of(source: str, sources: Sequence[str], asked: Asked) -> Asked:
    """Return what is asked of one of the files, without the channels of layers that another of them addresses."""
    own, *others = (each.partition("::")[0] + "::" for each in (source, *sources))
    read = asked.get("read", ReadOptions())
    if read.channels is None or isinstance(read.channels, str):
        return asked.copy()
    kept = (each for each in read.channels if each[0].startswith(own) or not each[0].startswith(tuple(others)))
    return {**asked, "read": replace(read, channels=tuple(kept))}


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold {threshold:g}: a similarity is above 0 and at most 1; 0.95 is usual")


def _with_linear(kernels: Sequence[str]) -> list[str]:
    """Return the kernels and, for the effective dimension, the linear one where it is not among them."""
    return [*kernels, *["linear"] * (parse_kernel("linear") not in map(parse_kernel, kernels))]


def _check_depth(files: Sequence[SelectedFile]) -> None:
    file = files[0]
    if len(file.layers) < 2:
        raise DataError(
            f"{file.file.path}: 1 layer has no depth (found {file.layers[0].name}); give two layers or more"
        )


def _notes(
    comparison: Comparison, matrices: Sequence[Matrix], identifications: Sequence[Identification]
) -> list[str]:  # fmt: skip
    """Say what a reader of the accuracies must know."""
    files = comparison.files
    notes = []
    for one, other in combinations(files, 2):
        if os.path.samefile(one.path, other.path) and one.layers == other.layers:
            notes.append(f"{other.path}: is the same file as {one.path}; a network always identifies itself")
    if not identifications:
        depths = ", ".join(f"{file.path} {len(file.layers)}" for file in files)
        return [*notes, f"the files have different numbers of layers ({depths}): no accuracy, only the correspondence"]
    first = [layer.name for layer in files[0].layers]
    for file in files[1:]:
        names = [layer.name for layer in file.layers]
        if names != first and sorted(names) == sorted(first):
            notes.append(
                f"{file.path}: has the layers of {files[0].path} in another order; the accuracy goes by their place, "
                "the partners by name"
            )
    if not all(is_largest(matrix.values).any(axis=1).all() for matrix in matrices):
        notes.append("a layer without a value counts as not identified")
    return notes + _notes_of_chance(comparison, identifications)


def _notes_of_chance(comparison: Comparison, identifications: Sequence[Identification]) -> list[str]:
    """Say which measures, and which networks, do no better than layers in a random order."""
    first = identifications[0]
    if not first.can_be_told_from_chance:
        return [f"{first.n_files} networks of {first.n_layers} layers are too few to tell an accuracy from chance"]
    chance = f"chance ({100 * first.chance:.1f} %)"
    at_chance = [each.title for each in identifications if each.is_at_chance]
    notes = []
    if at_chance:
        notes.append(f"{'; '.join(at_chance)}: the accuracy cannot be told from {chance}")
    others = [each for each in identifications if not each.is_at_chance]
    # Of many measures one is significant by chance: the limit is shared out among them (Bonferroni).
    limit = SIGNIFICANT / max(len(others), 1)
    if not others or first.n_files < 3 or 1 / factorial(first.n_layers) > limit:
        return notes
    for place, file in enumerate(comparison.files):
        if min(each.p_value_by_file[place] for each in others) > limit:
            notes.append(
                f"{file.path}: no measure tells the accuracy of its pairs from {chance}: at most "
                f"{100 * max(each.by_file[place] for each in others):.1f} %; "
                "is it untrained, or are its rows in another order?"
            )
    return notes
