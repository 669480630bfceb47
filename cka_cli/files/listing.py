"""The files of a folder or an archive by their names: what is read, what is passed over, what a note tells of.

Nothing here needs numpy, so that it can be asked before any work.
"""

import os
import re
from collections.abc import Sequence

from cka_cli.errors import DataError
from cka_cli.files import registry
from cka_cli.text import first_few

# How the names of files end once packed.
_PACKED = (".gz", ".bz2", ".xz", ".zst")
_OF_SYSTEMS = {"thumbs.db", "desktop.ini"}
_MOST_SHOWN = 3


def members_of_folder(path: str) -> list[str]:
    """Return the files that are read of a folder, each with the folder's path before it."""
    by_format = read_in(path, found_in(path)[0])
    return [os.path.join(path, name) for names in by_format.values() for name in names]


def read_in(path: str, found: Sequence[str]) -> dict[str, list[str]]:
    """Return by their format which files of a folder are read, in natural order: NPY, or where there is none, others.

    found : all files by their path in the folder.
    """
    visible = [name for name in found if not is_hidden(name)]
    visible.sort(key=lambda name: natural_order(os.path.splitext(name)[0]))
    if npy := [name for name in visible if name.endswith(".npy")]:
        return {"NPY": npy}
    by_format: dict[str, list[str]] = {}
    for name in visible:
        if file_format := registry.format_of(os.path.join(path, name)):
            by_format.setdefault(file_format, []).append(name)
    return by_format


def zarr_files_in(path: str) -> list[str]:
    """Return the files that a folder of Zarr is made of, those that say what it holds first."""
    names = [
        (name.rpartition("/")[2] not in registry.ZARR_MARKS, natural_order(name), name) for name in walked(path)[0]
    ]
    return [os.path.join(path, name) for *_, name in sorted(names)]


def walked(path: str) -> tuple[list[str], list[str]]:
    """Return by their path in a folder all plain files below it, and what is neither these nor a folder: links, pipes.

    No link is followed. Raises DataError for a folder that cannot be read.
    """
    plain: list[str] = []
    others: list[str] = []
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        try:
            with os.scandir(os.path.join(path, prefix)) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{prefix}{entry.name}/")
                    else:
                        (plain if entry.is_file(follow_symlinks=False) else others).append(prefix + entry.name)
        except OSError as error:
            _raise_unreadable(error)
    return plain, sorted(others)


def found_in(path: str) -> tuple[list[str], list[str]]:
    """Return by their path in a folder the files below it, but for hidden folders, and the links to folders."""
    found, links = [], []
    for folder, inner, files in os.walk(path, onerror=_raise_unreadable):
        inner[:] = [name for name in inner if not is_hidden(name)]
        within = "" if folder == path else os.path.relpath(folder, path).replace(os.sep, "/") + "/"
        found += [within + name for name in files]
        links += [within + name for name in inner if os.path.islink(os.path.join(folder, name))]
    return sorted(found), sorted(links)


def _raise_unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be opened ({error.strerror}); check its permissions") from error


def head_of(file: str) -> bytes:
    """Return the first bytes of a file, none of a pipe, of what is gone, or of what must not be read."""
    try:
        if not os.path.isfile(file):
            return b""
        with open(file, "rb") as stream:
            return stream.read(registry.HEAD_BYTES)
    except OSError:
        return b""


def natural_order(name: str) -> list[tuple[int, int, str, str]]:
    """Return a sort key under which conv2 comes before conv10."""
    parts = re.split(r"([0-9]+)", name)
    # A number counts by its length without leading zeros, then by its digits: no number is too long for that.
    return [
        (0, len(part.lstrip("0")), part.lstrip("0"), part) if part.isdecimal() else (1, 0, part, "") for part in parts
    ]


def is_hidden(name: str) -> bool:
    """Whether a path is one that a system keeps for itself, or a user out of sight."""
    return any((part.startswith(".") and part.strip(".")) or part == "__MACOSX" for part in name.split("/"))


class Others:
    """What of a folder or an archive is not read: files that may hold arrays, and plain ones."""

    def __init__(self) -> None:
        self.arrays: list[str] = []
        self.plain: list[str] = []

    def add(self, name: str, head: bytes) -> None:
        """Take in a file by its name and its first bytes; what is hidden or a system puts anywhere is passed over."""
        if is_hidden(name) or name.rpartition("/")[2].lower() in _OF_SYSTEMS:
            return
        known = name.lower()
        for ending in _PACKED:
            known = known.removesuffix(ending)
        may_hold_arrays = registry.may_hold_arrays(known, head)
        (self.arrays if may_hold_arrays else self.plain).append(name)

    def note(self, rule: str, advice: str) -> tuple[str, ...]:
        """Return a note of these files, none without any. rule : what is read. advice : for those with arrays."""
        if not self.arrays and not self.plain:
            return ()
        packed = ", unpacked" if any(name.lower().endswith(_PACKED) for name in self.arrays) else ""
        names = shown([*self.arrays, *self.plain])
        return (f"{rule}, so not {names}" + (f"; {advice}{packed}" if self.arrays else ""),)


def shown(names: Sequence[str]) -> str:
    """Return the first few of some names."""
    return first_few(names, _MOST_SHOWN)
