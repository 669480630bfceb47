"""Fixtures for numbers: arrays go to files, files through `compare`, and values come back."""

import gc
import itertools
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from unittest import mock

# The command gives each BLAS call one thread before numpy is imported; the tests run as it does.
for _name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# Of the terminal that the tests are started on, which rich and click look at.
for _name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TERM", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(_name, None)
# Neither a matplotlibrc of the user's nor a home that cannot be written to, of which matplotlib would tell.
os.environ["MPLCONFIGDIR"] = os.path.join(sys.prefix, "matplotlib")

# A shell starts what it puts in the background with signals ignored, and children inherit that.
for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler)

import h5py  # noqa: E402 - after the environment is set
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from cka_cli.api.compare import compare  # noqa: E402
from cka_cli.floating_point import flags_off  # noqa: E402
from tests.asked import asked  # noqa: E402

# `make test` draws the same examples on every machine and every day, `make test-all` others each time, from a seed that
# it prints; a longer search is `pytest --hypothesis-profile=search`. Nothing is remembered from one run to the next, no
# clock is looked at, and no setting is left to the default, which is another where CI is set.
_every = settings(
    database=None, deadline=None, derandomize=False, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("same", _every, derandomize=True)
settings.register_profile("fresh", _every)
settings.register_profile("search", _every, max_examples=500)
settings.load_profile("same")
# Hypothesis draws literals of our own modules too: of those that are loaded by then, which the order of tests decides,
# and that it can parse in a tenth of a second. Releases that do not have no such names; test_draws.py sees the rest.
with suppress(ImportError, AttributeError):
    from hypothesis.internal.conjecture import providers

    providers._get_local_constants = providers.Constants


# As the command does. What was made to collect the tests stays as long as they run.
gc.set_threshold(50_000)


def pytest_collection_finish():
    """Look for garbage among what tests make, and not among all tests time and again: 7 % of the processor time."""
    gc.collect()
    gc.freeze()


# A child that reads the headers first takes ten times as long as a small comparison.
WITH_CHILD = ("test_hostile", "test_fuzz", "test_faults", "test_files", "test_errors")


@pytest.fixture(autouse=True, scope="session")
def _flags_ignored():
    """Ignore floating-point flags in what a test calls by itself, as every call from outside does for what is within.

    What must not warn is tested in test_floating_point.py.
    """
    with flags_off():
        yield


@pytest.fixture(autouse=True, scope="module")
def _headers_read_here(request):
    """Read HDF5 headers without a child first, but in the tests of files that are not what they should be."""
    if request.module.__name__.rpartition(".")[2].startswith(WITH_CHILD):
        yield
        return
    with mock.patch("cka_cli.files.hdf5.tried", return_value={}):
        yield


def as_a_large_job(arrays, options):
    """Single precision for arrays that float32 holds, which `auto` leaves to jobs larger than a test can be."""
    dtypes = [np.asarray(array).dtype for array in arrays]
    bears_single = all((dtype.kind in "bf" and dtype.itemsize <= 4) or dtype.itemsize <= 2 for dtype in dtypes)
    return {"precision": "single" if bears_single else "auto", **options}


def checked(comparison):
    """The comparison itself, no value of which is infinite, or NaN without a note of why: no warning would tell."""
    for matrix in comparison.matrices:
        assert not np.isinf(matrix.values).any(), matrix.title
        assert comparison.notes or not np.isnan(matrix.values).any(), matrix.title
    return comparison


@pytest.fixture(scope="session")
def compare_arrays(tmp_path_factory):
    """`compare_arrays(x, y, measure, kernel, **options)`: one value, of two arrays saved as NPY.

    Without y, of x with itself. One scope for all tests, so that hypothesis may call it many times.
    Arrays that float32 holds are computed in single precision unless `precision` is given.
    """
    folder, numbers = tmp_path_factory.mktemp("arrays"), itertools.count()

    def run(x, y=None, measure="cka", kernel="linear", **options):
        paths = []
        options = as_a_large_job([x] if y is None else [x, y], options)
        for array in (x,) if y is None else (x, y):
            paths.append(folder / f"{next(numbers)}.npy")
            np.save(paths[-1], array)
        first, *others = map(str, paths)
        comparison = compare(first, others, measures=[measure], kernels=[kernel], **asked(**options))
        for path in paths:
            path.unlink()
        return float(checked(comparison).matrices[0].values[0, 0])

    return run


@pytest.fixture(scope="session")
def compare_layers(tmp_path_factory):
    """`compare_layers(x, y, **options)`: the Comparison of dicts of layers saved as HDF5; without y, of x alone.

    Layers that float32 holds are computed in single precision unless `precision` is given.
    """
    folder, numbers = tmp_path_factory.mktemp("layers"), itertools.count()

    def run(x, y=None, **options):
        paths = []
        options = as_a_large_job([*x.values(), *(y or {}).values()], options)
        for layers in (x,) if y is None else (x, y):
            paths.append(folder / f"{next(numbers)}.h5")
            with h5py.File(paths[-1], "w", track_order=True) as file:
                for name, array in layers.items():
                    file[name] = array
        first, *others = map(str, paths)
        comparison = compare(first, others, **asked(**options))
        for path in paths:
            path.unlink()
        return checked(comparison)

    return run


@pytest.fixture(scope="session")
def processes():
    """Two other processes, which know nothing but what they are sent."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield pool
