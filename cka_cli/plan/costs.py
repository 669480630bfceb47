"""How much work the steps of a run are, in multiplications of a float32 product: what progress is counted in.

Only their proportions matter, for the time left; they were measured on one machine, and a step that takes twice as long
on another throws the time left off by the part that this step has in the whole.
"""

from collections.abc import Iterable

import numpy as np

from cka_cli.reductions.kernel_inputs import GramLayer, Tile
from cka_cli.reductions.kernels import KERNELS
from cka_cli.specs import Spec

# Of each entry of a tile.
_SUM = 100
_DISTANCE = 50
# Of each distance among which a median is sought: when they are kept and nearly in place; in each pass when they are
# worked out for it, of which the first of two narrows down what is sought; and within a batch.
MEDIAN_OF_KEPT = 60
MEDIAN_PASSES = {1: (300,), 2: (330, 50)}
MEDIAN_OF_BATCH = 250
DISTANCES = frozenset({"distances"})
# Of each product of a pair of rows: a float64 one, one of a symmetric product, and what an L1 distance adds up.
_DOUBLE, SYMMETRIC, _L1 = 2.0, 0.6, 18.0


def n_entries(tile: Tile) -> int:
    """Return how many entries a tile has."""
    rows, columns = tile
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def work_of_inputs(layer: GramLayer, tile: Tile, needs: frozenset[str]) -> float:
    """Return the work of what kernels are functions of, for one tile of one layer."""
    per_product = _DOUBLE if layer.source.dtype == np.float64 else 1.0
    per_product *= SYMMETRIC if tile[0] == tile[1] else 1.0
    n_products = bool(needs & {"products", "saved", "distances"}) + ("unit" in needs)
    per_entry = layer.source.n_features * per_product * n_products
    if "l1" in needs:
        per_entry += layer.source.n_features * _L1
    return (per_entry + _DISTANCE * ("distances" in needs)) * n_entries(tile)


def work_of_kernels(specs: Iterable[Spec], tile: Tile) -> float:
    """Return the work of all kernels of one tile of one layer."""
    return float(n_entries(tile) * sum(KERNELS[spec.name].entry_work for spec in specs))


def work_of_sums(n_kernels: int, tile: Tile) -> float:
    """Return the work of adding one tile of one layer to the sums of so many kernels."""
    return float(_SUM * n_entries(tile) * n_kernels)
