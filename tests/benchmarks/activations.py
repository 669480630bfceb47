"""Pairs of activation files to measure on, named by their sizes and made once by `write_activations.py`."""

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from processes import CommandFailedError

_WRITER = Path(__file__).with_name("write_activations.py")
_LEAST = 16  # examples and features of a scaled-down layer


@dataclass(frozen=True)
class Activations:
    """Two files of `n_layers` float32 layers, each of shape (n_examples, n_features)."""

    n_layers: int
    n_examples: int
    n_features: int
    is_gzipped: bool = False

    def scaled(self, factor: float) -> "Activations":
        """Return the same with fewer examples and features; the layers stay."""
        n_examples, n_features = (max(_LEAST, round(n * factor)) for n in (self.n_examples, self.n_features))
        return replace(self, n_examples=n_examples, n_features=n_features)

    def make(self, folder: Path) -> tuple[Path, Path]:
        """Return the paths of both files, made now if they are not there yet."""
        size = f"{self.n_layers}x{self.n_examples}x{self.n_features}{'-gzip' if self.is_gzipped else ''}"
        x_path, y_path = folder / f"X-{size}.h5", folder / f"Y-{size}.h5"
        for seed, path in enumerate((x_path, y_path)):
            if not path.exists():
                options = (path, seed, self.n_layers, self.n_examples, self.n_features, *["--gzip"] * self.is_gzipped)
                if subprocess.run([sys.executable, _WRITER, *map(str, options)]).returncode:
                    raise CommandFailedError(f"could not write {path}")
        return x_path, y_path
