"""One table of what users do wrong: what was typed, the exit status, and the whole line on standard error.

`{library}` stands for words of a library, which change with its version.
"""

# ruff: noqa: E501 - a line of the table is a line that a user sees

import os
import re
import shutil

import pytest

from tests.cli.command import run_child, run_here
from tests.small_files import make_wrong_files, state

TRUNCATED = "is not a readable HDF5 file ({library}); it may be cut short: copy or save it again"
TABLE = "give a report of cka compare, or a CSV of a line of column names, then lines of a name and numbers"
SIDECAR = 'as {"shape": [1000, 512], "dtype": "float32"}'
NO_FORMAT = "is of no format that its bytes tell (it begins with {library}); of raw values,"
NO_REPORT = "make one with cka compare --format json"

WRONG_FILES = [
    ("compare text.h5", 1, "text.h5: is not Arrow, HDF5, MATLAB 5, NPY, NPZ, Parquet, PyTorch, safetensors or zip of Zarr (it begins with b'conv1 0.'); give a file of saved activations"),
    ("inspect text.h5", 1, "text.h5: is not Arrow, HDF5, MATLAB 5, NPY, NPZ, Parquet, PyTorch, safetensors or zip of Zarr (it begins with b'conv1 0.'); give a file of saved activations"),
    ("compare empty.h5", 1, "empty.h5: is empty (0 bytes); was the run that wrote it ended early?"),
    ("compare cut.zarr", 1, "cut.zarr::cut: cannot be read (it is no metadata: no object of JSON); copy or save it again"),
    ("compare pickle.zarr", 1, "pickle.zarr::pickle: cannot be a layer: saved with the codec 'pickle', which is not undone here; save it with zstd, blosc or gzip"),
    ("compare a.h5 nowhere.h5", 1, "nowhere.h5: no such file or folder; check the name"),
    ("compare a.h5/conv1", 1, "a.h5/conv1: no such file or folder; a layer is addressed FILE::LAYER"),
    ("compare nothing", 1, "nothing: is a folder without files of activations (found notes.txt); give one of its files, or a folder of files of one format"),
    ("compare shards", 1, "shards::conv1: of its shards number 2 is missing between conv1_batch_1 and conv1_batch_3; add what is missing, or give --shards join to take them all the same, or --shards separate if they are layers"),
    ("compare doubled", 1, "doubled::batch: its shards cannot be joined: batch_01 and batch_1 have the same number, so nobody can tell which comes first; move one away, or give --shards separate if they are layers"),
    ("compare widths", 1, "widths::conv1: its shards cannot be joined: rows of batch_1 have the shape (4,), those of batch_0 (5,); save them alike, or give --shards separate if they are layers"),
    ("compare formats", 1, "formats: is a folder of files of several formats (a.npz is NPZ, b.h5 is HDF5); give them by themselves"),
    ("compare shards --shards both", 2, "--shards both: give join, separate, or a pattern of the files' names such as '{layer}_{shard}.npy'"),
    ("inspect shards --shards part-{shard}.npy", 2, "--shards part-{shard}.npy: no file is named so (found conv1_batch_0.npy, conv1_batch_1.npy, conv1_batch_3.npy); mend the pattern"),
    ("compare hollow.h5", 1, "hollow.h5: holds no arrays (HDF5); was the run that wrote it ended early?"),
    ("inspect hollow.h5", 1, "hollow.h5: holds no arrays (HDF5); was the run that wrote it ended early?"),
    ("compare pipe.h5", 1, "pipe.h5: is a pipe or a device, which gives its bytes only once; save it as a file"),
    ("compare cut5.h5", 1, "cut5.h5: is cut short (5 bytes in all); copy or save it again"),
    ("compare cut200.h5", 1, f"cut200.h5: {TRUNCATED}"),
    ("compare cut-tail.h5", 1, f"cut-tail.h5: {TRUNCATED}"),
    ("inspect cut-tail.h5", 1, f"cut-tail.h5: {TRUNCATED}"),
    ("compare cut3.npy", 1, "cut3.npy: is cut short (3 bytes in all); copy or save it again"),
    ("compare cut60.npy", 1, "cut60.npy: is not a readable NPY file ({library}); save it again"),
    ("compare cut-tail.npy", 1, "cut-tail.npy: is cut short (200 bytes of values where its header promises 240); save it again"),
    ("compare promises.npy", 1, "promises.npy: is cut short (240 bytes of values where its header promises 1980); save it again"),
    ("compare garbled.npy", 1, "garbled.npy: is not a readable NPY file (its header is no description of an array); save it again"),
    ("compare cut-tail.npz", 1, "cut-tail.npz: is not a readable NPZ archive ({library}); it may be cut short: copy or save it again"),
    ("compare cut-half.npz", 1, "cut-half.npz: is not a readable NPZ archive ({library}); it may be cut short: copy or save it again"),
    ("compare damaged.npz", 1, "damaged.npz::conv1: cannot be read ({library}); the file may be damaged: copy or save it again"),
    ("compare objects.npy", 1, "objects.npy::objects: cannot be a layer: object array, which only unpickling could read; save it as array.astype('float32'), text as astype('U')"),
    ("compare objects.npz", 1, "objects.npz::conv1: cannot be a layer: object array, which only unpickling could read; save it as array.astype('float32'), text as astype('U')"),
    ("compare appended.npy a.npy", 1, "appended.npy: holds more than one array (4 more arrays follow the first, of shape (12, 5)); join them with numpy.concatenate, and call numpy.save once"),
    ("inspect appended.npy", 1, "appended.npy: holds more than one array (4 more arrays follow the first, of shape (12, 5)); join them with numpy.concatenate, and call numpy.save once"),
    ("compare junk.npy", 1, "junk.npy: holds more than its array (4 bytes follow the 240 of shape (12, 5)); save it again"),
    ("compare joined.npz", 1, "joined.npz: {library} bytes stand before the archive (two archives joined into one?), which would not be read; give each archive by itself"),
    ("compare behind.npz", 1, "behind.npz: bytes follow the end of the archive (was something appended to it?); save it again"),
    ("compare joined.h5", 1, "joined.h5: {library} bytes follow the end that the file declares (two files joined, or was the run that wrote it ended early?), and would not be read; give each file by itself, or save it again"),
    ("compare member.npz", 1, "member.npz::conv1: holds more than one array (1 more array follows the first, of shape (12, 5)); join them with numpy.concatenate, and call numpy.save once"),
    ("compare cut.parquet", 1, "cut.parquet: is cut short (it ends with b'\\x00\\x00\\x00\\x00', a Parquet file with b'PAR1'); save it again"),
    ("compare hollow.parquet", 1, "hollow.parquet: is not a readable Parquet file ({library}); it may be cut short: copy or save it again"),
    ("compare encrypted.parquet", 1, "encrypted.parquet: is an encrypted Parquet file (it has b'PARE'); save it unencrypted"),
    ("inspect cut.arrow", 1, "cut.arrow: is not a readable Arrow file ({library}); it may be cut short: copy or save it again"),
    ("compare old.feather", 1, "old.feather: is a Feather file of version 1; save it with version=2"),
    ("compare splits", 1, "splits: holds datasets, one for each split (train, test); give splits/train or splits/test"),
    ("compare spoilt", 1, "spoilt::conv2: is cut short (200 bytes of values where its header promises 240); save it again"),
    ("compare spoilt::conv2", 1, "spoilt::conv2: is cut short (200 bytes of values where its header promises 240); save it again"),
    ("compare odd::notes", 1, "odd::notes: cannot be a layer: no NPY file (it begins with b'no arr'); save it with numpy.save"),
    ("compare odd --layers table", 1, "odd::table: cannot be a layer: a table (fields x, y); save its numbers with numpy.lib.recfunctions.structured_to_unstructured"),
    ("compare cut.safetensors", 1, "cut.safetensors: is cut short (200 bytes of values where its header promises 240); copy or save it again"),
    ("compare cut9.safetensors", 1, "cut9.safetensors: is cut short (9 bytes in all, where its header alone takes 72); copy or save it again"),
    ("inspect twice.safetensors", 1, "twice.safetensors: is not a readable safetensors file (312 bytes follow the 240 of its tensors); save it again"),
    ("compare garbled.safetensors", 1, "garbled.safetensors: is not a readable safetensors file (its header is not JSON: {library}); save it again"),
    ("compare shape.safetensors", 1, "shape.safetensors: is not a readable safetensors file (conv1: F32 of shape [12, 6] takes 288 bytes, not 240); save it again"),
    ("compare float8.safetensors", 1, "float8.safetensors::conv1: cannot be a layer: values of type F8_E4M3, which is not read; save it as float32"),
    ("compare raw.bin", 1, f"raw.bin: {NO_FORMAT} give raw.json with shape and dtype, {SIDECAR}"),
    ("inspect typeless.bin", 1, f"typeless.bin: {NO_FORMAT} write typeless.meta {SIDECAR} (it says no dtype)"),
    ("compare unfit.bin", 1, f"unfit.bin: has 240 bytes, but shape (12, 6) of float32, as unfit.bin.json says, takes 288; mend unfit.bin.json, {SIDECAR}, or save the values again"),
    ("compare strange.bin", 1, "strange.bin: strange.json beside it says dtype 'objects', which is no dtype of real numbers; write one such as float16, float32, bfloat16 or <f4"),
    ("compare negative.bin", 1, f"negative.bin: negative.json beside it says shape [-12, 5]; mend it, {SIDECAR}"),
    ("compare model.pkl", 1, "model.pkl: is a pickle, which could run code when loaded; save plain arrays with numpy.savez or h5py"),
    ("compare model.pt", 1, "model.pt: is a zip archive without NPY arrays (found model/data.pkl, model/data/0); save plain arrays with numpy.savez"),
    ("compare whole.pt", 1, "whole.pt: holds more than tensors (torch.nn.modules.linear.Linear), and could run code when loaded; save its tensors alone, as torch.save(model.state_dict(), path) or torch.save({name: tensor}, path) does"),
    ("compare old.pt", 1, "old.pt: is a file of torch in the format before 1.6, a pickle, which could run code when loaded; save it again with torch >= 1.6"),
    ("compare cut.pt", 1, "cut.pt: is not a readable PyTorch file ({library}); it may be cut short: copy or save it again"),
    ("inspect sparse.pt::conv3", 1, "sparse.pt::conv3: no such layer; did you mean 'conv2'? (the file has conv1, conv2)"),
    ("compare sparse.pt --layers conv2", 1, "sparse.pt::conv2: cannot be a layer: a sparse tensor; save tensor.to_dense()"),
]  # fmt: skip

