"""Nobody who uses the package is warned of a floating-point flag, and nobody's own state is changed."""

import inspect
import re
import threading
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import cka_cli
from cka_cli import floating_point
from cka_cli.analysis.components import ComponentPairs, Spectrum
from cka_cli.api import inspect as inspection
from cka_cli.api.compare import plan_comparison
from cka_cli.execution.executors import Threads
from cka_cli.options import RunOptions
from cka_cli.results.matrix import Matrix, is_largest
from tests.cli.command import run_here
from tests.small_files import values, write_hdf5

READ = "cka_cli.layers.selection:SelectedLayer.blocks"
TIDY = b"x_file,x_layer,y_file,y_layer,measure,kernel,n_examples,value\na,p,a,p,cka,linear,30,1.0\n"
FILES = ("a.h5", "b.h5")
# What a user may call, with what it calls that raises the flags.
CALLS = {
    "compare": (lambda n: cka_cli.compare("a.h5", "b.h5", run=RunOptions(n_threads=n)), READ),
    "explain": (lambda n: cka_cli.explain("a.h5::p", "b.h5::p"), READ),
    "diagnose": (lambda n: cka_cli.diagnose("a.h5", "b.h5", n_threads=n), READ),
    "match": (lambda n: cka_cli.match(FILES, run=RunOptions(n_threads=n)), READ),
    "study_depth": (lambda n: cka_cli.study_depth("a.h5", run=RunOptions(n_threads=n)), READ),
    "read_matrices": (lambda n: cka_cli.read_matrices(TIDY, "r.csv"), "cka_cli.report.reading:from_text"),
    "draw_heatmap": (
        lambda n: cka_cli.draw_heatmap([Matrix(np.eye(1), "p", "p")]),
        "cka_cli.pictures.heatmap.draw:compose",
    ),
    "plan_comparison": (lambda n: plan_comparison("a.h5", "b.h5"), "cka_cli.api.compare:make_plan"),
    "inspect": (lambda n: inspection.inspect(FILES, progress=lambda *_: None), "cka_cli.api.inspect:_scan"),
}


def raise_every_flag():
    """What a kernel of BLAS may do to the processor on numbers that no result comes from."""
    zero, huge = np.zeros(1), np.full(1, 1e308)
    return zero / zero, huge / zero, huge * huge, 1e-300 / huge


def make_flagging(monkeypatch, place):
    """Let the function at `module:name` raise every flag first; return the set of the threads in which it did."""
    module, _, name = place.partition(":")
    *owners, name = name.split(".")
    owner = import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    function, seen = getattr(owner, name), set()

    def flagging(*arguments, **keywords):
        seen.add(threading.get_ident())
        raise_every_flag()
        return function(*arguments, **keywords)

    monkeypatch.setattr(owner, name, flagging)
    return seen


@pytest.fixture
def networks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(FILES):
        write_hdf5(tmp_path / name, {"p": values(30, 4, seed=seed), "q": values(30, 3, seed=seed + 9)})


def test_the_flags_would_warn():
    with np.errstate(all="warn"), pytest.warns(RuntimeWarning) as seen:
        raise_every_flag()
    assert len(seen) == 4


@pytest.mark.parametrize("state", ["warn", "raise"])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", CALLS)
def test_no_call_from_outside_warns_or_changes_the_state_of_the_caller(networks, monkeypatch, name, n_threads, state):
    call, place = CALLS[name]
    seen = make_flagging(monkeypatch, place)
    with np.errstate(all=state):
        before = np.geterr()
        call(n_threads)
        assert np.geterr() == before
    in_workers = n_threads > 1 and name in ("compare", "diagnose", "match", "study_depth")
    assert bool(seen - {threading.get_ident()}) or not in_workers
    assert seen


def test_every_function_of_the_package_is_among_the_calls():
    functions = {name for name in cka_cli.__all__ if inspect.isfunction(getattr(cka_cli, name))}
    assert functions == CALLS.keys() - {"plan_comparison", "inspect"}


def test_the_state_of_the_caller_is_back_after_an_error_too(networks):
    with np.errstate(all="raise"):
        with pytest.raises(cka_cli.CkaError):
            cka_cli.compare("a.h5::none")
        assert set(np.geterr().values()) == {"raise"}


def test_what_a_result_works_out_later_warns_neither(monkeypatch):
    spectrum = Spectrum("a", "p", 3, 9, np.array([3.0, 2.0, 1.0]))
    pairs = ComponentPairs(spectrum, spectrum, np.eye(3), 10)
    norm = np.linalg.norm
    monkeypatch.setattr(np.linalg, "norm", lambda *arguments: (raise_every_flag(), norm(*arguments))[1])
    with np.errstate(all="raise"):
        assert spectrum.own_similarities(1)[0] == spectrum.weights[0]
        assert spectrum.effective_dimension == pytest.approx(2)
        assert pairs.removals()[0].rest.cka == pytest.approx(1)
        assert is_largest(np.array([[np.inf, 1.0, -np.inf, np.nan]])).tolist() == [[True, False, False, False]]


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_worker_threads_ignore_flags_and_their_starter_does_not(n_threads):
    with np.errstate(all="warn"):
        tasks = Threads(n_threads).map(lambda _: np.geterr()["invalid"], range(8))
        assert set(tasks) == {"warn" if n_threads == 1 else "ignore"}  # in the thread that called, it is as it was
        assert np.geterr()["invalid"] == "warn"


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ("compare a.h5 b.h5", "cka_cli.report.compare:ComparisonReport.cells"),
        ("compare a.h5 --dry-run", "cka_cli.api.compare:make_plan"),
        ("match a.h5 b.h5 --report partners", "cka_cli.report.match:MatchingReport.cells"),
        ("explain a.h5::p b.h5::p", "cka_cli.report.explain:ExplanationReport.cells"),
        ("diagnose a.h5", "cka_cli.report.diagnose:DiagnosisReport.cells"),
        ("heatmap a.h5 -o h.png", "cka_cli.pictures.heatmap:draw_heatmap"),
        ("inspect a.h5", "cka_cli.api.inspect:_scan"),
    ],
)
def test_no_command_warns_of_what_it_does_around_the_library(networks, monkeypatch, capsysbinary, typed, place):
    seen = make_flagging(monkeypatch, place)
    with np.errstate(all="warn"):
        ended = run_here([*typed.split(), "-q"], capsysbinary)
        assert np.geterr()["invalid"] == "warn"
    assert (ended.status, ended.err) == (0, "")
    assert seen


def test_flags_are_ignored_in_one_place():
    assert floating_point.quiet_arithmetic(np.geterr)() == dict.fromkeys(np.geterr(), "ignore")
    package = Path(cka_cli.__file__).parent
    places = [path for path in package.rglob("*.py") if re.search("errstate|seterr", path.read_text(encoding="utf-8"))]
    assert places == [package / "floating_point.py"]
