"""The kinds of benchmarks: what is run, and how a row of the table follows from the runs."""

import csv
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from activations import Activations
from peers import python_of
from processes import ROOT, Run, child_environment, run_interleaved
from rows import Row, bytes_text, ratio_text, seconds_text, target_text

HERE = Path(__file__).parent
_START_UP_RUNS = 5  # times as many as elsewhere: a start takes milliseconds


@dataclass(frozen=True)
class Workbench:
    """Where things are made and how often they are run; `scale` below 1 shrinks the data for a trial."""

    data: Path
    peers: Path
    n_runs: int
    scale: float


@dataclass(frozen=True)
class Command:
    """A program, `cka`, `python` or the name of a peer, and its arguments, where {x} and {y} are activation files."""

    program: str
    arguments: tuple[str, ...]
    activations: Activations | None = None

    def resolved(self, bench: Workbench) -> list[str]:
        """Return the command with real paths, its files and its interpreter made where they are missing."""
        paths = {"here": str(HERE)}
        if self.activations:
            x_path, y_path = self.activations.scaled(bench.scale).make(bench.data)
            paths |= {"x": str(x_path), "y": str(y_path)}
        return [str(self._executable(bench)), *(word.format(**paths) for word in self.arguments)]

    def _executable(self, bench: Workbench) -> Path:
        ours = {"python": Path(sys.executable), "cka": Path(sys.executable).with_name("cka")}
        return ours.get(self.program) or python_of(self.program, bench.peers)

    def __str__(self) -> str:
        program = self.program if self.program in ("cka", "python") else f"PEERS/{self.program}/bin/python"
        here = str(HERE.relative_to(ROOT))
        words = [word.format(here=here, x="X.h5", y="Y.h5") for word in self.arguments]
        return " ".join([program, *(f"'{word}'" if " " in word else word for word in words)])


@dataclass(frozen=True)
class Other:
    """What cka is measured against: its command, a word for it, and the imports that are part of its time."""

    command: Command
    label: str
    imports: str = "h5py, numpy"


class Case(Protocol):
    """One line of the table."""

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def command(self) -> str: ...
    def measure(self, bench: Workbench) -> Row: ...


@dataclass(frozen=True)
class Against:
    """Wall time of cka over that of others; the ratio is to the slowest of them."""

    name: str
    about: str
    ours: Command
    others: tuple[Other, ...]
    max_ratio: float
    coretype: str | None = None
    agrees: bool = False  # others print a matrix, which is compared with that of cka

    @property
    def target(self) -> str:
        return target_text(self.max_ratio)

    @property
    def command(self) -> str:
        prefix = f"OPENBLAS_CORETYPE={self.coretype} " if self.coretype else ""
        return f"`{prefix}{self.ours}`"

    def measure(self, bench: Workbench) -> Row:
        environment = child_environment(self.coretype)
        commands = [command.resolved(bench) for command in (self.ours, *(other.command for other in self.others))]
        ours, *theirs = run_interleaved(commands, environment, bench.n_runs)
        slowest = max(theirs, key=_median_wall_s)
        ratio = _median_ratio(_walls_s(ours), _walls_s(slowest))
        notes = [f"peak {' / '.join(bytes_text(_peak_bytes(runs)) for runs in (ours, *theirs))}"]
        if self.agrees:
            notes.append(f"largest difference {_largest_difference(ours[-1].output, theirs[0][-1].output):.1e}")
            notes.append(f"{self.others[0].label}: {self._imports_s(bench, environment)} of its time are imports")
        return Row(
            name=self.name,
            ours=seconds_text(_median_wall_s(ours)),
            other=", ".join(
                f"{seconds_text(_median_wall_s(runs))} {other.label}"
                for other, runs in zip(self.others, theirs, strict=True)
            ),
            ratio=ratio_text(ratio),
            target=self.target,
            is_met=ratio <= self.max_ratio,
            note="; ".join(notes),
            command=self.command,
        )

    def _imports_s(self, bench: Workbench, environment: dict[str, str]) -> str:
        command = Command(self.others[0].command.program, ("-c", f"import {self.others[0].imports}"))
        return seconds_text(_median_wall_s(run_interleaved([command.resolved(bench)], environment, bench.n_runs)[0]))


@dataclass(frozen=True)
class WithinMemory:
    """The largest memory of cka under a limit, which the run must also survive; its time is told."""

    name: str
    about: str
    ours: Command
    max_peak_bytes: int

    @property
    def target(self) -> str:
        return f"peak ≤ {self.max_peak_bytes / 2**20:.0f} MiB"

    @property
    def command(self) -> str:
        return f"`{self.ours}`"

    def measure(self, bench: Workbench) -> Row:
        (runs,) = run_interleaved([self.ours.resolved(bench)], child_environment(), bench.n_runs, warm_up=False)
        peak_bytes = _peak_bytes(runs)
        return Row(
            name=self.name,
            ours=seconds_text(_median_wall_s(runs)),
            target=self.target,
            is_met=peak_bytes <= self.max_peak_bytes,
            note=f"peak {bytes_text(peak_bytes)}",
            command=self.command,
        )