WRONG_LAYERS = [
    ("compare a.h5::conv3", 1, "a.h5::conv3: no such layer; did you mean 'conv2'? (the file has conv1, conv2, fc)"),
    ("inspect a.h5::conv3", 1, "a.h5::conv3: no such layer; did you mean 'conv2'? (the file has conv1, conv2, fc)"),
    ("compare a.h5 --layers dense*", 1, "a.h5::dense*: no such layer (the file has conv1, conv2, fc)"),
    ("compare b.h5::lab*", 1, "b.h5::lab*: no such layer (the file has conv1; with one axis labels)"),
    ("compare a.h5 b.h5 --layers conv2", 1, "b.h5::conv2: no such layer; did you mean 'conv1'? (the file has conv1; with one axis labels)"),
    ("compare a.h5::", 2, "a.h5::: a layer is addressed FILE::LAYER (found an empty part)"),
    ("compare ::conv1", 2, "::conv1: a layer is addressed FILE::LAYER (found an empty part)"),
    ("compare complex.h5::conv1", 1, "complex.h5::conv1: cannot be a layer: complex numbers (complex64); save it as real numbers"),
    ("compare words.h5", 1, "words.h5::conv1: cannot be a layer: text, not numbers"),
    ("compare words.npy", 1, "words.npy::words: cannot be a layer: text, not numbers"),
    ("compare compound.npy", 1, "compound.npy::compound: cannot be a layer: a table (fields x, y); save its numbers with numpy.lib.recfunctions.structured_to_unstructured"),
    ("compare float8.npy", 1, "float8.npy::float8: cannot be a layer: bytes without a type (|V1; float8?); save it as float32"),
    ("compare ragged.h5", 1, "ragged.h5::conv1: cannot be a layer: a variable-length type (vlen of float32), a row of any length; save numpy.stack of rows of one length"),
    ("compare ragged.h5::conv2", 1, "ragged.h5::conv2: cannot be a layer: references to other datasets; save what they refer to"),
    ("compare matlab.h5", 1, "matlab.h5::cells: cannot be a layer: a cell array of MATLAB; save each cell as an array of its own"),
    ("compare cut.mat", 1, "cut.mat: is not a readable MATLAB file (what stands at byte 128 of its 136 promises 99 bytes); it may be cut short: copy or save it again"),
    ("compare old.mat", 1, "old.mat: is a MATLAB file of version 4; save it with save(..., '-v7.3')"),
    ("compare matlab.h5::words", 1, "matlab.h5::words: cannot be a layer: text of MATLAB, not numbers"),
    ("compare names.h5::names", 1, "names.h5::names: cannot be a layer: text, not numbers"),
    ("compare vectors.h5", 1, "vectors.h5: holds no array that is a layer without being named (found with one axis ids, labels); name one in --layers to use it"),
    ("compare weights.npz", 1, "weights.npz::down: shape (5, 6), but up has (6, 5); give activations with examples first (is it weights, or features × examples?), or name layers in --layers"),
    ("compare weights.npz --examples 0:4", 1, "weights.npz::down: shape (5, 6), but up has (6, 5); give activations with examples first (is it weights, or features × examples?), or name layers in --layers"),
    ("compare sparse.npz", 1, "sparse.npz::data: cannot be a layer: the values of a sparse matrix (beside indices and indptr); save what its toarray() gives"),
    ("compare gptq.npz", 1, "gptq.npz::fc.qweight: quantised integers (beside scales); save the values that they stand for"),
    ("compare gptq.npz::fc.scales", 1, "gptq.npz::fc.scales: of quantised integers (qweight); save the values that they stand for"),
    ("compare sentences.h5", 1, "sentences.h5: each array looks like one example, with layers on its first axis (found 64 arrays of shape (13, 3 to 13, 2)); save each layer by itself, of all examples, pooled over tokens; or name layers in --layers to take them as they are"),
    ("compare masks.npz", 1, "masks.npz: holds no array that is a layer without being named (found with one axis labels; integers named attention_mask, input_ids); name one in --layers to use it"),
    ("compare masks.npz::conv1", 1, "masks.npz::conv1: no such layer (the file has no layers; with one axis labels; integers named attention_mask, input_ids)"),
    ("compare masked.npz --ids input_ids", 1, "masked.npz::input_ids: no such one-axis array of ids (the file has labels); save the ids beside the layers, or leave out --ids"),
    ("compare links.h5::outside", 1, "links.h5::outside: cannot be a layer: external link to a.h5, which is never followed; give that file itself"),
    ("compare links.h5::dangling", 1, "links.h5::dangling: cannot be a layer: a link to /no/such, where nothing is; mend the link"),
    ("compare links.h5::here", 1, "links.h5::here: cannot be a layer: soft links in a circle; give the layer its own name"),
    ("compare links.h5::raw", 1, "links.h5::raw: cannot be a layer: its values lie in another file (raw.bin), which is never read; copy it into this file"),
    ("compare links.h5 --layers virtual", 1, "links.h5::virtual: cannot be a layer: a virtual dataset over other files, which are never read; copy it into one file"),
    ("compare no-features.h5", 1, "no-features.h5::conv1: has no features (shape (12, 0)); leave it out with --layers"),
    ("compare nan.h5", 1, "nan.h5::conv1: 2 values are not finite (NaN or infinite; 2 rows, the first is row 3); mend the file, or leave those examples out of every layer with --nonfinite drop"),
    ("compare fill.h5::conv1", 1, "fill.h5::conv1: 5 values are lost (they are the file's fill value, _FillValue -999.0; 1 row, the first is row 3); mend the file, or leave those examples out of every layer with --nonfinite drop"),
    ("compare fill.h5::conv2", 1, "fill.h5::conv2: cannot be a layer: its _FillValue is no number and no short list of them; mend the attribute, or take it away"),
    ("compare fill.h5::packed", 1, "fill.h5::packed: cannot be a layer: its scale_factor is no single number that values can be unpacked by; save them unpacked"),
    ("compare a.h5 inf.h5 --examples 2:", 1, "inf.h5::conv1: 4 values are not finite (NaN or infinite; 2 rows, the first is row 4); mend the file, or leave those examples out of every layer with --nonfinite drop"),
    ("compare tokens.h5 --pool mean", 2, "tokens.h5::conv1: shape (12, 4, 3) may be tokens × features or channels × positions; say --channels 'conv1=last' or 'conv1=first' with --pool mean, or 'tokens.h5::*=last' for this file alone"),
    ("compare flax.h5 --pool mean", 2, "flax.h5::conv1: shape (12, 4, 4, 3) may have its channels first or last (the last two axes are no square); say --channels last or --channels first with --pool mean, 'conv1=last' for this layer alone, or 'flax.h5::*=last' for this file alone"),
    ("match flax.h5 images.h5 --pool max", 2, "flax.h5::conv1: shape (12, 4, 4, 3) may have its channels first or last (the last two axes are no square); say --channels last or --channels first with --pool max, 'conv1=last' for this layer alone, or 'flax.h5::*=last' for this file alone"),
    ("diagnose film.npy --pool positions", 2, "film.npy::film: shape (12, 2, 4, 4, 3) may have its channels first or last (the last two axes are no square); say --channels last or --channels first with --pool positions, 'film=last' for this layer alone, or 'film.npy::*=last' for this file alone"),
    ("compare images.h5 --pool positions", 1, "images.h5::conv2: 108 rows when every position is an example, but images.h5::conv1 has 192; choose layers of one size with --layers, or --pool mean"),
]  # fmt: skip

