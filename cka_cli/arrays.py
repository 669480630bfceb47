"""Names of array types for readers and type checkers; at run time they are nothing, and numpy.typing is not loaded.

And the pieces that an array is gone through in.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Float64 = NDArray[np.float64]
    Indices = NDArray[np.intp]
    Booleans = NDArray[np.bool_]
else:
    Array = Float64 = Indices = Booleans = Any


def pieces(n: int, n_piece: int, start: int = 0) -> Iterator[slice]:
    """Give the slices of up to so many places, at least one, that the places from `start` to `n` are divided into."""
    for first in range(start, n, max(1, n_piece)):
        yield slice(first, min(first + max(1, n_piece), n))
