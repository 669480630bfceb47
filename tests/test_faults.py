"""One table of what can go wrong around a command: the fault, how it is made, and all that is seen of it.

Each row: what happens, the function that makes it happen, what is typed, the exit status, the whole line on standard
error. Nothing is on standard output, and the folder holds what it held before, byte for byte, but for what the fault
itself took away. What is wrong with the words typed or inside of a file stands in `tests/cli/test_errors.py`, faults
of pipes and terminals in `tests/cli/test_pipes.py`, damaged checkpoints in `tests/execution/test_checkpoint.py`.
"""

# ruff: noqa: E501 - a line of the table is a line that a user sees

import csv
import io
import os
import resource
import shutil
import signal
import subprocess

import numpy as np
import pytest

import cka_cli.cli
import cka_cli.cli.options
import cka_cli.execution.checkpoint
import cka_cli.layers.examples
import cka_cli.system.atomic_files
from cka_cli.report.csv_text import from_text
from cka_cli.report.reading import read_matrices
from tests.cli.command import CKA, child_environment, run_child, run_here
from tests.small_files import state, values, write_hdf5

seen = {}  # the state of the folder before the command, or right after the fault


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with sound files and an old result, where commands are run."""
    write_hdf5(tmp_path / "a.h5", {"conv1": values(12, 5), "conv2": values(12, 4)})
    np.save(tmp_path / "a.npy", values(12, 5))
    np.savez(tmp_path / "a.npz", conv1=values(12, 5))
    (tmp_path / "old.csv").write_bytes(b"old")
    (tmp_path / "notes.txt").write_bytes(b"my thesis")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nothing(folder, monkeypatch):
    """The command itself is the fault."""


def small_disk(folder, monkeypatch):
    """No file may grow beyond 100 bytes: what a full disk does, to this process alone."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    write_output = cka_cli.system.atomic_files.write_output

    def write(*arguments, **options):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        try:
            write_output(*arguments, **options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    monkeypatch.setattr(cka_cli.system.atomic_files, "write_output", write)


def after_the_headers(change):
    """Change something between the reading of headers and that of values."""

    def make(folder, monkeypatch):
        select_layers = cka_cli.layers.examples.select_layers

        def select(*arguments):
            files = select_layers(*arguments)
            change()
            seen["before"] = state(folder)
            return files

        monkeypatch.setattr(cka_cli.layers.examples, "select_layers", select)

    return make


def gone(name):
    return after_the_headers(lambda: os.unlink(name))


def cut(name, n_bytes):
    return after_the_headers(lambda: os.truncate(name, n_bytes))


def appears(name):
    return after_the_headers(lambda: shutil.copy("old.csv", name))


def checkpoint_of(*typed):
    """A run that was broken off has left the file `run.ckpt`."""

    def make(folder, monkeypatch):
        arguments = [*typed, "--checkpoint", "run.ckpt", "-q", "-o", os.devnull]
        with monkeypatch.context() as patched:
            patched.setattr("cka_cli.cli.options.end_checkpoint", lambda run: None)
            patched.setattr(cka_cli.execution.checkpoint, "EVERY_S", 0.0)
            with pytest.raises(SystemExit):
                cka_cli.cli.main(arguments)
        assert (folder / "run.ckpt").exists()

    return make


FAULTS = [
    ("disk full, new result", small_disk, "compare a.h5 -o new.csv", 1, "new.csv: cannot be written (File too large); nothing was changed"),
    ("disk full, old result", small_disk, "compare a.h5 -f -o old.csv", 1, "old.csv: cannot be written (File too large); nothing was changed"),
    ("disk full, JSON", small_disk, "compare a.h5 -o new.json", 1, "new.json: cannot be written (File too large); nothing was changed"),
    ("disk full, picture", small_disk, "heatmap a.h5 -o new.png", 1, "new.png: cannot be written (File too large); nothing was changed"),
    ("disk full, list", small_disk, "inspect a.h5 -o new.csv", 1, "new.csv: cannot be written (File too large); nothing was changed"),
    ("folder of the result gone", after_the_headers(lambda: os.rmdir("sub")), "compare a.h5 -o sub/new.csv", 1, "sub/new.csv: cannot be written (No such file or directory); nothing was changed"),
    ("result appears meanwhile", appears("new.csv"), "compare a.h5 -o new.csv", 1, "new.csv: exists already; give --force to replace it, or another --output"),
    ("result becomes a folder", after_the_headers(lambda: os.mkdir("new.csv")), "compare a.h5 -o new.csv", 1, "new.csv: cannot be written (Is a directory); nothing was changed"),
    ("NPY gone after its header", gone("a.npy"), "compare a.npy -o new.csv", 1, "a.npy::a: cannot be read (No such file or directory); the file may be damaged: copy or save it again"),
    ("NPZ gone after its header", gone("a.npz"), "compare a.npz -o new.csv", 1, "a.npz::conv1: cannot be read (No such file or directory); the file may be damaged: copy or save it again"),
    ("NPY cut after its header", cut("a.npy", 200), "compare a.npy -o new.csv", 1, "a.npy::a: changed while it was read; wait until the run that writes it has ended, and start again"),
    ("checkpoint is the result", nothing, "compare a.h5 -o new.csv --checkpoint ./new.csv", 2, "--checkpoint ./new.csv: is also an input, the output or the plot; give another name"),
    ("checkpoint is an input", nothing, "compare a.h5 --checkpoint sub/../a.h5", 2, "--checkpoint sub/../a.h5: is also an input, the output or the plot; give another name"),
    ("checkpoint without a name", nothing, "compare a.h5 --checkpoint=", 2, "--checkpoint: the name is empty; give the name of a file"),
    ("checkpoint is something else", nothing, "compare a.h5 --checkpoint notes.txt", 1, "notes.txt: exists already and is no checkpoint; give another name to --checkpoint"),
    ("checkpoint of other options", checkpoint_of("compare", "a.h5"), "compare a.h5 -k rbf --checkpoint run.ckpt", 1, "run.ckpt: is the checkpoint of another run (kernels: linear then, rbf:sigma=0.8 now); give another name, or remove it"),
    ("less memory than a job takes", nothing, "compare a.h5 --memory 1KB -o new.csv", 1, "--memory 0.9766KiB: too little for this job (tiles and slices get no smaller); give at least --memory 6MiB, or fewer layers (--layers), fewer examples (--sample) or --pool mean"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "make", "typed", "status", "line"), FAULTS, ids=[row[0] for row in FAULTS])
def test_a_fault_is_one_line_and_changes_nothing(here, capsysbinary, monkeypatch, fault, make, typed, status, line):
    make(here, monkeypatch)
    seen["before"] = state(here)
    ended = run_here(typed.split(), capsysbinary)
    assert (ended.status, ended.out, ended.err) == (status, b"", f"Error: {line}\n")
    assert state(here) == seen["before"]


IN_A_SHELL = [
    ("disk full", "compare a.h5 -o mnt/new.csv", 1, "mnt/new.csv: cannot be written (No space left on device); nothing was changed"),
    ("disk full, old result", "compare a.h5 -f -o mnt/old.csv", 1, "mnt/old.csv: cannot be written (No space left on device); nothing was changed"),
    ("disk full, picture", "heatmap a.h5 -o mnt/new.png", 1, "mnt/new.png: cannot be written (No space left on device); nothing was changed"),
    ("disk full, standard output", "compare a.h5 > mnt/rest", 1, "standard output: cannot be written (No space left on device); give --output PATH"),
    ("read-only folder", "compare a.h5 -o ro/new.csv", 1, "ro/new.csv: cannot be written (no permission to write in ro); give another --output"),
    ("read-only folder, old result", "compare a.h5 -f -o ro/old.csv", 1, "ro/old.csv: cannot be written (no permission to write in ro); give another --output"),
    ("read-only folder, checkpoint", "compare a.h5 --checkpoint ro/x.ckpt", 1, "ro/x.ckpt: the checkpoint cannot be kept (no permission to write in ro); give another name"),
]  # fmt: skip
MOUNTS = """
mkdir mnt ro && mount -t tmpfs -o size=16k none mnt && mount -t tmpfs none ro || exit 99
echo old > mnt/old.csv; echo old > ro/old.csv; mount -o remount,ro ro
cat /dev/zero > mnt/filler 2>/dev/null; : > mnt/rest
"""


@pytest.fixture(scope="module")
def can_mount(tmp_path_factory):
    """Skip where a process may not mount file systems of its own, seen by nobody else."""
    folder = tmp_path_factory.mktemp("mount")
    tried = subprocess.run(["unshare", "-rm", "sh", "-c", MOUNTS], cwd=folder, capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("no file systems of our own here")


@pytest.mark.usefixtures("can_mount")
@pytest.mark.parametrize(("fault", "typed", "status", "line"), IN_A_SHELL, ids=[row[0] for row in IN_A_SHELL])
def test_a_disk_that_takes_nothing_is_one_line_and_changes_nothing(here, fault, typed, status, line):
    script = (
        f"{MOUNTS} ls -A mnt ro > before; {' '.join(CKA)} {typed}\necho $? > status\nls -A mnt ro | "
        f"cmp - before\ncat mnt/old.csv ro/old.csv mnt/rest"
    )
    ended = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], env=child_environment(), capture_output=True, timeout=300, check=False
    )
    assert (ended.stdout, ended.stderr.decode()) == (b"old\nold\n", f"Error: {line}\n")
    assert int((here / "status").read_text()) == status