WRONG_EXAMPLES = [
    ("compare uneven.h5", 1, "uneven.h5::conv2: 9 examples, but conv1 has 12; give layers of the same examples, choose layers that have them with --layers, or say which rows are the same ones in all, as --examples 0:9"),
    ("compare a.h5 short.h5", 1, "short.h5::conv1: 9 examples, but a.h5::conv1 has 12; give files of the same examples, choose layers that have them with --layers, or say which rows are the same ones in all, as --examples 0:9"),
    ("compare uneven.h5 --examples 3:", 1, "uneven.h5::conv2: 9 examples, but conv1 has 12; give layers of the same examples, choose layers that have them with --layers, or say which rows are the same ones in all, as --examples 0:9"),
    ("compare a.h5 short.h5 --examples=-5:", 1, "short.h5::conv1: 9 examples, but a.h5::conv1 has 12; give files of the same examples, choose layers that have them with --layers, or say which rows are the same ones in all, as --examples 0:9"),
    ("compare a.h5 short.h5 --examples 0:10", 2, "--examples: 10 is beyond the 9 examples of short.h5::conv1; give rows within them"),
    ("compare a.h5 short.h5 --examples 0:9 --sample 10", 2, "--sample 10: short.h5::conv1 has 9 examples to draw from; ask for fewer"),
    ("compare ids-objects --ids ids", 1, "ids-objects::ids: cannot be read as ids: object array, which only unpickling could read; save it as array.astype('float32'), text as astype('U')"),
    ("diagnose ids-objects --labels ids", 1, "ids-objects::ids: cannot be read as labels: object array, which only unpickling could read; save it as array.astype('float32'), text as astype('U')"),
    ("compare rows0.h5", 1, "rows0.h5::conv1: has no examples (0 rows); was the run that wrote it ended early?"),
    ("compare rows1.h5", 1, "rows1.h5::conv1: 1 examples, but cka needs at least 3{advice}"),
    ("compare rows2.h5", 1, "rows2.h5::conv1: 2 examples, but cka needs at least 3{advice}"),
    ("compare rows3.h5 -m cka-debiased", 1, "rows3.h5::conv1: 3 examples, but cka-debiased needs at least 4{advice}"),
    ("compare all-nan.h5 --nonfinite drop", 1, "all-nan.h5::conv1: 12 of 12 examples are not finite, and none is finite in every layer; mend the file, or leave the layer out with --layers"),
    ("compare fill.h5::conv1 --examples 3:4 --nonfinite drop", 1, "fill.h5::conv1: 1 of 1 examples are not finite or the file's fill value, and none is finite in every layer; mend the file, or leave the layer out with --layers"),
    ("heatmap a.h5 -o x.png --format svg", 2, "x.png: the name says png and --format says svg; make them agree"),
    ("compare images.h5 --pool mean --channels middle", 2, "--channels middle: give first, last, or GLOB=last or FILE::GLOB=last for some of the layers"),
    ("compare images.h5 --pool mean --channels conv11=last", 2, "--channels conv11: no file has such a layer; did you mean 'conv1'?; mend it or leave it out"),
    ("match images.h5 tokens.h5 --channels *=last --channels attn*=first", 2, "--channels attn*: no file has such a layer; mend it or leave it out"),
    ("diagnose b.h5 --channels labels=last", 2, "--channels labels: no file has such a layer; mend it or leave it out"),
    ("compare images.h5 tokens.h5 --channels tokens.h5::conf1=last", 2, "--channels tokens.h5::conf1: tokens.h5 has no such layer; did you mean 'conv1'?; mend it or leave it out"),
    ("explain a.h5::fc b.h5::conv1 --channels short.h5::*=last", 2, "--channels short.h5::*: no such file among those compared (found a.h5, b.h5); mend it or leave it out"),
    ("heatmap a.h5 -o x.png --channels ::fc=last", 2, "--channels ::fc: no such file among those compared (found a.h5); mend it or leave it out"),
    ("match a.h5 a.npz --report depth --channels b.h5::*=last", 2, "--channels b.h5::*: no such file among those compared (found a.npz); mend it or leave it out"),
    ("compare a.h5 b.h5 --dtype bf16", 2, "--dtype bf16: no layer of a.h5, b.h5 is of 16-bit integers (found float32); leave it out"),
    ("inspect a.h5 --dtype bf16", 2, "--dtype bf16: no layer of a.h5 is of 16-bit integers (found float32); leave it out"),
    ("match bits.npz a.h5 --report depth --dtype bf16", 2, "--dtype bf16: no layer of a.h5 is of 16-bit integers (found float32); leave it out"),
    ("diagnose fill.h5::short --dtype bf16", 1, "fill.h5::short: cannot be read as bfloat16 (attributes say what its integers mean); leave it out with --exclude, or take _FillValue, scale_factor and the like away"),
    ("compare a.h5 --memory 512", 2, "--memory 512: give a size with its unit, as 512MiB or 4GB (found '512')"),
    ("compare a.h5 --examples 5", 2, "--examples 5: rows are given as START:STOP, such as 0:1000 (found '5')"),
    ("compare a.h5 --examples 0:13", 2, "--examples: 13 is beyond the 12 examples of a.h5::conv1; give rows within them"),
    ("compare a.h5 --examples -13:", 2, "--examples: -13 is beyond the 12 examples of a.h5::conv1; give rows within them"),
    ("compare a.h5 --examples 9:3", 2, "--examples 9:3: chooses none of the 12 examples of a.h5::conv1; give START below STOP"),
    ("compare a.h5 --sample 13", 2, "--sample 13: a.h5::conv1 has 12 examples to draw from; ask for fewer"),
    ("compare a.h5 --sample 6 --examples 8:", 2, "--sample 6: a.h5::conv1 has 4 examples to draw from; ask for fewer"),
    ("compare a.h5 b.h5 --ids ids", 1, "a.h5::ids: no such one-axis array of ids (the file has none); save the ids beside the layers, or leave out --ids"),
    ("compare b.h5 --ids label", 1, "b.h5::label: no such one-axis array of ids; did you mean 'labels'? (the file has labels); save the ids beside the layers, or leave out --ids"),
    ("compare ids.h5 ids-other.h5 --ids ids", 1, "ids-other.h5::ids: 1 of 12 ids of ids.h5 is missing (0); give files of the same examples, or --examples START:STOP for rows of ids.h5 that are in all"),
    ("compare ids.h5 ids-fewer.h5 --ids ids", 1, "ids-fewer.h5::ids: 5 of 12 ids of ids.h5 are missing (0, 1, 2, ...); give files of the same examples, or --examples START:STOP for rows of ids.h5 that are in all"),
    ("match ids.h5 ids-other.h5 ids-fewer.h5 --ids ids --examples 4:11 --batch 4", 1, "ids-fewer.h5::ids: 1 of 7 ids of ids.h5 is missing (4); give files of the same examples, or --examples START:STOP for rows of ids.h5 that are in all"),
    ("compare ids-fewer.h5 ids.h5 --ids ids", 1, "ids-fewer.h5::ids: 5 of 12 ids of ids.h5 are missing (0, 1, 2, ...); give files of the same examples, or --examples 0:7 for those of ids-fewer.h5"),
    ("diagnose ids-fewer.h5 ids.h5 --ids ids --examples :-2", 1, "ids-fewer.h5::ids: 5 of 12 ids of ids.h5 are missing (0, 1, 2, ...); give files of the same examples, or --examples 0:7 for those of ids-fewer.h5"),
    ("compare ids.h5 ids-doubled.h5 --ids ids", 1, "ids-doubled.h5::ids: id 0 stands at more than one row; ids must be unique"),
    ("compare ids-short.h5 --ids ids", 1, "ids-short.h5::ids: 7 ids for 12 examples; give one for each row"),
]  # fmt: skip

