"""Matrices as text and back: tidy CSV, wide CSV, JSON, and a table for a terminal."""

from cka_cli.report.reading import doubts_of, read_matrices
from cka_cli.report.writing import Provenance, format_json, format_tidy, format_wide

__all__ = ["Provenance", "doubts_of", "format_json", "format_tidy", "format_wide", "read_matrices"]
