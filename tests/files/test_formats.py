"""Every format passes the tests of `FormatTests`, however its files were written; and the rows of the table."""

import json
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
import pytest

from cka_cli.errors import DataError
from cka_cli.files import open_file, registry
from tests.files.arrow_files import saved_dataset, table_of, write_arrow, write_parquet
from tests.files.format_tests import DTYPES, FormatTests
from tests.small_files import safetensors_bytes, values, write_folder, write_hdf5, write_zarr
from tests.torch_files import tensor as as_tensor
from tests.torch_files import torch_bytes, write_torch


class TestNpy(FormatTests):
    format, suffix, holds_several = "NPY", ".npy", False

    def write(self, path, layers):
        np.save(path, *layers.values())


class TestNpz(FormatTests):
    format, suffix = "NPZ", ".npz"

    def write(self, path, layers):
        np.savez(path, **layers)


class TestCompressedNpz(TestNpz):
    def write(self, path, layers):
        np.savez_compressed(path, **layers)


class TestSafetensors(FormatTests):
    format, suffix = "safetensors", ".safetensors"
    dtypes = ("f2", "f4", "f8", "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")

    def write(self, path, layers):
        path.write_bytes(safetensors_bytes(layers))


class TestSafetensorsOfMlx(TestSafetensors):
    """Of a header that leaves values at any place."""

    def write(self, path, layers):
        data = safetensors_bytes(layers, metadata={"format": "mlx"})
        end = 8 + int.from_bytes(data[:8], "little")
        path.write_bytes((end - 7).to_bytes(8, "little") + data[8:end] + b" " + data[end:])


class TestTorch(FormatTests):
    format, suffix = "PyTorch", ".pt"
    dtypes = tuple(each for each in DTYPES if each[0] != ">" and each != "g")

    def write(self, path, layers):
        write_torch(path, layers)


class TestTorchOfBigEndians(TestTorch):
    dtypes = (">f4", ">f8", ">i4", "?", "i1", "u1")


class TestTorchOfOneTensor(TestTorch):
    holds_several = False

    def write(self, path, layers):
        (array,) = layers.values()
        path.write_bytes(torch_bytes(as_tensor(array), protocol=4))


class TestFolder(FormatTests):
    format = "folder of NPY"

    def write(self, path, layers):
        write_folder(path, layers)


class TestZarr(FormatTests):
    format, suffix = "Zarr", ".zarr"
    dtypes = tuple(dtype for dtype in DTYPES if dtype != "g" and dtype[0] != ">")  # as zarr writes them

    def write(self, path, layers):
        write_zarr(path, layers)


class TestZarr2(TestZarr):
    dtypes = tuple(dtype for dtype in DTYPES if dtype != "g")

    def write(self, path, layers):
        write_zarr(path, layers, version=2)


class TestPlainZarr2(TestZarr2):
    """In column order, where nothing packs it."""

    def write(self, path, layers):
        write_zarr(path, layers, version=2, order="F", compressors=None)


class TestShardedZarr(TestZarr):
    def write(self, path, layers):
        write_zarr(path, layers, shards=True)


class TestZipOfZarr(TestZarr):
    format, suffix = "zip of Zarr", ".zarr.zip"

    def write(self, path, layers):
        write_zarr(path, layers, shards=True, compressors=None)


