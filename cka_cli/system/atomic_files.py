"""Where results go: standard output, or a file that appears whole or not at all."""

import errno
import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import BinaryIO

from cka_cli.errors import DataError, UsageError

STDOUT = "-"
# Files being written beside their place, and what has been written, or begun to be.
_unfinished: set[str] = set()
_written: list[str] = []


def check_output(path: str, *, force: bool, inputs: Sequence[str] = (), option: str = "--output") -> None:
    """Raise before any work is done when a result could not be written to `path` afterwards.

    An existing file is refused without `force`; an input is refused always. Devices and pipes are never replaced,
    so they need no `force`. option : what gave the path, as errors name it.
    """
    if path == STDOUT:
        return
    if not path:
        raise UsageError(f"{option}: the name is empty; give the name of a file, or - for standard output")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be written ({why}); give another {option}") from error
    if mode is not None:
        if stat.S_ISDIR(mode):
            raise DataError(f"{path}: is a folder; give the name of a file in it")
        if not stat.S_ISREG(mode):
            return
        if any(_is_same_file(path, address) for address in inputs):
            raise UsageError(f"{path}: is also an input; give another {option}")
        if not force:
            raise DataError(_taken(path, option))
    if trouble := folder_trouble(path):
        make_it = "make it, or " if trouble.startswith("there is no") else ""
        raise DataError(f"{path}: cannot be written ({trouble}); {make_it}give another {option}")


def _taken(path: str, option: str) -> str:
    return f"{path}: exists already; give --force to replace it, or another {option}"


def folder_trouble(path: str) -> str:
    """Return why no file can be written at a path, by the folder it would lie in; nothing when one can."""
    folder = os.path.dirname(os.path.realpath(path) if os.path.islink(path) else path) or "."
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"no permission to write in {folder}"


def _is_same_file(path: str, address: str) -> bool:
    from cka_cli.files.registry import members  # few results stand in the place of another file

    source = address if os.path.exists(address) else address.partition("::")[0]
    return any(os.path.exists(member) and os.path.samefile(path, member) for member in members(source))


def write_output(path: str, data: bytes, *, force: bool, option: str = "--output") -> None:
    """Write a result: to standard output for `-`, else beside the file first and then in its place.

    A file that came to exist meanwhile is refused without `force`. A symbolic link stays a link. Devices and pipes
    are written to as they are. Raises DataError when the disk does not take it; nothing half-written is left.
    A closed reader is a BrokenPipeError.
    """
    if path == STDOUT:
        _write_stdout(data)
        return
    try:
        if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "wb") as device:
                _written.append(path)
                device.write(data)
            return
        replace_file(path, lambda stream: stream.write(data), force=force)
        _written.append(path)
    except FileExistsError as error:
        raise DataError(_taken(path, option)) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); nothing was changed") from error


def _write_stdout(data: bytes) -> None:
    with suppress(OSError):  # no descriptor, or a closed one
        os.set_blocking(sys.stdout.fileno(), True)  # a pipe that does not wait for a slow reader takes a part only
    _written.append("a part of standard output")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        why = "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)
        raise DataError(f"standard output: cannot be written ({why}); give --output PATH") from error


def replace_file(path: str, write: Callable[[BinaryIO], object], *, force: bool = True, beside: str = "") -> None:
    """Put what is written in the place of a file, whole or not at all; a symbolic link stays a link. Raises OSError.

    beside : the name under which the file is written first, in the same folder. Without `force` a file that is there
    is a FileExistsError.
    """
    target = os.path.realpath(path)
    if beside:  # a name of our own: what stands there was left by a killed process of the same number
        with suppress(FileNotFoundError):
            os.unlink(beside)
    else:
        beside = os.path.join(os.path.dirname(target), f".cka-{os.urandom(6).hex()}.tmp")
    _unfinished.add(beside)
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with open(descriptor, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(descriptor)
        if force and os.path.exists(target):
            _take_over_owner_and_mode(beside, target)
        if force or not _link(beside, target):
            os.replace(beside, target)
    finally:
        _remove(beside)


def remove_unfinished() -> str:
    """Remove what is half-written, when a run ends in the middle of it; return in words what is written."""
    for path in list(_unfinished):
        _remove(path)
    return f"already written: {', '.join(_written)}" if _written else "nothing was written"


def _remove(path: str) -> None:
    with suppress(OSError):  # it has got its name, or its folder is gone
        os.unlink(path)
    _unfinished.discard(path)


def _take_over_owner_and_mode(beside: str, target: str) -> None:
    status = os.stat(target)
    with suppress(OSError):  # only root may give files away
        os.chown(beside, status.st_uid, status.st_gid)
    os.chmod(beside, stat.S_IMODE(status.st_mode))


def _link(beside: str, target: str) -> bool:
    """Give the finished file its name unless the name is taken; False where the file system has no links."""
    try:
        os.link(beside, target)
    except FileExistsError:
        raise
    except OSError:
        if os.path.exists(target):
            raise FileExistsError(target) from None
        return False
    return True
