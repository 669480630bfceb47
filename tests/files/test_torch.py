"""Files of torch.save: nested containers, views, and descriptions that are programs, of which none is ever run."""

import os
import pickle
import re
import struct
import tracemalloc
import zipfile
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest

from cka_cli.errors import DataError
from cka_cli.files import open_file
from tests.cli.command import run_here
from tests.small_files import values
from tests.torch_files import Made, Named, Stored, View, archive_bytes, stored, tensor, torch_bytes, without_sums

# ruff: noqa: E501 - a line of a table is a file and the line that a user sees

X = values(24, 6, 4)
REBUILD = Named("torch._utils", "_rebuild_tensor_v2")


def opened(tmp_path, value, **options):
    (tmp_path / "x.pt").write_bytes(torch_bytes(value, **options))
    return open_file(str(tmp_path / "x.pt"))


def arrays_of(file):
    return {array.name: array.read(0, array.shape[0]) for array in (*file.layers, *file.vectors)}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_keys_and_places_are_joined_by_dots(tmp_path, protocol):
    model = Made(Named("collections", "OrderedDict"), (), {"_metadata": {"": {"version": 1}}}, {"w": tensor(X[0])})
    value = {
        "model": model,
        "blocks": [tensor(X[1]), (tensor(X[2]), {"q": tensor(X[3])})],
        7: {(0, "k"): tensor(X[4]), None: tensor(X[4])},
        "hooks": defaultdict(list, {"a": [tensor(X[5])]}),
        "epoch": 3, "lr": 0.1, "name": "run é", "none": None, "done": True, "seed": 1 << 62, "bytes": b"abc",
        "milestones": Counter({3: 1}), "labels": [1, 2], "kinds": {1, 2}, "frozen": frozenset("a"), "empty": [],
        "size": Made(Named("torch", "Size"), ((1, 2),)), "device": Made(Named("torch", "device"), ("cuda", 0)),
        "type": Named("torch", "float32"),
        "best": Made(Named("numpy._core.multiarray", "scalar"), (Made(Named("numpy", "dtype"), ("f8", False, True), (3, "<")), b"12345678")),
    }  # fmt: skip
    file = opened(tmp_path, value, protocol=protocol)
    found = arrays_of(file)
    assert list(found) == ["model.w", "blocks.0", "blocks.1.0", "blocks.1.1.q", "7.0.k", "7.None", "hooks.a.0"]
    for array, place in zip(found.values(), (0, 1, 2, 3, 4, 4, 5), strict=True):
        np.testing.assert_array_equal(array, X[place])
    (note,) = file.notes
    assert note.endswith("x.pt: only tensors are read, so not labels, kinds, frozen; save torch.tensor(list)")


def test_parameters_devices_and_tensors_with_attributes(tmp_path):
    no_hooks = OrderedDict()
    parameter = Made(Named("torch._utils", "_rebuild_parameter"), (tensor(X, "cuda:0"), True, no_hooks))
    arguments = (stored(X), 0, (24, 24), (24, 1), False, no_hooks)
    of_class = Made(
        Named("torch._tensor", "_rebuild_from_type_v2"), (REBUILD, Named("torch", "Tensor"), arguments, {"tag": 1})
    )
    found = arrays_of(opened(tmp_path, {"p": parameter, "c": of_class}))
    np.testing.assert_array_equal(found["p"], X)
    np.testing.assert_array_equal(found["c"], X.reshape(24, 24))


VIEWS = {
    "transposed": lambda x: x.T, "axes moved": lambda x: x.transpose(2, 0, 1), "channels last": lambda x: x.transpose(0, 2, 1),
    "every third row": lambda x: x[::3], "every second column": lambda x: x[:, ::2], "some columns": lambda x: x[:, 1:4],
    "later rows": lambda x: x[5:], "one of the last axis": lambda x: x[:, :, 2], "repeated rows": lambda x: np.broadcast_to(x[:1], x.shape),
    "repeated columns": lambda x: np.broadcast_to(x[:, :1], x.shape),
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x.reshape(-1), 8)[::3],
    "all of one value": lambda x: np.broadcast_to(x[3:4, 2:3, 1:2], (9, 3, 2)), "none": lambda x: x[:0], "one": lambda x: x[3:4],
}  # fmt: skip