WRONG_OUTPUTS = [
    ("compare a.h5 -o nowhere/x.csv", 1, "nowhere/x.csv: cannot be written (there is no folder nowhere); make it, or give another --output"),
    ("compare a.h5 -o a.h5/x.csv", 1, "a.h5/x.csv: cannot be written (Not a directory); give another --output"),
    ("compare a.h5 -o nothing", 1, "nothing: is a folder; give the name of a file in it"),
    ("compare a.h5 -o good.csv", 1, "good.csv: exists already; give --force to replace it, or another --output"),
    ("inspect a.h5 -o good.csv", 1, "good.csv: exists already; give --force to replace it, or another --output"),
    ("heatmap good.csv -o old.png", 1, "old.png: exists already; give --force to replace it, or another --output"),
    ("compare a.h5 -o a.h5", 2, "a.h5: is also an input; give another --output"),
    ("compare a.h5 b.h5 -o b.h5 -f", 2, "b.h5: is also an input; give another --output"),
    ("compare a.h5::conv1 -o link.h5 -f", 2, "link.h5: is also an input; give another --output"),
    ("compare link.h5 -o a.h5 -f", 2, "a.h5: is also an input; give another --output"),
    ("compare folder -o folder/conv1.npy -f", 2, "folder/conv1.npy: is also an input; give another --output"),
    ("inspect a.h5 -o a.h5 -f", 2, "a.h5: is also an input; give another --output"),
    ("heatmap good.csv -o good.csv -f --format png", 2, "good.csv: is also an input; give another --output"),
]  # fmt: skip

