import io
import sys
from contextlib import suppress

import numpy as np
import pytest

from cka_cli.system.progress import each_told, shown_progress
from tests.asked import changed, compared


class Terminal(io.StringIO):
    def isatty(self):
        return True


def wide_terminal(monkeypatch):
    """A terminal wide enough for a line, and the clock that is looked at. No fixture: pytest puts its own in place."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream, now = Terminal(), [0.0]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("rich.console.monotonic", lambda: now[0])
    return stream, now


def report_twice(stream, monkeypatch, *, quiet=False):
    monkeypatch.setattr(sys, "stderr", stream)
    with shown_progress(quiet=quiet) as report:
        report("reading", 3, 7)
        report("reading", 7, 7)
        report("comparing [/x]", 1, 2)
    return stream


def test_a_terminal_sees_stages_and_then_nothing_of_them(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    shown = report_twice(Terminal(), monkeypatch).getvalue()
    assert "comparing [/x]" in shown
    assert "50%" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor comes back


@pytest.mark.parametrize("quiet", [False, True])
def test_a_pipe_sees_nothing(monkeypatch, quiet):
    assert report_twice(io.StringIO(), monkeypatch, quiet=quiet).getvalue() == ""


def test_quiet_holds_on_a_terminal_too(monkeypatch):
    assert report_twice(Terminal(), monkeypatch, quiet=True).getvalue() == ""


def test_a_closed_standard_error_is_no_trouble(monkeypatch):
    report_twice(None, monkeypatch)


def test_an_error_ends_the_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with suppress(KeyboardInterrupt), shown_progress(quiet=False) as report:
        report("reading", 1, 7)
        raise KeyboardInterrupt
    assert stream.getvalue().count("\x1b[?25h") == 1


def test_what_an_earlier_run_did_says_nothing_of_the_pace(monkeypatch):
    stream, now = wide_terminal(monkeypatch)
    with shown_progress(quiet=False) as report:
        report("comparing", 500, 1000)
        for done in (550, 600):
            now[0] += 5.0
            report("comparing", done, 1000)
    assert "60%" in stream.getvalue()
    assert "00:40" in stream.getvalue()


@pytest.mark.parametrize("before", [0, 900])  # what an earlier run did of the first kernel
@pytest.mark.parametrize("n_stages", [3, 4])
def test_a_stage_that_comes_again_begins_again(monkeypatch, before, n_stages):
    stream, now = wide_terminal(monkeypatch)
    stages = ["preparing", "permuting", "preparing", "permuting"][:n_stages]
    with shown_progress(quiet=False) as report:
        for stage in stages:
            for done in (0, 25, 50):
                report(stage, before + done, 1000)
                now[0] += 5.0
            before = 0
    last = stream.getvalue().rpartition("\x1b[2K" + stages[-1])[2]
    assert "5%" in last
    assert "preparing" not in last
    assert "permuting" not in last


def test_items_are_told_of_one_by_one():
    seen = []
    assert list(each_told("abc", "scanning", lambda *step: seen.append(step))) == ["a", "b", "c"]
    assert seen == [("scanning", done, 3) for done in range(4)]


JOBS = {
    "tiles": {"kernels": ["linear", "polynomial"]},
    "medians": {"kernels": ["rbf", "linear"]},
    "kept distances": {"kernels": ["rbf", "linear"]},
    "features": {},
    "features with folds": {"stats": True},
    "batches": {"n_batch": 30, "n_passes": 2, "kernels": ["rbf", "linear"]},
    "factors": {"measures": ["pwcca", "cca-r2"]},
    "factors and tiles": {"measures": ["pwcca", "cka"], "kernels": ["laplacian"]},
    "permutations": {"stats": True, "permutations": 20},
}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("job", JOBS)
def test_every_stage_begins_at_nothing_and_ends_with_all(tmp_path, job, in_memory):
    rng = np.random.default_rng(0)
    for name in "xy":
        widths = (7, 3) if "features" in job else (7, 3, 200)
        layers = {f"l{place}": rng.standard_normal((150, width)) for place, width in enumerate(widths)}
        np.savez(tmp_path / f"{name}.npz", **layers, constant=np.ones((150, 4)))
    kept = job == "kept distances"
    changes = {"in_memory": in_memory or kept, "n_tile_rows": 40, "n_threads": 2, "keep_distances": kept}
    if not in_memory and job in ("tiles", "medians", "factors and tiles"):
        changes["n_slices"] = (2,) * 8
    seen = []
    paths = [str(tmp_path / f"{name}.npz") for name in "xy"]
    compared(*paths, plan_of=changed(**changes), progress=lambda *step: seen.append(step), **JOBS[job])
    for stage in {step[0] for step in seen}:
        of_stage = [step[1:] for step in seen if step[0] == stage]
        starts = [place for place, (done, _) in enumerate(of_stage) if done == 0]
        for start, stop in zip(starts, [*starts[1:], len(of_stage)], strict=True):
            run = of_stage[start:stop]
            assert run == sorted(run)
            assert run[-1][0] == run[-1][1]
            assert len({total for _, total in run}) == 1
    assert len(seen) > 10
