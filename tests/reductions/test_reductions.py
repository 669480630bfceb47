"""Every reduction of the package keeps what reductions promise."""

from functools import partial

import numpy as np

from cka_cli.layers.centring import load_centred, survey
from cka_cli.layers.selection import select_layers
from cka_cli.measures.pair_values import PairFunction, PairValues
from cka_cli.options import ReadOptions
from cka_cli.reductions.factors import FactorFunction, Factorise
from cka_cli.reductions.feature_products import FeatureProducts, FoldRowSums, sums_of_products
from cka_cli.reductions.folds import Folds
from cka_cli.reductions.gram_tiles import GramTiles, TileFunction, upper_tiles
from cka_cli.reductions.kernel_inputs import prepare
from cka_cli.reductions.medians import MedianFunction, MedianWithinBatches, OfLayers
from cka_cli.reductions.minibatch import BatchFunction, Minibatch, batches_of, shuffled_orders
from cka_cli.reductions.near_median import guessed_median
from cka_cli.reductions.protocol import Each
from cka_cli.specs import parse_kernel, parse_measure
from cka_cli.uncertainty.p_values import PermutationCounts, random_pairings, unit_gram
from tests.reductions.reduction_tests import ReductionTests, run

X, Y, ALL = slice(0, 1), slice(1, 3), slice(0, 3)
N = 60


def same(source):
    return source


def selected(folder):
    path = folder / "a.npz"
    if not path.exists():
        rng = np.random.default_rng(0)
        np.savez(path, a=rng.random((N, 5)), b=rng.random((N, 70)), c=rng.random((N, 3)))
    return select_layers([str(path)], ReadOptions())[0].layers


def opened(folder, dtype="f8"):
    return [load_centred(layer, np.dtype(dtype)) for layer in selected(folder)]


def read_in_pieces(folder, dtype="f8"):
    return [survey(layer, np.dtype(dtype), 3) for layer in selected(folder)]


def prepared(sources, *kernels):
    specs = [parse_kernel(kernel) for kernel in kernels]
    return [prepare(source, frozenset({"products", "saved", "distances"})) for source in sources], specs


class TestTiles(ReductionTests):
    by_layer, open, folds = False, staticmethod(opened), None

    def make(self, folder):
        layers, specs = prepared(self.open(folder), "linear", "polynomial", "rbf:gamma=0.3")
        return GramTiles(TileFunction(layers, specs, X, Y, self.folds), 17, by_layer=self.by_layer)

    def result(self, reduction):
        return [sums.state() for sums in reduction.sums]


class TestTilesOfFolds(TestTiles):
    folds = Folds(np.arange(N) // 3 % 5)


class TestTilesLayerByLayer(TestTiles):
    by_layer, open = True, staticmethod(read_in_pieces)


class TestTilesOfKeptDistances(TestTiles):
    def make(self, folder):
        layers, specs = prepared(opened(folder, "f4"), "rbf:gamma=0.3", "rbf:gamma=2")
        first = run(GramTiles(TileFunction(layers, [], X, Y, keeps_distances=True), 17, by_layer=self.by_layer))
        return GramTiles(TileFunction(layers, specs, X, Y, kept=first.kept), 17, by_layer=self.by_layer)


class TestOneTileOfKeptDistances(TestTilesOfKeptDistances):
    by_layer = True


class TestTilesOfTerms(TestTiles):
    def make(self, folder):
        layers, specs = prepared(opened(folder), "rbf", "polynomial", "rbf:sigma=0.3")
        brackets = [guessed_median(layer) for layer in layers]
        function = TileFunction(layers, specs, X, Y, self.folds, n_terms=3, brackets=brackets)
        return GramTiles(function, 17, by_layer=False)

    def result(self, reduction):
        return [super().result(reduction), reduction.near.state()]


class TestTilesOfTermsAndFolds(TestTilesOfTerms):
    folds = Folds(np.arange(N) // 3 % 5)


class TestMedians(ReductionTests):
    def make(self, folder):
        layers, _ = prepared(opened(folder))
        return OfLayers("medians", "", MedianFunction(layers, upper_tiles(N, 17), {}, 100), layers)

    def result(self, reduction):
        return reduction.values


class TestMediansWithinBatches(TestMedians):
    def make(self, folder):
        layers, _ = prepared(read_in_pieces(folder))
        function = MedianWithinBatches(layers, batches_of(shuffled_orders(N, 1, 0), 11))
        return OfLayers("medians", "", function, layers)


class TestFeatureProducts(ReductionTests):
    folds, x, y = None, X, Y

    def make(self, folder):
        return FeatureProducts(opened(folder, "f4"), self.x, self.y, 13, self.folds)

    def result(self, reduction):
        row_sums = run(FoldRowSums(reduction, 13)).row_sums if self.folds else None
        return sums_of_products(reduction, row_sums).state()


class TestFeatureProductsOfFolds(TestFeatureProducts):
    folds = Folds(np.arange(N) // 3 % 5)


class TestFeatureProductsWithItself(TestFeatureProducts):
    x = y = ALL


class TestFoldRowSums(ReductionTests):
    def make(self, folder):
        folds = Folds(np.arange(N) // 3 % 5)
        return FoldRowSums(run(FeatureProducts(read_in_pieces(folder), X, Y, 13, folds)), 13)

    def result(self, reduction):
        return reduction.row_sums


class TestMinibatch(ReductionTests):
    def make(self, folder):
        layers, specs = prepared(opened(folder), "linear", "rbf:gamma=0.3")
        return Minibatch(BatchFunction(layers, specs, X, Y), shuffled_orders(N, 2, 1), 11)

    def result(self, reduction):
        return [(sums.biased(), sums.unbiased(), sums.expected()) for sums in reduction.sums()]


class TestFactorise(ReductionTests):
    def make(self, folder):
        openers = [partial(load_centred, layer, np.dtype("f8")) for layer in selected(folder)]
        return Factorise(FactorFunction(openers, same, None, with_columns=True), [1, 2, 3])

    def result(self, reduction):
        return [(each.facts, each.basis, each.singular_values, each.columns) for each in reduction.factors]


class TestPairs(ReductionTests):
    def make(self, folder):
        factors = run(TestFactorise().make(folder)).factors
        measures = [parse_measure(name) for name in ("cca-r2", "pwcca", "regression-r2")]
        function = PairFunction(factors, factors, measures, is_square=True)
        return PairValues(function, [(0, 0), (0, 1), (0, 2), (1, 2)])

    def result(self, reduction):
        return reduction.table


class TestPermutations(ReductionTests):
    def make(self, folder):
        layers, (spec,) = prepared(opened(folder), "linear")
        grams = [unit_gram(spec, layer, is_unbiased=True) for layer in layers]
        return PermutationCounts("permutations", grams, X, Y, partial(random_pairings, N, 3, None), 7)

    def result(self, reduction):
        return reduction.p_values()


class TestEach(ReductionTests):
    def make(self, folder):
        return Each("reading", partial(prepare, needs=frozenset({"distances"})), opened(folder))

    def result(self, reduction):
        return [layer.terms for layer in reduction.results]
