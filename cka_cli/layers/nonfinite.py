"""Values that are not finite, or that a file says are lost, which are read as NaN: how many there are, and where."""

from dataclasses import replace

import numpy as np

from cka_cli.arrays import Indices
from cka_cli.errors import DataError, counted
from cka_cli.layers.selection import SelectedLayer


def nonfinite_error(layer: SelectedLayer) -> DataError:
    """Return the error that tells how many values of a layer are not finite, and where the first is; reads it all.

    Values that the file says are lost are told apart, which takes one more reading.
    """
    n_values, n_rows, first_row = _count_nonfinite(layer)
    are, they_are = ("is", "it is") if n_values == 1 else ("are", "they are")
    what, fill = "not finite (NaN or infinite", layer.layer.fill_text
    if fill and not _count_nonfinite(replace(layer, layer=layer.layer.as_saved()))[0]:
        what = f"lost ({they_are} the file's fill value, {fill}"
    elif fill:
        what = f"not finite (NaN, infinite or the file's fill value, {fill}"
    return DataError(
        f"{layer.label}: {counted(n_values, 'value')} {are} {what}; {counted(n_rows, 'row')}, the first is row "
        f"{first_row}); mend the file, or leave those examples out of every layer with --nonfinite drop"
    )


def _count_nonfinite(layer: SelectedLayer) -> tuple[int, int, int | None]:
    """Return how many values are not finite, in how many rows, and the first of these as saved; reads it all."""
    n_values = n_rows = 0
    first_row: int | None = None
    for where, saved in layer.blocks():
        block = saved.astype(np.float64) if saved.dtype.itemsize > 8 else saved
        bad = ~np.isfinite(block)
        rows = np.flatnonzero(bad.any(axis=1))
        n_values += int(np.count_nonzero(bad))
        n_rows += len(rows)
        if len(rows):
            saved_row = layer.saved_row(int(rows[0] + where.start if isinstance(where, slice) else where[rows].min()))
            first_row = saved_row if first_row is None else min(first_row, saved_row)
    return n_values, n_rows, first_row


def find_nonfinite_examples(layer: SelectedLayer) -> Indices:
    """Return the places in the selection, in saved rows, of examples with values that are not finite; reads it all."""
    found: list[Indices] = []
    for where, block in layer.blocks():
        if block.dtype.kind != "f":
            continue
        rows = np.flatnonzero(~np.isfinite(block).all(axis=1))
        places = rows + where.start if isinstance(where, slice) else where[rows]
        found.append(places // layer.n_positions)
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.intp)