# Where a signal comes: a patch of the program that runs the command, which sends it.
KILL = "os.kill(os.getpid(), number)"
MOMENTS = {
    "while importing": (f"sys.meta_path.insert(0, type('Kill', (), {{'find_spec': lambda *a: (a[0] == 'numpy' and {KILL}) or None}}))", []),
    "while reading": (f"import cka_cli.execution.execute as e; e.load_centred = lambda *a, **k: {KILL} or time.sleep(600)", []),
    "in a long step without a word to Python": (
        "import cka_cli.execution.execute as e, hashlib, threading\n"
        f"def wait(*a, **k):\n    threading.Timer(0.1, lambda: {KILL}).start()\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
        "e.load_centred = wait", ["--threads", "1"],
    ),
    "while writing": (f"import cka_cli.system.atomic_files as o; o.os.fsync = lambda d: {KILL} or time.sleep(600)", ["-f"]),
    "before the new name is given": (f"import cka_cli.system.atomic_files as o; o.os.replace = lambda *a: {KILL} or time.sleep(600)", ["-f"]),
    "while keeping a checkpoint": (
        "import cka_cli.execution.checkpoint as c, cka_cli.system.atomic_files as o; "
        "c.EVERY_S = 0.0\n"
        f"o.os.fsync = lambda d: {KILL} or time.sleep(600)", ["--checkpoint", "run.ckpt"],
    ),
}  # fmt: skip


