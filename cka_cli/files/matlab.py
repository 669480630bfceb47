"""MATLAB files of version 7.3: HDF5 files whose datasets say by an attribute what MATLAB had there.

MATLAB counts axes from the other end than HDF5: a matrix of examples × features is a dataset of features × examples.
"""

from collections.abc import Sequence

import h5py

from cka_cli.errors import counted
from cka_cli.files.layer import Layer

CLASS, EMPTY, SPARSE = "MATLAB_class", "MATLAB_empty", "MATLAB_sparse"
# Where the parts of cells and of arrays of structs lie.
_PARTS = ("#refs#", "#subsystem#")
_NUMBERS = ("double", "single", *(f"{sign}int{n_bits}" for sign in ("", "u") for n_bits in (8, 16, 32, 64)))
_ADVICE = {
    "cell": "a cell array of MATLAB; save each cell as an array of its own",
    "char": "text of MATLAB, not numbers",
    "struct": "an array of structs of MATLAB; save each field as an array of its own",
}
SPARSE_MATRIX = "a sparse matrix of MATLAB; save full() of it"
COMPLEX = "complex numbers of MATLAB; save real() and imag() of it"
EMPTY_ARRAY = "an empty array of MATLAB"
LOGICAL = "logical"
# How a user block begins that MATLAB has written.
_USER_BLOCK = b"MATLAB 7.3 MAT-file"
# How `storage` of a layer says it.
REVERSED = "axes reversed (MATLAB)"


def matlab_class(dataset: h5py.Dataset) -> str | None:
    """Return the class of an array of MATLAB, None where a dataset is none. Raises OSError.

    What has no class in a file that begins as MATLAB's do has its axes as all else there.
    """
    if CLASS not in dataset.attrs:
        file = dataset.file
        if not file.userblock_size:
            return None
        with open(file.filename, "rb") as stream:
            return "double" if stream.read(len(_USER_BLOCK)) == _USER_BLOCK else None
    saved = dataset.attrs[CLASS]
    return saved.decode("utf-8", "backslashreplace") if isinstance(saved, bytes) else str(saved)


def why_no_array(dataset: h5py.Dataset, of_class: str) -> str | None:
    """Return why an array of a class of MATLAB cannot be a layer, None for numbers."""
    if of_class not in (*_NUMBERS, LOGICAL):
        return advice(of_class)
    if EMPTY in dataset.attrs:
        return EMPTY_ARRAY
    return COMPLEX if dataset.dtype.names is not None else None


def advice(of_class: str) -> str:
    """Return why what is of a class of MATLAB that is no number cannot be a layer, and what to do."""
    return _ADVICE.get(of_class, f"a {of_class} of MATLAB; save it as an array of numbers")


def why_no_group(group: h5py.Group) -> str | None:
    """Return why a group is an array of MATLAB in parts that are of no use alone; None for any other group."""
    if SPARSE in group.attrs:
        return SPARSE_MATRIX
    if group.name.strip("/") in _PARTS:
        return "parts of cells and objects of MATLAB; save each as an array of its own"
    return None


def matlab_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that a dataset has in MATLAB. A row or column is one axis, as labels and ids are."""
    return tuple(length for length in shape if length != 1) if len(shape) == 2 and 1 in shape else shape[::-1]


def note_of_axes(arrays: Sequence[Layer]) -> tuple[str, ...]:
    """Say once which axis of arrays of MATLAB is taken for the examples: of a matrix nobody doubts it."""
    deep = [array for array in arrays if len(array.shape) > 2]
    if not deep:
        return ()
    first, n_more = deep[0], len(deep) - 1
    more = f", and so in {counted(n_more, 'more array')}" if n_more else ""
    return (
        f"{first.label}: its first axis in MATLAB, of {first.shape[0]}, is taken for the examples{more}; "
        "where they are on another, save permute() of it",
    )
