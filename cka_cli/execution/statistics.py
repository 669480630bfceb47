"""Standard errors and p-values of all pairs, once the sums of a kernel are known."""

from functools import partial

import numpy as np

from cka_cli.arrays import Float64
from cka_cli.execution.found import Found
from cka_cli.execution.loop import Loop
from cka_cli.execution.routes import KernelSums
from cka_cli.measures.registry import MEASURES, values_from_sums
from cka_cli.plan.request import Request
from cka_cli.reductions.gram_sums import GramSums
from cka_cli.uncertainty.jackknife import std_error_of
from cka_cli.uncertainty.p_values import (
    PermutationCounts,
    invariants_of_layer,
    p_values_by_law,
    random_pairings,
    sampled_rows,
    unit_gram,
)


def add_statistics(request: Request, of_kernel: KernelSums, found: Found, loop: Loop) -> None:
    """Add standard errors and p-values of one kernel to what was found.

    There are no p-values of the minibatch estimate, nor by law where examples depend on each other.
    """
    kernel, sums = of_kernel.spec, of_kernel.sums
    measures = [MEASURES[spec.name] for spec in request.gram_measures]
    std_errors = std_error_of(
        sums, lambda each: np.stack([values_from_sums(measure, each, of_kernel.scales).values for measure in measures])
    )
    for spec, std_error in zip(request.gram_measures, std_errors, strict=True):
        found.cells[spec, kernel].std_error = std_error
    counts = request.run.permutations is not None
    if not isinstance(sums, GramSums) or (request.groups_of_examples is not None and not counts):
        return
    for is_unbiased in sorted({measure.is_unbiased for measure in measures}):
        p_values = _counted if counts else _by_law
        p_value, of_max = p_values(request, of_kernel, sums, found, loop, is_unbiased=is_unbiased)
        for spec in request.gram_measures:
            if MEASURES[spec.name].is_unbiased == is_unbiased:
                cells = found.cells[spec, kernel]
                has_value = ~np.isnan(cells.value)
                cells.p_value = np.where(has_value, p_value, np.nan)
                cells.p_value_of_max = None if of_max is None else np.where(has_value, of_max, np.nan)


def _by_law(
    request: Request, of_kernel: KernelSums, sums: GramSums, found: Found, loop: Loop, *, is_unbiased: bool
) -> tuple[Float64, None]:
    kernel, layers = of_kernel.spec, of_kernel.layers
    function = partial(invariants_of_layer, sampled_rows(sums.n_examples), kernel, is_unbiased=is_unbiased)
    p_value, heavy = p_values_by_law(sums, loop.each("p-values", function, layers), is_unbiased=is_unbiased)
    if ("heavy", kernel) not in found.findings:
        found.tell("heavy", [layers[place].source.label for place in sorted(heavy)], kernel)
    return p_value, None


def _counted(
    request: Request, of_kernel: KernelSums, sums: GramSums, found: Found, loop: Loop, *, is_unbiased: bool
) -> tuple[Float64, Float64]:
    assert request.run.permutations is not None
    function = partial(unit_gram, of_kernel.spec, is_unbiased=is_unbiased)
    grams = loop.each("preparing permutations", function, of_kernel.layers)
    pairings = partial(random_pairings, sums.n_examples, request.seed, request.groups_of_examples)
    name = f"permutations {of_kernel.spec} {is_unbiased}"
    counts = PermutationCounts(name, grams, request.x, request.y, pairings, request.run.permutations)
    return loop.run(counts).p_values()
