"""What a reader of values must be told, in sentences: layers without a value, and values that mean nothing."""

from cka_cli.engine import Outcome, Task
from cka_cli.measures import MEASURES


def notes_of(task: Task, outcome: Outcome) -> list[str]:
    """Say which layers have no value, or none that means anything, and why."""
    notes: list[str] = []
    if outcome.constant:
        notes.append(f"{_listed(outcome.constant)}: constant (every example is the same), so its values are nan")
    for kernel, labels in outcome.without_width.items():
        if labels:
            notes.append(
                f"{_listed(labels)}: more than half of the distances are 0, so {kernel} has no width and its values "
                "are nan; give -k rbf:gamma=VALUE"
            )
    for kernel, labels in outcome.flat.items():
        if labels:
            notes.append(f"{_listed(labels)}: the {kernel} kernel is constant to rounding, so its values are nan")
    for kernel, labels in outcome.overflowing.items():
        if labels:
            notes.append(
                f"{_listed(labels)}: the {kernel} kernel overflows, so its values are nan; give a smaller gamma"
            )
    _add_notes_of_cca(task, outcome, notes)
    return notes


def _add_notes_of_cca(task: Task, outcome: Outcome, notes: list[str]) -> None:
    n_examples = task.layers[0].n_examples
    advice = "use cka or cka-debiased, more examples, or --pool mean"
    for side, labels in (("either", outcome.saturated), ("Y", outcome.saturated_y)):
        names = [spec.name for spec in task.measures if MEASURES[spec.name].saturated_by == side]
        if names and labels:
            notes.append(
                f"{', '.join(names)}: 1 for {_listed(labels)}{' as Y' * (side == 'Y')} whatever the other layer, which "
                f"means nothing: {n_examples} examples are too few for {n_examples - 1} or more independent features; "
                + advice
            )
    names = [spec.name for spec in task.measures if MEASURES[spec.name].saturated_by == "either"]
    if names and outcome.crowded:
        pairs = _listed(outcome.crowded).replace("more layers", "more pairs")
        notes.append(
            f"{', '.join(names)}: raised for {pairs}: their independent features add up to more than "
            f"{n_examples - 1}, so some correlations are 1 by force (and pwcca is not unique); " + advice
        )


def _listed(names: list[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:4]) + (f" and {len(unique) - 4} more layers" if len(unique) > 4 else "")