def killed(number, moment, folder, **options):
    patch, extra = MOMENTS[moment]
    program = (
        f"import os, signal, sys, time; number = {int(number)}\n{patch}\nfrom cka_cli.cli import "
        f"main; main(sys.argv[1:])"
    )
    arguments = ["compare", "a.h5", "-o", "old.csv" if "-f" in extra else "new.csv", *extra]
    return subprocess.run(
        [CKA[0], "-c", program, *arguments], cwd=folder, env=child_environment(), stdin=subprocess.DEVNULL,
        capture_output=True, timeout=300, check=False, **options,
    )  # fmt: skip


STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
SIGNALS = [(moment, signal.SIGINT) for moment in MOMENTS]
SIGNALS += [("while writing", signal.SIGTERM), ("in a long step without a word to Python", signal.SIGTERM)]
SIGNALS += [("while writing", signal.SIGHUP)]


@pytest.mark.parametrize(("moment", "number"), SIGNALS)
def test_a_signal_at_any_moment_leaves_nothing(here, moment, number):
    before = state(here)
    ended = killed(number, moment, here)
    assert (ended.returncode, ended.stdout, ended.stderr) == (
        STATUS[number],
        b"",
        b"Interrupted: nothing was written\n",
    )
    assert state(here) == before


def test_a_signal_that_the_caller_ignores_is_ignored(here):
    # As a shell script does for a command with & behind it, and nohup.
    patch = (
        f"signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGHUP, "
        f"signal.SIG_IGN)\nimport cka_cli.system.atomic_files as o; o.os.fsync = lambda d: {KILL}"
    )
    for number in (signal.SIGINT, signal.SIGHUP):
        MOMENTS["ignored"] = (patch, ["-f"])
        ended = killed(number, "ignored", here)
        del MOMENTS["ignored"]
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
        assert (here / "old.csv").read_bytes().startswith(b"x_file,")


