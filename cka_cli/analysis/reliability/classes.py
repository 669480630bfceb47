"""Which classes the examples belong to, as the words of an array beside the layers say."""

from collections.abc import Sequence

import numpy as np

from cka_cli.analysis.reliability.quantities import Labels


def classes_of(dataset: str, words: Sequence[str], n_positions: int) -> Labels | None:
    """Return the classes of the examples; None where their labels are no classes: all one, or nearly all different.

    dataset : name of the array. words : the label of each row. n_positions : examples that each row gives.
    """
    names = sorted(dict.fromkeys(words), key=_in_order)
    if not 2 <= len(names) <= len(words) // 3:
        return None
    places = {name: place for place, name in enumerate(names)}
    of_rows = np.repeat([places[word] for word in words], n_positions)
    return Labels(dataset, tuple(names), tuple(np.flatnonzero(of_rows == place) for place in range(len(names))))


def _in_order(text: str) -> tuple[float, str]:
    """Numbers by value, then words."""
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text
