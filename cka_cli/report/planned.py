"""A plan as a person reads it, or as JSON."""

import json
from dataclasses import asdict

from cka_cli.plan import Plan
from cka_cli.report.inspection import format_bytes

_ROUTES = {
    "batches": "the minibatch estimate: batches of shuffled examples",
    "gram": "tiles of Gram matrices",
    "features": "products of features with features",
    "factors": "QR and SVD of each layer",
}


def format_plan(plan: Plan, *, as_json: bool) -> str:
    """Return what would be done and what it would cost."""
    if as_json:
        return json.dumps(asdict(plan), indent=1) + "\n"
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
        ("bytes read", format_bytes(plan.bytes_read)),
        ("multiplications", f"{plan.multiplications:.2e}"),
        ("memory at most", f"{format_bytes(plan.peak_bytes)} of the {format_bytes(plan.memory_bytes)} allowed"),
    ]
    return "".join(f"{name:19} {value}\n" for name, value in lines)
