"""Which rows carry a similarity: shares, and values without one row or without many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cka_cli.arrays import Float64, Indices
from cka_cli.reductions.gram_matrices import cosine

# Of a sum over all rows: what rounding may leave when all that counts is left out.
_NOTHING = 1e-12


@dataclass(frozen=True)
class LeftOut:
    """Some rows, the debiased value without them, and their share of the similarity.

    gap : how many times what they were ordered by is larger for the last of them than for the next row.
    """

    rows: tuple[int, ...]
    value: float
    share: float
    gap: float = 1.0


@dataclass(frozen=True, eq=False)
class RowShares:
    """What each row contributes to ⟨K̃,L̃⟩, ⟨K̃,K̃⟩ and ⟨L̃,L̃⟩ of two U-centred Gram matrices, shape (n_examples,).

    `cross`, `x`, `y` are the sums Σ_j K̃_ij L̃_ij and the like: not yet divided by their totals.
    """

    k: Float64
    l: Float64  # noqa: E741 - L of the formula
    cross: Float64
    x: Float64
    y: Float64

    @classmethod
    def of(cls, k: Float64, l: Float64) -> "RowShares":  # noqa: E741
        """Return the contributions of the rows of K̃ and L̃, both U-centred."""
        cross, x, y = (np.einsum("ij,ij->i", one, other) for one, other in ((k, l), (k, k), (l, l)))
        return cls(k, l, cross, x, y)

    @property
    def shares(self) -> Float64:
        """h_i = Σ_j K̃_ij L̃_ij/⟨K̃,L̃⟩: sums to 1; single ones may be negative. NaN where there is nothing to share."""
        total = float(self.cross.sum())
        return np.asarray(self.cross / total) if total else np.full(len(self.k), np.nan)

    @property
    def value(self) -> float:
        """Debiased CKA of all rows."""
        return float(cosine(self.cross.sum(), self.x.sum(), self.y.sum()))

    def n_effective(self) -> float:
        """Return 1/Σh²: n when every row contributes the same, 1 when one row is all."""
        return float(1 / np.sum(self.shares**2))

    def leave_one_out(self) -> Float64:
        """Return debiased CKA without each of the rows, shape (n_examples,); O(n) once the shares are known.

        Rows of K̃ sum to 0, so leaving out row i takes 2(n−2)/(n−3) times its contribution off each sum (*derived*
        from the formula for any zero-diagonal K). NaN where nothing but rounding is left. Needs at least 5 examples.
        """
        n = len(self.k)
        factor = 2 * (n - 2) / (n - 3)
        return self._value_of(*(part.sum() - factor * part for part in (self.cross, self.x, self.y)))

    def without(self, rows: Sequence[int] | Indices, gap: float = 1.0) -> LeftOut:
        """Return debiased CKA without some rows, and the share of ⟨K̃,L̃⟩ that goes with them; O(n·n_rows).

        The rest is U-centred anew. NaN where nothing but rounding is left. At least 4 rows must be.
        """
        rows = np.asarray(rows, np.intp)
        cross = self._left(self.k, self.l, self.cross, rows)
        x = self._left(self.k, self.k, self.x, rows)
        y = self._left(self.l, self.l, self.y, rows)
        total = float(self.cross.sum())
        share = 1 - cross / total if total else float("nan")
        return LeftOut(tuple(rows.tolist()), float(self._value_of(cross, x, y)), share, gap)

    def _value_of(self, cross: Float64 | float, x: Float64 | float, y: Float64 | float) -> Float64:
        """Return debiased CKA from what is left of the sums; NaN where that is rounding."""
        is_left = (x > _NOTHING * self.x.sum()) & (y > _NOTHING * self.y.sum())
        return np.where(is_left, cosine(cross, x, y), np.nan)

    @staticmethod
    def _left(k: Float64, l: Float64, contributions: Float64, rows: Indices) -> float:  # noqa: E741
        m = len(k) - len(rows)
        inside_k, inside_l = k[np.ix_(rows, rows)], l[np.ix_(rows, rows)]
        inner = contributions.sum() - 2 * contributions[rows].sum() + float(np.vdot(inside_k, inside_l))
        # Row sums of what is left: every whole row sums to 0.
        sums_k, sums_l = -k[rows].sum(axis=0), -l[rows].sum(axis=0)
        products = float(np.delete(sums_k, rows) @ np.delete(sums_l, rows))
        totals = float(inside_k.sum()) * float(inside_l.sum())
        return float(inner - 2 / (m - 2) * products + totals / ((m - 1) * (m - 2)))


def most_joint_rows(n_examples: int) -> int:
    """Return how many rows are left out together at most: 5 %, at least 10, never more than a tenth."""
    return max(1, min(max(10, n_examples // 20), n_examples // 10))


def leave_out_leaders(shares: RowShares, x_norms: Float64, y_norms: Float64) -> list[list[LeftOut]]:
    """Return what leaving out the first 1, 2, ... rows does, by each of several orders of the rows.

    x_norms, y_norms : squared norms of the centred rows. The orders: by either norm, by the contribution to the
    similarity, and to each layer's own norm. Far rows that hide each other from leave-one-out come first in one.
    """
    keys = [x_norms, shares.x] if shares.k is shares.l else [x_norms, y_norms, np.abs(shares.cross), shares.x, shares.y]
    return [_leave_out_first(shares, key) for key in keys]


def _leave_out_first(shares: RowShares, key: Float64) -> list[LeftOut]:
    order, found = np.argsort(-key, kind="stable"), []
    most = most_joint_rows(len(order))
    for n_rows in [*range(1, min(most, 10)), *(n for n in (10, 15, 20, 30, 50, 70, 100, 150) if n < most), most]:
        last, following = float(key[order[n_rows - 1]]), float(key[order[n_rows]])
        gap = last / following if following > 0 else np.inf
        found.append(shares.without(order[:n_rows], gap))
    return found


def most_carried(orders: Sequence[Sequence[LeftOut]]) -> LeftOut:
    """Return the rows with most of the similarity that the next row does not belong to."""
    found = [each for order in orders for each in order]
    return _standing_out(found, [each.share for each in found], least=0.8)


def most_changed(orders: Sequence[Sequence[LeftOut]], value: float) -> LeftOut:
    """Return the rows without which the value changes most, and for good.

    Of ten rows equally far, leaving out nine leaves one that may decide alone: twice as much as the value changes again
    when more rows go counts against a change.
    """
    found, changes = [], []
    for order in orders:
        values = np.array([each.value for each in order])
        for place, each in enumerate(order):
            later = np.nan_to_num(np.abs(values[place:] - each.value))
            found.append(each)
            changes.append(abs(each.value - value) - 2 * float(later.max()))
    return _standing_out(found, changes, least=0.5)


def _standing_out(found: Sequence[LeftOut], effects: Sequence[float], least: float) -> LeftOut:
    """Return the rows whose effect is large and behind which the gap is wide, with `least` of the largest effect."""
    effects = [max(0.0, effect) for effect in np.nan_to_num(effects).tolist()]
    able = [
        (effect * (1 - 1 / max(1.0, each.gap)), -len(each.rows), place)
        for place, (each, effect) in enumerate(zip(found, effects, strict=True))
        if effect >= least * max(effects)
    ]
    return found[max(able)[2]]
