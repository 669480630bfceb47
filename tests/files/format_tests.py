"""What holds of every format: a new one is tested by a class that inherits these tests and says how it is written.

    class TestNpz(FormatTests):
        format = "NPZ"
        suffix = ".npz"

        def write(self, path, layers):
            np.savez(path, **layers)

A format that saves one array only, or some dtypes only, says so by `holds_several` and `dtypes`.
"""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cka_cli import compare
from cka_cli.errors import DataError, UsageError
from cka_cli.execution.checkpoint import facts_of_file
from cka_cli.files import open_file, registry
from cka_cli.files.layer import refusal
from cka_cli.system.atomic_files import check_output
from tests.small_files import values

DTYPES = ("f2", "f4", "f8", ">f4", ">f8", "g", "?", "i1", "i2", "i4", "i8", ">i4", "u1", "u2", "u4", "u8")
RUNS = [(0, 40), (5, 5), (30, 40), (3, 9), (9, 12), (0, 1), (20, 21)]
PARTS = [slice(None), slice(0, 2), slice(2, 6), slice(5, 6)]


def of_dtype(dtype):
    if np.dtype(dtype).kind == "u":
        return (np.abs(values(7, 3, 2)) * 20).astype(dtype)
    return (values(7, 3, 2) * (20 if np.dtype(dtype).kind == "i" else 1)).astype(dtype)


