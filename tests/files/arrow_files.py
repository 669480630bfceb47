"""Parquet and Arrow files for the tests, and datasets as `save_to_disk` of Hugging Face's datasets lays them out."""

import json
from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def column_of(array, *, is_large=False, is_fixed=True):
    """A column whose rows are those of an array: lists of lists for as many axes."""
    array = np.ascontiguousarray(array)
    column = pa.array(array.reshape(-1))
    for axis in range(array.ndim - 1, 0, -1):
        length, n = array.shape[axis], int(np.prod(array.shape[:axis]))
        if is_fixed and length:
            column = pa.FixedSizeListArray.from_arrays(column, length)
        else:
            kind = pa.LargeListArray if is_large else pa.ListArray
            column = kind.from_arrays(pa.array(np.arange(n + 1) * length, "i8" if is_large else "i4"), column)
    return column


def table_of(layers, **options):
    return pa.table({name: column_of(np.asarray(array), **options) for name, array in layers.items()})


def write_parquet(path, table, **options):
    pq.write_table(table, path, **options)
    return str(path)


def write_arrow(path, table, *, is_stream=False, n_rows=None, compression=None):
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with (pa.ipc.new_stream if is_stream else pa.ipc.new_file)(str(path), table.schema, options=options) as writer:
        writer.write_table(table, n_rows)
    return str(path)


def saved_dataset(path, table, n_files=2, **state):
    path = Path(path)
    path.mkdir(parents=True)
    n_rows = max(1, -(-len(table) // n_files))
    # In an order that is not that of their names.
    names = [f"data-{number:05}-of-{n_files:05}.arrow" for number in range(n_files)][::-1]
    for number, name in enumerate(names):
        write_arrow(path / name, table.slice(number * n_rows, n_rows), is_stream=True, n_rows=4)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names], **state}))
    (path / "dataset_info.json").write_text("{}")
    return str(path)
