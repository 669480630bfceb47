"""What comes out of a run, and what must be said of it."""

from dataclasses import dataclass, field

from cka_cli.arrays import Float64
from cka_cli.specs import Spec


@dataclass
class Outcome:
    """The values of every measure and kernel, shape (n_x_layers, n_y_layers), and what must be said of layers.

    chances : what rows paired at random give on average, NaN where no law is known. std_errors, p_values,
        p_values_of_max : where wanted.

    constant, saturated, saturated_y : labels of layers; the last of columns. crowded : pairs whose ranks add up to
        more than n−1. flat, without_width, overflowing : labels, by kernel; heavy : those in which a few
        examples outweigh the rest, which p-values by law do not bear.
    effective_dimensions : of every layer, (Σλ)²/Σλ² of its linear centred Gram matrix, shape (n_layers,); None when
        neither the linear kernel on all examples nor the CCA family was asked for.
    far : of layers with rows that lie far out, the farthest: its number as saved, and how many times as far out as rows
        commonly lie. doubtful : labels, by kernel, of values that have lost digits to such rows.
    rounded : labels of integers beyond what float64 holds. flat_in : the measures that have no value of `flat` layers.
    out_of_range : how many values float64 cannot hold.
    """

    values: dict[tuple[Spec, Spec | None], Float64] = field(default_factory=dict)
    chances: dict[tuple[Spec, Spec | None], Float64] = field(default_factory=dict)
    std_errors: dict[tuple[Spec, Spec | None], Float64] = field(default_factory=dict)
    p_values: dict[tuple[Spec, Spec | None], Float64] = field(default_factory=dict)
    p_values_of_max: dict[tuple[Spec, Spec | None], Float64] = field(default_factory=dict)
    constant: list[str] = field(default_factory=list)
    saturated: list[str] = field(default_factory=list)
    saturated_y: list[str] = field(default_factory=list)
    crowded: list[str] = field(default_factory=list)
    flat: dict[Spec, list[str]] = field(default_factory=dict)
    without_width: dict[Spec, list[str]] = field(default_factory=dict)
    overflowing: dict[Spec, list[str]] = field(default_factory=dict)
    heavy: dict[Spec, list[str]] = field(default_factory=dict)
    effective_dimensions: Float64 | None = None
    rounded: list[str] = field(default_factory=list)
    far: dict[str, tuple[int, float]] = field(default_factory=dict)
    doubtful: dict[Spec, list[str]] = field(default_factory=dict)
    flat_in: dict[Spec, list[str]] = field(default_factory=dict)
    out_of_range: dict[tuple[Spec, Spec], int] = field(default_factory=dict)
