"""Work counted by whoever does it, and told to whoever waits for it."""

from collections.abc import Callable
from threading import Lock

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
