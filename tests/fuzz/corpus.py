"""Small sound files of every kind that `cka` reads, built by code: what the mutations start from.

All hold 24 examples, so that any of them can be compared with any other. The bytes depend on the versions of h5py,
HDF5 and numpy, and where HDF5 writes memory that it never set, on MALLOC_PERTURB_, which workers run under: a failure
is repeated from its seed and number with the same ones.
"""

import io
import json
import os
import re
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.fuzz.mutations import with_checksums
from tests.small_files import safetensors_bytes
from tests.torch_files import Made, Named, Stored, View, stored, tensor, torch_bytes, without_sums

N_EXAMPLES = 24
# Files that stand beside every mutated one. Nothing may open them unless the command line names them.
SOUND, OTHER_HDF5, OTHER_RAW = "sound.h5", "other.h5", "other.bin"


def values(*shape, dtype="f4", seed=0):
    numbers = np.random.default_rng([seed, *shape]).standard_normal(shape)
    array = np.zeros(shape, dtype)  # zeros also where a long double has bytes that mean nothing
    array[...] = numbers * (20 if np.dtype(dtype).kind in "iu" else 1)
    return array


def corpus():
    """Return name -> bytes; the end of the name tells the kind."""
    return {
        **_hdf5(),
        **_npy(),
        **_npz(),
        **_safetensors(),
        **_torch(),
        **_raw(),
        **_arrow(),
        **_zarr(),
        **_matlab(),
        **_reports(),
    }


def other_files():
    """Return name -> bytes of the files that stand beside a mutated one."""
    with_layer = _hdf5_bytes(lambda file: file.create_dataset("conv1", data=values(N_EXAMPLES, 5)))
    return {SOUND: with_layer, OTHER_HDF5: with_layer, OTHER_RAW: values(N_EXAMPLES, 5).tobytes()}


def _hdf5_bytes(fill, **options):
    with h5py.File("made.h5", "w", driver="core", backing_store=False, **options) as file:
        fill(file)
        file.flush()
        return _without_times(file.id.get_file_image())


def _without_times(data):
    """Return HDF5 data without the times at which its groups were made."""
    spoilt = bytearray(data)
    for match in re.finditer(b"OHDR\x02", data):
        if data[match.start() + 5] & 0x20:
            spoilt[match.start() + 6 : match.start() + 22] = bytes(16)
    return with_checksums(bytes(spoilt))


def _hdf5():
    earliest, latest = {"libver": "earliest"}, {"libver": "latest"}
    made = {
        "plain": (_fill_plain, earliest),
        "plain-latest": (_fill_plain, {**latest, "track_order": True}),
        "chunks": (_fill_chunks, earliest),
        "chunks-latest": (_fill_chunks, latest),
        "filters": (_fill_filters, earliest),
        "types": (_fill_types, earliest),
        "types-latest": (_fill_types, latest),
        "links": (_fill_links, earliest),
        "links-latest": (_fill_links, latest),
        "others": (_fill_others, earliest),
        "others-latest": (_fill_others, latest),
        "many": (_fill_many, earliest),
        "many-latest": (_fill_many, latest),
        "unwritten": (_fill_unwritten, earliest),
        "matlab": (_fill_matlab, {**earliest, "userblock_size": 512}),
    }
    found = {f"{name}.h5": _hdf5_bytes(fill, **options) for name, (fill, options) in made.items()}
    found["userblock.h5"] = bytes(512) + found["plain.h5"]
    return found


def _fill_plain(file):
    file["block/conv1"] = values(N_EXAMPLES, 2, 3, 3)
    file["block/conv2"] = values(N_EXAMPLES, 7, dtype="f8")
    file["fc"] = values(N_EXAMPLES, 4, dtype="f2")
    file["labels"] = np.arange(N_EXAMPLES) % 3
    file["ids"] = np.arange(N_EXAMPLES)
    file["fc"].attrs["note"] = "the last layer"