@pytest.mark.parametrize("command", [[*CKA], [CKA[0], "-c", "from cka_cli.__main__ import run; run()"]])
def test_ctrl_c_before_the_command_has_begun_shows_no_traceback(here, command):
    (here / "click.py").write_text("import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(600)")
    environment = child_environment(PYTHONPATH=str(here))
    ended = subprocess.run([*command, "measures"], env=environment, capture_output=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, b"", b"")


def test_the_command_begins_where_ctrl_c_is_quiet():
    from importlib.metadata import entry_points

    (command,) = entry_points(group="console_scripts", name="cka")
    assert command.value == "cka_cli.__main__:run"


@pytest.mark.parametrize("status", [0, 1, 2, 130])
def test_at_its_end_the_command_does_what_is_registered_and_gives_nothing_back(status):
    code = (
        "import atexit, cka_cli.__main__ as command\n"
        "class Kept:\n    def __del__(self): print('given back')\n"
        "kept = Kept()\n"
        "def main():\n"
        "    atexit.register(print, 'first', flush=True)\n"
        "    atexit.register(print, 'last', flush=True)\n"
        f"    raise SystemExit({status})\n"
        "command.main = main\ncommand.run()"
    )
    ended = subprocess.run([CKA[0], "-c", code], env=child_environment(), capture_output=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, b"last\nfirst\n", b"")


def test_a_slow_reader_of_a_pipe_that_does_not_wait_gets_everything(here):
    write_hdf5(here / "many.h5", {f"conv{number}": values(8, 2, seed=number) for number in range(60)})
    expected = run_child(["compare", "many.h5"], cwd=here).out
    assert len(expected) > 1 << 17  # more than a pipe holds
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    child = subprocess.Popen([*CKA, "compare", "many.h5"], cwd=here, env=child_environment(), stdout=writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        assert pipe.read() == expected
    assert child.wait(300) == 0


NAMES = [
    "conv,1", 'conv"2"', "new\nline", "carriage\rreturn", "=1+1", "'=1", "block/sub/conv", "größe", "层", "\x1b[31mred\x07",
    "\u202etxet", "zero\u200bwidth", " blank ", "x" * 10_000, "层" * 10_000, "$x$", "[/bold]", "tab\tstop",
]  # fmt: skip


def test_any_name_goes_through_files_reports_tables_and_pictures(here, capsysbinary):
    write_hdf5(here / "names.h5", {name: values(12, 3, seed=place) for place, name in enumerate(NAMES)})
    for report in ("names.csv", "names.json"):
        assert run_here(["compare", "names.h5", "-q", "-o", report], capsysbinary).status == 0
        (matrix,) = read_matrices((here / report).read_bytes(), report)
        assert list(matrix.x_layers) == NAMES
        ended = run_here(["heatmap", report, "--format", "svg", "-q"], capsysbinary)
        assert (ended.status, ended.err) == (0, "")
        assert not {*"\x1b\x07\u202e\u200b"} & {*ended.out.decode()}
    for command in (["compare", "names.h5", "--format", "table"], ["inspect", "names.h5", "--format", "table"]):
        ended = run_here(command, capsysbinary)
        assert ended.status == 0
        assert not {*"\x1b\x07\r\t\u202e\u200b"} & {*(ended.out.decode() + ended.err)}
    ended = run_here(["inspect", "names.h5"], capsysbinary)
    rows = list(csv.DictReader(io.StringIO(ended.out.decode(), newline="")))
    assert [from_text(row["layer"]) for row in rows] == NAMES
    ended = run_here(["compare", "names.h5::nowhere\x1b"], capsysbinary)
    assert (ended.status, ended.out, ended.err.count("\n")) == (1, b"", 1)
    assert not {*"\x1b\x07\r\u202e\u200b"} & {*ended.err}


@pytest.mark.slow
def test_ten_thousand_layers_are_listed_once_each(here, capsysbinary):
    np.savez(here / "many.npz", **{f"conv{number}": np.zeros((2, 1), np.uint8) for number in range(10_000)})
    ended = run_here(["inspect", "many.npz", "--headers"], capsysbinary)
    assert ended.out.count(b",conv") == 10_000
