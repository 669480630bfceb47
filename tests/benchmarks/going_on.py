"""What it costs to break `cka compare` off and to go on: the times of both runs over that of an unbroken one.

    python tests/benchmarks/going_on.py X.h5 Y.h5 [OPTIONS of cka compare]

Prints, as JSON, the ratio for each part of the unbroken time after which the run was broken off by Ctrl-C, and the
seconds of the unbroken run. All three keep a checkpoint; whole processes, start and reading included.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PARTS = (0.25, 0.5, 0.75, 0.95)
_INTERRUPTED = 130


def seconds(command: list[str], break_off_after_s: float | None = None) -> tuple[float, bool]:
    """Return how long a command takes, until it has ended or was ended by Ctrl-C, and whether it came to its end."""
    begun = time.monotonic()
    child = subprocess.Popen(command, stderr=subprocess.PIPE)
    if break_off_after_s is not None:
        try:
            child.wait(break_off_after_s)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
    _, said = child.communicate()
    if child.returncode not in ((0, _INTERRUPTED) if break_off_after_s else (0,)):
        raise SystemExit(f"{' '.join(command)}: status {child.returncode}: {said.decode()}")
    return time.monotonic() - begun, child.returncode == 0


def main(*arguments: str) -> None:
    cka = str(Path(sys.executable).with_name("cka"))
    with tempfile.TemporaryDirectory() as folder:
        kept = os.path.join(folder, "run.checkpoint")
        command = [cka, "compare", *arguments, "--checkpoint", kept, "-o", os.devnull, "-q"]
        seconds(command)  # the files are in memory from then on, for all alike
        whole_s, _ = seconds(command)
        ratios = {}
        for part in PARTS:
            total_s, has_ended = seconds(command, part * whole_s)
            while not has_ended:
                more_s, has_ended = seconds(command)
                total_s += more_s
            ratios[part] = total_s / whole_s
    print(json.dumps({"whole_s": whole_s, "ratios": ratios}))


if __name__ == "__main__":
    main(*sys.argv[1:])
