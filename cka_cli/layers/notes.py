"""What a reader must be told of how layers were read, before anything is compared."""

from collections.abc import Sequence

from cka_cli.layers.repeated import find_repeats
from cka_cli.layers.selection import SelectedFile
from cka_cli.options import ReadOptions
from cka_cli.text import listed


def warnings_of_repeats(files: Sequence[SelectedFile], read: ReadOptions) -> list[str]:
    """Say of which files every row is there more than once; with ids, which are unique, of none. Reads a few rows."""
    warnings = []
    for file in files if read.ids is None else ():
        layers = [selected.layer for selected in file.layers]
        rows = range(layers[0].shape[0])[slice(*read.examples)]
        if (repeats := find_repeats(layers, rows)) is not None:
            stop = rows.start + repeats.n_distinct
            advice = "save each once" if repeats.in_runs else f"give --examples {rows.start}:{stop}"
            warnings.append(
                f"{file.file.path}: {repeats}: {repeats.n_distinct} examples, which debiased values and p-values count "
                f"as {len(rows)}; {advice}"
            )
    return list(dict.fromkeys(warnings))


def notes_of_channels(files: Sequence[SelectedFile]) -> list[str]:
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
    return list(dict.fromkeys(notes))
