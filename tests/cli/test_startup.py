"""What a command imports, which is what a user waits for. Seen from a child; what numpy itself brings is its own."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.cli.command import child_environment
from tests.small_files import values, write_hdf5

HEAVY = ["numpy", "h5py", "rich", "matplotlib", "scipy", "PIL", "pandas"]
# What these modules of the standard library cost is measured in DESIGN's start-up budget; none is needed for help.
OTHERS = ["json", "concurrent.futures", "importlib.metadata", "asyncio", "csv", "difflib", "zipfile", "traceback"]
PROGRAM = """
import sys
from cka_cli.cli import main
try:
    main(sys.argv[1:])
finally:
    sys.stdout.flush()
    print("\\n".join(sys.modules), file=sys.stderr)
"""


def imported(arguments, before="", **options):
    """A child that ran a command, and the modules it has loaded. before : a statement that it runs first."""
    child = subprocess.run(
        [sys.executable, "-c", before + PROGRAM, *map(str, arguments)],
        env=child_environment(), capture_output=True, check=False, timeout=300, **options,
    )  # fmt: skip
    return child, set(child.stderr.decode().split("\n"))


@cache
def modules_of(statement):
    program = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    child = subprocess.run([sys.executable, "-c", program], env=child_environment(), capture_output=True, check=True)
    return set(child.stdout.decode().split("\n"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("startup")
    write_hdf5(folder / "a.h5", {"conv1": values(30, 5)})
    write_hdf5(folder / "b.h5", {"conv1": values(30, 5), "conv2": values(30, 4)})
    (folder / "good.csv").write_text("layer,p\nr,0.5\n")
    return folder


@pytest.mark.parametrize(
    "typed",
    [
        "--help", "--version", "", "compare --help", "heatmap --help", "inspect --help", "measures --help",
        "match --help", "diagnose --help", "compare", "diagnose", "compare a.h5 --pool no",
    ],
)  # fmt: skip
def test_help_and_mistakes_import_nothing_heavy(typed):
    child, modules = imported(typed.split())
    assert child.returncode == (0 if "-" in typed and "--pool" not in typed else 2)
    allowed = modules_of("import click")
    assert not (modules - allowed) & {*HEAVY, *OTHERS}
    assert "cka_cli.cli" in modules
    assert not {name for name in modules if name.startswith(("cka_cli.files", "cka_cli.layers", "cka_cli.report."))}


@pytest.mark.parametrize("command", ["compare", "match"])
def test_a_mistyped_measure_is_said_before_numpy_is_imported(folder, command):
    child, modules = imported([command, "a.h5", "-m", "kca"], cwd=folder)
    assert child.returncode == 2
    assert not modules & set(HEAVY)


def test_a_comparison_to_a_pipe_imports_numpy_and_h5py_and_no_more(folder):
    child, modules = imported(["compare", "a.h5", "--threads", "1"], cwd=folder)
    assert child.stdout.startswith(b"x_file,")
    assert {"numpy", "h5py"} <= modules
    allowed = modules_of("import click, h5py")
    assert not (modules - allowed) & {"rich", "matplotlib", "scipy", "PIL", "concurrent.futures", "asyncio"}
    assert not (modules - allowed) & {
        "hashlib",
        "fractions",
        "cka_cli.execution.statistics",
        "cka_cli.reductions.minibatch",
    }  # of other options


def test_the_command_ends_with_its_status_and_its_result_though_nothing_is_given_back(folder):
    script = Path(sys.executable).with_name("cka")
    for command in ([str(script)], [sys.executable, "-m", "cka_cli"]):
        program = [*command, "compare", "a.h5", "--threads", "2"]
        child = subprocess.run(
            program, cwd=folder, env=child_environment(), capture_output=True, check=True, timeout=300
        )
        assert child.stdout.count(b"\n") == 2
        assert child.stderr == b""
        child = subprocess.run(
            [*program, "-m", "kca"], cwd=folder, env=child_environment(), capture_output=True, timeout=300
        )
        assert (child.returncode, child.stdout) == (2, b"")


def test_what_was_registered_for_the_end_is_done(folder, tmp_path):
    environment = child_environment(TMPDIR=str(tmp_path), HOME="/dev/null", MPLCONFIGDIR="/dev/null/none")
    program = [str(Path(sys.executable).with_name("cka")), "heatmap", "good.csv"]
    child = subprocess.run(program, cwd=folder, env=environment, capture_output=True, check=True, timeout=300)
    assert child.stdout.startswith(b"\x89PNG")
    assert "temporary" in child.stderr.decode()  # matplotlib says that it made a folder
    assert list(tmp_path.iterdir()) == []


def test_a_profiler_has_its_say_at_the_end(folder, tmp_path):
    program = [sys.executable, "-m", "cProfile", "-o", str(tmp_path / "profile"), "-m", "cka_cli", "measures"]
    subprocess.run(program, cwd=folder, env=child_environment(), capture_output=True, check=True, timeout=300)
    assert (tmp_path / "profile").stat().st_size > 0


def test_partners_to_a_pipe_need_no_rich_and_no_matplotlib(folder):
    child, modules = imported(["match", "a.h5", "b.h5", "--threads", "1"], cwd=folder)
    assert child.stdout.startswith(b"x_file,")
    assert not modules & {"rich", "matplotlib", "scipy", "PIL"}


@pytest.mark.parametrize("typed", ["good.csv", "a.h5 b.h5 --size 6x5", "a.h5 --format svg"])
def test_a_terminal_that_shows_no_picture_is_said_before_matplotlib_is_imported(folder, typed):
    on_terminal = "import sys\nsys.stdout.isatty = lambda: True\n"
    child, modules = imported(["heatmap", *typed.split()], on_terminal, cwd=folder)
    assert (child.returncode, child.stdout) == (2, b"")
    assert child.stderr.startswith(b"Error: standard output: is a terminal, which shows no picture; give -o FILE.png")
    assert not modules & set(HEAVY)


def test_a_picture_of_a_csv_needs_no_h5py(folder):
    child, modules = imported(["heatmap", "good.csv"], cwd=folder)
    assert child.stdout.startswith(b"\x89PNG")
    assert not modules & {"h5py", "rich", "matplotlib.pyplot", "scipy"}


def test_a_diagnosis_to_a_pipe_draws_nothing(folder):
    child, modules = imported(["diagnose", "a.h5", "--threads", "1", "-q"], cwd=folder)
    assert child.stdout.startswith(b"x_file,")
    assert not modules & {"rich", "matplotlib", "scipy", "PIL", "pandas"}


def test_measures_need_no_h5py(folder):
    child, modules = imported(["measures"])
    assert child.stdout.startswith(b"kind,name,")
    assert not modules & {"h5py", "rich", "matplotlib", "scipy"}