FORMATS = "name it .csv or .json, or say --format"
WRONG_FORMATS = [
    ("compare nowhere.h5 -o x.xlsx", 2, f"x.xlsx: no such report format (found '.xlsx'); {FORMATS}"),
    ("compare nowhere.h5 -o x.parquet", 2, f"x.parquet: no such report format (found '.parquet'); {FORMATS}"),
    ("compare nowhere.h5 -o x.csv.GZ", 2, f"x.csv.GZ: no such report format (found '.gz'); {FORMATS}"),
    ("compare nowhere.h5 -o x.tsv --dry-run", 2, f"x.tsv: no such report format (found '.tsv'); {FORMATS}"),
    ("match nowhere.h5 -o x.html", 2, f"x.html: no such report format (found '.html'); {FORMATS}"),
    ("explain nowhere.h5 a.h5 -o x.txt", 2, f"x.txt: no such report format (found '.txt'); {FORMATS}"),
    ("diagnose nowhere.h5 -o x.md", 2, f"x.md: no such report format (found '.md'); {FORMATS}"),
    ("inspect nowhere.h5 -o x.png", 2, f"x.png: no such report format (found '.png'); {FORMATS}"),
    ("measures -o x.yaml", 2, f"x.yaml: no such report format (found '.yaml'); {FORMATS}"),
    ("compare nowhere.h5 -o x.json --format csv", 2, "x.json: the name says json and --format says csv; make them agree"),
    ("compare nowhere.h5 -o x.json --format wide", 2, "x.json: the name says json and --format says wide; make them agree"),
    ("match nowhere.h5 -o x.csv --format json", 2, "x.csv: the name says csv and --format says json; make them agree"),
    ("inspect nowhere.h5 -o x.CSV --format table", 2, "x.CSV: the name says csv and --format says table; make them agree"),
]  # fmt: skip

