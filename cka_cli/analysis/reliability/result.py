"""What `cka diagnose` gives: the findings, and the numbers they were made of."""

from collections import Counter
from dataclasses import dataclass

from cka_cli.analysis.reliability.quantities import LayerNumbers, PairNumbers
from cka_cli.analysis.reliability.rules import DISTRUST, VERDICTS, Finding


@dataclass(frozen=True)
class Diagnosis:
    """How far the similarities of X with Y, or of X with itself, can be trusted.

    x_file, y_file : as typed; y_file is empty when X is alone. n_examples : rows of every layer. labels : name of the
    array of labels; empty without one. findings : of every check, layers first. layers, pairs : the numbers, in the
    order of the network. notes : sentences for a person. warnings : those of them by which a number may not be
    what was asked for.
    """

    x_file: str
    y_file: str
    n_examples: int
    labels: str
    findings: tuple[Finding, ...]
    layers: tuple[LayerNumbers, ...]
    pairs: tuple[PairNumbers, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many findings have each verdict, the worst first."""
        found = Counter(finding.verdict for finding in self.findings)
        return {verdict: found[verdict] for verdict in VERDICTS}

    @property
    def is_distrusted(self) -> bool:
        """Whether any finding says `do not trust`."""
        return self.counts[DISTRUST] > 0
