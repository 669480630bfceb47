"""What holds for every reduction: to be inherited by a class that says how one is made and what comes out of it."""

import pickle
from dataclasses import fields, is_dataclass

import numpy as np
import pytest


def bits(value):
    """A value as nested tuples in which arrays stand with all their bits."""
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if is_dataclass(value):
        return tuple(bits(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, dict):
        return tuple((key, bits(each)) for key, each in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(map(bits, value))
    if hasattr(value, "__dict__"):
        return bits(vars(value))
    return repr(value)


def run(reduction, pool=map):
    """What the loop does, and no more."""
    for partial in pool(reduction.compute, list(reduction.tasks())[reduction.n_added :]):
        reduction.add(partial)
    return reduction


class ReductionTests:
    """Tests of a reduction. A subclass has `make`, a fresh one at each call, and `result` of one that is run."""

    def make(self, folder):
        raise NotImplementedError

    def result(self, reduction):
        raise NotImplementedError

    def test_every_task_has_a_cost(self, tmp_path):
        reduction = self.make(tmp_path)
        tasks, costs = list(reduction.tasks()), reduction.costs()
        assert len(costs) == len(tasks) > 1
        assert all(isinstance(cost, int) and cost > 0 for cost in costs)
        assert reduction.n_added == 0
        assert run(reduction).n_added == len(tasks)

    def test_computing_is_pure(self, tmp_path):
        reduction = self.make(tmp_path)
        for task in list(reduction.tasks())[:3]:
            assert bits(reduction.compute(task)) == bits(reduction.compute(task))

    def test_tasks_and_results_can_be_sent(self, tmp_path):
        reduction = self.make(tmp_path)
        compute = pickle.loads(pickle.dumps(reduction.compute))
        for task in list(reduction.tasks())[:3]:
            partial = reduction.compute(task)
            assert bits(compute(pickle.loads(pickle.dumps(task)))) == bits(partial)
            assert bits(pickle.loads(pickle.dumps(partial))) == bits(partial)

    def test_other_processes_give_the_same_bits(self, tmp_path, processes):
        here, there = run(self.make(tmp_path)), run(self.make(tmp_path), processes.map)
        assert bits(self.result(there)) == bits(self.result(here))

    def test_a_saved_state_is_gone_on_from_with_the_same_bits(self, tmp_path):
        if not self.make(tmp_path).is_kept:
            return
        whole = bits(self.result(run(self.make(tmp_path))))
        n_tasks = len(self.make(tmp_path).costs())
        for stop in sorted({0, 1, n_tasks // 2, n_tasks - 1, n_tasks}):
            first = self.make(tmp_path)
            for partial in map(first.compute, list(first.tasks())[:stop]):
                first.add(partial)
            saved = {name: np.array(values) for name, values in first.state().items()}
            again = self.make(tmp_path)
            again.restore(saved)
            again.n_added = first.n_added
            assert bits(self.result(run(again))) == whole
            assert {name: np.array(values).tobytes() for name, values in saved.items()} == {
                name: values.tobytes() for name, values in saved.items()
            }

    def test_what_does_not_fit_is_refused(self, tmp_path):
        reduction = run(self.make(tmp_path))
        if reduction.is_kept:
            state = reduction.state()
            name = next(iter(state))
            with pytest.raises((ValueError, KeyError)):
                self.make(tmp_path).restore(
                    {**state, name: state[name][..., :-1].reshape(-1)[:-1], "more": state[name]}
                )
