"""What holds for every executor: to be inherited by a class that says how one is made."""

import numpy as np
import pytest

from tests.asked import changed, compared

JOBS = {
    "tiles": {"kernels": ["polynomial", "cosine", "linear"]},
    "in pieces": {"kernels": ["laplacian", "rbf"], "plan": {"in_memory": False, "n_slices": (2,) * 6}},
    "medians": {"kernels": ["rbf", "rbf:sigma=0.3"], "plan": {"keep_distances": False, "n_kept": 100}},
    "terms": {"kernels": ["linear", "rbf"], "stats": True, "plan": {"n_terms": 4, "keep_distances": False}},
    "kept distances": {"kernels": ["linear", "rbf"], "plan": {"route": "gram", "keep_distances": True}},
    "features": {"stats": True, "plan": {"route": "features"}},
    "factors": {"measures": ["cka", "cca-rho", "pwcca"], "kernels": ["rbf"]},
    "batches": {"kernels": ["rbf"], "n_batch": 12, "n_passes": 2, "stats": True},
    "permutations": {"stats": True, "permutations": 12},
}


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    for name in "xy":
        np.savez(tmp_path / f"{name}.npz", **{f"l{place}": rng.standard_normal((90, 3 + place)) for place in range(3)})
    return str(tmp_path / "x.npz"), str(tmp_path / "y.npz")


def double(number):
    return 2 * number


def fail_at_three(number):
    if number == 3:
        raise ValueError(number)
    return number


def bits(comparison):
    found = [matrix.values.tobytes() for matrix in comparison.matrices]
    return found + [
        getattr(matrix.statistics, name).tobytes()
        for matrix in comparison.matrices
        for name in ("std_error", "p_value", "chance")
        if matrix.statistics
    ]


class ExecutorTests:
    """Tests of an executor. A subclass has `executor`: one that does so many tasks at once."""

    def executor(self, n_at_once):
        raise NotImplementedError

    @pytest.mark.parametrize("n_at_once", [1, 2, 3])
    def test_results_come_in_order(self, n_at_once):
        assert list(self.executor(n_at_once).map(double, range(20))) == list(range(0, 40, 2))
        assert list(self.executor(n_at_once).map(double, [])) == []

    @pytest.mark.parametrize("n_at_once", [1, 2])
    def test_an_error_of_a_task_is_raised_in_its_turn(self, n_at_once):
        results = self.executor(n_at_once).map(fail_at_three, range(20))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="3"):
            next(results)

    @pytest.mark.parametrize("n_at_once", [1, 2])
    def test_tasks_are_not_taken_long_before_they_are_done(self, n_at_once):
        taken = []
        results = self.executor(n_at_once).map(double, (taken.append(number) or number for number in range(50)))
        next(results)
        assert len(taken) <= 2 * n_at_once + 2
        results.close()

    @pytest.mark.parametrize("job", JOBS)
    def test_the_same_bits_as_one_thread(self, paths, job):
        options = {**JOBS[job]}
        plan = {"n_tile_rows": 20, **options.pop("plan", {})}
        one = compared(*paths, plan_of=changed(**plan, n_threads=1), **options)
        several = compared(*paths, plan_of=changed(**plan, n_threads=2), executor=self.executor, **options)
        assert bits(several) == bits(one)
