"""From numbers to findings: every check of a layer and of a pair, with rows and labels by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cka_cli.analysis.reliability.quantities import LabelNumbers, LayerNumbers, PairNumbers
from cka_cli.analysis.reliability.rules import CHECKS, Finding, judge
from cka_cli.errors import counted
from cka_cli.text import fixed, listed

# Below this z a value is no similarity of which rows or components could have shares.
_LEAST_Z = 6.0
_MOST_ROWS_NAMED = 12


@dataclass(frozen=True)
class RowNames:
    """How rows are called: by their index in the file, and by their id where there are ids.

    saved : for each place in the selection the row of the file. n_positions : places that each row of the file gives.
    """

    saved: Sequence[int]
    n_positions: int = 1
    ids: Sequence[object] | None = None

    def name(self, place: int) -> str:
        """Return `row 17`, `row 17 (id 4)` or `row 17 at position 3`."""
        row, position = divmod(place, self.n_positions)
        of_position = f" at position {position}" if self.n_positions > 1 else ""
        of_id = "" if self.ids is None else f" (id {self.ids[row]})"
        return f"row {self.saved[row]}{of_position}{of_id}"

    def names(self, places: Sequence[int]) -> str:
        """Return `rows 3, 17, 40`: in the order given, the first 12."""
        if len(places) == 1:
            return self.name(places[0])
        names = [self.name(place).removeprefix("row ") for place in places]
        return f"rows {listed(names, '', _MOST_ROWS_NAMED)}"


def judge_layer(layer: LayerNumbers, rows: RowNames) -> list[Finding]:
    """Return every check of one layer; of a constant layer only those that do not need it to vary."""
    n, p, address = layer.n_examples, layer.n_features, layer.address
    dead = layer.n_constant_features
    words = f"{n} rows, all the same" if layer.is_constant else ""
    found = [judge("constant-layer", float(layer.is_constant), words, address)]
    if not layer.has_values:
        if layer.leader is not None:
            words = f"all rows are the same but {rows.name(layer.leader.rows[0])}"
            found.append(judge("row-of-layer", 1.0, words, address))
        return found
    size = f"effective dimension {layer.effective_dimension:.1f}, {n} examples"
    found += [
        judge("features-per-example", p / (n - 1), f"{counted(p, 'feature')}, {n} examples", address),
        judge("dead-features", dead / p, f"{dead} of {counted(p, 'feature')}", address),
        judge("effective-dimension", layer.effective_dimension / (n - 1), size, address),
        judge("first-component", layer.first_share_squared, f"{layer.first_share:.0%} of the variance", address),
        judge("doubled-rows", len(layer.doubled) / n, _doubled(layer.doubled, rows), address),
        judge("halved-by-row", layer.row_halving_shift, rows.name(layer.farthest_row), address),
    ]
    assert layer.leader is not None
    assert layer.leaders is not None
    found.append(judge("row-of-layer", layer.leader.share, rows.names(layer.leader.rows), address))
    if layer.leaders.rows != layer.leader.rows:  # else it is said already
        found.append(judge("rows-of-layer", layer.leaders.share, rows.names(layer.leaders.rows), address))
    for label in layer.labels:
        words = f"label {label.name}; infinitely far: {label.apart:.2f}"
        found.append(judge("halved-by-label", label.halving_shift, words, address))
        if len(layer.labels) == 2:  # either of two labels is all that there is to tell
            continue
        look, distrust = _apart_thresholds(label)
        words = f"label {label.name}; {fixed(label.if_even)} if all were equally apart"
        found.append(judge("label-of-layer", label.apart, words, address, look=look, distrust=distrust))
    return found


def _doubled(doubled: Sequence[tuple[int, int]], rows: RowNames) -> str:
    if not doubled:
        return ""
    row, first = doubled[0]
    return f"{counted(len(doubled), 'row')}; the first, {rows.name(row)}, is {rows.name(first)} again"


def judge_pair(pair: PairNumbers, x: LayerNumbers, y: LayerNumbers, rows: RowNames) -> list[Finding]:
    """Return every check of one pair of layers."""

    def judged(check: str, number: float, found: str, **thresholds: float | None) -> Finding:
        return judge(check, number, found, pair.x, pair.y, **thresholds)

    value = pair.debiased
    found = [
        judged("same-layer", 1 - pair.biased, ""),
        judged("above-chance", pair.z, f"debiased {fixed(value)}, biased {fixed(pair.biased)}"),
        judged("chance-level", pair.chance, f"biased {fixed(pair.biased)}, debiased {fixed(value)}"),
        judged("biased-debiased", pair.biased - value, f"biased {fixed(pair.biased)}, debiased {fixed(value)}"),
    ]
    if pair.z >= _LEAST_Z:
        found += _carried(pair, rows, judged)
    for check, after in (("clipped", pair.clipped), ("normalised", pair.normalised), ("ranked", pair.ranked)):
        found.append(judged(check, after - value, _from_to(value, after)))
    for sigma, biased, debiased in pair.rbf:
        words = f"sigma {sigma}: biased {fixed(biased)}, debiased {fixed(debiased)}"
        found.append(judged("rbf-diagonal", biased - debiased, words))
    for check, left_out in (("without-row", pair.left_out), ("without-rows", pair.most_changed)):
        if check == "without-row" or left_out.rows != pair.left_out.rows:  # else it is said already
            words = f"{_from_to(value, left_out.value)} without {rows.names(left_out.rows)}"
            found.append(judged(check, left_out.value - value, words))
    for label, before, after in label_changes(pair):
        already = ", few rows out already" if before != value else ""
        words = f"{_from_to(before, after)} without label {label}{already}"
        found.append(judged("without-label", after - before, words))
    for one, other in zip(x.labels, y.labels, strict=True) if len(x.labels) > 2 else ():
        words = f"label {one.name}: {fixed(one.apart)} and {fixed(other.apart)}"
        look, distrust = _apart_thresholds(one)
        both = float((one.apart * other.apart) ** 0.5)
        found.append(judged("label-apart", both, words, look=look, distrust=distrust))
    if pair.n_doubled:
        words = f"{_from_to(value, pair.without_doubled)} without the {pair.n_doubled} copies"
        found.append(judged("without-doubled", pair.without_doubled - value, words))
    return sorted(found, key=lambda each: list(CHECKS).index(each.check))


def _carried(pair: PairNumbers, rows: RowNames, judged: Callable[..., Finding]) -> list[Finding]:
    """Return the checks of what carries a value, which only a value above chance has."""
    found = [
        judged("effective-rows", pair.n_effective / pair.n_examples,
               f"{pair.n_effective:.0f} effective rows of {pair.n_examples}"),
        judged("rows-carry", pair.most_carried.share, rows.names(pair.most_carried.rows)),
    ]  # fmt: skip
    for n_removed, left in pair.without_components.items():
        words = f"{_from_to(pair.debiased, left)} without the first {n_removed if n_removed > 1 else ''}".rstrip()
        found.append(judged("without-components", left, words, look=pair.debiased / 2))
    return found


def label_changes(pair: PairNumbers) -> list[tuple[str, float, float]]:
    """Return of each label its name, and debiased CKA before and after its rows are left out.

    Where a few rows alone change the value they are out both times, so that a label counts for what it adds.
    """
    few, look = pair.most_changed, CHECKS["without-rows"].look
    assert look is not None
    if abs(few.value - pair.debiased) <= look:
        return [(label, pair.debiased, alone.value) for label, alone, _ in pair.without_label]
    return [(label, few.value, both.value) for label, _, both in pair.without_label]


def _apart_thresholds(label: LabelNumbers) -> tuple[float, float]:
    """A third and two thirds of the way from labels that are equally apart to one that is all."""
    return label.if_even + (1 - label.if_even) / 3, label.if_even + 2 * (1 - label.if_even) / 3


def _from_to(before: float, after: float) -> str:
    return f"{fixed(before)} to {fixed(after)}"
