"""The minibatch estimate: averages first, then one ratio."""

import numpy as np
import pytest

import cka_cli.reductions.minibatch
from cka_cli.api.compare import compare
from cka_cli.errors import UsageError
from cka_cli.options import ReadOptions, RunOptions
from cka_cli.reductions.minibatch import batches_of, shuffled_orders
from tests import oracle
from tests.asked import asked, changed, compared

BOTH = ["cka", "cka-debiased", "hsic", "hsic-unbiased"]


def save(folder, n_examples=300, width=20):
    rng = np.random.default_rng(1337)
    x = rng.standard_normal((n_examples, width))
    y = x @ rng.standard_normal((width, 8)) + rng.standard_normal((n_examples, 8))
    for name, values in (("x", x), ("y", y)):
        np.save(folder / f"{name}.npy", values)
    return x, y, str(folder / "x.npy"), [str(folder / "y.npy")]


@pytest.mark.parametrize(
    ("n_examples", "n_batch", "sizes"),
    [(100, 25, [25] * 4), (103, 25, [25, 25, 25, 28]), (104, 25, [25] * 4 + [4]), (10, 25, [10]), (6, 4, [6])],
)
def test_batches_hold_every_example_once_and_are_never_below_four(n_examples, n_batch, sizes):
    (order,) = shuffled_orders(n_examples, 1, 0)
    batches = batches_of([order], n_batch)
    assert [len(batch) for batch in batches] == sizes
    assert sorted(np.concatenate(batches)) == list(range(n_examples))


def test_the_published_value_of_four_batches_in_order(tmp_path, monkeypatch):
    np.random.seed(1337)
    x = np.random.randn(100, 10)
    y = np.random.randn(100, 10) + x
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    monkeypatch.setattr(
        cka_cli.reductions.minibatch, "shuffled_orders", lambda n_examples, n_passes, seed: [np.arange(n_examples)]
    )
    comparison = compare(
        str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), measures=["cka-debiased"], run=RunOptions(n_batch=25)
    )
    assert comparison.matrices[0].values[0, 0] == pytest.approx(0.5132675063590594, abs=1e-9)


@pytest.mark.parametrize("kernel", ["linear", "rbf:sigma=0.5", "rbf:gamma=0.01", "polynomial", "cosine"])
def test_one_batch_of_all_examples_is_the_exact_value(tmp_path, kernel):
    _, _, x, y = save(tmp_path)
    exact = compare(x, y, measures=BOTH, kernels=[kernel])
    for n_batch in (300, 1000):
        batch = compare(x, y, measures=BOTH, kernels=[kernel], run=RunOptions(n_batch=n_batch))
        for one, other in zip(exact.matrices, batch.matrices, strict=True):
            np.testing.assert_allclose(other.values, one.values, rtol=1e-10)


def test_averages_are_taken_before_the_ratio(tmp_path):
    x, y, *paths = save(tmp_path)
    read = ReadOptions(seed=3)
    value = (
        compare(*paths, measures=["cka-debiased"], read=read, run=RunOptions(n_batch=30, n_passes=2))
        .matrices[0]
        .values[0, 0]
    )
    batches = batches_of(shuffled_orders(300, 2, 3), 30)

    def mean(one, other):
        return np.mean([oracle.value(one[rows], other[rows], "hsic-unbiased") for rows in batches])

    assert value == pytest.approx(mean(x, y) / np.sqrt(mean(x, x) * mean(y, y)), rel=1e-10)


def test_the_estimate_is_near_the_exact_value_and_does_not_depend_on_memory(tmp_path):
    _, _, x, y = save(tmp_path, 2000, 60)
    exact = compare(x, y, measures=["cka-debiased"], kernels=["rbf"]).matrices[0].values[0, 0]
    options = {"measures": ["cka-debiased"], "kernels": ["rbf"], "n_batch": 100}
    in_memory = compare(x, y, **asked(**options)).matrices[0].values[0, 0]
    in_pieces = compared(x, y, plan_of=changed(in_memory=False, n_slices=(17, 8), n_threads=2), **options)
    assert in_pieces.matrices[0].values[0, 0] == pytest.approx(in_memory, abs=1e-11)
    assert in_memory == pytest.approx(exact, abs=0.02)


def test_what_has_no_estimate_says_so(tmp_path):
    _, _, x, y = save(tmp_path)
    with pytest.raises(UsageError, match="--batch: cca-r2 has no minibatch estimate"):
        compare(x, y, measures=["cca-r2"], run=RunOptions(n_batch=30))
    with pytest.raises(UsageError, match="--batch 3: a batch has at least 4 examples; give 4 or more"):
        compare(x, y, run=RunOptions(n_batch=3))


def test_passes_do_not_bring_the_biased_average_nearer_and_a_note_says_so(tmp_path):
    _, _, *paths = save(tmp_path, 240, 30)
    for measure, other in (("cka", "cka-debiased"), ("hsic", "hsic-unbiased")):
        exact = [compare(*paths, measures=[name]).matrices[0].values[0, 0] for name in (measure, other)]
        batches = compare(*paths, measures=[measure, other], run=RunOptions(n_batch=20, n_passes=40))
        off = [abs(matrix.values[0, 0] - value) for matrix, value in zip(batches.matrices, exact, strict=True)]
        assert off[0] > 10 * off[1]
        note = f"{measure}: batches of 20 give about the value of 20 examples, whatever the passes; use -m {other}"
        assert batches.notes == (note,)
        parts = [compare(*paths, measures=[measure], read=ReadOptions(sample=20, seed=seed)) for seed in range(60)]
        of_20 = np.mean([part.matrices[0].values[0, 0] for part in parts])
        assert abs(of_20 - batches.matrices[0].values[0, 0]) < off[0] / 4
    assert compare(*paths, measures=["cka-debiased"], run=RunOptions(n_batch=20)).notes == ()
    assert compare(*paths, measures=["cka", "hsic"], run=RunOptions(n_batch=240)).notes == ()
    (note,) = compare(*paths, measures=["cka", "hsic"], kernels=["linear", "rbf"], run=RunOptions(n_batch=20)).notes
    assert note.startswith("cka, hsic: ")
    assert note.endswith("use -m cka-debiased -m hsic-unbiased")
