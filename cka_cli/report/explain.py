"""What makes a similarity, as CSV of pairs of components, JSON, or lines for a person."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cka_cli.analysis.components import ComponentPairs, Explanation, Removal, Spectrum, block_sums
from cka_cli.arrays import Float64
from cka_cli.errors import counted, one_line
from cka_cli.report import Cell, Cells, Report, Screen
from cka_cli.report.json_text import Provenance
from cka_cli.text import aligned, decimals, fixed

CSV_HEADER = (
    "x_file", "x_layer", "y_file", "y_layer", "x_component", "y_component", "x_variance_share", "y_variance_share",
    "alignment", "contribution", "share", "cca_share",
)  # fmt: skip
REST = "rest"
_WIDTH = 80
_NOTHING = "-"


@dataclass(frozen=True)
class ExplanationReport(Report):
    """What makes the similarity of two layers; of so many components of each, and of pairs of them."""

    explanation: Explanation
    n_components: int
    provenance: Provenance

    def cells(self) -> Cells:
        """Return one line for each pair of the first components, and of these with the `rest` of either layer.

        The rest is one line with sums of alignments, so that contributions add up to CKA, shares to 1 and alignments
        to what R²_CCA is made of, whatever `n_components`.
        """
        return CSV_HEADER, _csv_rows(self.explanation.pairs, self.n_components)

    def document(self) -> dict[str, Any]:
        """Return everything: where it comes from, both spectra, components, pairs, removals, the sentence and notes."""
        pairs, n_components = self.explanation.pairs, self.n_components
        x_names, _ = _with_rest(pairs.x, n_components)
        y_names, _ = _with_rest(pairs.y, n_components)
        return self.provenance.document(
            files=[asdict(file) for file in self.explanation.files],
            n_examples=pairs.n_examples,
            kernel="linear",
            cka=pairs.cka,
            cca_r2=pairs.cca_r2,
            chance=pairs.chance,
            is_cca_saturated=pairs.is_saturated,
            n_forced_correlations=pairs.n_forced,
            sentence=self.explanation.sentence,
            x=_side_object(pairs, n_components),
            y=_side_object(pairs.reversed, n_components),
            pairs={"x_components": x_names, "y_components": y_names, **_tables(pairs, n_components)},
            largest_pairs=[
                {"x_component": row + 1, "y_component": column + 1, **cells}
                for row, column, cells in _largest_pairs(pairs, n_components)
            ],
            removals=[_removal_object(removal) for removal in pairs.removals()],
            notes=self.explanation.notes,
        )

    def text(self, screen: Screen) -> str:
        """Return the explanation for a person, in lines of at most 80 characters but for long names."""
        pairs, n_components = self.explanation.pairs, self.n_components
        parts = [
            list(_heading(pairs)),
            textwrap.wrap(self.explanation.sentence, _WIDTH, break_long_words=False, break_on_hyphens=False),
            _component_lines(pairs, "X", "Y", n_components),
            _component_lines(pairs.reversed, "Y", "X", n_components),
            [] if pairs.is_zero else _pair_lines(pairs, n_components),
            _removal_lines(pairs.removals()) if max(pairs.x.rank, pairs.y.rank) > 1 else [],
        ]
        return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _csv_rows(pairs: ComponentPairs, n_components: int) -> Iterator[tuple[Cell, ...]]:
    layers, tables = (pairs.x.file, pairs.x.layer, pairs.y.file, pairs.y.layer), _tables(pairs, n_components)
    x_names, x_shares = _with_rest(pairs.x, n_components)
    y_names, y_shares = _with_rest(pairs.y, n_components)
    for row, x_name in enumerate(x_names):
        for column, y_name in enumerate(y_names):
            cells = (x_shares[row], y_shares[column], *(table[row, column] for table in tables.values()))
            yield (*layers, str(x_name), str(y_name), *map(float, cells))


def _with_rest(side: Spectrum, n_components: int) -> tuple[list[int | str], Float64]:
    """Return the names and the variance shares of the first components, and of the rest where there is one."""
    n = min(n_components, side.rank)
    names: list[int | str] = [*range(1, n + 1), *[REST] * (n < side.rank)]
    return names, np.add.reduceat(side.shares, _starts(side, n_components))


def _starts(side: Spectrum, n_components: int) -> range:
    return range(min(n_components + 1, side.rank))


def _tables(pairs: ComponentPairs, n_components: int) -> dict[str, Float64]:
    """Return by name what the pairs of the first components and of the rest hold, each of one shape."""
    rows, columns = (list(_starts(side, n_components)) for side in (pairs.x, pairs.y))
    return _with_shares(
        pairs, *(block_sums(values, rows, columns) for values in (pairs.alignment, pairs.contributions))
    )


def _with_shares(pairs: ComponentPairs, alignment: Float64, contribution: Float64) -> dict[str, Float64]:
    shares = {"share": pairs.cka_shares(contribution), "cca_share": pairs.cca_shares(alignment)}
    return {"alignment": alignment, "contribution": contribution, **shares}


def _side_object(pairs: ComponentPairs, n_components: int) -> dict[str, Any]:
    side = pairs.x
    return {
        "file": side.file,
        "layer": side.layer,
        "n_features": side.n_features,
        "n_components": side.rank,
        "effective_dimension": side.effective_dimension,
        "variance_shares": side.shares,
        "equal_variances": side.equal,
        "components": [asdict(component) for component in pairs.x_components(n_components)],
    }


def _removal_object(removal: Removal) -> dict[str, Any]:
    return {
        "n_removed": removal.n_removed,
        "cka": removal.rest.cka,
        "cca_r2": removal.rest.cca_r2,
        "x_with_its_first": removal.x_first,
        "x_with_its_rest": removal.x_rest,
        "y_with_its_first": removal.y_first,
        "y_with_its_rest": removal.y_rest,
        "is_unique": removal.is_unique,
    }


def _largest_pairs(pairs: ComponentPairs, n_pairs: int) -> Iterator[tuple[int, int, dict[str, float]]]:
    for place in pairs.largest(n_pairs):
        cells = _with_shares(pairs, pairs.alignment[place], pairs.contributions[place])
        variances = {"x_variance_share": pairs.x.shares[place[0]], "y_variance_share": pairs.y.shares[place[1]]}
        yield *place, {name: float(value) for name, value in (variances | cells).items()}


def _heading(pairs: ComponentPairs) -> Iterator[str]:
    for name, side in (("X", pairs.x), ("Y", pairs.y)):
        counts = f"{counted(side.n_features, 'feature')}, {counted(side.rank, 'component')}"
        yield f"{name}  {one_line(side.label)}  {counts}"
    yield (
        f"linear CKA {decimals(pairs.cka)}, CCA R² {decimals(pairs.cca_r2)}, {pairs.n_examples} examples "
        f"(rows in random order: CKA {decimals(pairs.chance)})"
    )


def _component_lines(pairs: ComponentPairs, own: str, other: str, n_components: int) -> list[str]:
    header = (f"{own} component", "variance", f"best in {other}", "alignment", "of CKA", "so far", "of CCA", "so far")
    components = pairs.x_components(n_components)
    rows = [
        (
            str(each.number), _percent(each.variance_share), str(each.partner), decimals(each.alignment),
            _percent(each.cka_share), _percent(each.cka_cumulative),
            _percent(each.cca_share), _percent(each.cca_cumulative),
        )
        for each in components
    ]  # fmt: skip
    n = len(components)
    if n < pairs.x.rank:
        last = components[-1]
        variance, cka, cca = (
            _percent(share) for share in (pairs.x.shares[n:].sum(), 1 - last.cka_cumulative, 1 - last.cca_cumulative)
        )
        of_cka, of_cca = (_NOTHING if math.isnan(share) else _percent(1) for share in (last.cka_share, last.cca_share))
        rows.append((f"{REST}, {pairs.x.rank - n}", variance, "", "", cka, of_cka, cca, of_cca))
    return aligned([header, *rows])


def _pair_lines(pairs: ComponentPairs, n_pairs: int) -> list[str]:
    header = ("X", "Y", "X variance", "Y variance", "alignment", "contribution", "of CKA", "of CCA")
    rows = [
        (
            str(row + 1), str(column + 1), _percent(cells["x_variance_share"]), _percent(cells["y_variance_share"]),
            decimals(cells["alignment"]), decimals(cells["contribution"]),
            _percent(cells["share"]), _percent(cells["cca_share"]),
        )
        for row, column, cells in _largest_pairs(pairs, n_pairs)
    ]  # fmt: skip
    return ["pairs of components that contribute most to CKA", *aligned([header, *rows])]


def _removal_lines(removals: Sequence[Removal]) -> list[str]:
    header = ("removed", "CKA", "CCA R²", "X, first", "X, rest", "Y, first", "Y, rest")
    rows = []
    for each in removals:
        values = (*each.rest, each.x_first, each.x_rest, each.y_first, each.y_rest)
        texts = (_NOTHING if math.isnan(value) else decimals(value) for value in values)
        rows.append((f"{'' if each.is_unique else '~'}{each.n_removed}", *texts))
    lines = [
        "similarity without the first components of each layer, and CKA of each layer",
        "with its own first components alone and with the rest of it",
        *aligned([header, *rows]),
    ]
    if not all(each.is_unique for each in removals):
        lines.append("~ cuts between components of equal variance, where the cut is arbitrary")
    return lines


def _percent(share: float) -> str:
    return _NOTHING if math.isnan(share) else f"{fixed(100 * share, 1)} %"
