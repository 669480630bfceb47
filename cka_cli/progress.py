"""A bar on a terminal's standard error; nothing at all in a pipe or a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[str, int, int], None]

_MIB = 1 << 20


@contextmanager
def shown_progress(*, quiet: bool) -> Iterator[Report]:
    """Give a callback (stage, done, total) that draws a bar with the time left, for a person at a terminal only."""
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
        begun, last = 0.0, time.monotonic()

        def report(stage: str, done: int, total: int) -> None:
            nonlocal begun, last
            if stage not in tasks:
                begun = last  # a stage begins where the one before it ended, not with its first report
            last = time.monotonic()
            amount, left = _amount(stage, done, total), time_left(last - begun, done, total)
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
    """Return `done/total`, in MiB where bytes are read."""
    if stage == "reading":
        return f"{done / _MIB:.1f}/{total / _MIB:.1f} MiB"
    return f"{done}/{total}"
