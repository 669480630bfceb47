"""The guts of `cka diagnose`: paths and options in, a Diagnosis out. Prints nothing; progress by callback."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise, product
from typing import NamedTuple

import numpy as np

from cka_cli.analysis.reliability.classes import classes_of
from cka_cli.analysis.reliability.duplicates import distance_of
from cka_cli.analysis.reliability.evaluate import RowNames, judge_layer, judge_pair
from cka_cli.analysis.reliability.quantities import (
    LEAST_EXAMPLES,
    Address,
    Labels,
    LayerGrams,
    LayerNumbers,
    PairNumbers,
    measure_layer,
    measure_pair,
)
from cka_cli.analysis.reliability.reading import read_layer
from cka_cli.analysis.reliability.result import Diagnosis
from cka_cli.analysis.reliability.rules import FINE, Finding, judge
from cka_cli.arrays import Float64
from cka_cli.errors import DataError
from cka_cli.execution.checkpoint import Checkpoint
from cka_cli.execution.executors import Threads
from cka_cli.execution.loop import Loop
from cka_cli.files.layer import Layer
from cka_cli.floating_point import quiet_arithmetic
from cka_cli.layers.examples import select_files
from cka_cli.layers.row_metadata import read_vector, row_words, vector_named
from cka_cli.layers.selection import SelectedFile, SelectedLayer
from cka_cli.options import ReadOptions
from cka_cli.plan.whole_matrices import DiagnosisPlan, plan_diagnosis
from cka_cli.system.memory import default_memory_bytes
from cka_cli.system.progress import Progress, silent
from cka_cli.text import listed

# Gram matrices are whole in memory: above this many examples a draw of them stands for all.
MOST_EXAMPLES = 3000
_DEFAULT_LABELS = "labels"


@quiet_arithmetic
def diagnose(
    x: str,
    y: str | None = None,
    *,
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    labels: str | None = None,
    all_pairs: bool = False,
    memory_bytes: int | None = None,
    n_threads: int = 1,
    progress: Progress = silent,
) -> Diagnosis:
    """Return how far the similarities of the layers of X with those of Y can be trusted; of X with itself when alone.

    x, y : `FILE` or `FILE::LAYER`. labels : name of the one-axis array of classes; without one, `labels` where there
    is such an array. all_pairs : every layer of X with every layer of Y, rather than with the one of the same name (or
    the same place, when no name is in both); of X alone every two, rather than every two that follow each other.
    memory_bytes : what the arrays may take; None for half of what is free.
    Above 3000 examples a draw of them, seeded by `read.seed`, stands for all; a note says so.
    Raises UsageError for options that do not fit, DataError for files that do not or too little memory.
    """
    files, _, notes, warnings = select_files([x] if y is None else [x, y], read, progress)
    files = _drawn(files, read.seed, notes)
    places = _paired(files, notes, all_pairs=all_pairs)
    classes = _classes(files, labels, notes)
    names = [name for file in files for name in [_row_names(file, read.ids)] * len(file.layers)]
    selected = [layer for file in files for layer in file.layers]
    memory_bytes = default_memory_bytes() if memory_bytes is None else memory_bytes
    plan = plan_diagnosis(selected, len(places), memory_bytes, n_threads)
    loop = Loop(Threads(plan.n_threads), Checkpoint(), progress)
    measured = _measure_layers(selected, plan, classes, loop)
    layers = [each.numbers for each in measured]
    pairs = [pair for pair in places if all(layers[place].has_values for place in pair)]
    numbers = _measure_pairs(selected, measured, pairs, plan, classes, loop)
    findings = [finding for layer, rows in zip(layers, names, strict=True) for finding in judge_layer(layer, rows)]
    findings += _same_layers(measured, pairs)
    for (one, other), pair in zip(pairs, numbers, strict=True):
        findings += judge_pair(pair, layers[one], layers[other], names[one])
    return Diagnosis(
        x_file=files[0].file.path,
        y_file=files[1].file.path if len(files) > 1 else "",
        n_examples=files[0].layers[0].n_examples,
        labels=classes.dataset if classes is not None else "",
        findings=tuple(findings),
        layers=tuple(layers),
        pairs=tuple(numbers),
        notes=(*warnings, *notes),
        warnings=tuple(warnings),
    )


def _drawn(files: list[SelectedFile], seed: int, notes: list[str]) -> list[SelectedFile]:
    """Return the files with no more examples than fit; the same rows in each."""
    first = files[0].layers[0]
    n_rows, n_examples = len(first.rows), first.n_examples
    if n_examples < LEAST_EXAMPLES:
        raise DataError(
            f"{first.label}: {n_examples} examples, but diagnose needs at least {LEAST_EXAMPLES}; give more"
        )
    n_drawn = MOST_EXAMPLES // first.n_positions
    if n_rows <= n_drawn:
        return files
    if n_drawn * first.n_positions < LEAST_EXAMPLES:
        raise DataError(
            f"{first.label}: {first.n_positions} positions, but diagnose takes at most {MOST_EXAMPLES} rows; "
            "use --pool mean"
        )
    drawn = np.sort(np.random.default_rng(seed).choice(n_rows, n_drawn, replace=False))
    notes.append(
        f"diagnosed on {n_drawn} of the {n_rows} examples, drawn with seed {seed}; "
        "a far or doubled row that was not drawn is not seen: give another --seed, or --examples START:STOP"
    )
    return [
        replace(file, layers=tuple(layer.with_rows(np.asarray(layer.rows)[drawn]) for layer in file.layers))
        for file in files
    ]


def _row_names(file: SelectedFile, ids: str | None) -> RowNames:
    """Return what the rows of a file are called, by `ids` where it names an array of the file."""
    first = file.layers[0]
    vector = None if ids is None else vector_named(file.file, ids)
    return RowNames(list(first.rows), first.n_positions, None if vector is None else _words_of(first, vector))


def _words_of(layer: SelectedLayer, vector: Layer) -> list[str]:
    words = row_words(vector)
    return [words[row] for row in layer.rows]


def _classes(files: list[SelectedFile], name: str | None, notes: list[str]) -> Labels | None:
    """Return the classes of the examples, from the first file that has them; None where there are none.

    name : of the array; without one, `labels` is taken where it is there and fits. A note says when labels are no
    classes. Raises DataError when a named array is missing or does not fit.
    """
    found = ((file, vector_named(file.file, name or _DEFAULT_LABELS)) for file in files)
    file, vector = next((each for each in found if each[1] is not None), (files[0], None))
    if vector is None:
        if name is not None:
            read_vector(file.file, name, file.n_saved, "labels")  # says why there is none
        return None
    if vector.shape[0] != file.n_saved:
        if name is None:
            return None
        raise DataError(
            f"{vector.label}: {vector.shape[0]} labels for {file.n_saved} examples; give one label for each row"
        )
    words = _words_of(file.layers[0], vector)
    classes = classes_of(vector.name, words, file.layers[0].n_positions)
    if classes is None:
        found_words = f"{len(set(words))} labels on {len(words)} examples"
        notes.append(f"{vector.label}: {found_words} are no classes, so labels are not checked")
    return classes


def _paired(files: list[SelectedFile], notes: list[str], *, all_pairs: bool) -> list[tuple[int, int]]:
    """Return the pairs to diagnose, as places among the layers of all files."""
    n_x = len(files[0].layers)
    if len(files) == 1:
        return list(combinations(range(n_x), 2) if all_pairs else pairwise(range(n_x)))
    n_y = len(files[1].layers)
    if all_pairs:
        return list(product(range(n_x), range(n_x, n_x + n_y)))
    x_names, y_names = ([layer.name for layer in file.layers] for file in files)
    in_both = [name for name in x_names if name in y_names]
    if in_both:
        alone = [name for name in x_names if name not in y_names]
        if alone:
            notes.append(
                f"{listed(alone)}: no layer of this name in {files[1].file.path}; --all-pairs takes every pair"
            )
        return [(x_names.index(name), n_x + y_names.index(name)) for name in in_both]
    if n_x != n_y:
        raise DataError(
            f"{files[1].file.path}: no layer has the name of one of {files[0].file.path}, and it has {n_y} where that "
            f"has {n_x}; choose one layer of each, or take every pair with --all-pairs"
        )
    return [(place, n_x + place) for place in range(n_x)]


class _Measured(NamedTuple):
    """One layer, measured. grams : None where they are not kept, so that they are worked out again when needed."""

    numbers: LayerNumbers
    fingerprint: Float64 | None
    grams: LayerGrams | None


def _measure_layers(
    layers: Sequence[SelectedLayer], plan: DiagnosisPlan, classes: Labels | None, loop: Loop
) -> list[_Measured]:
    def measure(place: int) -> _Measured:
        layer = layers[place]
        grams = read_layer(layer, plan.n_slices[place])
        if grams is None:
            address, n_features = Address(layer.layer.file, layer.name), layer.n_features
            return _Measured(LayerNumbers(address, layer.n_examples, n_features, n_features, True), None, None)
        return _Measured(measure_layer(grams, classes), grams.fingerprint, grams if place < plan.n_kept else None)

    return loop.each("measuring layers", measure, range(len(layers)))


def _measure_pairs(
    layers: Sequence[SelectedLayer], measured: Sequence[_Measured], pairs: Sequence[tuple[int, int]],
    plan: DiagnosisPlan, classes: Labels | None, loop: Loop,
) -> list[PairNumbers]:  # fmt: skip
    def measure(pair: tuple[int, int]) -> PairNumbers:
        one, other = (measured[place].grams or read_layer(layers[place], plan.n_slices[place]) for place in pair)
        assert one is not None
        assert other is not None
        return measure_pair(one, other, measured[pair[0]].numbers, measured[pair[1]].numbers, classes)

    return loop.each("measuring pairs", measure, pairs)


def _same_layers(measured: Sequence[_Measured], pairs: Sequence[tuple[int, int]]) -> list[Finding]:
    """Return the pairs of layers that are one up to rotation and scale, and are not diagnosed as pairs anyway."""
    found = []
    for one, other in combinations(range(len(measured)), 2):
        x, y = measured[one], measured[other]
        if (one, other) in pairs or x.fingerprint is None or y.fingerprint is None:
            continue
        distance = distance_of(x.fingerprint, y.fingerprint)
        finding = judge("same-layer", distance, "", x.numbers.address, y.numbers.address)
        found += [finding] if finding.verdict != FINE else []
    return found
