"""The plan of the house: imports go down only, and no room is too large to read."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cka_cli"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]

# Read from the ground up the rooms tell the flow: files, layers, plan, reductions, measures, results, report and
# pictures. A room is a folder, or a file at the root.
FLOORS = {
    1: {"errors", "arrays", "version", "floating_point"},
    2: {"files", "results", "system", "specs", "options", "shortening", "text"},
    3: {"reductions"},
    4: {"plan", "measures", "layers", "uncertainty"},
    5: {"execution", "analysis"},
    6: {"api", "report", "pictures"},
    7: {"cli"},
    8: {"__init__", "__main__"},
}
# Rooms that hold no code, and that others must not import.
WITHOUT_CODE = {"manual"}
NEVER = {
    "reductions": {"files", "execution", "system"},
    "measures": {"files", "execution", "system"},
    "plan": {"files"},
    "analysis": {"files"},
}

FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
MAX_FLOORS, MAX_FILE_LINES, MAX_FUNCTION_LINES = 8, 400, 60


def parts_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts


MODULES = {".".join(("cka_cli", *parts_of(path))).removesuffix(".__init__"): path for path in FILES}


def room_of(path):
    """The room a file belongs to: a folder of the package, or the file itself at its root."""
    return parts_of(path)[0]


def place_of(path):
    """Where a file stands in the package, without its ending; of a folder's first page the folder."""
    return "/".join(parts_of(path)).removesuffix("/__init__")


def places_imported(path):
    """Where the files of the package stand that a file imports."""
    modules = imported_modules(path)
    return {place_of(MODULES[module]) for module in modules if module in MODULES} - {place_of(path)}


def room_at(place):
    return place.partition("/")[0]


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


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in FILES}
    assert rooms == set(FLOOR), "a new room, or one that is gone: see FLOORS"
    assert sum(map(len, FLOORS.values())) == len(FLOOR), "a room on two floors"
    assert len(FLOORS) <= MAX_FLOORS
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - rooms <= WITHOUT_CODE


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_only_go_down(path):
    floor = FLOOR[room_of(path)]
    above = {(place_of(path), place) for place in places_imported(path) if FLOOR[room_at(place)] > floor}
    assert not above


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_rooms_that_are_never_imported(path):
    never = NEVER.get(room_of(path), set())
    found = {(place_of(path), place) for place in places_imported(path) if room_at(place) in never}
    assert not found


def leaves_of(imports):
    """Take away whatever imports nothing that is left, until nothing is; return what imports in a circle."""
    while leaves := [place for place, places in imports.items() if not places & imports.keys()]:
        for place in leaves:
            del imports[place]
    return sorted(imports)


def test_no_room_imports_in_a_circle():
    imports = {}
    for path in FILES:
        places = places_imported(path)
        imports.setdefault(room_of(path), set()).update({room_at(place) for place in places} - {room_of(path)})
    assert leaves_of(imports) == []


def test_no_file_imports_in_a_circle():
    assert leaves_of({place_of(path): places_imported(path) for path in FILES}) == []


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_packages_that_may_be_imported(path):
    packages = external_packages(path)
    assert not packages & {"scipy", "pickle", "cPickle", "dill", "joblib", "pandas", "sklearn", "torch"}
    if room_of(path) != "pictures":
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


# To give freed memory back to the system; to let a child read headers that could end the process.
ALLOWED = {"system/memory": ["ctypes"], "files/sandbox": ["fork"]}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_nothing_can_run_what_stands_in_a_file(path):
    assert dangers_in(path.read_text(encoding="utf-8")) == ALLOWED.get(place_of(path), [])


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


@pytest.mark.parametrize(
    "path", [path for path in FILES if room_of(path) in ("__init__", "errors", "specs", "text", "version")]
)
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
        "if TYPE_CHECKING:\n    from cka_cli import pictures\n"
        "def f():\n    from cka_cli.api import compare\n    import matplotlib.pyplot as plt\n",
        encoding="utf-8",
    )
    assert set(imported_modules(path)) == {"typing", "cka_cli.api.compare", "matplotlib.pyplot"}
