"""Compare two folders of answers: every number to 1e-9, every word, column and key as it is."""

import csv
import io
import json
import math
import re
from itertools import zip_longest
from pathlib import Path

TOLERANCE = 1e-9
# Keys of JSON that differ from one day, or one version, to the next.
PASSED_OVER = {"version", "modified"}
# A number with a point or an exponent: what has neither is a count or part of a name.
_NUMBER = re.compile(
    r"(?<![\w.])[-−+]?(?:\d+\.\d*(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+)(?![\w.])", re.IGNORECASE
)
_MISSING = object()


def differences(before, after):
    """Yield one line for each difference of two folders of answers."""
    before, after = Path(before), Path(after)
    names = [{path.name for path in folder.iterdir()} for folder in (before, after)]
    for name in sorted(names[0] ^ names[1]):
        yield f"{name}: only in {before if name in names[0] else after}"
    for name in sorted(names[0] & names[1]):
        compare = _COMPARED.get(Path(name).suffix, _of_texts)
        for difference in compare(*((folder / name).read_text(encoding="utf-8") for folder in (before, after))):
            yield f"{name}: {difference}"


def is_near(before, after):
    """Whether two numbers are the same to 1e-9, relative, absolute below 1; NaN is NaN."""
    if math.isnan(before) or math.isnan(after) or math.isinf(before) or math.isinf(after):
        return before == after or (math.isnan(before) and math.isnan(after))
    return abs(before - after) <= TOLERANCE * max(1.0, abs(before), abs(after))


def is_same_text(before, after):
    """Whether two texts are the same but for numbers that are near."""
    if before == after:
        return True
    if _NUMBER.sub("#", before) != _NUMBER.sub("#", after):
        return False
    pairs = zip(_NUMBER.findall(before), _NUMBER.findall(after), strict=True)
    return all(is_near(*(float(number.replace("−", "-")) for number in pair)) for pair in pairs)


def _of_texts(before, after):
    for number, lines in enumerate(zip_longest(before.splitlines(), after.splitlines()), 1):
        if None in lines:
            yield f"line {number}: {_shown(lines[0])} → {_shown(lines[1])}"
        elif not is_same_text(*lines):
            yield f"line {number}: {lines[0]!r} → {lines[1]!r}"


def _of_csv(before, after):
    (header, *rows), (new_header, *new_rows) = (list(csv.reader(io.StringIO(text))) or [[]] for text in (before, after))
    for name in dict.fromkeys([*header, *new_header]):
        if header.count(name) != new_header.count(name):
            yield f"column {name!r}: {header.count(name)} times → {new_header.count(name)} times"
    if header != new_header:
        if sorted(header) == sorted(new_header):
            yield f"columns stand in another order: {header} → {new_header}"
        return
    if len(rows) != len(new_rows):
        yield f"{len(rows)} rows → {len(new_rows)} rows"
    for number, (row, new_row) in enumerate(zip(rows, new_rows, strict=False), 1):
        for name, cell, new_cell in zip_longest(header, row, new_row):
            if cell is None or new_cell is None or not is_same_text(cell, new_cell):
                yield f"row {number}, {name}: {cell!r} → {new_cell!r}"


def _of_json(before, after):
    yield from _of_values(json.loads(before), json.loads(after), "")


def _of_values(before, after, place):
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_objects(before, after, place)
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield f"{place}: {len(before)} entries → {len(after)} entries"
        for number, (old, new) in enumerate(zip(before, after, strict=False)):
            yield from _of_values(old, new, f"{place}[{number}]")
    elif type(before) in (int, float) and type(after) in (int, float):  # a truth value is no number
        if not is_near(before, after):
            yield f"{place}: {before!r} → {after!r}"
    elif isinstance(before, str) and isinstance(after, str):
        if not is_same_text(before, after):
            yield f"{place}: {before!r} → {after!r}"
    elif before is not after:
        yield f"{place}: {_shown(before)} → {_shown(after)}"


def _of_objects(before, after, place):
    for key in dict.fromkeys([*before, *after]):
        if key in PASSED_OVER:
            if (key in before) != (key in after):
                yield f"{place}.{key}: {'gone' if key in before else 'new'}"
            continue
        old, new = before.get(key, _MISSING), after.get(key, _MISSING)
        if old is _MISSING or new is _MISSING:
            yield f"{place}.{key}: {'gone' if new is _MISSING else 'new'}"
        else:
            yield from _of_values(old, new, f"{place}.{key}")


def _shown(value):
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


_COMPARED = {".csv": _of_csv, ".json": _of_json}
