"""A centred layer as U S V': an orthonormal basis of its columns, its singular values, and the way back.

By QR and SVD in float64, block by block, so that a layer need not be held whole; never through inverse square roots of
covariances: those lose half of the digits.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cka_cli.arrays import Array, Float64, pieces
from cka_cli.reductions.gram_matrices import effective_dimension
from cka_cli.reductions.protocol import Reduction
from cka_cli.reductions.source import Source, SourceFacts, facts_of

# Rows, or features, of a block by its other side: less, and joining the blocks takes longer than they do.
_BLOCK = 4
# How far out a row may lie, in typical distances: components beside it are then good to about 1e-5.
LOST_BESIDE = 1e12


@dataclass(frozen=True, eq=False)
class Factors:
    """The thin SVD of one centred layer, cut at its rank.

    basis : U, shape (n_examples, rank), orthonormal columns orthogonal to the constant vector.
    singular_values : S, shape (rank,), descending, in the layer's scaled units.
    columns : S V', what each component is of each feature, shape (rank, n_features); None unless asked for.
    facts : what was found out about the layer when it was centred.
    """

    facts: SourceFacts
    n_features: int
    basis: Float64
    singular_values: Float64
    columns: Float64 | None = None

    @property
    def label(self) -> str:
        return self.facts.label

    @property
    def rank(self) -> int:
        """Number of independent directions."""
        return len(self.singular_values)

    @property
    def n_degrees(self) -> int:
        """Independent directions that any centred layer can have: n_examples − 1."""
        return len(self.basis) - 1

    @property
    def is_saturated(self) -> bool:
        """Whether the layer spans every centred vector, so that any other layer is a linear map of it."""
        return self.rank >= self.n_degrees

    @property
    def is_lost(self) -> bool:
        """Whether a row lies so far out that the components beside it have lost their digits."""
        return self.facts.far_ratio > LOST_BESIDE

    @property
    def effective_dimension(self) -> float:
        """(Σs²)²/Σs⁴, the participation ratio of the variances of the components: 1 to rank; NaN for rank 0."""
        if self.rank == 0:
            return np.nan
        variances = (self.singular_values / self.singular_values[0]) ** 2
        return float(effective_dimension(variances.sum(), (variances**2).sum()))

    def n_kept(self, variance: float) -> int:
        """Return how many leading components hold this share of the variance Σs²."""
        if self.rank == 0:
            return 0
        shares = np.cumsum(self.singular_values**2)
        # A share that rounding leaves a hair below the one asked for counts as reached.
        return min(self.rank, int(np.searchsorted(shares, variance * shares[-1] * (1 - 1e-12))) + 1)


def factorise_layer(source: Source, *, with_columns: bool = False) -> Factors:
    """Return the factors of a layer, read in blocks of rows or of features.

    source : float64, centred up to a shift. A streamed one with more features than examples gives slices of
    `n_block_features`, or wider ones.
    Rank: singular values above max(n_examples, n_features) × 2⁻⁵² × the largest count (numpy's matrix_rank).
    Cost: one QR and one SVD of the smaller side; layers with more features than examples are read once more for
    `columns`. Memory: `work_bytes`, and the factors.
    """
    n_examples, n_features = source.n_examples, source.n_features
    basis, singular_values, columns = (_of_wide if n_features > n_examples else _of_tall)(source)
    tolerance = singular_values[0] * max(n_examples, n_features) * np.finfo(np.float64).eps
    rank = min(int(np.count_nonzero(singular_values > tolerance)), n_examples - 1)
    basis, singular_values = basis[:, :rank], singular_values[:rank]
    if not with_columns:
        columns = None
    elif columns is None:
        columns = np.empty((rank, n_features))
        for features, block in _column_blocks(source):
            columns[:, features] = basis.T @ block
    else:
        columns = columns[:rank]
    return Factors(facts_of(source), n_features, basis, singular_values, columns)


def n_block_features(n_examples: int, n_features: int, n_step: int = 1) -> int:
    """Return how many features of a wide layer are taken in at a time; n_step : a slice is a multiple of it."""
    return min(n_features, -(-_BLOCK * n_examples // n_step) * n_step)


def work_bytes(n_examples: int, n_features: int, n_step: int = 1) -> int:
    """Return the bytes that factors take on the way: blocks with what LAPACK copies of them, and the SVD."""
    smaller = min(n_examples, n_features)
    if n_features > n_examples:
        n_block = n_block_features(n_examples, n_features, n_step)
        return 8 * n_examples * (n_block + 2 * (n_block + n_examples)) + 64 * smaller**2
    n_rows = -(-n_examples // _n_row_blocks(n_examples, n_features))
    return 24 * n_rows * n_features + 64 * smaller**2


def _of_wide(source: Source) -> tuple[Float64, Float64, None]:
    """Return U and S of X = R'Q', by the triangle R of all features as rows, which blocks are added to in turn."""
    triangle = np.empty((0, source.n_examples))
    for _, block in _column_blocks(source):
        rows = np.concatenate([triangle, block.T]) if len(triangle) else block.T
        triangle = np.asarray(np.linalg.qr(rows, mode="r"))
    left, singular_values, _ = np.linalg.svd(triangle.T, full_matrices=False)
    return left, singular_values, None


def _column_blocks(source: Source) -> Iterator[tuple[slice, Float64]]:
    """Give the features of all rows, block by block: which, and centred values (n_examples, n_block)."""
    n_block = n_block_features(source.n_examples, source.n_features)
    for features, values in source.slices(slice(0, source.n_examples)):
        for some in pieces(values.shape[1], n_block):
            block = np.subtract(values[:, some], values[:, some].mean(axis=0), dtype=np.float64)
            yield slice(features.start + some.start, features.start + some.stop), block


def _of_tall(source: Source) -> tuple[Float64, Float64, Float64]:
    """Return U, S and S V' of X = Q R, by a QR of each block of rows and one of all their triangles."""
    n_examples, n_features = source.n_examples, source.n_features
    basis = np.empty((n_examples, n_features))
    edges = np.linspace(0, n_examples, _n_row_blocks(n_examples, n_features) + 1).astype(int)
    blocks = [slice(start, stop) for start, stop in pairwise(edges)]
    for rows in blocks:
        for features, values in source.slices(rows):
            basis[rows, features] = values
    basis -= basis.mean(axis=0)
    triangles = []
    for rows in blocks:
        basis[rows], triangle = np.linalg.qr(basis[rows])
        triangles.append(triangle)
    joined, triangle = np.linalg.qr(np.concatenate(triangles))
    left, singular_values, right = np.linalg.svd(triangle, full_matrices=False)
    joined = joined @ left
    for place, rows in enumerate(blocks):
        basis[rows] = basis[rows] @ joined[place * n_features : (place + 1) * n_features]
    return basis, singular_values, singular_values[:, None] * right


def _n_row_blocks(n_examples: int, n_features: int) -> int:
    return max(1, n_examples // (_BLOCK * n_features))


# The factors of a layer, and what is kept of its source for other reductions.
Factorised = tuple[Factors, Source | None]


@dataclass(frozen=True, eq=False)
class FactorFunction:
    """The factors of a layer, by its place.

    open : gives each layer, centred. view : gives it as factors need it, in float64. keep : gives what is kept of it,
        where anything is.
    """

    open: Sequence[Callable[[], Source]]
    view: Callable[[Source], Source]
    keep: Callable[[Source], Source] | None
    with_columns: bool

    def __call__(self, place: int) -> Factorised:
        source = self.open[place]()
        factors = factorise_layer(self.view(source), with_columns=self.with_columns)
        return factors, self.keep(source) if self.keep else None


class Factorise(Reduction[int, Factorised]):
    """The factors of every layer. A task is a layer; costs : of each.

    sources : what was kept of each source, but for the first ones, the factors of which were saved by an earlier run.
    """

    name = "factors"
    stage = "factorising"

    def __init__(self, function: FactorFunction, costs: Sequence[int]):
        self.compute, self._tasks, self._costs = function, range(len(costs)), costs
        self.factors: list[Factors] = []
        self.sources: list[Source] = []

    def add(self, partial: Factorised) -> None:
        factors, source = partial
        self.factors.append(factors)
        if source is not None:
            self.sources.append(source)
        self.n_added += 1

    def state(self) -> dict[str, Array]:
        state: dict[str, Array] = {}
        for place, each in enumerate(self.factors):
            _, *numbers = each.facts
            state |= {
                f"{place} label": np.frombuffer(each.label.encode(), np.uint8).astype(np.int32),
                f"{place} facts": np.array([each.n_features, *numbers], np.float64),
                f"{place} basis": each.basis,
                f"{place} singular_values": each.singular_values,
            }
            if each.columns is not None:
                state[f"{place} columns"] = each.columns
        return state

    def restore(self, state: Mapping[str, Array]) -> None:
        places = sorted({int(name.split()[0]) for name in state})
        if places != list(range(len(places))) or len(places) > len(self._costs):
            raise ValueError("the factors do not fit")
        self.factors = [
            _factors_of_arrays({name.split()[1]: each for name, each in state.items() if name.split()[0] == str(place)})
            for place in places
        ]


def _factors_of_arrays(arrays: Mapping[str, Array]) -> Factors:
    n_features, is_constant, scale, far_ratio, farthest = arrays["facts"].tolist()
    label = arrays["label"].astype(np.uint8).tobytes().decode()
    facts = SourceFacts(label, bool(is_constant), scale, far_ratio, int(farthest))
    basis, singular_values = arrays["basis"], arrays["singular_values"]
    if basis.shape[1:] != singular_values.shape:
        raise ValueError("the factors do not fit")
    return Factors(facts, int(n_features), basis, singular_values, arrays.get("columns"))
