"""How similar is what two neural networks have learned? CKA, HSIC, CCA and kin of saved activations.

The command is `cka`; everything it does can be called from Python too:

>>> from cka_cli import compare
>>> comparison = compare("a.h5", ["b.h5"], measures=["cka"], kernels=["linear"])  # doctest: +SKIP
>>> comparison.matrices[0].values  # doctest: +SKIP
"""

from cka_cli.version import __version__ as __version__

TYPE_CHECKING = False  # as in typing, which would take milliseconds in which Ctrl-C shows a traceback
if TYPE_CHECKING:
    from typing import Any

    from cka_cli.analysis.components import Explanation as Explanation
    from cka_cli.analysis.reliability.result import Diagnosis as Diagnosis
    from cka_cli.api.compare import compare as compare
    from cka_cli.api.diagnose import diagnose as diagnose
    from cka_cli.api.explain import explain as explain
    from cka_cli.api.match import match as match
    from cka_cli.api.match import study_depth as study_depth
    from cka_cli.errors import CkaError as CkaError
    from cka_cli.options import ReadOptions as ReadOptions
    from cka_cli.options import RunOptions as RunOptions
    from cka_cli.pictures.heatmap import HeatmapStyle as HeatmapStyle
    from cka_cli.pictures.heatmap import draw_heatmap as draw_heatmap
    from cka_cli.report.reading import read_matrices as read_matrices
    from cka_cli.results.matrix import Comparison as Comparison
    from cka_cli.results.matrix import Matrix as Matrix

# Public name -> the module that owns it. Loaded on first use, so that `cka --help` never waits for numpy.
_HOMES = {
    "compare": "cka_cli.api.compare",
    "explain": "cka_cli.api.explain",
    "diagnose": "cka_cli.api.diagnose",
    "Diagnosis": "cka_cli.analysis.reliability.result",
    "ReadOptions": "cka_cli.options",
    "RunOptions": "cka_cli.options",
    "CkaError": "cka_cli.errors",
    "HeatmapStyle": "cka_cli.pictures.heatmap",
    "draw_heatmap": "cka_cli.pictures.heatmap",
    "Comparison": "cka_cli.results.matrix",
    "Explanation": "cka_cli.analysis.components",
    "Matrix": "cka_cli.results.matrix",
    "match": "cka_cli.api.match",
    "read_matrices": "cka_cli.report.reading",
    "study_depth": "cka_cli.api.match",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> "Any":
    if name not in _HOMES:
        raise AttributeError(f"module 'cka_cli' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
