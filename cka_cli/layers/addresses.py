"""How layers are named on the command line: `FILE::GLOB`, and which layers a glob means."""

import os
from fnmatch import fnmatchcase

from cka_cli.errors import UsageError, nearest
from cka_cli.files.layer import ActivationFile, Layer


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


def matches_in(file: str, name: str, pattern: str) -> bool:
    """Whether `GLOB`, or `FILE::GLOB` of this file, names a layer of it."""
    if matches(name, pattern):
        return True
    glob = _glob_in(file, pattern)
    return glob is not None and matches(name, glob)


def _glob_in(file: str, pattern: str) -> str | None:
    """Return the glob of `FILE::GLOB` where it addresses this file, else None; either part may hold `::`."""
    parts = pattern.split("::")
    for n_parts in range(1, len(parts)):
        path = "::".join(parts[:n_parts])
        if path == file or (path and os.path.realpath(path) == os.path.realpath(file)):
            glob = "::".join(parts[n_parts:])
            return glob.strip("/") or glob
    return None


def check_channels(files: dict[str, list[str]], patterns: list[str]) -> None:
    """Refuse a glob that is in no file: the layers that it was meant for would be read as if nothing were said.

    files : by path, the names of what may be a layer.
    """
    for pattern in patterns:
        if any(matches_in(file, name, pattern) for file, names in files.items() for name in names):
            continue
        addressed = next(((file, glob) for file in files if (glob := _glob_in(file, pattern)) is not None), None)
        if addressed is not None:
            file, glob = addressed
            what = f"{file} has no such layer{nearest(glob, files[file])}"
        elif "::" in pattern:
            what = f"no such file among those compared (found {', '.join(files)})"
        else:
            names = [name for of_file in files.values() for name in of_file]
            what = f"no file has such a layer{nearest(pattern, names)}"
        raise UsageError(f"--channels {pattern}: {what}; mend it or leave it out")


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
            close = nearest(glob, names)
            raise UsageError(f"--exclude {glob}: no file has such a layer{close}; mend it or leave it out")
