"""How networks correspond: the mean over all pairs, or each pair with the path that keeps the order."""

from itertools import combinations, permutations

from matplotlib.figure import Figure

from cka_cli.api.match import Matching, mean_matrices
from cka_cli.pictures.heatmap import HeatmapStyle, draw_heatmap


def draw_matching(matching: Matching) -> Figure:
    """Draw the mean over all pairs of equally deep networks, or each pair of files with the monotone path."""
    n_files, identifications = len(matching.comparison.files), matching.identifications
    captions = [
        f"{100 * each.accuracy:.1f}{'' if each.std_error is None else f' ± {100 * each.std_error:.1f}'} %"
        for each in identifications
    ]
    if identifications and n_files > 2:
        title = f"mean of {n_files * (n_files - 1)} ordered pairs of {n_files} networks; % of layers identified"
        style = HeatmapStyle(mark_best=True, title=title)
        return draw_heatmap(mean_matrices(matching), style, captions=captions)
    pairs = list(permutations(range(n_files), 2))
    n_each = len(matching.matrices) // len(pairs)
    shown = [pairs.index(pair) * n_each + kind for pair in combinations(range(n_files), 2) for kind in range(n_each)]
    paths = [] if identifications else [matching.correspondences[place].path for place in shown]
    captions = [f"{caption} identified" for caption in captions]
    matrices = [matching.matrices[place] for place in shown]
    return draw_heatmap(matrices, HeatmapStyle(mark_best=True), captions=captions, paths=paths)