@dataclass(frozen=True)
class Growth:
    """Wall time of cka at sizes that double; the ratios are those of each size to the one before."""

    name: str
    about: str
    arguments: tuple[str, ...]
    sizes: tuple[Activations, ...]
    max_ratio: float | None
    max_peak_ratio: float | None = None

    @property
    def target(self) -> str:
        if not self.max_ratio:
            return "told"
        of_peak = f", peak {target_text(self.max_peak_ratio)}," if self.max_peak_ratio else ""
        return f"{target_text(self.max_ratio)}{of_peak} per doubling"

    @property
    def command(self) -> str:
        return f"`{Command('cka', self.arguments)}`"

    def measure(self, bench: Workbench) -> Row:
        commands = [Command("cka", self.arguments, size).resolved(bench) for size in self.sizes]
        series = run_interleaved(commands, child_environment(), bench.n_runs)
        peaks = [_peak_bytes(runs) for runs in series]
        peak_ratios = [larger / smaller for smaller, larger in pairwise(peaks)]
        ratios = [_median_ratio(_walls_s(larger), _walls_s(smaller)) for smaller, larger in pairwise(series)]
        return Row(
            name=self.name,
            ours=", ".join(seconds_text(_median_wall_s(runs)) for runs in series),
            ratio=", ".join(map(ratio_text, ratios)),
            target=self.target,
            is_met=None if self.max_ratio is None else self._is_met(ratios, peak_ratios),
            note=f"peak {', '.join(map(bytes_text, peaks))}; its ratios {', '.join(map(ratio_text, peak_ratios))}",
            command=self.command,
        )

    def _is_met(self, ratios: list[float], peak_ratios: list[float]) -> bool:
        is_slow = self.max_ratio is not None and max(ratios) > self.max_ratio
        return not is_slow and (self.max_peak_ratio is None or max(peak_ratios) <= self.max_peak_ratio)


@dataclass(frozen=True)
class GoingOn:
    """What breaking a run off and going on costs: both times over that of an unbroken run, for several moments."""

    name: str
    about: str
    activations: Activations
    options: tuple[str, ...]
    max_ratio: float = 1.1

    @property
    def target(self) -> str:
        return f"≤ {self.max_ratio}"

    @property
    def command(self) -> str:
        return f"`{self._command}`"

    @property
    def _command(self) -> Command:
        return Command("python", ("{here}/going_on.py", "{x}", "{y}", *self.options), self.activations)

    def measure(self, bench: Workbench) -> Row:
        (runs,) = run_interleaved([self._command.resolved(bench)], child_environment(), bench.n_runs)
        found = [json.loads(run.output) for run in runs]
        parts = list(found[0]["ratios"])
        medians = [statistics.median(each["ratios"][part] for each in found) for part in parts]
        return Row(
            name=self.name,
            ours=seconds_text(statistics.median(each["whole_s"] for each in found)),
            ratio=", ".join(f"{ratio:.2f}" for ratio in medians),
            target=self.target,
            is_met=max(medians) <= self.max_ratio,
            note=f"broken off after {', '.join(parts)} of the time",
            command=self.command,
        )


@dataclass(frozen=True)
class StartUp:
    """Processor time of a cka command over that of the imports it cannot do without."""

    name: str
    about: str
    ours: Command
    other: Command
    max_ratio: float

    @property
    def target(self) -> str:
        return target_text(self.max_ratio)

    @property
    def command(self) -> str:
        return f"`{self.ours}` against `{self.other}`"

    def measure(self, bench: Workbench) -> Row:
        commands = [self.ours.resolved(bench), self.other.resolved(bench)]
        runs = run_interleaved(commands, child_environment(), _START_UP_RUNS * bench.n_runs)
        ours_s, other_s = ([run.cpu_s for run in side] for side in runs)
        ratio = _median_ratio(ours_s, other_s)
        return Row(
            name=self.name,
            ours=seconds_text(statistics.median(ours_s)),
            other=f"{seconds_text(statistics.median(other_s))} imports",
            ratio=ratio_text(ratio),
            target=self.target,
            is_met=ratio <= self.max_ratio,
            note="processor time",
            command=self.command,
        )


def _walls_s(runs: Sequence[Run]) -> list[float]:
    return [run.wall_s for run in runs]


def _median_wall_s(runs: Sequence[Run]) -> float:
    return statistics.median(_walls_s(runs))


def _peak_bytes(runs: Sequence[Run]) -> int:
    return max(run.peak_bytes for run in runs)


def _median_ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of the ratios of neighbouring runs: what slows both cancels."""
    return statistics.median(our / other for our, other in zip(ours, others, strict=True))


def _largest_difference(tidy_csv: str, matrix_json: str) -> float:
    """Return the largest difference between the cells of cka's tidy CSV and of a peer's matrix, row by row."""
    ours = [float(line["value"]) for line in csv.DictReader(tidy_csv.splitlines())]
    theirs: list[float] = [value for row in json.loads(matrix_json) for value in row]
    return max(abs(our - their) for our, their in zip(ours, theirs, strict=True))
