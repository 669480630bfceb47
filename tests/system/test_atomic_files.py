import io
import os
import stat
import sys
import threading

import pytest

from cka_cli.errors import DataError, UsageError
from cka_cli.system import atomic_files
from cka_cli.system.atomic_files import check_output, replace_file, write_output
from tests.small_files import state


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "out.csv"
    path.write_bytes(b"old")
    return path


def test_a_new_file_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_output(str(tmp_path / "out.csv"), b"new", force=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o640
    assert state(tmp_path).keys() == {"out.csv"}


def test_an_existing_file_is_replaced_only_with_force(old, tmp_path):
    for attempt in (check_output, lambda path, force: write_output(path, b"new", force=force)):
        with pytest.raises(DataError, match=r"exists already; give --force to replace it, or another --output$"):
            attempt(str(old), force=False)
    assert old.read_bytes() == b"old"
    check_output(str(old), force=True)
    write_output(str(old), b"new", force=True)
    assert old.read_bytes() == b"new"
    assert state(tmp_path).keys() == {"out.csv"}


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_force_keeps_the_permissions(old, mode):
    old.chmod(mode)
    write_output(str(old), b"new", force=True)
    assert stat.S_IMODE(old.stat().st_mode) == mode


def test_a_file_that_appears_meanwhile_is_refused(tmp_path):
    path = tmp_path / "out.csv"
    check_output(str(path), force=False)
    path.write_bytes(b"from another run")
    with pytest.raises(DataError, match="exists already"):
        write_output(str(path), b"new", force=False)
    assert path.read_bytes() == b"from another run"
    assert state(tmp_path).keys() == {"out.csv"}


def fail(*arguments):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace", "link"])
def test_a_failure_at_any_step_changes_nothing(old, tmp_path, monkeypatch, step):
    monkeypatch.setattr(atomic_files.os, "link", fail)  # without links the file is put in place by its name
    monkeypatch.setattr(atomic_files.os, step, fail)
    before = state(tmp_path)
    if step == "link":  # a file system without links
        write_output(str(tmp_path / "new.csv"), b"new", force=False)
        assert state(tmp_path).keys() == {"out.csv", "new.csv"}
        with pytest.raises(DataError, match="exists already"):
            write_output(str(old), b"new", force=False)
        return
    for path in (old, tmp_path / "new.csv"):
        with pytest.raises(DataError) as raised:
            write_output(str(path), b"new", force=True)
        assert str(raised.value) == f"{path}: cannot be written (No space left on device); nothing was changed"
    assert state(tmp_path) == before


def test_an_interrupt_leaves_nothing_behind(old, tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic_files.os, "fsync", interrupt)
    before = state(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write_output(str(old), b"new", force=True)
    assert state(tmp_path) == before


def test_what_a_killed_run_left_is_in_nobodys_way(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_files.os, "getpid", lambda: 7)
    for name in (".cka-7.tmp", ".cka-.tmp"):
        (tmp_path / name).write_bytes(b"left")
    write_output(str(tmp_path / "out.csv"), b"new", force=False)
    assert (tmp_path / "out.csv").read_bytes() == b"new"


@pytest.mark.parametrize("force", [False, True])
def test_a_symbolic_link_stays_one(tmp_path, force):
    (tmp_path / "data").mkdir()
    target, link = tmp_path / "data" / "out.csv", tmp_path / "link.csv"
    link.symlink_to("data/out.csv")
    if force:
        target.write_bytes(b"old")
    check_output(str(link), force=force)
    write_output(str(link), b"new", force=force)
    assert os.readlink(link) == "data/out.csv"
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["out.csv"]


def test_a_link_into_no_folder_is_refused_before_any_work(tmp_path):
    (tmp_path / "link.csv").symlink_to("nowhere/out.csv")
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        check_output(str(tmp_path / "link.csv"), force=False)


def test_devices_take_results_without_force():
    check_output("/dev/null", force=False)
    write_output("/dev/null", b"new", force=False)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_device_is_an_error():
    with pytest.raises(DataError, match=r"^/dev/full: cannot be written \(No space left on device\)"):
        write_output("/dev/full", b"new", force=False)


def test_a_pipe_takes_a_result(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    check_output(str(pipe), force=False)
    write_output(str(pipe), b"new", force=False)
    reader.join(10)
    assert read == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_an_open_pipe_is_written_by_its_descriptor():
    reading, writing = os.pipe()
    try:
        check_output(f"/dev/fd/{writing}", force=False)
        write_output(f"/dev/fd/{writing}", b"new", force=False)
        assert os.read(reading, 10) == b"new"
    finally:
        os.close(reading)
        os.close(writing)


def test_a_reader_that_left_is_a_broken_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with pytest.raises(BrokenPipeError):
            write_output(f"/dev/fd/{writing}", b"new", force=False)
    finally:
        os.close(writing)


def test_standard_output_takes_bytes_as_they_are(capsysbinary):
    check_output("-", force=False)
    write_output("-", b"\x89PNG\r\n\xff", force=False)
    assert capsysbinary.readouterr().out == b"\x89PNG\r\n\xff"


class FailingStream(io.RawIOBase):
    def __init__(self, error):
        self.error = error

    def writable(self):
        return True

    def write(self, data):
        raise self.error


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (OSError(28, "No space left on device"), DataError, "standard output: cannot be written (No space left on device); give --output PATH"),  # noqa: E501
        (OSError(9, "Bad file descriptor"), DataError, "standard output: cannot be written (it is closed); give --output PATH"),  # noqa: E501
        (BrokenPipeError(32, "Broken pipe"), BrokenPipeError, "[Errno 32] Broken pipe"),
    ],
)  # fmt: skip
def test_standard_output_that_fails(monkeypatch, error, expected, words):
    stream = io.TextIOWrapper(FailingStream(error), write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(expected) as raised:
        write_output("-", b"new", force=False)
    assert str(raised.value) == words


def test_an_input_is_never_an_output(old, tmp_path):
    (tmp_path / "link.csv").symlink_to(old)
    os.link(old, tmp_path / "twin.csv")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "conv1.npy").write_bytes(b"array")
    (tmp_path / "folder" / "notes.csv").write_bytes(b"notes")
    for output, source in [
        (old, old), (tmp_path / "link.csv", old), (old, tmp_path / "link.csv"), (tmp_path / "twin.csv", old),
        (old, f"{old}::conv*"), (tmp_path / "folder" / "conv1.npy", tmp_path / "folder"),
        (tmp_path / "folder" / "conv1.npy", f"{tmp_path / 'folder'}::conv1"),
    ]:  # fmt: skip
        with pytest.raises(UsageError, match=r"is also an input; give another --output$"):
            check_output(str(output), force=True, inputs=["/no/such", str(source)])
    check_output(str(tmp_path / "folder" / "notes.csv"), force=True, inputs=[str(tmp_path / "folder")])
    check_output(str(tmp_path / "folder" / "new.csv"), force=False, inputs=[str(tmp_path / "folder")])


def test_a_name_no_file_can_have(tmp_path):
    for name in ("a" * 300, "a\0b"):
        with pytest.raises(DataError, match="cannot be written"):
            check_output(str(tmp_path / name), force=False)


@pytest.mark.parametrize("force", [True, False])
def test_of_several_runs_that_write_one_file_at_once_one_wins_whole(tmp_path, force):
    path, refused, barrier = tmp_path / "out.csv", [], threading.Barrier(8)
    contents = [bytes([number]) * 300_000 for number in range(8)]

    def write(content):
        barrier.wait()
        try:
            write_output(str(path), content, force=force)
        except DataError as error:
            refused.append(str(error))

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_bytes() in contents
    assert refused == [] if force else [f"{path}: exists already; give --force to replace it, or another --output"] * 7
    assert state(tmp_path).keys() == {"out.csv"}


def test_what_a_killed_process_of_the_same_number_left_is_written_anew(tmp_path):
    beside = tmp_path / ".run.ckpt.1.part"  # in a container every run may have the number 1
    beside.write_bytes(b"half")
    replace_file(str(tmp_path / "run.ckpt"), lambda stream: stream.write(b"new"), beside=str(beside))
    assert state(tmp_path).keys() == {"run.ckpt"}
    assert (tmp_path / "run.ckpt").read_bytes() == b"new"


def test_what_cannot_be_removed_hides_no_other_error(old, tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_files.os, "fsync", fail)
    monkeypatch.setattr(atomic_files.os, "unlink", fail)
    with pytest.raises(DataError, match="No space left on device"):
        write_output(str(old), b"new", force=True)
    atomic_files.remove_unfinished()
    assert old.read_bytes() == b"old"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_force_keeps_the_owner(old):
    os.chown(old, 12, 34)
    old.chmod(0o640)
    write_output(str(old), b"new", force=True)
    assert (old.stat().st_uid, old.stat().st_gid, stat.S_IMODE(old.stat().st_mode)) == (12, 34, 0o640)
