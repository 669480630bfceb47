"""Which saved rows are the examples: those that were asked for, the same in every layer."""

import os
from collections.abc import Sequence

import numpy as np

from cka_cli.arrays import Indices
from cka_cli.errors import DataError, UsageError
from cka_cli.files.layer import ActivationFile, Layer
from cka_cli.layers.row_metadata import aligned_rows
from cka_cli.options import ReadOptions

Rows = range | Indices
# A file, and those of its layers that were chosen.
Chosen = tuple[ActivationFile, tuple[Layer, ...]]


def rows_of_files(chosen: Sequence[Chosen], options: ReadOptions) -> list[Rows]:
    """Return for each file the saved rows that stand for examples, in order.

    Without ids they are the same in every file, and with them those of the same ids in the order of the first file.
    Layers of different lengths are taken where `examples` says from which row to which, counted from the first.
    Raises DataError naming the layer when counts or ids do not fit, UsageError for rows that are not there.
    """
    layers = [layer for _, of_file in chosen for layer in of_file]
    least = min(layers, key=lambda layer: layer.shape[0])
    if least.shape[0] == 0:
        raise DataError(f"{least.label}: has no examples (0 rows); was the run that wrote it ended early?")
    if options.ids is None:
        _check_counts(layers, options.examples)
    else:  # files are matched by id, whatever their lengths
        for _, of_file in chosen:
            _check_counts(of_file, options.examples)
        least = min(chosen[0][1], key=lambda layer: layer.shape[0])
    among = _sliced(least, options.examples)
    rows = _drawn(among, least, options)
    if options.ids is None:
        return [rows] * len(chosen)
    counts = [max(layer.shape[0] for layer in of_file) for _, of_file in chosen]
    takes_part = _begins_and_ends(options.examples)
    aligned = aligned_rows([file for file, _ in chosen], counts, options.ids, among, rows, takes_part=takes_part)
    for (_, of_file), file_rows in zip(chosen, aligned, strict=True):
        _check_reach(of_file, file_rows)
    return list(aligned)


def _begins_and_ends(examples: tuple[int | None, int | None]) -> bool:
    """Whether it is said from which row to which, counted from the first: the rest depends on where a layer ends."""
    start, stop = examples
    return (start or 0) >= 0 and (stop or 0) > 0


def _check_counts(layers: Sequence[Layer], examples: tuple[int | None, int | None]) -> None:
    """Refuse layers of different lengths, unless the rows that are asked for are the same ones in each."""
    if _begins_and_ends(examples):
        return
    first = layers[0]
    for layer in layers[1:]:
        if layer.shape[0] != first.shape[0]:
            where = first.name if layer.file == first.file else first.label
            n_least = min(each.shape[0] for each in layers)
            joined = "join files that are rows of one layer with --shards join, " if os.path.isdir(layer.file) else ""
            raise DataError(
                f"{layer.label}: {layer.shape[0]} examples, but {where} has {first.shape[0]}; "
                f"give {'layers' if layer.file == first.file else 'files'} of the same examples, choose layers that "
                f"have them with --layers, {joined}or say which rows are the same ones in all, "
                f"as --examples 0:{n_least}"
            )


def _sliced(least: Layer, examples: tuple[int | None, int | None]) -> range:
    start, stop = examples
    n_saved = least.shape[0]
    for end in (start, stop):
        if end is not None and abs(end) > n_saved:
            raise UsageError(
                f"--examples: {end} is beyond the {n_saved} examples of {least.label}; give rows within them"
            )
    rows = range(n_saved)[start:stop]
    if not rows:
        text = ":".join("" if end is None else str(end) for end in (start, stop))
        raise UsageError(
            f"--examples {text}: chooses none of the {n_saved} examples of {least.label}; give START below STOP"
        )
    return rows


def _drawn(among: range, least: Layer, options: ReadOptions) -> Rows:
    if options.sample is None:
        return among
    if options.sample > len(among):
        raise UsageError(
            f"--sample {options.sample}: {least.label} has {len(among)} examples to draw from; ask for fewer"
        )
    drawn = np.random.default_rng(options.seed).choice(len(among), options.sample, replace=False)
    return np.sort(drawn).astype(np.intp) + among.start


def _check_reach(layers: tuple[Layer, ...], rows: Indices) -> None:
    """Refuse a layer that ends before one of the rows that the ids lead to."""
    for layer in layers:
        if layer.shape[0] <= rows.max():
            raise DataError(
                f"{layer.label}: {layer.shape[0]} examples, but the ids lead to row {rows.max()}; "
                "choose layers that have it with --layers, or other rows with --examples"
            )
