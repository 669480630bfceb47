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
        return [*_measures(), *_kernels()]

    def text(self, screen: Screen) -> str:
        """Return a block of lines for each."""
        return "\n".join(map(_block, self.document()))


def _measures() -> Iterator[dict[str, str]]:
    for name, measure in MEASURES.items():
        remarks = {
            "takes a kernel": measure.takes_kernel,
            f"at least {measure.min_examples} examples": True,
            "with --batch the value of so few examples, whatever the passes": (
                measure.takes_kernel and not measure.is_unbiased
            ),
            f"means nothing with n-1 independent features in {measure.saturated_by}": measure.saturated_by,
        }
        yield {
            "kind": "measure",
            "name": name,
            "formula": measure.formula,
            "range": measure.value_range,
            "invariant_to": measure.invariant_to,
            "cost": measure.cost,
            "source": measure.source,
            "parameters": str(parse_measure(name)).partition(":")[2],
            "remarks": "; ".join(remark for remark, holds in remarks.items() if holds),
        }


def _kernels() -> Iterator[dict[str, str]]:
    for name, kernel in KERNELS.items():
        yield {
            "kind": "kernel",
            "name": name,
            "formula": kernel.formula,
            "range": "",
            "invariant_to": kernel.invariant_to,
            "cost": "n²p additions" if kernel.needs == "l1" else "n²p multiplications",
            "source": "",
            "parameters": str(parse_kernel(name)).partition(":")[2],
            "remarks": kernel.note,
        }


def _block(entry: dict[str, str]) -> str:
    lines = [f"{entry['name']}  ({entry['kind']})"]
    lines += [f"  {key.replace('_', ' '):13} {entry[key]}" for key in _FIELDS[2:] if entry[key]]
    return "\n".join(lines) + "\n"
