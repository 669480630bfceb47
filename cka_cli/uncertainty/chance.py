"""What similarity chance alone gives: rows of one layer in any order against those of the other."""

import numpy as np


def chance_level(x_dimension: float, y_dimension: float, n_examples: int) -> float:
    """Return the mean of biased CKA over all orders of the rows: √(PR_X PR_Y)/(n−1).

    x_dimension, y_dimension : effective dimensions. Exact for any data and any kernel.
    """
    return float(np.sqrt(x_dimension * y_dimension)) / (n_examples - 1)


def z_of(debiased: float, n_examples: int) -> float:
    """Return debiased CKA in units of its standard deviation over all orders of the rows, √(2/(n(n−3))).

    The variance is exact for any data and any kernel; the distribution is skewed when few directions hold the
    variance. Needs at least 4 examples.
    """
    return debiased * float(np.sqrt(n_examples * (n_examples - 3) / 2))
