"""Arrays of one axis that stand beside the layers: a value for each row, such as an id or a group."""

from typing import Any

import numpy as np

from cka_cli.activations.layer import ActivationFile, Layer
from cka_cli.arrays import Indices
from cka_cli.errors import DataError, nearest


def aligned_orders(files: list[ActivationFile], n_saved: int, name: str | None) -> list[Indices] | list[None]:
    """Return for each file the saved row of each example, so that all follow the order of the first file's ids."""
    if name is None:
        return [None] * len(files)
    all_ids = [read_vector(file, name, n_saved, "ids") for file in files]
    orders: list[Indices] = []
    for file, ids in zip(files, all_ids, strict=True):
        places = {value: row for row, value in enumerate(ids)}
        if len(places) < len(ids):
            doubled = next(value for row, value in enumerate(ids) if places[value] != row)
            raise DataError(f"{file.path}::{name}: id {doubled!r} stands at more than one row; ids must be unique")
        missing = next((value for value in all_ids[0] if value not in places), None)
        if missing is not None:
            raise DataError(
                f"{file.path}::{name}: id {missing!r} of {files[0].path} is missing; give files of the same examples"
            )
        orders.append(np.array([places[value] for value in all_ids[0]], dtype=np.intp))
    return orders


def read_vector(file: ActivationFile, name: str, n_saved: int, what: str) -> list[Any]:
    """Return a value for each saved row. what : the values in the plural, and the option that asks for them."""
    vector = next((vector for vector in file.vectors if vector.name == name.strip("/")), None)
    if vector is None:
        known = [vector.name for vector in file.vectors]
        raise DataError(
            f"{file.path}::{name}: no such one-axis array of {what}{nearest(name, known)} "
            f"(the file has {', '.join(known) or 'none'}); save the {what} beside the layers, or leave out --{what}"
        )
    if vector.shape[0] != n_saved:
        raise DataError(f"{vector.label}: {vector.shape[0]} {what} for {n_saved} examples; give one for each row")
    return vector_values(vector)


def vector_values(vector: Layer) -> list[Any]:
    """Return the values of a one-axis array as Python has them, text whether it was saved as bytes or as letters.

    None for NaN, which is not equal to itself.
    """
    values = vector.read(0, vector.shape[0]).tolist()
    values = [value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value for value in values]
    return [value if value == value else None for value in values]
