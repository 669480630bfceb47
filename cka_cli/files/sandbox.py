"""Work that may end the process or never end, tried first in a child process.

The HDF5 library reads what a file says of itself with little doubt: among files with a few wrong bytes, some make it
write where it must not (the process ends without a word), go round for ever, or ask for all the memory there is. A
child does the same before we do, and what it could not do we leave.
"""

import json
import os
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from cka_cli.errors import reason
from cka_cli.text import MIB

_forking = Lock()


def tried(work: Callable[[], dict[str, str]], cpu_seconds: int, memory_bytes: int) -> dict[str, str]:
    """Return what the work gives when a child process does it; nothing where no child can be had.

    cpu_seconds : of computing, which waiting for a slow disk is not. memory_bytes : on top of what there is already.
    Raises OSError that says what happened when the work raised an error, or did not come to its end.
    """
    if not hasattr(os, "fork"):
        return {}
    reading, writing = os.pipe()
    try:
        child = fork()
    except OSError:  # no room for another process: then it must go without
        os.close(reading)
        os.close(writing)
        return {}
    if child == 0:
        _do_and_end(work, writing, cpu_seconds, memory_bytes)
    os.close(writing)
    with open(reading, "rb") as pipe:
        told = pipe.read()
    status = 0
    with suppress(ChildProcessError):  # whoever started us takes no notice of children, so neither can we
        _, status = os.waitpid(child, 0)
    if status or not told:
        raise OSError(how_it_ended(status))
    answer: dict[str, dict[str, str]] = json.loads(told)
    if "error" in answer:
        raise OSError(answer["error"]["text"])
    return answer["done"]


def fork() -> int:
    """Return the number of a new child, or 0 in the child itself, which must end with `os._exit`."""
    with _forking, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child takes no lock that they might hold
        return os.fork()


def how_it_ended(status: int) -> str:
    """Return what the exit status of a child says."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number == signal.SIGXCPU:
        return "the HDF5 library came to no end"
    return f"the HDF5 library failed with {signal.Signals(number).name}" if number else "the HDF5 library failed"


def prepare_child() -> None:
    """Let a child end quietly: what happens in it is told by its parent, in one line."""
    import faulthandler

    faulthandler.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the C library has its say when memory is found damaged
    sys.stderr = None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def set_limits(cpu_seconds: int, memory_bytes: int) -> None:
    """Set what this process may compute in all, and what memory it may take on top of what it has."""
    import resource

    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, cpu_seconds)]
    with suppress(OSError):
        n_pages = int(Path("/proc/self/statm").read_text().split()[0])
        limits.append((resource.RLIMIT_AS, n_pages * resource.getpagesize() + memory_bytes))
    for limit, value in limits:
        with suppress(ValueError, OSError):  # where a lower limit is set already, it does
            resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))


def _do_and_end(work: Callable[[], dict[str, str]], writing: int, cpu_seconds: int, memory_bytes: int) -> None:
    try:
        prepare_child()
        set_limits(cpu_seconds, memory_bytes)
        answer: dict[str, dict[str, str]]
        try:
            answer = {"done": work()}
        except MemoryError:
            answer = {"error": {"text": f"what it says of itself takes more than {memory_bytes // MIB} MiB"}}
        except Exception as error:
            answer = {"error": {"text": reason(error)}}
        with open(writing, "w") as pipe:
            json.dump(answer, pipe)
    finally:
        os._exit(0)
