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
    return csv_text(ACCURACY_HEADER, (_cells(_accuracy(each)) for each in identifications))


def format_partners(correspondences: Sequence[Correspondence]) -> str:
    """Return one line for each layer of X, file of Y, measure and kernel; empty where a layer has no such partner."""
    return csv_text(PARTNERS_HEADER, map(_cells, _partner_records(correspondences)))


def format_depths(studies: Sequence[DepthStudy]) -> str:
    """Return one line for each layer, measure and kernel; `to_previous` of the first layer is empty."""
    return csv_text(DEPTH_HEADER, (_cells(record) for each in studies for record in _depth_records(each)))


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


def format_depth_json(
    comparison: Comparison, studies: Sequence[DepthStudy], provenance: Provenance
) -> str:  # fmt: skip
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


def _partner_records(correspondences: Sequence[Correspondence]) -> Iterable[dict[str, Any]]:
    for each in correspondences:
        for partner in each.partners:
            yield {
                "x_file": each.x_file,
                "x_layer": partner.layer,
                "y_file": each.y_file,
                "measure": each.measure,
                "kernel": each.kernel,
                "n_examples": each.n_examples,
                **{name: getattr(partner, name) for name in PARTNERS_HEADER[6:]},
            }


def _depth_records(each: DepthStudy) -> Iterable[dict[str, Any]]:
    matrix = each.matrix
    for layer in each.layers:
        yield {
            "file": matrix.x_file,
            "layer": layer.layer,
            "measure": matrix.measure,
            "kernel": matrix.kernel,
            "n_examples": matrix.n_examples,
            "to_previous": layer.to_previous,
            "to_last": layer.to_last,
            "effective_dimension": layer.effective_dimension,
            "is_like_last": layer.is_like_last,
            "is_in_stretch": layer.is_in_stretch,
        }


def _span(each: DepthStudy, places: range) -> dict[str, Any]:
    return {
        "first": each.layers[places[0]].layer,
        "last": each.layers[places[-1]].layer,
        "n_layers": len(places),
    }  # fmt: skip


def _cells(record: dict[str, Any]) -> list[Cell]:
    return [_cell(value) for value in record.values()]


def _cell(value: Any) -> Cell:
    """Return a value as a cell; nothing for what does not exist."""
    if isinstance(value, bool):
        return str(value).lower()
    return float(value) if isinstance(value, float) else value
