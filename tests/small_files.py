"""Activation files for the tests: small and seeded, sound ones and every way they can be wrong."""

import hashlib
import importlib
import json
import os
import pickle
import shutil
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from cka_cli.reductions.factors import factorise_layer
from cka_cli.reductions.source import CentredLayer
from tests.torch_files import Made, Named, tensor, torch_bytes


def values(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def write_hdf5(path, layers, *, track_order=True, **options):
    with h5py.File(path, "w", track_order=track_order, **options) as file:
        for name, array in layers.items():
            file[name] = array
    return str(path)


def write_folder(path, layers):
    Path(path).mkdir()
    for name, array in layers.items():
        np.save(Path(path) / f"{name}.npy", array)
    return str(path)


def safetensors_bytes(layers, *, align=8, metadata=None, change=lambda header: None):
    """A safetensors file. change : spoils its header, a dict. align : where its end stands."""
    words = {"f": "F", "i": "I", "u": "U"}
    header, data = {} if metadata is None else {"__metadata__": metadata}, b""
    for name, array in layers.items():
        dtype = {"b": "BOOL", "V": "BF16"}.get(array.dtype.kind) or f"{words[array.dtype.kind]}{8 * array.itemsize}"
        begin, data = len(data), data + array.tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, len(data)]}
    change(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % align)
    return len(text).to_bytes(8, "little") + text + data