class TestMatlab5(FormatTests):
    format, suffix = "MATLAB 5", ".mat"
    dtypes = ("f4", "f8", "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
    is_packed = False

    def write(self, path, layers):
        pytest.importorskip("scipy.io").savemat(path, layers, do_compression=self.is_packed)

    @pytest.mark.parametrize("shape", [(2, 2), (3, 2, 2, 2)])
    def test_a_shape_comes_back(self, save_one, shape):  # not one with 0 or 1: empty, or one axis, in MATLAB
        super().test_a_shape_comes_back(save_one, shape)


class TestPackedMatlab5(TestMatlab5):
    is_packed = True


class TestShards(TestFolder):
    def write(self, path, layers):
        shards = {name: np.array_split(array, [2, 2, 5]) for name, array in layers.items()}
        write_folder(path, {f"{name}_batch{n}": part for name, parts in shards.items() for n, part in enumerate(parts)})


class TestHdf5(FormatTests):
    format, suffix = "HDF5", ".h5"

    def write(self, path, layers):
        write_hdf5(path, layers)


class TestChunkedHdf5(TestHdf5):
    def write(self, path, layers):
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, array in layers.items():
                options = (
                    {"chunks": (min(2, len(array)), *array.shape[1:]), "compression": "gzip", "shuffle": True}
                    if array.size
                    else {}
                )
                file.create_dataset(name, data=array, **options)


class TestHdf5OfTheLibrary(TestHdf5):
    """Of a filter that only the HDF5 library undoes, in a child process."""

    def write(self, path, layers):
        with h5py.File(path, "w") as file:
            for name, array in layers.items():
                file.create_dataset(name, data=array, **({"compression": "lzf"} if array.size else {}))


class TestRaw(FormatTests):
    format, suffix, holds_several = "raw values", ".bin", False

    def write(self, path, layers):
        (array,) = layers.values()
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        path.write_bytes(array.tobytes(order))
        facts = {"shape": array.shape, "dtype": array.dtype.str, "order": order}
        path.with_suffix(".json").write_text(json.dumps(facts))

    def on_disk(self, path):
        return [Path(path).with_suffix(".json"), Path(path)]

    def test_a_file_is_known_by_its_bytes_not_its_name(self, save_one):  # but by the file beside it
        path = Path(save_one(values(7, 3)))
        (layer,) = open_file(str(path.rename(path.with_suffix(".activations")))).layers
        np.testing.assert_array_equal(layer.read(0, 7), values(7, 3))


class ArrowTests(FormatTests):
    dtypes = tuple(dtype for dtype in DTYPES if dtype[0] != ">" and dtype != "g")
    options: ClassVar = {}


class TestParquet(ArrowTests):
    format, suffix = "Parquet", ".parquet"

    def write(self, path, layers):
        write_parquet(path, table_of(layers), **self.options)


class TestUnpackedParquet(TestParquet):
    """Of row groups that are unpacked once, to disk."""

    options: ClassVar = {"row_group_size": 3, "compression": "none", "use_dictionary": False}

    @pytest.fixture(autouse=True)
    def _no_room(self, monkeypatch):
        monkeypatch.setattr("cka_cli.files.arrow.IN_MEMORY_BYTES", 1)


class TestArrow(ArrowTests):
    format, suffix = "Arrow", ".arrow"

    def write(self, path, layers):
        write_arrow(path, table_of(layers), **self.options)


class TestCompressedStream(TestArrow):
    options: ClassVar = {"compression": "lz4", "is_stream": True, "n_rows": 6}


class TestSavedDataset(ArrowTests):
    format = "saved dataset"

    def write(self, path, layers):
        saved_dataset(path, table_of(layers))


def test_every_format_has_its_tests():
    tests = [each for name, each in globals().items() if name.startswith("Test")]
    assert {each.format for each in tests} == {row.name for row in registry.FORMATS}


@pytest.mark.parametrize("row", registry.FORMATS, ids=lambda row: row.name)
def test_a_row_names_functions_that_are_there(row):
    assert callable(registry._function(row.reader))
    assert not row.members or callable(registry._function(row.members))
    assert row.members or not row.is_folder


def test_what_a_format_needs_is_named_where_it_is_not_installed(tmp_path, monkeypatch):
    row = registry.Format("toy", "absent.toy:open_toy", (b"toy!",), (".toy",), extra="toys")
    monkeypatch.setattr(registry, "FORMATS", [*registry.FORMATS, row])
    (tmp_path / "a.toy").write_bytes(b"toy!" + bytes(40))
    with pytest.raises(DataError, match=r"a\.toy: is toy, which needs a package that is not installed \(cka_cli\.files"
                                        r"\.absent\); pip install 'cka-cli\[toys\]'$"):  # fmt: skip
        open_file(str(tmp_path / "a.toy"))
    (tmp_path / "b.toy").write_bytes(b"to")
    with pytest.raises(DataError, match=r"b\.toy: is cut short \(2 bytes in all\)"):
        open_file(str(tmp_path / "b.toy"))
    (tmp_path / "c.txt").write_bytes(b"text")
    with pytest.raises(DataError, match=r"is not .*HDF5, .*toy"):
        open_file(str(tmp_path / "c.txt"))
    write_folder(tmp_path / "folder", {"conv1": values(7, 3)})
    (tmp_path / "folder" / "a.toy").write_bytes(b"")
    assert open_file(str(tmp_path / "folder")).notes[0].endswith("so not a.toy; give other files by themselves")


def test_a_fault_of_ours_is_not_taken_for_a_package_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "FORMATS", [registry.Format("toy", "absent:open_toy", (b"toy!",))])
    (tmp_path / "a.toy").write_bytes(b"toy!")
    with pytest.raises(ImportError):
        open_file(str(tmp_path / "a.toy"))


def test_of_what_is_no_activation_file_the_only_member_is_itself(tmp_path):
    (tmp_path / "report.csv").write_text("layer,a\na,1\n")
    for path in (tmp_path / "report.csv", tmp_path / "missing"):
        assert registry.members(str(path)) == [str(path)]
