"""What rows are called and which classes they belong to: from the one-axis arrays beside the layers."""

from typing import Any

import numpy as np

from cka_cli.analysis.reliability.evaluate import RowNames
from cka_cli.analysis.reliability.quantities import Labels
from cka_cli.arrays import Array
from cka_cli.errors import DataError, nearest, one_line
from cka_cli.files.layer import Layer
from cka_cli.layers.row_metadata import find_vector
from cka_cli.layers.selection import SelectedFile

# Where no array of labels is named.
DEFAULT_LABELS = "labels"


def row_names(file: SelectedFile, ids: str | None) -> RowNames:
    """Return what the rows of a file are called, by `ids` where it names an array of the file."""
    first = file.layers[0]
    saved = np.asarray(first.rows).tolist()
    vector = None if ids is None else _vector(file, ids)
    named = None if vector is None else [_text(value) for value in _all(vector)[saved].tolist()]
    return RowNames(saved, first.n_positions, named)


def read_labels(files: list[SelectedFile], name: str | None, notes: list[str]) -> Labels | None:
    """Return the classes of the examples, from the first file that has them; None where there are none.

    name : of the array; without one, `labels` is taken where it is there and fits. A note says when labels are no
    classes: all one, or nearly as many as examples. Raises DataError when a named array is missing or does not fit.
    """
    file = next((each for each in files if _vector(each, name or DEFAULT_LABELS) is not None), None)
    if file is None:
        if name is None:
            return None
        find_vector(files[0].file, name, "labels")  # what is there and cannot be read has a reason of its own
        known = [vector.name for vector in files[0].file.vectors]
        raise DataError(
            f"{files[0].file.path}::{name}: no such one-axis array of labels{nearest(name, known)} "
            f"(the file has {', '.join(known) or 'none'}); save the labels beside the layers, or leave out --labels"
        )
    vector, first = _vector(file, name or DEFAULT_LABELS), file.layers[0]
    assert vector is not None
    if vector.shape[0] != file.n_saved:
        if name is None:
            return None
        raise DataError(
            f"{vector.label}: {vector.shape[0]} labels for {file.n_saved} examples; give one label for each row"
        )
    values = [_text(value) for value in _all(vector)[np.asarray(first.rows)].tolist()]
    names = list(dict.fromkeys(values))
    if not 2 <= len(names) <= len(values) // 3:
        notes.append(
            f"{vector.label}: {len(names)} labels on {len(values)} examples are no classes, so labels are not checked"
        )
        return None
    places = {text: place for place, text in enumerate(sorted(names, key=_in_order))}
    of_rows = np.repeat([places[text] for text in values], first.n_positions)
    return Labels(vector.name, tuple(places), tuple(np.flatnonzero(of_rows == place) for place in places.values()))


def _vector(file: SelectedFile, name: str) -> Layer | None:
    return next((vector for vector in file.file.vectors if vector.name == name.strip("/")), None)


def _all(vector: Layer) -> Array:
    return vector.as_saved().read(0, vector.shape[0])


def _text(value: Any) -> str:
    return one_line(value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value))


def _in_order(text: str) -> tuple[float, str]:
    """Numbers by value, then words."""
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text
