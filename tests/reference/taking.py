"""Run the commands and keep what they answer."""

import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.reference.commands import COMMANDS, COMMANDS_ON_DATA, arguments_of, extension_of, make_files

ROOT = Path(__file__).parents[2]
_PNG = b"\x89PNG\r\n\x1a\n"


def take(out, *, tree=ROOT, python=sys.executable, data=None, say=print):
    """Write the answers of the package in `tree` into the folder `out`, which is made."""
    out = Path(out)
    out.mkdir(parents=True)
    commands = COMMANDS | (COMMANDS_ON_DATA if data else {})
    with tempfile.TemporaryDirectory(prefix="cka-reference-") as name:
        folder = Path(name)
        (folder / "sample_data").symlink_to(ROOT / "sample_data")
        if data:
            (folder / "data").symlink_to(Path(data).resolve())
        (folder / "results").symlink_to(out.resolve())
        (folder / "made").mkdir()
        make_files(folder / "made", ROOT / "sample_data")
        ended = {}
        for name, command in commands.items():
            say(name)
            ended[name] = _run(name, command, folder, out, tree, python)
    (out / "ended.json").write_text(json.dumps(ended, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _run(name, command, folder, out, tree, python):
    child = subprocess.run(
        [python, "-m", "cka_cli", *arguments_of(command)],
        cwd=folder, env=_environment(tree), stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    picture, drawn = folder / "made" / "picture.png", child.stdout if child.stdout.startswith(_PNG) else b""
    if picture.exists():
        drawn = picture.read_bytes()
        picture.unlink()
    if child.stdout and drawn is not child.stdout:
        (out / f"{name}.{extension_of(command)}").write_bytes(child.stdout)
    return {
        "command": command,
        "status": child.returncode,
        "said": child.stderr.decode(errors="backslashreplace").splitlines(),
        "picture": list(struct.unpack(">II", drawn[16:24])) if drawn else None,
    }


def _environment(tree):
    """Return the environment with the package of a tree before any that is installed, and no options of Python's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CKA_"))}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        kept.pop(name, None)
    return kept | {"PYTHONPATH": str(Path(tree).resolve()), "PYTHONDONTWRITEBYTECODE": "1"}
