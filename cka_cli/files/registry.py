"""One way in for every format: `open_file` looks at the first bytes, never at the name."""

import os
import stat
from pathlib import Path

from cka_cli.errors import DataError, UsageError
from cka_cli.files.hdf5_superblock import SIGNATURE, signature_offset
from cka_cli.files.layer import ActivationFile, reason

_NPY, _ZIP = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")
_SIGNATURES = (SIGNATURE, _NPY, _ZIP[0])
_HINTS = {
    b"\x80": "a pickle, which could run code when loaded; save plain arrays with numpy.savez or h5py",
    b"MATLAB 5": "a MATLAB file of the older kind; save it with save(..., '-v7.3')",
}


def open_file(path: str) -> ActivationFile:
    """Return what the file or folder at `path` holds; only headers are read.

    Raises DataError when there is no such file, it cannot be read, or it is none of HDF5, NPY, NPZ, folder of NPY.
    """
    if not path:
        raise UsageError("a file has an empty name; give a file of saved activations (was a shell variable not set?)")
    try:
        mode = os.stat(path).st_mode  # one call tells missing, forbidden and folder apart
        if stat.S_ISDIR(mode):
            from cka_cli.files.npy import open_folder

            return open_folder(path)
        if not stat.S_ISREG(mode):
            raise DataError(f"{path}: is a pipe or a device, which gives its bytes only once; save it as a file")
        with Path(path).open("rb") as stream:
            head = stream.read(8)
            # What begins as another kind of file is no user block of an HDF5 file that was joined to it.
            is_hdf5 = not head.startswith((_NPY, *_ZIP)) and signature_offset(stream) is not None
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder; check the name") from error
    except NotADirectoryError as error:
        raise DataError(f"{path}: no such file or folder; a layer is addressed FILE::LAYER") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or reason(error)
        raise DataError(f"{path}: cannot be opened ({why}); check its name and permissions") from error
    if is_hdf5:
        from cka_cli.files.hdf5 import open_hdf5

        return open_hdf5(path)
    if head.startswith(_NPY):
        from cka_cli.files.npy import open_npy

        return open_npy(path)
    if head.startswith(_ZIP):
        from cka_cli.files.npz import open_npz

        return open_npz(path)
    if not head:
        raise DataError(f"{path}: is empty (0 bytes); was the run that wrote it ended early?")
    if any(signature.startswith(head) for signature in _SIGNATURES):
        raise DataError(f"{path}: is cut short ({len(head)} bytes in all); copy or save it again")
    for signature, hint in _HINTS.items():
        if head.startswith(signature):
            raise DataError(f"{path}: is {hint}")
    raise DataError(f"{path}: is not HDF5, NPY or NPZ (it begins with {head!r}); give a file of saved activations")