def _fill_chunks(file):
    options = {"gzip": {"compression": "gzip"}, "plain": {}, "lzf": {"compression": "lzf"}}
    for name, option in options.items():
        file.create_dataset(name, data=values(N_EXAMPLES, 10), chunks=(7, 4), **option)
    file.create_dataset("growing", data=values(N_EXAMPLES, 6), chunks=(5, 6), maxshape=(None, 6))
    file.create_dataset("growing2", data=values(N_EXAMPLES, 6), chunks=(5, 3), maxshape=(None, None))
    file.create_dataset("whole", data=values(N_EXAMPLES, 6), chunks=(N_EXAMPLES, 6), compression="gzip")


def _fill_filters(file):
    file.create_dataset("sums", data=values(N_EXAMPLES, 9), chunks=(8, 9), fletcher32=True)
    file.create_dataset("shuffled", data=values(N_EXAMPLES, 9), chunks=(8, 9), shuffle=True, compression=9)
    file.create_dataset("scaled", data=values(N_EXAMPLES, 9, dtype="i4"), chunks=(8, 9), scaleoffset=0)
    file.create_dataset("scaled2", data=values(N_EXAMPLES, 9), chunks=(8, 9), scaleoffset=3)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((8, 9))
    properties.set_filter(h5py.h5z.FILTER_NBIT, 0, ())
    space = h5py.h5s.create_simple((N_EXAMPLES, 9))
    dataset = h5py.h5d.create(file.id, b"nbit", h5py.h5t.STD_I16LE, space, properties)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values(N_EXAMPLES, 9, dtype="i2"))


