"""What is done, told to whoever waits for it.

A person at a terminal sees a bar on standard error; a pipe or a log gets nothing at all.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

# Called with the stage, and how much of it is done of how much in all: first when it begins.
Progress = Callable[[str, int, int], None]
Item = TypeVar("Item")


def silent(stage: str, done: int, total: int) -> None:
    """Tell nothing."""


def each_told(items: Sequence[Item], stage: str, on_progress: Progress) -> Iterator[Item]:
    """Give each item, and tell that it is done when the next is asked for."""
    on_progress(stage, 0, len(items))
    for place, item in enumerate(items, start=1):
        yield item
        on_progress(stage, place, len(items))


@contextmanager
def shown_progress(*, quiet: bool) -> Iterator[Progress]:
    """Give a callback (stage, done, total) that draws a bar with the time left, for a person at a terminal only."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():  # None when it was closed
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=False),
    )
    console = Console(stderr=True, highlight=False, markup=False)
    with Bars(*columns, console=console, transient=True) as bars:
        current, last, shown = "", 0, TaskID(-1)

        def report(stage: str, done: int, total: int) -> None:
            nonlocal current, last, shown
            if stage != current or done < last:  # a stage may come again, for another kernel
                if current:
                    bars.remove_task(shown)
                # What an earlier run did says nothing of the pace.
                current, shown = stage, bars.add_task(stage, total=total, completed=done)
            last = done
            bars.update(shown, completed=done)

        yield report
