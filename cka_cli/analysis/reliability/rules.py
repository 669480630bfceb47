"""Every check: its thresholds, which side of them is wrong, and what to do; and a number judged by it.

The thresholds lie between what sound networks show and what planted trouble does. In brackets, the worst that was
measured on 50 pairs of equal layers of trained networks (500 examples of digits, 600 of digits, 200 of CIFAR-10 with up
to 82 times as many features): no such pair may be distrusted.
"""

from dataclasses import dataclass

from cka_cli.analysis.reliability.quantities import Address

FINE, LOOK, DISTRUST = "fine", "look", "do not trust"
VERDICTS = (DISTRUST, LOOK, FINE)


@dataclass(frozen=True)
class Check:
    """One check.

    title : what the number is. look, distrust : the thresholds of the two verdicts; None where there is none. wrong :
    `above` the threshold, `below` it, or `beyond` it on either side of 0. advice : what to do, in one line, true for
    either verdict. advice_to_look, advice_to_distrust : the same for one verdict, where they differ.
    """

    title: str
    look: float | None
    distrust: float | None
    wrong: str
    advice: str
    advice_to_look: str = ""
    advice_to_distrust: str = ""

    def advice_on(self, verdict: str) -> str:
        """Return what to do about a verdict; nothing when all is fine."""
        if verdict == FINE:
            return ""
        return (self.advice_to_look if verdict == LOOK else self.advice_to_distrust) or self.advice

    def verdict(self, number: float, look: float | None, distrust: float | None) -> tuple[str, float | None]:
        """Return the verdict on a number, and the threshold that it crossed, or did not cross; NaN crosses none."""
        signed = {"above": number, "below": -number, "beyond": abs(number)}[self.wrong]
        for verdict, threshold in ((DISTRUST, distrust), (LOOK, look)):
            if threshold is not None and signed > (-threshold if self.wrong == "below" else threshold):
                return verdict, threshold
        return FINE, look if look is not None else distrust


