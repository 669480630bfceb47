"""JSON: everything that is known of a result, and where it comes from."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cka_cli.report import Report, Screen
from cka_cli.version import __version__


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from: the command as typed, and its options by name."""

    command: Sequence[str]
    options: dict[str, Any]

    def document(self, **findings: Any) -> dict[str, Any]:
        """Return what was found, and before it where it comes from."""
        return {"version": __version__, "command": self.command, "options": self.options, **findings}


def write(report: Report, screen: Screen) -> str:
    """Return a report as JSON, with null for what is not finite, which JSON lacks."""
    return json.dumps(_plain(report.document()), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
