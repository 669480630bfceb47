"""What is given where a report of `cka compare` belongs: a report of another command, or a table for a person."""

import re
from collections.abc import Collection

_COMPARE = "give a report of cka compare"
_MATCH = "give cka match --format json, or a report of cka compare"
# Columns that only one command writes, and what to give instead of its CSV.
_COLUMNS = [
    ("cka match", {"n_files", "accuracy", "difference_std_error"}, _MATCH),
    ("cka match", {"best_layer", "best_value", "n_best"}, _MATCH),
    ("cka match", {"to_previous", "to_last", "is_like_last"}, _MATCH),
    ("cka inspect", {"layer", "dtype", "n_constant_features"}, _COMPARE),
    ("cka diagnose", {"check", "verdict", "threshold"}, _COMPARE),
    ("cka explain", {"x_component", "y_component", "contribution"}, _COMPARE),
    ("cka measures", {"kind", "formula", "invariant_to"}, _COMPARE),
]
# Where a table begins.
_TABLES = [
    ("cka compare", re.compile(r".+  rows .*, columns .*, (?:\d+|None) examples"), "leave out --format table"),
    ("cka match", re.compile(r"layers identified  \d+ networks"), _MATCH),
    ("cka match", re.compile(r".+  .+ → .+, (?:[\d.]+ % identified|\d+ examples)$", re.MULTILINE), _MATCH),
    ("cka match", re.compile(r".+  .+ with itself, \d+ layers, \d+ examples$", re.MULTILINE), _MATCH),
    ("cka inspect", re.compile(r".+\n  layer +shape +dtype +features  in memory"), _COMPARE),
    ("cka diagnose", re.compile(r"X .+\n(?:Y .+\n)?\d+ pairs? of layers, \d+ examples"), _COMPARE),
    ("cka explain", re.compile(r"X  .+\nY  .+\nlinear CKA "), _COMPARE),
    ("cka measures", re.compile(r"\S+  \((?:measure|kernel)\)\n"), _COMPARE),
]
_MOST_LETTERS = 2000


def other_csv(columns: Collection[str]) -> str:
    """Return `is ...; what to do` of the columns of another command's CSV; nothing where they are of none."""
    for command, only, advice in _COLUMNS:
        if only <= set(columns):
            return f"is the CSV of {command}, which holds no matrix; {advice}"
    return ""


def other_table(text: str) -> str:
    """Return `is ...; what to do` of a text that begins as a table for a person does; nothing where it is none."""
    head = text[:_MOST_LETTERS].lstrip("\r\n").replace("\r\n", "\n")
    for command, beginning, advice in _TABLES:
        if beginning.match(head):
            return f"is a table of {command} for a person, not for a program; {advice}"
    return ""
