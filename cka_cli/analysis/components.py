"""Two layers by their principal components: how much of linear CKA, and of CCA, each pair of components makes.

A centred layer is U S V', its components the columns u_i of U with variances λ_i = s_i². Then
CKA = Σ_ij λx_i λy_j ⟨u_i,v_j⟩² / √(Σλx² Σλy²) and R²_CCA = Σ_ij ⟨u_i,v_j⟩² / p₁: both add up the alignments of pairs of
components, CKA weighted by their variances, CCA all alike. Kornblith et al. (2019), eq. 13 and 14, arXiv 1905.00414.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from cka_cli.arrays import Booleans, Float64
from cka_cli.floating_point import quiet_arithmetic
from cka_cli.reductions.factors import LOST_BESIDE, Factors
from cka_cli.reductions.gram_matrices import chance_cka, cosine, effective_dimension
from cka_cli.results.matrix import FileFacts

REMOVED = (1, 2, 5, 10)  # how many of the first components are taken off each layer
_EPSILON = float(np.finfo(np.float64).eps)
# Singular values that agree to so many digits leave their components known to hardly any.
_EQUAL = 1e-8


class Similarity(NamedTuple):
    """Linear CKA and CCA R², each in [0, 1]; NaN where nothing is left of a layer."""

    cka: float
    cca_r2: float


@dataclass(frozen=True)
class Component:
    """What one component of a layer does in the similarity with another layer; components count from 1.

    variance_share : its share of the layer's variance. partner, alignment : the component of the other layer that it
    is best aligned with, and ⟨u,v⟩² of the two.
    cka_share, cca_share : its part, with all components of the other layer, of CKA and of R²_CCA; cka_cumulative and
    cca_cumulative count the components before it too. NaN where the similarity is 0, or has no value.
    """

    number: int
    variance_share: float
    partner: int
    alignment: float
    cka_share: float
    cka_cumulative: float
    cca_share: float
    cca_cumulative: float


@dataclass(frozen=True)
class Removal:
    """What is left of the similarity without the first components of each layer.

    rest : of what is left, its own norms in the denominator; NaN where nothing is left.
    x_first, x_rest : CKA of X with its own first components alone, and with what is left of it; so for Y.
    is_unique : whether the cut passes between components of different variance; within equal ones it is arbitrary.
    """

    n_removed: int
    rest: Similarity
    x_first: float
    x_rest: float
    y_first: float
    y_rest: float
    is_unique: bool


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The variances of a layer's components.

    file, layer : where the layer lies. n_features : columns. n_degrees : components it could have, n_examples − 1.
    singular_values : shape (rank,), descending, above 0, in units that cancel out of everything here.
    far_row, far_ratio : the saved row that lies farthest out, and how many times as far as most; 0 where none does.
    """

    file: str
    layer: str
    n_features: int
    n_degrees: int
    singular_values: Float64
    far_row: int = 0
    far_ratio: float = 0.0

    @property
    def label(self) -> str:
        """`FILE::LAYER`."""
        return f"{self.file}::{self.layer}"

    @property
    def rank(self) -> int:
        """Number of components."""
        return len(self.singular_values)

    @property
    def is_saturated(self) -> bool:
        """Whether the components span every centred vector, so that R²_CCA is 1 whatever the other layer."""
        return self.rank >= self.n_degrees

    @cached_property
    def shares(self) -> Float64:
        """Share of the variance of each component, shape (rank,)."""
        variances = (self.singular_values / self.singular_values[0]) ** 2
        return np.asarray(variances / variances.sum())

    @cached_property
    @quiet_arithmetic
    def weights(self) -> Float64:
        """λ_i/√Σλ², shape (rank,)."""
        return np.asarray(self.shares / np.linalg.norm(self.shares))

    @property
    @quiet_arithmetic
    def effective_dimension(self) -> float:
        """(Σλ)²/Σλ²: of how many equal components the variance might be; from 1 to the rank."""
        return float(effective_dimension(1.0, self.shares @ self.shares))

    @cached_property
    def groups(self) -> tuple[slice, ...]:
        """The components in runs of equal variance, nearly all of one component.

        Within a longer run any rotation gives components as good, so only sums over the run mean anything.
        """
        values = self.singular_values
        rounding = max(self.n_features, self.n_degrees) * _EPSILON * values[0]
        starts = np.flatnonzero(values[:-1] - values[1:] > _EQUAL * values[:-1] + rounding) + 1
        ends = [0, *starts.tolist(), self.rank]
        return tuple(slice(start, stop) for start, stop in pairwise(ends))

    @property
    def equal(self) -> list[tuple[int, int]]:
        """First and last component, counted from 1, of each run of equal variances."""
        return [(group.start + 1, group.stop) for group in self.groups if group.stop - group.start > 1]

    def is_cut(self, n_components: int) -> bool:
        """Whether a run of equal variances begins before this many components and ends after."""
        return any(group.start < n_components < group.stop for group in self.groups)

    @quiet_arithmetic
    def own_similarities(self, n_first: int) -> tuple[float, float]:
        """Return linear CKA of the layer with its first components alone, and with the rest; NaN where none is left.

        CKA(X, X_k) = √(Σ_{i≤k}λ²/Σλ²); without the first k, √(Σ_{i>k}λ²/Σλ²).
        """
        rest = self.weights[n_first:]
        return float(np.linalg.norm(self.weights[:n_first])), float(np.linalg.norm(rest)) if rest.size else np.nan


