"""How much work the steps of a run are, in multiplications of a float32 product: what progress is counted in.

Only their proportions matter, for the time left; they were measured on one machine, and a step that takes twice as long
on another throws the time left off by the part that this step has in the whole.
"""

from collections.abc import Iterable

import numpy as np

from cka_cli.gram_layers import GramLayer, Tile
from cka_cli.kernels import KERNELS
from cka_cli.names import Spec

# Of each entry of a tile: adding it to the sums, a distance from a product, and seeking the median among distances that
# are kept and nearly in place, or worked out in one pass, or in two of which the first narrows down what is sought.
SUM, _DISTANCE, MEDIAN_OF_KEPT, MEDIAN_PASSES = 100, 50, 60, {1: (300,), 2: (330, 50)}
# Of each product of a pair of rows: a float64 one, a symmetric one, and what an L1 distance adds up.
_DOUBLE, _SYMMETRIC, _L1 = 2.0, 0.55, 18.0


def n_entries(tile: Tile) -> int:
    """Return how many entries a tile has."""
    rows, columns = tile
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def work_of_inputs(layer: GramLayer, tile: Tile, needs: frozenset[str]) -> float:
    """Return the work of what kernels are functions of, for one tile of one layer."""
    per_entry = 0.0
    if needs & {"products", "saved", "distances"}:
        per_product = _DOUBLE if layer.source.dtype == np.float64 else 1.0
        per_entry += layer.source.n_features * per_product * (_SYMMETRIC if tile[0] == tile[1] else 1.0)
    if "l1" in needs:
        per_entry += layer.source.n_features * _L1
    return (per_entry + _DISTANCE * ("distances" in needs)) * n_entries(tile)


def work_of_kernels(specs: Iterable[Spec], tile: Tile) -> float:
    """Return the work of the kernels of one tile of one layer, and of adding it to the sums."""
    return n_entries(tile) * sum(SUM + KERNELS[spec.name].entry_work for spec in specs)
