"""Rows of the table, the text of their cells, and the README that keeps them."""

import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

HEADER = (
    "| case | cka | other | ratio | target | met | note | command |",
    "|---|---|---|---|---|---|---|---|",
)
LOADED = ", loaded"  # behind the name of a case measured beside busy processes
_START, _END = "<!-- results -->", "<!-- end of results -->"
_WIDE_RATIO = 0.5  # from here down a ratio is also told as times faster


@dataclass(frozen=True)
class Row:
    """What one case gave, as text; `is_met` is None where there is no target or the data was scaled down."""

    name: str
    command: str
    target: str
    ours: str = "–"
    other: str = "–"
    ratio: str = "–"
    is_met: bool | None = None
    note: str = ""

    def __str__(self) -> str:
        met = {None: "–", True: "yes", False: "**no**"}[self.is_met]
        cells = (self.name, self.ours, self.other, self.ratio, self.target, met, self.note, self.command)
        return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def seconds_text(seconds: float) -> str:
    """Return a time with three digits: 12.3 s or 45.6 ms."""
    return f"{_three_digits(seconds)} s" if seconds >= 1 else f"{_three_digits(seconds * 1e3)} ms"


def bytes_text(n_bytes: float) -> str:
    """Return a size in MiB."""
    return f"{n_bytes / 2**20:.0f} MiB"


def ratio_text(ratio: float) -> str:
    """Return a ratio, and how many times faster it is where that is easier to read."""
    return f"{ratio:.3f} ({1 / ratio:.1f}× faster)" if ratio <= _WIDE_RATIO else f"{ratio:.2f}"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def target_text(max_ratio: float) -> str:
    """Return a largest ratio as a target."""
    return f"≥ {1 / max_ratio:.3g}× faster" if max_ratio <= _WIDE_RATIO else f"≤ {max_ratio:.4g}"


def machine_facts(n_cores: int) -> str:
    """Return what the times depend on: cores, the BLAS of numpy, versions."""
    import numpy as np  # only now: see processes.run_once

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return (
        f"{n_cores} cores, {platform.system()} on {platform.machine()}, Python {platform.python_version()}, "
        f"numpy {np.__version__} with {blas['name']} {blas['version']}"
    )


def write_readme(path: Path, rows: Iterable[Row], pending: Sequence[Row], facts: str) -> None:
    """Put rows into the table between the README's markers; rows of other cases stay as they are.

    pending : a row without numbers for each case, in the order of the table; stands where nothing was ever measured.
    """
    before, table, after = re.split(f"{_START}|{_END}", path.read_text(encoding="utf-8"))
    known = {line.split(" | ")[0].removeprefix("| "): line for line in table.splitlines() if line.startswith("| ")}
    known |= {row.name: str(row) for row in rows}
    lines = [known.get(row.name, str(row)) for row in pending]
    lines += [known[name] for row in pending if (name := row.name + LOADED) in known]
    body = "\n".join([_START, "", f"Last measured on: {facts}.", "", *HEADER, *lines, "", _END])
    path.write_text(before + body + after, encoding="utf-8")
