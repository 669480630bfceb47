"""What a shell does with the command: pipes, closed readers, signals, terminals. All in children."""

import contextlib
import fcntl
import os
import pty
import re
import resource
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time
from pathlib import Path

import pytest

from tests.cli.command import CKA, child_environment, run_child
from tests.small_files import state, values, write_hdf5

PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipes")
    write_hdf5(folder / "a.h5", {"conv1": values(30, 5), "[/x]": values(30, 4, seed=1)})
    write_hdf5(folder / "many.h5", {f"conv{number}": values(8, 2, seed=number) for number in range(60)})
    # Distances without a matrix product: this takes many times the processor time that the tests allow.
    write_hdf5(folder / "long.h5", {f"conv{number}": values(6000, 200, seed=number) for number in range(6)})
    return folder


def shell(line, folder, **environment):
    """Run a line in a shell where `cka` is the command and PIPESTATUS is told on the last line of its output."""
    script = f'cka() {{ {" ".join(CKA)} "$@"; }}\n{line}\n'
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=child_environment(**environment), capture_output=True, timeout=300,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("environment", [{}, {"PYTHONUNBUFFERED": "1"}, {"PYTHONDEVMODE": "1"}], ids=str)
# Less than a pipe holds, and more.
@pytest.mark.parametrize(("source", "reader"), [("a.h5", "head -1"), ("many.h5", "head -1"), ("many.h5", "true")])
def test_a_reader_that_leaves_is_no_error(folder, source, reader, environment):
    ended = shell(f"cka compare {source} | {reader}; echo ${{PIPESTATUS[0]}}", folder, **environment)
    assert ended.stderr == b""
    assert ended.stdout.splitlines()[-1] in (b"0", b"1")


@pytest.mark.parametrize("command", ["compare a.h5", "inspect a.h5", "measures", "heatmap a.h5", "--help"])
def test_a_reader_that_left_before_anything_was_written(folder, command):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = run_child(command.split(), cwd=folder, stdout=writing)
    finally:
        os.close(writing)
    assert (ended.status, ended.err) == (1, "")


def test_a_file_of_the_shell_and_a_picture_from_a_pipe(folder, tmp_path):
    line = f'cka compare a.h5 > "{tmp_path}/x.csv" && cka compare a.h5 | cka heatmap -o "{tmp_path}/x.png"'
    ended = shell(f'set -o pipefail; {line} && cka heatmap a.h5 > "{tmp_path}/y.png"', folder)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert (tmp_path / "x.csv").read_bytes().startswith(b"x_file,x_layer,")
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)
    assert (tmp_path / "y.png").read_bytes().startswith(PNG)


def test_a_failed_command_before_a_picture_is_said_once_each(folder):
    ended = shell("cka compare nowhere.h5 | cka heatmap -o x.png; echo ${PIPESTATUS[*]}", folder)
    assert ended.stdout == b"1 1\n"
    assert sorted(ended.stderr.decode().splitlines()) == [
        "Error: nowhere.h5: no such file or folder; check the name",
        "Error: standard input: is empty; give a CSV or JSON report (did the command before it fail?)",
    ]


def test_output_to_a_process_substitution(folder):
    ended = shell("cka compare a.h5 -o >(head -c 6; echo) | cat", folder)
    assert (ended.stdout, ended.stderr) == (b"x_file\n", b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("command", ["compare a.h5", "measures", "--help"])
def test_a_full_disk_is_one_line(folder, command):
    ended = shell(f"cka {command} > /dev/full", folder)
    assert ended.returncode == 1
    assert re.fullmatch(rb"Error: standard output: .*No space left on device.*\n", ended.stderr)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_what_waits_in_a_buffer_is_not_lost_without_a_word(folder):
    program = "from cka_cli.cli import cli, main; cli.command('say')(lambda: print('a result')); main(['say'])"
    ended = shell(f'{CKA[0]} -c "{program}" > /dev/full', folder)
    assert (ended.returncode, ended.stderr) == (1, b"Error: standard output: No space left on device\n")


def test_closed_standard_streams(folder, tmp_path):
    ended = shell("cka compare a.h5 >&-", folder)
    line = b"Error: standard output: cannot be written (it is closed); give --output PATH\n"
    assert (ended.returncode, ended.stderr) == (1, line)
    ended = shell(f'cka compare a.h5 -o "{tmp_path}/x.csv" <&- >&- 2>&-', folder)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert (tmp_path / "x.csv").read_bytes().startswith(b"x_file,")
    ended = shell("cka compare a.h5 2>&- <&-", folder)
    assert (ended.returncode, ended.stdout[:7]) == (0, b"x_file,")
    ended = shell("cka compare nowhere.h5 2>&-", folder)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, b"", b"")
    ended = shell("cka heatmap -o x.png <&-", folder)
    assert (ended.returncode, ended.stderr.count(b"\n")) == (1, 1)
    assert ended.stderr.startswith(b"Error: standard input: is empty")


