"""Parquet and Arrow files as pyarrow reads them: their columns, each described or refused, and rows of one column.

All of it is done in a child process, but for where none can be had.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cka_cli.arrays import Array
from cka_cli.errors import reason
from cka_cli.files.arrow_layout import CONTINUATION, RECORD_BATCH, batches_of_footer, header_of, rows_of_batch
from cka_cli.files.arrow_values import TEXT, Kind, UnfitError, dense, kind_of, lengths_in, place_of_values, texts
from cka_cli.text import MIB

_FILE_MAGIC, _PARQUET_MAGIC = b"ARROW1", b"PAR1"
# So much of a column is unpacked, and sent, at once.
_PIECE_BYTES, _TEXTS_AT_ONCE, _MOST_ROWS_AT_ONCE = 1 << 22, 1 << 12, 1 << 16
_LOOKED_AT_ONCE = 16
# A compressed record batch has no smaller part that could be unpacked, and takes more memory than its values.
_MOST_BATCH_BYTES = 1 << 27


class ParquetFile:
    """A Parquet file: row groups, unpacked from their first row on."""

    def __init__(self, path: str):
        # Without threads and without reading ahead: what is unpacked is then a page, not a row group.
        self._file = pq.ParquetFile(
            pa.OSFile(path), pre_buffer=False, buffer_size=1 << 16, page_checksum_verification=True
        )
        about = self._file.metadata
        self.schema, self.notes = self._file.schema_arrow, ()
        self._groups = [about.row_group(place) for place in range(about.num_row_groups)]
        self.n_rows = [group.num_rows for group in self._groups]
        if min(self.n_rows, default=0) < 0 or sum(self.n_rows) != about.num_rows:
            raise ValueError(f"its row groups have {sum(self.n_rows)} rows in all, and it says {about.num_rows}")
        n_leaves = [_n_leaves(field.type) for field in self.schema]
        self._leaves = [sum(n_leaves[:place]) for place in range(len(n_leaves))]
        self.is_packed = [True] * len(self.n_rows)
        self.most_packed_bytes = None  # at once: a row group is unpacked page by page

    def storage(self, column: int) -> str:
        """Return how a column lies on disk, as a person reads it."""
        if not self._groups:
            return "no row groups"
        packing = str(self._groups[0].column(self._leaves[column]).compression).lower()
        return f"row groups of {self.n_rows[0]}" + ("" if packing == "uncompressed" else f", {packing}")

    def is_doubtful(self, column: int, group: int, n_values: int) -> bool:
        """Whether the values of a row group must be looked at: they are not as many as rows of one length have."""
        about = self._groups[group].column(self._leaves[column])
        told = about.statistics if about.is_stats_set else None
        return bool(about.num_values != n_values or (told is not None and told.has_null_count and told.null_count))

    def columns(self, column: int, group: int, n_at_once: int) -> Iterator[Any]:
        """Give the rows of a row group, so many at a time."""
        name = self.schema.field(column).name
        for batch in self._file.iter_batches(n_at_once, row_groups=[group], columns=[name], use_threads=False):
            yield batch.column(batch.schema.get_field_index(name))  # of a.b also a.b.c was read

    def place(self, _: int) -> int | None:
        """Return where in the file an address is: nothing lies in it as numpy has it."""
        return None


def _n_leaves(of: Any) -> int:
    """Return how many columns of Parquet a type takes."""
    if isinstance(of, pa.BaseExtensionType):
        return _n_leaves(of.storage_type)
    return sum(_n_leaves(of.field(place).type) for place in range(of.num_fields)) if of.num_fields else 1


class ArrowFile:
    """A file or a stream of Arrow: record batches, in memory as they lie on disk unless they are compressed."""

    def __init__(self, path: str):
        self._data = pa.memory_map(path).read_buffer()
        self._is_file = self._data[: len(_FILE_MAGIC)].to_pybytes() == _FILE_MAGIC
        self.most_packed_bytes = _MOST_BATCH_BYTES
        self._readers: dict[int, Any] = {}
        self._next: dict[int, int] = {}
        whole = pa.ipc.open_file(self._data) if self._is_file else pa.ipc.open_stream(self._data)
        self.schema = whole.schema
        self.n_rows: list[int] = []
        self.is_packed: list[bool] = []
        self.notes: tuple[str, ...] = ()
        self._look_at_batches(whole.num_record_batches if self._is_file else None)

    def _look_at_batches(self, n_batches: int | None) -> None:
        """Take in how many rows each batch has; n_batches : that a file tells of, None of a stream."""
        described = self._of_stream() if n_batches is None else self._of_file()
        for description in described:
            of_type, header = header_of(description)
            if of_type == RECORD_BATCH:
                n_rows, is_packed = rows_of_batch(description, header)
                self.n_rows.append(n_rows)
                self.is_packed.append(is_packed)
        if n_batches not in (None, len(self.n_rows)):
            raise ValueError(f"it has {len(self.n_rows)} of the {n_batches} record batches it tells of")

    def _of_file(self) -> Iterator[bytes]:
        """Give the description of each record batch, where the end of the file says that it is."""
        n_bytes, n_tail = self._data.size, len(_FILE_MAGIC) + 4
        length = int.from_bytes(self._data[n_bytes - n_tail : n_bytes - n_tail + 4].to_pybytes(), "little")
        for offset, n_described in batches_of_footer(self._data[n_bytes - n_tail - length : -n_tail].to_pybytes()):
            described = self._data[offset : offset + n_described].to_pybytes()
            yield described[8 if described.startswith(CONTINUATION) else 4 :]

    def _of_stream(self) -> Iterator[bytes]:
        """Give the description of each message; whether the stream has an end, and nothing behind it, is seen to."""
        source = pa.BufferReader(self._data)
        messages = pa.ipc.MessageReader.open_stream(source)
        try:
            while True:
                yield messages.read_next_message().metadata.to_pybytes()
        except StopIteration:
            end = source.tell()
        if end < self._data.size:
            raise ValueError(f"{self._data.size - end} bytes follow the end of the stream; two streams joined?")
        if self._data[max(0, end - 8) :].to_pybytes() != CONTINUATION + bytes(4):
            self.notes = ("the stream has no end mark; was the run that wrote it ended early?",)

    def storage(self, _: int) -> str:
        """Return how a column lies on disk, as a person reads it."""
        if not self.n_rows:
            return "no record batches"
        return f"record batches of {self.n_rows[0]}" + (", compressed" if any(self.is_packed) else "")

    def is_doubtful(self, column: int, group: int, n_values: int) -> bool:
        """Whether the values of a batch must be looked at: that costs nothing where nothing is to be unpacked."""
        return not self.is_packed[group]

    def columns(self, column: int, group: int, _: int) -> Iterator[Any]:
        """Give the rows of a record batch, all at a time."""
        yield self._batch(column, group).column(0)

    def _batch(self, column: int, group: int) -> Any:
        options = pa.ipc.IpcReadOptions(included_fields=[column], use_threads=False)
        if self._is_file:
            if column not in self._readers:
                self._readers[column] = pa.ipc.open_file(self._data, options=options)
            return self._readers[column].get_batch(group)
        if self._next.get(column, group + 1) > group:  # a stream is read from its beginning
            self._readers[column], self._next[column] = pa.ipc.open_stream(self._data, options=options), 0
        while self._next[column] <= group:
            batch = self._readers[column].read_next_batch()
            self._next[column] += 1
        return batch

    def place(self, address: int) -> int | None:
        """Return where in the file an address of memory is, None where it is not of the file."""
        place = address - int(self._data.address)
        return place if 0 <= place < self._data.size else None


class Opened:
    """The files that a layer is in, opened when they are needed."""

    def __init__(self, paths: list[str]):
        self._paths, self._files = paths, dict[int, Any]()

    def file(self, number: int) -> Any:
        """Return a file, open."""
        if number not in self._files:
            path = self._paths[number]
            with open(path, "rb") as stream:
                is_parquet = stream.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
            self._files[number] = ParquetFile(path) if is_parquet else ArrowFile(path)
        return self._files[number]

    def rows(self, asked: dict[str, Any]) -> Iterator[Array | list[str]]:
        """Give what is asked for, part by part: rows of a column in a group. Raises EOFError, UnfitError and others."""
        file, levels, dtype = self.file(asked["file"]), asked["levels"], np.dtype(asked["dtype"])
        start, stop, shape = asked["start"], asked["stop"], tuple(asked["shape"])
        n_at_once = _n_at_once(dtype, shape)
        first = 0
        for column in file.columns(asked["column"], asked["group"], n_at_once):
            column.validate(full=True)
            for at in range(max(start, first), min(stop, first + len(column)), n_at_once):
                some = column.slice(at - first, min(at + n_at_once, stop) - at)
                if dtype.kind == "U":
                    yield texts(some)
                    continue
                array = dense(some, levels, dtype).reshape(len(some), *shape)
                if asked["order"]:
                    array = array.transpose(0, *(axis + 1 for axis in asked["order"]))
                yield array[:, slice(*asked["part"])] if array.ndim > 1 else array
            first += len(column)
            if first >= stop:
                return
        raise EOFError(f"a group ends after {first} rows")

    def described(self, n_files: int) -> dict[str, Any]:
        """Return what the files are, as JSON can hold it.

        columns : those that are arrays. refused, unreadable : the names of others, each with the reason.
        groups : in the order of rows, of each its file, its number there, its rows, whether it must be unpacked.
        """
        files = [self.file(number) for number in range(n_files)]
        if any(not file.schema.equals(files[0].schema) for file in files[1:]):
            raise ValueError("its files have other columns than the first of them")
        groups = [
            (number, group, n_rows, file.is_packed[group])
            for number, file in enumerate(files)
            for group, n_rows in enumerate(file.n_rows)
            if n_rows
        ]
        columns: list[dict[str, Any]] = []
        refused: dict[str, str] = {}
        unreadable: dict[str, str] = {}
        counts = Counter(files[0].schema.names)
        for column, field in enumerate(files[0].schema):
            try:
                if counts[field.name] > 1:
                    raise UnfitError(f"{counts[field.name]} columns have this name; rename them")
                about = _described_column(files, groups, column, kind_of(field.type))
                columns.append({"name": field.name, "column": column, "storage": files[0].storage(column), **about})
            except UnfitError as error:
                refused[field.name] = str(error)
            except Exception as error:
                unreadable[field.name] = f"cannot be read ({reason(error)}); copy or save the file again"
        notes = list(dict.fromkeys(note for file in files for note in file.notes))
        return {"columns": columns, "refused": refused, "unreadable": unreadable, "groups": groups, "notes": notes}


def _described_column(
    files: Sequence[Any], groups: Sequence[tuple[int, int, int, bool]], column: int, kind: Kind
) -> dict[str, Any]:
    """Return dtype, levels, shape of a row, order of its axes, and where in the file each group lies plainly."""
    levels = _known_levels(files, groups, column, kind.levels)
    shape = kind.tensor or tuple(levels)
    row_bytes = kind.dtype.itemsize * prod(shape)
    places: list[int | None] = []
    for number, group, n_rows, is_packed in groups:
        file, place = files[number], None
        if is_packed and file.most_packed_bytes is not None and n_rows * row_bytes > file.most_packed_bytes:
            raise UnfitError(
                f"compressed record batches of {n_rows * row_bytes // MIB} MiB, which can only be unpacked whole; "
                "save smaller ones, or without compression"
            )
        n_seen = 0
        if file.is_doubtful(column, group, n_rows * prod(levels)):
            for rows in file.columns(column, group, _n_at_once(kind.dtype, shape)):
                rows.validate(full=True)
                n_seen += len(rows)
                if kind.dtype == TEXT:
                    texts(rows.slice(0, 0) if rows.null_count == 0 else rows)
                elif (address := place_of_values(rows, levels, kind.dtype)) is not None and not kind.order:
                    place = file.place(address)
            if n_seen != n_rows:
                raise ValueError(f"{n_seen} rows where {n_rows} are promised")
        places.append(place)
    dtype = "U" if kind.dtype == TEXT else kind.dtype.str
    return {"dtype": dtype, "levels": levels, "shape": shape, "order": kind.order, "places": places}


def _known_levels(
    files: Sequence[Any], groups: Sequence[tuple[int, int, int, bool]], column: int, levels: list[int | None]
) -> list[int]:
    """Return the lengths of lists at each level, as the first rows that have any tell. Raises UnfitError."""
    found = levels
    for number, group, *_ in groups:
        if None not in found:
            break
        for rows in files[number].columns(column, group, _LOOKED_AT_ONCE):
            rows.validate(full=True)
            found = lengths_in(rows, levels)
            if None not in found:
                break
    if None in found:
        what = "lists that are all null" if groups else "lists of a length that only rows would tell (0 rows)"
        raise UnfitError(f"{what}; was the run that wrote it ended early?")
    return [length for length in found if length is not None]


def _n_at_once(dtype: np.dtype[Any], shape: Sequence[int]) -> int:
    """Return how many rows are unpacked at once."""
    row_bytes = dtype.itemsize * prod(shape)
    return max(1, min(_MOST_ROWS_AT_ONCE, _PIECE_BYTES // row_bytes if row_bytes else _TEXTS_AT_ONCE))
