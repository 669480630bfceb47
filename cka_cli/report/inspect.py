"""What `cka inspect` found, as CSV, JSON, or lines for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cka_cli.errors import one_line
from cka_cli.report import Cells, Report, Screen
from cka_cli.results.inspection import Inspected
from cka_cli.text import aligned, size_text

_MAX_NAME = 120


@dataclass(frozen=True)
class InspectionReport(Report):
    """The arrays of files."""

    arrays: Sequence[Inspected]

    def cells(self) -> Cells:
        """Return one line for each array."""
        records = self.document()
        shapes = ("x".join(map(str, record["shape"] or ())) for record in records)
        rows = ([*(record | {"shape": shape}).values()] for record, shape in zip(records, shapes, strict=True))
        return list(records[0]) if records else [], rows

    def document(self) -> list[dict[str, Any]]:
        """Return each array by name of what is known of it."""
        return [_record(array) for array in self.arrays]

    def text(self, screen: Screen) -> str:
        """Return the arrays of each file below its name."""
        from rich.cells import cell_len  # not for the pipe, which gets CSV

        from cka_cli.report.terminal import short_names

        lines: list[str] = []
        by_file: dict[str, list[Inspected]] = {}
        for array in self.arrays:
            by_file.setdefault(array.file, []).append(array)
        for file, arrays in by_file.items():
            short = short_names([array.name for array in arrays], _MAX_NAME)
            rows = [("layer", "shape", "dtype", "features", "in memory", "stored", "trouble")]
            rows += [_row(array, short[array.name]) for array in arrays]
            lines += [one_line(file), *(f"  {line}" for line in aligned(rows, left=(0, 1, 2, 5, 6), width=cell_len))]
        return "\n".join(lines) + "\n"


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


def _row(array: Inspected, name: str) -> tuple[str, str, str, str, str, str, str]:
    trouble = array.trouble
    if array.kind == "vector":
        what = "one axis" if len(array.shape or ()) == 1 else "integers of such a name"
        trouble = f"{what}: a layer only when named" + (f"; {trouble}" if trouble else "")
    return (
        name,
        " × ".join(str(length) for length in array.shape or ()),
        one_line(array.dtype),
        "" if array.n_features is None or array.kind != "layer" else str(array.n_features),
        "" if array.n_bytes is None else size_text(array.n_bytes),
        one_line(array.storage),
        one_line(trouble),
    )
