"""What `cka compare` found: matrices, cell by cell or one as a square, and all that is known of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cka_cli.arrays import Float64
from cka_cli.errors import UsageError
from cka_cli.report import Cell, Cells, Report, Screen
from cka_cli.report.json_text import Provenance
from cka_cli.results.matrix import Comparison, Matrix

TIDY_HEADER = ("x_file", "x_layer", "y_file", "y_layer", "measure", "kernel", "n_examples", "value")


@dataclass(frozen=True)
class ComparisonReport(Report):
    """The matrices of a comparison."""

    comparison: Comparison
    provenance: Provenance

    def cells(self) -> Cells:
        """Return one line per value, under the header x_file ... value, and std_error, chance, p_value if asked for."""
        names = list(dict.fromkeys(name for matrix in self.comparison.matrices for name in _statistics(matrix)))
        rows = (row for matrix in self.comparison.matrices for row in _tidy_rows(matrix, names))
        return (*TIDY_HEADER, *names), rows

    def square(self) -> Cells:
        """Return one matrix: rows are the layers of X, columns those of Y."""
        matrix = self.comparison.matrices[0]
        check_wide(len(self.comparison.matrices), with_statistics=matrix.statistics is not None)
        rows = ((name, *row) for name, row in zip(matrix.x_layers, matrix.values.tolist(), strict=True))
        return ("layer", *matrix.y_layers), rows

    def document(self) -> dict[str, Any]:
        """Return everything: version, command, options, files with sizes and dates, layer shapes, matrices, notes."""
        return comparison_document(self.comparison, self.provenance)

    def text(self, screen: Screen) -> str:
        """Return every matrix as a table."""
        from cka_cli.report.terminal import format_table

        return format_table(self.comparison, screen)


def check_wide(n_matrices: int, *, with_statistics: bool) -> None:
    """Raise UsageError for more than a wide CSV holds: ask before it is worked out."""
    if with_statistics:
        raise UsageError("--format wide: has no room for --stats; use --format csv or json")
    if n_matrices != 1:
        raise UsageError(
            f"--format wide: holds one matrix (found {n_matrices}); "
            "give one second file, one measure and one kernel, or use --format csv"
        )


def comparison_document(comparison: Comparison, provenance: Provenance, **findings: Any) -> dict[str, Any]:
    """Return all that is known of a comparison, and what follows from it."""
    return provenance.document(
        files=[asdict(file) for file in comparison.files],
        **findings,
        matrices=[_matrix_object(matrix) for matrix in comparison.matrices],
        notes=comparison.notes,
    )


def _statistics(matrix: Matrix) -> dict[str, Float64]:
    """Return what is known of how far the values can be trusted, by column name."""
    if matrix.statistics is None:
        return {}
    return {name: values for name, values in vars(matrix.statistics).items() if values is not None}


def _tidy_rows(matrix: Matrix, names: Sequence[str]) -> Iterable[tuple[Cell, ...]]:
    statistics, kind = _statistics(matrix), (matrix.measure, matrix.kernel, matrix.n_examples)
    for place, (x_layer, row) in enumerate(zip(matrix.x_layers, matrix.values.tolist(), strict=True)):
        for column, (y_layer, value) in enumerate(zip(matrix.y_layers, row, strict=True)):
            # Empty where a measure has no such law: `nan` is for values.
            found = (statistics[name][place, column] if name in statistics else math.nan for name in names)
            known = (None if math.isnan(each) else float(each) for each in found)
            yield (matrix.x_file, x_layer, matrix.y_file, y_layer, *kind, value, *known)


def _matrix_object(matrix: Matrix) -> dict[str, Any]:
    names = ("x_file", "y_file", "measure", "kernel", "n_examples", "x_layers", "y_layers", "values")
    return {name: getattr(matrix, name) for name in names} | _statistics(matrix)
