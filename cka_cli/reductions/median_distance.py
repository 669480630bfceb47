"""The median of all n² squared distances of a layer, exactly, without holding them all.

A bracket around the median is guessed from a sample; one pass counts what lies below it and keeps what lies inside.
When the guess was wrong, or the inside is too much to keep, the bracket moves or narrows and the pass is repeated: the
result is an order statistic of all distances, never an estimate.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from cka_cli.arrays import Array

_N_BINS = 4096


def median_of_all_pairs(
    chunks: Callable[[], Iterable[Array]], sample: Array, n_examples: int, *, share: float, max_kept: int
) -> float:
    """Return the median of all n² squared distances, the n zeros of the diagonal included (Kornblith et al. 2019).

    chunks : gives the distances of every pair i < j once, in any division, each time it is called; infinite values
    are passed over. sample : some of them.
    share : how far from the middle, as a share of the sample, the median may be expected to lie.
    max_kept : how many distances may be kept at once.
    """
    n_pairs = n_examples * (n_examples - 1) // 2
    places = middle_places(n_examples, n_pairs)
    wanted = sorted({place for place in places if place is not None})
    if not wanted:
        return 0.0
    found = order_statistics(chunks, sample, wanted, n_pairs, share=share, max_kept=max_kept)
    return float(np.mean([0.0 if place is None else found[place] for place in places]))


def n_near_median(n_examples: int) -> int:
    """Return how many distances of a layer a sample leaves as candidates for the median: two fifths of all."""
    return n_examples * (n_examples - 1) // 5


def n_median_passes(n_examples: int, n_kept: int) -> int:
    """Return how often all distances are worked out to find a median: twice where its candidates cannot be held."""
    return 1 if n_near_median(n_examples) <= n_kept else 2


def median_of_batches(distances: Array, n_zeros: int) -> float:
    """Return the median of these distances, each counted twice, and of the zeros of the diagonals of all batches.

    distances : of every pair of examples that are in one batch.
    """
    places = middle_places(n_zeros, len(distances))
    wanted = sorted({place for place in places if place is not None})
    ordered = np.partition(distances, wanted) if wanted else distances
    return float(np.mean([0.0 if place is None else float(ordered[place]) for place in places]))


def middle_places(n_zeros: int, n_pairs: int) -> list[int | None]:
    """Return where the middle two of n_zeros zeros and of every pair twice stand among the pairs; None for a zero."""
    n_all = n_zeros + 2 * n_pairs
    return [None if place < n_zeros else (place - n_zeros) // 2 for place in ((n_all - 1) // 2, n_all // 2)]


def order_statistics(
    chunks: Callable[[], Iterable[Array]],
    sample: Array,
    places: Sequence[int],
    n_values: int,
    *,
    share: float,
    max_kept: int,
) -> dict[int, float]:
    """Return the place-th smallest (from 0) of all finite values of the chunks, which are at least 0.

    places : ascending. The rest as in `median_of_all_pairs`.
    """
    low, high = _bracket(sample, places, n_values, share)
    expected = float(np.count_nonzero((sample >= low) & (sample <= high))) / max(1, len(sample)) * n_values
    while True:
        if expected > max_kept and low < high:
            high = high if np.isfinite(high) else _largest(chunks)
            low, high, expected = _narrowed(chunks, places, low, high)
            continue
        n_below, n_inside, kept = _inside(chunks, low, high, 2 * max_kept if expected > 0 else n_values)
        end = n_below + n_inside
        if places[0] < n_below:
            # What is known: all places are below, or the first is below and the last is not.
            low, high, expected = 0.0, (low if places[-1] < n_below else high), float(end)
        elif places[-1] >= end:
            low, high, expected = (high if places[0] >= end else low), np.inf, float(n_values - n_below)
        elif low == high:
            return dict.fromkeys(places, low)
        elif kept is None:
            expected = float(n_inside)
        else:
            ordered = np.partition(kept, [place - n_below for place in places])
            return {place: float(ordered[place - n_below]) for place in places}


def _bracket(sample: Array, places: Sequence[int], n_values: int, share: float) -> tuple[float, float]:
    if len(sample) < 64:
        return 0.0, np.inf
    low = max(0, int((places[0] / n_values - share) * len(sample)))
    high = min(len(sample) - 1, int((places[-1] / n_values + share) * len(sample)) + 1)
    ordered = np.partition(sample, [low, high])
    return float(ordered[low]), float(ordered[high])


def _inside(
    chunks: Callable[[], Iterable[Array]], low: float, high: float, max_kept: int
) -> tuple[int, int, Array | None]:
    """Return how many values lie below a bracket and inside it, and those inside unless they are too many."""
    n_below = n_inside = 0
    kept: list[Array] | None = []
    for chunk in chunks():
        n_below += int(np.count_nonzero(chunk < low))
        inside = chunk[(chunk >= low) & (chunk <= high)]
        inside = inside[np.isfinite(inside)] if high == np.inf else inside
        n_inside += len(inside)
        kept = None if kept is None or n_inside > max_kept else [*kept, inside]
    return n_below, n_inside, None if kept is None else np.concatenate(kept)


def _largest(chunks: Callable[[], Iterable[Array]]) -> float:
    return max(float(np.max(chunk, initial=0.0, where=np.isfinite(chunk))) for chunk in chunks())


def _narrowed(
    chunks: Callable[[], Iterable[Array]], places: Sequence[int], low: float, high: float
) -> tuple[float, float, float]:
    """Return a bracket of a few bins' width that holds the places if the old one does, and how many values it holds."""
    edges = np.linspace(low, high, _N_BINS + 1)
    n_below, counts = 0, np.zeros(_N_BINS, np.int64)
    for chunk in chunks():
        n_below += int(np.count_nonzero(chunk < low))
        inside = chunk[(chunk >= low) & (chunk <= high)].astype(np.float64)
        bins = np.minimum(((inside - low) / (high - low) * _N_BINS).astype(np.int64), _N_BINS - 1)
        counts += np.bincount(bins, minlength=_N_BINS)
    ends = n_below + np.cumsum(counts)
    # One bin more on either side: a value on an edge may have been rounded into its neighbour.
    first = max(0, int(np.searchsorted(ends, places[0], side="right")) - 1)
    last = min(_N_BINS - 1, int(np.searchsorted(ends, places[-1], side="right")) + 1)
    if last - first >= _N_BINS - 1 or edges[first] >= edges[last + 1]:
        return low, high, 0.0  # cannot be narrowed: keep what there is
    return float(edges[first]), float(edges[last + 1]), float(counts[first : last + 1].sum())
