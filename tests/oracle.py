"""A naive oracle in float64: every measure as its formula is printed, over whole Gram matrices.

It shares no code with the package. Shapes: layers are (n_examples, n_features), Gram matrices (n_examples, n_examples).
"""

import numpy as np


def gram(layer, kernel="linear"):
    name, _, rest = kernel.partition(":")
    x = np.asarray(layer, np.float64).reshape(len(layer), -1)
    given = {key: float(value) for key, value in (item.split("=") for item in rest.split(",") if item)}
    if "gamma" not in given:
        given = {"gamma": 1 / x.shape[1], "sigma": 0.8} | given
    return KERNELS[name](x, {"coef0": 1.0, "degree": 3} | given)


def cosine(x, given):
    norms = np.linalg.norm(x, axis=1)
    return x @ x.T / np.outer(norms, norms)


def rbf(x, given):
    """The paper's width: a fraction of the median of all n² distances, the n zeros of the diagonal included."""
    squared = squared_distances(x)
    if "sigma" in given:
        return np.exp(-squared / (2 * given["sigma"] ** 2 * np.median(squared)))
    return np.exp(-given["gamma"] * squared)


KERNELS = {
    "linear": lambda x, given: x @ x.T,
    "polynomial": lambda x, given: (given["gamma"] * (x @ x.T) + given["coef0"]) ** given["degree"],
    "sigmoid": lambda x, given: np.tanh(given["gamma"] * (x @ x.T) + given["coef0"]),
    "cosine": cosine,
    "laplacian": lambda x, given: np.exp(-given["gamma"] * np.array([np.abs(x - row).sum(axis=1) for row in x])),
    "rbf": rbf,
}


def squared_distances(x):
    return np.array([((x - row) ** 2).sum(axis=1) for row in x])


def hsic_biased(k_x, k_y):
    """tr(KHLH)/(n−1)²."""
    n = len(k_x)
    h = np.eye(n) - np.ones((n, n)) / n
    return np.sum((h @ k_x @ h) * k_y.T) / (n - 1) ** 2


def hsic_unbiased(k_x, k_y):
    """[tr(KL) + 1'K1 1'L1/((n−1)(n−2)) − 2/(n−2) 1'KL1]/(n(n−3)), both diagonals set to 0."""
    n = len(k_x)
    k_x, k_y = (k - np.diag(np.diag(k)) for k in (k_x, k_y))
    sums = np.sum(k_x * k_y.T) + k_x.sum() * k_y.sum() / ((n - 1) * (n - 2))
    return (sums - 2 / (n - 2) * (k_x.sum(axis=0) @ k_y.sum(axis=1))) / (n * (n - 3))


def cka(k_x, k_y, hsic=hsic_biased):
    return hsic(k_x, k_y) / np.sqrt(hsic(k_x, k_x) * hsic(k_y, k_y))


def centred(layer):
    x = np.asarray(layer, np.float64).reshape(len(layer), -1)
    return x - x.mean(axis=0)


def basis(layer, variance=None):
    """Orthonormal basis of the centred layer, or of the leading components that hold a share of Σs²."""
    x = centred(layer)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    u = u[:, s > s[0] * max(x.shape) * np.finfo(float).eps]
    if variance is None:
        return u
    shares = np.cumsum(s**2) / np.sum(s**2)
    return u[:, : 1 + next(place for place, share in enumerate(shares) if share >= variance)]


def correlations(x, y, variance=None):
    return np.linalg.svd(basis(x, variance).T @ basis(y, variance), compute_uv=False)


def variate_products(x, y):
    """⟨h_i, x_j⟩ of the canonical variates of X with its centred columns, and the correlations."""
    q_x = basis(x)
    directions, rho, _ = np.linalg.svd(q_x.T @ basis(y), full_matrices=False)
    return (q_x @ directions).T @ centred(x), rho


def pwcca(x, y):
    weights, rho = variate_products(x, y)
    weights = np.abs(weights).sum(axis=1)
    return weights @ rho / weights.sum()


def regression_r2(x, y):
    """1 − ‖Xc − YcB‖²/‖Xc‖² with B by least squares."""
    x, y = centred(x), centred(y)
    residual = x - y @ np.linalg.lstsq(y, x, rcond=None)[0]
    return 1 - (residual**2).sum() / (x**2).sum()


def procrustes(x, y):
    x, y = centred(x), centred(y)
    return np.linalg.svd(x.T @ y, compute_uv=False).sum() / (np.linalg.norm(x) * np.linalg.norm(y))


def distance_correlation(x, y, *, is_bias_corrected=False):
    """Squared distance correlation (Székely, Rizzo, Bakirov 2007), or its bias-corrected form (Székely, Rizzo 2014)."""
    n, sides = len(x), []
    for layer in (x, y):
        d = np.sqrt(squared_distances(np.asarray(layer, np.float64)))
        n_rows, n_pairs = (n - 2, (n - 1) * (n - 2)) if is_bias_corrected else (n, n * n)
        d = d - d.sum(axis=0) / n_rows - d.sum(axis=1)[:, None] / n_rows + d.sum() / n_pairs
        if is_bias_corrected:
            np.fill_diagonal(d, 0)
        sides.append(d)
    a, b = sides
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


def effective_dimension(layer):
    variances = np.linalg.svd(centred(layer), compute_uv=False) ** 2
    return variances.sum() ** 2 / (variances**2).sum()


# Of two Gram matrices; and of two layers, with the share of variance that svcca keeps.
KERNEL_MEASURES = {
    "cka": cka,
    "cka-debiased": lambda k_x, k_y: cka(k_x, k_y, hsic_unbiased),
    "hsic": hsic_biased,
    "hsic-unbiased": hsic_unbiased,
}
FACTOR_MEASURES = {
    "cca-r2": lambda x, y, variance: (correlations(x, y) ** 2).mean(),
    "cca-rho": lambda x, y, variance: correlations(x, y).mean(),
    "svcca-r2": lambda x, y, variance: (correlations(x, y, variance) ** 2).mean(),
    "svcca-rho": lambda x, y, variance: correlations(x, y, variance).mean(),
    "pwcca": lambda x, y, variance: pwcca(x, y) if centred(x).shape[1] <= centred(y).shape[1] else pwcca(y, x),
    "regression-r2": lambda x, y, variance: regression_r2(x, y),
    "procrustes": lambda x, y, variance: procrustes(x, y),
}


def value(x, y, measure="cka", kernel="linear"):
    """Any measure by the name a user types."""
    name, _, rest = measure.partition(":")
    if name in KERNEL_MEASURES:
        return KERNEL_MEASURES[name](gram(x, kernel), gram(y, kernel))
    return FACTOR_MEASURES[name](x, y, float(rest.removeprefix("variance=")) if rest else 0.99)
