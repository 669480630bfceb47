"""A centred layer as U S V': an orthonormal basis of its columns, its singular values, and the way back.

By QR and SVD in float64, never through inverse square roots of covariances: those lose half of the digits.
"""

from dataclasses import dataclass

import numpy as np

from cka_cli.arrays import Float64


@dataclass(frozen=True, eq=False)
class Factors:
    """The thin SVD of one centred layer, cut at its rank.

    basis : U, shape (n_examples, rank), orthonormal columns orthogonal to the constant vector.
    singular_values : S, shape (rank,), descending, in the layer's scaled units.
    features : V', shape (rank, n_features).
    """

    label: str
    basis: Float64
    singular_values: Float64
    features: Float64

    @property
    def rank(self) -> int:
        """Number of independent directions."""
        return len(self.singular_values)

    @property
    def n_degrees(self) -> int:
        """Independent directions that any centred layer can have: n_examples − 1."""
        return len(self.basis) - 1

    @property
    def is_saturated(self) -> bool:
        """Whether the layer spans every centred vector, so that any other layer is a linear map of it."""
        return self.rank >= self.n_degrees

    @property
    def effective_dimension(self) -> float:
        """(Σs²)²/Σs⁴, the participation ratio of the variances of the components: 1 to rank; NaN for rank 0."""
        if self.rank == 0:
            return np.nan
        variances = (self.singular_values / self.singular_values[0]) ** 2
        return float(variances.sum() ** 2 / (variances**2).sum())

    def n_kept(self, variance: float) -> int:
        """Return how many leading components hold this share of the variance Σs²."""
        if self.rank == 0:
            return 0
        shares = np.cumsum(self.singular_values**2)
        # A share that rounding leaves a hair below the one asked for counts as reached.
        return min(self.rank, int(np.searchsorted(shares, variance * shares[-1] * (1 - 1e-12))) + 1)


def factorise(label: str, values: Float64) -> Factors:
    """Return the factors of a layer.

    values : shape (n_examples, n_features), float64, centred up to a shift.
    Rank: singular values above max(n_examples, n_features) × 2⁻⁵² × the largest count (numpy's matrix_rank).
    Cost: one QR and one SVD of the smaller side.
    """
    values = values - values.mean(axis=0)
    n_examples, n_features = values.shape
    if n_features > n_examples:
        q, r = np.linalg.qr(values.T)  # values = r' q'
        left, singular_values, right = np.linalg.svd(r.T, full_matrices=False)
        basis, features = left, right @ q.T
    else:
        q, r = np.linalg.qr(values)
        left, singular_values, features = np.linalg.svd(r, full_matrices=False)
        basis = q @ left
    tolerance = singular_values[0] * max(n_examples, n_features) * np.finfo(np.float64).eps
    rank = min(int(np.count_nonzero(singular_values > tolerance)), n_examples - 1)
    return Factors(label, basis[:, :rank], singular_values[:rank], features[:rank])
