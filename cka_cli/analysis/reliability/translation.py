"""What a translation of some rows does to the similarity of a layer with itself (Davari et al. 2023, 2210.16156)."""

from dataclasses import dataclass

import numpy as np

from cka_cli.arrays import Booleans, Float64
from cka_cli.reductions.gram_matrices import cosine


@dataclass(frozen=True)
class Translation:
    """The sums on which CKA(X, X + c·1_S v') depends, v a unit vector: all of them O(n²) from the Gram matrix.

    With s = 1_S − ρ and w = Xv: kw = s'Kw, ks = s'Ks, squared = ‖K‖², ss = s's, sw = s'w, ww = w'w.
    """

    kw: float
    ks: float
    squared: float
    ss: float
    sw: float
    ww: float

    def value(self, shift: float) -> float:
        """Return the linear CKA of the layer with itself after the translation by `shift`, in the layer's units.

        (‖K‖² + 2ca + c²b)/√(‖K‖² (‖K‖² + 4ca + 2c²b + 2c²(s's w'w + (s'w)²) + 4c³ s's s'w + c⁴ (s's)²)).
        """
        cross, squared = self._polynomials()
        return float(cosine(np.polyval(cross, shift), self.squared, np.polyval(squared, shift)))

    def limit(self) -> float:
        """Return the value when the rows are infinitely far: s'Ks/(s's ‖K‖) = ρ/(1−ρ)·‖mean_S‖²/E‖x‖²·√PR.

        The direction drops out. It is also CKA(X, 1_S).
        """
        return float(cosine(self.ks, self.squared, self.ss**2))

    def halving_shift(self) -> float:
        """Return the least shift above 0 at which the value is ½, in the layer's units; infinite when there is none."""
        cross, squared = self._polynomials()
        roots = np.roots(np.polysub(np.polymul(cross, cross), np.asarray(squared) * self.squared / 4))
        real = roots.real[(np.abs(roots.imag) <= 1e-7 * np.abs(roots)) & (roots.real > 0)]
        halves = [root for root in real.tolist() if abs(self.value(root) - 0.5) < 1e-6]
        return min(halves, default=float("inf"))

    def _polynomials(self) -> tuple[list[float], list[float]]:
        """Return ⟨K, K_c⟩ and ‖K_c‖² as polynomials of c, highest power first."""
        cross = [self.ks, 2 * self.kw, self.squared]
        squared = [
            self.ss**2,
            4 * self.ss * self.sw,
            2 * self.ks + 2 * (self.ss * self.ww + self.sw**2),
            4 * self.kw,
            self.squared,
        ]
        return cross, squared


def translation(gram: Float64, subset: Booleans) -> Translation:
    """Return what a translation of a subset does to a layer: see `translations`; subset : shape (n_examples,)."""
    return translations(gram, subset[None])[0]


def translations(gram: Float64, subsets: Booleans) -> list[Translation]:
    """Return what the translation of each of many subsets does to a layer, by one matrix product for all of them.

    gram : centred. subsets : shape (n_subsets, n_examples). The direction is outwards: from the mean of all rows to
    that of the subset, or one that the layer does not use when the two are one.
    """
    indicators = subsets - subsets.mean(axis=1)[:, None]
    squared, found = float(np.vdot(gram, gram)), []
    for indicator, image in zip(indicators, indicators @ gram, strict=True):
        ks = float(indicator @ image)
        # The mean of the subset is X's/|S|, so that Xv = Ks/√(s'Ks).
        xv = image / np.sqrt(ks) if ks > 0 else np.zeros(len(image))
        sums = [float(one @ other) for one, other in ((indicator, indicator), (indicator, xv), (xv, xv))]
        found.append(Translation(float(image @ xv), ks, squared, *sums))
    return found


def apart_if_even(shares: Float64) -> Float64:
    """Return CKA(X, 1_S) of each label when all labels are points, every two of them equally far from each other.

    shares : of the examples that have each label, summing to 1. 1/√(C−1) for C labels of equal share, 1 for two labels.
    The spread of the labels has the covariance diag(ρ) − ρρ'.
    """
    squares = float(np.sum(shares**2))
    spread = np.sqrt(squares - 2 * np.sum(shares**3) + squares**2)
    return np.asarray(shares / (1 - shares) * (1 - 2 * shares + squares) / spread)
