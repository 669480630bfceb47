"""`--checkpoint`: what its name may be, and its end."""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cka_cli.errors import UsageError


def check_checkpoint(options: dict[str, Any], inputs: Sequence[str]) -> None:
    """Raise where the checkpoint would be written over an input, or a result over the checkpoint."""
    path = options["checkpoint"]
    if path is None:
        return
    others = [*inputs, options["output"], *filter(None, [options.get("plot")])]
    if not path:
        raise UsageError("--checkpoint: the name is empty; give the name of a file")
    if os.path.realpath(path) in map(os.path.realpath, others):
        raise UsageError(f"--checkpoint {path}: is also an input, the output or the plot; give another name")


def end_checkpoint(options: dict[str, Any]) -> None:
    """Remove the checkpoint of a run whose result is written."""
    if options["checkpoint"] is not None:
        with suppress(OSError):
            os.unlink(os.path.realpath(options["checkpoint"]))
