"""The child process in which the Arrow library reads: one for each time a file is described, one that stays for values.

The library is made for files of strangers, and yet some with a few wrong bytes end the process that reads them, or ask
for all the memory there is.
"""

import json
import os
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import partial
from io import BufferedReader, BufferedWriter
from typing import Any

import numpy as np
import pyarrow as pa

from cka_cli.errors import reason
from cka_cli.files.arrow_files import Opened
from cka_cli.files.arrow_values import UnfitError
from cka_cli.files.layer import Reader
from cka_cli.files.sandbox import Child, how_it_ended, set_limits

_LIBRARY = "the Arrow library"
# What an answer may take: of computing, at a pace below that of any codec; of memory, beside two times the files.
_LEAST_SECONDS, _BYTES_PER_SECOND, _LEAST_BYTES = 4, 1 << 22, 1 << 28


class Library(Reader):
    """Asks a child about files, one thread at a time."""

    _here = ("_child",)

    def __init__(self, paths: list[str], n_bytes: int):
        super().__init__()
        self._paths, self._n_bytes = paths, n_bytes
        self._child: Child | None = None

    def ask(self, asked: dict[str, Any], n_bytes: int) -> Generator[Any, None, None]:
        """Give the answer part by part: rows, or what the files are.

        n_bytes : that are unpacked for it. Raises OSError that says what happened, UnfitError for what is no array.
        """
        asked |= {"seconds": _LEAST_SECONDS + n_bytes // _BYTES_PER_SECOND, "bytes": _LEAST_BYTES + 2 * self._n_bytes}
        with self._lock:
            try:
                # A child that is not asked to the end is of no use to whoever asks next.
                child, self._child = self._child or Child(partial(_serve, self._paths)), None
            except (OSError, AttributeError):  # no room for another process, or no such thing as a child
                try:
                    yield from _answers(Opened(self._paths), asked)
                except UnfitError:
                    raise
                except Exception as error:
                    raise OSError(reason(error)) from error
                return
            with suppress(BrokenPipeError):
                child.asking.write(json.dumps(asked).encode() + b"\n")
                child.asking.flush()
            while line := child.answers.readline():
                told = json.loads(line)
                if "end" in told:
                    self._child = child if "column" in asked else None
                    if told["end"]:
                        raise (UnfitError if told["is_unfit"] else OSError)(told["end"])
                    return
                if "told" in told:
                    yield told["told"]
                    continue
                array = np.empty(told["shape"], np.dtype(told["dtype"]))
                if child.answers.readinto(array.reshape(-1).view(np.uint8).data) < array.nbytes:
                    break
                yield array
            raise OSError(how_it_ended(child.end(), _LIBRARY))


def _answers(opened: Opened, asked: dict[str, Any]) -> Iterator[Any]:
    return opened.rows(asked) if "column" in asked else iter([opened.described(asked["n_files"])])


def _serve(paths: list[str], asking: BufferedReader, answers: BufferedWriter) -> None:
    """Answer what is asked until nobody asks any more."""
    pa.set_memory_pool(pa.system_memory_pool())  # takes what it needs, not a gigabyte of addresses beforehand
    opened = Opened(paths)
    for line in asking:
        asked = json.loads(line)
        set_limits(int(sum(os.times()[:2])) + 1 + asked["seconds"], asked["bytes"])
        end: dict[str, Any] = {"end": ""}
        try:
            for part in _answers(opened, asked):
                if not isinstance(part, np.ndarray):
                    answers.write(json.dumps({"told": part}).encode() + b"\n")
                    continue
                array = np.ascontiguousarray(part)
                answers.write(json.dumps({"shape": array.shape, "dtype": array.dtype.str}).encode() + b"\n")
                answers.write(array.reshape(-1).view(np.uint8).data)
        except MemoryError:
            end = {"end": f"it takes more than {asked['bytes'] >> 20} MiB", "is_unfit": False}
        except Exception as error:
            end = {"end": reason(error), "is_unfit": isinstance(error, UnfitError)}
        answers.write(json.dumps(end).encode() + b"\n")
        answers.flush()
