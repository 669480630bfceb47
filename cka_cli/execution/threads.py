"""Tasks on several threads, results in order, so that sums are the same for any number of threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

from cka_cli.floating_point import ignore_flags

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(function: Callable[[Task], Result], tasks: Iterable[Task], n_threads: int) -> Iterator[Result]:
    """Give `function(task)` for every task, in order, on up to `n_threads` threads.

    At most one result more than there are threads waits to be taken. The first error is raised at once: tasks that
    have begun are not waited for, those that have not are dropped.
    """
    remaining = iter(tasks)
    first = list(islice(remaining, 2))
    if n_threads <= 1 or len(first) <= 1:
        yield from map(function, chain(first, remaining))
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="cka", initializer=ignore_flags)
    waiting: deque[Future[Result]] = deque()
    try:
        for task in chain(first, remaining):
            waiting.append(pool.submit(function, task))
            if len(waiting) > n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
