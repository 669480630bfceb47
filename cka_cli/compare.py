"""The guts of `cka compare`: paths and options in, a Comparison out. Prints nothing; progress by callback."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cka_cli.activations import ReadOptions, SelectedLayer, select_layers
from cka_cli.activations.selection import SelectedFile
from cka_cli.cca import FactorPair
from cka_cli.centred import CentredLayer, compute_dtype, find_nonfinite_examples, load_centred
from cka_cli.errors import DataError, UsageError
from cka_cli.factors import Factors, factorise
from cka_cli.matrix import Comparison, FileFacts, LayerFacts, Matrix
from cka_cli.measures import MEASURES, values_from_sums
from cka_cli.names import Spec, parse_kernel, parse_measure
from cka_cli.threads import in_order
from cka_cli.tiles import GramJob, GramLayer, gram_scales, gram_sums, has_gram, prepare

Float64 = NDArray[np.float64]
# Called with the stage, and how much of it is done of how much in all.
Progress = Callable[[str, int, int], None]


def _silent(stage: str, done: int, total: int) -> None:
    return None


@dataclass(frozen=True)
class _Loaded:
    """What is kept of the layers once read: what Gram sums need, what the CCA family needs, or both."""

    grams: list[GramLayer]
    factors: list[Factors]
    is_constant: list[bool]


def compare(
    x: str,
    ys: Sequence[str] = (),
    *,
    measures: Sequence[str] = ("cka",),
    kernels: Sequence[str] = ("linear",),
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    precision: str = "auto",
    n_threads: int = 1,
    progress: Progress = _silent,
) -> Comparison:
    """Return the similarities of the layers of X with those of each Y, or with each other when X is alone.

    x, ys : `FILE` or `FILE::LAYER`. measures, kernels : as typed on the command line.
    Each layer is read once and each of its Gram matrices is computed once, however many pairs and measures need it.
    Values are float64, NaN where a measure has none; the notes of the result say why.
    Raises UsageError for options that do not fit, DataError for files that do not.
    """
    measure_specs = list(dict.fromkeys(parse_measure(text) for text in measures))
    kernel_specs = list(dict.fromkeys(parse_kernel(text) for text in kernels))
    if not measure_specs or not kernel_specs:
        raise UsageError("no measure or no kernel; give at least one of each")
    files = select_layers([x, *ys], read)
    notes: list[str] = _left_out(files)
    if read.nonfinite == "drop":
        files = _drop_nonfinite(files, notes, progress)
    layers = [layer for file in files for layer in file.layers]
    _check_enough_examples(layers[0], measure_specs)
    gram_measures = [spec for spec in measure_specs if MEASURES[spec.name].takes_kernel]
    loaded = _load(layers, measure_specs, kernel_specs if gram_measures else [], precision, n_threads, progress)
    _note_constant(layers, loaded.is_constant, notes)
    ends = np.cumsum([0, *(len(file.layers) for file in files)]).tolist()
    x_slice, y_slice = slice(0, ends[1]), slice(ends[1] if ys else 0, ends[-1])
    values: dict[tuple[Spec, Spec | None], Float64] = {}
    if gram_measures:
        job = GramJob(loaded.grams, kernel_specs, x_slice, y_slice)
        values |= _gram_values(job, gram_measures, layers, n_threads, notes, progress)
    pair_measures = [spec for spec in measure_specs if spec not in gram_measures]
    if pair_measures:
        _note_saturated(loaded.factors, layers, pair_measures, notes)
        values |= _pair_values(loaded.factors, pair_measures, x_slice, y_slice, n_threads, progress)
    matrices = _matrices(files, measure_specs, kernel_specs, values)
    return Comparison(matrices, tuple(_facts(file) for file in files), tuple(notes))


def _left_out(files: list[SelectedFile]) -> list[str]:
    return [f"{file.file.path}::{name} left out: {why}" for file in files for name, why in file.file.refused.items()]


def _drop_nonfinite(files: list[SelectedFile], notes: list[str], progress: Progress) -> list[SelectedFile]:
    layers = [layer for file in files for layer in file.layers]
    bad: set[int] = set()
    for done, layer in enumerate(layers, start=1):
        bad.update(find_nonfinite_examples(layer).tolist())
        progress("checking values", done, len(layers))
    if not bad:
        return files
    n_before = len(layers[0].rows)
    keep = np.setdiff1d(np.arange(n_before, dtype=np.intp), np.array(sorted(bad), dtype=np.intp))
    notes.append(f"{len(bad)} of {n_before} examples left out of every layer: not finite in at least one")
    if not len(keep):
        raise DataError(f"{layers[0].label}: no example is finite in every layer; mend the files")
    return [
        SelectedFile(file.file, tuple(layer.with_rows(np.asarray(layer.rows)[keep]) for layer in file.layers))
        for file in files
    ]


def _check_enough_examples(layer: SelectedLayer, specs: list[Spec]) -> None:
    for spec in specs:
        needed = MEASURES[spec.name].min_examples
        if layer.n_examples < needed:
            raise DataError(f"{layer.label}: {layer.n_examples} examples, but {spec.name} needs at least {needed}")


def _load(
    layers: list[SelectedLayer],
    measures: list[Spec],
    kernels: list[Spec],
    precision: str,
    n_threads: int,
    progress: Progress,
) -> _Loaded:
    needs_factors = any(not MEASURES[spec.name].takes_kernel for spec in measures)
    dtypes = [compute_dtype(layer.dtype, precision) for layer in layers]
    # One dtype for all: tiles of all layers are multiplied with each other.
    dtype = max(dtypes, key=lambda each: each.itemsize)
    total = sum(layer.layer.n_bytes for layer in layers)
    done = [0]

    def count(n_bytes: int) -> None:
        done[0] += n_bytes
        progress("reading", min(done[0], total), total)

    def load_one(layer: SelectedLayer) -> tuple[GramLayer | None, Factors | None, bool]:
        centred = load_centred(layer, np.dtype(np.float64) if needs_factors else dtype, count)
        factors = factorise(layer.label, centred.values) if needs_factors else None
        if dtype == np.float32:
            centred = centred.single()
        return prepare(centred, kernels) if kernels else None, factors, centred.is_constant

    results = list(in_order(load_one, layers, n_threads))
    return _Loaded(
        [gram for gram, _, _ in results if gram is not None],
        [factors for _, factors, _ in results if factors is not None],
        [is_constant for _, _, is_constant in results],
    )


def _note_constant(layers: list[SelectedLayer], is_constant: list[bool], notes: list[str]) -> None:
    names = [layer.label for layer, constant in zip(layers, is_constant, strict=True) if constant]
    if names:
        notes.append(f"{_listed(names)}: constant (every example is the same), so its values are nan")


def _note_saturated(factors: list[Factors], layers: list[SelectedLayer], specs: list[Spec], notes: list[str]) -> None:
    measures = [spec.name for spec in specs if MEASURES[spec.name].saturates]
    names = [layer.label for layer, each in zip(layers, factors, strict=True) if each.is_saturated and each.rank > 0]
    if measures and names:
        n_examples = layers[0].n_examples
        notes.append(
            f"{', '.join(measures)}: 1 for {_listed(names)} whatever the other layer, which means nothing: "
            f"{n_examples} examples are too few for {n_examples - 1} or more independent features; "
            "use cka or cka-debiased, more examples, or --pool mean"
        )


def _listed(names: list[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:4]) + (f" and {len(unique) - 4} more layers" if len(unique) > 4 else "")


def _gram_values(
    job: GramJob,
    measures: list[Spec],
    layers: list[SelectedLayer],
    n_threads: int,
    notes: list[str],
    progress: Progress,
) -> dict[tuple[Spec, Spec | None], Float64]:
    all_sums = gram_sums(job, n_threads, lambda done, total: progress("comparing", done, total))
    values: dict[tuple[Spec, Spec | None], Float64] = {}
    for kernel, sums in zip(job.kernels, all_sums, strict=True):
        flat = np.zeros(len(layers), bool)
        for spec in measures:
            values[spec, kernel], is_flat = values_from_sums(MEASURES[spec.name], sums, gram_scales(job, kernel))
            flat |= is_flat
        _note_flat(job, kernel, flat, layers, notes)
    return values


def _note_flat(
    job: GramJob, kernel: Spec, flat: NDArray[np.bool_], layers: list[SelectedLayer], notes: list[str]
) -> None:
    varying = [(layer, gram) for layer, gram, is_flat in zip(layers, job.layers, flat, strict=True)
               if is_flat and not gram.is_constant]  # fmt: skip
    no_width = [layer.label for layer, gram in varying if not has_gram(gram, kernel)]
    others = [layer.label for layer, gram in varying if has_gram(gram, kernel)]
    if no_width:
        notes.append(
            f"{_listed(no_width)}: more than half of the distances are 0, so {kernel} has no width and its values "
            "are nan; give -k rbf:gamma=VALUE"
        )
    if others:
        notes.append(f"{_listed(others)}: the {kernel} kernel is constant to rounding, so its values are nan")


def _pair_values(
    factors: list[Factors],
    measures: list[Spec],
    x: slice,
    y: slice,
    n_threads: int,
    progress: Progress,
) -> dict[tuple[Spec, Spec | None], Float64]:
    pairs = list(product(factors[x], factors[y]))

    def all_measures(pair: tuple[Factors, Factors]) -> list[float]:
        joined = FactorPair(*pair)
        return [_pair_value(spec, joined) for spec in measures]

    rows = []
    for done, row in enumerate(in_order(all_measures, pairs, n_threads), start=1):
        rows.append(row)
        progress("comparing pairs", done, len(pairs))
    table = np.array(rows, dtype=np.float64).reshape(len(factors[x]), len(factors[y]), len(measures))
    return {(spec, None): table[:, :, place] for place, spec in enumerate(measures)}


def _pair_value(spec: Spec, pair: FactorPair) -> float:
    from_pair = MEASURES[spec.name].from_pair
    assert from_pair is not None
    return from_pair(pair, spec)


def _matrices(
    files: list[SelectedFile],
    measures: list[Spec],
    kernels: list[Spec],
    values: dict[tuple[Spec, Spec | None], Any],
) -> tuple[Matrix, ...]:
    x, others = files[0], files[1:] or files[:1]
    matrices = []
    start = 0
    for y in others:
        columns = slice(start, start + len(y.layers))
        start = columns.stop
        for spec in measures:
            for kernel in kernels if MEASURES[spec.name].takes_kernel else [None]:
                matrices.append(
                    Matrix(
                        values[spec, kernel][:, columns],
                        tuple(layer.name for layer in x.layers),
                        tuple(layer.name for layer in y.layers),
                        x.file.path,
                        y.file.path,
                        str(spec),
                        str(kernel or ""),
                        x.layers[0].n_examples,
                    )
                )
    return tuple(matrices)


def _facts(file: SelectedFile) -> FileFacts:
    status = Path(file.file.path).stat()
    size = status.st_size
    if Path(file.file.path).is_dir():
        size = sum(entry.stat().st_size for entry in Path(file.file.path).glob("*.npy"))
    modified = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
    layers = tuple(
        LayerFacts(layer.name, layer.layer.shape, str(layer.dtype), layer.n_features) for layer in file.layers
    )
    return FileFacts(file.file.path, size, modified, layers)


__all__ = ["CentredLayer", "compare"]
