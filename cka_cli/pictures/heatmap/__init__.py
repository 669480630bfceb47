"""Matrices as a paper prints them: square cells, names that never overlap, the same bytes for the same input."""

from cka_cli.pictures.heatmap.draw import check_drawable, draw_heatmap
from cka_cli.pictures.heatmap.panels import check_panels
from cka_cli.pictures.heatmap.style import HeatmapStyle, check_style

__all__ = ["HeatmapStyle", "check_drawable", "check_panels", "check_style", "draw_heatmap"]
