"""What a row of the table of measures says. The rows stand beside the functions that they name, a file a statistic."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cka_cli.arrays import Float64
from cka_cli.specs import Spec

if TYPE_CHECKING:
    from cka_cli.measures.cca import FactorPair

# (cross, x_norms, y_norms) of one estimator of HSIC -> values of all pairs
FromHsic = Callable[[Float64, Float64, Float64], Float64]
FromPair = Callable[["FactorPair", Spec], float]

KORNBLITH = "Kornblith et al. 2019, arXiv 1905.00414"


@dataclass(frozen=True)
class Measure:
    """One measure: how its values follow, and what a user and others must know of them.

    What may be typed behind its name, and between which bounds its values lie, is in `specs.MEASURES`. Larger values
    are more alike: matches, colours and depth take it so.

    from_hsic : how values follow from HSIC of all pairs and of the layers themselves; None in the CCA family.
    from_pair : how a value follows from the factors of a pair; None in the HSIC family. needs_columns : whether it
        weighs by features.
    chance : what rows paired at random give on average, from the factors of a pair; None where no law is known.
    is_unbiased : which estimator of HSIC it takes. has_units : whether rescaling a layer changes it.
    is_symmetric : whether exchanging X and Y never changes the value.
    counts_components_alike : whether a component of little variance counts as much as one of much.
    saturated_by : whose n−1 independent features make the value 1: `either` layer's, `Y`'s, or nobody's (empty).
    """

    formula: str
    value_range: str
    invariant_to: str
    cost: str
    source: str
    min_examples: int = 3
    from_hsic: FromHsic | None = None
    from_pair: FromPair | None = None
    needs_columns: bool = False
    chance: FromPair | None = None
    is_unbiased: bool = False
    has_units: bool = False
    is_symmetric: bool = True
    counts_components_alike: bool = False
    saturated_by: str = ""

    @property
    def takes_kernel(self) -> bool:
        """Whether the measure is one of Gram matrices."""
        return self.from_hsic is not None

    def of_pair(self, pair: "FactorPair", spec: Spec) -> float:
        """Return the value of two layers, of a measure of the CCA family; 1 where one of them saturates it.

        NaN where a layer is constant; and, of a measure that can be saturated, where a row lies so far out that the
        small components have lost their digits.
        """
        assert self.from_pair is not None
        sides = {"either": (pair.x, pair.y), "Y": (pair.y,), "": ()}[self.saturated_by]
        if not pair.has_value or any(side.is_lost for side in sides):
            return math.nan
        return 1.0 if any(side.is_saturated for side in sides) else self.from_pair(pair, spec)
