"""A bar on a terminal's standard error; nothing at all in a pipe or a log. And how work is counted for it."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

Report = Callable[[str, int, int], None]
Count = Callable[[float], None]

_MIB = 1 << 20
_MOST_REPORTS = 1000


def uncounted(amount: float) -> None:
    """Count nothing."""


def parts_of(whole: float, count: Count) -> Count:
    """Return what counts a whole by its parts, which add up to 1."""
    return lambda part: count(part * whole)


class Meter:
    """Work done of all there is, counted by several threads and reported at most a thousand times.

    report : called with what is done and all there is, as soon as the work begins and from whichever thread does it.
    done : what an earlier run did.
    """

    def __init__(self, report: Callable[[int, int], None], total: float, done: float = 0.0):
        self._report, self._total, self._lock = report, max(1, round(total)), Lock()
        self._done = self._reported = min(done, total)
        report(round(self._done), self._total)

    def add(self, amount: float) -> None:
        """Count some work more; what is more than there is does not count."""
        with self._lock:
            self._done = min(self._total, self._done + amount)
            step = self._done - self._reported
            if step * _MOST_REPORTS >= self._total or (step and self._done == self._total):
                self._reported = self._done
                self._report(round(self._done), self._total)

    def end(self) -> None:
        """Count all that is left, where it was thought to be more than it was."""
        self.add(self._total)

    def share(self, amount: float) -> "Share":
        """Return a part of the work that is counted on its own, and is this much in the end whatever was thought."""
        return Share(self, amount)


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
def shown_progress(*, quiet: bool) -> Iterator[Report]:
    """Give a callback (stage, done, total) that draws a bar with the time left, for a person at a terminal only.

    It is called first when a stage begins, with what an earlier run did of it, as a `Meter` does.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():  # None when it was closed
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        TextColumn("{task.fields[left]}", markup=False),
    )
    console = Console(stderr=True, highlight=False, markup=False)
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}
        begun, done_before = 0.0, 0

        def report(stage: str, done: int, total: int) -> None:
            nonlocal begun, done_before
            if stage not in tasks:  # what an earlier run did says nothing of the pace
                begun, done_before = time.monotonic(), done
            amount = _amount(stage, done, total)
            left = time_left(time.monotonic() - begun, done - done_before, total - done_before)
            if stage not in tasks:
                for task in tasks.values():
                    progress.update(task, visible=False)
                tasks[stage] = progress.add_task(stage, total=total, amount=amount, left=left)
            progress.update(tasks[stage], completed=done, total=total, amount=amount, left=left)

        yield report


def time_left(elapsed_s: float, done: int, total: int) -> str:
    """Return the time left as `1:05` or `2:00:00`, at the pace so far; nothing before there is a pace."""
    if not done:
        return ""
    minutes, seconds = divmod(round(elapsed_s * (total - done) / done), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"


def _amount(stage: str, done: int, total: int) -> str:
    """Return what is done: of bytes that are read in MiB, of all other work the part of the whole."""
    if stage == "reading":
        return f"{done / _MIB:.1f}/{total / _MIB:.1f} MiB"
    return f"{done / total:.0%}"
