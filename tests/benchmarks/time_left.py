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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import cka_cli.progress
from cka_cli.cli import main as cka

_LEAST_STAGE_S, _SHOWN_S = 5.0, 0.5


@dataclass
class Stage:
    """The reports of one stage: when, how much was done, of how much in all."""

    name: str
    reports: list[tuple[float, int, int]] = field(default_factory=list)

    def worst(self) -> tuple[float, str]:
        """Return the largest error of what is told of the time left, and where that was."""
        begun, done_before, _ = self.reports[0]
        ended = self.reports[-1][0]
        worst, where = 0.0, ""
        for at, done, total in self.reports:
            elapsed_s, left_s = at - begun, ended - at
            if ended - begun < _LEAST_STAGE_S or elapsed_s < (ended - begun) / 10 or left_s <= 0 or done == done_before:
                continue
            told_s = elapsed_s * (total - done) / (done - done_before)
            error = max(0.0, abs(told_s - left_s) - _SHOWN_S) / left_s
            if error > worst:
                worst, where = error, f"{self.name}, {elapsed_s:.1f} s: told {told_s:.1f}, was {left_s:.1f}"
        return worst, where


def main(*arguments: str) -> None:
    stages: list[Stage] = []

    def report(stage: str, done: int, total: int) -> None:
        if not stages or stages[-1].name != stage:
            stages.append(Stage(stage))
        stages[-1].reports.append((time.monotonic(), done, total))

    @contextmanager
    def recorded(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
        yield report

    cka_cli.progress.shown_progress = recorded
    with suppress(SystemExit):
        cka(["compare", *arguments, "-o", os.devnull])
    worst, where = max((stage.worst() for stage in stages), default=(1.0, "no report"))
    print(json.dumps({"error": worst, "where": where}))


if __name__ == "__main__":
    main(*sys.argv[1:])
