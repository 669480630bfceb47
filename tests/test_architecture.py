"""The page on how it is built is held to the code: floors, names, the walk of a path, and sketches that work."""

import ast
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.cli.command import run_here
from tests.small_files import values
from tests.test_structure import FLOORS, NEVER, PACKAGE, WITHOUT_CODE

ROOT = PACKAGE.parent
PAGE = (PACKAGE / "manual" / "architecture.md").read_text(encoding="utf-8")
FLOORS_SHOWN, WALK = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
SKETCHES = re.findall(r"^### ([^\n]+): (\d) files\n(.*?)(?=^### |\Z)", PAGE, re.DOTALL | re.MULTILINE)


def test_the_floors_are_those_that_are_held():
    shown, floor = {}, None
    for line in FLOORS_SHOWN.splitlines():
        number, room, words = re.fullmatch(r"(\d|-| )  (\w+) +(\S.*)", line).groups()
        floor = floor if number == " " else number
        shown.setdefault(floor, []).append(room)
        assert words
    assert {floor: set(rooms) for floor, rooms in shown.items()} == {
        **{str(floor): rooms for floor, rooms in FLOORS.items()}, "-": WITHOUT_CODE,
    }  # fmt: skip
    assert [*shown] == sorted(shown, reverse=True)
    assert sum(map(len, shown.values())) == len(set().union(*shown.values()))


