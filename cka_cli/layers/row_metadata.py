"""Arrays of one axis that stand beside the layers: a value for each row, such as an id or a group."""

from collections.abc import Container
from typing import Any

import numpy as np

from cka_cli.arrays import Indices
from cka_cli.errors import DataError, nearest, one_line
from cka_cli.files.layer import ActivationFile, Layer
from cka_cli.text import first_few

_MOST_IDS_NAMED = 3


def aligned_rows(
    files: list[ActivationFile],
    counts: list[int],
    name: str,
    among: range,
    rows: range | Indices,
    *,
    takes_part: bool = False,
) -> list[Indices]:
    """Return for each file the saved row of each example, so that all follow the order of the first file's ids.

    counts : of the saved rows of each file. among : those rows of the first file whose ids must be in every file.
    rows : those of them that are the examples.
    takes_part : whether it is said from which row to which of the first file, so that files of other lengths may have
    other ids beside those of these rows.
    Raises DataError for doubled and missing ids.
    """
    all_ids = [read_vector(file, name, count, "ids") for file, count in zip(files, counts, strict=True)]
    first, of_rows = files[0], all_ids[0][among.start : among.stop]
    aligned: list[Indices] = []
    for file, ids in zip(files, all_ids, strict=True):
        places = {value: row for row, value in enumerate(ids)}
        if len(places) < len(ids):
            doubled = next(value for row, value in enumerate(ids) if places[value] != row)
            raise DataError(f"{file.path}::{name}: id {doubled!r} stands at more than one row; ids must be unique")
        is_whole = len(ids) != len(all_ids[0]) and not takes_part
        advice = f"give files of the same examples, or --examples START:STOP for rows of {first.path} that are in all"
        _check_there(file, places, all_ids[0] if is_whole else of_rows, first, name, advice)
        if is_whole:
            advice = f"give files of the same examples, or --examples 0:{len(all_ids[0])} for those of {first.path}"
            _check_there(first, set(all_ids[0]), ids, file, name, advice)
        aligned.append(np.array([places[all_ids[0][row]] for row in rows], dtype=np.intp))
    return aligned


def _check_there(
    file: ActivationFile, found: Container[Any], wanted: list[Any], other: ActivationFile, name: str, advice: str
) -> None:
    """Raise DataError that says which of the ids of another file are not among those of a file, and how many."""
    missing = [value for value in wanted if value not in found]
    if missing:
        shown = first_few(list(map(repr, missing)), _MOST_IDS_NAMED)
        raise DataError(
            f"{file.path}::{name}: {len(missing)} of {len(wanted)} ids of {other.path} "
            f"{'is' if len(missing) == 1 else 'are'} missing ({shown}); {advice}"
        )


def vector_named(file: ActivationFile, name: str) -> Layer | None:
    """Return the one-axis array of this name, if there is one that can be read."""
    named = (vector for vector in file.vectors if vector.name == name.strip("/"))
    return next((vector for vector in named if len(vector.shape) == 1), None)


def read_vector(file: ActivationFile, name: str, n_saved: int, what: str) -> list[Any]:
    """Return a value for each saved row. what : the values in the plural, and the option that asks for them."""
    vector = vector_named(file, name)
    if vector is None:
        if (why := (file.unreadable | file.refused).get(name.strip("/"))) is not None:
            raise DataError(f"{file.path}::{name.strip('/')}: cannot be read as {what}: {why}")
        known = [vector.name for vector in file.vectors if len(vector.shape) == 1]
        raise DataError(
            f"{file.path}::{name}: no such one-axis array of {what}{nearest(name, known)} "
            f"(the file has {', '.join(known) or 'none'}); save the {what} beside the layers, or leave out --{what}"
        )
    if vector.shape[0] != n_saved:
        raise DataError(f"{vector.label}: {vector.shape[0]} {what} for {n_saved} examples; give one for each row")
    return vector_values(vector)


def row_words(vector: Layer) -> list[str]:
    """Return the values of a one-axis array as text, each in one line."""
    return [one_line(str(value)) for value in _as_saved(vector)]


def vector_values(vector: Layer) -> list[Any]:
    """Return the values of a one-axis array as Python has them, text whether it was saved as bytes or as letters.

    As saved, since they are names rather than numbers. None for NaN, which is not equal to itself.
    """
    return [value if value == value else None for value in _as_saved(vector)]


def _as_saved(vector: Layer) -> list[Any]:
    values = vector.as_saved().read(0, vector.shape[0]).tolist()
    return [value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value for value in values]
