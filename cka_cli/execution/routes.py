"""From opened layers to the sums of every kernel, by the reductions that the plan's route names: REDUCTIONS."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cka_cli.arrays import Float64
from cka_cli.execution.loop import Loop
from cka_cli.plan.planner import Plan
from cka_cli.plan.request import Request
from cka_cli.reductions.folds import Folds
from cka_cli.reductions.gram_sums import GramSums
from cka_cli.reductions.gram_tiles import GramTiles, Kept, TileFunction, gram_scales, set_rounding, upper_tiles
from cka_cli.reductions.kernel_inputs import GramLayer, prepare
from cka_cli.reductions.kernels import KERNELS, lost_of_terms, needs_median
from cka_cli.reductions.medians import MedianFunction, MedianWithinBatches, OfLayers, least_median, with_medians
from cka_cli.reductions.near_median import MOST_LOST, Bracket, guessed_median
from cka_cli.reductions.protocol import OfPlace
from cka_cli.reductions.source import Source
from cka_cli.specs import Spec

if TYPE_CHECKING:
    from cka_cli.reductions.minibatch import BatchSums


@dataclass(frozen=True, eq=False)
class KernelSums:
    """What was worked out of one kernel: the sums of all layers, and the layers with what the kernel needed of them.

    scales : the square root of what each Gram matrix was multiplied by, 0 where there is none.
    """

    spec: Spec
    sums: "GramSums | BatchSums"
    scales: Float64
    layers: Sequence[GramLayer]


# The layers, with what kernels were found to need of them, and the sums of each kernel.
Sums = tuple[Sequence[GramLayer], "Sequence[GramSums | BatchSums]"]


def sums_of_kernels(
    request: Request, plan: Plan, sources: Sequence[Source], folds: Folds | None, loop: Loop
) -> list[KernelSums]:
    """Return the sums of every kernel that is wanted."""
    kernels = request.gram_kernels
    needs = frozenset(KERNELS[spec.name].needs for spec in kernels)
    gammas = [float(spec.get("gamma") or 0) for spec in kernels if KERNELS[spec.name].needs == "distances"]
    prepared = loop.each("preparing", partial(prepare, needs=needs, largest_gamma=max(gammas, default=0.0)), sources)
    layers, sums = REDUCTIONS[plan.route](request, plan, prepared, folds, loop)
    return [
        KernelSums(spec, of_kernel, gram_scales(layers, spec), layers)
        for spec, of_kernel in zip(kernels, sums, strict=True)
    ]


def _by_gram_tiles(request: Request, plan: Plan, layers: Sequence[GramLayer], folds: Folds | None, loop: Loop) -> Sums:
    """Tiles of the Gram matrices; once the medians are known, where a width is a share of them."""
    by_layer = not plan.in_memory or plan.n_tile_rows >= request.n_examples  # too little memory, or but one tile
    tiles = partial(GramTiles, n_rows=plan.n_tile_rows, by_layer=by_layer)
    kernels = list(request.gram_kernels)
    by_median = [spec for spec in kernels if needs_median(spec)]
    sums: dict[Spec, GramSums] = {}
    kept: Kept = {}
    if plan.n_terms > 1:
        found, sums = _in_one_pass(request, plan, layers, folds, loop)
        if found is not None:
            layers = with_medians(layers, found)
            set_rounding(sums, layers)
            return layers, [sums[spec] for spec in request.gram_kernels]
        kernels = by_median
    if by_median:
        of_rows = upper_tiles(request.n_examples, plan.n_tile_rows)
        medians = _medians(MedianFunction(layers, of_rows, kept, plan.n_kept), layers)
        if plan.keep_distances:
            loop.store.restore(medians)
            others = [spec for spec in kernels if spec not in by_median]
            keeps = medians.n_added < len(layers)
            function = TileFunction(layers, others, request.x, request.y, folds, keeps_distances=keeps)
            if others or keeps:
                stage = "comparing" if others else "measuring distances"
                first = loop.run(tiles(function, name="tiles of other kernels", stage=stage))
                kept.update(first.kept)
                sums |= dict(zip(others, first.sums, strict=True))
            kernels = by_median
        layers = with_medians(layers, loop.run(medians).values[:, 0])
    last = loop.run(tiles(TileFunction(layers, kernels, request.x, request.y, folds, kept=kept)))
    sums |= dict(zip(kernels, last.sums, strict=True))
    set_rounding(sums, layers)
    return layers, [sums[spec] for spec in request.gram_kernels]


def _medians(function: Callable[[int], Sequence[float]], layers: Sequence[GramLayer]) -> OfLayers:
    return OfLayers("medians", "finding median distances", function, layers)


def _in_one_pass(
    request: Request, plan: Plan, layers: Sequence[GramLayer], folds: Folds | None, loop: Loop
) -> tuple[list[float] | None, dict[Spec, GramSums]]:
    """Return the medians, None where one is missed, and the sums of all kernels that are done by then.

    By the tiles of all kernels, those by a median as terms about its guess; see `near_median`.
    """
    sampled = OfLayers("brackets", "sampling distances", OfPlace(guessed_median, layers), layers, 3)
    brackets = [Bracket(*each) for each in loop.run(sampled).values.tolist()]
    guessed = with_medians(layers, [each.guess for each in brackets])
    function = TileFunction(
        guessed, request.gram_kernels, request.x, request.y, folds, n_terms=plan.n_terms, brackets=brackets
    )
    tiles = loop.run(GramTiles(function, plan.n_tile_rows, by_layer=False, name="tiles of terms"))
    of_kernels = dict(zip(request.gram_kernels, tiles.sums, strict=True))
    medians = tiles.near.medians(guessed)
    varying = np.array([not layer.source.is_constant for layer in layers])
    off = np.array([each.guess for each in brackets])[varying] / medians[varying] - 1
    lost = max((lost_of_terms(plan.n_terms, float(each)) for each in off), default=0.0)
    has_width = [median > least_median(layer) for layer, median in zip(layers, medians, strict=True)]
    if not all(np.array(has_width)[varying]) or lost > MOST_LOST[layers[0].source.dtype]:
        return None, {spec: sums for spec, sums in of_kernels.items() if not needs_median(spec)}
    factors = np.ones((len(layers), plan.n_terms))
    factors[varying] = np.power.outer(-off, np.arange(plan.n_terms))
    sums = {spec: each.of_terms(factors) if needs_median(spec) else each for spec, each in of_kernels.items()}
    return medians.tolist(), sums


def _by_feature_products(
    request: Request, plan: Plan, layers: Sequence[GramLayer], folds: Folds | None, loop: Loop
) -> Sums:
    """Products of features with features: of the linear kernel alone."""
    from cka_cli.reductions.feature_products import FeatureProducts, FoldRowSums, sums_of_products

    sources = [layer.source for layer in layers]
    products = loop.run(FeatureProducts(sources, request.x, request.y, plan.n_tile_rows, folds))
    row_sums = loop.run(FoldRowSums(products, plan.n_tile_rows)).row_sums if folds else None
    return layers, [sums_of_products(products, row_sums)] * len(request.gram_kernels)


def _by_batches(request: Request, plan: Plan, layers: Sequence[GramLayer], folds: Folds | None, loop: Loop) -> Sums:
    """The minibatch estimate; the medians are those within the batches of the first pass."""
    from cka_cli.reductions.minibatch import BatchFunction, Minibatch, batches_of, shuffled_orders

    n_batch = request.run.n_batch
    assert n_batch is not None
    orders = shuffled_orders(request.n_examples, request.run.n_passes, request.seed)
    if request.n_by_median:
        medians = _medians(MedianWithinBatches(layers, batches_of(orders[:1], n_batch)), layers)
        layers = with_medians(layers, loop.run(medians).values[:, 0])
    function = BatchFunction(layers, request.gram_kernels, request.x, request.y)
    return layers, loop.run(Minibatch(function, orders, n_batch)).sums()


# What the sums of a route follow from; a plan names the route.
REDUCTIONS: dict[str, Callable[[Request, Plan, Sequence[GramLayer], Folds | None, Loop], Sums]] = {
    "gram": _by_gram_tiles,
    "features": _by_feature_products,
    "batches": _by_batches,
}
