"""What the spectrum of a layer's centred Gram matrix says."""

from dataclasses import dataclass

import numpy as np

from cka_cli.arrays import Float64

# Below this many examples the whole spectrum costs less than the leading part of it by a Krylov space.
_SMALL = 600


@dataclass(frozen=True, eq=False)
class Components:
    """The leading principal components of a layer.

    variances : λ, shape (n_components,), descending, of the centred Gram matrix. scores : shape (n_examples,
    n_components), orthonormal. total, total_squared : Σλ and Σλ² over all components.
    """

    variances: Float64
    scores: Float64
    total: float
    total_squared: float

    def is_rest_zero(self, n_removed: int) -> bool:
        """Whether nothing but rounding is left without the first `n_removed` components."""
        kept = self.total - float(self.variances[:n_removed].sum())
        return n_removed > len(self.variances) or kept <= 1e-10 * self.total

    def removed_from(self, gram: Float64, n_removed: int) -> Float64:
        """Return the Gram matrix of the layer without its first components."""
        scores = self.scores[:, :n_removed]
        return np.asarray(gram - (scores * self.variances[:n_removed]) @ scores.T)


def leading_components(gram: Float64, n_components: int) -> Components:
    """Return the leading components of a centred Gram matrix, exact to rounding.

    Up to 600 examples from the whole spectrum; above, from a block Krylov space that grows until the residuals are
    at rounding (Golub and Underwood 1977), or the whole spectrum when it does not get there.
    """
    n_components = min(n_components, len(gram) - 1)
    found = None if len(gram) <= _SMALL else _by_krylov(gram, n_components)
    if found is None:
        variances, vectors = np.linalg.eigh(gram)
        found = variances[::-1][:n_components], vectors[:, ::-1][:, :n_components]
    return Components(found[0].copy(), found[1].copy(), float(np.trace(gram)), float(np.vdot(gram, gram)))


def _by_krylov(gram: Float64, n_components: int) -> tuple[Float64, Float64] | None:
    block = np.linalg.qr(gram @ np.random.default_rng(0).standard_normal((len(gram), n_components + 3)))[0]
    basis, images = block, gram @ block
    while basis.shape[1] <= len(gram) // 4:
        variances, vectors = np.linalg.eigh(basis.T @ images)
        variances, vectors = variances[::-1][:n_components], vectors[:, ::-1][:, :n_components]
        residuals = np.linalg.norm(images @ vectors - (basis @ vectors) * variances, axis=0)
        if np.all(residuals <= 1e-11 * variances[0]):
            return variances, basis @ vectors
        block = images[:, -block.shape[1] :]
        for _ in range(2):  # once loses what rounding leaves of the basis
            block = np.linalg.qr(block - basis @ (basis.T @ block))[0]
        basis, images = np.hstack([basis, block]), np.hstack([images, gram @ block])
    return None
