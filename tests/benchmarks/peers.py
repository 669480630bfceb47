"""Virtual environments of the libraries that cka is measured against, each made once and on first use."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from processes import CommandFailedError

# pip's arguments, one installation after the other. torch by its exact pin first, and the library without its
# dependencies, so that nothing replaces a CPU build by a CUDA one.
_INSTALLATIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "rsatoolbox": (("rsatoolbox==0.3.2", "{numpy}", "{h5py}"),),
    "pytorch-cka": (
        ("torch==2.13.0",),
        ("--no-deps", "pytorch-cka==1.1.3"),
        ("{numpy}", "{h5py}", "matplotlib>=3.5", "tqdm>=4.60"),
    ),
}


def make_folder(folder: Path) -> None:
    """Make a folder that git does not see; one that is there stays as it is."""
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def python_of(peer: str, folder: Path) -> Path:
    """Return the interpreter of a peer's environment, with numpy and h5py of the versions that cka runs on."""
    ours = {name: f"{name}=={version(name)}" for name in ("numpy", "h5py")}
    installations = [[word.format(**ours) for word in words] for words in _INSTALLATIONS[peer]]
    environment, wanted = folder / peer, "\n".join(map(" ".join, installations))
    python, note = environment / "bin" / "python", environment / "installed.txt"
    if note.exists() and note.read_text(encoding="utf-8") == wanted:
        return python
    make_folder(folder)
    print(f"installing {peer}", file=sys.stderr)
    commands = [[sys.executable, "-m", "venv", "--clear", str(environment)]]
    commands += [[str(python), "-m", "pip", "install", "--quiet", *words] for words in installations]
    for command in commands:
        if subprocess.run(command, stdout=sys.stderr).returncode:
            raise CommandFailedError(f"could not install {peer}")
    note.write_text(wanted, encoding="utf-8")
    return python
