"""What `cka inspect` found, as CSV, JSON, or lines for a person."""

import json
from collections.abc import Sequence
from typing import Any

from cka_cli.errors import one_line
from cka_cli.report.writing import Cell, csv_text, utf8
from cka_cli.results.inspection import Inspected
from cka_cli.text import aligned, size_text

_MAX_NAME = 120


def format_inspection(arrays: Sequence[Inspected], report_format: str) -> str:
    """Return the arrays as `csv`, `json` or `table`."""
    if report_format == "table":
        return _table(arrays)
    records = [_record(array) for array in arrays]
    if report_format == "json":
        return utf8(json.dumps(records, ensure_ascii=False, indent=1)) + "\n"
    return csv_text(list(records[0]) if records else [], (_csv_cells(record) for record in records))


def _csv_cells(record: dict[str, Any]) -> list[Cell]:
    return list((record | {"shape": "x".join(str(length) for length in record["shape"] or ())}).values())


def _record(array: Inspected) -> dict[str, Any]:
    return {
        "file": array.file,
        "layer": array.name,
        "kind": array.kind,
        "shape": None if array.shape is None else list(array.shape),
        "dtype": array.dtype,
        "n_examples": array.shape[0] if array.shape else None,
        "n_features": array.n_features,
        "bytes": array.n_bytes,
        "storage": array.storage,
        "n_nonfinite": array.n_nonfinite,
        "n_constant_features": array.n_constant,
        "trouble": array.trouble,
    }


def _table(arrays: Sequence[Inspected]) -> str:
    from rich.cells import cell_len  # not for the pipe, which gets CSV

    from cka_cli.report.terminal import short_names

    lines: list[str] = []
    by_file: dict[str, list[Inspected]] = {}
    for array in arrays:
        by_file.setdefault(array.file, []).append(array)
    for file, its_arrays in by_file.items():
        lines += [one_line(file)]
        short = short_names([array.name for array in its_arrays], _MAX_NAME)
        rows = [_row(array, short[array.name]) for array in its_arrays]
        rows.insert(0, ("layer", "shape", "dtype", "features", "in memory", "stored", "trouble"))
        lines += [f"  {line}" for line in aligned(rows, left=(0, 1, 2, 5, 6), width=cell_len)]
    return "\n".join(lines) + "\n"


def _row(array: Inspected, name: str) -> tuple[str, ...]:
    trouble = array.trouble
    if array.kind == "vector":
        trouble = "one axis: a layer only when named" + (f"; {trouble}" if trouble else "")
    return (
        name,
        " × ".join(str(length) for length in array.shape or ()),
        one_line(array.dtype),
        "" if array.n_features is None or array.kind != "layer" else str(array.n_features),
        "" if array.n_bytes is None else size_text(array.n_bytes),
        one_line(array.storage),
        one_line(trouble),
    )
