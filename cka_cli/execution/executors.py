"""Who does the tasks of a reduction: EXECUTORS, one row each. Results come in the order of the tasks."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Protocol, TypeVar

from cka_cli.floating_point import silence_thread

Task = TypeVar("Task")
Result = TypeVar("Result")


class Executor(Protocol):
    """Does tasks somewhere: the same results for any of them, in the same order, so that sums have the same bits."""

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Give `function(task)` for every task, in order; few more of them wait than are done at once."""


class Threads:
    """Tasks on up to `n_threads` threads of this process; on the one that asks where that is 1, or the task alone."""

    def __init__(self, n_threads: int):
        self._n_threads = n_threads

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Give `function(task)` for every task, in order.

        At most one result more than there are threads waits to be taken. The first error is raised at once: tasks that
        have begun are not waited for, those that have not are dropped.
        """
        remaining = iter(tasks)
        first = list(islice(remaining, 2))
        if self._n_threads <= 1 or len(first) <= 1:
            yield from map(function, chain(first, remaining))
            return
        from concurrent.futures import Future, ThreadPoolExecutor

        pool = ThreadPoolExecutor(self._n_threads, thread_name_prefix="cka", initializer=silence_thread)
        waiting: deque[Future[Result]] = deque()
        try:
            for task in chain(first, remaining):
                waiting.append(pool.submit(function, task))
                if len(waiting) > self._n_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


EXECUTORS: dict[str, Callable[[int], Executor]] = {
    "threads": Threads,
}
