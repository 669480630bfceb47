"""bfloat16, which numpy does not have: the upper half of a float32, so that its values are float32 to the bit."""

from dataclasses import dataclass, replace

import numpy as np

from cka_cli.arrays import Array
from cka_cli.files.layer import EVERYTHING, Layer, ReadRows

# Of what is read of it.
DTYPE = np.dtype(np.float32)


def widened(halves: Array) -> Array:
    """Return values saved as 16 bits each, of any byte order, as float32: the same values, in the same shape."""
    wide = np.empty(halves.shape, np.uint32)
    np.left_shift(halves.view(halves.dtype.str.replace("V", "u").replace("i", "u")), 16, out=wide, dtype=np.uint32)
    return wide.view(DTYPE)


@dataclass(frozen=True)
class WidenedRows:
    """Rows of bfloat16 as float32; read_rows : gives them as 16 bits each."""

    read_rows: ReadRows

    def __call__(self, start: int, stop: int, part: slice = EVERYTHING) -> Array:
        """Return rows, of their second axis a part."""
        return widened(self.read_rows(start, stop, part))


def as_bfloat16(layer: Layer) -> Layer:
    """Return a layer of 16 bits a value as the float32 of the same values."""
    return replace(layer, dtype=DTYPE, storage=f"bfloat16, {layer.storage}", read_rows=WidenedRows(layer.read_rows))
