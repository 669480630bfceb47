"""MATLAB files of version 7.3: HDF5 files whose datasets say by an attribute what MATLAB had there.

MATLAB counts axes from the other end than HDF5: a matrix of examples × features is a dataset of features × examples.
"""

import h5py

CLASS, EMPTY, SPARSE = "MATLAB_class", "MATLAB_empty", "MATLAB_sparse"
# Where the parts of cells and of arrays of structs lie.
_PARTS = ("#refs#", "#subsystem#")
_NUMBERS = ("double", "single", *(f"{sign}int{n_bits}" for sign in ("", "u") for n_bits in (8, 16, 32, 64)))
_ADVICE = {
    "cell": "a cell array of MATLAB; save each cell as an array of its own",
    "char": "text of MATLAB, not numbers",
    "logical": "a logical array of MATLAB; save double() of it",
    "struct": "an array of structs of MATLAB; save each field as an array of its own",
}
# How `storage` of a layer says it.
REVERSED = "axes reversed (MATLAB)"


def matlab_class(dataset: h5py.Dataset) -> str | None:
    """Return the class of an array of MATLAB, None where a dataset is none."""
    if CLASS not in dataset.attrs:
        return None
    saved = dataset.attrs[CLASS]
    return saved.decode("utf-8", "backslashreplace") if isinstance(saved, bytes) else str(saved)


def why_no_array(dataset: h5py.Dataset, of_class: str) -> str | None:
    """Return why an array of a class of MATLAB cannot be a layer, None for numbers."""
    if of_class not in _NUMBERS:
        return _ADVICE.get(of_class, f"a {of_class} of MATLAB; save it as an array of numbers")
    if EMPTY in dataset.attrs:
        return "an empty array of MATLAB"
    if dataset.dtype.names is not None:
        return "complex numbers of MATLAB; save real() and imag() of it"
    return None


def why_no_group(group: h5py.Group) -> str | None:
    """Return why a group is an array of MATLAB in parts that are of no use alone; None for any other group."""
    if SPARSE in group.attrs:
        return "a sparse matrix of MATLAB; save full() of it"
    if group.name.strip("/") in _PARTS:
        return "parts of cells and objects of MATLAB; save each as an array of its own"
    return None


def matlab_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that a dataset has in MATLAB. A row or column is one axis, as labels and ids are."""
    return tuple(length for length in shape if length != 1) if len(shape) == 2 and 1 in shape else shape[::-1]
