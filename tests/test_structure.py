"""The plan of the house: imports go down only, and no room is too large to read."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cka_cli"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]

RANKS = {
    0: {"__init__", "arrays", "errors", "names"},
    1: {
        "activations", "kernels", "bandwidth", "hsic", "factors", "cca", "matrix", "outputs", "progress", "threads",
        "memory", "centred", "canvas", "checks",
    },
    2: {"measures", "plan", "report", "heatmap", "figures", "tiles", "features", "batches"},
    3: {"engine", "notes", "comparison", "inspection", "diagnosis"},
    4: {"cli/options"},
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
