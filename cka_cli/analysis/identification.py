"""How often a measure finds a layer's counterpart in another network: the accuracy, its error, and chance.

The procedure is that of Kornblith et al. (2019), arXiv 1905.00414, table 2: for each layer of network A the layer of
network B with the largest value, right if it stands at the same place; averaged over layers and all ordered pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import factorial

import numpy as np

from cka_cli.arrays import Float64, Indices
from cka_cli.results.matrix import TIE, is_largest, title_of
from cka_cli.uncertainty.jackknife import critical_t

SIGNIFICANT = 0.05
N_PERMUTATIONS = 1999
_LEAST_FILES_FOR_ERROR = 3


@dataclass(frozen=True)
class Identification:
    """How well one measure identifies layers.

    accuracy, chance : shares of the layers, 0 to 1; chance is 1/n_layers.
    std_error : by a jackknife over networks; None below three.
    p_value : of an accuracy as high when the layers of every network change places at random.
    difference, difference_std_error : from the most accurate measure, 0 or less, and its error by the same jackknife.
    differs : whether that difference is significant, by Student's t at 5 %; None where it has no error.
    by_file, p_value_by_file : of the pairs that each network takes part in, and when only its layers change places.
    """

    measure: str
    kernel: str
    n_examples: int | None
    n_files: int
    n_layers: int
    accuracy: float
    std_error: float | None
    p_value: float
    by_file: tuple[float, ...]
    p_value_by_file: tuple[float, ...]
    difference: float
    difference_std_error: float | None
    differs: bool | None

    @property
    def title(self) -> str:
        """`measure, kernel`, as `Matrix.title`."""
        return title_of(self.measure, self.kernel)

    @property
    def chance(self) -> float:
        """The accuracy of a measure that knows nothing of the layers."""
        return 1 / self.n_layers

    @property
    def is_best(self) -> bool:
        """Whether no measure is more accurate."""
        return self.difference == 0

    @property
    def can_be_told_from_chance(self) -> bool:
        """Whether perfect accuracy could be told from chance: not with two networks of three layers."""
        return bool(1 / factorial(self.n_layers) ** (self.n_files - 1) <= SIGNIFICANT)

    @property
    def is_at_chance(self) -> bool:
        """Whether the accuracy cannot be told from chance, though a higher one could."""
        return self.p_value > SIGNIFICANT and self.can_be_told_from_chance


def credits_of(values: Float64) -> Float64:
    """Return what each column is credited with when the largest value of a row is guessed: 1/k to each of k equal.

    A row of NaN gives no credit to any: a layer without a value is not identified. Same shape as `values`.
    """
    largest = is_largest(values)
    return np.asarray(largest / np.maximum(largest.sum(axis=-1, keepdims=True), 1))


class Guesses:
    """What one measure guesses for the layers of every network in every other, all networks equally deep.

    credits : for each ordered pair of files `credits_of` its matrix, shape (n_layers, n_layers).
    """

    def __init__(self, credits: dict[tuple[int, int], Float64]):
        self.credits = credits
        self.n_files = 1 + max(max(pair) for pair in credits)
        self.n_layers = len(next(iter(credits.values())))

    @cached_property
    def by_pair(self) -> Float64:
        """The accuracy of each ordered pair, shape (n_files, n_files); 0 on the diagonal."""
        accuracies = np.zeros((self.n_files, self.n_files))
        for pair, credits in self.credits.items():
            accuracies[pair] = np.trace(credits) / self.n_layers
        return accuracies

    @property
    def accuracy(self) -> float:
        """The mean over layers and ordered pairs."""
        return float(self.by_pair.sum() / (self.n_files * (self.n_files - 1)))

    @property
    def _with_each(self) -> Float64:
        return np.asarray(self.by_pair.sum(axis=0) + self.by_pair.sum(axis=1))

    @property
    def by_file(self) -> Float64:
        """The accuracy of the pairs that each file is in, shape (n_files,)."""
        return self._with_each / (2 * (self.n_files - 1))

    @property
    def without_each(self) -> Float64:
        """The accuracy without each file and all pairs it is in, shape (n_files,); of at least three files."""
        return np.asarray((self.by_pair.sum() - self._with_each) / ((self.n_files - 1) * (self.n_files - 2)))

    def p_value(self, places: Indices) -> float:
        """Return how often the accuracy is as high when the layers of every network change places.

        places : shape (n_permutations, n_files, n_layers), where each layer of each file is put. Over all permutations
        the mean accuracy is 1/n_layers exactly, whatever the guesses are, where every layer has one.
        """
        drawn, observed = np.zeros(len(places)), 0.0
        for (one, other), credits in self.credits.items():
            if one < other:
                both = credits + self.credits[other, one].T
                drawn += both[places[:, one], places[:, other]].sum(axis=1)
                observed += np.trace(both)
        return _share_as_high(drawn, observed)

    def p_value_by_file(self, places: Indices) -> list[float]:
        """Return the same for the pairs of each file, when only the layers of that file change places.

        The other networks may well correspond to each other: then their pairs with one file are no independent
        evidence.
        """
        in_place = np.arange(self.n_layers)
        result = []
        for file in range(self.n_files):
            others = [other for other in range(self.n_files) if other != file]
            both = np.sum([self.credits[file, other] + self.credits[other, file].T for other in others], axis=0)
            result.append(_share_as_high(both[places[:, file], in_place].sum(axis=1), float(np.trace(both))))
        return result


def _share_as_high(drawn: Float64, observed: float) -> float:
    """Return (1 + as high)/(1 + draws), a p-value that is never 0; what is as high but for rounding counts."""
    return float((1 + np.count_nonzero(drawn >= observed - 1e-9)) / (1 + len(drawn)))


def identify(guesses: Sequence[tuple[str, str, int | None, Guesses]]) -> tuple[Identification, ...]:
    """Return how well each measure identifies layers, and how far it lies behind the best of them.

    guesses : measure, kernel, number of examples and guesses of each, of the same files.
    """
    n_files, n_layers = guesses[0][-1].n_files, guesses[0][-1].n_layers
    in_order = np.broadcast_to(np.arange(n_layers), (N_PERMUTATIONS, n_files, n_layers))
    places = np.random.default_rng(0).permuted(in_order, axis=2)
    best = max((each for *_, each in guesses), key=lambda each: each.accuracy)
    return tuple(_identification(*each, best, places) for each in guesses)


def _identification(
    measure: str, kernel: str, n_examples: int | None, guesses: Guesses, best: Guesses, places: Indices
) -> Identification:
    difference = guesses.accuracy - best.accuracy
    std_error, difference_error, differs = None, None, None
    if guesses.n_files >= _LEAST_FILES_FOR_ERROR:
        std_error = jackknife_error(guesses.without_each)
        difference_error = jackknife_error(guesses.without_each - best.without_each)
        differs = -difference > critical_t(guesses.n_files - 1) * difference_error + TIE
    return Identification(
        measure=measure,
        kernel=kernel,
        n_examples=n_examples,
        n_files=guesses.n_files,
        n_layers=guesses.n_layers,
        accuracy=guesses.accuracy,
        std_error=std_error,
        p_value=guesses.p_value(places),
        by_file=tuple(guesses.by_file.tolist()),
        p_value_by_file=tuple(guesses.p_value_by_file(places)),
        difference=difference,
        difference_std_error=difference_error,
        differs=differs,
    )


def jackknife_error(without_each: Float64) -> float:
    """Return the standard error from the values without each of the n networks: √((n−1)/n Σ(value − mean)²)."""
    n = len(without_each)
    return float(np.sqrt((n - 1) / n * ((without_each - without_each.mean()) ** 2).sum()))