def view_of(base, array, function="_rebuild_tensor_v2"):
    offset = (array.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // base.itemsize
    return View(stored(base), offset, array.shape, tuple(each // base.itemsize for each in array.strides), function)


def same_for_all_runs(layer, array):
    n_rows, n_second = array.shape[:2]
    for start, stop in ((0, n_rows), (0, min(1, n_rows)), (n_rows // 3, n_rows // 2), (n_rows, n_rows)):
        np.testing.assert_array_equal(layer.read(start, stop), array[start:stop])
        part = slice(n_second // 3, n_second // 2 + 1)
        np.testing.assert_array_equal(layer.read(start, stop, part), array[start:stop, part])


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("window", [1 << 22, 100, 1])
def test_a_view_is_what_it_shows(tmp_path, monkeypatch, name, window):
    monkeypatch.setattr("cka_cli.files.strided.WINDOW_BYTES", window)
    monkeypatch.setattr("cka_cli.files.strided.NEAR_BYTES", min(window, 1 << 14))
    base = values(24, 6, 4)
    array = VIEWS[name](base)
    (layer,) = opened(tmp_path, {"x": view_of(base, array)}).layers
    same_for_all_runs(layer, array)


def test_a_view_of_a_large_storage_takes_little_memory(tmp_path):
    base = values(3000, 1500)
    (layer,) = opened(tmp_path, {"x": view_of(base, base.T)}).layers
    tracemalloc.start()
    try:
        np.testing.assert_array_equal(layer.read(40, 50), base.T[40:50])
        assert tracemalloc.get_traced_memory()[1] < 9_000_000  # all are 18 MB
    finally:
        tracemalloc.stop()
    assert layer.n_first_axis == 1024


@pytest.mark.parametrize("is_big", [False, True])
def test_bfloat16_is_read_as_float32(tmp_path, is_big):
    wide = (values(24, 5).view("u4") >> 16 << 16).view("f4")
    halves = (wide.view("u4") >> 16).astype(">u2" if is_big else "<u2")
    storage = Stored(halves.tobytes(), "BFloat16Storage", halves.size)
    (layer, turned) = opened(
        tmp_path, [View(storage, 0, (24, 5), (5, 1)), View(storage, 0, (5, 24), (1, 5))], is_big=is_big
    ).layers
    assert (layer.dtype, layer.storage, turned.storage) == (
        np.float32,
        "bfloat16, contiguous",
        "bfloat16, strides 1, 5",
    )
    np.testing.assert_array_equal(layer.read(0, 24), wide)
    np.testing.assert_array_equal(turned.read(2, 4, slice(3, 9)), wide.T[2:4, 3:9])


NOT_READ = {
    "sparse": (Made(Named("torch._utils", "_rebuild_sparse_tensor"), (Made(Named("torch.serialization", "_get_layout"), ("torch.sparse_coo",)), (tensor(X),))), "a sparse tensor; save tensor.to_dense()"),
    "quantised": (Made(Named("torch._utils", "_rebuild_qtensor"), (Stored(b"abcd", "QInt8Storage", 4), 0, (2, 2), (2, 1), (Named("torch", "per_tensor_affine"), 0.1, 0))), "a quantised tensor; save tensor.dequantize()"),
    "complex": (View(Stored(bytes(32), "ComplexFloatStorage", 4), 0, (2, 2), (2, 1)), "complex numbers (complex64); save them as real numbers"),
    "float8": (View(Stored(bytes(4), "UntypedStorage", 4), 0, (2, 2), (2, 1), "_rebuild_tensor_v3", (Named("torch", "float8_e5m2"),)), "a type that numpy does not have (float8_e5m2); save tensor.float()"),
    "negated": (View(stored(X), 0, (6, 4), (4, 1), more=({"neg": True},)), "kept negated or conjugated; save tensor.resolve_neg().resolve_conj()"),
    "meta": (Made(Named("torch._utils", "_rebuild_meta_tensor_no_storage"), (Named("torch", "float32"), (2, 2), (2, 1), False)), "a tensor of the device meta, which has no values"),
    "storage": (stored(X), "a storage, not a tensor; save the tensor"),
    "single": (View(stored(X[:1, :1, :1]), 0, (), ()), "a single number, not an array of examples"),
    "expanded": (View(stored(X[0, 0]), 0, (1 << 40, 4), (0, 1)), "values that are repeated (4398046511104 from 4 stored ones); save tensor.contiguous()"),
    "many axes": (View(stored(X), 0, (1,) * 40, (1,) * 40), "an array of 40 axes"),
}  # fmt: skip
DAMAGED = {
    "beyond": (View(stored(X), 1, (24, 6, 4), (24, 4, 1)), "its values reach beyond the 576 that are stored"),
    "far beyond": (View(stored(X), 0, (2, 2), (1 << 60, 1)), "its values reach beyond the 576 that are stored"),
    "cut": (View(Stored(bytes(80), "FloatStorage", 24), 0, (6, 4), (4, 1)), "80 bytes are there of 24 values of 4"),
    "more": (View(Stored(bytes(100), "FloatStorage", 24), 0, (6, 4), (4, 1)), "100 bytes are there of 24 values of 4"),
}  # fmt: skip


def test_what_cannot_be_a_layer_is_named_and_stops_nobody(tmp_path):
    file = opened(tmp_path, {"x": tensor(X), **{name: value for name, (value, _) in NOT_READ.items()}})
    assert [layer.name for layer in file.layers] == ["x"]
    assert file.refused == {name: why for name, (_, why) in NOT_READ.items()}


def test_tensors_whose_values_are_not_there_are_damaged(tmp_path):
    file = opened(tmp_path, {"x": tensor(X), **{name: value for name, (value, _) in DAMAGED.items()}})
    assert file.unreadable == {name: f"cannot be read ({why}); save it again" for name, (_, why) in DAMAGED.items()}


def test_a_changed_value_is_seen_where_there_is_a_sum(tmp_path):
    data = bytearray(torch_bytes({"x": tensor(X)}))
    data[data.index(X[3].tobytes())] ^= 1
    (tmp_path / "x.pt").write_bytes(data)
    with pytest.raises(DataError, match="wrong CRC-32"):
        open_file(str(tmp_path / "x.pt")).layers[0].read(0, 24)
    (tmp_path / "x.pt").write_bytes(without_sums(bytes(data)))
    assert open_file(str(tmp_path / "x.pt")).layers[0].read(0, 24).shape == (24, 6, 4)


def test_a_changed_description_is_seen_by_its_sum(tmp_path):
    data = torch_bytes({"x": tensor(X)})
    changed = data.replace(b"K\x18K\x06K\x04", b"K\x06K\x18K\x04")
    assert changed != data
    (tmp_path / "x.pt").write_bytes(changed)
    with pytest.raises(
        DataError, match=r"is not a readable PyTorch file \(archive/data.pkl is not what was saved: wrong CRC-32"
    ):
        open_file(str(tmp_path / "x.pt"))


def text(word):
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def named(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


STOP = b"."
TOUCH = text("touch ran")
HOSTILE = {
    "GLOBAL of os": (b"\x80\x02" + named("os", "system") + TOUCH + b"\x85R.", "holds more than tensors (os.system), and could run code when loaded; save its tensors alone, as"),
    "REDUCE of eval": (b"\x80\x02" + named("builtins", "eval") + text("open('ran', 'w')") + b"\x85R.", "(builtins.eval)"),
    "REDUCE of exec, by its older name": (b"\x80\x02" + named("__builtin__", "exec") + TOUCH + b"\x85R.", "(builtins.exec)"),
    "INST": (b"(" + TOUCH + b"ios\nsystem\n.", "(INST)"),
    "OBJ": (b"(" + named("collections", "OrderedDict") + b"o.", "(OBJ)"),
    "NEWOBJ": (b"\x80\x02" + named("collections", "OrderedDict") + b")\x81.", "(NEWOBJ)"),
    "NEWOBJ_EX": (b"\x80\x04" + named("collections", "OrderedDict") + b")}\x92.", "(NEWOBJ_EX)"),
    "EXT1": (b"\x80\x02\x82\x01.", "(EXT1)"),
    "EXT4": (b"\x80\x02\x84\x01\x00\x00\x00.", "(EXT4)"),
    "BUILD of a class": (b"\x80\x02" + named("torch", "FloatStorage") + b"}" + text("__setstate__") + named("torch", "Tensor") + b"sb.", "has no meaning"),
    "STACK_GLOBAL of a computed name": (b"\x80\x04" + text("os") + text("system") + b"\x93" + TOUCH + b"\x85R.", "(os.system)"),
    "STACK_GLOBAL by way of the memo": (b"\x80\x04" + text("posix") + b"\x940" + b".", "(POP)"),
    "STACK_GLOBAL of numbers": (b"\x80\x04K\x01K\x02\x93.", "has no meaning"),
    "PERSID": (b"Pos.system\n.", "(PERSID)"),
    "a storage that is none": (b"\x80\x02" + text("os.system") + b"Q.", "has no meaning"),
    "REDUCE of a type": (b"\x80\x02" + named("torch", "Tensor") + b")R.", "(torch.Tensor)"),
    "REDUCE of text": (b"\x80\x02" + text("os.system") + TOUCH + b"\x85R.", "has no meaning"),
    "a function of a function": (b"\x80\x02" + named("torch._tensor", "_rebuild_from_type_v2") + b"(" + named("torch._tensor", "_rebuild_from_type_v2") + named("torch", "Tensor") + b"))tR.", "has no meaning"),
    "a pickle in a pickle": (b"\x80\x02" + named("torch.storage", "_load_from_bytes") + b"C\x01.\x85R.", "(torch.storage._load_from_bytes)"),
    "a list in itself": (b"\x80\x02]q\x00h\x00a.", "hold themselves"),
    "lists of lists of lists": (b"\x80\x02(]q\x00" + b"".join(b"](" + b"h%c" % n * 10 + b"eq%c" % (n + 1) for n in range(30)) + b"t.", "hold themselves"),
    "a memo of gibibytes": (b"\x80\x02Nr\xff\xff\xff\xff.", "takes what is not there"),
    "a memo that was never filled": (b"\x80\x02h\x09.", "takes what is not there"),
    "nested deeply": (b"\x80\x02N" + b"\x85" * 20_000 + b".", "hold themselves"),
    "marks without end": (b"\x80\x02" + b"(" * 20_000 + b".", "ends where it must not"),
    "LONG4": (b"\x80\x02\x8b\xff\xff\xff\x7f" + bytes(40) + b".", "(LONG4)"),
    "text of gibibytes": (b"\x80\x02X\xff\xff\xff\xff.", "ends too early"),
    "bytes of exbibytes": (b"\x80\x04\x8e" + b"\xff" * 8 + b".", "ends too early"),
    "a frame of another length": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.", "ends too early"),
    "a line without end": (b"\x80\x02cos", "ends too early"),
    "text that is none": (b"\x80\x02X\x02\x00\x00\x00\xff\xff.", "codec can't decode"),
    "a later protocol": (b"\x80\x09N.", "of a later protocol"),
    "nothing": (b"", "ends too early"),
    "no end": (b"\x80\x02N", "ends too early"),
    "more behind the end": (b"\x80\x02N.N.", "ends where it must not"),
    "two values": (b"\x80\x02NN.", "ends where it must not"),
    "an empty stack": (b"\x80\x02a.", "takes what is not there"),
    "half a pair": (b"\x80\x02}(Nu.", "has no meaning"),
    "items of no list": (b"\x80\x02}Na.", "has no meaning"),
    "a name that controls a terminal": (b"\x80\x02" + named("os\x1b[2J", "x" * 500) + b".", r"os\x1b[2J.xxx"),
    "a key that is a list": (b"\x80\x02}]]s.", "holds a dict whose keys are neither text nor numbers"),
}  # fmt: skip
HOSTILE |= {
    f"a tensor of {what}": (b"\x80\x02" + named("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR.", "has no meaning")
    for what, arguments in {
        "nothing": b"", "text": text("a") * 6, "a negative offset": b"NJ\xff\xff\xff\xff))N}", "too many arguments": b"N" * 9,
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_description_that_would_do_something_is_a_line(tmp_path, monkeypatch, capsysbinary, name):
    data, line = HOSTILE[name]
    monkeypatch.chdir(tmp_path)
    for function in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, function, None)
    (tmp_path / "x.pt").write_bytes(archive_bytes(data))
    ended = run_here(["compare", "x.pt"], capsysbinary)
    assert (ended.status, ended.err.count("\n"), ended.out) == (1, 1, b"")
    assert ended.err.startswith("Error: x.pt: ")
    assert line in ended.err
    assert len(ended.err) < 400
    assert ended.err.strip().isprintable()
    assert os.listdir() == ["x.pt"]


def test_a_list_without_a_key_of_its_own_and_a_key_of_nothing(tmp_path):
    assert list(arrays_of(opened(tmp_path, [tensor(X), tensor(X)]))) == ["0", "1"]
    assert list(arrays_of(opened(tmp_path, {"": tensor(X)}))) == ["x"]


ARCHIVES = {
    "x.pt::a.b: stands there twice, as keys are joined; rename one of them": torch_bytes({"a.b": tensor(X), "a": {"b": tensor(X)}}),
    "x.pt: holds no tensors (PyTorch); save them as torch.save({name: tensor}, path)": torch_bytes({"epoch": 3}),
    "x.pt: holds no tensors (PyTorch); only tensors are read, so not conv1; save torch.tensor(list)": torch_bytes({"conv1": [0.5, 1]}),
    "x.pt: holds arrays of numpy, which only unpickling could read; save torch.from_numpy(array)": torch_bytes(Made(Named("numpy", "ndarray"))),
    "x.pt: is a model of TorchScript, whose code is never run; save torch.save(model.state_dict(), path)": torch_bytes({}, others=[("constants.pkl", b"")]),
    "x.pt: is not a readable PyTorch file (archive/byteorder is compressed or encrypted, which torch.save never does); it may be cut short: copy or save it again": torch_bytes({"x": tensor(X)}, method=zipfile.ZIP_DEFLATED),
    "x.pt: is not a readable PyTorch file (File is not a zip file); it may be cut short: copy or save it again": torch_bytes({"x": tensor(X)})[:-40],
    "x.pt: is not a readable PyTorch file (the order of its bytes is b'mid'); it may be cut short: copy or save it again": without_sums(torch_bytes({"x": tensor(X)}, is_big=True)).replace(b"big", b"mid"),
    "x.pt: is a file of torch in the format before 1.6, a pickle, which could run code when loaded; save it again with torch >= 1.6": pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + b"\x80\x02M\xe9\x03.",
    "x.pt: is a file of torch in the format before 1.6, a tar archive; save it again with torch >= 1.6": b"sys_info".ljust(600, b"\0"),
}  # fmt: skip


@pytest.mark.parametrize("line", ARCHIVES)
def test_an_archive_that_is_not_read_is_a_line(tmp_path, line):
    (tmp_path / "x.pt").write_bytes(ARCHIVES[line])
    with pytest.raises(DataError) as raised:
        open_file(str(tmp_path / "x.pt"))
    assert str(raised.value) == str(tmp_path / line)


def test_a_member_whose_place_is_another_is_refused(tmp_path):
    data = torch_bytes({"x": tensor(X)})
    place = data.index(b"archive/data/0") - 2  # the length of what stands between a member's name and its bytes
    length = int.from_bytes(data[place : place + 2], "little")
    for other in (length - 4, length + 4):
        (tmp_path / "x.pt").write_bytes(data[:place] + struct.pack("<H", other) + data[place + 2 :])
        with pytest.raises(DataError, match=r"lies where no member can|lies over another member"):
            open_file(str(tmp_path / "x.pt"))


@pytest.mark.slow
def test_what_torch_saves_is_what_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(24, 6, 5, 5, generator=generator)
    model = torch.nn.Sequential(torch.nn.Conv2d(6, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(9, 3))
    optimiser = torch.optim.Adam(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimiser.step()
    types = (torch.half, torch.bfloat16, torch.double, torch.bool, torch.uint8, torch.int16, torch.int64, torch.uint16)
    saved = {
        "model": model.state_dict(), "optimiser": optimiser.state_dict(), "epoch": 3, "device": torch.device("cuda", 0),
        "types": [(x * 9).abs().to(each) for each in types], "lists": {"a": [x, x[3:]], "b": (x,)},
        "views": [x.transpose(0, 1), x[::3], x[:, ::2], x.to(memory_format=torch.channels_last), x[:1].expand(24, 6, 5, 5)],
        "parameter": torch.nn.Parameter(x), "buffer": torch.nn.Buffer(x.clone()), "random": torch.get_rng_state(),
    }  # fmt: skip
    for protocol in (2, 5):
        torch.save(saved, tmp_path / "x.ckpt", pickle_protocol=protocol)
        file = open_file(str(tmp_path / "x.ckpt"))
        for array in (*file.layers, *file.vectors):
            found = saved
            name = array.name
            while name:  # keys of a state dict hold dots themselves
                key = next(each for each in keys_of(found) if name == str(each) or name.startswith(f"{each}."))
                found, name = found[key], name[len(str(key)) + 1 :]
            found = found.detach()
            expected = (found.float() if found.dtype == torch.bfloat16 else found).numpy()
            np.testing.assert_array_equal(array.read(0, array.shape[0]), expected, strict=True)
        assert len(file.layers) == 24
        assert not file.unreadable
    torch.save(torch.nn.Linear(2, 3), tmp_path / "whole.pt")
    with pytest.raises(DataError, match=re.escape("holds more than tensors (torch.nn.modules.linear.Linear)")):
        open_file(str(tmp_path / "whole.pt"))


def keys_of(value):
    return list(value) if isinstance(value, dict) else range(len(value))
