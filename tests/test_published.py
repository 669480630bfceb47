"""Published values, each through the library and through the command line.

The arrays and most values are those of the notebook of Kornblith et al. (2019); gamma, coef0 and degree are those of
scikit-learn. The small arrays are worked out by hand.
"""

import csv
import math
from contextlib import redirect_stderr
from io import StringIO

import numpy as np
import pytest

from cka_cli.cli import cli
from cka_cli.measures.cca import FactorPair
from tests.small_files import factorise


def notebook_arrays():
    # The legacy generator: the notebook's values belong to its stream.
    generator = np.random.RandomState(1337)
    x = generator.randn(100, 10)
    return x, generator.randn(100, 10) + x


BY_HAND_X = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1], [2, 3]])
BY_HAND_Y = np.array([[0.0], [1], [1], [2], [4]])
X, Y = notebook_arrays()
PAIRS = {"notebook": (X, Y), "notebook swapped": (Y, X), "by hand": (BY_HAND_X, BY_HAND_Y)}

PUBLISHED = [
    ("notebook", "cka", "linear", 0.557613256611759),
    ("notebook", "cka-debiased", "linear", 0.513456489505526),
    ("notebook", "cka", "rbf:sigma=0.5", 0.6548311822614982),
    ("notebook", "cka-debiased", "rbf:sigma=0.5", 0.41927675102205175),
    ("notebook", "cka", "rbf:sigma=1", 0.5758322230135365),
    ("notebook", "cka", "polynomial", 0.5687698834757642),
    ("notebook", "cka", "sigmoid", 0.5021731711710804),
    ("notebook", "cka", "laplacian", 0.7334484277355888),
    ("notebook", "cca-r2", "", 0.5453963321908326),
    ("notebook", "cca-rho", "", 0.7310139587836585),
    ("notebook", "svcca-rho:variance=0.9", "", 0.7057648081425142),
    ("notebook", "pwcca", "", 0.7346677196174032),
    ("notebook swapped", "pwcca", "", 0.7368405675246638),
    ("notebook", "procrustes", "", 0.7362553106058283),
    ("notebook", "regression-r2", "", 0.5634752416529546),
    ("by hand", "cka", "linear", 1754 / math.sqrt(1546 * 2116)),
    ("by hand", "cka", "linear", 0.9697661315),
    ("by hand", "cka-debiased", "linear", 5 / (3 * math.sqrt(3))),
    ("by hand", "cka-debiased", "linear", 0.9622504486),
]
# What the command writes for a kernel typed without parameters.
CANONICAL = {
    "polynomial": "polynomial:degree=3,gamma=auto,coef0=1",
    "sigmoid": "sigmoid:gamma=auto,coef0=1",
    "laplacian": "laplacian:gamma=auto",
}
# A value printed with ten digits holds to half of its last one.
TOLERANCE = {0.9697661315: 6e-11, 0.9622504486: 6e-11}
SYMMETRIC = [row for row in PUBLISHED if row[0] == "notebook" and row[1] not in ("pwcca", "regression-r2")]


@pytest.mark.parametrize(("pair", "measure", "kernel", "expected"), PUBLISHED)
def test_library_gives_published_value(compare_arrays, pair, measure, kernel, expected):
    value = compare_arrays(*PAIRS[pair], measure, kernel or "linear")
    assert value == pytest.approx(expected, rel=0, abs=TOLERANCE.get(expected, 1e-9))


@pytest.mark.parametrize(("pair", "measure", "kernel", "expected"), SYMMETRIC)
def test_symmetric_measures_keep_the_value_when_the_arguments_are_swapped(
    compare_arrays, pair, measure, kernel, expected
):
    assert compare_arrays(Y, X, measure, kernel or "linear") == pytest.approx(expected, rel=0, abs=1e-9)


@pytest.fixture(scope="module")
def command_values(tmp_path_factory):
    """All values of each pair by (measure, kernel), from one run of `cka compare` with every spec at once."""
    folder = tmp_path_factory.mktemp("published")
    values = {}
    for pair, arrays in PAIRS.items():
        for name, array in zip("xy", arrays, strict=True):
            np.save(folder / f"{name}.npy", array)
        wanted, out = [row for row in PUBLISHED if row[0] == pair], folder / f"{pair}.csv"
        arguments = ["compare", str(folder / "x.npy"), str(folder / "y.npy"), "-o", str(out)]
        for measure in dict.fromkeys(row[1] for row in wanted):
            arguments += ["-m", measure]
        for kernel in dict.fromkeys(row[2] or "linear" for row in wanted):
            arguments += ["-k", kernel]
        with redirect_stderr(StringIO()) as said:
            cli.main(arguments, prog_name="cka", standalone_mode=False, obj={})
        assert said.getvalue() == ""
        for line in csv.DictReader(out.read_text(encoding="utf-8").splitlines()):
            values[pair, line["measure"], line["kernel"]] = float(line["value"])
    return values


@pytest.mark.parametrize(("pair", "measure", "kernel", "expected"), PUBLISHED)
def test_command_prints_published_value(command_values, pair, measure, kernel, expected):
    value = command_values[pair, measure, CANONICAL.get(kernel, kernel)]
    assert value == pytest.approx(expected, rel=0, abs=TOLERANCE.get(expected, 1e-9))


def test_default_sigma_is_the_papers_best(compare_arrays):
    assert compare_arrays(X, Y, kernel="rbf") == compare_arrays(X, Y, kernel="rbf:sigma=0.8")
    assert compare_arrays(X, Y, kernel="rbf") != pytest.approx(compare_arrays(X, Y, kernel="rbf:sigma=1"), abs=1e-3)


def test_svcca_at_ninety_percent_keeps_nine_and_nine():
    pair = FactorPair(factorise("x", X - X.mean(axis=0)), factorise("y", Y - Y.mean(axis=0)))
    assert (pair.x.n_kept(0.9), pair.y.n_kept(0.9)) == (9, 9)
    assert (pair.x.rank, pair.y.rank) == (10, 10)


def test_regression_is_of_the_first_layer_explained_by_the_second(compare_arrays):
    forwards, backwards = compare_arrays(X, Y, "regression-r2"), compare_arrays(Y, X, "regression-r2")
    assert forwards == pytest.approx(0.5634752416529546, abs=1e-9)
    assert backwards != pytest.approx(forwards, abs=1e-3)
