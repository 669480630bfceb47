"""Which layers and which rows of the files given, and how their axes become examples × features."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from cka_cli.arrays import Array, Indices, pieces
from cka_cli.errors import DataError, UsageError, nearest
from cka_cli.files.layer import SINGLE_NUMBER, ActivationFile, Layer, refusal
from cka_cli.files.registry import open_file
from cka_cli.layers.addresses import check_channels, check_exclude, matches, matches_in, split_address, without_excluded
from cka_cli.layers.mistaken import check_shapes
from cka_cli.layers.row_metadata import read_vector
from cka_cli.layers.rows import Chosen, Rows, rows_of_files
from cka_cli.layers.sixteen_bits import check_dtype, of_dtype
from cka_cli.options import ReadOptions
from cka_cli.text import first_few

# Rows in between that are read and thrown away rather than read around.
_MAX_GAP = 16
_MOST_RUN_BYTES = 1 << 24


@dataclass(frozen=True, eq=False)
class SelectedLayer:
    """A layer seen as examples × features: chosen rows, in a chosen order, axes pooled.

    rows : which saved rows stand for examples, in order.
    n_positions : how many rows each saved row gives; above 1 only with `pool="positions"`.
    """

    layer: Layer
    rows: Rows
    pool: str = "flatten"
    channels_last: bool = False

    @property
    def label(self) -> str:
        """`FILE::LAYER`."""
        return self.layer.label

    @property
    def name(self) -> str:
        """The layer's name in its file."""
        return self.layer.name

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The dtype as saved."""
        return self.layer.dtype

    @property
    def _spatial_axes(self) -> tuple[int, ...]:
        n_axes = len(self.layer.shape)
        return tuple(range(1, n_axes - 1) if self.channels_last else range(2, n_axes))

    @property
    def n_positions(self) -> int:
        """Rows for each saved row: the number of spatial positions with `pool="positions"`, else 1."""
        if self.pool != "positions":
            return 1
        return prod(self.layer.shape[axis] for axis in self._spatial_axes)

    @cached_property
    def n_examples(self) -> int:
        """Rows once pooled."""
        return len(self.rows) * self.n_positions

    @cached_property
    def n_features(self) -> int:
        """Columns once pooled."""
        shape = self.layer.shape
        if self.pool == "flatten" or len(shape) <= 2:
            return prod(shape[1:])
        return shape[-1] if self.channels_last else shape[1]

    def saved_row(self, place: int) -> int:
        """Return which saved row a row of the selection comes from."""
        return int(self.rows[place // self.n_positions])

    def with_rows(self, rows: Rows) -> "SelectedLayer":
        """Return the same layer with other rows."""
        return replace(self, rows=rows)

    def blocks(self, max_bytes: int = 1 << 25) -> Iterator[tuple[slice | Indices, Array]]:
        """Give all values once, in the order they lie on disk unless they come in one go.

        Each time: where in the selection, and values, shape (n_rows, n_features).
        """
        n_block = max(1, max_bytes // max(1, self.layer.row_bytes()))
        if n_block > self.layer.n_first_axis:  # whole chunks, so that none is unpacked twice
            n_block -= n_block % self.layer.n_first_axis
        if isinstance(self.rows, range):
            for some in pieces(len(self.rows), n_block):
                raw = self.layer.read(self.rows.start + some.start, self.rows.start + some.stop)
                yield slice(some.start * self.n_positions, some.stop * self.n_positions), self._pooled(raw)
            return
        order = np.argsort(self.rows, kind="stable")
        saved = self.rows[order]
        for first in range(0, int(saved[-1]) + 1 if len(saved) else 0, n_block):
            low, high = np.searchsorted(saved, [first, first + n_block])
            if low == high:
                continue
            start, stop = int(saved[low]), int(saved[high - 1]) + 1
            raw = self.layer.read(start, stop)
            if high - low == len(saved):  # all at once: in their own order straight away
                yield slice(0, self.n_examples), self._pooled(raw[self.rows - start])
                return
            places = np.add.outer(order[low:high] * self.n_positions, np.arange(self.n_positions)).ravel()
            yield places, self._pooled(raw[saved[low:high] - start])

    @property
    def _n_per_part(self) -> int:
        """Features in one index of the second axis as saved; 0 when features do not follow that axis."""
        shape = self.layer.shape
        if len(shape) < 2 or (self.pool != "flatten" and self.channels_last):
            return 0
        return prod(shape[2:]) if self.pool == "flatten" else 1

    @cached_property
    def n_step(self) -> int:
        """Features in the smallest slice that can be read without reading, or unpacking, more."""
        n_per_part = self._n_per_part
        return min(self.n_features, n_per_part * self.layer.n_second_axis) if n_per_part else self.n_features

    def read(self, start: int, stop: int, features: slice) -> Array:
        """Return rows of the selection, or a slice of their features: shape (n_rows, n_slice_features).

        features : begins and ends at multiples of `n_step`, or at the last feature.
        """
        n_positions, n_per_part = self.n_positions, self._n_per_part
        part = slice(features.start // n_per_part, -(-features.stop // n_per_part)) if n_per_part else slice(None)
        first, last = start // n_positions, -(-stop // n_positions)
        rows = self.rows[first:last]
        raw = self.layer.read(rows.start, rows.stop, part) if isinstance(rows, range) else self._scattered(rows, part)
        pooled = self._pooled(raw)[start - first * n_positions : stop - first * n_positions]
        return pooled if n_per_part else pooled[:, features]

    def read_rows_at(self, rows: Indices, features: slice) -> Array:
        """Return rows of the selection that need not follow each other, or a slice of their features."""
        if self.n_positions > 1:
            return np.concatenate([self.read(row, row + 1, features) for row in rows.tolist()])
        return self.with_rows(np.asarray(self.rows)[rows]).read(0, len(rows), features)

    def _scattered(self, rows: Indices, part: slice) -> Array:
        """Return rows that do not follow each other, read run by run; a run takes no more than a block."""
        order = np.argsort(rows, kind="stable")
        saved = rows[order]
        n_most = max(1, _MOST_RUN_BYTES // max(1, self.layer.row_bytes(part)))
        max_gap = max(_MAX_GAP, self.layer.n_first_axis)
        gathered: Array | None = None
        first = 0
        while first < len(saved):
            run = saved[first : np.searchsorted(saved, saved[first] + n_most)]
            gaps = np.flatnonzero(np.diff(run) > max_gap)
            run = run[: gaps[0] + 1] if len(gaps) else run
            read = self.layer.read(int(run[0]), int(run[-1]) + 1, part)[run - run[0]]
            if gathered is None:
                gathered = np.empty((len(rows), *read.shape[1:]), read.dtype)
            gathered[order[first : first + len(run)]] = read
            first += len(run)
        assert gathered is not None
        return gathered

    def _pooled(self, raw: Array) -> Array:
        n_rows = len(raw)
        if raw.dtype == bool:
            raw = raw.view(np.uint8)
        if self.pool == "flatten" or raw.ndim <= 2:
            return raw.reshape(n_rows, -1)
        if self.pool == "positions":
            channels_last = raw if self.channels_last else np.moveaxis(raw, 1, -1)
            return channels_last.reshape(n_rows * self.n_positions, -1)
        if self.pool == "max":
            return np.asarray(raw.max(axis=self._spatial_axes))
        mean = np.asarray(raw.mean(axis=self._spatial_axes, dtype=np.float64))
        if raw.dtype.itemsize == 8 and not np.isfinite(mean).all():  # a sum may overflow where the mean does not
            n_positions = prod(raw.shape[axis] for axis in self._spatial_axes)
            mean = np.asarray((raw / n_positions).sum(axis=self._spatial_axes))
        return mean


@dataclass(frozen=True, eq=False)
class SelectedFile:
    """A file and those of its layers that are compared.

    left_out : arrays that were not chosen for what they are, each with the reason; empty when layers were named.
    assumed : names of the layers whose second axis was taken for the channels without being told.
    """

    file: ActivationFile
    layers: tuple[SelectedLayer, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()

    @property
    def n_saved(self) -> int:
        """Rows of the longest of the layers: what an array beside them has a value for each of."""
        return max(layer.layer.shape[0] for layer in self.layers)


def select_layers(addresses: Sequence[str], options: ReadOptions) -> list[SelectedFile]:
    """Return the layers that the addresses and options choose, with the same examples in every one.

    addresses : `FILE` or `FILE::GLOB`. Raises DataError naming the file and layer when counts or ids do not fit.
    """
    chosen: list[Chosen] = []
    all_left_out = []
    for address in addresses:
        path, pattern = split_address(address)
        file = open_file(path, options)
        _check_readable(file, [[pattern] if pattern is not None else [], options.layers], options.exclude)
        layers = _matching(file, [pattern] if pattern is not None else [])
        layers = _matching(replace(file, layers=layers), list(options.layers), every=file)
        if not layers:
            raise DataError(_nothing_there(file))
        is_named = pattern is not None or bool(options.layers)
        layers = without_excluded(file, layers, options.exclude)
        if not is_named and (note := check_shapes(file, layers)) is not None:
            file = replace(file, notes=(*file.notes, note))
        chosen.append((file, of_dtype(layers, options.dtype)))
        all_left_out.append({} if is_named else _would_be_layers(file) | _set_beside(file, options.exclude))
    check_exclude([file for file, _ in chosen], options.exclude)
    check_dtype([layer for _, of_file in chosen for layer in of_file], options.dtype)
    check_channels(_may_be_layers(chosen), [glob for glob, _ in _typed(options)])
    rows = rows_of_files(chosen, options)
    selected = []
    for (file, layers), left_out, file_rows in zip(chosen, all_left_out, rows, strict=True):
        as_examples = tuple(_as_examples(layer, file_rows, options) for layer in layers)
        assumed = tuple(layer.name for layer in layers if _is_assumed(layer, options))
        selected.append(SelectedFile(file, as_examples, left_out, assumed))
    _check_positions([layer for file in selected for layer in file.layers])
    return selected


def _would_be_layers(file: ActivationFile) -> dict[str, str]:
    return {name: why for name, why in file.refused.items() if why != SINGLE_NUMBER}


def _set_beside(file: ActivationFile, excluded: Sequence[str]) -> dict[str, str]:
    """Say in one note which integers were taken for no layers by their names."""
    names = [each.name for each in file.vectors if len(each.shape) > 1]
    names = [name for name in names if not any(matches(name, glob) for glob in excluded)]
    why = "integers of such a name are a layer only when named; say --layers to use them"
    return {first_few(names, 3): why} if names else {}


def _may_be_layers(chosen: Sequence[Chosen]) -> dict[str, list[str]]:
    """Return by path the names of the layers, those of one axis that were named, and what is damaged."""
    names: dict[str, list[str]] = {}
    for file, layers in chosen:
        names.setdefault(file.path, []).extend([each.name for each in (*file.layers, *layers)] + list(file.unreadable))
    return names


def _check_readable(file: ActivationFile, choices: Sequence[Sequence[str]], excluded: Sequence[str]) -> None:
    """Refuse a file of which an array is damaged that would be chosen: that must be said, not left out."""
    for name, why in file.unreadable.items():
        is_chosen = all(not patterns or any(matches(name, glob) for glob in patterns) for patterns in choices)
        if is_chosen and not any(matches(name, glob) for glob in excluded):
            raise DataError(f"{file.path}::{name}: {why}")


def _matching(file: ActivationFile, patterns: list[str], every: ActivationFile | None = None) -> tuple[Layer, ...]:
    """Return the layers that any of the patterns names; vectors only when named to the letter."""
    if not patterns:
        return file.layers
    candidates = {layer.name: layer for layer in file.layers}
    vectors = {vector.name: vector for vector in file.vectors}
    picked: dict[str, Layer] = {}
    for pattern in patterns:
        found = {name: layer for name, layer in candidates.items() if matches(name, pattern)}
        if not found and pattern in vectors:
            vector = vectors[pattern]
            if (why := refusal(vector.dtype)) is not None:
                raise DataError(f"{vector.label}: cannot be a layer: {why}")
            found = {pattern: vector}
        if not found:
            raise DataError(_no_such_layer(every or file, pattern))
        picked.update(found)
    order = {name: place for place, name in enumerate([*candidates, *vectors])}
    return tuple(picked[name] for name in sorted(picked, key=order.__getitem__))


def _no_such_layer(file: ActivationFile, pattern: str) -> str:
    for name, why in (file.refused | file.unreadable).items():
        if matches(name, pattern):
            return f"{file.path}::{name}: cannot be a layer: {why}"
    names = [layer.name for layer in file.layers]
    shown = first_few(names, 6) or "no layers"
    if file.vectors:
        shown += f"; {_vectors_of(file)}"
    return f"{file.path}::{pattern}: no such layer{nearest(pattern, names)} (the file has {shown})"


def _vectors_of(file: ActivationFile) -> str:
    of_one_axis = [vector.name for vector in file.vectors if len(vector.shape) == 1][:6]
    others = [vector.name for vector in file.vectors if len(vector.shape) > 1][:6]
    said = [("with one axis", of_one_axis), ("integers named", others)]
    return "; ".join(f"{what} {', '.join(names)}" for what, names in said if names)


def _nothing_there(file: ActivationFile) -> str:
    if not file.vectors and not file.refused:
        return f"{file.path}: holds no arrays ({file.format}); was the run that wrote it ended early?"
    if file.vectors and not _would_be_layers(file):
        return (
            f"{file.path}: holds no array that is a layer without being named (found {_vectors_of(file)}); "
            "name one in --layers to use it"
        )
    name, why = next(iter((_would_be_layers(file) or file.refused).items()))
    return f"{file.path}::{name}: cannot be a layer: {why}"


def read_groups(file: SelectedFile, name: str) -> Indices:
    """Return for each selected row the number of its group, from 0, as a one-axis array of the file says."""
    values = np.array(read_vector(file.file, name, file.n_saved, "groups"))[np.asarray(file.layers[0].rows)]
    groups = np.unique(values, return_inverse=True)[1].astype(np.intp)
    if groups.max(initial=0) == 0:
        raise DataError(f"{file.file.path}::{name}: all rows are of one group; give an array with several")
    return groups


def _channels_typed(layer: Layer, options: ReadOptions) -> str | None:
    """Return `first` or `last` as it was typed for a layer, None when it was not."""
    return next((axis for glob, axis in reversed(_typed(options)) if matches_in(layer.file, layer.name, glob)), None)


def _typed(options: ReadOptions) -> tuple[tuple[str, str], ...]:
    return (("*", options.channels),) if isinstance(options.channels, str) else options.channels or ()


def _is_assumed(layer: Layer, options: ReadOptions) -> bool:
    """Whether a layer is pooled and nobody said where its channels are."""
    return options.pool != "flatten" and len(layer.shape) > 2 and _channels_typed(layer, options) is None


def _check_assumed(layer: Layer, options: ReadOptions) -> None:
    """Raise UsageError unless the channels may be taken to come first: before a square picture, its last two axes."""
    shape, name = layer.shape, layer.name
    if len(shape) == 3:
        raise UsageError(
            f"{layer.label}: shape {shape} may be tokens × features or channels × positions; "
            f"say --channels '{name}=last' or '{name}=first' with --pool {options.pool}, "
            f"or '{layer.file}::*=last' for this file alone"
        )
    if shape[-2] != shape[-1]:
        raise UsageError(
            f"{layer.label}: shape {shape} may have its channels first or last (the last two axes are no square); "
            f"say --channels last or --channels first with --pool {options.pool}, '{name}=last' for this layer alone, "
            f"or '{layer.file}::*=last' for this file alone"
        )


def _as_examples(layer: Layer, rows: Rows, options: ReadOptions) -> SelectedLayer:
    if _is_assumed(layer, options):
        _check_assumed(layer, options)
    pool = "flatten" if len(layer.shape) <= 2 else options.pool
    selected = SelectedLayer(layer, rows, pool, _channels_typed(layer, options) == "last")
    if selected.n_features == 0 or selected.n_positions == 0:
        raise DataError(f"{layer.label}: has no features (shape {layer.shape}); leave it out with --layers")
    return selected


def _check_positions(layers: list[SelectedLayer]) -> None:
    for layer in layers[1:]:
        if layer.n_positions != layers[0].n_positions:
            raise DataError(
                f"{layer.label}: {layer.n_examples} rows when every position is an example, but {layers[0].label} "
                f"has {layers[0].n_examples}; choose layers of one size with --layers, or --pool mean"
            )
