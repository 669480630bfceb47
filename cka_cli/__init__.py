"""How similar is what two neural networks have learned? CKA, HSIC, CCA and kin of saved activations.

The command is `cka`; everything it does can be called from Python too:

>>> from cka_cli import compare
>>> comparison = compare("a.h5", ["b.h5"], measures=["cka"], kernels=["linear"])  # doctest: +SKIP
>>> comparison.matrices[0].values  # doctest: +SKIP
"""

TYPE_CHECKING = False  # as in typing, which would take milliseconds in which Ctrl-C shows a traceback
if TYPE_CHECKING:
    from typing import Any

    from cka_cli.activations import ReadOptions as ReadOptions
    from cka_cli.checks.result import Diagnosis as Diagnosis
    from cka_cli.comparison import compare as compare
    from cka_cli.components import Explanation as Explanation
    from cka_cli.diagnosis import diagnose as diagnose
    from cka_cli.errors import CkaError as CkaError
    from cka_cli.explanation import explain as explain
    from cka_cli.heatmap import HeatmapStyle as HeatmapStyle
    from cka_cli.heatmap import draw_heatmap as draw_heatmap
    from cka_cli.matching import match as match
    from cka_cli.matching import study_depth as study_depth
    from cka_cli.matrix import Comparison as Comparison
    from cka_cli.matrix import Matrix as Matrix
    from cka_cli.report import read_matrices as read_matrices

__version__ = "0.1.0"

# Public name -> the module that owns it. Loaded on first use, so that `cka --help` never waits for numpy.
_HOMES = {
    "compare": "cka_cli.comparison",
    "explain": "cka_cli.explanation",
    "diagnose": "cka_cli.diagnosis",
    "Diagnosis": "cka_cli.checks.result",
    "ReadOptions": "cka_cli.activations",
    "CkaError": "cka_cli.errors",
    "HeatmapStyle": "cka_cli.heatmap",
    "draw_heatmap": "cka_cli.heatmap",
    "Comparison": "cka_cli.matrix",
    "Explanation": "cka_cli.components",
    "Matrix": "cka_cli.matrix",
    "match": "cka_cli.matching",
    "read_matrices": "cka_cli.report",
    "study_depth": "cka_cli.matching",
}
__all__ = [
    "CkaError",
    "Comparison",
    "Diagnosis",
    "Explanation",
    "HeatmapStyle",
    "Matrix",
    "ReadOptions",
    "__version__",
    "compare",
    "diagnose",
    "draw_heatmap",
    "explain",
    "match",
    "read_matrices",
    "study_depth",
]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'cka_cli' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
