"""16-bit integers that are bfloat16: frameworks that have it save it so where numpy does not."""

from collections.abc import Sequence

import numpy as np

from cka_cli.errors import DataError, UsageError
from cka_cli.files.bfloat16 import as_bfloat16
from cka_cli.files.layer import EVERYTHING, Layer
from cka_cli.text import first_few

BFLOAT16 = "bf16"
_SAMPLE_ROWS, _SAMPLE_BYTES, _FEWEST_VALUES = 64, 1 << 20, 32
# Of activations nearly all lie between these powers of two. Integers of the same bits lie between 11136 and 18431, and
# none near 0, where those of other things are.
_LEAST_EXPONENT, _MOST_EXPONENT, _LEAST_SHARE, _LEAST_RANGE = -40, 15, 0.99, 3


def of_dtype(layers: Sequence[Layer], dtype: str | None) -> tuple[Layer, ...]:
    """Return layers with those of 16-bit integers taken for what they are said to be.

    dtype : as ReadOptions has it. Raises UsageError for another word, DataError where attributes say that the integers
    mean something else.
    """
    if dtype is None:
        return tuple(layers)
    if dtype != BFLOAT16:
        raise UsageError(f"--dtype {dtype}: no such type of values; give {BFLOAT16}")
    for layer in layers:
        if layer.meaning is not None and layer.meaning.taken.kind in "iu" and layer.meaning.taken.itemsize == 2:
            raise DataError(
                f"{layer.label}: cannot be read as bfloat16 (attributes say what its integers mean); "
                "leave it out with --exclude, or take _FillValue, scale_factor and the like away"
            )
    return tuple(as_bfloat16(layer) if _holds_sixteen_bits(layer) else layer for layer in layers)


def check_dtype(layers: Sequence[Layer], dtype: str | None) -> None:
    """Refuse `--dtype bf16` where no layer is bfloat16, given what `of_dtype` returned: it was meant for others."""
    if dtype is not None and not any(layer.storage.startswith("bfloat16") for layer in layers):
        files, found = (
            first_few(list(dict.fromkeys(words)), 3)
            for words in ([layer.file for layer in layers], [str(layer.dtype) for layer in layers])
        )
        raise UsageError(f"--dtype {dtype}: no layer of {files} is of 16-bit integers (found {found}); leave it out")


def _holds_sixteen_bits(layer: Layer) -> bool:
    return layer.dtype.kind in "iu" and layer.dtype.itemsize == 2 and layer.meaning is None


def trouble_with_bits(layer: Layer) -> str:
    """Say that 16-bit integers look like bfloat16, by their exponents in a few rows; nothing where they do not."""
    if not _holds_sixteen_bits(layer) or 0 in layer.shape:
        return ""
    n_rows = max(1, min(_SAMPLE_ROWS, _SAMPLE_BYTES // layer.row_bytes()))
    start = min(1, layer.shape[0] - 1)  # sums of an archive follow the first read from the first row
    bits = layer.read(start, min(layer.shape[0], start + n_rows), EVERYTHING).astype(np.int32) & 0x7FFF
    exponents = (bits[bits != 0] >> 7) - 127
    usual = exponents[(exponents >= _LEAST_EXPONENT) & (exponents <= _MOST_EXPONENT)]
    if len(usual) < max(_FEWEST_VALUES, _LEAST_SHARE * len(exponents)) or np.ptp(usual) < _LEAST_RANGE:
        return ""
    return f"integers that look like bfloat16 (of 2^{usual.min()} to 2^{usual.max()}): if they are, say --dtype bf16"
