"""What is found in one array of an activation file before any comparison."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Inspected:
    """One array of a file.

    kind : `layer`, `vector` (one axis, or integers named as ids are: a layer only when named) or `refused` (never a
        layer; `trouble` says why).
    n_nonfinite, n_constant : values that are NaN or infinite, features that never change; None when not read.
    """

    file: str
    name: str
    kind: str
    shape: tuple[int, ...] | None
    dtype: str
    storage: str
    n_bytes: int | None
    n_nonfinite: int | None = None
    n_constant: int | None = None
    trouble: str = ""

    @property
    def n_features(self) -> int | None:
        """Columns once flattened."""
        return None if self.shape is None else int(np.prod(self.shape[1:], dtype=object))