def write_zarr(path, layers, version=3, *, shards=False, **options):
    """Write arrays by name into a Zarr, folder or zip by its name, in chunks that do not fit their shape."""
    zarr = pytest.importorskip("zarr")
    importlib.import_module("numcodecs.blosc").use_threads = False  # for a few values they take longer than the work
    folder = Path(str(path).removesuffix(".zip"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of types that version 3 does not tell of
        group = zarr.open_group(folder, mode="w", zarr_format=version)
        for name, array in layers.items():
            chunks = tuple(max(1, min(each, n)) for each, n in zip((7, 4, 3, 3), np.shape(array), strict=False))
            more = {"shards": tuple(2 * n for n in chunks)} if shards else {}
            made = group.create_array(name, shape=np.shape(array), dtype=array.dtype, chunks=chunks, **more, **options)
            if array.size:
                made[...] = array
    if folder != Path(path):
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(folder))
        shutil.rmtree(folder)
    return str(path)


def cut(source, path, n_bytes):
    """Write the first bytes of a file; counted from its end when `n_bytes` is below 0."""
    Path(path).write_bytes(Path(source).read_bytes()[:n_bytes])
    return str(path)


def state(folder):
    """What a folder holds, byte for byte, with modes: two are equal when nothing was created or changed."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        data = content.encode() if isinstance(content, str) else content
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, hashlib.sha256(data).hexdigest())
    return found


def make_wrong_files(folder):
    """Fill a folder with two sound files, `a.h5` and `b.h5`, and with what users give by mistake."""
    folder = Path(folder)
    _make_sound(folder)
    _make_no_arrays(folder)
    _make_zarr(folder)
    _make_matlab(folder)
    _make_cut(folder)
    _make_joined(folder)
    _make_wrong_safetensors(folder)
    _make_left_open(folder)
    _make_pickles(folder)
    _make_wrong_arrays(folder)
    _make_wrong_raw(folder)
    _make_wrong_links(folder)
    _make_wrong_ids(folder)
    _make_wrong_reports(folder)
    _make_wrong_shards(folder)


def _make_sound(folder):
    write_hdf5(folder / "a.h5", {"conv1": values(12, 5), "conv2": values(12, 4, seed=1), "fc": values(12, 3, seed=2)})
    write_hdf5(folder / "b.h5", {"conv1": values(12, 6, seed=3), "labels": np.arange(12)})
    write_hdf5(folder / "short.h5", {"conv1": values(9, 5)})
    write_hdf5(folder / "uneven.h5", {"conv1": values(12, 5), "conv2": values(9, 5)})
    for n_examples in range(4):
        write_hdf5(folder / f"rows{n_examples}.h5", {"conv1": values(n_examples, 5)})
    np.save(folder / "a.npy", values(12, 5))
    np.savez(folder / "a.npz", conv1=values(12, 5))
    write_folder(folder / "folder", {"conv1": values(12, 5)})
    write_hdf5(folder / "names.h5", {"conv1": values(12, 5), "names": ["a", "b"] * 6})
    write_hdf5(folder / "vectors.h5", {"ids": np.arange(12), "labels": np.arange(12)})
    masks = {"attention_mask": np.ones((12, 5), bool), "input_ids": np.ones((12, 5), int), "labels": np.arange(12)}
    np.savez(folder / "masks.npz", **masks)
    np.savez(folder / "masked.npz", conv1=values(12, 5), **masks)
    np.savez(folder / "weights.npz", up=values(6, 5), down=values(5, 6))
    np.savez(
        folder / "sparse.npz", data=values(9), indices=np.arange(9), indptr=np.arange(13), shape=(12, 5), format=b"csr"
    )
    packed = {"qweight": np.ones((6, 5), "i4"), "scales": values(2, 5), "qzeros": np.ones((2, 1), "i4")}
    np.savez(folder / "gptq.npz", conv1=values(12, 5), **{f"fc.{name}": array for name, array in packed.items()})
    write_hdf5(folder / "sentences.h5", {str(n): np.ones((13, 3 + n * 7 % 11, 2), "f4") for n in range(64)})
    (folder / "old.png").write_bytes(b"an old picture")
    os.symlink("a.h5", folder / "link.h5")


def _make_no_arrays(folder):
    (folder / "text.h5").write_text("conv1 0.5 0.25\n")
    (folder / "empty.h5").write_bytes(b"")
    (folder / "nothing").mkdir()
    (folder / "nothing" / "notes.txt").write_text("no arrays here\n")
    write_hdf5(folder / "hollow.h5", {})
    os.mkfifo(folder / "pipe.h5")


def _make_zarr(folder):
    array = {"zarr_format": 2, "shape": [12, 5], "chunks": [12, 5], "dtype": "<f4", "compressor": {"id": "pickle"}}
    for name, document in (("cut", []), ("pickle", array)):
        (folder / f"{name}.zarr").mkdir()
        (folder / f"{name}.zarr" / ".zarray").write_text(json.dumps(document))


def _make_matlab(folder):
    header = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\1IM"
    (folder / "cut.mat").write_bytes(header + np.array([14, 99], "<u4").tobytes())
    (folder / "old.mat").write_bytes(np.array([0, 12, 5, 0, 6], "<i4").tobytes() + b"conv1\0" + bytes(480))


def _make_cut(folder):
    cut(folder / "a.h5", folder / "cut5.h5", 5)
    cut(folder / "a.h5", folder / "cut200.h5", 200)
    cut(folder / "a.h5", folder / "cut-tail.h5", -1)
    cut(folder / "a.npy", folder / "cut3.npy", 3)
    cut(folder / "a.npy", folder / "cut60.npy", 60)
    cut(folder / "a.npy", folder / "cut-tail.npy", -40)
    cut(folder / "a.npz", folder / "cut-tail.npz", -40)
    cut(folder / "a.npz", folder / "cut-half.npz", 200)
    header = (folder / "a.npy").read_bytes()[:128]
    (folder / "promises.npy").write_bytes(header.replace(b"(12, 5)", b"(99, 5)") + bytes(240))
    (folder / "garbled.npy").write_bytes(header.replace(b"(12, 5)", b"(12, 5(") + bytes(240))
    damaged = folder / "damaged.npz"
    np.savez_compressed(damaged, conv1=values(200, 50))
    data = bytearray(damaged.read_bytes())
    data[5000:5100] = bytes(100)
    damaged.write_bytes(data)
    (folder / "cut.parquet").write_bytes(b"PAR1" + bytes(40))
    (folder / "encrypted.parquet").write_bytes(b"PARE" + bytes(40) + b"PARE")
    (folder / "hollow.parquet").write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    (folder / "old.feather").write_bytes(b"FEA1" + bytes(40))
    (folder / "cut.arrow").write_bytes(b"ARROW1" + bytes(40))
    (folder / "splits").mkdir()
    (folder / "splits" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')


def _make_joined(folder):
    a, npz, hdf5 = ((folder / name).read_bytes() for name in ("a.npy", "a.npz", "a.h5"))
    (folder / "appended.npy").write_bytes(a * 5)
    (folder / "junk.npy").write_bytes(a + b"junk")
    (folder / "joined.npz").write_bytes(npz + npz)
    (folder / "behind.npz").write_bytes(npz + b"junk")
    (folder / "joined.h5").write_bytes(hdf5 + hdf5)
    with zipfile.ZipFile(folder / "member.npz", "w") as archive:
        archive.writestr("conv1.npy", a + a)
        archive.writestr("conv2.npy", a)
    write_folder(folder / "spoilt", {"conv1": values(12, 5)})
    (folder / "spoilt" / "conv2.npy").write_bytes(a[:-40])
    write_folder(folder / "odd", {"conv1": values(12, 5), "table": np.zeros(12, [("x", "f4"), ("y", "f4")])})
    (folder / "odd" / "notes.npy").write_text("no array")


def _make_wrong_safetensors(folder):
    layers = {"conv1": values(12, 5)}
    sound = safetensors_bytes(layers)
    wrong = {"cut": sound[:-40], "cut9": sound[:9], "twice": sound * 2, "garbled": sound.replace(b"}", b")")}
    wrong["shape"] = sound.replace(b"[12,5]", b"[12,6]")
    wrong["float8"] = safetensors_bytes(layers, change=lambda header: header["conv1"].update(dtype="F8_E4M3"))
    for name, data in wrong.items():
        (folder / f"{name}.safetensors").write_bytes(data)


def _make_left_open(folder):
    with h5py.File(folder / "open.h5", "w", libver="latest") as file:
        file["conv1"] = values(12, 5)
        file.flush()
        (folder / "left open.h5").write_bytes((folder / "open.h5").read_bytes())  # as a program that died leaves it


def _make_pickles(folder):
    objects = np.array([{"a": 1}, None], dtype=object)
    np.save(folder / "objects.npy", objects, allow_pickle=True)
    np.savez(folder / "objects.npz", conv1=objects)
    (folder / "model.pkl").write_bytes(pickle.dumps({"conv1": [1.0, 2.0]}))
    with zipfile.ZipFile(folder / "model.pt", "w") as archive:  # as torch.save writes it
        archive.writestr("model/data.pkl", pickle.dumps({"conv1": 0}))
        archive.writestr("model/data/0", bytes(64))
    whole = Made(Named("torch.nn.modules.linear", "Linear"))
    (folder / "whole.pt").write_bytes(torch_bytes(whole))
    (folder / "old.pt").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1001, protocol=2))
    sparse = Made(Named("torch._utils", "_rebuild_sparse_tensor"))
    (folder / "sparse.pt").write_bytes(torch_bytes({"conv1": tensor(values(12, 5)), "conv2": sparse}))
    cut(folder / "sparse.pt", folder / "cut.pt", -40)


def _make_wrong_arrays(folder):
    holes = values(12, 5)
    holes[7, 1] = holes[3, 2] = np.nan
    write_hdf5(folder / "nan.h5", {"conv1": holes})
    write_hdf5(folder / "inf.h5", {"conv1": np.where(np.arange(12)[:, None] // 2 == 2, -np.inf, values(12, 2))})
    write_hdf5(folder / "all-nan.h5", {"conv1": np.full((12, 2), np.nan)})
    with h5py.File(folder / "fill.h5", "w") as file:
        for name, fill in (("conv1", np.float32(-999)), ("conv2", 1j)):
            file[name] = np.where(np.arange(12)[:, None] == 3, np.float32(-999), values(12, 5))
            file[name].attrs["_FillValue"] = fill
        file["short"] = np.zeros((12, 5), "i2")
        file["short"].attrs["_FillValue"] = np.int16(7)
        file["packed"] = np.zeros((12, 5), "i2")
        file["packed"].attrs["scale_factor"] = np.ones(5)
    bits = (values(12, 5).view("u4") >> 16).astype("u2")
    np.savez(folder / "bits.npz", conv1=bits, conv2=bits[:, ::-1] + 1)
    write_hdf5(folder / "no-features.h5", {"conv1": np.empty((12, 0), "f4")})
    write_hdf5(folder / "complex.h5", {"conv1": values(12, 5) + 1j, "conv2": values(12, 5)})
    write_hdf5(folder / "words.h5", {"conv1": np.array([[b"a", b"b"]] * 12)})
    np.save(folder / "words.npy", np.array([["a", "b"]] * 12))
    np.save(folder / "compound.npy", np.zeros((12, 2), [("x", "f4"), ("y", "f4")]))
    np.save(folder / "float8.npy", np.zeros((12, 2), "V1"))
    write_hdf5(folder / "tokens.h5", {"conv1": values(12, 4, 3)})
    write_hdf5(folder / "images.h5", {"conv1": values(12, 2, 4, 4), "conv2": values(12, 2, 3, 3)})
    write_hdf5(folder / "flax.h5", {"conv1": values(12, 4, 4, 3)})
    np.save(folder / "film.npy", values(12, 2, 4, 4, 3))

    with h5py.File(folder / "ragged.h5", "w") as file:
        file.create_dataset("conv1", (12,), h5py.vlen_dtype("f4"))
        file.create_dataset("conv2", (12, 2), h5py.ref_dtype)
    with h5py.File(folder / "matlab.h5", "w", userblock_size=512) as file:
        for name, of_class in (("cells", "cell"), ("words", "char")):
            file[name] = np.zeros((3, 12), "u2")
            file[name].attrs["MATLAB_class"] = np.bytes_(of_class)


def _make_wrong_raw(folder):
    for name, said in (
        ("unfit.bin.json", '{"shape": [12, 6], "dtype": "float32"}'),
        ("typeless.meta", '{"shape": [12, 5]}'),
        ("strange.json", '{"shape": [12, 5], "dtype": "objects"}'),
        ("negative.json", '{"n": -12, "d": 5, "dtype": "<f4"}'),
    ):
        (folder / name).write_text(said)
        (folder / name.partition(".")[0]).with_suffix(".bin").write_bytes(values(12, 5).tobytes())


def _make_wrong_links(folder):
    (folder / "raw.bin").write_bytes(values(12, 5).tobytes())
    with h5py.File(folder / "links.h5", "w") as file:
        file["conv1"] = values(12, 5)
        file["outside"] = h5py.ExternalLink("a.h5", "/conv1")
        file["dangling"] = h5py.SoftLink("/no/such")
        file["here"], file["there"] = h5py.SoftLink("/there"), h5py.SoftLink("/here")
        file.create_dataset("raw", (12, 5), "f4", external=[("raw.bin", 0, h5py.h5f.UNLIMITED)])
        layout = h5py.VirtualLayout((12, 5), "f4")
        layout[:] = h5py.VirtualSource("a.h5", "conv1", (12, 5))
        file.create_virtual_dataset("virtual", layout)


def _make_wrong_ids(folder):
    ids = np.arange(12)
    write_hdf5(folder / "ids.h5", {"conv1": values(12, 5), "ids": ids})
    write_hdf5(folder / "ids-other.h5", {"conv1": values(12, 5), "ids": ids + 1})
    write_hdf5(folder / "ids-fewer.h5", {"conv1": values(7, 5), "ids": ids[5:]})
    write_hdf5(folder / "ids-doubled.h5", {"conv1": values(12, 5), "ids": ids // 2})
    write_folder(folder / "ids-objects", {"conv1": values(12, 5)})
    np.save(folder / "ids-objects" / "ids.npy", np.array(["a"] * 12, object), allow_pickle=True)
    write_hdf5(folder / "ids-short.h5", {"conv1": values(12, 5), "ids": ids[:7]})


def _make_wrong_reports(folder):
    header = "x_file,x_layer,y_file,y_layer,measure,kernel,n_examples,value\n"
    reports = {
        "good.csv": "layer,p,q\nr,0.5,0.25\ns,1,0\n",
        "text.csv": "An afternoon of notes\nthat someone took\n",
        "ragged.csv": "layer,p,q\nr,0.5\n",
        "words.csv": "layer,p\nr,high\n",
        "header.csv": header,
        "wide-header.csv": "layer,p,q\n",
        "empty.csv": "",
        "commas.csv": ",,\n",
        "quote.csv": 'layer,p\n"r,1\n',
        "missing.csv": f"{header}a,p,b,p,cka,linear,9,1\na,p,b,q,cka,linear,9,1\na,r,b,p,cka,linear,9,1\n",
        "doubled.csv": f"{header}a,p,b,p,cka,linear,9,1\na,p,b,p,cka,linear,9,0\n",
        "cut.csv": f"{header}a,p,b,p,cka,linear,9,1\na,p,b,",
        "comment.csv": ",p\nr,1\n# mean,0.7\n",
        "nameless.csv": "p,q,\nr,1,0.5\ns,0.5,1\n",
        "match.csv": "measure,kernel,n_files,n_layers,accuracy,difference_std_error\ncka,linear,2,3,0.5,\n",
        "table.csv": "cka, linear  rows a.h5, columns b.h5, 12 examples\n          p\n conv1  1.0*\n",
        "other.json": '{"model": "resnet"}',
        "list.json": "[1, 2]",
        "cut.json": '{"matrices": [',
        "none.json": '{"matrices": []}',
        "uneven.json": '{"matrices": [{"values": [[1, 2]], "x_layers": ["p"], "y_layers": ["q"]}]}',
        "no-cells.json": '{"matrices": [{"values": [[]], "x_layers": ["p"], "y_layers": []}]}',
    }
    for name, text in reports.items():
        (folder / name).write_text(text)
    (folder / "garbage.csv").write_bytes(bytes(range(128, 256)))


def _make_wrong_shards(folder):
    write_folder(folder / "shards", {f"conv1_batch_{number}": values(4, 5) for number in (0, 1, 3)})
    write_folder(folder / "doubled", {f"batch_{number}": values(4, 5) for number in ("01", "1")})
    for name in ("widths", "formats"):
        (folder / name).mkdir()
    for number in (0, 1):
        np.savez(folder / "widths" / f"batch_{number}.npz", conv1=values(4, 5 - number))
    np.savez(folder / "formats" / "a.npz", conv1=values(4, 5))
    write_hdf5(folder / "formats" / "b.h5", {"conv1": values(4, 5)})


def write_networks(folder, n_networks=3, n_layers=4, *, names=None, n_examples=60):
    """Write networks of one depth whose layers at the same place are alike, each rotated on its own; return paths."""
    shared = np.random.default_rng(100)
    layers = [shared.standard_normal((n_examples, 6))]
    while len(layers) < n_layers:
        layers.append(0.5 * layers[-1] + shared.standard_normal((n_examples, 6)))
    paths = []
    for number in range(n_networks):
        own = np.random.default_rng(number)
        rotated = [
            layer @ np.linalg.qr(own.standard_normal((6, 6)))[0] + 0.2 * own.standard_normal(layer.shape)
            for layer in layers
        ]
        named = dict(zip(names or [f"conv{place}" for place in range(1, n_layers + 1)], rotated, strict=True))
        paths.append(write_hdf5(Path(folder) / f"net{number}.h5", named))
    return paths


def factorise(label, values):
    """Factors of values in memory, with columns."""
    source = CentredLayer(label, values, np.zeros(values.shape[1]), 1.0, is_constant=False)
    return factorise_layer(source, with_columns=True)
