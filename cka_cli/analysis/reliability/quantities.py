"""What is measured of a layer and of a pair of layers; no verdict yet."""

from dataclasses import dataclass

import numpy as np

from cka_cli.analysis.reliability import spectrum, transforms
from cka_cli.analysis.reliability.influence import LeftOut, RowShares, leave_out_leaders, most_carried, most_changed
from cka_cli.analysis.reliability.translation import apart_if_even, translation, translations
from cka_cli.arrays import Float64, Indices
from cka_cli.reductions.gram_matrices import (
    centred_gram,
    chance_cka,
    cka_of_matrices,
    effective_dimension,
    u_centred_gram,
    z_score,
)

N_REMOVED = (1, 2, 5)
SIGMAS = (0.2, 0.4, 0.8, 1.6)
# Fewer rows than this left have no value worth telling.
LEAST_EXAMPLES = 8


@dataclass(frozen=True)
class Address:
    """One layer of one file."""

    file: str
    layer: str

    def __str__(self) -> str:
        return f"{self.file}::{self.layer}"


@dataclass(frozen=True)
class Labels:
    """The classes of the examples: names, and the rows of each, as places in the selection. At least two."""

    dataset: str
    names: tuple[str, ...]
    rows: tuple[Indices, ...]

    @property
    def shares(self) -> Float64:
        """The share of the examples that each label has."""
        counts = np.array([len(rows) for rows in self.rows], dtype=np.float64)
        return np.asarray(counts / counts.sum())


@dataclass(frozen=True, eq=False)
class LayerGrams:
    """A layer that varies, as the checks see it: its Gram matrix and that of its ranks, centred, the first of trace n.

    unbiased : the Gram matrix U-centred. distances : squared, of the rows, in the units of `gram`; 0 where they are no
    more than rounding. doubled : each row that repeats an earlier one, and the first such row.
    n_features, n_constant_features : columns, and how many of them never change. fingerprint : see
    `duplicates.fingerprint`.
    """

    address: Address
    n_features: int
    n_constant_features: int
    gram: Float64
    unbiased: Float64
    distances: Float64
    rank_gram: Float64
    doubled: dict[int, int]
    fingerprint: Float64
    components: spectrum.Components

    @property
    def norms(self) -> Float64:
        """Squared norms of the centred rows."""
        return np.diag(self.gram)


@dataclass(frozen=True)
class LabelNumbers:
    """One label of one layer.

    apart : CKA of the layer with the label alone, which is what CKA of the layer with itself tends to when the label's
    rows are moved away; if_even : the same for labels that are equally far from each other. halving_shift : how far
    outwards the label's rows must move to halve it, in root mean square row norms.
    """

    name: str
    apart: float
    if_even: float
    halving_shift: float


@dataclass(frozen=True)
class LayerNumbers:
    """What is measured of one layer. Rows are places in the selection.

    effective_dimension : (Σλ)²/Σλ². first_share, first_share_squared : λ₁/Σλ and λ₁²/Σλ². doubled : rows that repeat an
    earlier one, and which. farthest_row, row_halving_shift : the row of the largest norm, and how far out it must move
    to halve CKA of the layer with itself. leader, leaders : the row, and the rows together, without which most is lost
    of that CKA.
    """

    address: Address
    n_examples: int
    n_features: int
    n_constant_features: int
    is_constant: bool
    effective_dimension: float = float("nan")
    first_share: float = float("nan")
    first_share_squared: float = float("nan")
    doubled: tuple[tuple[int, int], ...] = ()
    farthest_row: int = 0
    row_halving_shift: float = float("nan")
    leader: LeftOut | None = None
    leaders: LeftOut | None = None
    labels: tuple[LabelNumbers, ...] = ()

    @property
    def has_values(self) -> bool:
        """Whether CKA with it is a number: not for a constant layer, or, debiased, for one that varies in one row."""
        return not np.isnan(self.effective_dimension)


def measure_layer(layer: LayerGrams, labels: Labels | None) -> LayerNumbers:
    """Return what is measured of one layer; O(n²) and no more."""
    n = len(layer.gram)
    counts = (layer.address, n, layer.n_features, layer.n_constant_features, False)
    first, spread = layer.components.variances[0], layer.components
    k = layer.unbiased
    far = int(np.argmax(layer.norms))
    if not k.any():
        leader = LeftOut((far,), float("nan"), 1.0)
        return LayerNumbers(*counts, leader=leader, leaders=leader)
    shares = RowShares.of(k, k)
    together = leave_out_leaders(shares, layer.norms, layer.norms)
    return LayerNumbers(
        *counts,
        effective_dimension=float(effective_dimension(spread.total, spread.total_squared)),
        first_share=float(first / spread.total),
        first_share_squared=float(first**2 / spread.total_squared),
        doubled=tuple(layer.doubled.items()),
        farthest_row=far,
        row_halving_shift=translation(layer.gram, np.arange(n) == far).halving_shift(),
        leader=max((order[0] for order in together), key=lambda each: each.share),
        leaders=most_carried(together),
        labels=() if labels is None else tuple(_measure_labels(layer.gram, labels)),
    )