def wait_until_computing(child):
    """Wait until the child has used more processor time than starting takes."""
    ticks = os.sysconf("SC_CLK_TCK")
    for _ in range(6000):
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        if int(fields[11]) > 0.8 * ticks:
            return
        time.sleep(0.05)
    raise AssertionError("the command does not compute")


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc here")
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_it_at_once_and_leave_nothing(folder, number, status, threads):
    before, before_s = state(folder), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    child = subprocess.Popen(
        [*CKA, "compare", "long.h5", "-k", "laplacian", "--threads", threads, "-o", "out.csv"], cwd=folder,
        env=child_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        wait_until_computing(child)
        child.send_signal(number)
        out, err = child.communicate(timeout=300)
    finally:
        child.kill()
        child.wait()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert spent.ru_utime - before_s < 6, "it went on computing"  # a clock tells of what else the machine does, too
    assert (child.returncode, out, err) == (status, b"", b"Interrupted: nothing was written\n")
    assert state(folder) == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_waits_for_no_thread(folder, number, status):
    program = (
        "import os, threading, time; from cka_cli.cli import cli, main\n"
        "def wait():\n"
        "    threading.Thread(target=time.sleep, args=(600,)).start()\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "    time.sleep(600)\n"
        "cli.command('wait')(wait); main(['wait'])"
    )
    ended = subprocess.run(
        [CKA[0], "-c", program], cwd=folder, env=child_environment(), capture_output=True, timeout=300, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, b"", b"Interrupted: nothing was written\n")


def on_a_terminal(arguments, folder, *, terminal="stdout", columns=80, **environment):
    """Run `cka` with standard output or standard error on a terminal of its own: (status, seen there, the other)."""
    screen, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    seen = b""
    with tempfile.TemporaryFile() as other:
        streams = {"stdout": other, "stderr": other} | {terminal: side}
        child = subprocess.Popen(
            [*CKA, *arguments], cwd=folder, env=child_environment(**{"TERM": "xterm-256color"} | environment),
            stdin=subprocess.DEVNULL, **streams,
        )  # fmt: skip
        os.close(side)
        with contextlib.suppress(OSError):  # EIO: the child has closed its side
            while select.select([screen], [], [], 300)[0] and (part := os.read(screen, 65536)):
                seen += part
        os.close(screen)
        status = child.wait(300)
        other.seek(0)
        return status, seen.replace(b"\r\n", b"\n").decode(), other.read().decode()


def test_a_terminal_shows_a_table_in_colour(folder):
    status, screen, err = on_a_terminal(["compare", "a.h5"], folder)
    assert (status, err) == (0, "")
    assert "\x1b[1;" in screen
    assert "48;2;" in screen
    assert "1.000*" in screen
    assert "[/x]" in screen


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_without_colour(folder, environment):
    screen = on_a_terminal(["compare", "a.h5"], folder, **environment)[1]
    assert "1.000*" in screen
    assert "\x1b" not in screen


def test_a_table_is_as_wide_as_its_terminal(folder):
    narrow = on_a_terminal(["compare", "many.h5"], folder, columns=50, NO_COLOR="1")[1]
    rows = [line for line in narrow.splitlines() if line.startswith(" conv")]
    assert max(map(len, rows)) <= 50
    assert len(rows) == 60  # the best of each row, where the matrix would take pages
    assert "--format csv" in narrow


def test_a_terminal_may_be_asked_for_csv(folder):
    status, screen, _ = on_a_terminal(["compare", "a.h5", "--format", "csv"], folder)
    assert (status, screen.splitlines()[0]) == (0, "x_file,x_layer,y_file,y_layer,measure,kernel,n_examples,value")


@pytest.mark.parametrize("typed", ["compare", "compare --format json", "inspect", "match", "diagnose"])
def test_text_for_programs_moves_no_cursor_either(tmp_path, typed):
    names = ("a\x1b[31mred", "b\u202eevil")
    write_hdf5(tmp_path / "x.h5", {name: values(30, 4, seed=seed) for seed, name in enumerate(names)})
    command, *options = typed.split()
    options = options or ["--format", "csv"]
    status, screen, err = on_a_terminal([command, "x.h5", *options, "-q"], tmp_path)
    assert (status, err) == (0, "")
    assert "\x1b" not in screen
    assert "\u202e" not in screen
    assert (r"a\u001b[31mred" if "json" in typed else r"a\x1b[31mred") in screen
    piped = run_child([command, "x.h5", *options, "-q"], cwd=tmp_path)
    assert "\u202e" in piped.out.decode()


def test_other_commands_show_tables_on_a_terminal(folder):
    assert "5  float32" in on_a_terminal(["inspect", "a.h5"], folder)[1]
    assert "cka  (measure)" in on_a_terminal(["measures"], folder)[1]


def test_a_picture_is_not_for_a_terminal(folder):
    status, screen, err = on_a_terminal(["heatmap", "a.h5"], folder)
    line = "Error: standard output: is a terminal, which shows no picture; give -o FILE.png, or a pipe\n"
    assert (status, screen, err) == (2, "", line)


def test_progress_is_for_a_terminal_only(folder):
    status, screen, out = on_a_terminal(["compare", "a.h5"], folder, terminal="stderr")
    assert (status, out.splitlines()[0][:7]) == (0, "x_file,")
    assert re.search(r"\d+%", screen)
    assert screen.count("\x1b[?25h") == 1
    assert on_a_terminal(["compare", "a.h5", "-q"], folder, terminal="stderr")[1] == ""
    ended = run_child(["compare", "a.h5"], cwd=folder)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.decode() == out


def test_an_error_on_a_terminal_comes_after_the_bar(folder, tmp_path):
    holes = values(30, 5)
    holes[3] = float("nan")
    write_hdf5(tmp_path / "nan.h5", {"conv1": values(30, 5), "conv2": holes})
    status, screen, out = on_a_terminal(["compare", "nan.h5"], tmp_path, terminal="stderr")
    assert (status, out) == (1, "")
    assert re.search(r"(^|\n|\x1b\[2K)Error: nan.h5::conv2: 5 values are not finite .*\n$", screen)
    assert "Traceback" not in screen