WRONG_WORDS = [
    ("compare a.h5 -m ckaa", 2, "measure 'ckaa': no such measure; did you mean 'cka'? (see: cka measures)"),
    ("compare a.h5 -m cka:variance=1", 2, "measure 'cka:variance=1': cka has no parameter 'variance'; it takes none"),
    ("compare a.h5 -m svcca-r2:variance=2", 2, "measure 'svcca-r2:variance=2': variance must be a number above 0 and at most 1 (found '2')"),
    ("compare a.h5 -k rdf", 2, "kernel 'rdf': no such kernel; did you mean 'rbf'? (see: cka measures)"),
    ("compare a.h5 -k rbf:width=1", 2, "kernel 'rbf:width=1': rbf has no parameter 'width'; it takes sigma, gamma"),
    ("compare a.h5 -k rbf:sigma=0", 2, "kernel 'rbf:sigma=0': sigma must be a number above 0 (found '0')"),
    ("compare a.h5 -k rbf:sigma", 2, "kernel 'rbf:sigma': give 'sigma' one value, as sigma=VALUE"),
    ("compare a.h5 -k rbf:sigma=0.4,gamma=1", 2, "kernel 'rbf:sigma=0.4,gamma=1': sigma and gamma both set the width; give one of them"),
    ("compare a.h5 --memory lots", 2, "--memory lots: give a size with its unit, as 512MiB or 4GB (found 'lots')"),
    ("compare a.h5 --memory 0", 2, "--memory 0: give a size with its unit, as 512MiB or 4GB (found '0')"),
    ("compare nowhere.h5 -k rdf", 2, "kernel 'rdf': no such kernel; did you mean 'rbf'? (see: cka measures)"),
    ("compare a.h5 --format wide -m cka -m hsic", 2, "--format wide: holds one matrix (found 2); give one second file, one measure and one kernel, or use --format csv"),
    ("heatmap good.csv -o x.gif", 2, "x.gif: no such picture format (found '.gif'); name it .png, .svg or .pdf, or say --format"),
    ("heatmap good.csv -o x.png --layers p", 2, "--layers is for activation files, but good.csv is a report; give it to cka compare"),
]  # fmt: skip

WRONG_MATCHES = [
    ("match text.h5 a.h5", 1, "text.h5: is not Arrow, HDF5, MATLAB 5, NPY, NPZ, Parquet, PyTorch, safetensors or zip of Zarr (it begins with b'conv1 0.'); give a file of saved activations"),
    ("match a.h5::conv1 b.h5", 1, "a.h5: 1 layer, which leaves no choice; give two layers or more"),
    ("match b.h5", 1, "b.h5: 1 layer has no depth (found conv1); give two layers or more"),
    ("match a.h5 b.h5 --report depth", 1, "b.h5: 1 layer has no depth (found conv1); give two layers or more"),
    ("match a.h5 b.h5 --report accuracy", 1, "--report accuracy: needs as many layers in every file (found a.h5 3, b.h5 1); choose layers with --layers or --exclude, or give --report partners"),
    ("match a.h5 --report accuracy", 2, "--report accuracy: needs two files or more (found 1); give another file"),
    ("match a.h5 --report partners", 2, "--report partners: needs two files or more (found 1); give another file"),
    ("match a.h5 --threshold 1.5", 2, "--threshold 1.5: a similarity is above 0 and at most 1; 0.95 is usual"),
    ("match a.h5 --threshold nan", 2, "--threshold nan: a similarity is above 0 and at most 1; 0.95 is usual"),
    ("match a.h5 b.h5 -m kca", 2, "measure 'kca': no such measure; did you mean 'cka'? (see: cka measures)"),
    ("match a.h5 b.h5 -k rdf", 2, "kernel 'rdf': no such kernel; did you mean 'rbf'? (see: cka measures)"),
    ("match a.h5 short.h5", 1, "short.h5::conv1: 9 examples, but a.h5::conv1 has 12; give files of the same examples, choose layers that have them with --layers, or say which rows are the same ones in all, as --examples 0:9"),
    ("match a.h5 --batch 5 -m cca-r2", 2, "--batch: cca-r2 has no minibatch estimate; leave it out, or leave out --batch"),
    ("match a.h5 b.h5 --passes 2", 2, "--passes 2: are of the minibatch estimate; give --batch too, or leave it out"),
    ("match a.h5 --passes 7 --dry-run", 2, "--passes 7: are of the minibatch estimate; give --batch too, or leave it out"),
    ("compare a.h5 --passes 3", 2, "--passes 3: are of the minibatch estimate; give --batch too, or leave it out"),
    ("heatmap a.h5 -o x.png --passes 20", 2, "--passes 20: are of the minibatch estimate; give --batch too, or leave it out"),
    ("match a.h5 --plot x.gif", 2, "--plot x.gif: no such picture format (found '.gif'); name it .png, .svg or .pdf"),
    ("match a.h5 --plot -", 2, "--plot -: no such picture format (found '.'); name it .png, .svg or .pdf"),
    ("match a.h5 --plot old.png", 1, "old.png: exists already; give --force to replace it, or another --plot"),
    ("match a.h5 --plot x.png -o ./x.png", 2, "--plot x.png: is also the --output; give them names of their own"),
    ("match a.h5 --plot nowhere/x.png", 1, "nowhere/x.png: cannot be written (there is no folder nowhere); make it, or give another --plot"),
    ("match a.h5 b.h5 --checkpoint r.csv -o r.csv", 2, "--checkpoint r.csv: is also an input, the output or the plot; give another name"),
    ("match a.h5 b.h5 --checkpoint x.png --plot x.png", 2, "--checkpoint x.png: is also an input, the output or the plot; give another name"),
    ("compare a.h5 --stats --groups nosuch", 1, "a.h5::nosuch: no such one-axis array of groups (the file has none); save the groups beside the layers, or leave out --groups"),
    ("match a.h5 -o good.csv", 1, "good.csv: exists already; give --force to replace it, or another --output"),
]  # fmt: skip

