"""Floating-point flags, in one place: nobody who uses the package is warned of them.

The flag of a matrix product says nothing: kernels of BLAS raise it for lanes that no result comes from. So every call
from outside is `quiet_arithmetic`, worker threads are started with `silence_thread`, for the state is a thread's own,
and where a value can overflow or have no meaning the code looks at the value: `isfinite`, a norm, a count.
"""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    import numpy as np

P = ParamSpec("P")
R = TypeVar("R")


def flags_off() -> "np.errstate":
    """Return a context in which floating-point flags are ignored in this thread."""
    import numpy as np  # here, so that who needs no numpy can be imported without

    return np.errstate(all="ignore")


def quiet_arithmetic(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function, no generator, ignore floating-point flags; the caller's state is as it was afterwards."""

    @wraps(function)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> R:
        with flags_off():
            return function(*args, **kwargs)

    return quiet


def silence_thread() -> None:
    """Ignore floating-point flags in this thread from now on: for a thread of our own."""
    import numpy as np

    np.seterr(all="ignore")
