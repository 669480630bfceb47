"""Long names made short so that they stay different from each other, in a table of letters or a picture of inches."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

ELLIPSIS = "…"
Width = Callable[[str], float]
_HEAD_SHARES = (1 / 3, 1 / 2, 2 / 3, 0.0)
# Whether the parts that all names share are left out at the start, and at the end; in the order they are tried.
_SHARED = ((True, False), (False, False), (True, True))
# Of a number that is cut, so many digits say something false; of a longer one, as a date, they are better than none.
_CUT_AT_END, _CUT_AT_START = re.compile(r"(?<!\d)\d{1,4}$"), re.compile(r"^\d{1,4}(?!\d)")
# Where names fall into parts: folders say more than what stands between points.
_BREAKS = (r"[^/]*/?", r"[^/.:]*[/.:]?")


def shorten(text: str, room: float, width: Width, head_share: float = 1 / 3) -> str:
    """Return `text`, or as much of its head and tail around an ellipsis as fits `room`, by what `width` measures.

    head_share : how much of what stays comes from the head; the tail of a path says more than its head.
    """
    if width(text) <= room:
        return text
    too_many, fitting = len(text), 0
    while too_many - fitting > 1:
        n_kept = (too_many + fitting) // 2
        if width(_around_ellipsis(text, n_kept, head_share)) <= room:
            fitting = n_kept
        else:
            too_many = n_kept
    return _around_ellipsis(text, fitting, head_share)


def _around_ellipsis(text: str, n_kept: int, head_share: float) -> str:
    """Return a head and a tail of so many letters, less the digits of a number that is cut: 12 must not read as 2."""
    n_head = int(n_kept * head_share)
    head, tail = text[:n_head], text[len(text) - (n_kept - n_head) :]
    if text[n_head : n_head + 1].isdigit():
        head = _CUT_AT_END.sub("", head)
    if text[: len(text) - len(tail)][-1:].isdigit():
        tail = _CUT_AT_START.sub("", tail)
    return head.rstrip(ELLIPSIS) + ELLIPSIS + tail.lstrip(ELLIPSIS)


def shorten_names(names: Sequence[str], room: float, width: Width, *, keep_ends: bool = False) -> list[str]:
    """Return names that fit `room`, different where they were, shortened where they are most easily told apart.

    `encoder/layer.10/attention/dense` and `encoder/layer.11/attention/dense` differ in the middle: the folders that
    all names share go first, then what all share at the end, and of several places for the ellipsis the first one
    that leaves all names distinct is taken; then the same with what stands between points; then what all begin and end
    with goes, letter by letter. Names that no ellipsis leaves distinct get a number, as in `…dense#3`.
    keep_ends : whether the ends of whole names are tried first.
    """
    if all(width(name) <= room for name in names):
        return list(names)
    best: list[str] = []
    for parts, head_share in _attempts(names, keep_ends=keep_ends):
        candidate = [shorten(part, room, width, head_share) for part in parts]
        if len(set(candidate)) > len(set(best)):
            best = candidate
        if len(set(best)) == len(set(names)):
            return best
    return _numbered(names, best, room, width)


def _attempts(names: Sequence[str], *, keep_ends: bool) -> Iterator[tuple[list[str], float]]:
    """Give what may be shortened in place of the names, and the share of the head in what stays of it."""
    if keep_ends:
        yield list(names), 0.0
    for pattern in _BREAKS:
        for start, stop in _SHARED:
            parts = _without_shared(names, pattern, start=start, stop=stop)
            yield from ((parts, head_share) for head_share in _HEAD_SHARES)
    yield from ((_differing(names), head_share) for head_share in _HEAD_SHARES)


def _without_shared(names: Sequence[str], pattern: str, *, start: bool, stop: bool) -> list[str]:
    """Return names with an ellipsis for the leading and trailing parts that several names share."""
    split = [re.findall(pattern, name)[:-1] for name in names]  # the last match is empty
    n_most = max(min(map(len, split)) - 1, 0) if len(names) > 1 else 0
    n_head = next((n for n in range(n_most) if len({parts[n] for parts in split}) > 1), n_most) if start else 0
    n_most -= n_head
    n_tail = next((n for n in range(n_most) if len({parts[-1 - n] for parts in split}) > 1), n_most) if stop else 0
    middles = ["".join(parts[n_head : len(parts) - n_tail]) for parts in split]
    middles = [middle[:-1] for middle in middles] if n_tail else middles  # the break before what is left out
    return [ELLIPSIS * (n_head > 0) + middle + ELLIPSIS * (n_tail > 0) for middle in middles]


def _differing(names: Sequence[str]) -> list[str]:
    """Return names without the letters that all begin and end with, but for the digits of a number that differs."""
    head = re.sub(r"\d+$", "", _common_start(names))
    rest = [name[len(head) :] for name in names]
    tail = re.sub(r"\d+$", "", _common_start([name[::-1] for name in rest]))
    middles = [name[: len(name) - len(tail)] for name in rest]
    return [ELLIPSIS * bool(head) + middle + ELLIPSIS * bool(tail) for middle in middles]


def _common_start(names: Sequence[str]) -> str:
    first, last = min(names), max(names)  # what these two share, all do
    return next((first[:place] for place, letter in enumerate(first) if letter != last[place]), first)


def _numbered(names: Sequence[str], shortened: Sequence[str], room: float, width: Width) -> list[str]:
    """Return shortened names, those that different names have in common with the number of the name behind."""
    places = {name: place for place, name in enumerate(dict.fromkeys(names), start=1)}
    n_with = Counter(dict(zip(names, shortened, strict=True)).values())
    result = []
    for name, short in zip(names, shortened, strict=True):
        if n_with[short] > 1:
            number = f"#{places[name]}"
            longer = shorten(name, room - width(number), width, 0.0) + number
            short = longer if width(longer) <= room else short
        result.append(short)
    return result
