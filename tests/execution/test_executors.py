"""Every executor gives the same bits; one of other processes does, too, which knows only what it is sent."""

from collections import deque

import pytest

from cka_cli.execution.executors import EXECUTORS
from tests.execution.executor_tests import ExecutorTests, paths

__all__ = ["paths"]


class TestThreads(ExecutorTests):
    executor = staticmethod(EXECUTORS["threads"])


class TestProcesses(ExecutorTests):
    """A process pool: nothing of it is in the package."""

    @pytest.fixture(autouse=True)
    def _pool(self, processes):
        self.pool = processes

    def executor(self, n_at_once):
        return self

    def map(self, function, tasks):
        waiting = deque()
        for task in tasks:
            waiting.append(self.pool.submit(function, task))
            if len(waiting) > 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
