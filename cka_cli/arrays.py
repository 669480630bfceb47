"""Names of array types for readers and type checkers; at run time they are nothing, and numpy.typing is not loaded."""

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