class FormatTests:
    """Tests of one format. format : the name of its row. suffix : how the names of its files end."""

    format: str
    suffix = ""
    dtypes = DTYPES
    holds_several = True

    def write(self, path, layers):
        """Save arrays by name; where there is one only it is `conv1`."""
        raise NotImplementedError

    @pytest.fixture
    def save(self, tmp_path):
        def save(name="conv1", **layers):
            path = tmp_path / f"{name}{self.suffix}"
            self.write(path, layers)
            return str(path)

        return save

    @pytest.fixture
    def save_one(self, save):
        return lambda array, name="conv1": save(name, conv1=array)

    def on_disk(self, path):
        """The files that a file or folder is made of; the last member holds values."""
        return [each for each in [Path(path), *Path(path).rglob("*")] if each.is_file()]

    @property
    def row(self):
        (row,) = (row for row in registry.FORMATS if row.name == self.format)
        return row

    def test_a_row_says_what_it_is(self, save_one):
        path = save_one(values(7, 3))
        assert open_file(path).format == self.format
        assert registry.begins_as_activations(path)
        assert self.row.is_folder == Path(path).is_dir()
        assert self.row.is_folder or self.suffix in self.row.endings

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_a_dtype_comes_back(self, save_one, dtype):
        if dtype not in self.dtypes:
            pytest.skip("no such values in this format")
        array = of_dtype(dtype)
        (layer,) = open_file(save_one(array)).layers
        assert (layer.name, layer.shape, layer.dtype) == ("conv1", array.shape, array.dtype)
        assert layer.n_bytes == array.nbytes
        np.testing.assert_array_equal(layer.read(0, 7), array)
        np.testing.assert_array_equal(layer.read(2, 5), array[2:5])

    @pytest.mark.parametrize("shape", [(0, 3), (1, 1), (9, 0), (3, 2, 2, 2)])
    def test_a_shape_comes_back(self, save_one, shape):
        (layer,) = open_file(save_one(values(*shape))).layers
        np.testing.assert_array_equal(layer.read(0, shape[0]), values(*shape))

    @pytest.mark.parametrize("order", ["C", "F"])
    def test_rows_come_in_any_order_of_reading(self, save_one, order):
        array = np.asarray(values(40, 3, 4), order=order)
        (layer,) = open_file(save_one(array)).layers
        for start, stop in RUNS:
            np.testing.assert_array_equal(layer.read(start, stop), array[start:stop])

    @pytest.mark.parametrize("order", ["C", "F"])
    def test_a_part_of_the_second_axis_is_read_alone(self, save_one, order):
        array = np.asarray(values(40, 6, 4), order=order)
        (layer,) = open_file(save_one(array)).layers
        for part in PARTS:
            np.testing.assert_array_equal(layer.read(3, 11, part), array[3:11, part])

    def test_threads_read_at_once(self, save_one):
        array = values(400, 6)
        (layer,) = open_file(save_one(array)).layers
        with ThreadPoolExecutor(4) as threads:
            for rows in threads.map(lambda start: (start, layer.read(start, start + 10)), range(0, 400, 10)):
                np.testing.assert_array_equal(rows[1], array[rows[0] : rows[0] + 10])

    @pytest.mark.parametrize("n_read", [0, 9])
    def test_a_layer_goes_to_another_process(self, save_one, n_read):
        array = values(40, 6)
        (layer,) = open_file(save_one(array)).layers
        layer.read(0, n_read)
        again = pickle.loads(pickle.dumps(layer))
        assert (again.label, again.shape, again.dtype) == (layer.label, layer.shape, layer.dtype)
        for start, stop in RUNS:
            np.testing.assert_array_equal(again.read(start, stop), array[start:stop])

    def test_a_file_is_known_by_its_bytes_not_its_name(self, save_one):
        wrong = Path(save_one(values(7, 3))).rename(Path(save_one(values(7, 3), "x")).parent / "activations.txt")
        (layer,) = open_file(str(wrong)).layers
        np.testing.assert_array_equal(layer.read(0, 7), values(7, 3))

    def test_layers_and_what_has_one_axis_stand_apart(self, save):
        if not self.holds_several:
            (vector,) = open_file(save(conv1=np.arange(7))).vectors
            np.testing.assert_array_equal(vector.read(0, 7), np.arange(7))
            return
        file = open_file(save(conv1=values(7, 3), conv2=values(7, 4), ids=np.arange(7)))
        assert [layer.name for layer in file.layers] == ["conv1", "conv2"]
        assert [vector.name for vector in file.vectors] == ["ids"]
        assert all(refusal(each.dtype) is None for each in (*file.layers, *file.vectors))

    def test_integers_named_as_ids_are_stand_beside_the_layers(self, save):
        if not self.holds_several:
            assert [vector.name for vector in open_file(save("mask", mask=np.ones((7, 3), int))).vectors] == ["mask"]
            return
        named = {"token_ids": np.ones((7, 3), int), "attention_mask": np.ones((7, 3, 2), int)}
        file = open_file(save(conv1=np.ones((7, 3), int), **named, mask=values(7, 3), ids=np.ones((7, 1), int)))
        assert [layer.name for layer in file.layers] == ["conv1", "mask"]
        assert sorted(vector.name for vector in file.vectors) == ["attention_mask", "ids", "token_ids"]

    def test_members_are_all_that_a_report_and_a_checkpoint_look_at(self, save_one):
        path = save_one(values(7, 3))
        files = registry.members(path)
        on_disk = self.on_disk(path)
        assert sorted(map(Path, files)) == sorted(on_disk)
        assert compare(path).files[0].size_bytes == sum(each.stat().st_size for each in on_disk)
        before = facts_of_file(path)
        with open(files[-1], "r+b") as stream:
            stream.seek(-1, 2)
            last = stream.read(1)
            stream.seek(-1, 2)
            stream.write(bytes([last[0] ^ 1]))
        assert facts_of_file(path) != before

    def test_no_result_takes_the_place_of_a_member(self, save_one):
        path = save_one(values(7, 3))
        for member in registry.members(path):
            with pytest.raises(UsageError, match=r"is also an input; give another --output$"):
                check_output(member, force=True, inputs=["other.h5", f"{path}::conv*"])

    def test_a_file_that_changes_is_refused(self, save_one):
        path = save_one(values(40, 6))
        (layer,) = open_file(path).layers
        member = Path(registry.members(path)[-1])
        member.write_bytes(member.read_bytes() + b"more")
        with pytest.raises(DataError, match=rf"^{path}::conv1: changed while it was read( \(\w+\))?; wait until"):
            layer.read(0, 40)

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
    def test_a_file_that_was_cut_is_one_line_or_its_values(self, save_one, share):
        array = values(40, 6)
        path = save_one(array)
        member = Path(registry.members(path)[-1])
        member.write_bytes(member.read_bytes()[: int(share * member.stat().st_size)])
        try:
            file = open_file(path)
            rows = [layer.read(0, 40) for layer in file.layers]
        except DataError as error:
            said = str(error)
            assert said.startswith(path)
            assert "; " in said
            assert "\n" not in said
            return
        assert [*file.refused.values(), *rows]
        for found in rows:
            np.testing.assert_array_equal(found, array)
