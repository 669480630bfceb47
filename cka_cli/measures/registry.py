"""The registry: every measure by name; values of all pairs from what is added up; what matrices a comparison gives."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cka_cli.arrays import Booleans, Float64
from cka_cli.measures import cca, hsic
from cka_cli.measures.measure import Measure
from cka_cli.specs import parse_kernel, parse_measure

if TYPE_CHECKING:
    from cka_cli.reductions.gram_sums import GramSums
    from cka_cli.reductions.minibatch import BatchSums

# A row is `measure.Measure`; one more stands in the table of its statistic, and its words in `specs.MEASURES`.
MEASURES: dict[str, Measure] = hsic.MEASURES | cca.MEASURES


class GramValues(NamedTuple):
    """What follows for all pairs from the sums of one kernel.

    values, chance : shape (n_x_layers, n_y_layers); chance is what rows paired at random give on average.
    is_flat, overflows : of each layer, whether its centred Gram matrix is 0 to rounding, and whether its sums are
        beyond float64; in both cases its values are NaN.
    is_out_of_range : of each pair, whether its value, in the units of the layers, is one that float64 cannot hold.
    """

    values: Float64
    chance: Float64
    is_flat: Booleans
    overflows: Booleans
    is_out_of_range: Booleans


def values_from_sums(measure: Measure, sums: "GramSums | BatchSums", scales: Float64) -> GramValues:
    """Return the values of all pairs.

    scales : shape (n_layers,), the square root of what each Gram matrix was multiplied by; 0 where there is none.
    """
    assert measure.from_hsic is not None
    cross, norms = sums.unbiased() if measure.is_unbiased else sums.biased()
    is_flat = (norms <= sums.rounding(is_unbiased=measure.is_unbiased)) | (scales == 0)
    overflows = ~np.isfinite(norms)
    norms = np.where(is_flat | overflows, np.nan, norms)
    # An unbiased estimate is 0 on average when rows are paired at random.
    expected = 0 * cross if measure.is_unbiased else sums.expected()
    values = measure.from_hsic(cross, norms[sums.x], norms[sums.y])
    chance = measure.from_hsic(expected, norms[sums.x], norms[sums.y])
    is_out_of_range = np.zeros(values.shape, bool)
    if measure.has_units:
        is_nonzero = values != 0
        divisors = np.where(is_flat | overflows, np.nan, scales)
        for _ in range(2):
            values = values / divisors[sums.x][:, None] / divisors[sums.y]
            chance = chance / divisors[sums.x][:, None] / divisors[sums.y]
        # What is left of a value below the smallest normal float has lost digits.
        is_out_of_range = np.isinf(values) | (is_nonzero & (np.abs(values) < np.finfo(np.float64).tiny))
        values, chance = (np.where(is_out_of_range, np.nan, each) for each in (values, chance))
    return GramValues(values, chance, is_flat & ~overflows, overflows, is_out_of_range)


def kinds_of(measures: Sequence[str], kernels: Sequence[str]) -> list[tuple[str, str]]:
    """Return the measure and kernel, in canonical form, of each matrix that a pair of files gives."""
    return [
        (str(measure), str(kernel or ""))
        for measure in dict.fromkeys(map(parse_measure, measures))
        for kernel in (dict.fromkeys(map(parse_kernel, kernels)) if MEASURES[measure.name].takes_kernel else [None])
    ]
