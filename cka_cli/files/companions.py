"""Integers that by their name say something of examples or tokens, as a mask, ids or labels, and are no layers."""

import re

from cka_cli.files.layer import Layer

_WORDS = {
    "mask", "masks", "id", "ids", "ind", "inds", "index", "indexes", "indices", "idx", "idxs", "label", "labels",
    "target", "targets", "tokens", "length", "lengths", "lens",
}  # fmt: skip
# May follow: labels_train is as train_labels.
_SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "eval"}


def is_beside_layers(array: Layer) -> bool:
    """Whether an array stands beside the layers, and is one only when named: one axis, or integers of such a name."""
    return len(array.shape) == 1 or is_companion(array)


def is_companion(array: Layer) -> bool:
    """Whether an array with two axes or more holds integers or booleans and is named as a mask, ids or labels are."""
    if len(array.shape) < 2 or not (array.holds_integers or array.dtype.kind == "b"):
        return False
    last = re.sub("([a-z])([A-Z])", r"\1_\2", array.name.rpartition("/")[2])
    words = [word for word in re.split("[^a-z]+", last.lower()) if word]
    while len(words) > 1 and words[-1] in _SPLITS:
        words.pop()
    return bool(words) and words[-1] in _WORDS
