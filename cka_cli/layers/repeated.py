"""Whether a file holds every example more than once, as a recorder leaves it that ran twice over the same examples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from cka_cli.arrays import Array, pieces
from cka_cli.files.layer import Layer

# Distinct examples below which equal rows may be chance.
_FEWEST_DISTINCT = 4
# A layer up to this size is read whole for a look at a few of its rows.
_SMALL_BYTES = 1 << 20
_BLOCK_BYTES = 1 << 23

# Whether equal rows follow each other, and how often each stands there at least: a prime.
_Pattern = tuple[bool, int]


@dataclass(frozen=True)
class Repeats:
    """Every example of a file stands there several times, in all of its layers.

    rows : those looked at. n_times : how often each stands there. in_runs : whether the same rows follow each other;
    else all rows come, and then all again in the same order.
    """

    rows: range
    n_times: int
    in_runs: bool

    @property
    def n_distinct(self) -> int:
        """How many examples there really are."""
        return len(self.rows) // self.n_times

    def __str__(self) -> str:
        if self.in_runs:
            return f"every row stands there {self.n_times} times, one behind the other"
        first, again = self.rows[: self.n_distinct], self.rows[self.n_distinct :]
        times = "again" if self.n_times == 2 else f"again, {self.n_times - 1} times"
        return f"rows {again[0]} to {again[-1]} are rows {first[0]} to {first[-1]} {times}"


def find_repeats(layers: Sequence[Layer], rows: range) -> Repeats | None:
    """Return how the rows repeat each other in all of the layers, None when they do not.

    Reads a few rows of the smallest layer, of the next one where they are equal, and everything only where they are
    equal in all layers. Layers that say only of which class a row is, or that never change, prove nothing by
    themselves; neither do rows of which there are fewer than times that each stands there. Raises DataError when the
    disk fails.
    """
    n_rows = len(rows)
    patterns: list[_Pattern] = [
        (in_runs, prime)
        for prime in sorted(set(_prime_factors(n_rows)))
        if n_rows // prime >= max(prime, _FEWEST_DISTINCT)
        for in_runs in (False, True)
    ]
    by_size = sorted(layers, key=lambda layer: layer.n_bytes)
    for layer in by_size:
        patterns = _seen_in(layer, rows, patterns) if patterns else []
    of_all, has_proof = np.zeros(n_rows, np.int64), False
    for layer in by_size if patterns else ():
        marks, is_of_classes = _marks(layer, rows)
        patterns = [pattern for pattern in patterns if _holds(marks, *pattern)]
        if not patterns:
            return None
        of_all = of_all * 1_000_003 + marks  # wraps around
        has_proof |= not is_of_classes
    if not patterns or not has_proof:
        return None
    n_times, in_runs = max((_n_times(of_all, in_runs), in_runs) for in_runs in {in_runs for in_runs, _ in patterns})
    found = Repeats(rows, n_times, in_runs)
    is_few = found.n_distinct < max(n_times, _FEWEST_DISTINCT) or 2 * len(np.unique(of_all)) < found.n_distinct
    return None if is_few else found


def _prime_factors(number: int) -> Iterator[int]:
    """Give the prime factors of a number, each as often as it divides it."""
    factor = 2
    while factor * factor <= number:
        while number % factor == 0:
            yield factor
            number //= factor
        factor += 1
    if number > 1:
        yield number


def _seen_in(layer: Layer, rows: range, patterns: list[_Pattern]) -> list[_Pattern]:
    """Return those of the patterns that a few rows of a layer do not contradict."""
    small = layer.read(rows.start, rows.stop) if layer.n_bytes <= _SMALL_BYTES else None
    seen: dict[int, bytes] = {}
    for share in (0.0, 0.5, 1.0):  # how far from the first pair of rows to the last
        pairs = [(pattern, _pair(len(rows), *pattern, share)) for pattern in patterns]
        for place in sorted({place for _, pair in pairs for place in pair} - seen.keys()):  # forward, as what is packed
            row = layer.read(rows[place], rows[place] + 1) if small is None else small[place]
            seen[place] = row.tobytes()
        patterns = [pattern for pattern, (one, other) in pairs if seen[one] == seen[other]]
    return patterns


def _pair(n_rows: int, in_runs: bool, n_times: int, share: float) -> tuple[int, int]:
    """Return the places of two rows that are the same when the pattern holds."""
    n_distinct = n_rows // n_times
    place = int(share * (n_distinct - 1))
    return (n_times * place, n_times * place + 1) if in_runs else (place, place + n_rows - n_distinct)


def _marks(layer: Layer, rows: range) -> tuple[Array, bool]:
    """Return a number for each row, the same for equal rows and hardly for others; and whether rows are but classes."""
    n_features = prod(layer.shape[1:])
    marks: list[int] = []
    low = high = None
    has_two, is_whole = True, n_features == 1
    for some in pieces(rows.stop, _BLOCK_BYTES // max(1, layer.row_bytes()), rows.start):
        block = np.ascontiguousarray(layer.read(some.start, some.stop)).reshape(some.stop - some.start, -1)
        marks += [hash(row.tobytes()) for row in block]
        low, high = (block.min(), block.max()) if low is None else (low, high)
        has_two = has_two and bool(((block == low) | (block == high)).all())
        is_whole = is_whole and bool((block == np.floor(block)).all())
    found = np.array(marks, np.int64)
    return found, is_whole or (has_two and len(np.unique(found)) <= max(2, n_features))


def _holds(marks: Array, in_runs: bool, n_times: int) -> bool:
    n_distinct = len(marks) // n_times
    table = marks.reshape(n_distinct, n_times).T if in_runs else marks.reshape(n_times, n_distinct)
    return bool((table == table[0]).all())


def _n_times(marks: Array, in_runs: bool) -> int:
    """Return how often each row stands there."""
    n_times = 1
    for prime in _prime_factors(len(marks)):
        n_times *= prime if _holds(marks, in_runs, n_times * prime) else 1
    return n_times
