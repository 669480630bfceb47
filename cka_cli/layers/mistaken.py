"""Files whose arrays are no layers of the same examples by the look of their shapes, unless layers are named."""

from collections.abc import Sequence
from itertools import pairwise

from cka_cli.errors import DataError
from cka_cli.files.layer import ActivationFile, Layer

# Of a file with an array an example: at least so many arrays, of at most so many layers, of so many lengths.
_LEAST_ARRAYS, _LEAST_TOLD, _MOST_LAYERS, _LEAST_LENGTHS = 64, 4, 128, 8


def check_shapes(file: ActivationFile, layers: Sequence[Layer]) -> str | None:
    """Refuse arrays that are examples rather than layers, and weights; return a note where they may be.

    layers : those of the file that are taken without being named.
    """
    shapes: dict[tuple[int, ...], Layer] = {}
    for layer in layers:
        twin = shapes.get(layer.shape[::-1]) if len(layer.shape) == 2 else None
        if twin is not None and twin.shape != layer.shape:
            raise DataError(
                f"{layer.label}: shape {layer.shape}, but {twin.name} has {twin.shape}; give activations with examples "
                "first (is it weights, or features × examples?), or name layers in --layers"
            )
        shapes.setdefault(layer.shape, layer)
    return _check_examples(file, layers)


def _check_examples(file: ActivationFile, layers: Sequence[Layer]) -> str | None:
    """Look for arrays of layers × tokens × features, one an example: nothing but the number of tokens differs."""
    if len(layers) < _LEAST_TOLD or any(len(layer.shape) != 3 for layer in layers):
        return None
    first, lengths = layers[0].shape, [layer.shape[1] for layer in layers]
    is_alike = all((layer.shape[0], layer.shape[2]) == (first[0], first[2]) for layer in layers)
    # Layers that drop or merge tokens have ever fewer, or ever more.
    is_ordered = any(all(sign * (b - a) >= 0 for a, b in pairwise(lengths)) for sign in (1, -1))
    if not is_alike or is_ordered or not 1 < first[0] <= _MOST_LAYERS:
        return None
    found = f"{len(layers)} arrays of shape ({first[0]}, {min(lengths)} to {max(lengths)}, {first[2]})"
    if len(layers) >= max(_LEAST_ARRAYS, first[0]) and len(set(lengths)) >= _LEAST_LENGTHS:
        raise DataError(
            f"{file.path}: each array looks like one example, with layers on its first axis (found {found}); "
            "save each layer by itself, of all examples, pooled over tokens; or name layers in --layers to take them "
            "as they are"
        )
    return (
        f"{file.path}: axis 0 is taken for {first[0]} examples (found {found}); if it is layers, and each array an "
        "example, save each layer by itself, of all examples"
    )
