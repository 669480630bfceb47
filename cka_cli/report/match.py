"""What `cka match` found, as CSV and JSON: accuracies, partners, or a study of depth; one CSV holds one of them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cka_cli.analysis.correspondence import Correspondence
from cka_cli.analysis.depth import DepthStudy
from cka_cli.analysis.identification import Identification
from cka_cli.report import Cell, Cells, Report, Screen
from cka_cli.report.compare import comparison_document
from cka_cli.report.json_text import Provenance
from cka_cli.results.matrix import Comparison

if TYPE_CHECKING:
    from cka_cli.api.match import Matching

ACCURACY_HEADER = (
    "measure", "kernel", "n_files", "n_layers", "n_examples", "accuracy", "std_error", "chance", "p_value",
    "difference", "difference_std_error", "differs",
)  # fmt: skip
PARTNERS_HEADER = (
    "x_file", "x_layer", "y_file", "measure", "kernel", "n_examples", "best_layer", "best_value", "n_best",
    "second_layer", "second_value", "margin", "monotone_layer", "monotone_value",
)  # fmt: skip
DEPTH_HEADER = (
    "file", "layer", "measure", "kernel", "n_examples", "to_previous", "to_last", "effective_dimension", "is_like_last",
    "is_in_stretch",
)  # fmt: skip


@dataclass(frozen=True)
class MatchingReport(Report):
    """Networks compared with each other. kind : `accuracy` or `partners`; None for what suits."""

    matching: "Matching"
    kind: str | None
    provenance: Provenance

    def cells(self) -> Cells:
        """Return the accuracies, or the partners where those are asked for or files differ in depth.

        Accuracies: one line for each measure and kernel; they and chance are shares from 0 to 1, and what needs three
        networks is empty where there are fewer. Partners: one line for each layer of X, file of Y, measure and
        kernel; empty where a layer has no such partner.
        """
        if self.kind == "partners" or not self.matching.identifications:
            rows = (
                (each.x_file, partner.layer, each.y_file, each.measure, each.kernel, each.n_examples,
                 *(getattr(partner, name) for name in PARTNERS_HEADER[6:]))
                for each in self.matching.correspondences for partner in each.partners
            )  # fmt: skip
            return PARTNERS_HEADER, map(_cells, rows)
        return ACCURACY_HEADER, (_cells(_accuracy(each).values()) for each in self.matching.identifications)

    def document(self) -> dict[str, Any]:
        """Return everything: the accuracies, the partners of every pair, and the matrices they follow from."""
        files = [file.path for file in self.matching.comparison.files]
        return comparison_document(
            self.matching.comparison,
            self.provenance,
            accuracies=[
                _accuracy(each)
                | {
                    "by_file": [
                        {"file": file, "accuracy": accuracy, "p_value": p_value}
                        for file, accuracy, p_value in zip(files, each.by_file, each.p_value_by_file, strict=True)
                    ]
                }
                for each in self.matching.identifications
            ],
            pairs=[_pair_object(each) for each in self.matching.correspondences],
        )

    def text(self, screen: Screen) -> str:
        """Return the accuracies, and the partners where they are asked for or few."""
        from cka_cli.report.match_table import format_matching

        parts = (self.matching.identifications, self.matching.correspondences, self.matching.matrices)
        return format_matching(*parts, self.kind, screen)


@dataclass(frozen=True)
class DepthReport(Report):
    """Networks by themselves. comparison : of all of them."""

    comparison: Comparison
    studies: Sequence[DepthStudy]
    provenance: Provenance

    def cells(self) -> Cells:
        """Return one line for each layer, measure and kernel; `to_previous` of the first layer is empty."""
        rows = (
            (matrix.x_file, layer.layer, matrix.measure, matrix.kernel, matrix.n_examples,
             *(getattr(layer, name) for name in DEPTH_HEADER[5:]))
            for each in self.studies for matrix in [each.matrix] for layer in each.layers
        )  # fmt: skip
        return DEPTH_HEADER, map(_cells, rows)

    def document(self) -> dict[str, Any]:
        """Return everything: each layer of each study, the first layer that adds nothing, and the matrices."""
        return comparison_document(
            self.comparison,
            self.provenance,
            depth=[
                {
                    "file": each.matrix.x_file,
                    "measure": each.matrix.measure,
                    "kernel": each.matrix.kernel,
                    "threshold": each.threshold,
                    "like_last": _span(each, each.like_last) if each.n_like_last else None,
                    "stretch": _span(each, each.stretch) if each.stretch else None,
                    "layers": [asdict(layer) for layer in each.layers],
                }
                for each in self.studies
            ],
        )

    def text(self, screen: Screen) -> str:
        """Return the layers of each study, and in a sentence which of them add nothing."""
        from cka_cli.report.match_table import format_depth

        return format_depth(self.studies, screen)


def _accuracy(each: Identification) -> dict[str, Any]:
    return {name: getattr(each, name) for name in ACCURACY_HEADER}


def _pair_object(each: Correspondence) -> dict[str, Any]:
    names = ("x_file", "y_file", "measure", "kernel", "n_examples", "accuracy", "best_mean", "monotone_mean")
    partners = [asdict(partner) | {"margin": partner.margin} for partner in each.partners]
    return {name: getattr(each, name) for name in names} | {"partners": partners}


def _span(each: DepthStudy, places: range) -> dict[str, Any]:
    first, last = (each.layers[place].layer for place in (places[0], places[-1]))
    return {"first": first, "last": last, "n_layers": len(places)}


def _cells(values: Iterable[Any]) -> list[Cell]:
    """Return values as cells: nothing for what does not exist, Python's numbers for numpy's."""
    return [
        str(each).lower() if isinstance(each, bool) else float(each) if isinstance(each, float) else each
        for each in values
    ]
