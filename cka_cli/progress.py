"""A bar on a terminal's standard error; nothing at all in a pipe or a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cka_cli.meter import Progress

_MIB = 1 << 20


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
