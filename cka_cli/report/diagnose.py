"""What `cka diagnose` found, as CSV, JSON, or a table for a person."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from cka_cli.analysis.reliability.quantities import Address
from cka_cli.analysis.reliability.result import Diagnosis
from cka_cli.analysis.reliability.rules import CHECKS, DISTRUST, FINE, LOOK, VERDICTS, Finding
from cka_cli.errors import counted, one_line
from cka_cli.report import Cell, Cells, Report, Screen
from cka_cli.report.json_text import Provenance
from cka_cli.text import aligned

if TYPE_CHECKING:
    from rich.text import Text

HEADER = ("x_file", "x_layer", "y_file", "y_layer", "check", "verdict", "number", "threshold", "found", "advice")
_WIDEST = 100
_NARROWEST = 60
# Lines of a group of one check and verdict, unless all are asked for.
_MOST_LINES = 6
_COLOURS = {DISTRUST: "bold red", LOOK: "bold yellow", FINE: "bold green"}


@dataclass(frozen=True)
class DiagnosisReport(Report):
    """How far similarities can be trusted. everything : whether a person is shown what is fine too."""

    diagnosis: Diagnosis
    everything: bool
    provenance: Provenance

    def cells(self) -> Cells:
        """Return one line for each check of each layer and pair; y_file and y_layer are empty for one of a layer."""
        return HEADER, map(_cells, self.diagnosis.findings)

    def document(self) -> dict[str, Any]:
        """Return everything: version, command, options, counts of verdicts, findings, the numbers behind them."""
        diagnosis = self.diagnosis
        return self.provenance.document(
            x_file=diagnosis.x_file,
            y_file=diagnosis.y_file,
            n_examples=diagnosis.n_examples,
            labels=diagnosis.labels,
            counts=diagnosis.counts,
            findings=[dict(zip(HEADER, _cells(finding), strict=True)) for finding in diagnosis.findings],
            layers=[asdict(layer) for layer in diagnosis.layers],
            pairs=[asdict(pair) for pair in diagnosis.pairs],
            notes=diagnosis.notes,
        )

    def text(self, screen: Screen) -> str:
        """Return how many checks have each verdict, then what is not fine, by check, the worst verdict first.

        No more than 100 characters of a line are used, and of a group the worst lines, unless everything is asked for.
        """
        from cka_cli.report.terminal import printed, without_padding

        screen = screen._replace(width=max(_NARROWEST, min(screen.width, _WIDEST)))
        return without_padding(printed(_parts(self.diagnosis, screen.width, everything=self.everything), screen))


def _cells(finding: Finding) -> list[Cell]:
    y_file, y_layer = ("", "") if finding.y is None else (finding.y.file, finding.y.layer)
    threshold = None if finding.threshold is None else float(finding.threshold)
    return [
        finding.x.file, finding.x.layer, y_file, y_layer, finding.check, finding.verdict,
        float(finding.number), threshold, finding.found, finding.advice,
    ]  # fmt: skip


def _parts(diagnosis: Diagnosis, width: int, *, everything: bool) -> Iterator["Text"]:
    from rich.text import Text

    yield from (Text(_clipped(line, width)) for line in _heading(diagnosis))
    counts = Text("  ")
    for verdict, count in diagnosis.counts.items():
        counts.append(f"{count} {verdict}", style=_COLOURS[verdict] if count else "dim").append("   ")
    yield counts
    for verdict in VERDICTS if everything else VERDICTS[:-1]:
        for check in CHECKS:
            group = [each for each in diagnosis.findings if (each.verdict, each.check) == (verdict, check)]
            if not group:
                continue
            head = Text("\n").append(verdict, style=_COLOURS[verdict]).append("  ").append(check, style="bold")
            yield head.append(_limit(group), style="dim")
            yield Text(_clipped(f"  {CHECKS[check].title}", width))
            if verdict != FINE:
                yield Text(_clipped(f"  → {group[0].advice}", width))
            for line in _lines(group, diagnosis, width, everything=everything):
                yield Text(line, no_wrap=True)


def _heading(diagnosis: Diagnosis) -> Iterable[str]:
    yield f"X {one_line(diagnosis.x_file)}"
    if diagnosis.y_file:
        yield f"Y {one_line(diagnosis.y_file)}"
    classes = f", classes by '{one_line(diagnosis.labels)}'" if diagnosis.labels else ""
    yield f"{counted(len(diagnosis.pairs), 'pair')} of layers, {diagnosis.n_examples} examples{classes}"


def _limit(group: Sequence[Finding]) -> str:
    """Return the threshold where all findings of a group have the same."""
    thresholds = {finding.threshold for finding in group}
    if len(thresholds) > 1 or None in thresholds:
        return ""
    return f"  ({_side(group[0])}{thresholds.pop() or 0.0:.3g})"


def _side(finding: Finding) -> str:
    wrong = CHECKS[finding.check].wrong
    if finding.verdict == FINE:
        return {"above": "up to ", "below": "from ", "beyond": "within ±"}[wrong]
    return {"above": "above ", "below": "below ", "beyond": "beyond ±"}[wrong]


def _lines(group: Sequence[Finding], diagnosis: Diagnosis, width: int, *, everything: bool) -> Iterable[str]:
    from rich.cells import cell_len

    shown = list(group) if everything or len(group) <= _MOST_LINES + 1 else _worst(group)
    places = _places(shown, diagnosis, width // 3)
    numbers = [f"{finding.number:.3g}" for finding in shown]
    heads = aligned(list(zip(places, numbers, strict=True)), left=(0,), width=cell_len)
    for finding, place_and_number in zip(shown, heads, strict=True):
        head = f"    {place_and_number}  "
        lines = wrap(one_line(finding.found), width - cell_len(head)) or [""]
        yield (head + lines[0]).rstrip()
        yield from (" " * cell_len(head) + line for line in lines[1:])
    if len(shown) < len(group):
        yield f"    and {len(group) - len(shown)} more, less far off (--all)"


def _worst(group: Sequence[Finding]) -> list[Finding]:
    """Return the findings that are farthest off, in the order of the network."""
    sign = {"above": 1, "below": -1, "beyond": 0}[CHECKS[group[0].check].wrong]
    off = sorted(group, key=lambda each: -(sign * each.number if sign else abs(each.number)))[:_MOST_LINES]
    return [finding for finding in group if finding in off]


def _places(findings: Sequence[Finding], diagnosis: Diagnosis, longest: int) -> list[str]:
    """Return `conv1`, `Y conv1` where there are two files, or `conv1 × conv2`, in so many columns."""
    from rich.cells import cell_len

    from cka_cli.report.terminal import short_names

    files = (diagnosis.x_file, diagnosis.y_file or diagnosis.x_file)
    sides = (side for finding in diagnosis.findings for side in (finding.x, finding.y))
    layers = tuple(dict.fromkeys(side.layer for side in sides if side is not None))
    short = cache(partial(short_names, layers))

    def named(address: Address, room: int, *, with_side: bool) -> str:
        side = ("X " if address.file == diagnosis.x_file else "Y ") if with_side else ""
        return side + short(room - len(side))[address.layer]

    def placed(finding: Finding) -> str:
        if finding.y is None:
            return named(finding.x, longest, with_side=bool(diagnosis.y_file))
        with_side = (finding.x.file, finding.y.file) != files
        # Two short names share the room as they like.
        fit = cell_len(finding.x.layer) + cell_len(finding.y.layer) + 7 <= longest
        room = ((2 * longest if fit else longest) - 3) // 2
        return f"{named(finding.x, room, with_side=with_side)} × {named(finding.y, room, with_side=with_side)}"

    return list(map(placed, findings))


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
