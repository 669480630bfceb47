"""Which value has which colour: the range of each panel, its ticks, and the numbers in its cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cka_cli.pictures.heatmap.style import HeatmapStyle
from cka_cli.results.matrix import ROUNDING, Matrix, colour_ends
from cka_cli.text import fixed

_LARGEST = 1e300  # differences and ratios of what stays below it are finite
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class ColourScale:
    """The values at the two ends of a colour bar, in units of `10**exponent`.

    extend : 'neither', 'min', 'max' or 'both': on which sides values lie outside.
    """

    low: float
    high: float
    exponent: int = 0
    extend: str = "neither"

    @property
    def unit(self) -> str:
        """What a label adds when values are shown in units of a power of ten; empty otherwise."""
        return f" (×10{str(self.exponent).translate(_SUPERSCRIPTS)})" if self.exponent else ""

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values in the units of the scale; infinite ones stay infinite, NaN stays NaN."""
        return values / 10.0**self.exponent

    def ticks(self, n_intervals: int, apart: float) -> tuple[list[float], list[str]]:
        """Return the two ends and round positions between them, and their texts, all with as many decimals.

        apart : the least distance of the others from an end, in intervals.
        An end that is not round is written to a hundredth of the range.
        """
        span = self.high - self.low
        tolerance = ROUNDING * span
        locator = MaxNLocator(n_intervals, steps=[1, 2, 2.5, 5, 10])
        candidates = [float(tick) for tick in locator.tick_values(self.low, self.high)]
        margin = apart * (candidates[1] - candidates[0]) if len(candidates) > 1 else span
        inner = [tick for tick in candidates if self.low + margin < tick < self.high - margin]
        positions = [self.low, *inner, self.high]

        def is_exact(n_decimals: int) -> bool:
            return all(abs(round(tick, n_decimals) - tick) <= tolerance for tick in inner) and all(
                abs(round(end, n_decimals) - end) <= span / 100 for end in (self.low, self.high)
            )

        decimals = next((n for n in range(12) if is_exact(n)), 12)
        return positions, [fixed(tick, decimals, minus="−") for tick in positions]


def colour_scales(matrices: Sequence[Matrix], style: HeatmapStyle) -> list[ColourScale]:
    """Return the scale of each matrix: one for all of a bounded measure, one per kernel where values have no bound.

    HSIC values of two kernels differ by orders of magnitude: on one scale one of them would be a single colour.
    """
    names = [matrix.measure if matrix.is_bounded else matrix.title for matrix in matrices]
    groups: dict[str, list[Matrix]] = {}
    for name, matrix in zip(names, matrices, strict=True):
        groups.setdefault(name, []).append(matrix)
    scales = {name: _scale(members, style) for name, members in groups.items()}
    return [scales[name] for name in names]


def _scale(matrices: Sequence[Matrix], style: HeatmapStyle) -> ColourScale:
    values = np.concatenate([matrix.values.ravel() for matrix in matrices])
    values = values[~np.isnan(values)]
    low, high = colour_ends(values, is_bounded=matrices[0].is_bounded) or (0.0, 1.0)
    if not matrices[0].measure and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    low, high = _apart(*(float(np.clip(end, -_LARGEST, _LARGEST)) for end in (low, high)))
    if style.vmin is not None:
        low = float(np.clip(style.vmin, -_LARGEST, _LARGEST))
        high = high if high > low else low + max(abs(low), 1.0)
    if style.vmax is not None:
        high = float(np.clip(style.vmax, -_LARGEST, _LARGEST))
        low = low if low < high else high - max(abs(high), 1.0)
    tolerance = ROUNDING * (high - low)
    below, above = bool(np.any(values < low - tolerance)), bool(np.any(values > high + tolerance))
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")
    magnitude = max(abs(low), abs(high))
    exponent = 0 if 0.1 <= magnitude < 1000 else max(int(np.floor(np.log10(magnitude))), -300)
    unit = 10.0**exponent
    return ColourScale(low / unit, high / unit, exponent, extend)


def _apart(low: float, high: float) -> tuple[float, float]:
    """Return the range, widened where its ends are the same number but for rounding."""
    magnitude = max(abs(low), abs(high))
    if high - low > 1e-12 * magnitude and magnitude > 1 / _LARGEST:
        return low, high
    margin = 0.5 * magnitude if magnitude > 1 / _LARGEST else 0.5
    return low - margin, high + margin