_SEE_ROWS = "look at these examples, and compare again without them"
_DEBIASED = "use -m cka-debiased, or more examples"
# Names are what a report holds. First the checks of one layer, then those of a pair.
CHECKS: dict[str, Check] = {
    # CCA and regression are 1 by force; the debiased value holds (82 at 200 examples).
    "features-per-example": Check(
        "features over n-1", 1.0, None, "above",
        "few examples: use -m cka-debiased, not cka; CCA and regression mean nothing here",
    ),
    # The chance level of two such layers (0.61).
    "effective-dimension": Check(
        "effective dimension (participation ratio) over n-1", 0.25, None, "above",
        f"chance alone gives two such layers a biased CKA this high: {_DEBIASED}",
    ),
    # Of what CKA weighs (0.92, logits of CIFAR-10).
    "first-component": Check(
        "share of the first component in the sum of squared variances", 0.9, None, "above",
        "CKA sees one direction of this layer: see what it is (cka explain)",
    ),
    # Lost with one row (0.064), and with up to 5 % of the rows, at least 10 (0.36).
    "row-of-layer": Check("share of the layer's own similarity that one row carries", 0.2, 0.5, "above", _SEE_ROWS),
    "rows-of-layer": Check("share of it that a few rows carry", 0.55, 0.85, "above", _SEE_ROWS),
    # A third and two thirds of the way from labels that are equally apart to one that is all (0.40 of 0.56 and 0.78).
    "label-of-layer": Check(
        "CKA of the layer with one label alone", None, None, "above",
        "the layer says that this class lies apart, and little more: compare without it",
    ),
    "doubled-rows": Check(
        "share of rows that repeat an earlier one", 0.0, None, "above",
        "leave the copies out: debiased values and their z count each as a new example",
    ),
    "dead-features": Check(
        "share of features that never change", 0.0, None, "above",
        "they weigh nothing in CKA; see that the layer is trained, and saved whole",
    ),
    "constant-layer": Check(
        "whether all rows are the same", None, 0.5, "above",
        "it is like nothing (nan): was the right layer saved, after it ran?",
    ),
    # In root mean square row norms (5.0 and 0.95).
    "halved-by-row": Check(
        "how far out the farthest row must go to halve CKA of the layer with itself, in rms row norms", 3.0, None,
        "below", "one more far example would decide the value: take more examples",
    ),
    "halved-by-label": Check(
        "how far out a label must go to halve CKA of the layer with itself, in rms row norms", 0.5, None, "below",
        "a small move of one class would decide the value: compare within classes too",
    ),
    "same-layer": Check(
        "1 - CKA of two layers", 1e-6, None, "below",
        "one up to rotation and scale (Procrustes 1): was one layer, or file, saved twice?",
    ),
    # Over all orders of the rows; the null is skewed, so 3 is not enough to look no more (122).
    "above-chance": Check(
        "z of debiased CKA", 6.0, 3.0, "below",
        "below 3 it cannot be told from chance, below 6 hardly: read no biased values; take more examples",
        advice_to_look="it is hardly above chance: read no biased value against 0; take more examples",
        advice_to_distrust="it cannot be told from chance: do not read biased values here; take more examples",
    ),
    "chance-level": Check(
        "biased CKA that chance alone gives", 0.25, None, "above", f"read no biased value against 0: {_DEBIASED}"
    ),
    # (0.047)
    "biased-debiased": Check("biased minus debiased CKA", 0.05, 0.2, "beyond", f"{_DEBIASED}: biased is off by this"),
    # Half of the whole value, unless given (0.36 of it).
    "without-components": Check(
        "debiased CKA without the first components of either side; look at it below half of the whole", None, None,
        "below", "a few large directions make the value: say so, and see which (cka explain)",
    ),
    # (0.45)
    "effective-rows": Check("rows that carry the value, of all", 0.25, 0.1, "below", _SEE_ROWS),
    # (0.0037, 0.024 and 0.37)
    "without-row": Check("change of debiased CKA without one row", 0.03, 0.15, "beyond", _SEE_ROWS),
    "without-rows": Check("change of debiased CKA without a few rows", 0.06, 0.2, "beyond", _SEE_ROWS),
    "rows-carry": Check("share of the value that a few rows carry", 0.55, 0.85, "above", _SEE_ROWS),
    # The same for both layers: the geometric mean (0.38).
    "label-apart": Check(
        "CKA of the layers with one label alone", None, None, "above",
        "the value says that this class lies apart, no more: compare without it",
    ),
    # (0.024)
    "without-label": Check(
        "change of debiased CKA without one label", 0.1, 0.25, "beyond",
        "this class decides the value: compare without it",
    ),
    "without-doubled": Check(
        "change of debiased CKA without doubled rows", 0.02, 0.1, "beyond", "leave the copies out, and compare again"
    ),
    # Changes that keep what a network can compute (0.0006, 0.027 and 0.21).
    "clipped": Check(
        "change with rows drawn in to the 99 % quantile of norms", 0.05, 0.2, "beyond",
        "the longest 1 % of the rows decide: look at them, and compare again without them",
    ),
    "normalised": Check(
        "change with all rows of one length", 0.25, None, "beyond",
        "the lengths of rows decide much of the value: report -k cosine beside it",
    ),
    "ranked": Check(
        "change with the ranks of each feature", 0.25, None, "beyond",
        "units or tails of features decide much of the value: say how they are scaled",
    ),
    # At sigma = 0.2 (0.41).
    "rbf-diagonal": Check(
        "rbf kernel: biased minus debiased CKA", 0.1, None, "beyond",
        "the diagonal of the narrow kernel makes it: use cka-debiased, or a wider one",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One check of one layer or one pair, judged.

    x, y : the layers; y is None for a check of one layer. number, threshold : see `CHECKS`; the threshold is the one
    crossed, or the first that would be. found : the number in words, with rows and labels named. advice : what to do;
    empty when all is fine.
    """

    check: str
    verdict: str
    number: float
    threshold: float | None
    found: str
    x: Address
    y: Address | None = None

    @property
    def advice(self) -> str:
        """What to do, in one line."""
        return CHECKS[self.check].advice_on(self.verdict)


def judge(
    check: str,
    number: float,
    found: str,
    x: Address,
    y: Address | None = None,
    *,
    look: float | None = None,
    distrust: float | None = None,
) -> Finding:
    """Return a number judged by a check; `look` and `distrust` stand in for thresholds that depend on the data."""
    rule = CHECKS[check]
    verdict, threshold = rule.verdict(
        number, rule.look if look is None else look, rule.distrust if distrust is None else distrust
    )
    return Finding(check, verdict, number, threshold, found, x, y)
