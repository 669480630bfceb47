"""A plan as a person reads it, or as JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cka_cli.errors import one_line
from cka_cli.plan.planner import Plan
from cka_cli.report import Report, Screen
from cka_cli.text import size_text

_ROUTES = {
    "batches": "the minibatch estimate: batches of shuffled examples",
    "gram": "tiles of Gram matrices",
    "features": "products of features with features",
    "factors": "QR and SVD of each layer",
}


@dataclass(frozen=True)
class PlansReport(Report):
    """What would be done and what it would cost; of several plans each under what it is of."""

    plans: Mapping[str, Plan]

    def document(self) -> dict[str, Any]:
        """Return the plan, or several by name."""
        records = {name: asdict(plan) for name, plan in self.plans.items()}
        return records if len(records) > 1 else next(iter(records.values()))

    def text(self, screen: Screen) -> str:
        """Return a line for each fact."""
        if len(self.plans) == 1:
            return "".join(map(_lines, self.plans.values()))
        return "\n".join(f"{one_line(name)}\n{_lines(plan)}" for name, plan in self.plans.items())


def _lines(plan: Plan) -> str:
    slices = sorted(set(plan.n_slices))
    width = f"{slices[0]}" if len(slices) == 1 else f"{slices[0]} to {slices[-1]}"
    lines = [
        ("route", _ROUTES[plan.route]),
        (
            "layers",
            "read once and kept in memory" if plan.in_memory else f"read in pieces, {plan.n_reads} times in all",
        ),
        ("blocks", f"{plan.n_tiles} of {plan.n_tile_rows} rows" if plan.n_tiles else "none"),
        ("features at a time", width),
        ("distances", "kept in memory until their median is known" if plan.keep_distances else "not kept"),
        ("threads", str(plan.n_threads)),
        ("bytes read", size_text(plan.bytes_read)),
        ("multiplications", f"{plan.multiplications:.2e}"),
        ("memory at most", f"{size_text(plan.peak_bytes)} of the {size_text(plan.memory_bytes)} allowed"),
    ]
    return "".join(f"{name:19} {value}\n" for name, value in lines)
