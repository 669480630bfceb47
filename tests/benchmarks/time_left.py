"""How far the time left that `cka compare` tells is from what it turns out to be.

    python tests/benchmarks/time_left.py X.h5 Y.h5 [OPTIONS of cka compare]

Prints, as JSON, the largest error as a part of what was left, and where it was. Every report counts that comes after
the first tenth of a stage of at least 5 seconds; half a second is free, since whole seconds are shown.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import cka_cli.system.progress
from cka_cli.cli import main as cka

_LEAST_STAGE_S, _SHOWN_S = 5.0, 0.5


@dataclass
class Stage:
    """The reports of one stage: when, how much was done, of how much in all."""

    name: str
    reports: list[tuple[float, int, int]] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        """Seconds from its first report to its last."""
        return self.reports[-1][0] - self.reports[0][0]

    def worst(self) -> tuple[float, str]:
        """Return the largest error of what is told of the time left, and where that was."""
        begun, done_before, _ = self.reports[0]
        worst, where = 0.0, ""
        for at, done, total in self.reports:
            elapsed_s = at - begun
            left_s = self.duration_s - elapsed_s
            if elapsed_s < self.duration_s / 10 or left_s <= 0:
                continue
            told_s = cka_cli.system.progress.seconds_left(elapsed_s, done - done_before, total - done_before)
            if told_s is None:
                continue
            error = max(0.0, abs(told_s - left_s) - _SHOWN_S) / left_s
            if error > worst:
                worst, where = error, f"{self.name}, {elapsed_s:.1f} s: told {told_s:.1f}, was {left_s:.1f}"
        return worst, where


def main(*arguments: str) -> None:
    stages: list[Stage] = []

    def report(stage: str, done: int, total: int) -> None:
        if not stages or stages[-1].name != stage or done < stages[-1].reports[-1][1]:
            stages.append(Stage(stage))
        stages[-1].reports.append((time.monotonic(), done, total))

    @contextmanager
    def recorded(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
        yield report

    cka_cli.system.progress.shown_progress = recorded
    try:
        cka(["compare", *arguments, "-o", os.devnull])
    except SystemExit as end:
        if end.code:
            raise
    found = [stage.worst() for stage in stages if stage.duration_s >= _LEAST_STAGE_S]
    if not found:
        raise SystemExit(f"no stage took {_LEAST_STAGE_S:g} s, so that nothing is known of the time left")
    worst, where = max(found)
    print(json.dumps({"error": worst, "where": where}))


if __name__ == "__main__":
    main(*sys.argv[1:])