WRONG_REPORTS = [
    ("text.csv", f"text.csv: is no matrix (found 2 × 1 cells); {TABLE}"),
    ("wide-header.csv", f"wide-header.csv: is no matrix (found 1 × 3 cells); {TABLE}"),
    ("ragged.csv", f"ragged.csv: line 2 has 2 cells where the first has 3; {TABLE}"),
    ("words.csv", "words.csv: line 2 holds 'high' where a number belongs; mend the line"),
    ("header.csv", "header.csv: holds a header and no values; give the whole report"),
    ("empty.csv", "empty.csv: is empty; give a CSV or JSON report (did the command before it fail?)"),
    ("commas.csv", "commas.csv: holds commas and nothing between them; give a CSV or JSON report"),
    ("quote.csv", "quote.csv: line 2 is not CSV (unexpected end of data); give a report of cka compare, or mend the line"),
    ("missing.csv", "missing.csv: no value for r × q (cka); give the whole report"),
    ("doubled.csv", "doubled.csv: line 3 gives p × p a second time (0, not 1); leave one of them out"),
    ("cut.csv", "cut.csv: line 3 has 4 cells where the header has 8; is the file cut short?"),
    ("comment.csv", "comment.csv: line 3 may be a comment or a row (# mean, 0.7); take the '#' away, or the line"),
    ("nameless.csv", "nameless.csv: its last column has values and no name; name each column, with 'layer' in the corner"),
    ("match.csv", "match.csv: is the CSV of cka match, which holds no matrix; give cka match --format json, or a report of cka compare"),
    ("table.csv", "table.csv: is a table of cka compare for a person, not for a program; leave out --format table"),
    ("other.json", f"other.json: is JSON, but no report of cka compare (it has no 'matrices'); {NO_REPORT}"),
    ("list.json", f"list.json: is JSON, but no report of cka compare (it is a list); {NO_REPORT}"),
    ("cut.json", "cut.json: is not JSON ({library}); is the file cut short?"),
    ("none.json", f"none.json: is a report without matrices; {NO_REPORT}"),
    ("uneven.json", f"uneven.json: is JSON, but no report of cka compare (values of shape (1, 2) for 1 × 1 layers); {NO_REPORT}"),
    ("no-cells.json", f"no-cells.json: is JSON, but no report of cka compare (values of shape (1, 0) for 1 × 0 layers); {NO_REPORT}"),
    ("garbage.csv", "garbage.csv: is not text in UTF-8 or UTF-16 (invalid start byte at byte 0); give a CSV or JSON report, saved as UTF-8"),
    ("nowhere.csv", "nowhere.csv: {library}"),
]  # fmt: skip

# click words these itself; what matters is the option or argument named, one line, and status 2.
CLICK = [
    ("compare", "Missing argument 'X'. (see: cka compare --help)"),
    ("inspect", "Missing argument 'FILE...'. (see: cka inspect --help)"),
    ("match", "Missing argument 'X [Y ...]'. (see: cka match --help)"),
    ("match a.h5 --report matrix", "Invalid value for '--report': 'matrix' is not one of {library} (see: cka match --help)"),
    ("match a.h5 --threshold high", "Invalid value for '--threshold': 'high' is not a valid float. (see: cka match --help)"),
    ("measures a.h5", "Got unexpected extra argument (a.h5) (see: cka measures --help)"),
    ("compare a.h5 --colour", "No such option{library}--colour{library}(see: cka compare --help)"),
    ("compare a.h5 --sample 0", "Invalid value for '--sample': 0 is not in the range x>=1. (see: cka compare --help)"),
    ("compare a.h5 --sample few", "Invalid value for '--sample': 'few' is not a valid integer range. (see: cka compare --help)"),
    ("compare images.h5 --pool median", "Invalid value for '--pool': 'median' is not one of {library} (see: cka compare --help)"),
    ("inspect a.h5 --dtype bfloat16", "Invalid value for '--dtype': 'bfloat16' is not {library} (see: cka inspect --help)"),
    ("compare a.h5 --format xml", "Invalid value for '--format': 'xml' is not one of {library} (see: cka compare --help)"),
    ("inspect a.h5 --format wide", "Invalid value for '--format': 'wide' is not one of {library} (see: cka inspect --help)"),
    ("comparison a.h5", "No such command 'comparison'.{library}(see: cka --help)"),
    ("compare a.h5 -o", "Option '-o' requires an argument."),
]  # fmt: skip

CASES = [
    *WRONG_FILES, *WRONG_LAYERS, *WRONG_EXAMPLES, *WRONG_OUTPUTS, *WRONG_FORMATS, *WRONG_WORDS, *WRONG_MATCHES,
    *((f"heatmap {name} -o x.png", 1, line) for name, line in WRONG_REPORTS),
    *((typed, 2, line) for typed, line in CLICK),
]  # fmt: skip


@pytest.fixture(scope="module")
def wrong_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    make_wrong_files(folder)
    return folder


@pytest.fixture
def here(wrong_files, monkeypatch):
    monkeypatch.chdir(wrong_files)
    return wrong_files


def is_line(err, expected):
    pattern = re.escape(expected).replace(r"\{library\}", ".+").replace(r"\{advice\}", "(; .+)?")
    return re.fullmatch(f"Error: {pattern}\n", err) is not None


@pytest.mark.parametrize(("typed", "status", "line"), CASES, ids=[typed for typed, _, _ in CASES])
def test_one_line_says_what_is_wrong(here, capsysbinary, typed, status, line):
    before = state(here)
    ended = run_here(typed.split(), capsysbinary)
    assert is_line(ended.err, line), ended.err
    assert (ended.status, ended.out) == (status, b"")
    assert state(here) == before


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (["compare", ""], 2, "a file has an empty name; give a file of saved activations (was a shell variable not set?)"),
        (["compare", "a.h5", "-o", ""], 2, "--output: the name is empty; give the name of a file, or - for standard output"),
        (["compare", "no\nsuch.h5"], 1, r"no\nsuch.h5: no such file or folder; check the name"),
        (["compare", "two  blanks.h5"], 1, "two  blanks.h5: no such file or folder; check the name"),
        (["compare", "\x1b[31mred.h5"], 1, r"\x1b[31mred.h5: no such file or folder; check the name"),
        (["compare", "[/x].h5"], 1, "[/x].h5: no such file or folder; check the name"),
        (["compare", "a.h5", "-m", "c\nka"], 2, r"measure 'c\nka': no such measure; did you mean 'cka'? (see: cka measures)"),
    ],
)  # fmt: skip
def test_strange_names_stay_on_one_line(here, capsysbinary, arguments, status, line):
    ended = run_here(arguments, capsysbinary)
    assert (ended.status, ended.out, ended.err) == (status, b"", f"Error: {line}\n")


