"""`make fuzz`: mutated files through the commands; every failure with the seed and number that repeat it.

python -m tests.fuzz --count 2000                   2000 files, by a seed that is drawn and printed
python -m tests.fuzz --count 2000 --seed 1          2000 files, the same each time
python -m tests.fuzz --seed 1 --only 1234           one of them again, and what was said; kept in .fuzz/
"""

import argparse
import json
import secrets
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.worker import case, sound_files

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".fuzz"
# For a worker whose own watchdog does not end it.
_SILENCE_S = 240


class Worker:
    """A child process, started anew when it dies."""

    def __init__(self, seed, kind, keep):
        self._seed, self._kind, self._keep = seed, kind, keep
        self._process = None

    def run(self, number):
        """Return the result of one case, as the worker tells it or as its death does."""
        if self._process is None:
            self._start()
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        # One line for a case, so that no line can wait in a buffer that select does not see.
        ready, _, _ = select.select([self._process.stdout], [], [], _SILENCE_S)
        line = self._process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        name, *_ = case(self._seed, number, sound_files(self._kind))
        return {"done": number, "name": name, "died": self._end(is_silent=not ready)}

    def _start(self):
        self._folder = tempfile.TemporaryDirectory(prefix="cka-fuzz-")
        command = [sys.executable, "-m", "tests.fuzz.worker", str(self._seed), self._kind, self._folder.name]
        self._process = subprocess.Popen(
            [*command, str(self._keep)] if self._keep else command,
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={"PATH": "/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "1", "MALLOC_PERTURB_": "165"},
        )  # fmt: skip

    def _end(self, *, is_silent):
        """Return how the worker died, with the place in the code where it was."""
        if is_silent:
            self._process.kill()
        status = self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        faults = (Path(self._folder.name) / "faults").read_text(errors="replace")
        kind = "hang" if "Timeout" in faults or is_silent else f"crash (status {status})"
        frames = [line.strip() for line in faults.splitlines() if "File" in line] or faults.splitlines()
        self._process = None
        self._folder.cleanup()
        return f"{kind}: {' < '.join(frames[:8])}"

    def close(self):
        """End the worker."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._folder.cleanup()


@dataclass
class Tally:
    """What became of the cases so far."""

    n_cases: int = 0
    outcomes: Counter = field(default_factory=Counter)
    n_ended_apart: int = 0
    failures: list = field(default_factory=list)
    slowest: tuple = (0.0, -1)

    def add(self, result):
        """Count one case."""
        self.n_cases += 1
        kind = result["name"].rpartition(".")[2]
        if "died" in result:
            self.outcomes[kind, "died"] += 1
            self.failures.append((result["done"], result["name"], result["died"]))
            return
        for each in result["results"]:
            status = each["status"] if isinstance(each["status"], int) else "exception"
            self.outcomes[kind, status] += 1
            self.n_ended_apart += any(f"the {each_of} library" in each["said"] for each_of in ("HDF5", "Arrow"))
            self.slowest = max(self.slowest, (each["seconds"], result["done"]))
            if each["wrong"]:
                self.failures.append(
                    (result["done"], result["name"], f"{' '.join(each['arguments'])}: {each['wrong']}")
                )


def main():
    """Run the cases asked for; the exit status is 1 when one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, help="drawn when none is given")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of cases to repeat, told in full")
    parser.add_argument("--kind", default="", help="files whose name has this in it, such as h5 or chunks")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.only:
        if options.seed is None:
            parser.error("--only: needs the --seed that was printed with the failure")
        return _repeat(options)
    if options.seed is None:
        options.seed = secrets.randbelow(1 << 32)
    print(f"seed {options.seed}; a case is repeated by: --seed {options.seed} --only NUMBER", flush=True)
    started = time.monotonic()
    tally = _run_all(options)
    seconds = time.monotonic() - started
    print(f"{tally.n_cases} files, seed {options.seed}, {seconds:.0f} s; commands by kind of file and exit status:")
    for kind in sorted({kind for kind, _ in tally.outcomes}):
        statuses = {str(status): count for (each, status), count in tally.outcomes.items() if each == kind}
        print(f"  {kind:5}", "  ".join(f"{status}: {count}" for status, count in sorted(statuses.items())))
    print(f"refused because a child ended or came to no end in a library: {tally.n_ended_apart} commands")
    print(f"slowest command: {tally.slowest[0]} s of computing (case {tally.slowest[1]})")
    for number, name, wrong in sorted(tally.failures):
        print(f"FAILED {number} ({name}): {wrong}")
    print(f"{len(tally.failures)} failures")
    return 1 if tally.failures else 0


def _run_all(options):
    """Run the cases, each worker a share of them."""
    from concurrent.futures import ThreadPoolExecutor

    tally = Tally()

    def serve(share):
        worker = Worker(options.seed, options.kind, None)
        for number in range(options.first + share, options.first + options.count, options.workers):
            result = worker.run(number)
            tally.add(result)
            if tally.n_cases % 500 == 0:
                print(
                    f"{tally.n_cases} of {options.count}, {len(tally.failures)} failures", file=sys.stderr, flush=True
                )
        worker.close()

    with ThreadPoolExecutor(options.workers) as pool:
        list(pool.map(serve, range(options.workers)))
    return tally


def _repeat(options):
    KEPT.mkdir(exist_ok=True)
    failed = False
    for number in options.only:
        worker = Worker(options.seed, options.kind, KEPT)
        result = worker.run(number)
        worker.close()
        print(json.dumps(result, indent=1))
        failed = failed or "died" in result or any(each["wrong"] for each in result["results"])
    print(f"files that did not end the process are in {KEPT}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
