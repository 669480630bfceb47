"""What a long run has done so far, in one file: saved whole or not at all, and refused where anything has changed.

The sums of tiles are added in a fixed order, so a run that goes on from saved sums ends with the same bits as one that
was never broken off. The file holds text (what the run is of, and its plan) and plain arrays; nothing is unpickled.
A signal is answered by another thread than the one that adds: a lock keeps it from saving half an addition.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from cka_cli.arrays import Array, pieces
from cka_cli.errors import DataError, one_line
from cka_cli.files.registry import members
from cka_cli.reductions.protocol import Reduction
from cka_cli.system.atomic_files import folder_trouble, replace_file

if TYPE_CHECKING:
    import hashlib

    from _typeshed import DataclassInstance

_MAGIC = b"cka checkpoint 1\n"
_DIGEST_BYTES = 64
EVERY_S = 30.0
# A save that takes longer makes the next one wait longer, so that saving takes a twentieth of the time at most.
_SHORT_SAVE_S = EVERY_S / 20
# How long the end by a signal waits for an addition, or for a save, that has begun.
_WAIT_S = 1.0
_N_SAMPLES = 16
_SAMPLE_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 20

# What comes of a state that we have not written, though its digest is right.
_WRITTEN_BY_HAND = (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError, OverflowError)

_N_ADDED = "n_added"


class Checkpoint:
    """The state of a run by stages, kept in a file where there is one.

    plan : of the run that is continued; None for a new one.
    trouble : why it could not be saved the last time; the run goes on.
    """

    def __init__(self, path: str | None = None, facts: Mapping[str, Any] | None = None):
        """Read the file if it exists.

        facts : what the run is of; the file must say the same. Raises DataError for a file that is no checkpoint, a
        damaged one, or one of another run, and says what differs.
        """
        self._path, self._facts = path, _plain(facts or {})
        self.plan: dict[str, Any] | None = None
        self._stages: dict[str, dict[str, Array]] = {}
        self._live: dict[str, Reduction[Any, Any]] = {}  # of which something was added or restored
        self._lock, self._is_ending, self._is_whole = Lock(), False, True
        self._saved_at, self._has_saved, self._is_saved = time.monotonic(), False, True
        self._save_took_s = 0.0
        self.trouble = ""
        if path is not None:
            if trouble := folder_trouble(path):
                raise DataError(f"{path}: the checkpoint cannot be kept ({trouble}); give another name")
            if os.path.exists(path):
                self._load(path)
            _remove_leftovers(path)

    def set_plan(self, plan: "DataclassInstance") -> None:
        """Say by which plan the work is done: it must be the same when the run goes on."""
        if self._path is not None:
            self.plan = _plain(asdict(plan))

    def restore(self, reduction: Reduction[Any, Any]) -> None:
        """Give a reduction the state that was saved of it; leave it as it is when nothing was.

        Raises DataError when what was saved has other names or shapes: then somebody has written the file by hand.
        """
        if reduction.name not in self._stages or not reduction.is_kept:
            return
        saved = dict(self._stages[reduction.name])
        try:
            n_added = int(saved.pop(_N_ADDED)[0])
            reduction.restore(saved)
            if not 0 <= n_added <= len(reduction.costs()):
                raise ValueError(n_added)
        except (*_WRITTEN_BY_HAND, IndexError) as error:
            raise DataError(
                f"{self._path}: the checkpoint is damaged (its {reduction.name} do not fit); remove it to start anew"
            ) from error
        reduction.n_added = n_added
        with self._lock:
            del self._stages[reduction.name]
            self._live[reduction.name] = reduction

    @contextmanager
    def adding(self, reduction: Reduction[Any, Any]) -> Iterator[None]:
        """Within this block the state of a reduction changes, and nobody saves; after it, it is saved, if it is time.

        Keep the block short.
        """
        if self._path is None or not reduction.is_kept:
            yield
            return
        self._wait_if_ending()
        with self._lock:
            self._is_whole = self._is_saved = False
            yield
            self._is_whole, self._live[reduction.name] = True, reduction
            if time.monotonic() - self._saved_at >= EVERY_S * max(1.0, self._save_took_s / _SHORT_SAVE_S):
                self._save()

    @contextmanager
    def running(self, plan: "DataclassInstance") -> Iterator["Checkpoint"]:
        """Within this block a plan is carried out, and the end by a signal saves what is done."""
        global _current
        self.set_plan(plan)
        _current = self
        try:
            yield self
        finally:
            self._wait_if_ending()
            with self._lock:
                self._live.clear()
                self._stages.clear()

    def _wait_if_ending(self) -> None:
        """Leave the state to whoever saves it: the process ends then."""
        while self._is_ending:
            time.sleep(_WAIT_S)

    def _save(self) -> None:
        begun = time.monotonic()
        assert self._path is not None
        try:
            replace_file(self._path, self._write, beside=_beside(self._path))
            self.trouble, self._has_saved, self._is_saved = "", True, True
        except OSError as error:
            self.trouble = error.strerror or str(error)
        self._saved_at = time.monotonic()
        self._save_took_s = self._saved_at - begun

    def end(self) -> str:
        """Save what is done, for the process ends; return in words what is kept, empty when nothing is.

        What cannot be had within a second, because it is being added to or saved, is left out.
        """
        self._is_ending = True
        saved_at, had_saved = self._saved_at, self._has_saved
        goes_on, trouble = f"in {self._path}; the same command goes on from there", ""
        if self._lock.acquire(timeout=_WAIT_S) and self._is_whole and (self._live or self._stages):
            if not self._is_saved:
                self._save()
            if not self.trouble:
                return f"what is done is kept {goes_on}"
            trouble = f"what is done could not be saved ({self.trouble})"
        if self._path is None or not os.path.exists(self._path):
            return trouble
        since = f", {time.monotonic() - saved_at:.0f} s ago," if had_saved else ""
        return f"{trouble}{', ' * bool(trouble)}the last save{since} is {goes_on}"

    def _write(self, stream: BinaryIO) -> None:
        """Write all states as they are: nothing is copied, for they may be large."""
        live = {name: {_N_ADDED: np.array([each.n_added]), **each.state()} for name, each in self._live.items()}
        stages = self._stages | live
        arrays = {f"{stage}/{key}": values for stage, state in stages.items() for key, values in state.items()}
        import json

        header = json.dumps({"facts": self._facts, "plan": self.plan, "arrays": list(arrays)}).encode()
        stream.write(_MAGIC + b" " * _DIGEST_BYTES)
        body = _Digested(stream)
        body.write(len(header).to_bytes(8, "little") + header)
        for values in arrays.values():
            _write_array(body, values)
        stream.seek(len(_MAGIC))
        stream.write(body.digest.hexdigest().encode())

    def _load(self, path: str) -> None:
        foreign = DataError(f"{path}: exists already and is no checkpoint; give another name to --checkpoint")
        if not os.path.isfile(path) and not os.path.isdir(path):  # a pipe or a device, which may have no end
            raise foreign
        try:
            with open(path, "rb") as stream:
                if stream.read(len(_MAGIC)) != _MAGIC:
                    raise foreign
                digest, body = stream.read(_DIGEST_BYTES), _Digested(stream)
                try:
                    difference = self._read_body(body)
                except OSError:
                    raise
                except Exception:  # anything may come of damaged bytes: numpy reads headers of arrays as Python
                    difference = None
                is_whole = not stream.read(1) and body.digest.hexdigest().encode() == digest
                size = os.fstat(stream.fileno()).st_size
        except OSError as error:
            raise DataError(f"{path}: the checkpoint cannot be read ({error.strerror}); give another name") from error
        if difference is None or not is_whole:
            raise DataError(f"{path}: the checkpoint is damaged ({size} bytes); remove it to start anew")
        if difference:
            raise DataError(f"{path}: is the checkpoint of another run ({difference}); give another name, or remove it")

    def _read_body(self, stream: "_Digested") -> str:
        """Read plan and states of this run; of another one read to the end, and return what differs."""
        import json
        import warnings

        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        facts, self.plan, names = header["facts"], dict(header["plan"]), list(header["arrays"])
        if difference := _difference(facts, self._facts):
            while stream.read(_BLOCK_BYTES):
                pass
            return difference
        for name in names:
            stage, _, key = name.rpartition("/")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of damaged headers, which are errors anyway
                values = np.lib.format.read_array(stream, allow_pickle=False)
            if values.dtype.kind not in "fi":
                raise ValueError("no numbers")
            self._stages.setdefault(stage, {})[key] = values
        return ""


# The run that goes on, or that went on last.
_current: Checkpoint | None = None


def kept_at_end() -> str:
    """Save what is done of the run that goes on, since the process ends; return in words what is kept."""
    return _current.end() if _current is not None else ""


class _Digested:
    """A stream, and the digest of all that is written to it, or read of it."""

    def __init__(self, stream: BinaryIO):
        self._stream, self.digest = stream, _sha256()

    def write(self, data: bytes | memoryview) -> int:
        self.digest.update(data)
        return self._stream.write(data)

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        return data


def _write_array(stream: _Digested, values: Array) -> None:
    """Write an array of numbers as NPY, block by block.

    numpy's own function copies 16 MiB at a time into memory that is new each time: four times as long.
    """
    header = np.lib.format.header_data_from_array_1_0(values)
    np.lib.format.write_array_header_1_0(stream, header)
    rows = values.T if header["fortran_order"] else values
    for some in pieces(len(rows), _BLOCK_BYTES * len(rows) // max(1, rows.nbytes)):  # of one axis or more
        stream.write(np.ascontiguousarray(rows[some]).reshape(-1).data)


def facts_of_file(path: str) -> dict[str, Any]:
    """Return size, time of last change and a hash of samples of a file, or of each file that it is made of."""
    if (files := members(path)) != [path]:
        return {member: facts_of_file(member) for member in files}
    status = os.stat(path)
    digest = _sha256()
    with open(path, "rb") as stream:
        for number in range(_N_SAMPLES):
            stream.seek(max(0, status.st_size - _SAMPLE_BYTES) * number // (_N_SAMPLES - 1))
            digest.update(stream.read(_SAMPLE_BYTES))
    return {"size": status.st_size, "changed": status.st_mtime_ns, "samples": digest.hexdigest()[:16]}


def _sha256() -> "hashlib._Hash":
    import hashlib  # few runs keep a checkpoint

    return hashlib.sha256()


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as they come back from JSON."""
    if not values:  # no checkpoint is wanted: spare the start of a small run the import
        return {}
    import json

    result: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return result