def _measure_labels(gram: Float64, labels: Labels) -> list[LabelNumbers]:
    subsets = np.array([np.isin(np.arange(len(gram)), rows) for rows in labels.rows])
    even = apart_if_even(labels.shares).tolist()
    return [
        LabelNumbers(name, moved.limit(), if_even, moved.halving_shift())
        for name, if_even, moved in zip(labels.names, even, translations(gram, subsets), strict=True)
    ]


@dataclass(frozen=True)
class PairNumbers:
    """What is measured of a pair of layers. Rows are places in the selection; values are linear CKA, debiased unless
    it is said.

    without_components : by the number of components removed from each side; NaN when nothing is left.
    n_effective : effective rows. shares : h of the rows, descending. left_out : the row without which the value changes
    most. most_changed, most_carried : the rows together without which it changes most, and most of the similarity is
    lost. without_label : label, what leaving its rows out does, and what leaving them out with `most_changed` does.
    without_doubled : the value without the `n_doubled` rows that repeat an earlier one in both layers; z is then of
    that value, and of as many examples. clipped, normalised, ranked : the value after each change.
    rbf : (sigma, biased, debiased); NaN without a width.
    """

    x: Address
    y: Address
    n_examples: int
    biased: float
    debiased: float
    chance: float
    z: float
    without_components: dict[int, float]
    n_effective: float
    shares: tuple[float, ...]
    left_out: LeftOut
    most_changed: LeftOut
    most_carried: LeftOut
    without_label: tuple[tuple[str, LeftOut, LeftOut], ...]
    n_doubled: int
    without_doubled: float
    clipped: float
    normalised: float
    ranked: float
    rbf: tuple[tuple[float, float, float], ...]


def measure_pair(x: LayerGrams, y: LayerGrams, x_numbers: LayerNumbers, y_numbers: LayerNumbers, labels: Labels | None
                 ) -> PairNumbers:  # fmt: skip
    """Return what is measured of two layers that are not constant."""
    n = len(x.gram)
    k, l = x.unbiased, y.unbiased  # noqa: E741
    shares = RowShares.of(k, l)
    debiased = shares.value
    without_one = shares.leave_one_out()
    row = int(np.argmax(np.nan_to_num(np.abs(without_one - debiased))))
    together = leave_out_leaders(shares, x.norms, y.norms)
    changed = most_changed(together, debiased)
    doubled = sorted(dict(x_numbers.doubled).keys() & dict(y_numbers.doubled).keys())
    doubled = doubled if n - len(doubled) >= LEAST_EXAMPLES else []
    without_doubled = shares.without(doubled).value
    return PairNumbers(
        x=x.address,
        y=y.address,
        n_examples=n,
        biased=cka_of_matrices(x.gram, y.gram),
        debiased=debiased,
        chance=chance_cka(x_numbers.effective_dimension, y_numbers.effective_dimension, n),
        z=z_score(without_doubled, n - len(doubled)),
        without_components={n_removed: _without_components(x, y, n_removed) for n_removed in N_REMOVED},
        n_effective=shares.n_effective(),
        shares=tuple(np.sort(shares.shares)[::-1].tolist()),
        left_out=shares.without([row]),
        most_changed=changed,
        most_carried=most_carried(together),
        without_label=() if labels is None else tuple(_without_labels(shares, labels, changed)),
        n_doubled=len(doubled),
        without_doubled=without_doubled,
        clipped=_debiased(transforms.rows_clipped(x.gram), transforms.rows_clipped(y.gram)),
        normalised=_debiased(transforms.rows_normalised(x.gram), transforms.rows_normalised(y.gram)),
        ranked=_debiased(x.rank_gram, y.rank_gram),
        rbf=tuple(_sweep(x.distances, y.distances)),
    )


def _debiased(k: Float64, l: Float64) -> float:  # noqa: E741
    return cka_of_matrices(u_centred_gram(k), u_centred_gram(l))


def _without_components(x: LayerGrams, y: LayerGrams, n_removed: int) -> float:
    if x.components.is_rest_zero(n_removed) or y.components.is_rest_zero(n_removed):
        return float("nan")
    return _debiased(*(side.components.removed_from(side.gram, n_removed) for side in (x, y)))


def _without_labels(shares: RowShares, labels: Labels, few: LeftOut) -> list[tuple[str, LeftOut, LeftOut]]:
    n = len(shares.k)
    return [
        (name, shares.without(rows), shares.without(np.union1d(rows, few.rows)))
        for name, rows in zip(labels.names, labels.rows, strict=True)
        if n - len(rows) - len(few.rows) >= LEAST_EXAMPLES
    ]


def _sweep(*distances: Float64) -> list[tuple[float, float, float]]:
    medians = [float(np.median(each)) for each in distances]
    if not min(medians) > 0:
        return [(sigma, float("nan"), float("nan")) for sigma in SIGMAS]
    found = []
    for sigma in SIGMAS:
        k, l = (transforms.rbf(*each, sigma) for each in zip(distances, medians, strict=True))  # noqa: E741
        found.append((sigma, cka_of_matrices(centred_gram(k), centred_gram(l)), _debiased(k, l)))
    return found
