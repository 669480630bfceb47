"""The fuzzer of `make fuzz`: its cases can be repeated, it sees what it looks for, and a few of them are run."""

import gc
import itertools
import os
import pickle
import random
import signal
import sys

import h5py
import numpy as np
import pytest

from cka_cli.errors import DataError
from cka_cli.files import hdf5_worker, open_file, sandbox
from cka_cli.files.sandbox import tried
from tests.fuzz import corpus, mutations
from tests.fuzz.__main__ import Tally, Worker
from tests.fuzz.worker import case, judge, sound_files

MIB = 1 << 20
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="watches files and memory as Linux tells")


def test_a_case_is_the_same_again():
    sound = sound_files("")
    cases = [case(1, number, sound)[:2] for number in range(60)]
    assert cases == [case(1, number, sound)[:2] for number in range(60)]
    assert len({data for _, data in cases}) > 50
    assert cases != [case(2, number, sound)[:2] for number in range(60)]


def test_checksums_of_hdf5_are_those_of_the_library():
    latest = {name: data for name, data in corpus.corpus().items() if name.endswith("-latest.h5")}
    for name, data in latest.items():
        assert mutations.with_checksums(data) == data, name
        place = data.index(b"OHDR") + 9
        spoilt = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        assert mutations.with_checksums(spoilt) != spoilt


@pytest.mark.parametrize(
    "mutate",
    [
        *mutations._GENERIC,
        *mutations._HDF5,
        *mutations._NPY,
        *mutations._ZIP,
        *mutations._SAFETENSORS,
        *mutations._TORCH,
        *mutations._RAW,
        *mutations._TEXT,
        mutations.edit_zarr_member,
    ],
)
def test_every_mutation_takes_every_file(mutate):
    others = list(corpus.corpus().values())
    for number, data in enumerate([*others, b"", b"x"]):
        assert isinstance(mutate(data, others, random.Random(number)), bytes)


@pytest.mark.parametrize(
    ("ended", "wrong"),
    [
        ((0, b"x", "", 1, 0, set()), None),
        ((1, b"", "Error: x: is wrong\n", 1, 0, set()), None),
        ((0, b"x", "Note: x\n", 1, 0, set()), None),
        ((0, b"", "", 1, 0, set()), "status 0"),
        ((0, b"x", "RuntimeWarning: x\n", 1, 0, set()), "status 0"),
        ((1, b"", "Traceback\nError: x\n", 1, 0, set()), "status 1"),
        ((1, b"x", "Error: x\n", 1, 0, set()), "status 1"),
        ((139, b"", "", 1, 0, set()), "status 139"),
        (("ValueError: x", b"", "", 1, 0, set()), "exception: ValueError"),
        ((1, b"", "Error: out of memory; use fewer layers\n", 1, 0, set()), "out of memory"),
        ((0, b"x", "", 1, 1 << 30, set()), "took 1024 MiB"),
        ((0, b"x", "", 11, 0, set()), "took 11.0 s"),
        ((0, b"x", "", 1, 0, {"other.h5"}), "touched"),
    ],
)
def test_what_is_wrong_with_an_end_is_seen(ended, wrong):
    found = judge(*ended)
    assert found is None if wrong is None else found.startswith(wrong)


def test_a_few_mutated_files():
    worker, tally = Worker(20, "", None), Tally()
    try:
        for number in range(24):
            tally.add(worker.run(number))
    finally:
        worker.close()
    assert tally.failures == []
    assert tally.n_cases == 24


# --- the child that reads headers first


def test_work_that_ends_gives_what_it_gives():
    assert tried(lambda: {"a": "b"}, 5, MIB) == {"a": "b"}
    with pytest.raises(OSError, match="division by zero"):
        tried(lambda: {"a": 1 / 0}, 5, MIB)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_work_that_ends_the_process_is_told_of(number):
    with pytest.raises(OSError, match=f"the HDF5 library failed with {number.name}"):
        tried(lambda: os.kill(os.getpid(), number), 5, MIB)


def test_work_without_end_is_ended():
    def compute():
        while True:
            pass

    with pytest.raises(OSError, match="the HDF5 library came to no end"):
        tried(compute, 1, MIB)


