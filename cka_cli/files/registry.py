"""The formats there are, a row each: `open_file` looks at the bytes, never at the name.

A new format is a file of this folder whose function gives an `ActivationFile`, and a row of `FORMATS`. Everything else
asks the row: what a file is, which files on disk it is made of, what may hold arrays. `tests/files/format_tests.py`
has the tests that it must pass. Nothing here needs numpy: readers are loaded when a file of theirs is opened.
"""

import os
import re
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cka_cli.errors import DataError, UsageError, reason
from cka_cli.files.arrow_layout import is_saved_dataset, is_stream
from cka_cli.files.hdf5_superblock import SIGNATURE, signature_offset
from cka_cli.options import ReadOptions

if TYPE_CHECKING:
    from cka_cli.files.layer import ActivationFile

# What a sniffer is given of the beginning of a file, and what an error shows of it.
HEAD_BYTES, _SHOWN_BYTES = 16, 8
NPY_MAGIC = b"\x93NUMPY"
# What stands in every group or array of Zarr: of its version 2, and of its version 3.
ZARR_MARKS = (".zgroup", ".zarray", "zarr.json")
# A member of an archive, and the end of its directory, with which an archive without members begins.
ZIP_MEMBER, ZIP_END = b"PK\x03\x04", b"PK\x05\x06"
_ARROW_FILE = b"ARROW1"


@dataclass(frozen=True)
class Format:
    """One format.

    name : as errors and reports have it. reader : `module:function` in this folder, of a path an ActivationFile.
    signatures : how its files begin. endings : how their names end, which only a note of what is not read looks at.
    sniff : of the first bytes and the path, whether a file is of this format; None where its signatures tell.
    is_folder : whether it is folders that are asked about. members : `module:function` in this folder, of a path the
        files on disk that it is made of; empty where it is one file.
    extra : of the optional packages, as pyproject.toml groups them, the group that the reader needs.
    takes_options : whether the reader is also given the ReadOptions, as what it finds depends on them.
    """

    name: str
    reader: str
    signatures: tuple[bytes, ...] = ()
    endings: tuple[str, ...] = ()
    sniff: Callable[[bytes, str], bool] | None = None
    is_folder: bool = False
    members: str = ""
    extra: str = ""
    takes_options: bool = False

    def is_of(self, head: bytes, path: str) -> bool:
        """Whether the file that begins with `head` is of this format. Raises OSError."""
        return head.startswith(self.signatures) if self.sniff is None else self.sniff(head, path)


def _has_safetensors_header(head: bytes, path: str) -> bool:
    # Eight bytes of a length below 4 GiB, then the beginning of JSON, or the end of what was cut.
    return len(head) >= 8 and not any(head[4:8]) and re.match(rb"(\{[\s\"}]?|)\Z", head[8:10]) is not None


def _has_hdf5_signature(head: bytes, path: str) -> bool:
    with open(path, "rb") as stream:  # it may stand behind a block of the user's own
        return signature_offset(stream) is not None


def _has_sidecar(_: bytes, path: str) -> bool:
    found: bool = _function("sidecar:is_beside")(path)
    return found


def zarr_root(names: list[str]) -> str | None:
    """Return what the names of an archive's members begin with that is a Zarr, "" where it begins with nothing more.

    It may lie in a folder, which then holds all there is. None for an archive that is no Zarr.
    """
    names = [name for name in names if not name.startswith("__MACOSX/")]
    roots = [folder + slash for folder, slash, name in (each.rpartition("/") for each in names) if name in ZARR_MARKS]
    root = min(roots, key=len, default=None)
    return root if root is not None and all(name.startswith(root) or root.startswith(name) for name in names) else None


def _is_zarr_folder(_head: bytes, path: str) -> bool:
    return any(os.path.lexists(os.path.join(path, mark)) for mark in ZARR_MARKS)


def _is_zarr_archive(head: bytes, path: str) -> bool:
    if not head.startswith(ZIP_MEMBER):
        return False
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return zarr_root(archive.namelist()) is not None
    except Exception:  # whatever is wrong with an archive, its reader tells
        return False


def _is_torch(head: bytes, path: str) -> bool:
    if not head.startswith(ZIP_MEMBER):
        return False
    found: bool = _function("archive:is_torch")(path)
    return found


# Asked in this order: what begins as another kind of file is no user block of an HDF5 file that was joined to it, and
# raw values begin as anything.
FORMATS = [
    Format("NPY", "npy:open_npy", (NPY_MAGIC,), (".npy",)),
    Format("zip of Zarr", "zarr:open_zarr_archive", (), (".zarr.zip",), _is_zarr_archive, extra="zarr"),
    Format("PyTorch", "torch_file:open_torch", (), (".pt", ".pth", ".ckpt", ".bin"), _is_torch),
    Format("NPZ", "npz:open_npz", (ZIP_MEMBER, ZIP_END), (".npz",)),
    Format("safetensors", "safetensors:open_safetensors", (), (".safetensors",), _has_safetensors_header),
    Format("MATLAB 5", "matlab5:open_matlab5", (b"MATLAB 5.0 MAT-",), (".mat",)),
    Format("HDF5", "hdf5:open_hdf5", (SIGNATURE,), (".h5", ".hdf5", ".mat"), _has_hdf5_signature),
    Format("Parquet", "arrow:open_parquet", (b"PAR1", b"PARE"), (".parquet",), extra="arrow"),
    Format(
        "Arrow",
        "arrow:open_arrow",
        (_ARROW_FILE,),
        (".arrow", ".feather"),
        lambda head, path: head.startswith(_ARROW_FILE) or is_stream(head, path),
        extra="arrow",
    ),
    Format("raw values", "raw:open_raw", (), (".bin", ".dat", ".memmap", ".mmap", ".raw"), _has_sidecar,
           members="sidecar:members_of"),
    Format(
        "saved dataset",
        "arrow:open_dataset",
        sniff=is_saved_dataset,
        is_folder=True,
        members="arrow_layout:files_of_dataset",
        extra="arrow",
    ),
    Format("Zarr", "zarr:open_zarr", (), (".zarr",), _is_zarr_folder, True, "listing:zarr_files_in", "zarr"),
    Format("folder of NPY", "folder:open_folder", sniff=lambda *_: True, is_folder=True, takes_options=True,
           members="listing:members_of_folder"),
]  # fmt: skip
_OLD_TORCH, _AGAIN = "a file of torch in the format before 1.6", "save it again with torch >= 1.6"
_HINTS = {
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.": f"{_OLD_TORCH}, a pickle, which could run code when loaded; {_AGAIN}",
    b"sys_info\0": f"{_OLD_TORCH}, a tar archive; {_AGAIN}",
    b"\x80": "a pickle, which could run code when loaded; save plain arrays with numpy.savez or h5py",
    b"FEA1": "a Feather file of version 1; save it with version=2",
}


