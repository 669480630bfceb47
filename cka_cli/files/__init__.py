"""Activation files of every format there is a reader of, recognised by their bytes, read only when needed.

`registry` has a row for each format and opens files; `layer` is what a file gives; `sorting` tells layers from what can
be none. Of each array only the header is read, and a reader is made that gives rows, from several threads and, pickled,
in other processes. It takes values from where they lie with plain reads, and `source_file` sees that the file is still
the one whose header was read.

Files come from anyone, and the HDF5 library survives neither damaged headers nor some damaged chunks. So there are
five ways to read HDF5, and `hdf5` chooses:

| what | read by | because |
|---|---|---|
| headers | a child that may fail (`sandbox.tried`), then by us what it could | the library crashes, or never ends |
| values in one piece, as numpy has them | `contiguous.PlainRows` | no lock of the library, no memory beside them |
| chunks of gzip, shuffle or no filter | `hdf5_chunks.ChunkRows` | damage is seen; threads unpack at once |
| all else: other filters, text, MATLAB | the library in a child (`hdf5_worker`) | a bad chunk ends a process |
| the same where no child can be had | the library here (`hdf5_worker`) | there is no other way |

A file of `torch.save` is an archive (`torch_file`) with a pickle, which `torch_pickle` reads and never runs; what its
tensors show of their storages is read by `strided` where it is not in one piece.

A chunk too large for memory is unpacked into a nameless file by `spill`, as arrays of archives are. `hdf5_superblock`
knows where a file ends, `hdf5_filters` which package brings a filter, `netcdf` and `matlab` what numbers and axes mean.

Zarr is read by `zarr`, chunk by chunk: `zarr_store` lists what is there, `zarr_metadata` checks what an array says,
`zarr_codecs` undoes a chunk, and gives it no more memory than it has bytes. MATLAB before 7.3 is read by `matlab5`.

Files of a `folder` may be rows of the same layers: `shards` tells it by their names, and `joined` reads from them.
"""

from cka_cli.files.registry import open_file

__all__ = ["open_file"]
