"""A centred layer with the terms that its kernels need, and what kernels are functions of, for some of its rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cka_cli import kernels
from cka_cli.arrays import Array, Float64, Indices
from cka_cli.centred import CentredLayer, Source
from cka_cli.kernels import LayerTerms, RowTerms
from cka_cli.meter import Count, uncounted
from cka_cli.names import Spec

Tile = tuple[slice, slice]
NO_TERMS = RowTerms(*(np.empty(0),) * 3)

# Rows multiplied in one go while a product is summed over slices of features: numpy cannot add a product in place.
_ROWS_AT_ONCE = 512
# Rows whose distances guess the bracket of a median when not all distances are at hand.
_N_SAMPLE_ROWS = 512
_N_L1_ROWS = 64


@dataclass(frozen=True, eq=False)
class GramLayer:
    """A centred layer with the terms that its kernels need.

    row_terms : of all rows, where the values are in memory; None where they are worked out as they are read.
    """

    source: Source
    terms: LayerTerms
    row_terms: RowTerms | None


def prepare(source: Source, needs: frozenset[str]) -> GramLayer:
    """Return a layer with its terms; the median distance is found later, by `with_medians`.

    needs : what the kernels are functions of; those of distances take off their value at a typical one, and products
        alone need no terms of rows.
    """
    typical_l1 = _sampled_l1(source) if "l1" in needs else 0.0
    terms = LayerTerms(source.n_features, source.scale, float(source.mean @ source.mean), 0.0, typical_l1)
    if needs <= {"products"}:
        return GramLayer(source, terms, NO_TERMS)
    if isinstance(source, CentredLayer):
        row_terms = row_terms_of(source, slice(0, source.n_examples))
        distance = 2 * float(row_terms.squared_norms.sum()) / max(1, source.n_examples - 1)
        return GramLayer(source, replace(terms, typical_distance=distance), row_terms)
    layer = GramLayer(source, terms, None)
    if "distances" not in needs or source.is_constant:
        return layer
    return replace(layer, terms=replace(terms, typical_distance=float(np.median(sampled_distances(layer)))))


def row_terms_of(source: Source, rows: slice) -> RowTerms:
    """Return the terms of some rows of a layer."""
    terms = _RowTermSums(rows.stop - rows.start)
    for features, values in source.slices(rows):
        terms.add(values, source.mean[features])
    return terms.result()


class _RowTermSums:
    """Row terms, summed over slices of features."""

    def __init__(self, n_rows: int):
        self._squared_norms, self._mean_products, self._saved = np.zeros(n_rows), np.zeros(n_rows), np.zeros(n_rows)

    def add(self, values: Array, mean: Float64) -> None:
        for start in range(0, len(values), 64):
            block = values[start : start + 64].astype(np.float64)
            rows = slice(start, start + len(block))
            self._squared_norms[rows] += np.einsum("ij,ij->i", block, block)
            self._mean_products[rows] += block @ mean
            block += mean
            self._saved[rows] += np.einsum("ij,ij->i", block, block)

    def result(self) -> RowTerms:
        return RowTerms(self._squared_norms, self._mean_products, np.sqrt(self._saved))


def has_gram(layer: GramLayer, spec: Spec) -> bool:
    """Whether the kernel is defined on the layer: it varies, and a median distance that sets the width is above 0."""
    return not layer.source.is_constant and (spec.get("sigma") is None or layer.terms.typical_distance > 0)


def tile_inputs(
    layer: GramLayer, tile: Tile, needs: frozenset[str], out: Array | None = None, count: Count = uncounted
) -> tuple[dict[str, Array], RowTerms, RowTerms]:
    """Return what kernels are functions of, for one tile of one layer, and the terms of its rows and columns.

    needs : any of `products`, `saved` (products with the terms that put the mean back), squared `distances`, `l1`.
    out : where products may be put, if it has their dtype. count : called with each part of the whole that is done.
    """
    rows, columns = tile
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    source, is_diagonal = layer.source, rows == columns
    row_sums, column_sums = _RowTermSums(shape[0]), _RowTermSums(shape[1])
    products = l1 = None
    for features, row_values, column_values in _paired_slices(source, rows, columns):
        if needs & {"products", "saved", "distances"}:
            products = _add_product(products, row_values, column_values, out)
        if "l1" in needs:
            part = kernels.l1_distances(row_values, column_values)
            l1 = part if l1 is None else np.add(l1, part, out=l1)
        if layer.row_terms is None:
            row_sums.add(row_values, source.mean[features])
            if not is_diagonal:
                column_sums.add(column_values, source.mean[features])
        count((features.stop - features.start) / source.n_features)
    row_terms = layer.row_terms.rows(rows.start, rows.stop) if layer.row_terms else row_sums.result()
    column_terms = row_terms
    if not is_diagonal:
        column_terms = layer.row_terms.rows(columns.start, columns.stop) if layer.row_terms else column_sums.result()
    inputs: dict[str, Array] = {}
    if products is not None:
        inputs["products"] = inputs["saved"] = products
        if "distances" in needs:
            spare = products.copy() if needs & {"products", "saved"} else products
            inputs["distances"] = kernels.squared_distances(spare, row_terms, column_terms)
    if l1 is not None:
        inputs["l1"] = l1
    return inputs, row_terms, column_terms


def _paired_slices(source: Source, rows: slice, columns: slice) -> Iterator[tuple[slice, Array, Array]]:
    if rows == columns:
        for features, values in source.slices(rows):
            yield features, values, values
        return
    for (features, values), (_, others) in zip(source.slices(rows), source.slices(columns), strict=True):
        yield features, values, others


def _add_product(total: Array | None, rows: Array, columns: Array, out: Array | None = None) -> Array:
    if total is None:
        return np.matmul(rows, columns.T, out=out if out is not None and out.dtype == rows.dtype else None)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        total[start : start + _ROWS_AT_ONCE] += rows[start : start + _ROWS_AT_ONCE] @ columns.T
    return total


def sampled_distances(layer: GramLayer) -> Array:
    """Return the squared distances between a few rows spread evenly over the layer."""
    source = layer.source
    rows = np.unique(np.linspace(0, source.n_examples - 1, _N_SAMPLE_ROWS).astype(np.intp))
    products, sums = None, _RowTermSums(len(rows))
    for features, values in source.slices_of(rows):
        products = _add_product(products, values, values)
        sums.add(values, source.mean[features])
    assert products is not None
    terms = sums.result()
    return kernels.squared_distances(products, terms, terms)[np.triu_indices(len(rows), 1)]


def _sampled_l1(source: Source) -> float:
    """Return the median L1 distance between a few rows spread evenly over the layer."""
    rows = np.unique(np.linspace(0, source.n_examples - 1, _N_L1_ROWS).astype(np.intp))
    total = np.zeros((len(rows), len(rows)))
    for _, values in source.slices_of(rows):
        total += kernels.l1_distances(values, values)
    return float(np.median(total[np.triu_indices(len(rows), 1)]))


def gathered(layer: GramLayer, rows: Indices) -> GramLayer:
    """Return some rows of a layer, in memory."""
    values: Array = np.concatenate([part for _, part in layer.source.slices_of(rows)], axis=1)
    source = layer.source
    of_rows = CentredLayer(source.label, values, source.mean, source.scale, source.is_constant)
    row_terms = NO_TERMS if layer.row_terms is NO_TERMS else row_terms_of(of_rows, slice(0, len(rows)))
    return GramLayer(of_rows, layer.terms, row_terms)


def gram_matrix(layer: GramLayer, rows: Indices, spec: Spec) -> Array:
    """Return the Gram matrix of some rows of a layer, of zeros where the kernel is not defined on the layer.

    What depends on one row alone may be missing from it, which no centred matrix feels.
    """
    if not has_gram(layer, spec):
        return np.zeros((len(rows), len(rows)))
    kernel, source = kernels.KERNELS[spec.name], layer.source
    sums, total = _RowTermSums(len(rows)), None
    for features, values in source.slices_of(rows):
        if kernel.needs in ("saved", "distances"):
            sums.add(values, source.mean[features])
        if kernel.needs == "l1":
            part = kernels.l1_distances(values, values)
            total = part if total is None else np.add(total, part, out=total)
        else:
            total = _add_product(total, values, values)
    assert total is not None
    terms = sums.result()
    if kernel.needs == "distances":
        total = kernels.squared_distances(total, terms, terms)
    return kernel.tile(total, terms, terms, layer.terms, spec)
