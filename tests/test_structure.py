"""The plan of the house: imports go down only, and no room is too large to read."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cka_cli"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]

RANKS = {
    0: {"__init__", "arrays", "errors", "names", "floating_point", "shortening"},
    1: {
        "activations", "kernels", "bandwidth", "hsic", "factors", "cca", "matrix", "outputs", "progress", "meter",
        "threads", "memory", "checkpoint", "centred", "canvas", "folds", "gram_sums", "pearson", "permutations",
        "far_rows", "nonfinite", "second_differences", "source", "unit_rows",
    },
    2: {
        "measures", "job", "plan", "report", "heatmap", "figures", "gram_layers", "tiles", "significance", "task",
        "resampled", "features", "work", "batches", "identification", "correspondence", "depth",
        "components", "sentence", "checks",
    },
    3: {"engine", "notes", "comparison", "examples", "inspection", "matching", "explanation", "diagnosis"},
    4: {"cli/options", "cli/checkpoint"},
    5: {"cli/"},
    6: {"cli/__init__", "__main__"},
}  # fmt: skip
RANK = {room: rank for rank, rooms in RANKS.items() for room in rooms}
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60


def parts_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts


MODULES = {".".join(("cka_cli", *parts_of(path))).removesuffix(".__init__"): path for path in FILES}


def room_of(path):
    """The room a file belongs to: its module or its package; the command line has three."""
    parts = parts_of(path)
    if parts[0] != "cli":
        return parts[0]
    return "/".join(parts) if "/".join(parts) in RANK else "cli/"


def is_type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported_modules(path):
    """Full names of all modules that a file imports, within functions too; not what only a type checker reads."""
    waiting, found = [ast.parse(path.read_text(encoding="utf-8"))], []
    while waiting:
        node = waiting.pop()
        if is_type_checking(node):
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.append(full if full in MODULES else node.module)
        waiting.extend(ast.iter_child_nodes(node))
    return found


def external_packages(path):
    return {name.partition(".")[0] for name in imported_modules(path)}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_only_go_down(path):
    room = room_of(path)
    assert room in RANK, f"{room}: a new room; give it a rank"
    above = []
    for module in imported_modules(path):
        if module in MODULES and RANK[room_of(MODULES[module])] > RANK[room]:
            above.append(module)
    assert above == []


def test_no_room_imports_in_a_circle():
    imports = {}
    for path in FILES:
        rooms = {room_of(MODULES[module]) for module in imported_modules(path) if module in MODULES}
        imports.setdefault(room_of(path), set()).update(rooms - {room_of(path)})
    while imports:
        leaves = [room for room, rooms in imports.items() if not rooms & imports.keys()]
        assert leaves, f"a circle among {sorted(imports)}"
        for room in leaves:
            del imports[room]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_packages_that_may_be_imported(path):
    packages = external_packages(path)
    assert not packages & {"scipy", "pickle", "cPickle", "dill", "joblib", "pandas", "sklearn", "torch"}
    if room_of(path) not in ("canvas", "heatmap", "figures"):
        assert "matplotlib" not in packages
    assert not any(name.startswith(("matplotlib.pyplot", "pylab")) for name in imported_modules(path))


# What could run code or commands that stand in a file, or talk to anyone.
DANGEROUS_NAMES = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
DANGEROUS_ATTRIBUTES = {
    "system", "popen", "fork", "forkpty", "startfile", "posix_spawn", "posix_spawnp", "spawnl", "spawnv", "spawnve",
    "execl", "execle", "execlp", "execv", "execve", "execvp", "execvpe", "fromfile", "loadtxt", "genfromtxt",
}  # fmt: skip
DANGEROUS_MODULES = {
    "pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "joblib", "copyreg", "subprocess", "multiprocessing",
    "pty", "ctypes", "cffi", "code", "codeop", "runpy", "socket", "ssl", "http", "urllib", "ftplib", "smtplib",
    "webbrowser", "xml", "yaml", "requests", "posix", "_posixsubprocess", "commands",
}  # fmt: skip


def dangers_in(text):
    """What of a program could run code or commands that stand in a file."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name) and node.id in DANGEROUS_NAMES:
            found.append(node.id)
        elif isinstance(node, ast.Attribute) and node.attr in DANGEROUS_ATTRIBUTES:
            found.append(node.attr)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in ("np.load", "numpy.load"):
            found.append("np.load")  # values are read through numpy.lib.format, which says what it allows
        elif isinstance(node, ast.keyword) and (node.arg == "shell" or node.arg == "allow_pickle"):
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                found.append(f"{node.arg}=")
        elif isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.partition(".")[0] in DANGEROUS_MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] * (node.module.partition(".")[0] in DANGEROUS_MODULES)
            found += [name.name for name in node.names if name.name in DANGEROUS_NAMES | DANGEROUS_ATTRIBUTES]
    return found


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_nothing_can_run_what_stands_in_a_file(path):
    # To give freed memory back to the system; to let a child read headers that could end the process.
    allowed = {"memory.py": ["ctypes"], "apart.py": ["fork"], "library.py": ["fork"]}.get(path.name, [])
    assert dangers_in(path.read_text(encoding="utf-8")) == allowed


@pytest.mark.parametrize(
    "line",
    [
        "eval('1')", "exec(text)", "import pickle", "from pickle import loads", "import subprocess as s",
        "os.system('ls')", "from os import system", "np.load(path)", "np.load(path, allow_pickle=True)",
        "f(shell=True)", "read_array(stream, allow_pickle=flag)", "__import__(name)", "import urllib.request",
    ],
)  # fmt: skip
def test_what_could_run_it_is_seen(line):
    assert dangers_in(line)
    assert not dangers_in("read_array(stream, allow_pickle=False)\nimport re\nre.match('a', 'b')")


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) in ("__init__", "errors", "names")])
def test_the_words_a_user_types_cost_no_numpy(path):
    assert not external_packages(path) & {"numpy", "h5py", "rich", "click"}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_files_and_functions_are_short_enough_to_read(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            n_lines = node.end_lineno - node.lineno + 1
            assert n_lines <= MAX_FUNCTION_LINES, f"{node.name} has {n_lines} lines"


def test_lazy_and_aliased_imports_are_seen(tmp_path):
    path = tmp_path / "room.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from cka_cli import heatmap\n"
        "def f():\n    from cka_cli import comparison\n    import matplotlib.pyplot as plt\n",
        encoding="utf-8",
    )
    assert set(imported_modules(path)) == {"typing", "cka_cli.comparison", "matplotlib.pyplot"}
