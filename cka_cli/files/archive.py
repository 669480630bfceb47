"""Where the members of a zip archive lie, and that nothing lies before, between or behind them.

A reader of zip archives looks for the directory at the end, and takes what the directory says for all there is: of two
archives joined into one file it sees the second alone.
"""

import struct
import zipfile
from pathlib import Path

from cka_cli.errors import DataError
from cka_cli.files.registry import ZIP_END
from cka_cli.files.source_file import Origin

# No stream of deflate is longer once unpacked: 258 bytes for 2 bits.
_MOST_DEFLATED = 1032
_LOCAL_HEADER_BYTES = 30
_END_BYTES = 22
# Of the name of a member that is looked at.
_MOST_NAME_BYTES = 1 << 12
# Of a data descriptor, which follows a member whose length was not known before, at most: with sizes of 64 bits.
_DESCRIPTOR_BYTES = 24


def check_whole(archive: zipfile.ZipFile, origin: Origin) -> None:
    """Refuse an archive that is not all of its file, or whose members lie where they cannot.

    Raises BadZipFile when members lie over each other, or promise what their bytes cannot hold; DataError when bytes
    stand before the archive, behind it, or between its members.
    """
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if not info.filename:  # zipfile itself fails where it asks whether that is a folder
            raise zipfile.BadZipFile("a member has no name")
        if info.header_offset < end:
            raise zipfile.BadZipFile(f"{info.filename} lies over another member")
        least_end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size
        limits = {zipfile.ZIP_STORED: info.compress_size, zipfile.ZIP_DEFLATED: _MOST_DEFLATED * info.compress_size}
        if least_end > origin.n_bytes or info.file_size > limits.get(info.compress_type, info.file_size):
            raise zipfile.BadZipFile(f"{info.filename} promises more bytes than the archive holds")
        _check_between(origin.path, info.header_offset - end, end)
        end = max(least_end, data_offset(origin.path, info) + info.compress_size)
    if archive.start_dir < end:
        raise zipfile.BadZipFile("its last member lies over the directory")
    _check_between(origin.path, archive.start_dir - end, end)
    with Path(origin.path).open("rb") as stream:
        stream.seek(-_END_BYTES - len(archive.comment), 2)
        if stream.read(len(ZIP_END)) != ZIP_END:
            raise DataError(
                f"{origin.path}: bytes follow the end of the archive (was something appended to it?); save it again"
            )


def _check_between(path: str, n_bytes: int, place: int) -> None:
    """Refuse what stands in `n_bytes` from `place` on, between two members or before the first."""
    if n_bytes and not place:
        raise DataError(
            f"{path}: {n_bytes} bytes stand before the archive (two archives joined into one?), which would not be "
            "read; give each archive by itself"
        )
    if n_bytes > _DESCRIPTOR_BYTES:
        raise DataError(
            f"{path}: {n_bytes} bytes stand in the archive that its directory does not tell of; save it again"
        )


def data_offset(path: str, info: zipfile.ZipInfo) -> int:
    """Return where a member's bytes begin: behind its local header, whose extra field may differ in length."""
    with Path(path).open("rb") as stream:
        stream.seek(info.header_offset)
        header = stream.read(_LOCAL_HEADER_BYTES)
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    return int(info.header_offset + _LOCAL_HEADER_BYTES + name_length + extra_length)


def is_torch(path: str) -> bool:
    """Whether a zip archive is one of `torch.save`; where it is cut short, whether it begins so. Raises OSError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return torch_folder(archive.namelist()) != ""
    except (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, OverflowError, struct.error):
        with Path(path).open("rb") as stream:
            header = stream.read(_LOCAL_HEADER_BYTES + _MOST_NAME_BYTES)
        return header[_LOCAL_HEADER_BYTES:][: int.from_bytes(header[26:28], "little")].endswith(b"/data.pkl")


def torch_folder(names: list[str]) -> str:
    """Return the folder that all members of an archive of `torch.save` stand in; empty where it is another's."""
    folder = names[0].partition("/")[0] if names else ""
    return folder if {f"{folder}/data.pkl", f"{folder}/version"} <= set(names) else ""
