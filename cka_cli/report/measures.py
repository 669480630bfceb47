"""The measures and kernels there are, as text."""

from collections.abc import Iterator

from cka_cli.measures.registry import MEASURES
from cka_cli.reductions.kernels import KERNELS
from cka_cli.report import Cells, Report, Screen
from cka_cli.specs import parse_kernel, parse_measure

_FIELDS = ("kind", "name", "formula", "range", "invariant_to", "cost", "source", "parameters", "remarks")


class Catalogue(Report):
    """Every measure and kernel."""

    def cells(self) -> Cells:
        """Return one line for each."""
        return _FIELDS, ([entry[key] for key in _FIELDS] for entry in self.document())

    def document(self) -> list[dict[str, str]]:
        """Return each by name of what is known of it."""
        return [dict(zip(_FIELDS, entry, strict=True)) for entry in (*_measures(), *_kernels())]

    def text(self, screen: Screen) -> str:
        """Return a block of lines for each."""
        lines: list[str] = []
        for entry in self.document():
            lines += [f"{entry['name']}  ({entry['kind']})"]
            lines += [f"  {key.replace('_', ' '):13} {entry[key]}" for key in _FIELDS[2:] if entry[key]] + [""]
        return "\n".join(lines)


def _measures() -> Iterator[tuple[str, ...]]:
    for name, measure in MEASURES.items():
        remarks = {
            "takes a kernel": measure.takes_kernel,
            f"at least {measure.min_examples} examples": True,
            "with --batch the value of so few examples, whatever the passes": (
                measure.takes_kernel and not measure.is_unbiased
            ),
            f"means nothing with n-1 independent features in {measure.saturated_by}": measure.saturated_by,
        }
        yield (
            "measure", name, measure.formula, measure.value_range, measure.invariant_to, measure.cost, measure.source,
            str(parse_measure(name)).partition(":")[2], "; ".join(remark for remark, holds in remarks.items() if holds),
        )  # fmt: skip


def _kernels() -> Iterator[tuple[str, ...]]:
    for name, kernel in KERNELS.items():
        cost = "n²p additions" if kernel.needs == "l1" else "n²p multiplications"
        parameters = str(parse_kernel(name)).partition(":")[2]
        yield "kernel", name, kernel.formula, "", kernel.invariant_to, cost, "", parameters, kernel.note
