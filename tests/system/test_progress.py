import io
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

import cka_cli.execution.run
import cka_cli.reductions.feature_products
from cka_cli.api.compare import compare
from cka_cli.system import progress as of_progress
from cka_cli.system.progress import Meter, clock_text, seconds_left, shown_progress
from tests.asked import asked


class Terminal(io.StringIO):
    def isatty(self):
        return True


def wide_terminal(monkeypatch):
    """A terminal wide enough for a line, and the clock that is looked at. No fixture: pytest puts its own in place."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream, now = Terminal(), [0.0]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(of_progress.time, "monotonic", lambda: now[0])
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


def test_bytes_are_shown_in_mib_and_other_work_as_a_part_of_all(monkeypatch):
    stream, _ = wide_terminal(monkeypatch)
    with shown_progress(quiet=False) as report:
        report("reading", 160_000_000, 480_000_000)
    with shown_progress(quiet=False) as report:
        report("comparing", 2_000_000, 3_000_000)
    assert "152.6/457.8 MiB" in stream.getvalue()
    assert "160000000" not in stream.getvalue()
    assert "67%" in stream.getvalue()


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
        now[0] = 10.0
        report("comparing", 600, 1000)
    assert "0:40 left" in stream.getvalue()


@pytest.mark.parametrize("before", [0, 900])  # what an earlier run did of the first kernel
@pytest.mark.parametrize("n_stages", [3, 4])
def test_a_stage_that_comes_again_begins_again(monkeypatch, before, n_stages):
    stream, now = wide_terminal(monkeypatch)
    stages = ["preparing", "permuting", "preparing", "permuting"][:n_stages]
    with shown_progress(quiet=False) as report:
        for stage in stages:
            report(stage, before, 1000)
            now[0] += 10.0
            report(stage, before + 50, 1000)
            before = 0
    last = stream.getvalue().rpartition("\x1b[2K" + stages[-1])[2]
    assert "3:10 left" in last
    assert "preparing" not in last
    assert "permuting" not in last


def test_time_counts_down_between_reports(monkeypatch):
    stream, now = wide_terminal(monkeypatch)
    with shown_progress(quiet=False) as report:
        report("factorising", 0, 1000)
        now[0] = 10.0
        report("factorising", 500, 1000)
        now[0] = 13.0
    assert "0:07 left" in stream.getvalue()


@pytest.mark.parametrize(
    ("elapsed_s", "done", "total", "left_s"),
    [(10, 0, 36, None), (5, -3, 10, None), (4, 2, 36, 68), (60, 1, 121, 7200), (5, 7, 7, 0)],
)
def test_time_left_goes_by_the_pace_so_far(elapsed_s, done, total, left_s):
    assert seconds_left(elapsed_s, done, total) == left_s


@pytest.mark.parametrize(
    ("left_s", "text"), [(68, "1:08 left"), (7200.2, "2:00:00 left"), (0.4, "0:00 left"), (-3, "0:00 left")]
)
def test_time_left_is_shown_as_a_clock_does(left_s, text):
    assert clock_text(left_s) == text


def metered(total, amounts, done=0.0):
    seen = []
    meter = Meter(lambda *report: seen.append(report), total, done)
    for amount in amounts:
        meter.add(amount)
    return seen


def test_a_meter_reports_when_work_begins_and_when_it_is_done():
    assert metered(10, [2.5, 2.5, 5]) == [(0, 10), (2, 10), (5, 10), (10, 10)]
    assert metered(10, [3], done=7) == [(7, 10), (10, 10)]
    assert metered(0, []) == [(1, 1)]


def test_a_meter_never_counts_more_than_there_is():
    assert metered(10, [8, 8, 8]) == [(0, 10), (8, 10), (10, 10)]


def test_a_meter_reports_a_thousand_times_at_most():
    seen = metered(1e6, [7.0] * 142_858)
    assert len(seen) <= 1001
    assert seen[-1] == (1_000_000, 1_000_000)
    assert seen == sorted(seen)


@pytest.mark.parametrize("n_parts", [3, 1001, 5000])
def test_parts_that_are_not_whole_add_up(n_parts):
    assert metered(12345.7, [12345.7 / n_parts] * n_parts)[-1] == (12346, 12346)


def test_who_raised_an_error_is_told_no_more():
    seen = []

    def report(done, total):
        seen.append(done)
        if done >= 2:
            raise KeyboardInterrupt

    meter = Meter(report, 10)
    meter.add(1)
    with pytest.raises(KeyboardInterrupt):
        meter.add(1)
    meter.add(8)
    assert seen == [0, 1, 2]


def test_a_share_is_counted_to_its_end_and_no_further():
    seen = []
    meter = Meter(lambda *report: seen.append(report), 100)
    one, other = meter.share(60), meter.share(40)
    one.add(50)
    one.add(50)
    other.add(10)
    other.end()
    other.end()
    assert seen == [(0, 100), (50, 100), (60, 100), (70, 100), (100, 100)]


def test_threads_lose_nothing_of_what_they_count():
    seen = []
    meter = Meter(lambda done, total: seen.append(done), 40_000)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: [meter.add(1) for _ in range(10_000)], range(4)))
    assert seen[-1] == 40_000
    assert seen == sorted(seen)


JOBS = {
    "tiles": {"kernels": ["linear", "polynomial"]},
    "medians": {"kernels": ["rbf", "linear"]},
    "features": {},
    "features with folds": {"stats": True},
    "batches": {"n_batch": 30, "n_passes": 2, "kernels": ["rbf", "linear"]},
    "factors": {"measures": ["pwcca", "cca-r2"]},
    "permutations": {"stats": True, "permutations": 20},
    "laplacian": {"kernels": ["laplacian"]},
}


@pytest.mark.parametrize("with_itself", [True, False])
@pytest.mark.parametrize(
    ("job", "in_memory", "keep_distances"),
    [*((job, in_memory, False) for job in JOBS for in_memory in (True, False)), ("medians", True, True)],
)
def test_every_step_counts_what_the_whole_was_said_to_be(
    tmp_path, monkeypatch, job, with_itself, in_memory, keep_distances
):
    rng = np.random.default_rng(0)
    for name in "xy":
        widths = (7, 3) if "features" in job else (7, 3, 200)
        layers = {f"l{place}": rng.standard_normal((150, width)) for place, width in enumerate(widths)}
        layers["constant"] = np.ones((150, 4))
        np.savez(tmp_path / f"{name}.npz", **layers)
    route = {"tiles": "gram", "medians": "gram", "laplacian": "gram"}.get(job)
    make_plan = cka_cli.execution.run.make_plan

    def planned(*of_job):
        plan = make_plan(*of_job)
        slices = plan.n_slices if in_memory or route is None else (2,) * len(plan.n_slices)
        return replace(
            plan, n_tile_rows=40, keep_distances=keep_distances, in_memory=in_memory, route=route or plan.route,
            n_threads=2, n_slices=slices, n_kept=100 if job == "medians" and not in_memory else plan.n_kept,
        )  # fmt: skip

    monkeypatch.setattr(cka_cli.execution.run, "make_plan", planned)
    monkeypatch.setattr(cka_cli.reductions.feature_products, "_FEATURES_AT_ONCE", 4)
    added, totals, seen = {}, {}, []
    add = Meter.add

    def adding(meter, amount):
        added[meter] = added.get(meter, 0.0) + amount
        totals[meter] = meter._total
        add(meter, amount)

    monkeypatch.setattr(Meter, "add", adding)
    ys = [] if with_itself else [str(tmp_path / "y.npz")]
    compare(str(tmp_path / "x.npz"), ys, **asked(**JOBS[job]), progress=lambda *report: seen.append(report))
    assert len(added) >= 2
    for meter, amount in added.items():
        assert amount == pytest.approx(totals[meter], rel=1e-3)
    for stage in {report[0] for report in seen}:
        of_stage = [report[1:] for report in seen if report[0] == stage]
        assert of_stage == sorted(of_stage)
        assert of_stage[0][0] == 0
        assert of_stage[-1][0] == of_stage[-1][1]
