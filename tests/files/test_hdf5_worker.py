"""The child process in which the HDF5 library unpacks values."""

import io
import os
import threading

import h5py
import numpy as np
import pytest

from cka_cli.files import sandbox
from cka_cli.files.sandbox import Child, fork


class HeldUp(io.BytesIO):
    """A file that HDF5 reads from, and waits for once it is told to be slow."""

    is_slow = False

    def __init__(self):
        super().__init__()
        self.is_reading, self.goes_on = threading.Event(), threading.Event()

    def readinto(self, out):
        if self.is_slow:
            self.is_reading.set()
            assert self.goes_on.wait(60)
        return super().readinto(out)


def test_no_child_is_made_while_another_thread_is_within_the_library():
    file = HeldUp()
    with h5py.File(file, "w") as saved:
        saved["conv1"] = np.arange(12.0).reshape(4, 3)
    dataset, found, forked = h5py.File(file, "r")["conv1"], [], threading.Event()

    def read():
        found.append(dataset[:])

    def make_child():
        if (child := fork()) == 0:
            os._exit(0)
        forked.set()
        os.waitpid(child, 0)

    file.is_slow = True
    threads = [threading.Thread(target=work) for work in (read, make_child)]
    threads[0].start()
    assert file.is_reading.wait(60)
    threads[1].start()
    assert not forked.wait(0.2)  # h5py's doing, by os.register_at_fork: `hdf5_worker` relies on it
    file.goes_on.set()
    for thread in threads:
        thread.join(60)
    assert forked.is_set()
    np.testing.assert_array_equal(found[0], np.arange(12.0).reshape(4, 3))


def test_a_child_does_not_hold_the_pipes_of_another_that_is_made_at_the_same_time(monkeypatch):
    others, told = [], []
    other = threading.Thread(target=lambda: others.append(Child(lambda asked, answers: asked.read())))

    def fork_beside_another():
        monkeypatch.undo()
        other.start()
        other.join(0.2)  # which is long enough where nothing keeps it waiting
        return fork()

    monkeypatch.setattr(sandbox, "fork", fork_beside_another)
    child = Child(lambda asked, answers: answers.write(b"done") and answers.flush())
    reading = threading.Thread(target=lambda: told.append(child.answers.read()), daemon=True)
    reading.start()
    reading.join(20)
    assert told == [b"done"]
    assert child.end() == 0
    other.join(60)
    assert others


@pytest.mark.parametrize("error", [OSError, AttributeError])
def test_where_no_child_can_be_had_nothing_is_left_open(monkeypatch, error):
    def refuse():
        raise error

    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    monkeypatch.setattr(sandbox, "fork", refuse)
    for _ in range(3):
        assert sandbox.tried(dict, 1, 1) == {}
    assert len(os.listdir("/proc/self/fd") if before else []) == len(before)
