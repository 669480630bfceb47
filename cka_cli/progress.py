"""A bar on a terminal's standard error; nothing at all in a pipe or a log."""

import sys
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
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[amount]}", markup=False),
        TimeRemainingColumn(compact=True),
    )
    console = Console(stderr=True, highlight=False, markup=False)
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            amount = _amount(stage, done, total)
            if stage not in tasks:
                for task in tasks.values():
                    progress.update(task, visible=False)
                tasks[stage] = progress.add_task(stage, total=total, amount=amount)
            progress.update(tasks[stage], completed=done, total=total, amount=amount)

        yield report


def _amount(stage: str, done: int, total: int) -> str:
    """Return `done/total`, in MiB where bytes are read."""
    if stage == "reading":
        return f"{done / _MIB:.1f}/{total / _MIB:.1f} MiB"
    return f"{done}/{total}"
