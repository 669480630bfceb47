"""The guts of `cka explain`: two addresses and options in, an Explanation out. Prints nothing; progress by callback."""

from dataclasses import replace

import numpy as np

from cka_cli.analysis.components import ComponentPairs, Explanation, Spectrum, pair_components, spectrum_of
from cka_cli.analysis.summary import sentence_of
from cka_cli.arrays import Float64
from cka_cli.errors import DataError, UsageError
from cka_cli.execution.checkpoint import Checkpoint
from cka_cli.execution.executors import Threads
from cka_cli.execution.loop import Loop
from cka_cli.files import open_file
from cka_cli.floating_point import quiet_arithmetic
from cka_cli.layers.addresses import matches, split_address
from cka_cli.layers.centring import load_centred
from cka_cli.layers.examples import file_facts, select_files
from cka_cli.layers.selection import SelectedLayer
from cka_cli.options import ReadOptions
from cka_cli.plan.request import check_enough_examples
from cka_cli.plan.whole_matrices import plan_explanation
from cka_cli.reductions.factors import LOST_BESIDE, factorise_layer
from cka_cli.reductions.far_rows import FAR_RATIO
from cka_cli.specs import Spec
from cka_cli.system.memory import default_memory_bytes, n_cores
from cka_cli.system.progress import Progress, silent
from cka_cli.text import first_few, listed

_MOST_NAMES, _MOST_RUNS = 12, 4


@quiet_arithmetic
def explain(
    x: str,
    y: str,
    *,
    read: ReadOptions = ReadOptions(),  # noqa: B008 - frozen
    memory_bytes: int | None = None,
    progress: Progress = silent,
) -> Explanation:
    """Return which principal components make the similarity of two layers: linear CKA, and CCA R² beside it.

    x, y : `FILE::LAYER`, or a `FILE` with one layer. memory_bytes : what the arrays may take; None for half of what
    is free. Exact: QR and SVD in float64 of both layers whole, n·p·min(n,p) multiplications each.
    Raises UsageError for an address of several layers, DataError for layers that are constant, do not belong together
    or do not fit in memory.
    """
    for address in (x, y):
        _check_one_layer(address, read)
    files, _, notes, warnings = select_files([x, y], read, progress, with_repeats=True)
    named = zip(files, (split_address(address)[1] for address in (x, y)), strict=True)
    layers = [next((each for each in file.layers if each.name == name), file.layers[0]) for file, name in named]
    check_enough_examples(layers[0], [Spec("cka")])
    memory_bytes = default_memory_bytes() if memory_bytes is None else memory_bytes
    n_threads = plan_explanation(layers, memory_bytes, n_cores())
    (x_spectrum, x_basis), (y_spectrum, y_basis) = _decompose(layers, n_threads, progress)
    pairs = pair_components(x_spectrum, x_basis, y_spectrum, y_basis)
    del x_basis, y_basis
    warnings += _warnings_of(pairs)
    facts = tuple(file_facts(replace(file, layers=(layer,))) for file, layer in zip(files, layers, strict=True))
    return Explanation(pairs, sentence_of(pairs), facts, (*warnings, *notes, *_notes_of(pairs)), tuple(warnings))


def _check_one_layer(address: str, read: ReadOptions) -> None:
    """Refuse an address of several layers before their shapes are: `FILE::LAYER` to the letter is one layer always."""
    path, pattern = split_address(address)
    names = [layer.name for layer in open_file(path, read).layers if pattern is None or matches(layer.name, pattern)]
    if len(names) > 1 and pattern not in names:
        raise UsageError(
            f"{address}: is {len(names)} layers ({first_few(names, _MOST_NAMES)}); "
            f"give one of them, as {path}::{names[0]}"
        )


def _decompose(layers: list[SelectedLayer], n_threads: int, progress: Progress) -> list[tuple[Spectrum, Float64]]:
    """Return the spectrum and the basis of each layer, worked out once for a layer that is given twice."""
    is_one = layers[0].label == layers[1].label
    todo = layers[:1] if is_one else layers
    n_bytes = [layer.layer.n_bytes for layer in todo]
    decomposed = Loop(Threads(n_threads), Checkpoint(), progress).each("factorising", _decomposed, todo, n_bytes)
    return decomposed * 2 if is_one else decomposed


def _decomposed(layer: SelectedLayer) -> tuple[Spectrum, Float64]:
    centred = load_centred(layer, np.dtype(np.float64))
    factors = factorise_layer(centred)
    if factors.rank == 0:
        raise DataError(
            f"{layer.label}: constant (every example is the same), so it has no components; give a layer that varies"
        )
    return spectrum_of(factors, layer.layer.file, layer.name, layer.saved_row(centred.far.farthest)), factors.basis


def _sides(pairs: ComponentPairs) -> tuple[Spectrum, ...]:
    return (pairs.x,) if pairs.x.label == pairs.y.label else (pairs.x, pairs.y)


def _warnings_of(pairs: ComponentPairs) -> list[str]:
    """Say which first component is but one row that lies far out."""
    warnings = []
    for side in _sides(pairs):
        if side.far_ratio > FAR_RATIO:
            rest = "only those behind it are of the rest"
            if side.far_ratio > LOST_BESIDE:
                rest = "those behind it have no digits, so CCA R² is nan"
            warnings.append(
                f"{side.label}: row {side.far_row} lies {side.far_ratio:.0e} times as far out as most rows (a lost "
                f"example?): the first component is that row, and {rest}; mend the file"
            )
    return warnings


def _notes_of(pairs: ComponentPairs) -> list[str]:
    """Say which components are arbitrary, and when CCA R² means nothing."""
    notes = []
    sides = _sides(pairs)
    for side in sides:
        if side.equal:
            runs = listed([f"{first} to {last}" for first, last in side.equal], "run")
            notes.append(
                f"{side.label}: components {runs} have equal variance, so each alone is arbitrary and only their sums "
                "mean anything"
            )
    advice = "give more examples, or --pool mean"
    if pairs.is_cca_lost:
        return notes  # a warning says so, and a forced value is none
    if pairs.is_saturated:
        names = " and ".join(side.label for side in sides if side.is_saturated)
        notes.append(
            f"CCA R²: 1 by force, which means nothing: {pairs.n_examples} examples are too few for the "
            f"{pairs.x.n_degrees} independent features of {names}; {advice}"
        )
    elif pairs.n_forced:
        notes.append(
            f"CCA R²: raised: the independent features of the layers ({pairs.x.rank} + {pairs.y.rank}) add up to more "
            f"than {pairs.x.n_degrees}, so {pairs.n_forced} of {min(pairs.alignment.shape)} correlations are 1 by "
            f"force; {advice}"
        )
    return notes
