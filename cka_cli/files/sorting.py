"""What a folder or an archive holds, told apart: arrays, what is none, and what is damaged."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from cka_cli.errors import DataError
from cka_cli.files.hdf5_superblock import SIGNATURE
from cka_cli.files.layer import ActivationFile, Layer, reason, refusal, sort_arrays
from cka_cli.files.npy_header import MAGIC, NoLayerError
from cka_cli.text import first_few

# How files begin, and how their names end, that hold arrays; and how they end once packed.
_HEADS = (MAGIC, SIGNATURE, b"PK\x03\x04")
_ENDINGS = (".npy", ".npz", ".h5", ".hdf5", ".mat", ".pt", ".pth", ".safetensors")
_PACKED = (".gz", ".bz2", ".xz", ".zst")
HEAD_BYTES = max(map(len, _HEADS))
_OF_SYSTEMS = {"thumbs.db", "desktop.ini"}
_MOST_SHOWN = 3


def is_hidden(name: str) -> bool:
    """Whether a path is one that a system keeps for itself, or a user out of sight."""
    return any((part.startswith(".") and part.strip(".")) or part == "__MACOSX" for part in name.split("/"))


def is_of_system(name: str) -> bool:
    """Whether a file is hidden, or one that a system puts anywhere."""
    return is_hidden(name) or name.rpartition("/")[2].lower() in _OF_SYSTEMS


def may_hold_arrays(name: str, head: bytes) -> bool:
    """Whether a file may hold arrays, by its name and its first `HEAD_BYTES` bytes."""
    name = name.lower()
    for ending in _PACKED:
        name = name.removesuffix(ending)
    return head.startswith(_HEADS) or name.endswith(_ENDINGS)


def note_of_others(rule: str, arrays: Sequence[str], plain: Sequence[str], advice: str) -> tuple[str, ...]:
    """Return a note of files that are not read, none without any.

    rule : what is read. arrays, plain : names of those that may hold arrays, and of all others.
    advice : what to do about the former.
    """
    if not arrays and not plain:
        return ()
    packed = ", unpacked" if any(name.lower().endswith(_PACKED) for name in arrays) else ""
    return (f"{rule}, so not {shown([*arrays, *plain])}" + (f"; {advice}{packed}" if arrays else ""),)


def shown(names: Sequence[str]) -> str:
    """Return the first few of some names."""
    return first_few(names, _MOST_SHOWN)


@dataclass
class SortedOut:
    """The arrays of a folder or an archive, and what of it is none or is damaged, each with the reason."""

    arrays: list[Layer] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    def add(self, layer: Layer, damage: str | None) -> None:
        """Take an array in. Damage to what no one asks for by default (one axis) is told, and stops nobody."""
        if is_hidden(layer.name):
            self.refused[layer.name] = "its name is hidden (it begins with a dot); rename it to use it"
        elif damage is None or refusal(layer.dtype) is not None:
            self.arrays.append(layer)
        else:
            (self.refused if len(layer.shape) < 2 else self.unreadable)[layer.name] = damage

    @contextmanager
    def sorting(self, name: str, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Take what is raised within as what becomes of the array of this name."""
        damage: tuple[type[Exception], ...] = (OSError, ValueError, EOFError, *also)
        try:
            yield
        except NoLayerError as error:
            self.refused[name] = str(error)
        except damage as error:
            self.unreadable[name] = f"is not a readable NPY array ({reason(error)}); save it again"

    def file(self, path: str, file_format: str, notes: tuple[str, ...] = ()) -> ActivationFile:
        """Return the file that all this is found in. Raises DataError when all there is in it is damaged."""
        if self.unreadable and not self.arrays and not self.refused:
            name, why = next(iter(self.unreadable.items()))
            raise DataError(f"{path}::{name}: {why}")
        return sort_arrays(path, file_format, self.arrays, self.refused, self.unreadable, notes)
