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
import weakref
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader, BufferedWriter
from pathlib import Path
from threading import Lock
from typing import Any

from cka_cli.errors import reason
from cka_cli.text import MIB

# No child is made while another is: it would hold the other end of that one's pipes, which then never come to an end.
_making = Lock()


class Child:
    """A process of ours that does what it is asked to, until it is no longer needed or does not survive it.

    asking, answers : streams to it and from it.
    """

    def __init__(self, serve: Callable[[BufferedReader, BufferedWriter], None]):
        """Let a new process call `serve` with what it is asked, and with the stream for its answers, and end then.

        Raises OSError where there is no room for another process, AttributeError where there is no such thing.
        """
        with _making:
            from_us, to_child = os.pipe()
            from_child, to_us = os.pipe()
            try:
                self._number = fork()
            except (OSError, AttributeError):
                for descriptor in (from_us, to_child, from_child, to_us):
                    os.close(descriptor)
                raise
            if self._number == 0:
                try:
                    os.close(to_child)
                    os.close(from_child)
                    _prepare()
                    serve(os.fdopen(from_us, "rb"), os.fdopen(to_us, "wb"))
                finally:
                    os._exit(0)
            os.close(from_us)
            os.close(to_us)
        self.asking, self.answers = os.fdopen(to_child, "wb"), os.fdopen(from_child, "rb")
        self._finalise = weakref.finalize(self, _kill, self._number, self.asking, self.answers)

    def end(self) -> int:
        """Wait for the process, which has ended or is about to, and return its exit status."""
        self._finalise.detach()
        status = 0
        with suppress(ChildProcessError):  # whoever started us takes no notice of children, so neither can we
            _, status = os.waitpid(self._number, 0)
        _close(self.asking, self.answers)
        return status


def _close(*streams: BufferedReader | BufferedWriter) -> None:
    for stream in streams:
        with suppress(OSError):
            stream.close()


def _kill(number: int, *streams: BufferedReader | BufferedWriter) -> None:
    """End a child that nobody needs any more."""
    _close(*streams)
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)


def tried(work: Callable[[], dict[str, str]], cpu_seconds: int, memory_bytes: int) -> dict[str, str]:
    """Return what the work gives when a child process does it; nothing where no child can be had.

    cpu_seconds : of computing, which waiting for a slow disk is not. memory_bytes : on top of what there is already.
    Raises OSError that says what happened when the work raised an error, or did not come to its end.
    """

    def serve(asked: BufferedReader, answers: BufferedWriter) -> None:
        set_limits(cpu_seconds, memory_bytes)
        answer: dict[str, Any]
        try:
            answer = {"done": work()}
        except MemoryError:
            answer = {"error": f"what it says of itself takes more than {memory_bytes // MIB} MiB"}
        except Exception as error:
            answer = {"error": reason(error)}
        answers.write(json.dumps(answer).encode())
        answers.flush()

    try:
        child = Child(serve)
    except (OSError, AttributeError):  # then it must go without
        return {}
    told = child.answers.read()
    status = child.end()
    if status or not told:
        raise OSError(how_it_ended(status))
    answer: dict[str, Any] = json.loads(told)
    if "error" in answer:
        raise OSError(answer["error"])
    done: dict[str, str] = answer["done"]
    return done


def fork() -> int:
    """Return the number of a new child, or 0 in the child itself, which must end with `os._exit`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child takes no lock that they might hold
        return os.fork()


def how_it_ended(status: int, library: str = "the HDF5 library") -> str:
    """Return what the exit status of a child says of the library that it works with."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number == signal.SIGXCPU:
        return f"{library} came to no end"
    return f"{library} failed with {signal.Signals(number).name}" if number else f"{library} failed"


def _prepare() -> None:
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
