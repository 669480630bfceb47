"""What a file holds, told apart: layers, what stands beside them, what is no array, and what is damaged."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cka_cli.errors import DataError, reason
from cka_cli.files.bfloat16 import as_bfloat16
from cka_cli.files.companions import is_beside_layers
from cka_cli.files.encoded import quantised, sparse_data
from cka_cli.files.layer import BFLOAT16_BITS, SINGLE_NUMBER, ActivationFile, Layer, refusal
from cka_cli.files.listing import is_hidden
from cka_cli.files.npy_header import NoLayerError


@dataclass
class SortedOut:
    """The arrays of a file, and what of it is none or is damaged, each with the reason."""

    arrays: list[Layer] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    def add(self, layer: Layer, damage: str | None) -> None:
        """Take an array in. Damage to what no one asks for by default (vectors) is told, and stops nobody."""
        if is_hidden(layer.name):
            self.refused[layer.name] = "its name is hidden (it begins with a dot); rename it to use it"
        elif damage is None or refusal(layer.dtype) is not None:
            self.arrays.append(layer)
        else:
            (self.refused if not layer.shape or is_beside_layers(layer) else self.unreadable)[layer.name] = damage

    @contextmanager
    def sorting(self, name: str, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Take what is raised within as what becomes of the array of this name."""
        damage: tuple[type[Exception], ...] = (OSError, ValueError, EOFError, *also)
        try:
            yield
        except NoLayerError as error:
            self.refused[name] = str(error)
        except damage as error:
            self.unreadable[name] = f"is not a readable NPY array ({reason(error)}); save it again"

    def file(self, path: str, file_format: str, notes: tuple[str, ...] = ()) -> ActivationFile:
        """Return the file that all this is found in. Raises DataError when all there is in it is damaged."""
        if self.unreadable and not self.arrays and not self.refused:
            name, why = next(iter(self.unreadable.items()))
            raise DataError(f"{path}::{name}: {why}")
        layers: list[Layer] = []
        vectors: list[Layer] = []
        sparse = sparse_data(self.arrays)
        encoded = quantised([array for array in self.arrays if not is_beside_layers(array) or len(array.shape) == 1])
        refused, unreadable = self.refused | sparse, self.unreadable | encoded
        for array in self.arrays:
            if array.name in sparse or array.name in encoded:
                continue
            if array.dtype == BFLOAT16_BITS:
                array = as_bfloat16(array)
            if is_beside_layers(array) and not array.dtype.hasobject and array.dtype.names is None:
                vectors.append(array)
            elif (of_dtype := refusal(array.dtype)) is not None:
                refused[array.name] = of_dtype
            elif len(array.shape) == 0:
                refused[array.name] = SINGLE_NUMBER
            else:
                layers.append(array)
        return ActivationFile(path, file_format, tuple(layers), tuple(vectors), refused, unreadable, notes)
