"""A centred layer with the terms that its kernels need, and what kernels are functions of, for some of its rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from cka_cli.arrays import Array, Float64, Indices
from cka_cli.reductions import kernels
from cka_cli.reductions.far_rows import sample_rows
from cka_cli.reductions.kernels import LayerTerms, RowTerms
from cka_cli.reductions.source import CentredLayer, SavedSource, ScaledLayer, Source
from cka_cli.reductions.unit_rows import UnitRows, unit_rows
from cka_cli.specs import Spec

Rows = slice | Indices
Tile = tuple[slice, slice]
NO_TERMS = RowTerms(*(np.empty(0),) * 2)

# Rows multiplied in one go while a product is summed over slices of features: numpy cannot add a product in place.
_ROWS_AT_ONCE = 512
# Rows whose distances guess the bracket of a median when not all distances are at hand.
_N_SAMPLE_ROWS = 512
_N_L1_ROWS = 64
_CHUNK_VALUES = 1 << 17
# Squared norms, in mean squared distances, above which the distance of two rows that lie far out may be lost to
# rounding; and the share of their squared norms below which it is worked out anew, from differences.
_FAR_SQUARE, _LOST = 512.0, 0.01
# By how much rounding may move the exponent of a kernel whose width is given, where rows lie in groups far apart.
_EXPONENT_ROUNDING = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-12}
_N_TERM_ROWS = 1024


@dataclass(frozen=True, eq=False)
class GramLayer:
    """A centred layer with the terms that its kernels need.

    row_terms : of all rows, where the values are in memory; None where they are worked out as they are read.
    unit : the rows brought to length 1, where a kernel is of them.
    """

    source: Source
    terms: LayerTerms
    row_terms: RowTerms | None
    unit: Source | None = None

    def source_of(self, need: str) -> Source:
        """Return what a kernel is a function of: the layer, or its rows brought to length 1."""
        if need != "unit":
            return self.source
        assert self.unit is not None
        return self.unit


def prepare(source: Source, needs: frozenset[str], largest_gamma: float = 0.0) -> GramLayer:
    """Return a layer with its terms; the median distance is found later, by `with_medians`.

    needs : what the kernels are functions of; those of distances take off their value at a typical one, and products
        alone need no terms of rows. Where rows of length 1 are all that is needed, values in memory become these.
    largest_gamma : of the kernels of distances whose width is given; 0 without one.
    """
    mean_square, shrink = float(source.mean @ source.mean), source.far.shrink(source.scale)
    terms = LayerTerms(source.n_features, source.scale, mean_square, 0.0, shrink=shrink)
    if "l1" in needs:
        terms = replace(terms, typical_l1=_sampled_l1(source))
    terms = replace(terms, largest_rate=kernels.descaled(largest_gamma, source.scale))
    unit = None
    if "unit" in needs and not source.is_constant:
        assert isinstance(source, SavedSource)
        unit, spread = unit_rows(source, in_place=needs == {"unit"})
        terms = replace(terms, unit_spread=spread)
        source = source if isinstance(unit, UnitRows) else unit
    if needs <= {"products", "unit"}:
        return GramLayer(source, terms, NO_TERMS, unit)
    if isinstance(source, CentredLayer):
        row_terms = row_terms_of(source, slice(0, source.n_examples))
        others = np.delete(row_terms.squared_norms, source.far.places)
        distance = 2 * float(others.sum()) / max(1, len(others) - 1)
        return GramLayer(source, replace(terms, typical_distance=distance, mean_distance=distance), row_terms, unit)
    layer = GramLayer(source, terms, None, unit)
    if source.is_constant:
        return layer
    distances = sampled_distances(layer)
    near = distances[distances <= _FAR_SQUARE * np.median(distances)] if len(source.far.places) else distances
    return replace(
        layer,
        terms=replace(terms, typical_distance=float(np.median(distances)), mean_distance=float(np.mean(near))),
    )


def row_terms_of(source: Source, rows: slice) -> RowTerms:
    """Return the terms of some rows of a layer."""
    parts = []
    for start in range(rows.start, rows.stop, _N_TERM_ROWS):
        block = slice(start, min(start + _N_TERM_ROWS, rows.stop))
        terms = _RowTermSums(block.stop - block.start)
        for features, values in source.slices(block):
            terms.add(values, source.mean[features])
        parts.append(terms.result())
    return RowTerms(
        np.concatenate([part.squared_norms for part in parts]), np.concatenate([part.mean_products for part in parts])
    )


class _RowTermSums:
    """Row terms, summed over slices of features."""

    def __init__(self, n_rows: int):
        self._squared_norms, self._mean_products = np.zeros(n_rows), np.zeros(n_rows)

    def add(self, values: Array, mean: Float64) -> None:
        for start in range(0, len(values), 64):
            block = values[start : start + 64].astype(np.float64)
            rows = slice(start, start + len(block))
            self._squared_norms[rows] += np.einsum("ij,ij->i", block, block)
            self._mean_products[rows] += block @ mean

    def result(self) -> RowTerms:
        return RowTerms(self._squared_norms, self._mean_products)


def has_gram(layer: GramLayer, spec: Spec) -> bool:
    """Whether the kernel is defined on the layer: it varies, and a median distance that sets the width is above 0."""
    return not layer.source.is_constant and (not kernels.needs_median(spec) or layer.terms.typical_distance > 0)


def tile_inputs(
    layer: GramLayer, tile: Tile, needs: frozenset[str], out: Array | None = None
) -> tuple[dict[str, Array], RowTerms, RowTerms]:
    """Return what kernels are functions of, for one tile of one layer, and the terms of its rows and columns.

    needs : any of `products`, `saved` (products with the terms that put the mean back), squared `distances`, `l1`,
        and `unit`: products of rows of length 1.
    out : where products may be put, if it has their dtype.
    """
    rows, columns = tile
    source = layer.source
    row_sums, column_sums = _RowTermSums(rows.stop - rows.start), _RowTermSums(columns.stop - columns.start)
    products = unit = l1 = None
    unit_of = layer.unit if isinstance(layer.unit, UnitRows) and "unit" in needs else None
    for features, row_values, column_values in _paired_slices(source, rows, columns, as_saved=bool(unit_of)):
        if "unit" in needs and not source.is_constant:
            sides = row_values, column_values
            if unit_of is not None:
                sides = unit_of.brought(row_values, features, rows), unit_of.brought(column_values, features, columns)
                row_values, column_values = _centred(source, features, row_values, column_values)
            unit = _add_product(unit, *sides, out if needs == {"unit"} else None)
        if needs & {"products", "saved", "distances"}:
            products = _add_product(products, row_values, column_values, out)
        if "l1" in needs:
            part = kernels.l1_distances(row_values, column_values)
            l1 = part if l1 is None else np.add(l1, part, out=l1)
        if layer.row_terms is None:
            row_sums.add(row_values, source.mean[features])
            if rows != columns:
                column_sums.add(column_values, source.mean[features])
    row_terms = layer.row_terms.rows(rows.start, rows.stop) if layer.row_terms else row_sums.result()
    column_terms = row_terms
    if rows != columns:
        column_terms = layer.row_terms.rows(columns.start, columns.stop) if layer.row_terms else column_sums.result()
    inputs: dict[str, Array] = {}
    if products is not None:
        if "distances" in needs:
            spare = products.copy() if needs & {"products", "saved"} else products
            inputs["distances"] = _distances(layer, spare, rows, columns, row_terms, column_terms)
        if needs & {"products", "saved"}:
            inputs["products"] = inputs["saved"] = _within_range(layer, products, rows, columns)
    if l1 is not None:
        inputs["l1"] = l1
    if unit is not None:
        inputs["unit"] = unit
    return inputs, row_terms, column_terms


def _centred(source: Source, features: slice, rows: Array, columns: Array) -> tuple[Array, Array]:
    centred = rows - source.mean[features]
    return centred, centred if columns is rows else columns - source.mean[features]


def _distances(
    layer: GramLayer, products: Array, rows: Rows, columns: Rows, row_terms: RowTerms, column_terms: RowTerms
) -> Array:
    """Return the squared distances of rows; overwrites `products`.

    Of two rows that both lie far out, and near each other, products keep nothing of the distance: there it is worked
    out from their difference.
    """
    distances = kernels.squared_distances(products, row_terms, column_terms)
    limit = _far_square(layer)
    far_rows, far_columns = (np.flatnonzero(terms.squared_norms > limit) for terms in (row_terms, column_terms))
    if not (len(far_rows) and len(far_columns)):
        return distances
    found = distances[np.ix_(far_rows, far_columns)].astype(np.float64)
    norms = row_terms.squared_norms[far_rows][:, None] + column_terms.squared_norms[far_columns]
    of_rows, of_columns = np.nonzero(~(found > _LOST * norms))
    anew = np.zeros(len(of_rows))
    for _, row_values, column_values in _paired_slices(layer.source, rows, columns):
        anew += _of_pairs(_squared_difference, row_values, column_values, far_rows[of_rows], far_columns[of_columns])
    distances[far_rows[of_rows], far_columns[of_columns]] = anew
    return distances


def _far_square(layer: GramLayer) -> float:
    """Return the squared norm above which the distance of two rows near each other is lost to rounding."""
    terms, limit = layer.terms, np.inf
    if len(layer.source.far.places):
        limit = _FAR_SQUARE * terms.mean_distance
    if terms.largest_rate > 0:
        dtype = layer.source.dtype
        limit = min(limit, _EXPONENT_ROUNDING[dtype] / float(np.finfo(dtype).eps) / terms.largest_rate)
    return limit


def _within_range(layer: GramLayer, products: Array, rows: Rows, columns: Rows) -> Array:
    """Return products of rows as float64 where those of far rows are beyond float32."""
    if not len(layer.source.far.places) or products.dtype == np.float64:
        return products
    of_rows, of_columns = np.nonzero(~np.isfinite(products))
    if not len(of_rows):
        return products
    result = products.astype(np.float64)
    anew = np.zeros(len(of_rows))
    for _, row_values, column_values in _paired_slices(layer.source, rows, columns):
        anew += _of_pairs(np.multiply, row_values, column_values, of_rows, of_columns)
    result[of_rows, of_columns] = anew
    return result


def _squared_difference(one: Float64, other: Float64) -> Float64:
    return np.square(one - other)


def _of_pairs(
    function: Callable[[Float64, Float64], Float64], rows: Array, columns: Array, of_rows: Indices, of_columns: Indices
) -> Float64:
    """Return the sum over features of a function of two rows, float64, for each of some pairs of rows and columns."""
    sums = np.empty(len(of_rows))
    n_chunk = max(1, _CHUNK_VALUES // max(1, rows.shape[1]))
    for start in range(0, len(sums), n_chunk):
        chunk = slice(start, start + n_chunk)
        one, other = rows[of_rows[chunk]].astype(np.float64), columns[of_columns[chunk]].astype(np.float64)
        sums[chunk] = function(one, other).sum(axis=1)
    return sums


def _paired_slices(
    source: Source, rows: Rows, columns: Rows, *, as_saved: bool = False
) -> Iterator[tuple[slice, Array, Array]]:
    """Give slices of the features of some rows and some columns, centred or as saved; the same array where they are.

    rows, columns : places only where they are the same.
    """

    def slices(rows: Rows) -> Iterator[tuple[slice, Array]]:
        if as_saved:
            assert isinstance(source, SavedSource)
            return source.saved_slices(rows)
        return source.slices(rows) if isinstance(rows, slice) else source.slices_of(rows)

    if rows is columns or (isinstance(rows, slice) and rows == columns):
        for features, values in slices(rows):
            yield features, values, values
        return
    for (features, values), (_, others) in zip(slices(rows), slices(columns), strict=True):
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
    rows = sample_rows(source.n_examples, _N_SAMPLE_ROWS)
    products, sums = None, _RowTermSums(len(rows))
    for features, values in source.slices_of(rows):
        products = _add_product(products, values, values)
        sums.add(values, source.mean[features])
    assert products is not None
    terms = sums.result()
    return _distances(layer, products, rows, rows, terms, terms)[np.triu_indices(len(rows), 1)]


def _sampled_l1(source: Source) -> float:
    """Return the median L1 distance between a few rows spread evenly over the layer."""
    rows = sample_rows(source.n_examples, _N_L1_ROWS)
    total = np.zeros((len(rows), len(rows)))
    for _, values in source.slices_of(rows):
        total += kernels.l1_distances(values, values)
    return float(np.median(total[np.triu_indices(len(rows), 1)]))


def all_distances(source: Source) -> Float64:
    """Return the squared distances of all rows of a layer, float64, shape (n_examples, n_examples), in scaled units."""
    everything = slice(0, source.n_examples)
    inputs, _, _ = tile_inputs(
        prepare(source, frozenset({"distances"})), (everything, everything), frozenset({"distances"})
    )
    return np.asarray(inputs["distances"], np.float64)


def gathered(layer: GramLayer, rows: Indices) -> GramLayer:
    """Return some rows of a layer, in memory."""
    source, unit = layer.source, layer.unit
    kind: type[CentredLayer] = CentredLayer
    slices = source.slices_of(rows)
    if isinstance(unit, UnitRows):
        kind, slices = ScaledLayer, unit.source.saved_slices(rows)
    values: Array = np.concatenate([part for _, part in slices], axis=1)
    of_rows = kind(source.label, values, source.mean, source.scale, source.is_constant, source.far)
    row_terms = NO_TERMS if layer.row_terms is NO_TERMS else row_terms_of(of_rows, slice(0, len(rows)))
    if isinstance(unit, UnitRows):
        assert isinstance(of_rows, ScaledLayer)
        unit = replace(unit, source=of_rows, inverse_norms=unit.inverse_norms[rows])
    elif unit is not None:
        unit = of_rows
    return GramLayer(of_rows, layer.terms, row_terms, unit)


def gram_matrix(layer: GramLayer, rows: Indices, spec: Spec) -> Array:
    """Return the Gram matrix of some rows of a layer, of zeros where the kernel is not defined on the layer.

    What depends on one row alone may be missing from it, which no centred matrix feels.
    """
    if not has_gram(layer, spec):
        return np.zeros((len(rows), len(rows)))
    kernel, source = kernels.KERNELS[spec.name], layer.source_of(kernels.KERNELS[spec.name].needs)
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
        total = _distances(layer, total, rows, rows, terms, terms)
    elif kernel.needs in ("products", "saved"):
        total = _within_range(layer, total, rows, rows)
    return kernel.tile(total, terms, terms, layer.terms, spec)