def test_work_that_takes_all_memory_is_ended():
    def take():
        return {"bytes": str(len(bytes(1 << 28)))}

    assert tried(take, 5, 1 << 30) == {"bytes": str(1 << 28)}
    with pytest.raises(OSError, match="what it says of itself takes more than 64 MiB"):
        tried(take, 5, 64 * MIB)


def test_a_file_that_the_library_does_not_survive_is_one_line(tmp_path, monkeypatch):
    from cka_cli.files import hdf5

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = [[1.0]]
    monkeypatch.setattr(hdf5, "_arrays", lambda *_: os.kill(os.getpid(), signal.SIGSEGV))
    with pytest.raises(DataError, match=r"x\.h5: is not a readable HDF5 file \(the HDF5 library failed with SIGSEGV\)"):
        open_file(str(tmp_path / "x.h5"))


def test_what_failed_in_the_child_is_not_tried_again(tmp_path, monkeypatch):
    from cka_cli.files import hdf5

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"], file["b"] = [[1.0]], [[2.0]]
    parent, foreign = os.getpid(), hdf5._foreign

    def fails_in_the_child(dataset):
        assert os.getpid() != parent or dataset.name == "/a"
        if dataset.name == "/b":
            raise ValueError("no such thing")
        return foreign(dataset)

    monkeypatch.setattr(hdf5, "_foreign", fails_in_the_child)
    file = open_file(str(tmp_path / "x.h5"))
    assert [layer.name for layer in file.layers] == ["a"]
    assert file.refused == {"b": "cannot be read (no such thing)"}


def test_without_a_child_it_must_go_without(monkeypatch):
    monkeypatch.delattr(sandbox.os, "fork")
    assert tried(os.abort, 5, MIB) == {}


# --- the child that unpacks what only the library can


@pytest.fixture
def packed(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", data=corpus.values(40, 6), chunks=(8, 6), compression="lzf")
        file.create_dataset("b", data=corpus.values(40, 6), chunks=(8, 6), fletcher32=True)
        file["ids"] = [f"é{number}" for number in range(24)]
    return str(tmp_path / "x.h5")


def arrays_of(path):
    file = open_file(path)
    return {array.name: array for array in (*file.layers, *file.vectors)}


def test_what_the_library_unpacks_is_what_was_saved(packed):
    arrays = arrays_of(packed)
    for name in "ab":
        np.testing.assert_array_equal(arrays[name].read(3, 29, slice(2, 5)), corpus.values(40, 6)[3:29, 2:5])
    assert arrays["ids"].read(0, 40).tolist() == [f"é{number}".encode() for number in range(24)]


def test_a_layer_that_the_library_unpacks_can_go_to_another_process(packed):
    layer = arrays_of(packed)["a"]
    layer.read(0, 1)
    again = pickle.loads(pickle.dumps(layer))
    np.testing.assert_array_equal(again.read(0, 40), corpus.values(40, 6))


@pytest.mark.parametrize(
    ("ends", "line"),
    [
        (lambda *_, **__: os.kill(os.getpid(), signal.SIGSEGV), "the HDF5 library failed with SIGSEGV"),
        (lambda *_, **__: len(bytes(1 << 30)), "MemoryError"),
        (lambda *_, **__: 1 / 0, "division by zero"),
        (lambda *_, **__: [None for _ in itertools.count() if not True], "the HDF5 library came to no end"),
    ],
)
def test_what_the_library_does_not_survive_is_one_line(packed, monkeypatch, ends, line):
    monkeypatch.setattr(hdf5_worker, "_LEAST_SECONDS", 0)
    monkeypatch.setattr(hdf5_worker, "_read", ends)
    arrays = arrays_of(packed)
    with pytest.raises(DataError, match=rf"x\.h5::a: cannot be read \({line}\); the file may be damaged"):
        arrays["a"].read(0, 40)
    monkeypatch.undo()
    fresh = arrays_of(packed)
    np.testing.assert_array_equal(fresh["a"].read(0, 40), corpus.values(40, 6))


def test_a_child_ends_with_the_file(packed):
    arrays = arrays_of(packed)
    arrays["a"].read(0, 1)
    number = arrays["a"].read_rows._library._child._number
    os.kill(number, 0)
    del arrays
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_without_a_child_the_library_is_asked_here(packed, monkeypatch):
    monkeypatch.delattr(sandbox.os, "fork")
    np.testing.assert_array_equal(arrays_of(packed)["a"].read(0, 40), corpus.values(40, 6))
