"""A child process that gives mutated files to `cka`, one after another, and tells what became of each.

Reads case numbers from standard input, writes one line of JSON for each to the descriptor it was started with.
Many files to a process: a start of Python and its libraries would take longer than the files. The parent sees a crash
as the end of the process, a hang as its end by the watchdog.
"""

import ctypes
import faulthandler
import gc
import json
import os
import random
import resource
import struct
import sys
from pathlib import Path

from tests.fuzz import corpus, mutations

ADDRESS_SPACE_BYTES = 4 << 30
# Of computing: the machine may be busy. Of waiting, for what hangs or goes round for ever.
MOST_SECONDS, WATCHDOG_SECONDS = 10, 45
# What a command may take beyond its budget: the interpreter's and the libraries' own, and one block of reading.
MEMORY_BYTES = 64 << 20
MOST_GROWTH_BYTES = MEMORY_BYTES + (192 << 20)
_READ = [
    [],
    ["-k", "rbf", "-m", "cka-debiased", "-m", "cca-r2"],
    ["--pool", "mean", "-m", "svcca-r2", "-m", "procrustes"],
    ["--ids", "ids"],
    ["--examples", "2:20", "--nonfinite", "drop"],
    ["--sample", "9", "-k", "laplacian"],
    ["--nonfinite", "drop", "-m", "hsic-unbiased"],
]
_TIGHT = ["--memory", "5MiB"]
# What the interpreter has when it starts a child, and headers on top.
MOST_CHILD_BYTES = 800 << 20


def sound_files(kind):
    """Return name -> bytes of the files that mutations start from: those with `kind` in their name."""
    return {name: data for name, data in corpus.corpus().items() if kind in name}


def case(seed, number, sound):
    """Return (name of the sound file, bytes of the mutated one, random state for what is done with it)."""
    state = random.Random(f"{seed}:{number}")
    name = state.choice(list(sound))
    return name, mutations.mutated(name, sound[name], list(sound.values()), state), state


def commands(name, path, state):
    """Return the command lines that a mutated file is given to."""
    if name.endswith(("csv", "json")):
        return [["heatmap", path, "--dpi", "50", "--format", state.choice(("svg", "png"))]]
    options = state.choice(_READ) + (_TIGHT if state.random() < 0.3 else ["--memory", f"{MEMORY_BYTES >> 20}MiB"])
    pair = state.choice(([path], [path], [path, "sound.h5"], ["sound.h5", path]))
    found = [["inspect", path], ["compare", *pair, *options, "--threads", "2"]]
    if state.random() < 0.1:
        found[1][0] = "heatmap"
        found[1] += ["--dpi", "50"]
    return found


class Watched:
    """Tells which files of a folder were opened, changed or made: inotify, by way of the C library."""

    _EVENTS = 0x2 | 0x4 | 0x20 | 0x40 | 0x80 | 0x100 | 0x200  # modify, attrib, open, moves, create, delete

    def __init__(self, folder):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), self._EVENTS)

    def names(self):
        """Return the names of the files touched since the last call."""
        found = set()
        while True:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                return found
            place = 0
            while place < len(data):
                _, _, _, length = struct.unpack_from("iIII", data, place)
                name = data[place + 16 : place + 16 + length].rstrip(b"\0").decode()
                if name:
                    found.add(name)
                place += 16 + length


def _status_bytes(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


def run_command(arguments, stdout, stderr):
    """Run `cka` in this process; return (exit status or the name of an exception, seconds, bytes of growth)."""
    from cka_cli.cli import main

    for stream in (stdout, stderr):
        stream.seek(0)
        stream.truncate()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before, started = _status_bytes("VmRSS"), _cpu_seconds()
    faulthandler.dump_traceback_later(WATCHDOG_SECONDS, exit=True, file=_faults)
    try:
        main(arguments)
        status = "returned"
    except SystemExit as error:
        status = error.code
    except BaseException as error:  # whatever it is, it is what we look for
        import traceback

        status = "".join(traceback.format_exception(error))
    finally:
        faulthandler.cancel_dump_traceback_later()
    sys.stdout.flush()
    sys.stderr.flush()
    return status, _cpu_seconds() - started, _status_bytes("VmHWM") - before


def _cpu_seconds():
    """Return the seconds computed by this process and by children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def judge(status, out, err, seconds, growth, touched):
    """Return what is wrong with how a command ended, or None."""
    lines = err.splitlines()
    if not isinstance(status, int):
        return f"exception: {status.strip().splitlines()[-1]}"
    if status not in (0, 1, 2):
        return f"status {status}"
    if touched:
        return f"touched {sorted(touched)}"
    if status == 0 and (not out or any(not line.startswith("Note: ") for line in lines)):
        return f"status 0, and standard error: {err[:200]!r}, {len(out)} bytes of output"
    if status and (len(lines) != 1 or not lines[0].startswith("Error: ") or not lines[0].isprintable() or out):
        return f"status {status}, and standard error: {err[:300]!r}"
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if children > MOST_CHILD_BYTES:
        return f"a child took {children >> 20} MiB"
    if "out of memory" in err:
        return "out of memory"
    if growth > MOST_GROWTH_BYTES:
        return f"took {growth >> 20} MiB"
    if seconds > MOST_SECONDS:
        return f"took {seconds:.1f} s"
    return None


def main(seed, kind, folder, keep):
    """Serve cases until standard input ends."""
    global _faults
    replies = os.fdopen(os.dup(1), "w")
    scratch = Path(folder)
    _faults = open(scratch / "faults", "w")  # noqa: SIM115 - as long as the process
    faulthandler.enable(_faults)
    stdout, stderr = (open(scratch / name, "w+b") for name in ("stdout", "stderr"))  # noqa: SIM115 - the same
    os.dup2(stdout.fileno(), 1)
    os.dup2(stderr.fileno(), 2)
    place = scratch / "place"
    place.mkdir(exist_ok=True)
    os.chdir(place)
    for name, data in corpus.other_files().items():
        Path(name).write_bytes(data)
    sound = sound_files(kind)
    Path("warm.npy").write_bytes(corpus.corpus()["rows.npy"])
    for arguments in (["inspect", "sound.h5"], ["compare", "sound.h5"], ["heatmap", "warm.npy", "--dpi", "50"]):
        status, *_ = run_command(arguments, stdout, stderr)
        assert status == 0, (arguments, status)
    gc.collect()
    gc.freeze()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    watched = Watched(place)
    for line in sys.stdin:
        number = int(line)
        name, data, state = case(seed, number, sound)
        path = f"case{number}.{name.rpartition('.')[2]}"
        written = corpus.write(path, data)
        if keep:
            corpus.write(str(Path(keep, path)), data)
        watched.names()
        results = []
        for arguments in commands(name, path, state):
            status, seconds, growth = run_command(arguments, stdout, stderr)
            out, err = (Path(scratch / name).read_bytes() for name in ("stdout", "stderr"))
            touched = watched.names() - set(written) - {each for each in arguments if each == "sound.h5"}
            wrong = judge(status, out, err.decode("utf-8", "replace"), seconds, growth, touched)
            results.append(
                {
                    "arguments": arguments,
                    "status": status,
                    "seconds": round(seconds, 3),
                    "growth": growth,
                    "said": err.decode("utf-8", "replace")[:2000],
                    "wrong": wrong,
                }
            )
            gc.collect()
        for each in written:
            os.unlink(each)
        replies.write(json.dumps({"done": number, "name": name, "results": results}) + "\n")
        replies.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else None)