def _fill_types(file):
    for dtype in (">f4", "i1", "u2", "i8", "?", "c8", "f2"):
        file[f"as{np.dtype(dtype).name}"] = values(N_EXAMPLES, 3, dtype=dtype)
    file["words"] = np.array([b"one", b"two"] * (N_EXAMPLES // 2))
    file["ids"] = [f"example {number}" for number in range(N_EXAMPLES)]
    file["pairs"] = np.zeros((N_EXAMPLES, 2), [("x", "f4"), ("y", "i2")])
    kind = h5py.enum_dtype({"CAT": 0, "DOG": 1}, basetype="u1")
    file.create_dataset("kinds", (N_EXAMPLES, 2), dtype=kind)
    ragged = file.create_dataset("ragged", (N_EXAMPLES,), dtype=h5py.vlen_dtype("i4"))
    ragged[0] = [1, 2, 3]
    file["pointers"] = np.array([file["ids"].ref] * N_EXAMPLES, dtype=h5py.ref_dtype)
    file["named"] = np.dtype("f4")
    file["scalar"] = 3.5
    file["empty"] = h5py.Empty("f4")
    file.create_dataset("matrices", (N_EXAMPLES,), dtype="(2,3)f4")


def _fill_links(file):
    file["a/b/layer"] = values(N_EXAMPLES, 5)
    file["hard"] = file["a/b"]
    file["a/b/up"] = file["a"]
    file["soft"] = h5py.SoftLink("/a/b/layer")
    file["soft2"] = h5py.SoftLink("a/../hard/layer")
    file["round"], file["about"] = h5py.SoftLink("/about"), h5py.SoftLink("/round")
    file["away"] = h5py.ExternalLink(OTHER_HDF5, "/conv1")
    file["gone"] = h5py.SoftLink("/no/such/place")


def _fill_others(file):
    file["own"] = values(N_EXAMPLES, 5)
    file.create_dataset("raw", (N_EXAMPLES, 5), "f4", external=[(OTHER_RAW, 0, h5py.h5f.UNLIMITED)])
    layout = h5py.VirtualLayout((N_EXAMPLES, 5), "f4")
    layout[:] = h5py.VirtualSource(OTHER_HDF5, "conv1", (N_EXAMPLES, 5))
    file.create_virtual_dataset("virtual", layout)
    growing = h5py.VirtualLayout((N_EXAMPLES, 5), "f4", maxshape=(None, 5))
    source = h5py.VirtualSource(OTHER_HDF5, "conv1", (N_EXAMPLES, 5), maxshape=(None, 5))
    growing[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    file.create_virtual_dataset("growing", growing)


def _fill_many(file):
    for number in range(40):
        file[f"layer{number}"] = values(N_EXAMPLES, 2, seed=number)


def _fill_unwritten(file):
    file.create_dataset("late", (N_EXAMPLES, 5), "f4")
    file.create_dataset("chunked", (N_EXAMPLES, 5), "f4", chunks=(6, 5), compression="gzip")
    partly = file.create_dataset("partly", (N_EXAMPLES, 5), "f4", chunks=(6, 5), fillvalue=2.0)
    partly[:6] = values(6, 5)
    file["whole"] = values(N_EXAMPLES, 5)


def _fill_matlab(file):
    file["maps"] = values(3, 2, 5, N_EXAMPLES)
    file.create_dataset("flat", data=values(7, N_EXAMPLES, dtype="f8"), chunks=(7, 9), compression="gzip")
    file["ids"] = np.arange(N_EXAMPLES)[None, :]
    file["cells"] = np.array([[file["ids"].ref] * 2] * 3, dtype=h5py.ref_dtype)
    file["thin/data"] = values(4)
    for name, of_class in (
        ("maps", "single"),
        ("flat", "double"),
        ("ids", "int64"),
        ("cells", "cell"),
        ("thin", "double"),
    ):
        file[name].attrs["MATLAB_class"] = np.bytes_(of_class)
    file["thin"].attrs["MATLAB_sparse"] = np.uint64(N_EXAMPLES)


def _npy_bytes(array, version=None):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    return stream.getvalue()


def _npy():
    made = {
        "rows": values(N_EXAMPLES, 6),
        "columns": np.asfortranarray(values(N_EXAMPLES, 6, dtype="f8")),
        "maps": values(N_EXAMPLES, 2, 3, 3, dtype="f2"),
        "maps-columns": np.asfortranarray(values(N_EXAMPLES, 2, 3, 3)),
        "big-endian": values(N_EXAMPLES, 4, dtype=">i2"),
        "flags": values(N_EXAMPLES, 4) > 0,
        "long-double": values(N_EXAMPLES, 3, dtype="g"),
        "words": np.array(["one", "two"] * (N_EXAMPLES // 2)),
        "labels": np.arange(N_EXAMPLES),
    }
    found = {f"{name}.npy": _npy_bytes(array) for name, array in made.items()}
    found["second.npy"] = _npy_bytes(values(N_EXAMPLES, 6), version=(2, 0))
    found["third.npy"] = _npy_bytes(values(N_EXAMPLES, 6), version=(2, 0)).replace(b"NUMPY\2", b"NUMPY\3")
    found["joined.npy"] = found["rows.npy"] * 3
    return found


def _npz():
    arrays = {
        "conv1": values(N_EXAMPLES, 2, 3, 3),
        "conv2": np.asfortranarray(values(N_EXAMPLES, 7, dtype="f8")),
        "fc": values(N_EXAMPLES, 4),
        "ids": np.arange(N_EXAMPLES),
    }
    found = {}
    for name, method in {
        "stored": zipfile.ZIP_STORED,
        "deflated": zipfile.ZIP_DEFLATED,
        "bzip2": zipfile.ZIP_BZIP2,
        "lzma": zipfile.ZIP_LZMA,
    }.items():
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            for member, array in arrays.items():
                info = zipfile.ZipInfo(f"{member}.npy")
                info.compress_type = method
                with archive.open(info, "w", force_zip64=name == "stored") as member_stream:
                    np.lib.format.write_array(member_stream, array)
        found[f"{name}.npz"] = stream.getvalue()
    return found


def _safetensors():
    arrays = {
        "conv1": values(N_EXAMPLES, 2, 3, 3),
        "conv2": values(N_EXAMPLES, 7, dtype="f2"),
        "fc": (values(N_EXAMPLES, 4).view("u4") >> 16).astype("u2").view("V2"),
        "flags": values(N_EXAMPLES, 3) > 0,
        "ids": np.arange(N_EXAMPLES),
    }
    return {
        "sorted.safetensors": safetensors_bytes(dict(reversed(arrays.items()))),
        "unaligned.safetensors": safetensors_bytes(arrays, align=7, metadata={"format": "mlx"}),
    }


def _arrow():
    """Parquet and Arrow files, none where pyarrow is not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return {}

    def lists(array, *, is_fixed=False):
        column = pa.array(array.reshape(-1))
        for axis in range(array.ndim - 1, 0, -1):
            length, n = array.shape[axis], int(np.prod(array.shape[:axis]))
            offsets = pa.array(np.arange(n + 1, dtype="i4") * length)
            column = (
                pa.FixedSizeListArray.from_arrays(column, length)
                if is_fixed
                else pa.ListArray.from_arrays(offsets, column)
            )
        return column

    table = pa.table(
        {
            "conv1": lists(values(N_EXAMPLES, 2, 3, 3)),
            "fixed": lists(values(N_EXAMPLES, 5, dtype="f2"), is_fixed=True),
            "nulls": pa.array([[1.0, None, float(row)] for row in range(N_EXAMPLES)]),
            "flags": lists(values(N_EXAMPLES, 4) > 0),
            "ids": pa.array(np.arange(N_EXAMPLES)),
            "names": pa.array([f"n{row}" for row in range(N_EXAMPLES)]),
            "kinds": pa.array(["cat", "dog"] * (N_EXAMPLES // 2)).dictionary_encode(),
        }
    )
    found = {}
    for name, options in {
        "plain": {"compression": "none", "use_dictionary": False},
        "groups": {"row_group_size": 7, "compression": "zstd"},
        "pages": {"data_page_size": 64, "data_page_version": "2.0", "write_page_checksum": True},
    }.items():
        stream = io.BytesIO()
        pq.write_table(table, stream, **options)
        found[f"{name}.parquet"] = stream.getvalue()
    for name, make in {"file": pa.ipc.new_file, "stream": pa.ipc.new_stream}.items():
        for compression in (None, "lz4", "zstd"):
            stream = io.BytesIO()
            with make(stream, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
                writer.write_table(table, 9)
            found[f"{name}-{compression}.arrow"] = stream.getvalue()
    return found


def _raw():
    """Raw values, each behind its sidecar and a NUL: `write` parts them again."""
    shape = [N_EXAMPLES, 6]
    said = {
        "floats": {"shape": shape, "dtype": "float32"},
        "halves": {"n": N_EXAMPLES, "d": 6, "dtype": "int16", "torch_dtype": "bfloat16"},
        "columns": {"dims": shape, "dtype": "<f8", "order": "F", "offset": 8},
        "listed": {
            "dtype": "float",
            "layers": [{"file": "NAME.bin", "shape": [N_EXAMPLES, 2, 3]}, {"file": "y.bin"}],
        },
    }
    dtypes = {"halves": "i2", "columns": "f8"}
    return {
        f"{name}.bin": json.dumps(facts, indent=1).encode()
        + b"\0"
        + bytes(facts.get("offset", 0))
        + values(*shape, dtype=dtypes.get(name, "f4")).tobytes()
        for name, facts in said.items()
    }


def write(path, data):
    """Write a file; of raw values the sidecar by itself. Return the names of the files."""
    if not path.endswith(".bin"):
        Path(path).write_bytes(data)
        return [path]
    said, _, raw = data.partition(b"\0")
    sidecar = path.removesuffix("bin") + "json"
    Path(sidecar).write_bytes(said.replace(b"NAME.bin", os.path.basename(path).encode()))
    Path(path).write_bytes(raw)
    return [path, sidecar]


def _zarr():
    """Archives of Zarr by hand, so that nothing but the codecs is needed: every codec, shards, and what xarray says."""
    numcodecs = pytest.importorskip("numcodecs")
    of_2, of_3 = {".zgroup": {"zarr_format": 2}}, {"zarr.json": {"zarr_format": 3, "node_type": "group"}}
    for name in ("blosc", "zstd", "lz4", "gzip", "zlib", "bz2", "lzma", ""):
        array, codec = values(N_EXAMPLES, 6), name and numcodecs.get_codec({"id": name})
        for place in range(3):
            rows = array[8 * place : 8 * place + 8].tobytes()
            of_2[f"{name or 'plain'}/{place}.0"] = bytes(codec.encode(rows)) if codec else rows
        of_2[f"{name or 'plain'}/.zarray"] = {
            "zarr_format": 2, "shape": [N_EXAMPLES, 6], "chunks": [8, 6], "dtype": "<f4", "fill_value": 0.0,
            "order": "F", "compressor": {"id": name} if name else None,
            "filters": [{"id": "delta", "dtype": "<f4"}] if name == "lz4" else None,
        }  # fmt: skip
    of_2["zlib/.zattrs"] = {"_FillValue": -9.0, "scale_factor": 0.5, "_ARRAY_DIMENSIONS": ["a", "b"]}
    sum_of = numcodecs.get_codec({"id": "crc32c", "location": "end"})
    plain = [{"name": "bytes", "configuration": {"endian": "little"}}]
    shards = {"chunk_shape": [4, 3], "codecs": [*plain, "zstd"], "index_codecs": [*plain, "crc32c"]}
    for name, codecs in (
        ("shards", [{"name": "sharding_indexed", "configuration": shards}]),
        ("packed", [*plain, "gzip"]),
    ):
        for place in range(3):
            array = values(8, 6, seed=place)
            packed = [
                bytes(numcodecs.Zstd().encode(array[row : row + 4, at : at + 3].tobytes()))
                for row in (0, 4)
                for at in (0, 3)
            ]
            ends = np.cumsum([len(each) for each in packed])
            index = np.array([ends - [len(each) for each in packed], [len(each) for each in packed]], "<u8").T.tobytes()
            whole = b"".join(packed) + bytes(sum_of.encode(index))
            of_3[f"{name}/c/{place}/0"] = whole if name == "shards" else bytes(numcodecs.GZip().encode(array.tobytes()))
        of_3[f"{name}/zarr.json"] = {
            "zarr_format": 3, "node_type": "array", "shape": [N_EXAMPLES, 6], "data_type": "float32",
            "fill_value": "NaN",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [8, 6]}}, "codecs": codecs,
            "chunk_key_encoding": {"name": "default"}, "attributes": {"add_offset": 2} if name == "packed" else {},
        }  # fmt: skip
    return {"v2.zarrzip": zip_of(of_2), "v3.zarrzip": zip_of(of_3)}


def zip_of(members):
    """Return an archive of members, of bytes or what is written as JSON."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data if isinstance(data, bytes) else json.dumps(data))
    return stream.getvalue()


def _matlab():
    """Files of MATLAB 5: a header, and an element for each array, plain and packed."""

    def element(kind, data):
        return np.array([kind, len(data)], "<u4").tobytes() + data + bytes(-len(data) % 8)

    def matrix(name, array, of_class, kind, flags=0):
        head = element(6, np.array([of_class | flags, 0], "<u4").tobytes()) + element(
            5, np.array(array.shape, "<i4").tobytes()
        )
        return element(14, head + element(1, name.encode()) + element(kind, array.tobytes(order="F")))

    arrays = [
        matrix("conv1", values(N_EXAMPLES, 2, 3), 7, 7), matrix("fc", values(N_EXAMPLES, 6, dtype="u1"), 6, 2),
        matrix("ids", np.arange(N_EXAMPLES, dtype="i4")[None], 12, 5),
        matrix("mask", values(N_EXAMPLES, 2, dtype="u1"), 9, 2, 0x200),
        matrix("text", np.zeros((1, 5), "u2"), 4, 4), matrix("waves", values(N_EXAMPLES, 3, dtype="f8"), 6, 9, 0x800),
    ]  # fmt: skip
    header = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\1IM"
    packed = [zlib.compress(array) for array in arrays]
    return {"plain.mat": header + b"".join(arrays),
            "packed.mat": header
            + b"".join(np.array([15, len(each)], "<u4").tobytes() + each for each in packed)}  # fmt: skip


def _torch():
    base = values(N_EXAMPLES, 6)
    halves = Stored(values(N_EXAMPLES, 3, dtype="i2").tobytes(), "BFloat16Storage", N_EXAMPLES * 3)
    layers = {
        "conv1": tensor(values(N_EXAMPLES, 2, 3, 3), "cuda:0"),
        "blocks": [tensor(np.asfortranarray(values(N_EXAMPLES, 7, dtype="f8"))), (tensor(values(N_EXAMPLES, 4)), 1.5)],
        "sliced": View(stored(base), 1, (N_EXAMPLES, 2), (6, 3)),
        "half": View(halves, 0, (N_EXAMPLES, 3), (3, 1)),
        "unsigned": tensor(values(N_EXAMPLES, 3, dtype="u2")),
        "ids": tensor(np.arange(N_EXAMPLES)),
        "sparse": Made(Named("torch._utils", "_rebuild_sparse_tensor")),
    }
    model = Made(Named("collections", "OrderedDict"), (), {"_metadata": {}}, {**layers, "epoch": 3, "labels": [1, 2]})
    return {
        "model.pt": without_sums(torch_bytes(model)),  # so that what is changed in a description is looked at
        "late.pt": without_sums(torch_bytes(layers, protocol=4)),
        "big.pt": torch_bytes([tensor(values(N_EXAMPLES, 5, dtype=">f4"))], is_big=True),
    }


def _reports():
    header = "x_file,x_layer,y_file,y_layer,measure,kernel,n_examples,value\n"
    names, numbers = ["conv1", "conv2", "block/fc"], [[1.0, 0.25, 0.5], [0.125, 1.0, -0.001], [0.5, 0.75, float("nan")]]
    cells = [
        f"a.h5,{x},b.h5,{y},{measure},linear,24,{numbers[row][column]!r}\n"
        for measure in ("cka", "cka-debiased")
        for row, x in enumerate(names)
        for column, y in enumerate(names)
    ]
    rows = [",".join([name, *map(repr, row)]) + "\n" for name, row in zip(names, numbers, strict=True)]
    wide = "layer," + ",".join(names) + "\n" + "".join(rows)
    matrix = {
        "x_file": "a.h5",
        "y_file": "b.h5",
        "measure": "cka",
        "kernel": "linear",
        "n_examples": 24,
        "x_layers": names,
        "y_layers": names,
        "values": [[None if value != value else value for value in row] for row in numbers],
    }
    document = {"version": "0.1.0", "command": ["cka"], "options": {}, "files": [], "matrices": [matrix], "notes": []}
    texts = {
        "tidy.csv": header + "".join(cells),
        "wide.csv": wide,
        "tabs.csv": wide.replace(",", "\t"),
        "quoted.csv": 'layer,"a,b","c ""d"""\n"a,b",1,0.5\n"c\nd",0.5,1\n',
        "report.json": json.dumps(document, indent=1),
        "dense.json": json.dumps(document),
    }
    return {name: text.encode() for name, text in texts.items()}