def test_every_room_that_is_there_is_on_the_page_and_no_other():
    there = {path.stem for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert there == set(re.findall(r"^[\d -]  (\w+)", FLOORS_SHOWN, re.MULTILINE))


def test_what_is_never_imported_is_on_the_page():
    said = PAGE.partition("Some things are never imported")[2].partition("\n\n")[0].partition(". So ")[0]
    never = {}
    for clause in said.partition(": ")[2].split(";"):
        who, _, whom = clause.partition(" import no ")
        never.update({room: set(re.findall(r"`(\w+)`", whom)) for room in re.findall(r"`(\w+)`", who)})
    assert never == NEVER


# ---- Names


def defined_in(path):
    """Names that a file defines: functions, classes, tables; of classes `Class.name`, fields among them."""
    found = set()

    def look(body, prefix):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            found.update(prefix + target.id for target in targets if isinstance(target, ast.Name))
            if isinstance(node, ast.ClassDef):
                look(node.body, f"{node.name}.")

    look(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


def test_every_name_on_the_page_is_there():
    names = set().union(*(defined_in(path) for top in ("cka_cli", "tests") for path in (ROOT / top).rglob("*.py")))
    names |= {name.partition(".")[2] for name in names}  # a method may stand by itself
    names |= {room for rooms in FLOORS.values() for room in rooms}
    words = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
    assert len(words) > 30
    for word in words:
        is_typed = re.match(r"cka\b|-|python |ruff$|mypy$", word)  # what stands on a command line
        assert is_typed or word in names or ("/" in word and (ROOT / word).exists()), word


# ---- The walk


def steps_of(walk):
    """Pairs of the rooms that lead somewhere, the last of which is where it is, and what is called there."""
    rooms = []
    for line in walk.splitlines():
        indent, room, names = re.fullmatch(r"( *)(\w+) +(\S+(?: → \S+)*)(?:  .*)?", line).groups()
        rooms = [*rooms[: len(indent) // 2], room]
        for name in names.split(" → "):
            yield tuple(rooms), name


def called(frame):
    """The folder and the name of what is called, of the package; a class where one is made."""
    code, name = frame.f_code, frame.f_code.co_qualname
    module = frame.f_globals.get("__name__", "")
    if code.co_name == "__init__" and "self" in frame.f_locals:
        kind = type(frame.f_locals["self"])  # a dataclass's own is written by Python
        module, name = kind.__module__, kind.__qualname__
    _, _, room = module.partition("cka_cli.")
    room = room.partition(".")[0]
    return (room, name) if (PACKAGE / room).is_dir() and room else None


@pytest.fixture
def calls(tmp_path, monkeypatch, capsysbinary):
    """Every call within the package in one compare: the rooms that lead there, what is called, and if from another."""
    for name in "ab":
        np.savez(tmp_path / f"{name}.npz", conv1=values(40, 5), conv2=values(40, 6, seed=1))
    monkeypatch.chdir(tmp_path)
    arguments = ["compare", "a.npz", "b.npz", "--threads", "1"]
    stack, found = [], []

    def look(frame, event, _):
        if event == "call":
            stack.append(called(frame))
            if stack[-1] is not None:
                within = [each[0] for each in stack if each is not None]
                rooms = tuple(room for place, room in enumerate(within) if within[place - 1 : place] != [room])
                found.append((rooms, stack[-1][1], within[-2:-1] != within[-1:]))
        elif event == "return" and stack:
            stack.pop()

    run_here(arguments, capsysbinary)  # what is imported on the way is no part of it
    before = sys.getprofile()
    sys.setprofile(look)
    try:
        ended = run_here(arguments, capsysbinary)
    finally:
        sys.setprofile(before)
    assert (ended.status, len(ended.out.splitlines())) == (0, 5)
    return found


def leads(rooms, through):
    """Whether a way leads through these rooms to the last of them, perhaps through others between."""
    way = iter(through)
    return rooms[-1] == through[-1] and all(room in way for room in rooms)


def test_the_walk_is_the_way_of_one_compare(calls):
    place = 0
    for rooms, name in steps_of(WALK):
        while place < len(calls) and not (calls[place][1] == name and leads(rooms, calls[place][0])):
            place += 1
        assert place < len(calls), f"{' → '.join(rooms)}: {name} is not called, or not after what stands before it"


@pytest.mark.parametrize("way", [("cli",), ("cli", "api")], ids=["cli", "api"])
def test_the_walk_leaves_out_no_call_into_another_room(calls, way):
    """Of the two rooms that lead the way, and of functions and classes: what these give has methods of its own."""
    made = [
        (rooms[-1], name)
        for rooms, name, is_entered in calls
        if is_entered and rooms[:-1] == way and not re.search(r"\.|^_", name)
    ]
    made = list(dict.fromkeys(made))
    assert [step for rooms, name in steps_of(WALK) if rooms[:-1] == way and (step := (rooms[-1], name)) in made] == made


# ---- The sketches


def parts_of(sketch):
    """Triples of a file, how its text belongs there, and the text."""
    blocks = "\n".join(re.findall(r"```python\n(.*?)```", sketch, re.DOTALL))
    for part in re.split(r"^(?=# \S+: )", blocks, flags=re.MULTILINE)[1:]:
        first, _, text = part.partition("\n")
        yield *re.fullmatch(r"# (\S+): (.*)", first).groups(), text.strip("\n")


def with_row(text, table, part):
    """The text of a file with one row more in a table: the last paragraph of the part; others stand before it."""
    *before, row = part.split("\n\n")
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if table in [target.id for target in targets if isinstance(target, ast.Name)]:
            lines = text.splitlines()
            return "\n".join(
                [*lines[: node.lineno - 1], *before, *lines[node.lineno - 1 : node.end_lineno - 1], row,
                 *lines[node.end_lineno - 1 :], ""]
            )  # fmt: skip
    raise AssertionError(f"no table {table}")


def put(folder, file, how, part):
    path = folder / file
    if how == "new":
        assert not path.exists()
        path.write_text(part + "\n", encoding="utf-8")
        return
    text = path.read_text(encoding="utf-8")
    if how.startswith("a row of "):
        text = with_row(text, how.removeprefix("a row of "), part)
    elif how.startswith("before "):
        line = f"    {how.removeprefix('before ').strip('`')}\n"
        assert text.count(line) == 1, f"{file}: {how}"
        text = text.replace(line, f"{part}\n{line}")
    else:
        suite = how.removeprefix("inherits ")
        assert f"({suite})" in part
        text += f"\n\n{part}\n"
    path.write_text(text, encoding="utf-8")


def test_every_sketch_touches_as_many_files_as_is_said():
    assert len(SKETCHES) == 7
    for title, n_files, sketch in SKETCHES:
        files = [file for file, _, _ in parts_of(sketch)]
        assert len({file for file in files if file.startswith("cka_cli/")}) == int(n_files), title
        assert any(file.startswith("tests/") for file in files) or "`tests/" in sketch, title


def test_every_sketch_works(tmp_path):
    """In a copy of the package, with the tests that the page names; rows that tables of tests find by themselves."""
    for top in ("cka_cli", "tests"):
        shutil.copytree(ROOT / top, tmp_path / top)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    chosen, files = ["cauchy", "tabs"], {"tests/reductions/test_kernels.py", "tests/cli/test_formats.py"}
    for _, _, sketch in SKETCHES:
        for part in parts_of(sketch):
            put(tmp_path, *part)
            if part[1].startswith("inherits "):
                files.add(part[0])
                chosen += re.findall(r"class (\w+)\(", part[2])
    run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-rA", "-k", " or ".join(chosen)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV_"))}
    ended = subprocess.run(
        [*run, *sorted(files)],
        cwd=tmp_path, env=kept, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for name in chosen:
        assert re.search(rf"^PASSED .*\b{name}\b", ended.stdout, re.MULTILINE), name


def test_the_page_is_short_enough_to_read():
    lines = PAGE.splitlines()
    assert len(lines) <= 320
    assert max(map(len, lines)) <= 120
