"""Work counted by whoever does it, and told to whoever waits for it.

A person at a terminal sees a bar on standard error; a pipe or a log gets nothing at all.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

_MIB = 1 << 20

# Called with the stage, and how much of it is done of how much in all: first when it begins. From any thread.
Progress = Callable[[str, int, int], None]
# The same of one stage.
Report = Callable[[int, int], None]
# Called with each amount of work when it is done.
Count = Callable[[float], None]

_MOST_REPORTS = 1000
# What rounding may leave of a sum of parts.
_ROUNDING = 1e-9


def uncounted(amount: float) -> None:
    """Count nothing."""


def parts_of(whole: float, count: Count) -> Count:
    """Return what counts a whole by its parts, which add up to 1."""
    return lambda part: count(part * whole)


class Meter:
    """Work done of all there is, counted by several threads and reported at most a thousand times.

    report : called when the work begins, as it is done, and when all is; no more once it has raised an error.
    done : what an earlier run did.
    """

    def __init__(self, report: Report, total: float, done: float = 0.0):
        self._report, self._lock = report, Lock()
        self._total = total if total > 0 else 1.0
        self._done = self._reported = min(done, total) if total > 0 else 1.0
        self._tell()

    def add(self, amount: float) -> None:
        """Count some work more; what is more than there is does not count."""
        with self._lock:
            self._done += amount
            if self._done >= self._total * (1 - _ROUNDING):
                self._done = self._total
            step = self._done - self._reported
            if step * _MOST_REPORTS >= self._total or (step and self._done == self._total):
                self._reported = self._done
                self._tell()

    def share(self, amount: float) -> "Share":
        """Return a part of the work that is counted on its own, and is this much in the end whatever was thought."""
        return Share(self, amount)

    def _tell(self) -> None:
        try:
            self._report(round(self._done), round(self._total))
        except BaseException:  # whoever is told wants to hear no more, and other threads have not ended yet
            self._report = lambda done, total: None
            raise


class Share:
    """A part of what a `Meter` counts, for one thread."""

    def __init__(self, meter: Meter, amount: float):
        self._meter, self._left = meter, amount

    def add(self, amount: float) -> None:
        """Count some of it."""
        amount = min(amount, self._left)
        self._left -= amount
        self._meter.add(amount)

    def end(self) -> None:
        """Count what is left of it."""
        self.add(self._left)


@contextmanager
def shown_progress(*, quiet: bool) -> Iterator[Progress]:
    """Give a callback (stage, done, total) that draws a bar with the time left, for a person at a terminal only.

    It is called first when a stage begins, with what an earlier run did of it, as a `Meter` does.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():  # None when it was closed
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        """Counts down between reports, which are seconds apart while something large is decomposed."""

        def render(self, task: Task) -> Text:
            left_s = task.fields["left_s"]
            return Text("" if left_s is None else clock_text(left_s - (time.monotonic() - task.fields["told_at"])))

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeLeft(),
    )
    console = Console(stderr=True, highlight=False, markup=False)
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}
        current, begun, done_before, last = "", 0.0, 0, 0

        def report(stage: str, done: int, total: int) -> None:
            nonlocal current, begun, done_before, last
            has_begun = stage != current or done < last  # a stage may come again, for another kernel
            if has_begun:  # what an earlier run did says nothing of the pace
                current, begun, done_before = stage, time.monotonic(), done
            last, now = done, time.monotonic()
            left_s = seconds_left(now - begun, done - done_before, total - done_before)
            told: dict[str, Any] = {"amount": _amount(stage, done, total), "left_s": left_s, "told_at": now}
            if has_begun:
                for name, task in tasks.items():
                    bars.update(task, visible=name == stage)
                if stage not in tasks:
                    tasks[stage] = bars.add_task(stage, total=total, **told)
            bars.update(tasks[stage], completed=done, total=total, **told)

        yield report


def seconds_left(elapsed_s: float, done: int, total: int) -> float | None:
    """Return the seconds left at the pace so far; None before there is a pace."""
    return elapsed_s * (total - done) / done if done > 0 else None


def clock_text(left_s: float) -> str:
    """Return the time left as `1:05 left` or `2:00:00 left`."""
    minutes, seconds = divmod(max(0, round(left_s)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"


def _amount(stage: str, done: int, total: int) -> str:
    """Return what is done: of bytes that are read in MiB, of all other work the part of the whole."""
    if stage == "reading":
        return f"{done / _MIB:.1f}/{total / _MIB:.1f} MiB"
    return f"{done / total:.0%}"
