"""What a reader of a picture must know of its letters."""

from typing import Any

from cka_cli.cli.options import show_note

_MOST_SHOWN = 12


def note_missing_letters(options: dict[str, Any]) -> None:
    """Say which letters of names stand as escapes in the picture just drawn, because no font has them."""
    from cka_cli.canvas import take_missing_letters

    letters = take_missing_letters()
    if not letters or options["quiet"]:
        return
    shown = " ".join(letters[:_MOST_SHOWN]) + " ..." * (len(letters) > _MOST_SHOWN)
    show_note(f"picture: no font on this machine has {shown}, so escapes stand for them; install one that does")
