"""What comes out of a run: the values of every measure and kernel, and what was found out about layers."""

from dataclasses import dataclass, field

from cka_cli.arrays import Float64
from cka_cli.specs import Spec

Key = tuple[Spec, Spec | None]


@dataclass
class Cells:
    """Of one measure and kernel, of all pairs: each of shape (n_x_layers, n_y_layers), None where it is not there.

    chance : what rows paired at random give on average, NaN where no law is known.
    """

    value: Float64
    chance: Float64
    std_error: Float64 | None = None
    p_value: Float64 | None = None
    p_value_of_max: Float64 | None = None


@dataclass
class Found:
    """What comes out of a run.

    findings : labels of layers, or of pairs, by kind and kernel. The kinds: `constant`; `rounded`, integers beyond what
        float64 holds; `saturated` and `saturated Y`, of layers that span every centred vector; `crowded`, pairs whose
        ranks add up to more than n−1; and by kernel `flat`, `without width`, `overflowing`, `doubtful` (digits lost to
        rows that lie far out) and `heavy` (a few examples outweigh the rest, which p-values by law do not bear).
    far : of layers with rows that lie far out, the farthest: its number as saved, and how many times as far out as rows
        commonly lie. flat_in : by kernel the measures that have no value of `flat` layers.
    out_of_range : how many values float64 cannot hold.
    effective_dimensions : of every layer, (Σλ)²/Σλ² of its linear centred Gram matrix, shape (n_layers,); None when
        neither the linear kernel on all examples nor the CCA family was asked for.
    """

    cells: dict[Key, Cells] = field(default_factory=dict)
    findings: dict[tuple[str, Spec | None], list[str]] = field(default_factory=dict)
    far: dict[str, tuple[int, float]] = field(default_factory=dict)
    flat_in: dict[Spec, list[str]] = field(default_factory=dict)
    out_of_range: dict[tuple[Spec, Spec], int] = field(default_factory=dict)
    effective_dimensions: Float64 | None = None

    def tell(self, kind: str, labels: list[str], kernel: Spec | None = None) -> None:
        """Take note of a finding about some layers; of none, of nothing."""
        if labels:
            self.findings[kind, kernel] = labels

    def labels(self, kind: str) -> list[str]:
        """Return the labels of all findings of a kind."""
        return [label for (found, _), labels in self.findings.items() if found == kind for label in labels]

    def by_kernel(self, kind: str) -> list[tuple[Spec, list[str]]]:
        """Return kernel and labels of each finding of a kind."""
        return [
            (kernel, labels)
            for (found, kernel), labels in self.findings.items()
            if found == kind and kernel is not None
        ]
