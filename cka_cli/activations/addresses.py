"""How layers are named on the command line: `FILE::GLOB`, and which layers a glob means."""

import os
from fnmatch import fnmatchcase

from cka_cli.activations.layer import ActivationFile, Layer
from cka_cli.errors import UsageError, nearest


def split_address(address: str) -> tuple[str, str | None]:
    """Return path and layer glob of `FILE` or `FILE::GLOB`."""
    if "::" not in address or os.path.exists(address):  # (and not Path.exists, which fails on a NUL)
        return address, None
    path, _, pattern = address.partition("::")
    if not path or not pattern:
        raise UsageError(f"{address}: a layer is addressed FILE::LAYER (found an empty part)")
    return path, pattern.strip("/") or pattern


def matches(name: str, pattern: str) -> bool:
    """Whether a glob names a layer: its whole path, its last part, or a group it lies in."""
    if name == pattern or name.startswith(pattern + "/") or fnmatchcase(name, pattern):
        return True
    return "/" not in pattern and fnmatchcase(name.rpartition("/")[2], pattern)


def without_excluded(file: ActivationFile, layers: tuple[Layer, ...], globs: tuple[str, ...]) -> tuple[Layer, ...]:
    """Return the layers that no glob names. Raises UsageError when none is left."""
    kept = tuple(layer for layer in layers if not any(matches(layer.name, glob) for glob in globs))
    if not kept:
        raise UsageError(f"{file.path}: --exclude {' --exclude '.join(globs)} leaves no layer; exclude fewer")
    return kept


def check_exclude(files: list[ActivationFile], globs: tuple[str, ...]) -> None:
    """Refuse a glob that is in no file: a mistyped one would leave in what was to be left out."""
    names = [name for file in files for name in file.names]
    for glob in globs:
        if not any(matches(name, glob) for name in names):
            raise UsageError(
                f"--exclude {glob}: no file has such a layer{nearest(glob, names)}; mend it or leave it out"
            )