def open_file(path: str, options: ReadOptions = ReadOptions()) -> "ActivationFile":  # noqa: B008 - frozen
    """Return what the file or folder at `path` holds; only headers are read.

    options : how that is understood, where it can be understood in several ways.
    Raises DataError when there is no such file, it cannot be read, it is of no format in `FORMATS`, or what its format
    needs is not installed.
    """
    if not path:
        raise UsageError("a file has an empty name; give a file of saved activations (was a shell variable not set?)")
    try:
        found, head = _recognised(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file or folder; check the name") from error
    except NotADirectoryError as error:
        raise DataError(f"{path}: no such file or folder; a layer is addressed FILE::LAYER") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or reason(error)
        raise DataError(f"{path}: cannot be opened ({why}); check its name and permissions") from error
    if found is None:
        raise DataError(f"{path}: {_why_none(head, path)}")
    try:
        read = _function(found.reader)
    except ImportError as error:
        if not found.extra:
            raise
        raise DataError(
            f"{path}: is {found.name}, which needs a package that is not installed ({error.name}); "
            f"pip install 'cka-cli[{found.extra}]'"
        ) from error
    file: ActivationFile = read(path, options) if found.takes_options else read(path)
    return file


def members(path: str) -> list[str]:
    """Return the files on disk that an activation file is made of; of what is none, the path itself."""
    try:
        found, _ = _recognised(path)
    except (OSError, ValueError, DataError):
        found = None
    return [path] if found is None or not found.members else _function(found.members)(path)


def format_of(path: str) -> str:
    """Return the name of the format of a file that is no folder; empty where it has none or cannot be read."""
    try:
        found, _ = _recognised(path)
    except (OSError, ValueError, DataError):
        return ""
    return "" if found is None or found.is_folder else found.name


def begins_as_activations(path: str) -> bool:
    """Whether a file or folder is of one of the formats, or a file of one that is cut short. Raises OSError."""
    found, head = _recognised(path)
    return found is not None or _is_cut(head)


def may_hold_arrays(name: str, head: bytes) -> bool:
    """Whether the name of a file ends, or its first bytes are, as those of a file of one of the formats."""
    return any(head.startswith(each.signatures) or name.endswith(each.endings) for each in FORMATS)


def _recognised(path: str) -> tuple[Format | None, bytes]:
    """Return the format of a file or folder, None where it has none, and the first bytes. Raises OSError."""
    mode, head = os.stat(path).st_mode, b""  # one call tells missing, forbidden and folder apart
    is_folder = stat.S_ISDIR(mode)
    if not is_folder:
        if not stat.S_ISREG(mode):
            raise DataError(f"{path}: is a pipe or a device, which gives its bytes only once; save it as a file")
        with open(path, "rb") as stream:
            head = stream.read(HEAD_BYTES)
    return next((each for each in FORMATS if each.is_folder == is_folder and each.is_of(head, path)), None), head


def _is_cut(head: bytes) -> bool:
    return head != b"" and any(signature.startswith(head) for each in FORMATS for signature in each.signatures)


def _why_none(head: bytes, path: str) -> str:
    """Return why a file that begins with `head` is of no format, and what to do."""
    if not head:
        return "is empty (0 bytes); was the run that wrote it ended early?"
    if _is_cut(head):
        return f"is cut short ({len(head)} bytes in all); copy or save it again"
    for signature, hint in _HINTS.items():
        if head.startswith(signature):
            return f"is {hint}"
    if _is_matlab4(head):
        return "is a MATLAB file of version 4; save it with save(..., '-v7.3')"
    begins = f"it begins with {head[:_SHOWN_BYTES]!r}"
    if (beside := _function("sidecar:why_none")(path)) is not None:
        return f"is of no format that its bytes tell ({begins}); {beside}"
    *others, last = sorted(each.name for each in FORMATS if not each.is_folder and not each.members)
    return f"is not {', '.join(others)} or {last} ({begins}); give a file of saved activations"


def _is_matlab4(head: bytes) -> bool:
    """Whether a file begins as an array of MATLAB 4: type, rows, columns, whether complex; each of 4 bytes."""
    if len(head) < HEAD_BYTES:
        return False
    for order in "<>":
        kind, n_rows, n_columns, is_complex = struct.unpack(f"{order}4i", head)
        of_kind = kind in (1000 * (order == ">") + 10 * number + layout for number in range(6) for layout in range(3))
        if of_kind and n_rows > 0 and n_columns > 0 and is_complex in (0, 1):
            return True
    return False


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"cka_cli.files.{module}"), function)
    return found
