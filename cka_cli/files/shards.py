"""Which files of a folder are shards, rows of the same layers, by their names: in what order, and what is missing.

A number counts shards where the name says so: by a word before it, by a second number up to which rows go, or by
nothing else beside it. Any other number may count layers, and joins files only where that is asked for.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise

from cka_cli.errors import UsageError
from cka_cli.files.listing import natural_order

AUTO, JOIN, SEPARATE = "auto", "join", "separate"
EXAMPLE = "'{layer}_{shard}.npy'"

_FIRST = r"(?P<first>\d+)"
_BETWEEN = r"-|\.\.|[-_]to[-_]"
_WORD = re.compile(
    rf"(?<![a-z])(?:batch|shard|part|chunk|rank|acts|req)[-_./= ]*{_FIRST}"
    rf"(?:(?:{_BETWEEN})(?P<last>\d+)|[-_]of[-_](?P<of>\d+))?(?![a-z\d])",
    re.IGNORECASE,
)
_OF = re.compile(rf"(?<!\d){_FIRST}[-_]of[-_](?P<of>\d+)(?!\d)", re.IGNORECASE)
_ALONE = re.compile(rf"(?:^|(?<=/)){_FIRST}$")
_RANGE = re.compile(rf"(?<!\d){_FIRST}(?:{_BETWEEN}|_)(?P<last>\d+)$")
_LAST = re.compile(rf"{_FIRST}(?=\D*$)")
# conv1 and conv2 are layers to everybody; layer_1 and layer_2 might be anything.
_OWN_NUMBER = re.compile(r"(?:^|[-_./ ])\d+$")
# Before a number alone: folders of one file a layer.
_OF_LAYERS = re.compile(r"(?:^|[-_./])(?:layers?|blocks?|stages?|encoder|decoder|h|hidden_states)/\d+$", re.IGNORECASE)


@dataclass(frozen=True)
class Named:
    """A file by its name. name : its path in the folder without its ending. n_rows : None where that is not known."""

    name: str
    n_rows: int | None
    marks: tuple[re.Match[str], ...] = ()

    @cached_property
    def order(self) -> list[tuple[int, int]]:
        """What it is ordered by: its numbers, of ranges the last one first."""
        return [(_number(mark, "last", _number(mark, "first")), _number(mark, "first")) for mark in self.marks]

    @cached_property
    def key(self) -> str:
        """The name without its numbers, in which those of a run are alike."""
        return "\0".join(self._between([(mark.start("first"), mark.end()) for mark in self.marks]))

    @property
    def layer(self) -> str:
        """What is left of the name without what counts shards; may be empty."""
        return _put_together(self._between([mark.span() for mark in self.marks]))

    @property
    def word(self) -> str:
        """The word that counts shards, where nothing else is left; may be empty."""
        return _put_together(self._between([(mark.start("first"), mark.end()) for mark in self.marks]))

    def _between(self, spans: list[tuple[int, int]]) -> list[str]:
        edges = [0, *(edge for span in spans for edge in span), len(self.name)]
        return [self.name[start:stop] for start, stop in zip(edges[::2], edges[1::2], strict=True)]


@dataclass(frozen=True, eq=False)
class Run:
    """Files that are shards, in order.

    layer : what is left of their names, `word` what is left where that is empty; both may be.
    trouble : what is wrong with their numbers, and does not forbid to join them where that is asked for.
    fault : what does. remark : what a reader must know. may_be_layers : whether the names would do for layers as well.
    """

    layer: str
    word: str
    files: tuple[Named, ...]
    trouble: str = ""
    fault: str = ""
    remark: str = ""
    may_be_layers: bool = False


def checked(how: str) -> str:
    """Return what was said of shards. Raises UsageError for a word that is none, or a pattern that cannot be one."""
    if how not in (AUTO, JOIN, SEPARATE):
        _pattern(how)
    return how


def runs_of(files: Sequence[tuple[str, int | None]], how: str, endings: Sequence[str]) -> list[Run]:
    """Return the runs among files, each by its name without its ending, and its rows where they are known.

    how : `auto`, `join` for any number, or a pattern of the name with its ending.
    """
    if how == SEPARATE:
        return []
    named = [Named(name, n_rows) for name, n_rows in files]
    if how not in (AUTO, JOIN):
        return _by_pattern(named, how, endings)
    ranges = [run for run in _grouped(named, _RANGE) if len(run) > 1 and _tells_rows(run)]
    taken = {each.name for run in ranges for each in run}
    marked = [
        Named(each.name, each.n_rows, marks)
        for each in named
        if each.name not in taken and (marks := _marks_of(each.name, how))
    ]
    others = [run for run in _alike(marked) if len(run) > 1 or not _may_be_layer(run[0])]
    if not ranges and all(len(run) < 2 for run in others):
        return []
    return [_run(run, run[0].layer) for run in (*ranges, *others)]


def undecided(names: Sequence[str]) -> list[list[str]]:
    """Return names that differ in a number alone, which may count layers or shards, run by run."""
    found = _grouped([Named(name, None) for name in names if _OWN_NUMBER.search(name)], _LAST)
    return [[each.name for each in run] for run in found if len(run) > 1]


def _marks_of(name: str, how: str) -> tuple[re.Match[str], ...]:
    marks = tuple(_WORD.finditer(name)) or tuple(_OF.finditer(name))
    if not marks and not _OF_LAYERS.search(name):
        marks = tuple(_ALONE.finditer(name))
    return marks or (tuple(_LAST.finditer(name)) if how == JOIN else ())


def _may_be_layer(file: Named) -> bool:
    """Whether a name would do for a layer as well: its number has no word before it, or one that says no more."""
    mark = file.marks[-1]
    return mark.re is _ALONE or mark.re is _LAST or (mark.re is _WORD and mark[0].lower().startswith("acts"))


def _grouped(named: Sequence[Named], mark: re.Pattern[str]) -> list[list[Named]]:
    return _alike([Named(each.name, each.n_rows, (found,)) for each in named if (found := mark.search(each.name))])


def _alike(named: list[Named]) -> list[list[Named]]:
    by_key: dict[str, list[Named]] = {}
    for each in named:
        by_key.setdefault(each.key, []).append(each)
    return [sorted(run, key=lambda each: (each.order, natural_order(each.name))) for run in by_key.values()]


def _tells_rows(run: Sequence[Named]) -> bool:
    """Whether two numbers at the end of names are from which row to which, or the same: not block 2, part 1."""
    spans = [_number(each.marks[0], "last") - _number(each.marks[0], "first") for each in run]
    as_said = [each.n_rows is not None and each.n_rows - span in (0, 1) for each, span in zip(run, spans, strict=True)]
    is_broken = not any(spans) and not any(each.marks[0][0].count("_") == 1 for each in run)
    return 2 * sum(as_said) > len(run) or is_broken


def _by_pattern(named: Sequence[Named], how: str, endings: Sequence[str]) -> list[Run]:
    pattern, by_layer = _pattern(how), dict[str, list[Named]]()
    for each, ending in zip(named, endings, strict=True):
        if (found := pattern.fullmatch(each.name + ending)) is not None:
            layer = found.groupdict().get("layer", "")
            by_layer.setdefault(layer, []).append(Named(each.name, each.n_rows, (found,)))
    if not by_layer:
        found_names = ", ".join(each.name + ending for each, ending in list(zip(named, endings, strict=True))[:3])
        raise UsageError(f"--shards {how}: no file is named so (found {found_names}); mend the pattern")
    return [_run(sorted(run, key=lambda each: each.order), layer) for layer, run in by_layer.items()]


def _pattern(how: str) -> re.Pattern[str]:
    parts = re.split(r"(\{[^{}]*\})", how)
    fields = parts[1::2]
    if fields.count("{shard}") != 1 or not set(fields) <= {"{shard}", "{layer}"} or fields.count("{layer}") > 1:
        raise UsageError(f"--shards {how}: give join, separate, or a pattern of the files' names such as {EXAMPLE}")
    as_regex = {"{layer}": "(?P<layer>.+?)", "{shard}": rf"{_FIRST}(?:-(?P<last>\d+))?"}
    return re.compile("".join(as_regex.get(part, re.escape(part)) for part in parts))


def _run(files: Sequence[Named], layer: str) -> Run:
    trouble = fault = remark = ""
    for one, other in pairwise(files):
        if one.order == other.order:
            fault = f"{one.name} and {other.name} have the same number, so nobody can tell which comes first"
    for _, some in groupby(files, key=lambda each: each.order[:-1]):
        together = list(some)
        trouble = trouble or _trouble(together)
        remark = remark or _remark(together[0])
    word = "" if layer else files[0].word
    return Run(layer, word, tuple(files), trouble, fault, remark, all(map(_may_be_layer, files)))


def _trouble(files: Sequence[Named]) -> str:
    """Return what is missing, or is there twice, of files in order; empty when nothing is."""
    marks = [each.marks[-1] for each in files]
    firsts = [_number(mark, "first") for mark in marks]
    if of := {_number(mark, "of") for mark in marks if _number(mark, "of")}:
        wanted = max(of)
        is_all = len(files) == wanted and firsts[0] in (0, 1) and firsts == list(range(firsts[0], firsts[0] + wanted))
        return "" if len(of) == 1 and is_all else f"{len(files)} files where the names say {wanted}"
    lasts = [_number(mark, "last", -1) for mark in marks]
    if -1 not in lasts and firsts != lasts:
        return next(_troubles_of_ranges(files, firsts, lasts), "")
    steps = [after - before for before, after in pairwise(firsts)]
    rows = [each.n_rows for each in files]
    if set(steps) <= {1} or steps in (rows[:-1], rows[1:]):
        return ""
    place = next(place for place, step in enumerate(steps) if step != 1)
    before, after = firsts[place], firsts[place + 1]
    missing = f"number {before + 1} is" if after == before + 2 else f"numbers {before + 1} to {after - 1} are"
    return f"{missing} missing between {files[place].name} and {files[place + 1].name}"


def _troubles_of_ranges(files: Sequence[Named], firsts: list[int], lasts: list[int]) -> Iterator[str]:
    said = [last - first for first, last in zip(firsts, lasts, strict=True)]
    # Whether the last number is that of a row, too, or of the one behind.
    is_within = sum(each.n_rows == span + 1 for each, span in zip(files, said, strict=True)) > len(files) / 2
    for place, each in enumerate(files):
        span = said[place] + is_within
        is_last = place == len(files) - 1  # which may end sooner than its name says: the rows did
        if each.n_rows is not None and each.n_rows != span and not (is_last and each.n_rows < span):
            yield f"{each.name} holds {each.n_rows} rows, not those its name tells"
        end = lasts[place] + is_within
        if not is_last and firsts[place + 1] != end:
            following = files[place + 1].name
            missing = f"rows {end} to {firsts[place + 1]} are missing between"
            yield f"{missing if firsts[place + 1] > end else 'rows are twice in'} {each.name} and {following}"


def _remark(first: Named) -> str:
    number = _number(first.marks[-1], "first")
    return "" if number in (0, 1, first.n_rows) else f"none comes before {first.name}"


def _number(mark: re.Match[str], group: str, otherwise: int = 0) -> int:
    found = mark.groupdict().get(group)
    return otherwise if found is None else int(found)


def _put_together(parts: Sequence[str]) -> str:
    """Return what is left of a name from which numbers were cut, and what stood between those and the rest."""
    name = parts[0].rstrip("-_. ")
    for part in parts[1:]:
        part = part.strip("-_. ")
        needs_no_more = not name or not part or name.endswith("/") or part.startswith("/")
        name = (name + ("" if needs_no_more else "_") + part).replace("//", "/")
    return name.strip("/")


def name_of_folder(path: str) -> str:
    """Return the name of a folder, however its path leads to it."""
    return os.path.basename(os.path.realpath(path))
