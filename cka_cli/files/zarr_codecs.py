"""The codecs of Zarr that are undone here: by numcodecs, one chunk at a time, and never to more bytes than a chunk has.

What a chunk says of its own length is held against the length it must have before memory is asked for: a few bytes of
gzip or zstd can promise any number of them. Codecs not named here (pickles, objects, text of any length) are refused.
"""

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from math import prod
from typing import Any

import numcodecs
import numpy as np

from cka_cli.arrays import Array
from cka_cli.errors import reason
from cka_cli.files.npy_header import NoLayerError

# What the highest preset of LZMA takes, and some.
_LZMA_BYTES = 1 << 27
# Of arrays: the key of their settings that says what type they make of values; none where they keep it.
_FILTERS = {"delta": "astype", "fixedscaleoffset": "astype", "quantize": "astype", "astype": "encode_dtype",
            "bitround": ""}  # fmt: skip
# Of bytes, which keep their number, but for so many of a sum.
_KEEPERS = {"shuffle": 0, "crc32c": 4, "crc32": 4, "adler32": 4, "fletcher32": 4}
Config = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Pipeline:
    """How values became bytes: their axes in another order, then filters of arrays, then packers of bytes.

    dtype : of the values, in the byte order they are saved in. packed_itemsize : bytes of one behind the filters.
    """

    dtype: np.dtype[Any]
    order: tuple[int, ...] | None = None
    filters: tuple[Config, ...] = ()
    packers: tuple[Config, ...] = ()
    packed_itemsize: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether values lie as numpy has them in memory."""
        return self.order is None and not self.filters and not self.packers

    @property
    def has_fixed_size(self) -> bool:
        """Whether every chunk takes the same number of bytes."""
        return all(config["id"] in _KEEPERS for config in self.packers)

    @property
    def text(self) -> str:
        """What values were put through, for a person; empty where nothing packs them."""
        return ", ".join(config["id"] for config in (*self.filters, *self.packers) if config["id"] != "crc32c")

    def sizes(self, n_values: int) -> list[int | None]:
        """Return how many bytes there are before each packer and behind the last, None behind one that compresses."""
        sizes: list[int | None] = [n_values * self.packed_itemsize]
        for config in self.packers:
            more, before = _KEEPERS.get(config["id"]), sizes[-1]
            sizes.append(None if more is None or before is None else before + more)
        return sizes

    def decoded(self, data: Any, shape: tuple[int, ...]) -> Array:
        """Return the values of a chunk. Raises ValueError when the bytes are not those of one."""
        n_values = prod(shape)
        sizes = self.sizes(n_values)
        try:
            for config, size in zip(self.packers[::-1], sizes[-2::-1], strict=True):
                data = (
                    _UNPACKERS[config["id"]](data, size or 0) if config["id"] in _UNPACKERS else _undone(config, data)
                )
                if size is not None and memoryview(data).nbytes != size:
                    raise ValueError(f"it unpacks to {memoryview(data).nbytes} bytes where it should have {size}")
            for config in self.filters[::-1]:
                data = _undone(config, data)
            values = np.frombuffer(data, self.dtype)
            if len(values) != n_values:
                raise ValueError(f"it has {values.nbytes} bytes where it should have {n_values * self.dtype.itemsize}")
        except Exception as error:  # whatever a codec makes of bytes that it did not write
            raise ValueError(f"a chunk is damaged: {reason(error)}") from error
        if self.order is None:
            return values.reshape(shape)
        return values.reshape([shape[axis] for axis in self.order]).transpose(np.argsort(self.order))


def pipeline(
    dtype: np.dtype[Any], order: tuple[int, ...] | None, filters: Sequence[Config], packers: Sequence[Config]
) -> Pipeline:
    """Return how chunks are undone. Raises NoLayerError for a codec that is not undone here."""
    packed, n_compressors = dtype, 0
    for config in filters:
        if config["id"] not in _FILTERS:
            raise NoLayerError(_unknown(config["id"]))
        if key := _FILTERS[config["id"]]:
            taken = np.dtype(config["decode_dtype" if key == "encode_dtype" else "dtype"])
            made = taken if config.get(key) is None else np.dtype(config[key])
            if taken != packed or made.kind not in "biuf":
                raise NoLayerError(
                    f"its filter {config['id']} makes {made} of {taken}, and is given {packed}; save it without"
                )
            packed = made
        numcodecs.get_codec(dict(config))
    for config in packers:
        if config["id"] not in _UNPACKERS and config["id"] not in _KEEPERS:
            raise NoLayerError(_unknown(config["id"]))
        n_compressors += config["id"] in _UNPACKERS
        if n_compressors > 1:
            raise NoLayerError("compressed twice, so that nothing bounds its bytes; save it with one compressor")
        if config["id"] == "lzma" and (config.get("format", 1) != 1 or config.get("filters")):
            raise NoLayerError("compressed with lzma in a form of its own; save it with zstd")
    return Pipeline(dtype, order, tuple(filters), tuple(packers), packed.itemsize)


def _unknown(name: str) -> str:
    return f"saved with the codec {name[:40]!r}, which is not undone here; save it with zstd, blosc or gzip"


def _undone(config: Config, data: Any) -> Any:
    return numcodecs.get_codec(dict(config)).decode(data)


def _of_stream(opened: Callable[[BytesIO], Any]) -> Callable[[bytes, int], bytes]:
    def unpack(data: bytes, n_bytes: int) -> bytes:
        unpacked: bytes = opened(BytesIO(data)).read(n_bytes + 1)  # one more: that there is none
        return unpacked

    return unpack


def _inflated(data: bytes, n_bytes: int, lzma_bytes: int = 0) -> bytes:
    inflate = lzma.LZMADecompressor(memlimit=lzma_bytes) if lzma_bytes else zlib.decompressobj()
    unpacked = inflate.decompress(data, n_bytes + 1)
    if not inflate.eof:
        raise ValueError("it is cut short, or longer than it should be")
    return unpacked


def _of_blosc(data: bytes, n_bytes: int) -> bytes:
    promised, _, n_packed = struct.unpack_from("<III", data, 4)
    if promised != n_bytes or n_packed != len(data):  # the library trusts both
        raise ValueError(f"it promises {promised} bytes in {n_packed}, and should have {n_bytes} in {len(data)}")
    unpacked: bytes = numcodecs.Blosc().decode(data)
    return unpacked


def _of_lz4(data: bytes, n_bytes: int) -> bytes:
    (promised,) = struct.unpack_from("<I", data)
    if promised != n_bytes:
        raise ValueError(f"it promises {promised} bytes and should have {n_bytes}")
    unpacked: bytes = numcodecs.LZ4().decode(data)
    return unpacked


def _of_zstd(data: bytes, n_bytes: int) -> bytearray:
    """Return what a frame holds. Its header may tell how much that is (RFC 8878, 3.1.1.1)."""
    magic, flags = struct.unpack_from("<IB", data)
    if magic != 0xFD2FB528:
        raise ValueError("it does not begin as zstd does")
    is_single = flags >> 5 & 1
    place = 5 + (1 - is_single) + (0, 1, 2, 4)[flags & 3]
    length = (is_single, 2, 4, 8)[flags >> 6]
    promised = int.from_bytes(data[place : place + length], "little") + (256 if length == 2 else 0)
    if length and promised != n_bytes:
        raise ValueError(f"it promises {promised} bytes and should have {n_bytes}")
    out = bytearray(n_bytes)  # without a promise it must fill this
    numcodecs.Zstd().decode(data, out=out)
    return out


_UNPACKERS: dict[str, Callable[[Any, int], Any]] = {
    "blosc": _of_blosc,
    "zstd": _of_zstd,
    "lz4": _of_lz4,
    "zlib": _inflated,
    "gzip": _of_stream(lambda stream: gzip.GzipFile(fileobj=stream)),
    "bz2": _of_stream(bz2.BZ2File),
    "lzma": partial(_inflated, lzma_bytes=_LZMA_BYTES),
}
