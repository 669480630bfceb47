"""The one loop: the tasks of a reduction done, added, kept and told of. Nobody else knows of any of these."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from cka_cli.execution.checkpoint import Checkpoint
from cka_cli.execution.executors import Executor
from cka_cli.reductions.protocol import Each, Reduction
from cka_cli.system.progress import Progress

AnyReduction = TypeVar("AnyReduction", bound=Reduction[Any, Any])
Result = TypeVar("Result")


@dataclass(frozen=True)
class Loop:
    """The loop with all that it is run with, for a job of several reductions.

    on_progress : called with the stage, and how much of it is done of how much in all: first when it begins.
    """

    executor: Executor
    store: Checkpoint
    on_progress: Progress

    def run(self, reduction: AnyReduction) -> AnyReduction:
        """Do the tasks of a reduction that its saved state is without, and add what they give, in their order."""
        self.store.restore(reduction)
        costs, n_before = reduction.costs(), reduction.n_added
        done, total = sum(costs[:n_before]), max(1, sum(costs))
        self.on_progress(reduction.stage, done, total)
        partials = self.executor.map(reduction.compute, islice(reduction.tasks(), n_before, None))
        for partial, cost in zip(partials, costs[n_before:], strict=True):
            with self.store.adding(reduction):
                reduction.add(partial)
            done += cost
            self.on_progress(reduction.stage, done, total)
        return reduction

    def each(
        self, stage: str, function: Callable[[Any], Result], items: Sequence[Any], costs: Sequence[int] | None = None
    ) -> list[Result]:
        """Return what a function gives of each of several items, in order."""
        return self.run(Each(stage, function, items, costs)).results
