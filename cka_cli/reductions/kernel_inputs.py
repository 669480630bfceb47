"""A centred layer with the terms that its kernels need, and what kernels are functions of, for some of its rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from cka_cli.arrays import Array, Float64, Indices, pieces
from cka_cli.reductions import kernels
from cka_cli.reductions.far_rows import sample_rows
from cka_cli.reductions.kernels import LayerTerms, RowTerms
from cka_cli.reductions.source import CentredLayer, Rows, SavedSource, ScaledLayer, Source
from cka_cli.reductions.unit_rows import UnitRows, unit_rows
from cka_cli.specs import Spec

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
_N_TERM_ROWS = 1024
# By how much rounding may move the exponent of a kernel whose width is given, where rows lie in groups far apart.
_EXPONENT_ROUNDING = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-12}


@dataclass(frozen=True, eq=False)
class GramLayer:
    """A centred layer with the terms that its kernels need.

    row_terms : of all rows, where the values are in memory; None where they are worked out as they are read.
    unit : the rows brought to length 1, where a kernel is of them, unless the values have become these.
    """

    source: Source
    terms: LayerTerms
    row_terms: RowTerms | None
    unit: UnitRows | None = None


def prepare(source: Source, needs: frozenset[str], largest_gamma: float = 0.0) -> GramLayer:
    """Return a layer with its terms; the median distance is found later, by `with_medians`.

    needs : what the kernels are functions of; those of distances take off their value at a typical one, and products
        alone need no terms of rows. Where rows of length 1 are all that is needed, values in memory become these.
    largest_gamma : of the kernels of distances whose width is given; 0 without one.
    """
    terms = LayerTerms(
        source.n_features,
        source.scale,
        mean_square=float(source.mean @ source.mean),
        typical_distance=0.0,
        typical_l1=_sampled_l1(source) if "l1" in needs else 0.0,
        largest_rate=kernels.descaled(largest_gamma, source.scale),
        shrink=source.far.shrink(source.scale),
    )
    unit: UnitRows | None = None
    if "unit" in needs and not source.is_constant:
        assert isinstance(source, SavedSource)
        found, spread = unit_rows(source, in_place=needs == {"unit"})
        terms = replace(terms, unit_spread=spread)
        if isinstance(found, UnitRows):
            unit = found
        else:
            source = found
    if needs <= {"products", "unit"}:
        return GramLayer(source, terms, NO_TERMS, unit)
    if isinstance(source, CentredLayer):
        row_terms = row_terms_of(source)
        others = np.delete(row_terms.squared_norms, source.far.places)
        distance = 2 * float(others.sum()) / max(1, len(others) - 1)
        return GramLayer(source, replace(terms, typical_distance=distance, mean_distance=distance), row_terms, unit)
    layer = GramLayer(source, terms, None, unit)
    if source.is_constant:
        return layer
    distances = sampled_distances(layer)
    near = distances[distances <= _FAR_SQUARE * np.median(distances)] if len(source.far.places) else distances
    typical, mean = float(np.median(distances)), float(np.mean(near))
    return replace(layer, terms=replace(terms, typical_distance=typical, mean_distance=mean))


def _zeros(n_rows: int) -> RowTerms:
    return RowTerms(np.zeros(n_rows), np.zeros(n_rows))


def _part(terms: RowTerms, rows: Rows) -> RowTerms:
    return RowTerms(terms.squared_norms[rows], terms.mean_products[rows])


def _add(terms: RowTerms, values: Array, mean: Float64) -> None:
    """Add what a slice of the features of some rows has part in to their terms."""
    for rows in pieces(len(values), 64):
        block = values[rows].astype(np.float64)
        terms.squared_norms[rows] += np.einsum("ij,ij->i", block, block)
        terms.mean_products[rows] += block @ mean


def row_terms_of(source: Source) -> RowTerms:
    """Return the terms of all rows of a layer in memory."""
    terms = _zeros(source.n_examples)
    for rows in pieces(source.n_examples, _N_TERM_ROWS):  # they may be centred as they are given
        for features, values in source.slices(rows):
            _add(_part(terms, rows), values, source.mean[features])
    return terms


def has_gram(layer: GramLayer, spec: Spec) -> bool:
    """Whether the kernel is defined on the layer: it varies, and a median distance that sets the width is above 0."""
    return not layer.source.is_constant and (not kernels.needs_median(spec) or layer.terms.typical_distance > 0)


def tile_inputs(
    layer: GramLayer, tile: tuple[Rows, Rows], needs: frozenset[str], out: Array | None = None
) -> tuple[dict[str, Array], RowTerms, RowTerms]:
    """Return what kernels are functions of, for one tile of one layer, and the terms of its rows and columns.

    tile : rows and columns; places only where they are the same.
    needs : any of `products`, `saved` (products with the terms that put the mean back), squared `distances`, `l1`,
        and `unit`: products of rows of length 1.
    out : where products may be put, if it has their dtype.
    """
    rows, columns = tile
    source, is_same = layer.source, _are_same(rows, columns)
    row_terms = _terms_at(layer, rows)
    column_terms = row_terms if is_same else _terms_at(layer, columns)
    inputs: dict[str, Array] = {}
    unit_of = layer.unit if "unit" in needs else None
    for features, row_values, column_values in _paired_slices(source, rows, columns, as_saved=bool(unit_of)):
        if "unit" in needs and not source.is_constant:
            sides = row_values, column_values
            if unit_of is not None:
                sides = unit_of.brought(row_values, features, rows), unit_of.brought(column_values, features, columns)
                row_values = row_values - source.mean[features]
                column_values = row_values if is_same else column_values - source.mean[features]
            inputs["unit"] = _add_product(inputs.get("unit"), *sides, out if needs == {"unit"} else None)
        if needs & {"products", "saved", "distances"}:
            inputs["products"] = _add_product(inputs.get("products"), row_values, column_values, out)
        if "l1" in needs:
            part = kernels.l1_distances(row_values, column_values)
            inputs["l1"] = np.add(inputs["l1"], part, out=inputs["l1"]) if "l1" in inputs else part
        if layer.row_terms is None:
            _add(row_terms, row_values, source.mean[features])
            if not is_same:
                _add(column_terms, column_values, source.mean[features])
    if "distances" in needs:
        spare = inputs["products"].copy() if needs & {"products", "saved"} else inputs.pop("products")
        inputs["distances"] = _distances(layer, spare, rows, columns, row_terms, column_terms)
    if needs & {"products", "saved"}:
        inputs["products"] = inputs["saved"] = _within_range(layer, inputs["products"], rows, columns)
    return inputs, row_terms, column_terms


def _are_same(rows: Rows, columns: Rows) -> bool:
    return rows is columns or (isinstance(rows, slice) and rows == columns)


def _terms_at(layer: GramLayer, rows: Rows) -> RowTerms:
    """Return the terms of some rows where they are known, else zeros that they can be added to."""
    if layer.row_terms is None:
        return _zeros(rows.stop - rows.start if isinstance(rows, slice) else len(rows))
    return _part(layer.row_terms, rows) if len(layer.row_terms.squared_norms) else NO_TERMS


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
    places = far_rows[of_rows], far_columns[of_columns]
    distances[places] = _anew(layer, (rows, columns), places, lambda one, other: np.square(one - other))
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
    places = np.nonzero(~np.isfinite(products))
    if not len(places[0]):
        return products
    result = products.astype(np.float64)
    result[places] = _anew(layer, (rows, columns), places, np.multiply)
    return result


def _anew(
    layer: GramLayer, tile: tuple[Rows, Rows], places: tuple[Indices, ...], function: Callable[..., Float64]
) -> Float64:
    """Return the sum over features of a function of two rows, float64, for each of some pairs of rows and columns."""
    (of_rows, of_columns), sums = places, np.zeros(len(places[0]))
    for _, rows, columns in _paired_slices(layer.source, *tile):
        for chunk in pieces(len(sums), _CHUNK_VALUES // max(1, rows.shape[1])):
            one, other = rows[of_rows[chunk]].astype(np.float64), columns[of_columns[chunk]].astype(np.float64)
            sums[chunk] += function(one, other).sum(axis=1)
    return sums


def _paired_slices(
    source: Source, rows: Rows, columns: Rows, *, as_saved: bool = False
) -> Iterator[tuple[slice, Array, Array]]:
    """Give slices of the features of some rows and some columns, centred or as saved; the same array where they are."""
    slices = source.slices
    if as_saved:
        assert isinstance(source, SavedSource)
        slices = source.saved_slices
    if _are_same(rows, columns):
        for features, values in slices(rows):
            yield features, values, values
        return
    for (features, values), (_, others) in zip(slices(rows), slices(columns), strict=True):
        yield features, values, others


def _add_product(total: Array | None, rows: Array, columns: Array, out: Array | None = None) -> Array:
    if total is None:
        return np.matmul(rows, columns.T, out=out if out is not None and out.dtype == rows.dtype else None)
    for chunk in pieces(len(rows), _ROWS_AT_ONCE):
        total[chunk] += rows[chunk] @ columns.T
    return total


def sampled_distances(layer: GramLayer) -> Array:
    """Return the squared distances between a few rows spread evenly over the layer."""
    return _sampled(layer, "distances", _N_SAMPLE_ROWS)


def _sampled_l1(source: Source) -> float:
    """Return the median L1 distance between a few rows spread evenly over the layer."""
    layer = GramLayer(source, LayerTerms(source.n_features, source.scale, 0.0, 0.0), NO_TERMS)
    return float(np.median(_sampled(layer, "l1", _N_L1_ROWS)))


def _sampled(layer: GramLayer, need: str, n_rows: int) -> Array:
    rows = sample_rows(layer.source.n_examples, n_rows)
    inputs, _, _ = tile_inputs(layer, (rows, rows), frozenset({need}))
    return inputs[need][np.triu_indices(len(rows), 1)]


def all_distances(source: Source) -> Float64:
    """Return the squared distances of all rows of a layer, float64, shape (n_examples, n_examples), in scaled units."""
    needs, everything = frozenset({"distances"}), slice(0, source.n_examples)
    inputs, _, _ = tile_inputs(prepare(source, needs), (everything, everything), needs)
    return np.asarray(inputs["distances"], np.float64)


def gathered(layer: GramLayer, rows: Indices) -> GramLayer:
    """Return some rows of a layer, in memory."""
    source, unit = layer.source, layer.unit
    kind: type[CentredLayer] = CentredLayer
    slices = source.slices(rows)
    if unit is not None:
        kind, slices = ScaledLayer, unit.source.saved_slices(rows)
    values: Array = np.concatenate([part for _, part in slices], axis=1)
    of_rows = kind(source.label, values, source.mean, source.scale, source.is_constant, source.far)
    row_terms = NO_TERMS if layer.row_terms is NO_TERMS else row_terms_of(of_rows)
    if unit is not None:
        assert isinstance(of_rows, ScaledLayer)
        unit = replace(unit, source=of_rows, inverse_norms=unit.inverse_norms[rows])
    return GramLayer(of_rows, layer.terms, row_terms, unit)


def gram_matrix(layer: GramLayer, rows: Indices, spec: Spec) -> Array:
    """Return the Gram matrix of some rows of a layer, of zeros where the kernel is not defined on the layer.

    What depends on one row alone may be missing from it, which no centred matrix feels.
    """
    if not has_gram(layer, spec):
        return np.zeros((len(rows), len(rows)))
    kernel = kernels.KERNELS[spec.name]
    inputs, terms, _ = tile_inputs(layer, (rows, rows), frozenset({kernel.needs}))
    return kernel.tile(inputs[kernel.needs], terms, terms, layer.terms, spec)
