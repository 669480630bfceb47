"""Arrays that hold values only together with others: sparse matrices and quantised weights."""

import re
from collections.abc import Sequence

from cka_cli.files.layer import Layer

# What scipy.sparse.save_npz writes beside data, for csr, csc and bsr; for coo; and for dia.
_PLACES = (("indices", "indptr"), ("row", "col"), ("offsets",))
# Names of integers that only a sibling named `scales` explains, as GPTQ, AWQ and MLX write them.
_PACKED = {"qweight", "weight", "weight_packed", "quantized", "quantised", "codes", "q", "values"}
_SCALES = {"scales", "scale", "weight_scale", "weight_scale_inv"}
_OF_PACKED = {"qzeros", "zeros", "zero_point", "weight_zero_point", "biases"}


def sparse_data(arrays: Sequence[Layer]) -> dict[str, str]:
    """Return the names of the values of sparse matrices, with the reason why they are no layer."""
    found = {}
    for prefix, members in _by_prefix(arrays).items():
        data = members.get("data")
        places = next((each for each in _PLACES if all(name in members for name in each)), None)
        if data is None or places is None:
            continue
        of_scipy = {"shape", "format"} <= set(members)
        same = len(data.shape) == 1 and data.shape == members[places[0]].shape
        if of_scipy or (same and places == ("indices", "indptr") and members["indices"].holds_integers):
            found[prefix + "data"] = (
                f"the values of a sparse matrix (beside {' and '.join(places)}); save what its toarray() gives"
            )
    return found


def quantised(arrays: Sequence[Layer]) -> dict[str, str]:
    """Return the names of integers that stand for others by a scale, and of their scales, with the reason."""
    found = {}
    for prefix, members in _by_prefix(arrays).items():
        for name, array in members.items():
            if len(array.shape) < 2 or not array.holds_integers:
                continue
            scales = [each for each in (f"{name}_scale", f"{name}_scales") if each in members]
            scales += [each for each in _SCALES if each in members and name in _PACKED]
            scales = [each for each in scales if _is_scale(members[each], array)]
            if not scales:
                continue
            found[prefix + name] = f"quantised integers (beside {scales[0]}); save the values that they stand for"
            others = [each for each in members if each in {*scales, *(_OF_PACKED if name in _PACKED else ())}]
            found |= {
                prefix + each: f"of quantised integers ({name}); save the values that they stand for"
                for each in others
                if len(members[each].shape) > 1
            }
    return found


def _is_scale(scale: Layer, array: Layer) -> bool:
    """Whether an array can be the scales of another: several numbers, and fewer than there are integers."""
    n_scale, n_array = (each.n_bytes // each.dtype.itemsize for each in (scale, array))
    return scale.dtype.kind == "f" and 1 < n_scale < n_array


def _by_prefix(arrays: Sequence[Layer]) -> dict[str, dict[str, Layer]]:
    """Return arrays by the part of their names before the last `/` or `.`, and by the rest."""
    found: dict[str, dict[str, Layer]] = {}
    for array in arrays:
        last = re.split(r"[/.]", array.name)[-1]
        found.setdefault(array.name[: len(array.name) - len(last)], {})[last] = array
    return found