def test_a_file_that_its_writer_left_open(here, capsysbinary):
    ended = run_here(["compare", "left open.h5"], capsysbinary)
    line = (
        "left open.h5: is still open in the program that writes it, or that program died ({library}); "
        "wait until it has ended, or run: h5clear -s 'left open.h5'"
    )
    assert is_line(ended.err, line), ended.err
    assert (ended.status, ended.out) == (1, b"")


def test_what_stops_one_array_of_a_folder_stops_no_other(here, capsysbinary):
    assert run_here(["compare", "spoilt", "--layers", "conv1"], capsysbinary).err == ""
    assert run_here(["compare", "spoilt", "--exclude", "conv2"], capsysbinary).err == ""
    ended = run_here(["compare", "odd"], capsysbinary)
    assert ended.out.splitlines()[1].startswith(b"odd,conv1,odd,conv1,cka,linear,12,")
    assert ended.err.splitlines() == [
        "Note: odd::notes left out: no NPY file (it begins with b'no arr'); save it with numpy.save",
        "Note: odd::table left out: a table (fields x, y); "
        "save its numbers with numpy.lib.recfunctions.structured_to_unstructured",
    ]


def test_a_folder_without_permission_to_write(here, capsysbinary, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    ended = run_here(["compare", "a.h5", "-o", "nothing/x.csv"], capsysbinary)
    line = "nothing/x.csv: cannot be written (no permission to write in nothing); give another --output"
    assert (ended.status, ended.out, ended.err) == (1, b"", f"Error: {line}\n")


def test_a_file_without_permission_to_read(here, capsysbinary, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("cka_cli.files.registry.os.stat", refuse)
    ended = run_here(["compare", "a.h5"], capsysbinary)
    line = "a.h5: cannot be opened (Permission denied); check its name and permissions"
    assert (ended.status, ended.out, ended.err) == (1, b"", f"Error: {line}\n")


def test_more_memory_than_there_is(here, capsysbinary, monkeypatch):
    def too_much(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr("cka_cli.api.compare.compare", too_much)
    ended = run_here(["compare", "a.h5"], capsysbinary)
    line = "out of memory; use fewer layers (--layers), fewer examples (--sample) or --pool mean"
    assert (ended.status, ended.out, ended.err) == (1, b"", f"Error: {line}\n")


def test_what_cannot_be_a_layer_is_left_out_with_a_note_each(here, capsysbinary):
    ended = run_here(["compare", "links.h5"], capsysbinary)
    assert ended.status == 0
    assert ended.out.splitlines()[1].startswith(b"links.h5,conv1,links.h5,conv1,cka,linear,12,")
    assert len(ended.out.splitlines()) == 2
    assert ended.err.splitlines() == [
        "Note: links.h5::dangling left out: a link to /no/such, where nothing is; mend the link",
        "Note: links.h5::here left out: soft links in a circle; give the layer its own name",
        "Note: links.h5::outside left out: external link to a.h5, which is never followed; give that file itself",
        "Note: links.h5::raw left out: its values lie in another file (raw.bin), which is never read; copy it into this file",
        "Note: links.h5::there left out: soft links in a circle; give the layer its own name",
        "Note: links.h5::virtual left out: a virtual dataset over other files, which are never read; copy it into one file",
    ]
    assert run_here(["compare", "links.h5", "--quiet"], capsysbinary).err == ""


def test_every_length_of_a_cut_hdf5_file_is_one_line(here, capsysbinary, tmp_path):
    whole = (here / "a.h5").read_bytes()
    for n_bytes in (*range(1, 48), *range(48, len(whole), 331), len(whole) - 1):
        cut = tmp_path / "cut.h5"
        cut.write_bytes(whole[:n_bytes])
        ended = run_here(["compare", cut], capsysbinary)
        assert (ended.status, ended.out) == (1, b"")
        assert re.fullmatch(rf"Error: {re.escape(str(cut))}: .*cut short.*\n", ended.err)


@pytest.mark.parametrize("source", ["a.npy", "a.npz"])
def test_every_length_of_a_cut_array_is_one_line(here, capsysbinary, tmp_path, source):
    whole = (here / source).read_bytes()
    for n_bytes in range(1, len(whole), 13):
        cut = tmp_path / "cut"
        cut.write_bytes(whole[:n_bytes])
        ended = run_here(["compare", cut], capsysbinary)
        assert (ended.status, ended.out) == (1, b"")
        assert re.fullmatch(rf"Error: {re.escape(str(cut))}: .+\n", ended.err)


def test_verbose_shows_where_an_error_comes_from(here, capsysbinary):
    ended = run_here(["compare", "text.h5", "-v"], capsysbinary)
    assert ended.status == 1
    assert ended.err.startswith("Traceback")
    assert ended.err.splitlines()[-1].startswith("Error: text.h5: is not Arrow")


@pytest.mark.parametrize(
    "typed", ["compare text.h5", "compare cut-tail.h5", "compare a.h5 -k rdf", "heatmap text.csv -o x.png", "inspect nowhere.h5"]
)  # fmt: skip
def test_a_shell_sees_the_same(here, typed):
    status, line = next(
        case[1:]
        for case in [*CASES, ("inspect nowhere.h5", 1, "nowhere.h5: no such file or folder; check the name")]
        if case[0] == typed
    )
    ended = run_child(typed.split(), cwd=here)
    assert is_line(ended.err, line), ended.err
    assert (ended.status, ended.out) == (status, b"")


def test_nothing_typed_shows_the_help_on_standard_error(here, capsysbinary):
    ended = run_here([], capsysbinary)
    assert (ended.status, ended.out) == (2, b"")
    assert ended.err.startswith("Usage: cka [OPTIONS] COMMAND [ARGS]...\n")


def test_an_old_output_survives_an_error(here, capsysbinary, tmp_path):
    shutil.copy(here / "good.csv", tmp_path / "out.csv")
    before = state(tmp_path)
    assert run_here(["compare", "nan.h5", "-o", tmp_path / "out.csv", "-f"], capsysbinary).status == 1
    assert state(tmp_path) == before
