"""The child process in which the HDF5 library unpacks values."""

import io
import os
import threading

import h5py
import numpy as np

from cka_cli.files.sandbox import fork


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
