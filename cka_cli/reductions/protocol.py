"""What everything that is added up has in common: its tasks, what each of them gives, and the sum.

    layers ──▶ tasks ──▶ compute ──▶ add ──▶ state
               plain     pure        in the order of tasks

A reduction knows of no threads, no processes, no saved states and no progress: the one loop of `cka_cli.execution` does
its tasks wherever it likes and adds what they give in their order, so that the bits are the same however they were
done. What was added of some tasks is a state that can be saved and gone on from.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from cka_cli.arrays import Array

Task = TypeVar("Task")
Partial = TypeVar("Partial")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Reduction(Protocol[Task, Partial]):
    """Tasks, and the sum of what they give.

    name : of its state, unlike that of any other reduction of a run. stage : what is being done, for a person.
    n_added : how many tasks, from the first, are in the state. is_kept : whether that is worth saving.
    compute : gives what a task adds; pure, and picklable with its tasks and their results.
    """

    name: str
    stage: str
    n_added: int = 0
    is_kept: bool = True
    compute: Callable[[Task], Partial]
    _tasks: Sequence[Task] = ()
    _costs: Sequence[int] = ()

    def tasks(self) -> Iterable[Task]:
        """Return all tasks, in the order in which they are added: plain and picklable."""
        return self._tasks

    def costs(self) -> Sequence[int]:
        """Return what each task costs beside the others."""
        return self._costs

    def add(self, partial: Partial) -> None:
        """Add what the next task gave, and count it in `n_added`."""
        raise NotImplementedError

    def state(self) -> dict[str, Array]:
        """Return what was added so far, not copied."""
        raise NotImplementedError

    def restore(self, state: Mapping[str, Array]) -> None:
        """Set the arrays of the state to saved ones; ValueError where these are of something else."""
        own = self.state()
        if {name: values.shape for name, values in own.items()} != {name: each.shape for name, each in state.items()}:
            raise ValueError(f"the arrays of {self.name} do not fit")
        for name, values in state.items():
            own[name][...] = values


@dataclass(frozen=True)
class OfPlace(Generic[Item, Result]):
    """What a function gives of one of several items, by its place."""

    function: Callable[[Item], Result]
    items: Sequence[Item]

    def __call__(self, place: int) -> Result:
        return self.function(self.items[place])


class Each(Reduction[int, Result]):
    """What a function gives of each of several items, most often layers: a list, worked out anew where one goes on."""

    is_kept = False

    def __init__(
        self, stage: str, function: Callable[[Any], Result], items: Sequence[Any], costs: Sequence[int] | None = None
    ):
        self.name = self.stage = stage
        self.compute = OfPlace(function, items)
        self._tasks, self._costs = range(len(items)), [1] * len(items) if costs is None else costs
        self.results: list[Result] = []

    def add(self, partial: Result) -> None:
        self.results.append(partial)
        self.n_added += 1

    def state(self) -> dict[str, Array]:
        return {}
