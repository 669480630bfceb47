"""What is an Arrow stream, and what a dataset saved to disk, told from bytes and names. Nothing here needs numpy."""

import os
import struct
from typing import Any

# A message of Arrow begins so, and then tells how long its description is. Such a message alone begins a stream.
CONTINUATION = b"\xff\xff\xff\xff"
SCHEMA, RECORD_BATCH = 1, 3
_HEADER_TYPE, _HEADER = 1, 2
_LENGTH, _COMPRESSION, _BATCHES = 0, 3, 3
_MOST_LOOKED_AT = 1 << 20
STATE, SPLITS, INFO = "state.json", "dataset_dict.json", "dataset_info.json"


def is_stream(head: bytes, path: str) -> bool:
    """Whether a file begins with a message that describes the columns of an Arrow stream. Raises OSError."""
    if not head.startswith(CONTINUATION) or len(head) < 8:
        return False
    n_bytes = int.from_bytes(head[4:8], "little")
    with open(path, "rb") as stream:
        if not 8 <= n_bytes <= os.fstat(stream.fileno()).st_size - 8:
            return False
        stream.seek(8)
        data = stream.read(min(n_bytes, _MOST_LOOKED_AT))
    try:
        return header_of(data)[0] == SCHEMA
    except (struct.error, IndexError, ValueError):
        return False


def header_of(data: bytes) -> tuple[int, int]:
    """Return of the description of a message what it is of, and where that is described.

    A table of FlatBuffers: at its place stands how far before it lies the list of where its fields are.
    Raises struct.error, IndexError or ValueError for what is no such thing.
    """
    (table,) = struct.unpack_from("<I", data)
    of_type, header = _field(data, table, _HEADER_TYPE), _field(data, table, _HEADER)
    if of_type is None or header is None:
        raise ValueError("a message without a header")
    return data[of_type], header + int(struct.unpack_from("<I", data, header)[0])


def rows_of_batch(data: bytes, header: int) -> tuple[int, bool]:
    """Return how many rows a record batch has, and whether its values are compressed. Raises as `header_of` does."""
    length = _field(data, header, _LENGTH)
    n_rows = 0 if length is None else int(struct.unpack_from("<q", data, length)[0])
    if n_rows < 0:
        raise ValueError(f"a record batch of {n_rows} rows")
    return n_rows, _field(data, header, _COMPRESSION) is not None


def batches_of_footer(data: bytes) -> list[tuple[int, int]]:
    """Return where the message of each record batch of an Arrow file begins, and the bytes of its description.

    data : the footer of the file. Raises as `header_of` does.
    """
    (table,) = struct.unpack_from("<I", data)
    found = _field(data, table, _BATCHES)
    if found is None:
        return []
    begin = found + int(struct.unpack_from("<I", data, found)[0])
    (count,) = struct.unpack_from("<I", data, begin)
    return [struct.unpack_from("<qi", data, begin + 4 + 24 * place) for place in range(count)]


def _field(data: bytes, table: int, number: int) -> int | None:
    fields = table - struct.unpack_from("<i", data, table)[0]
    if min(table, fields) < 0:
        raise ValueError("a table outside its message")
    (n_bytes,) = struct.unpack_from("<H", data, fields)
    place = 4 + 2 * number
    (found,) = struct.unpack_from("<H", data, fields + place) if place + 2 <= n_bytes else (0,)
    return table + found if found else None


def is_saved_dataset(_: bytes, path: str) -> bool:
    """Whether a folder is what `save_to_disk` of Hugging Face's datasets makes: a dataset, or splits of one."""
    return isinstance(told_in(path, STATE).get("_data_files"), list) or bool(splits_of(path))


def splits_of(path: str) -> list[str]:
    """Return the names of the splits that a folder is made of; none where it is one dataset, or something else."""
    splits = told_in(path, SPLITS).get("splits")
    return [str(name) for name in splits] if isinstance(splits, list) else []


def told_in(path: str, name: str) -> dict[str, Any]:
    """Return what a JSON file of a folder tells, nothing where it is not there, or is no such file."""
    import json

    try:
        file = os.path.join(path, name)
        if not os.path.isfile(file) or os.path.getsize(file) > _MOST_LOOKED_AT:
            return {}
        with open(file, "rb") as stream:
            told = json.loads(stream.read(_MOST_LOOKED_AT))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def data_files(path: str) -> list[str]:
    """Return the names of the files of a saved dataset in the order of its rows.

    Raises ValueError where they are not told as names of files of the folder itself, or the rows are picked by another.
    """
    state = told_in(path, STATE)
    names = [each.get("filename") if isinstance(each, dict) else None for each in state.get("_data_files") or []]
    for name in names:
        if not isinstance(name, str) or name in ("", ".", "..") or "\0" in name or os.path.basename(name) != name:
            raise ValueError(f"its {STATE} names {str(name)[:60]!r}, which is no file of the folder")
    if len(set(names)) < len(names):
        raise ValueError(f"its {STATE} names a file twice")
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise ValueError("its rows are picked by a file of indices: save flatten_indices() of it")
    return [str(name) for name in names]


def files_of_dataset(path: str) -> list[str]:
    """Return the files on disk that a saved dataset is made of, those of its rows last."""
    try:
        names = data_files(path)
    except ValueError:
        names = []
    about = [name for name in (SPLITS, STATE, INFO) if os.path.isfile(os.path.join(path, name))]
    return [os.path.join(path, name) for name in (*about, *names)]
