"""From centred layers to Gram sums, tile by tile.

The unit of work is `tile_of_all_layers`: a function of layers and one tile whose result is added. A layer's tile is
computed once, for all the pairs and kernels that need it; only tiles of the upper triangle are computed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cka_cli import kernels
from cka_cli.centred import CentredLayer
from cka_cli.hsic import GramSums, TileSums, tile_sums
from cka_cli.names import Spec
from cka_cli.threads import in_order

Array = NDArray[Any]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GramLayer:
    """A centred layer with the terms that its kernels need, worked out once."""

    values: Array
    rows: kernels.RowTerms
    terms: kernels.LayerTerms
    is_constant: bool


@dataclass(frozen=True)
class GramJob:
    """The Gram sums wanted: of which layers, by which kernels, paired how.

    x, y : the layers that stand in the rows and columns of the matrix.
    """

    layers: Sequence[GramLayer]
    kernels: Sequence[Spec]
    x: slice
    y: slice

    @property
    def n_examples(self) -> int:
        """Rows of every layer."""
        return len(self.layers[0].values)


def prepare(layer: CentredLayer, specs: Sequence[Spec]) -> GramLayer:
    """Return a layer with its row norms and, where a kernel's width is a share of it, its median distance."""
    values, mean = layer.values, layer.mean
    squared_norms = np.einsum("ij,ij->i", values, values, dtype=np.float64)
    saved_norms = np.zeros(len(values))
    if any(spec.name == "cosine" for spec in specs):
        saved_norms = np.array([np.linalg.norm(row + mean) for row in values])
    needs_median = any(spec.get("sigma") is not None for spec in specs)
    n_examples = len(values)
    distance = (
        kernels.median_squared_distance(values, squared_norms)
        if needs_median
        else 2 * float(squared_norms.sum()) / (n_examples - 1)
    )
    rows = kernels.RowTerms(squared_norms, values @ mean.astype(values.dtype), saved_norms)
    if any(not kernels.KERNELS[spec.name].keeps_single for spec in specs):
        rows = kernels.RowTerms(squared_norms, np.array([row @ mean for row in values]), saved_norms)
    terms = kernels.LayerTerms(values.shape[1], layer.scale, float(mean @ mean), distance)
    return GramLayer(values, rows, terms, layer.is_constant)


def gram_sums(job: GramJob, n_threads: int, progress: Callable[[int, int], None]) -> list[GramSums]:
    """Return the Gram sums of every kernel of the job.

    progress : called with tiles done and tiles in all. The same for any number of threads: tiles are added in order.
    Cost: n²p/2 multiplications per layer, whatever the number of kernels, measures and pairs.
    """
    sums = [
        GramSums(len(job.layers), job.n_examples, job.x, job.y, tile_dtype(job.layers, spec)) for spec in job.kernels
    ]
    tiles = list(upper_tiles(job.n_examples, rows_per_tile(job.n_examples)))
    results = in_order(lambda tile: tile_of_all_layers(job, *tile), tiles, n_threads)
    for done, of_kernels in enumerate(results, start=1):
        for total, of_tile in zip(sums, of_kernels, strict=True):
            total.add(of_tile)
        progress(done, len(tiles))
    return sums


def rows_per_tile(n_examples: int) -> int:
    """Return the side of a tile: products of this size run at full speed and a few tiles per core are left."""
    n_blocks = max(1, round(n_examples / 512))
    return -(-n_examples // n_blocks)


def upper_tiles(n_examples: int, n_rows: int) -> Iterator[tuple[slice, slice]]:
    """Give rows and columns of every tile on and above the diagonal; the costlier ones off it come first."""
    blocks = [slice(start, min(start + n_rows, n_examples)) for start in range(0, n_examples, n_rows)]
    for place, rows in enumerate(blocks):
        for columns in blocks[place + 1 :]:
            yield rows, columns
    for rows in blocks:
        yield rows, rows


def tile_dtype(layers: Sequence[GramLayer], spec: Spec) -> np.dtype[Any]:
    """Return the dtype of a kernel's tiles: float32 where the kernel bears it and every layer is float32."""
    if kernels.KERNELS[spec.name].keeps_single and all(layer.values.dtype == np.float32 for layer in layers):
        return np.dtype(np.float32)
    return np.dtype(np.float64)


def tile_of_all_layers(job: GramJob, rows: slice, columns: slice) -> list[TileSums]:
    """Return what one tile of every layer adds to the Gram sums of each kernel."""
    shape = (len(job.layers), rows.stop - rows.start, columns.stop - columns.start)
    tiles = [np.empty(shape, tile_dtype(job.layers, spec)) for spec in job.kernels]
    for place, layer in enumerate(job.layers):
        for tile, values in zip(tiles, _kernel_tiles(layer, job.kernels, rows, columns), strict=True):
            tile[place] = values
    return [tile_sums(tile, rows, columns, job.x, job.y) for tile in tiles]


def _kernel_tiles(layer: GramLayer, specs: Sequence[Spec], rows: slice, columns: slice) -> Iterator[Array]:
    row_values, column_values = layer.values[rows], layer.values[columns]
    row_terms = layer.rows.rows(rows.start, rows.stop)
    column_terms = row_terms if rows == columns else layer.rows.rows(columns.start, columns.stop)
    inputs: dict[str, Array] = {}
    for spec in specs:
        kernel = kernels.KERNELS[spec.name]
        if not has_gram(layer, spec):
            yield np.zeros((len(row_values), len(column_values)))
            continue
        if kernel.needs not in inputs:
            inputs[kernel.needs] = (
                row_values @ column_values.T
                if kernel.needs == "products"
                else kernels.l1_distances(row_values, column_values)
            )
        yield kernel.tile(inputs[kernel.needs].copy(), row_terms, column_terms, layer.terms, spec)


def has_gram(layer: GramLayer, spec: Spec) -> bool:
    """Whether the kernel is defined on the layer: it varies, and a median distance that sets the width is above 0."""
    return not layer.is_constant and (spec.get("sigma") is None or layer.terms.typical_distance > 0)


def gram_scales(job: GramJob, spec: Spec) -> Float64:
    """Return what each layer's Gram matrix was multiplied by, shape (n_layers,); 0 where it has none."""
    return np.array(
        [
            0.0 if not has_gram(layer, spec) else layer.terms.scale**2 if spec.name == "linear" else 1.0
            for layer in job.layers
        ]
    )
