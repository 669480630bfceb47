"""Measures that follow from HSIC of all pairs of layers, of any kernel."""

from cka_cli.arrays import Float64
from cka_cli.measures.measure import KORNBLITH, Measure
from cka_cli.reductions.gram_matrices import cka


def _cross_only(cross: Float64, x_norms: Float64, y_norms: Float64) -> Float64:
    return cross


_OF_KERNEL = "what the kernel is invariant to"
_OF_KERNEL_AND_SCALE = _OF_KERNEL + "; linear: isotropic scale too"
_COST = "n²p per layer, n² per pair"

MEASURES = {
    "cka": Measure(
        "HSIC(K,L)/√(HSIC(K,K) HSIC(L,L))", "0 to 1", _OF_KERNEL_AND_SCALE, _COST, KORNBLITH + ", eq. 4",
        from_hsic=cka,
    ),
    "cka-debiased": Measure(
        "the same with unbiased HSIC", "0 for noise, -1 to 1", _OF_KERNEL_AND_SCALE, _COST,
        "Song et al. 2012, JMLR 13; Nguyen et al. 2021, arXiv 2010.15327", 4, from_hsic=cka, is_unbiased=True,
    ),
    "hsic": Measure(
        "tr(KHLH)/(n-1)²", "0 and up", _OF_KERNEL, _COST, "Gretton et al. 2005; " + KORNBLITH,
        from_hsic=_cross_only, has_units=True,
    ),
    "hsic-unbiased": Measure(
        "U-statistic of HSIC", "any, 0 for noise", _OF_KERNEL, _COST,
        "Song et al. 2012, JMLR 13, eq. 5",
        4, from_hsic=_cross_only, is_unbiased=True, has_units=True,
    ),
}  # fmt: skip
