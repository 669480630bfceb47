"""Where the bytes of a Zarr lie: files of a folder, or members of an archive, each by its key."""

import zipfile
import zlib
from dataclasses import dataclass

from cka_cli.files.archive import check_whole, data_offset
from cka_cli.files.listing import is_hidden, walked
from cka_cli.files.registry import zarr_root
from cka_cli.files.source_file import Origin, origin_of


@dataclass(frozen=True)
class Piece:
    """The bytes of one key.

    offset : in the file. deflated_bytes : what they take in an archive that packs them; None where they lie plainly.
    crc : the archive's sum of them.
    """

    origin: Origin
    offset: int
    n_bytes: int
    deflated_bytes: int | None = None
    crc: int | None = None

    def read(self, start: int = 0, n_bytes: int | None = None) -> bytes:
        """Return so many bytes from `start` on. Raises ChangedError, EOFError or ValueError."""
        n_bytes = self.n_bytes - start if n_bytes is None else n_bytes
        is_packed = self.deflated_bytes is not None
        with self.origin.opened() as stream:
            stream.seek(self.offset if is_packed else self.offset + start)
            data = stream.read(n_bytes if self.deflated_bytes is None else self.deflated_bytes) or b""
        if is_packed:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, max(1, start + n_bytes))[start:]
            except zlib.error as error:
                raise ValueError(f"it cannot be unpacked: {error}") from error
        if len(data) != n_bytes:
            raise EOFError("the file ends too early")
        if self.crc is not None and n_bytes == self.n_bytes and zlib.crc32(data) != self.crc:
            raise ValueError("its bytes are not those that were saved: wrong CRC-32")
        return data


@dataclass(frozen=True)
class Store:
    """What of a Zarr is there. pieces : by key. links : keys of links, pipes and the like, which nobody follows."""

    pieces: dict[str, Piece]
    links: tuple[str, ...] = ()


def store_of_folder(path: str) -> Store:
    """Return the files of a folder. Raises OSError."""
    names, links = walked(path)
    pieces = {}
    for name in names:
        origin = origin_of(f"{path}/{name}")
        pieces[name] = Piece(origin, 0, origin.n_bytes)
    return Store(pieces, tuple(links))


def store_of_archive(path: str) -> Store:
    """Return the members of an archive; of members of one name the last counts, as each was written anew.

    Raises DataError or BadZipFile for what is not all of its file, ValueError for members that are packed otherwise.
    """
    origin = origin_of(path)
    pieces = {}
    with zipfile.ZipFile(path) as archive:
        check_whole(archive, origin)
        root = zarr_root(archive.namelist()) or ""
        for info in archive.infolist():
            if info.is_dir() or is_hidden(info.filename.rpartition("/")[0]):
                continue
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
                raise ValueError(f"{info.filename} is packed in a way that is not undone here")
            deflated = info.compress_size if info.compress_type == zipfile.ZIP_DEFLATED else None
            begin = data_offset(path, info)
            pieces[info.filename.removeprefix(root)] = Piece(origin, begin, info.file_size, deflated, info.CRC)
    return Store(pieces)
