"""Where an HDF5 file ends by its own account: what stands behind is never read by the HDF5 library, in silence.

HDF5 file format specification 3.0, II.A: "Disk Format: Level 0A - Format Signature and Superblock".
"""

from pathlib import Path
from typing import IO

from cka_cli.errors import DataError
from cka_cli.files.source_file import Origin

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# A user block takes 512 bytes, or 1024, 2048, ...
_FIRST_OFFSET, _LAST_OFFSET = 512, 1 << 26
_LEAST_BYTES, _MOST_BYTES = 16, 512


def signature_offset(stream: IO[bytes]) -> int | None:
    """Return where the signature of an HDF5 file stands, at its beginning or behind a user block; None without one."""
    offset = 0
    while offset <= _LAST_OFFSET:
        stream.seek(offset)
        head = stream.read(len(SIGNATURE))
        if len(head) < len(SIGNATURE):
            return None
        if head == SIGNATURE:
            return offset
        offset = 2 * offset or _FIRST_OFFSET
    return None


def check_end(origin: Origin) -> None:
    """Raise DataError when the file goes on behind the end that its superblock declares."""
    with Path(origin.path).open("rb") as stream:
        offset = signature_offset(stream)
        if offset is None:
            return
        stream.seek(offset)
        block = stream.read(_MOST_BYTES)
    end = _declared_end(block, offset)
    if end is None or origin.n_bytes <= end:
        return
    raise DataError(
        f"{origin.path}: {origin.n_bytes - end} bytes follow the end that the file declares (two files joined, or was "
        "the run that wrote it ended early?), and would not be read; give each file by itself, or save it again"
    )


def _declared_end(block: bytes, offset: int) -> int | None:
    """Return the end of the file that a superblock at `offset` declares; None for one that the library must judge."""
    if len(block) < _LEAST_BYTES:
        return None
    version = block[8]
    if version > 3 or (version == 3 and block[11]):  # or marked as open
        return None
    n_bytes = block[13] if version < 2 else block[9]
    first = {0: 24, 1: 28}.get(version, 12)
    # Base address, another address, end of file: each of n_bytes.
    base, _, end = (
        int.from_bytes(block[first + place * n_bytes : first + (place + 1) * n_bytes], "little") for place in range(3)
    )
    if first + 3 * n_bytes > len(block) or end == (1 << 8 * n_bytes) - 1:
        return None
    return end + offset - base  # a user block that was put before the file later on is not in its addresses
