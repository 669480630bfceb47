"""What an explanation says, in one sentence that is true whether one component makes the similarity or hundreds."""

import math

import numpy as np

from cka_cli.analysis.components import ComponentPairs, GroupPairs, Spectrum, group_pairs
from cka_cli.arrays import Booleans
from cka_cli.errors import counted
from cka_cli.text import decimals, percent

_MOST_PAIRS = 10  # of which a sentence can speak


def sentence_of(pairs: ComponentPairs) -> str:
    """Return how few of the largest pairs of components make half of CKA, and what is left without these components.

    Components of equal variance count as one, since only sums over them mean anything.
    """
    if pairs.is_zero:
        return "CKA is 0: no component of X has anything in common with one of Y, so there is nothing to explain."
    groups = group_pairs(pairs, _MOST_PAIRS)
    chosen = groups.order[: groups.n_half]
    rows = sorted({row for row, _ in chosen})
    columns = sorted({column for _, column in chosen})
    x_parts, y_parts = [pairs.x.groups[row] for row in rows], [pairs.y.groups[column] for column in columns]
    removed = _places(pairs.x, x_parts), _places(pairs.y, y_parts)
    it = f"this similarity (CKA {decimals(pairs.cka)})"
    text = ""
    if pairs.cka <= pairs.chance:
        chance = f"({decimals(pairs.chance)} on average)"
        text = f"CKA {decimals(pairs.cka)} is no more than rows in random order give {chance}; "
        it = "it"
    if groups.n_half == 1:
        text += _one_pair(groups, it, x_parts[0], y_parts[0])
    else:
        text += _several_pairs(pairs, groups, it, *(int(places.sum()) for places in removed))
    text += _left(pairs, *removed)
    if pairs.is_cca_lost:
        text += "; CCA R² is nan, for a row lies too far out"
    elif pairs.is_saturated:
        text += (
            f"; CCA R² is 1 by force, which means nothing ({pairs.n_examples} examples, {pairs.x.n_degrees} "
            "independent features)"
        )
    return text[0].upper() + text[1:] + "."


def _one_pair(groups: GroupPairs, it: str, x_part: slice, y_part: slice) -> str:
    share = percent(groups.shares[groups.order[0]])
    if x_part == y_part:
        is_first = x_part == slice(0, 1)
        makers = "the first component of each" if is_first else _named(x_part, "each")
    else:
        makers = f"{_named(x_part, 'X')} with {_named(y_part, 'Y')}"
    is_single = x_part == y_part and x_part.stop - x_part.start == 1
    return f"{share} of {it} comes from {makers}; without {'it' if is_single else 'these'} "


def _named(part: slice, owner: str) -> str:
    if part.stop - part.start == 1:
        return f"component {part.stop} of {owner}"
    return f"components {part.start + 1} to {part.stop} of {owner} (equal variances)"


def _several_pairs(pairs: ComponentPairs, groups: GroupPairs, it: str, n_x: int, n_y: int) -> str:
    chosen = groups.order[: groups.n_half]
    n_chosen = len(chosen)
    share = percent(math.fsum(groups.shares[place] for place in chosen))
    n_pairs = groups.shares.size
    is_merged = len(pairs.x.groups) < pairs.x.rank or len(pairs.y.groups) < pairs.y.rank
    what = "components" + " (equal variances taken together)" * is_merged
    components = f"without the {counted(n_x, 'component')} of X and the {n_y} of Y"
    if groups.n_half == n_chosen:
        return f"the {n_chosen} largest of {n_pairs} pairs of {what} make {share} of {it}; {components} in them "
    return (
        f"many pairs of {what} make {it}: the {n_chosen} largest make {share}, and half of it takes "
        f"{groups.n_half} of {n_pairs}; {components} in these {n_chosen} "
    )


def _left(pairs: ComponentPairs, *removed: Booleans) -> str:
    """Return what the similarity is without these components of X and these of Y."""
    gone = [name for name, places in zip("XY", removed, strict=True) if places.all()]
    if gone:
        return f"nothing is left of {'either' if len(gone) == 2 else gone[0]}"
    rest = pairs.without(*removed)
    has_cca = not (pairs.is_saturated or pairs.is_cca_lost)
    return f"CKA is {decimals(rest.cka)}" + (f", CCA R² {decimals(rest.cca_r2)}" if has_cca else "")


def _places(side: Spectrum, parts: list[slice]) -> Booleans:
    places = np.zeros(side.rank, dtype=bool)
    for part in parts:
        places[part] = True
    return places
