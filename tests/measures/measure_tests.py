"""What holds of every measure: a new one is tested by a class that inherits these tests and says what it does not feel.

    class TestProcrustes(MeasureTests):
        measure = "procrustes"
        unfelt_of_x = unfelt_of_y = RIGID

Its value by its formula stands in tests/oracle.py. What its row and its words say is held to its values.
"""

import numpy as np
import pytest

from cka_cli import specs
from cka_cli.errors import DataError
from cka_cli.measures import registry
from tests import oracle


def layer(rng, n_examples, n_features):
    """Correlated features of unequal variance around means that are not 0."""
    mixing = rng.normal(size=(n_features, n_features)) * 2.0 ** -np.arange(n_features)[:, None]
    return rng.normal(size=(n_examples, n_features)) @ mixing + rng.normal(size=n_features)


def orthogonal(rng, n_features):
    return np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]


def invertible(rng, n_features):
    """A rotation, a stretch of up to 10, and another rotation."""
    stretch = np.geomspace(0.1, 1, n_features)
    return orthogonal(rng, n_features) * stretch @ orthogonal(rng, n_features)


MAPS = {
    "orthogonal": lambda rng, x: x @ orthogonal(rng, x.shape[1]),
    "scale": lambda rng, x: 3.7 * x,
    "shift": lambda rng, x: x + rng.normal(size=x.shape[1]) * 5,
    "permutation of features": lambda rng, x: x[:, rng.permutation(x.shape[1])],
    "invertible": lambda rng, x: x @ invertible(rng, x.shape[1]),
    "scale of each example": lambda rng, x: x * rng.uniform(0.5, 2, size=(len(x), 1)),
    "permutation of examples": lambda rng, x: x[rng.permutation(len(x))],
}
WITH_UNITS = ("orthogonal", "shift", "permutation of features")
RIGID = (*WITH_UNITS, "scale")
LINEAR = (*RIGID, "invertible")
# What the text of a range says.
RANGES = {
    "0 to 1": (0, 1),
    "0 for noise, -1 to 1": (-1, 1),
    "0 and up": (0, np.inf),
    "any, 0 for noise": (-np.inf, np.inf),
}


def pair(seed=7):
    """X of 40 × 6 and Y of 40 × 9, which share what X holds but for noise."""
    rng = np.random.default_rng(seed)
    x = layer(rng, 40, 6)
    return rng, x, np.hstack([x[:, :4] + 0.5 * rng.normal(size=(40, 4)), layer(rng, 40, 5)])


class MeasureTests:
    """Tests of one measure, as a user types it, of the linear kernel where it takes one.

    unfelt_of_x, unfelt_of_y : the names of `MAPS` that it does not feel of a layer of 6 features and of one of 9.
    """

    measure: str
    unfelt_of_x: tuple[str, ...]
    unfelt_of_y: tuple[str, ...]

    @pytest.fixture
    def value(self, compare_arrays):
        return lambda *arrays: compare_arrays(*arrays, measure=self.measure)

    @property
    def name(self):
        return self.measure.partition(":")[0]

    @property
    def row(self):
        return registry.MEASURES[self.name]

    @property
    def bounds(self):
        return specs.MEASURES[self.name].bounds

    def test_a_row_says_what_it_is(self):
        for text in (self.row.formula, self.row.value_range, self.row.invariant_to, self.row.cost, self.row.source):
            assert text == text.strip() != ""
        assert any(f"{year}" in self.row.source for year in range(1930, 2040))
        assert self.row.min_examples == (4 if self.row.is_unbiased else 3)
        assert RANGES[self.row.value_range] == self.bounds

    def test_it_follows_from_one_statistic(self):
        assert (self.row.from_hsic is None) != (self.row.from_pair is None)
        assert self.row.takes_kernel == (self.row.from_hsic is not None)
        if self.row.takes_kernel:
            assert (self.row.chance, self.row.saturated_by, self.row.needs_columns) == (None, "", False)
        else:
            assert not self.row.is_unbiased

    def test_it_is_its_formula(self, value):
        _, x, y = pair()
        assert value(x, y) == pytest.approx(oracle.value(oracle.centred(x), oracle.centred(y), self.measure), rel=1e-9)

    def test_a_value_lies_between_the_bounds(self, value):
        rng, x, y = pair()
        for other in (y, layer(rng, 40, 9), rng.normal(size=(40, 45)), x + 1e-9 * y[:, :6]):
            assert self.bounds[0] - 1e-9 <= value(x, other) <= self.bounds[1] + 1e-9

    def test_a_layer_is_most_like_itself(self, value):
        _, x, y = pair()
        itself = value(x, x)
        assert itself == pytest.approx(1, rel=1e-9) if specs.is_bounded(self.measure) else itself > 0
        assert value(x, y) < itself

    def test_larger_is_more_alike(self, value):
        rng, x, _ = pair()
        noise = rng.normal(size=x.shape) * x.std(axis=0)
        values = [value(x, (x + by * noise) / np.hypot(1, by)) for by in (0.1, 0.5, 2)]
        assert values == sorted(values, reverse=True)

    def test_symmetric_if_said_so(self, value):
        rng, x, y = pair()
        y = y @ np.diag(np.geomspace(1, 9, 9)) @ rng.normal(size=(9, 6))  # the same number of features
        is_symmetric = value(x, y) == pytest.approx(value(y, x), rel=1e-9)
        assert is_symmetric == self.row.is_symmetric

    @pytest.mark.parametrize("side", ["x", "y"])
    @pytest.mark.parametrize("name", MAPS)
    def test_it_feels_every_map_but_those_it_is_invariant_to(self, value, name, side):
        rng, x, y = pair()
        before = value(x, y)
        mapped = MAPS[name](rng, x if side == "x" else y)
        after = value(mapped, y) if side == "x" else value(x, mapped)
        if name in (self.unfelt_of_x if side == "x" else self.unfelt_of_y):
            assert after == pytest.approx(before, rel=1e-9)
        else:
            assert abs(after / before - 1) > 1e-4

    def test_units_change_it_if_said_so(self, value):
        _, x, y = pair()
        assert (abs(value(3 * x, y) / value(x, y) - 1) > 1e-9) == self.row.has_units
        assert ("scale" in self.unfelt_of_x) != self.row.has_units

    def test_the_order_of_the_examples_does_not_matter_as_long_as_it_is_one(self, value):
        rng, x, y = pair(8)
        order = rng.permutation(40)
        assert value(x[order], y[order]) == pytest.approx(value(x, y), rel=1e-9)

    def test_enough_features_saturate_it_if_said_so(self, value):
        rng = np.random.default_rng(72)
        x, y = rng.normal(size=(2, 12, 30)) * 0.5 ** np.arange(30)
        assert (value(x, y) == 1) == bool(self.row.saturated_by)

    def test_too_few_examples_are_an_error_that_says_how_many_are_needed(self, value):
        _, x, y = pair()
        needed = self.row.min_examples
        value(x[:needed], y[:needed])
        line = rf"\.npy::\d+: {needed - 1} examples, but {self.name} needs at least {needed}; give more rows$"
        with pytest.raises(DataError, match=line):
            value(x[: needed - 1], y[: needed - 1])
