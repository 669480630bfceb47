"""The files of a comparison: the same examples of each, what was left out, and what they are."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cka_cli.errors import DataError
from cka_cli.files.layer import Layer
from cka_cli.files.registry import members
from cka_cli.layers.nonfinite import find_nonfinite_examples
from cka_cli.layers.repeated import find_repeats
from cka_cli.layers.row_metadata import vector_values
from cka_cli.layers.selection import SelectedFile, select_layers
from cka_cli.layers.sixteen_bits import trouble_with_bits
from cka_cli.options import ReadOptions
from cka_cli.results.matrix import FileFacts, LayerFacts
from cka_cli.system.progress import Progress, each_told
from cka_cli.text import listed

# One-axis arrays beyond this are not compared between files unless they are named as ids.
_MOST_VECTOR_BYTES = 1 << 24

# Raises, by what the headers of the files say, before any value is read.
Check = Callable[[Sequence[SelectedFile]], None]


class Selection(NamedTuple):
    """The layers to compare, by file, what reports say of each, notes of what was left out or assumed, and warnings.

    Each is said once, though a file may be there twice. A warning is a note that says that a number may not be what
    was asked for.
    """

    files: list[SelectedFile]
    facts: tuple[FileFacts, ...]
    notes: list[str]
    warnings: list[str]


def select_files(
    sources: Sequence[str],
    read: ReadOptions,
    progress: Progress,
    check: Check | None = None,
    *,
    with_repeats: bool = False,
) -> Selection:
    """Return what is to be compared. with_repeats : whether values are looked at for rows that repeat each other."""
    files = select_layers(sources, read)
    if check is not None:
        check(files)
    notes = _left_out(files) + _assumed_channels(files)
    warnings = _other_order(files) if read.ids is None else []
    if read.nonfinite == "drop":
        files = _drop_nonfinite(files, notes, progress)
    if with_repeats:
        notes += _notes_of_bits(files)
        if read.ids is None:  # which are unique
            warnings += _repeated_rows(files, read)
    return Selection(files, tuple(map(file_facts, files)), list(dict.fromkeys(notes)), list(dict.fromkeys(warnings)))


def _notes_of_bits(files: list[SelectedFile]) -> list[str]:
    """Say of which layers the integers look like bfloat16. Reads a few rows of those of 16-bit integers."""
    found = [(layer.label, trouble_with_bits(layer.layer)) for file in files for layer in file.layers]
    return [f"{label}: {trouble}" for label, trouble in found if trouble]


def _left_out(files: list[SelectedFile]) -> list[str]:
    """Say which arrays would have been layers, were they of another kind, unless layers were named."""
    notes = [f"{file.file.path}::{name} left out: {why}" for file in files for name, why in file.left_out.items()]
    return notes + [note for file in files for note in file.file.notes]


def _assumed_channels(files: list[SelectedFile]) -> list[str]:
    """Say of each file in which layers the second axis was taken for the channels without being told."""
    notes = []
    has_others = len({file.file.path for file in files}) > 1
    for file in files:
        if file.assumed:
            alone = f", or '{file.file.path}::*=last' for this file alone" if has_others else ""
            notes.append(
                f"{file.file.path}: axis 1 taken for the channels of {listed(file.assumed)}; "
                f"if it is not, give --channels last{alone}"
            )
    return notes


def _repeated_rows(files: list[SelectedFile], read: ReadOptions) -> list[str]:
    """Say of which files every row is there more than once. Reads a few rows."""
    warnings = []
    for file in files:
        layers = [selected.layer for selected in file.layers]
        rows = range(layers[0].shape[0])[slice(*read.examples)]
        if (repeats := find_repeats(layers, rows)) is not None:
            stop = rows.start + repeats.n_distinct
            advice = "save each once" if repeats.in_runs else f"give --examples {rows.start}:{stop}"
            warnings.append(
                f"{file.file.path}: {repeats}: {repeats.n_distinct} examples, which debiased values and p-values count "
                f"as {len(rows)}; {advice}"
            )
    return warnings


def _other_order(files: list[SelectedFile]) -> list[str]:
    """Say when files hold the same labels or ids in another order: then their rows are not the same examples."""
    first, notes = files[0], []
    for file in {each.file.path: each for each in files[1:]}.values():
        theirs = {vector.name: vector for vector in file.file.vectors}
        for vector in first.file.vectors:
            other = theirs.get(vector.name)
            if other is None or len(vector.shape) > 1 or max(vector.n_bytes, other.n_bytes) > _MOST_VECTOR_BYTES:
                continue
            if vector.shape == other.shape:
                differ = vector_values(vector) != vector_values(other)
            elif (vector.shape[0], other.shape[0]) == (first.n_saved, file.n_saved):  # files of different lengths
                differ = _at_rows(vector, first) != _at_rows(other, file)
            else:
                continue
            if differ:
                notes.append(
                    f"{other.label} differs from {vector.label}: are the rows the same examples in the same order? "
                    "if it holds ids, --ids aligns them"
                )
    return notes


def _at_rows(vector: Layer, file: SelectedFile) -> list[Any]:
    values = vector_values(vector)
    return [values[row] for row in file.layers[0].rows]


def _drop_nonfinite(files: list[SelectedFile], notes: list[str], progress: Progress) -> list[SelectedFile]:
    layers = [layer for file in files for layer in file.layers]
    found = [find_nonfinite_examples(layer) for layer in each_told(layers, "checking values", progress)]
    bad = np.unique(np.concatenate(found))
    if not len(bad):
        return files
    n_before = len(layers[0].rows)
    keep = np.setdiff1d(np.arange(n_before, dtype=np.intp), bad)
    lost = " or the file's fill value" if any(layer.layer.fill_text for layer in layers) else ""
    if not len(keep):
        worst, at_worst = max(zip(layers, found, strict=True), key=lambda of_layer: len(of_layer[1]))
        raise DataError(
            f"{worst.label}: {len(at_worst)} of {n_before} examples are not finite{lost}, and none is finite in every "
            "layer; mend the file, or leave the layer out with --layers"
        )
    notes.append(f"{len(bad)} of {n_before} examples left out of every layer: not finite{lost} in at least one")
    return [
        replace(file, layers=tuple(layer.with_rows(np.asarray(layer.rows)[keep]) for layer in file.layers))
        for file in files
    ]


def file_facts(file: SelectedFile) -> FileFacts:
    """Return what a report says of a file and of those of its layers that were chosen."""
    path = Path(file.file.path)
    size = sum(os.stat(member).st_size for member in members(file.file.path))
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    layers = tuple(
        LayerFacts(layer.name, layer.layer.shape, str(layer.dtype), layer.n_features) for layer in file.layers
    )
    return FileFacts(file.file.path, size, modified, layers)
