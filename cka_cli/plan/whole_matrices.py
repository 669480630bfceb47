"""What is held whole, and what that takes, from shapes alone: pure arithmetic, as in the planner.

`cka explain` holds two layers and their bases, `cka diagnose` four Gram matrices of every layer, and counted
permutations the Gram matrices of all layers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cka_cli.errors import DataError
from cka_cli.layers.selection import SelectedLayer
from cka_cli.reductions.factors import work_bytes
from cka_cli.text import MIB, memory_text

# A block as saved and as an array, and what a reader unpacks beside it (`files/spill.IN_MEMORY_BYTES`).
_READ_BYTES, _UNPACKED_BYTES = 1 << 25, 1 << 24
# A layer larger than this, as float64, is diagnosed in slices of so many bytes.
_MOST_LAYER_BYTES, SLICE_BYTES = 1 << 28, 1 << 24
# n × n numbers of a diagnosis: those of a layer that are kept; at most while it is read, and while its components are
# sought in the kept ones; and at work on a pair beside the kept ones of both.
_N_KEPT, _N_READING, _N_DECOMPOSING, _N_PAIRING = 4, 6, 8, 6
# Copies of a slice while its values are ranked, and while it is read.
_N_RANKING, _N_SLICES = 3, 3


def _float64_bytes(layer: SelectedLayer) -> int:
    """Bytes of all values of a layer as float64."""
    return 8 * layer.n_examples * layer.n_features


def reading_bytes(layer: SelectedLayer) -> int:
    """Bytes on the way from the file while all rows are read, block by block."""
    n_saved = layer.layer.n_bytes
    return 2 * min(_READ_BYTES, n_saved) + min(_UNPACKED_BYTES, n_saved)


def plan_explanation(layers: Sequence[SelectedLayer], memory_bytes: int, n_threads: int) -> int:
    """Return how many of two layers are decomposed at once; DataError that names the least that would do for one."""
    x, y = layers
    needed = explaining_bytes(x, y)
    if needed > memory_bytes:
        raise DataError(
            f"--memory {memory_text(memory_bytes)}: too little to decompose {x.label} and {y.label}, which are held "
            f"whole; give at least --memory {-(-needed // MIB)}MiB, or fewer examples (--sample) or --pool mean"
        )
    return min(2, n_threads) if explaining_bytes(x, y, is_at_once=True) <= memory_bytes else 1


def explaining_bytes(x: SelectedLayer, y: SelectedLayer, *, is_at_once: bool = False) -> int:
    """Return the bytes that two layers take, decomposed one by one or at once.

    A layer, its basis, the work of factorising it and a block being read, while the other layer's basis is kept; then
    both bases and the alignments of all pairs, or these with their contributions and work on them.
    """
    ranks = [min(each.n_examples, each.n_features) for each in (x, y)]
    x_basis, y_basis = (8 * each.n_examples * rank for each, rank in zip((x, y), ranks, strict=True))
    x_peak, y_peak = (
        _float64_bytes(each) + basis + work_bytes(each.n_examples, each.n_features) + reading_bytes(each)
        for each, basis in ((x, x_basis), (y, y_basis))
    )
    decomposing = x_peak + y_peak if is_at_once else max(x_peak, x_basis + y_peak)
    alignment = 8 * math.prod(ranks)
    return max(decomposing, x_basis + y_basis + alignment, 6 * alignment)


@dataclass(frozen=True)
class DiagnosisPlan:
    """How layers are diagnosed.

    n_kept : layers whose Gram matrices are kept for the pairs; those of the others are worked out anew for each.
    n_slices : of each layer, features that are read at a time: all of them where it is held.
    peak_bytes : what the arrays take at most.
    """

    n_kept: int
    n_threads: int
    n_slices: tuple[int, ...]
    peak_bytes: int


def plan_diagnosis(layers: Sequence[SelectedLayer], n_pairs: int, memory_bytes: int, n_threads: int) -> DiagnosisPlan:
    """Return how layers are diagnosed: half of the memory for threads, what is left for what they need again.

    Raises DataError that names the least that would do when it is not enough for one thread.
    """
    n = layers[0].n_examples
    kept = 8 * n**2 * _N_KEPT
    # Fingerprints and shares of all rows, and the findings as text.
    results = (64 * n + (1 << 15)) * (len(layers) + n_pairs) + MIB
    for most_bytes in (_MOST_LAYER_BYTES, 0):
        n_slices = tuple(_n_slice(layer, most_bytes) for layer in layers)
        worker = max(map(_diagnosing_bytes, layers, n_slices))
        worker = max(kept + worker, 2 * kept + 8 * n**2 * _N_PAIRING) if n_pairs else worker
        if results + worker <= memory_bytes:
            break
    else:
        least_mib = -(-(results + worker) // MIB)
        raise DataError(
            f"--memory {memory_text(memory_bytes)}: too little to diagnose layers of {n} examples, whose Gram "
            f"matrices are held whole; give at least --memory {least_mib}MiB, or fewer examples (--sample)"
        )
    n_threads = max(1, min(n_threads, memory_bytes // 2 // worker))
    n_kept = min(len(layers), (memory_bytes - results - n_threads * worker) // kept)
    return DiagnosisPlan(n_kept, n_threads, n_slices, results + n_threads * worker + n_kept * kept)


def _n_slice(layer: SelectedLayer, most_bytes: int) -> int:
    if _float64_bytes(layer) <= most_bytes:
        return layer.n_features
    n_steps = max(1, SLICE_BYTES // (8 * layer.n_examples * layer.n_step))
    return min(layer.n_features, n_steps * layer.n_step)


def _diagnosing_bytes(layer: SelectedLayer, n_slice: int) -> int:
    """Return the bytes of one layer from the file to its Gram matrices and their components."""
    gram, is_held = 8 * layer.n_examples**2, n_slice == layer.n_features
    source = (1 if is_held else _N_SLICES) * 8 * layer.n_examples * n_slice
    ranking = _N_RANKING * min(SLICE_BYTES, _float64_bytes(layer))
    return reading_bytes(layer) + max(source + ranking + gram * _N_READING, gram * _N_DECOMPOSING)


def check_counting(n_examples: int, n_layers: int, n_y_layers: int, memory_bytes: int, n_threads: int) -> int:
    """Return the bytes that counted permutations take; raise DataError that names them when they are too many."""
    needed = 8 * n_examples**2 * (2 * n_layers + (1 + n_y_layers) * n_threads)
    if needed > memory_bytes:
        raise DataError(
            f"--memory {memory_text(memory_bytes)}: too little to count permutations (the Gram matrices of all layers "
            f"stay in memory); give at least --memory {-(-needed // MIB) + 1}MiB, fewer examples (--sample), or no "
            "--permutations"
        )
    return needed
