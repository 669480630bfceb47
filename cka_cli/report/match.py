"""What `cka match` found, as CSV and JSON: accuracies, partners, or a study of depth; one CSV holds one of them."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from cka_cli.analysis.correspondence import Correspondence
from cka_cli.analysis.depth import DepthStudy
from cka_cli.analysis.identification import Identification
from cka_cli.report.writing import Cell, Provenance, csv_text, json_text, matrix_object
from cka_cli.results.matrix import Comparison

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


def format_accuracies(identifications: Sequence[Identification]) -> str:
    """Return one line for each measure and kernel; accuracies and chance are shares from 0 to 1.

    What needs three networks is empty where there are fewer.
    """
    return csv_text(ACCURACY_HEADER, (_cells(_accuracy(each).values()) for each in identifications))


def format_partners(correspondences: Sequence[Correspondence]) -> str:
    """Return one line for each layer of X, file of Y, measure and kernel; empty where a layer has no such partner."""
    rows = (
        (each.x_file, partner.layer, each.y_file, each.measure, each.kernel, each.n_examples,
         *(getattr(partner, name) for name in PARTNERS_HEADER[6:]))
        for each in correspondences for partner in each.partners
    )  # fmt: skip
    return csv_text(PARTNERS_HEADER, map(_cells, rows))


def format_depths(studies: Sequence[DepthStudy]) -> str:
    """Return one line for each layer, measure and kernel; `to_previous` of the first layer is empty."""
    rows = (
        (matrix.x_file, layer.layer, matrix.measure, matrix.kernel, matrix.n_examples,
         *(getattr(layer, name) for name in DEPTH_HEADER[5:]))
        for each in studies for matrix in [each.matrix] for layer in each.layers
    )  # fmt: skip
    return csv_text(DEPTH_HEADER, map(_cells, rows))


def format_matching_json(
    comparison: Comparison,
    correspondences: Sequence[Correspondence],
    identifications: Sequence[Identification],
    provenance: Provenance,
) -> str:
    """Return everything: the accuracies, the partners of every pair, and the matrices they follow from."""
    files = [file.path for file in comparison.files]
    return _document(
        comparison,
        provenance,
        accuracies=[
            _accuracy(each)
            | {
                "by_file": [
                    {"file": file, "accuracy": accuracy, "p_value": p_value}
                    for file, accuracy, p_value in zip(files, each.by_file, each.p_value_by_file, strict=True)
                ]
            }
            for each in identifications
        ],
        pairs=[_pair_object(each) for each in correspondences],
    )


def format_depth_json(comparison: Comparison, studies: Sequence[DepthStudy], provenance: Provenance) -> str:
    """Return everything: each layer of each study, the first layer that adds nothing, and the matrices."""
    return _document(
        comparison,
        provenance,
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
            for each in studies
        ],
    )


def _document(comparison: Comparison, provenance: Provenance, **findings: Any) -> str:
    return json_text(
        provenance,
        files=[asdict(file) for file in comparison.files],
        **findings,
        matrices=[matrix_object(matrix) for matrix in comparison.matrices],
        notes=comparison.notes,
    )


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
