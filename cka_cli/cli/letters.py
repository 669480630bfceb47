"""What a reader of a picture must know of its letters."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cka_cli.cli.options import show_note

_MOST_SHOWN = 12


@contextmanager
def noting_missing_letters(options: dict[str, Any]) -> Iterator[None]:
    """Say which letters of names stand as escapes in the picture drawn within, because no font has them."""
    from cka_cli.pictures.canvas import missing_letters

    with missing_letters() as missing:
        yield
    if not missing or options["quiet"]:
        return
    letters = sorted(missing)
    shown = " ".join(letters[:_MOST_SHOWN]) + " ..." * (len(letters) > _MOST_SHOWN)
    show_note(f"picture: no font on this machine has {shown}, so escapes stand for them; install one that does")
