"""The guts of `cka inspect`: what files hold, and trouble that shows before any comparison."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from cka_cli.arrays import Booleans
from cka_cli.errors import DataError, counted, nearest
from cka_cli.files import open_file
from cka_cli.files.layer import Layer, refusal
from cka_cli.floating_point import quiet_arithmetic
from cka_cli.layers.addresses import matches, split_address
from cka_cli.layers.centring import survey
from cka_cli.layers.repeated import Repeats, find_repeats
from cka_cli.layers.selection import SelectedLayer
from cka_cli.layers.sixteen_bits import check_dtype, of_dtype, trouble_with_bits
from cka_cli.options import ReadOptions
from cka_cli.reductions.far_rows import FAR_RATIO
from cka_cli.reductions.source import compute_dtype
from cka_cli.results.inspection import Inspected
from cka_cli.system.progress import Progress, each_told
from cka_cli.text import first_few


@quiet_arithmetic
def inspect(
    addresses: Sequence[str], *, scan: bool = True, dtype: str | None = None, shards: str = "auto", progress: Progress
) -> list[Inspected]:
    """Return what each file holds, in network order.

    addresses : `FILE` or `FILE::GLOB`. scan : whether the values are read, a block at a time.
    dtype : as ReadOptions has it.
    shards : as `ReadOptions` has it.
    """
    found: list[tuple[Layer, bool]] = []
    result: list[Inspected] = []
    for address in addresses:
        path, pattern = split_address(address)
        file = open_file(path, ReadOptions(shards=shards))
        names = file.names
        if not names:
            raise DataError(f"{path}: holds no arrays ({file.format}); was the run that wrote it ended early?")
        if pattern is not None and not any(matches(name, pattern) for name in names):
            raise DataError(
                f"{path}::{pattern}: no such layer{nearest(pattern, names)} (the file has {first_few(names, 6)})"
            )
        wanted = {name for name in names if pattern is None or matches(name, pattern)}
        found += [(layer, True) for layer in of_dtype([each for each in file.layers if each.name in wanted], dtype)]
        found += [(vector, False) for vector in file.vectors if vector.name in wanted]
        result += [
            Inspected(path, name, "refused", None, "", "", None, trouble=why)
            for name, why in (file.refused | file.unreadable).items()
            if name in wanted
        ]
    check_dtype([layer for layer, is_layer in found if is_layer], dtype)
    inspected = []
    repeats = _repeats([layer for layer, is_layer in found if is_layer]) if scan else {}
    for array, is_layer in each_told(found, "scanning", progress):
        inspected.append(_inspect_array(array, is_layer=is_layer, scan=scan, repeats=repeats.get(array)))
    order = {address: place for place, address in enumerate(dict.fromkeys(split_address(a)[0] for a in addresses))}
    return sorted([*inspected, *result], key=lambda each: order[each.file])


def _repeats(layers: list[Layer]) -> dict[Layer, Repeats]:
    """Return how rows repeat each other, of each layer in which they do: the layers of a file with as many rows."""
    of_files: dict[tuple[str, int], list[Layer]] = {}
    for layer in layers:
        if refusal(layer.dtype) is None and 0 not in layer.shape:
            of_files.setdefault((layer.file, layer.shape[0]), []).append(layer)
    found: dict[Layer, Repeats] = {}
    for (_, n_rows), together in of_files.items():
        with suppress(DataError):  # what cannot be read is trouble of one layer
            if (repeats := find_repeats(together, range(n_rows))) is not None:
                found |= dict.fromkeys(together, repeats)
    return found


def _inspect_array(array: Layer, *, is_layer: bool, scan: bool, repeats: Repeats | None) -> Inspected:
    kind = "layer" if is_layer else "vector"
    facts = (array.file, array.name, kind, array.shape, str(array.dtype), array.storage, array.n_bytes)
    if not scan or not is_layer or refusal(array.dtype) is not None or 0 in array.shape:
        trouble = "no examples" if array.shape[0] == 0 else "no features" if is_layer and 0 in array.shape else ""
        return Inspected(*facts, trouble=trouble)
    try:
        n_nonfinite, n_constant, is_finite = _scan(array)
        bits, far = trouble_with_bits(array), _far_row(array, is_finite)
    except DataError as error:
        return Inspected(*facts, trouble=str(error).removeprefix(f"{array.label}: "))
    n_features = int(np.prod(array.shape[1:], dtype=object))
    troubles = []
    n_lost = n_nonfinite - _scan(array.as_saved())[0] if n_nonfinite and array.fill_text else 0
    for n, what in ((n_nonfinite - n_lost, "not finite"), (n_lost, f"the file's fill value ({array.fill_text})")):
        if n:
            troubles.append(f"{counted(n, 'value')} {'is' if n == 1 else 'are'} {what}")
    if n_constant == n_features:
        troubles.append("constant")
    elif n_constant:
        troubles.append(counted(n_constant, "constant feature"))
    troubles += [trouble for trouble in (bits, far, "" if repeats is None else str(repeats)) if trouble]
    return Inspected(*facts, n_nonfinite, n_constant, "; ".join(troubles))


def _far_row(array: Layer, is_finite: Booleans) -> str:
    """Say which of the finite rows lies farthest out, where a comparison would warn of it, else nothing."""
    if not is_finite.any():
        return ""
    rows = range(len(is_finite)) if is_finite.all() else np.flatnonzero(is_finite)
    layer = SelectedLayer(array, rows)
    far = survey(layer, compute_dtype(layer.dtype, "auto"), layer.n_features).far
    if far.ratio <= FAR_RATIO:
        return ""
    return f"row {rows[far.farthest]} far out ({far.ratio:.0e} times as far as most)"


def _scan(array: Layer) -> tuple[int, int, Booleans]:
    """Return how many values are not finite, or lost, how many features never change, and which rows are finite."""
    n_nonfinite, is_finite = 0, np.ones(array.shape[0], bool)
    low = high = None
    for where, block in SelectedLayer(array, range(array.shape[0])).blocks():
        if block.dtype.kind == "f":
            finite = np.isfinite(block)
            n_nonfinite += finite.size - int(np.count_nonzero(finite))
            is_finite[where] = finite.all(axis=1)
        block_low, block_high = block.min(axis=0), block.max(axis=0)
        low = block_low if low is None else np.minimum(low, block_low)
        high = block_high if high is None else np.maximum(high, block_high)
    return n_nonfinite, 0 if low is None else int(np.count_nonzero(low == high)), is_finite