def _difference(saved: Any, wanted: Any, where: Sequence[str] = ()) -> str:
    """Return the first thing that differs, in words; empty when nothing does."""
    if isinstance(saved, dict) and isinstance(wanted, dict):
        for key in [*saved, *(key for key in wanted if key not in saved)]:
            if difference := _difference(saved.get(key), wanted.get(key), (*where, key)):
                return difference
        return ""
    if isinstance(saved, list) and isinstance(wanted, list) and len(saved) == len(wanted):
        differences = (_difference(one, other, where) for one, other in zip(saved, wanted, strict=True))
        return next(filter(None, differences), "")
    if saved == wanted:
        return ""
    texts = [one_line(text if len(text) <= 60 else text[:60] + "...") for text in map(str, (saved, wanted))]
    return f"{' '.join(map(one_line, where))}: {texts[0]} then, {texts[1]} now"


def _beside(path: str) -> str:
    target = os.path.realpath(path)
    return os.path.join(os.path.dirname(target), f".{os.path.basename(target)}.{os.getpid()}.part")


def _remove_leftovers(path: str) -> None:
    """Remove what killed runs left half-written beside the checkpoint."""
    target = os.path.realpath(path)
    folder, start = os.path.dirname(target), f".{os.path.basename(target)}."
    with suppress(OSError):
        for name in os.listdir(folder):
            number = name.removeprefix(start).removesuffix(".part")
            if name == f"{start}{number}.part" and number.isdecimal() and not os.path.exists(f"/proc/{number}"):
                os.unlink(os.path.join(folder, name))