@dataclass(frozen=True, eq=False)
class ComponentPairs:
    """How the components of two layers lie to each other.

    alignment : ⟨u_i,v_j⟩², shape (x.rank, y.rank), in [0, 1]; rows and columns sum to at most 1.
    """

    x: Spectrum
    y: Spectrum
    alignment: Float64
    n_examples: int

    @property
    def reversed(self) -> "ComponentPairs":
        """The pair with X and Y exchanged."""
        return ComponentPairs(self.y, self.x, self.alignment.T, self.n_examples)

    @cached_property
    def contributions(self) -> Float64:
        """λx_i λy_j ⟨u_i,v_j⟩² / √(Σλx² Σλy²), shape (x.rank, y.rank): they sum to CKA."""
        return np.asarray(self.x.weights[:, None] * self.alignment * self.y.weights)

    @cached_property
    def cka(self) -> float:
        """Linear CKA."""
        return float(self.contributions.sum())

    @cached_property
    def cca_r2(self) -> float:
        """R²_CCA: exactly 1 where a layer is saturated; NaN where components have lost their digits to a far row."""
        if self.is_cca_lost:
            return float("nan")
        return 1.0 if self.is_saturated else float(self.alignment.sum() / min(self.alignment.shape))

    @property
    def is_cca_lost(self) -> bool:
        """Whether R²_CCA has no value: components of a layer have lost their digits to a row that lies far out."""
        return max(self.x.far_ratio, self.y.far_ratio) > LOST_BESIDE

    @property
    def is_saturated(self) -> bool:
        """Whether all canonical correlations are 1 by force."""
        return self.x.is_saturated or self.y.is_saturated

    @property
    def n_forced(self) -> int:
        """How many canonical correlations are 1 because the ranks add up to more than n_examples − 1."""
        return max(0, self.x.rank + self.y.rank - self.x.n_degrees)

    @cached_property
    def is_zero(self) -> bool:
        """Whether no component has anything in common with one of the other layer, but for rounding."""
        rounding = max(self.n_examples, self.x.n_features, self.y.n_features) * _EPSILON
        return self.cka <= rounding**2 * math.sqrt(self.x.rank * self.y.rank)

    @property
    def chance(self) -> float:
        """Linear CKA on average over all orders of the rows of one layer, √(PR_x PR_y)/(n_examples − 1)."""
        return chance_cka(self.x.effective_dimension, self.y.effective_dimension, self.n_examples)

    def cka_shares(self, contributions: Float64) -> Float64:
        """Return contributions as shares of CKA; NaN where it is 0."""
        return np.asarray(contributions / (np.nan if self.is_zero else self.cka))

    def cca_shares(self, alignments: Float64) -> Float64:
        """Return alignments as shares of the sum that makes R²_CCA; NaN where it is 0 or NaN."""
        return np.asarray(alignments / (np.nan if self.is_zero or self.is_cca_lost else self.alignment.sum()))

    def x_components(self, n_components: int) -> list[Component]:
        """Return the first components of X, or all when there are fewer."""
        n = min(n_components, self.x.rank)
        partners = self.alignment[:n].argmax(axis=1)
        cka = self.cka_shares(self.contributions[:n].sum(axis=1))
        cca = self.cca_shares(self.alignment[:n].sum(axis=1))
        columns = (
            self.x.shares[:n], partners + 1, self.alignment[np.arange(n), partners],
            cka, np.cumsum(cka), cca, np.cumsum(cca),
        )  # fmt: skip
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [Component(number, *row) for number, row in enumerate(rows, start=1)]

    def largest(self, n_pairs: int) -> list[tuple[int, int]]:
        """Return the pairs that contribute most to CKA, largest first, as places in `contributions`."""
        return [divmod(place, self.y.rank) for place in _largest(self.contributions.ravel(), n_pairs)]

    def shares_of_first(self) -> tuple[Float64, Float64]:
        """Return which shares of CKA and of R²_CCA the first 1, 2, ... components of both layers make.

        Two arrays of shape (larger rank,); the last values are 1 but for rounding.
        """
        return self.cka_shares(_sums_of_first(self.contributions)), self.cca_shares(_sums_of_first(self.alignment))

    @quiet_arithmetic
    def without(self, x_removed: Booleans, y_removed: Booleans) -> Similarity:
        """Return the similarity of what is left of both layers without these components.

        x_removed, y_removed : shape (rank,). Worked out anew, with the norms of what is left.
        """
        x, y = self.x.shares[~x_removed], self.y.shares[~y_removed]
        if not (x.size and y.size):
            return Similarity(np.nan, np.nan)
        alignment = self.alignment[~x_removed][:, ~y_removed]
        cka = cosine(x @ alignment @ y, x @ x, y @ y)
        cca_r2 = np.nan if self.is_cca_lost else alignment.sum() / min(alignment.shape)
        return Similarity(float(cka), float(cca_r2))

    def removals(self) -> list[Removal]:
        """Return what is left without the first 1, 2, 5 and 10 components of each, as far as there are so many."""
        return [
            Removal(
                n,
                self.without(np.arange(self.x.rank) < n, np.arange(self.y.rank) < n),
                *self.x.own_similarities(n),
                *self.y.own_similarities(n),
                is_unique=not (self.x.is_cut(n) or self.y.is_cut(n)),
            )
            for n in REMOVED
            if n <= max(self.x.rank, self.y.rank)
        ]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Which principal components make the similarity of two layers.

    sentence : the result. files : of X and of Y, with the layer chosen. notes : sentences for a person.
    warnings : those of them by which a number may not be what was asked for.
    """

    pairs: ComponentPairs
    sentence: str
    files: tuple[FileFacts, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class GroupPairs:
    """The shares of CKA by runs of equal variance, which are the same for any choice of components within them.

    shares : shape (runs of X, runs of Y). order : their places, largest share first.
    n_half : how many of the largest make half of CKA.
    """

    shares: Float64
    order: list[tuple[int, int]]
    n_half: int


def group_pairs(pairs: ComponentPairs, n_listed: int) -> GroupPairs:
    """Return the shares of CKA by runs of equal variance; up to `n_listed` of the largest in order."""
    rows, columns = ([group.start for group in side.groups] for side in (pairs.x, pairs.y))
    shares = pairs.cka_shares(block_sums(pairs.contributions, rows, columns))
    descending = np.sort(shares, axis=None)[::-1]
    np.cumsum(descending, out=descending)
    # A share that rounding leaves a hair below one half counts as half.
    n_half = int(np.searchsorted(descending, 0.5 * (1 - 1e-12))) + 1
    places = _largest(shares.ravel(), n_listed)
    return GroupPairs(shares, [divmod(place, len(columns)) for place in places], n_half)


def block_sums(values: Float64, rows: Sequence[int], columns: Sequence[int]) -> Float64:
    """Return the sums over the blocks that begin at these rows and columns."""
    if len(rows) < len(values):
        values = np.add.reduceat(values, rows, axis=0)
    return values if len(columns) == values.shape[1] else np.asarray(np.add.reduceat(values, columns, axis=1))


def pair_components(x: Spectrum, x_basis: Float64, y: Spectrum, y_basis: Float64) -> ComponentPairs:
    """Return how the components of two layers lie to each other; one product of shape (x.rank, y.rank).

    x_basis, y_basis : shape (n_examples, rank), the components as orthonormal columns.
    """
    alignment = x_basis.T @ y_basis
    alignment *= alignment
    return ComponentPairs(x, y, alignment, len(x_basis))


def spectrum_of(factors: Factors, file: str, layer: str, far_row: int = 0) -> Spectrum:
    """Return the spectrum of a factorised layer that is not constant. far_row : the saved row that is farthest out."""
    return Spectrum(
        file, layer, factors.n_features, factors.n_degrees, factors.singular_values, far_row, factors.facts.far_ratio
    )


def _sums_of_first(values: Float64) -> Float64:
    """Return the sum over the first k rows and columns for k = 1, 2, ... up to the longer side."""
    n_most = max(values.shape)
    row_parts, column_parts = np.zeros(n_most), np.zeros(n_most)
    row_parts[: len(values)] = np.tril(values).sum(axis=1)
    column_parts[: values.shape[1]] = np.triu(values, 1).sum(axis=0)
    return np.asarray(np.cumsum(row_parts + column_parts))


def _largest(values: Float64, n: int) -> list[int]:
    """Return the places of the largest values, largest first, the first of equals first."""
    candidates = np.arange(values.size) if n >= values.size else np.flatnonzero(values >= np.partition(values, -n)[-n])
    order = np.argsort(-values[candidates], kind="stable")[:n]
    return [int(place) for place in candidates[order]]
