"""What a job will cost and how it is done, from shapes alone: pure arithmetic, nothing is read.

Everything that decides the order of the work is decided here: whether layers stay in memory, how many rows a tile has,
how many features are read at a time. The values of a comparison do not depend on any of it but for rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from cka_cli.errors import DataError
from cka_cli.layers.selection import SelectedLayer
from cka_cli.plan import costs
from cka_cli.plan.request import Request
from cka_cli.plan.whole_matrices import check_counting
from cka_cli.reductions.factors import n_block_features
from cka_cli.system.memory import default_memory_bytes
from cka_cli.text import MIB, memory_text

# Rows of a tile that is computed from values in memory: products run at full speed, and a few tiles per core are left.
_TILE_ROWS = 512
_LEAST_TILE_ROWS = 64
_FEWEST_BLOCKS = 4
_MOST_THREADS = 256
# Features of a slice below which reading and multiplying lose speed.
_GOOD_SLICE = 1024
# Rows of a block on the feature route: a product runs at full speed, and blocks stay small beside their product.
_FEATURE_ROWS = 2048


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a job is done and what that costs.

    route : `gram` (tiles of Gram matrices), `features` (products of features with features), `factors` alone, or
        `batches` (the minibatch estimate).
    in_memory : layers are read once and kept; else they are read in pieces, as often as `n_reads` says.
    n_tile_rows : rows of a tile, or of a block on the feature route. n_slices : features read at a time, by layer.
    keep_distances : distances stay in memory between finding their median and using it.
    n_kept : distances of one layer that each thread may hold while their median is sought.
    n_terms : in how many terms a kernel comes whose median is sought in the same pass; 1 where it is known before.
    peak_bytes : what the arrays take at most; the interpreter and its libraries come on top (about 70 MiB).
    """

    route: str
    in_memory: bool
    n_threads: int
    memory_bytes: int
    n_tile_rows: int
    n_tiles: int = 0
    n_slices: tuple[int, ...]
    keep_distances: bool = False
    n_reads: int
    bytes_read: int
    peak_bytes: int
    multiplications: int
    n_kept: int = 1 << 25
    n_terms: int = 1


def make_plan(request: Request, memory_bytes: int | None = None, n_threads: int | None = None) -> Plan:
    """Return the cheapest way to do the job inside the memory allowed; with fewer threads where that saves reading.

    memory_bytes, n_threads : the limits; None for those of the request.
    Raises DataError that names the least that would do when it is not enough.
    """
    if memory_bytes is None:
        memory_bytes = default_memory_bytes() if request.run.memory_bytes is None else request.run.memory_bytes
    n_threads = min(request.run.n_threads if n_threads is None else n_threads, _MOST_THREADS)
    return _with_counting(_plan_of_sums(request, memory_bytes, n_threads), request)


def _plan_of_sums(request: Request, memory_bytes: int, n_threads: int) -> Plan:
    if request.run.n_batch is not None:
        return _plan_batches(request, request.run.n_batch, memory_bytes, n_threads)
    n_terms = costs.n_terms(request)
    for threads in range(n_threads, 0, -1):
        plans = [_plan_in_memory(request, memory_bytes, threads)]
        if n_terms > 1 and not plans[0].keep_distances:
            plans.insert(0, _plan_in_memory(request, memory_bytes, threads, n_terms))
        # The feature route multiplies in float64, which takes twice the time.
        is_less = costs.feature_multiplications(request) * (8 // request.n_value_bytes) < costs.gram_multiplications(
            request
        )
        if request.is_linear_only and is_less and not request.has_far_rows:
            plans = [_plan_features(request, memory_bytes, threads, in_memory=each) for each in (True, False)] + plans
        for plan in plans:
            if plan.peak_bytes <= memory_bytes:
                return plan
    if request.gram_kernels:
        return _plan_in_pieces(request, memory_bytes, n_threads)
    return _plan_factors_in_pieces(request, memory_bytes, n_threads)


def _with_counting(plan: Plan, request: Request) -> Plan:
    """Return the plan with the cost of counting permutations, where they are counted."""
    n_permutations = request.run.permutations
    if request.resampling is None or n_permutations is None or not request.gram_measures:
        return plan
    n = request.n_examples
    needed = check_counting(n, len(request.layers), request.n_y, plan.memory_bytes, plan.n_threads)
    counting = n_permutations * n**2 // 2 * request.n_x * request.n_y * len(request.gram_kernels)
    peak_bytes = max(plan.peak_bytes, needed)
    return replace(plan, peak_bytes=peak_bytes, multiplications=plan.multiplications + counting)


def _plan_in_memory(request: Request, memory_bytes: int, n_threads: int, n_terms: int = 1) -> Plan:
    n = request.n_examples
    values = n * sum(request.widths) * request.n_value_bytes if request.gram_kernels else 0
    loading = costs.loading_bytes(request, max(request.widths)) + costs.factor_work_bytes(request, in_memory=True)
    n_rows = _tile_rows(request, n_threads, max(costs.READ_BYTES, (memory_bytes - values) // 2))
    tile = costs.tile_bytes(request, n_rows, n_terms) + costs.scratch_bytes(request, n_rows)
    tiles = n_threads * tile if request.gram_kernels else 0
    n_kept = costs.n_kept(request, max(tiles, (memory_bytes - values) // 2), n_threads)
    medians = n_threads * costs.kept_bytes(request, n_kept) if request.n_by_median else 0
    peak = values + costs.factor_bytes(request) + max(n_threads * loading, tiles, medians)
    peak += costs.sums_bytes(request, n_terms) + costs.near_bytes(request, n_terms)
    kept = len(request.layers) * request.n_value_bytes * n * (n + n_rows) // 2
    # Distances that are kept are not saved: a run that may be broken off does without where one pass does, too.
    may_keep = request.n_by_median > 0 and (request.run.checkpoint is None or costs.n_terms(request) == 1)
    keep = may_keep and n_terms == 1 and peak + kept * (1 + n_threads / len(request.layers) / 8) <= memory_bytes
    n_blocks = -(-n // n_rows)
    return Plan(
        route="gram" if request.gram_kernels else "factors",
        in_memory=True,
        n_threads=n_threads,
        memory_bytes=memory_bytes,
        n_tile_rows=n_rows,
        n_tiles=n_blocks * (n_blocks + 1) // 2 if request.gram_kernels else 0,
        n_slices=tuple(request.widths),
        keep_distances=keep,
        n_reads=1,
        bytes_read=costs.saved_bytes(request),
        peak_bytes=peak + (kept if keep else 0),
        multiplications=costs.factor_multiplications(request)
        + costs.times(request, n_kept, keep=keep or n_terms > 1) * costs.gram_multiplications(request),
        n_kept=n_kept,
        n_terms=n_terms,
    )


def _plan_factors_in_pieces(request: Request, memory_bytes: int, n_threads: int) -> Plan:
    for threads in range(n_threads, 0, -1):
        peak = costs.factoring_bytes(request, threads)
        if peak <= memory_bytes:
            break
    else:
        raise _too_small(memory_bytes, peak, "the measures of the CCA family hold a basis of every layer")
    n_reads = 1 + costs.n_factor_reads(request)
    return Plan(
        route="factors",
        in_memory=False,
        n_threads=threads,
        memory_bytes=memory_bytes,
        n_tile_rows=request.n_examples,
        n_slices=tuple(n_block_features(request.n_examples, each.n_features, each.n_step) for each in request.layers),
        n_reads=n_reads,
        bytes_read=n_reads * costs.saved_bytes(request),
        peak_bytes=peak,
        multiplications=costs.factor_multiplications(request),
    )


def _tile_rows(request: Request, n_threads: int, tile_bytes: int) -> int:
    """Return the rows of a tile: about `_TILE_ROWS`, in blocks of equal size, fewer when memory is short."""
    n_blocks = max(1, round(request.n_examples / _TILE_ROWS))
    if 1 < n_blocks < _FEWEST_BLOCKS:
        n_blocks = _FEWEST_BLOCKS  # enough tiles for a few threads to end together, whatever their number
    while True:
        n_rows = -(-request.n_examples // n_blocks)
        needed = n_threads * (costs.tile_bytes(request, n_rows) + costs.scratch_bytes(request, n_rows))
        if needed <= tile_bytes or n_rows <= _LEAST_TILE_ROWS:
            return n_rows
        n_blocks += 1


def _plan_in_pieces(request: Request, memory_bytes: int, n_threads: int) -> Plan:
    """Return the plan with the largest tiles that fit: the fewer tiles, the less often layers are read."""
    n = request.n_examples
    for threads, n_blocks in product(range(n_threads, 0, -1), range(1, -(-n // _LEAST_TILE_ROWS) + 1)):
        n_rows = -(-n // n_blocks)
        least = [_least_slice(layer, n_rows) for layer in request.layers]
        room = memory_bytes - _piece_bytes(request, n_rows, n_blocks, [0] * len(least), threads)
        needed = max(_piece_bytes(request, n_rows, n_blocks, least, threads), costs.factoring_bytes(request, threads))
        if needed <= memory_bytes:
            break
    else:
        n_rows = min(n, _LEAST_TILE_ROWS)
        least_bytes = _piece_bytes(
            request, n_rows, -(-n // n_rows), [_least_slice(each, n_rows) for each in request.layers], 1
        )
        least_bytes = max(least_bytes, costs.factoring_bytes(request, 1))
        raise _too_small(memory_bytes, least_bytes, "tiles and slices get no smaller")
    widths = [
        _widest_slice(layer, n_rows, request.n_value_bytes, room // threads, n_blocks) for layer in request.layers
    ]
    n_kept = costs.n_kept(request, costs.tile_bytes(request, n_rows), threads)  # tiles come when medians are known
    times = costs.times(request, n_kept, keep=False)
    n_reads = 1 + times * n_blocks + costs.n_factor_reads(request)
    return Plan(
        route="gram",
        in_memory=False,
        n_threads=threads,
        memory_bytes=memory_bytes,
        n_tile_rows=n_rows,
        n_tiles=n_blocks * (n_blocks + 1) // 2,
        n_slices=tuple(widths),
        n_reads=n_reads,
        bytes_read=n_reads * costs.saved_bytes(request),
        peak_bytes=max(
            _piece_bytes(request, n_rows, n_blocks, widths, threads), costs.factoring_bytes(request, threads)
        ),
        multiplications=times * costs.gram_multiplications(request) + costs.factor_multiplications(request),
        n_kept=n_kept,
    )


def _piece_bytes(request: Request, n_rows: int, n_blocks: int, widths: Sequence[int], n_threads: int) -> int:
    """Bytes of everything while one tile is worked out from slices of these widths."""
    slices = [
        _slice_bytes(layer, width, n_rows, request.n_value_bytes, n_blocks)
        for layer, width in zip(request.layers, widths, strict=True)
    ]
    scratch = 2 * costs.scratch_bytes(request, n_rows)
    # Of each thread the tiles of a layer by every kernel, the first of which are its products, and those being added.
    n_kernels = len(request.gram_kernels)
    waiting = n_threads * (n_kernels - 1) + (n_threads > 1) * n_kernels
    of_layer = costs.tile_bytes(request, n_rows) * waiting // (len(request.layers) * n_kernels)
    kept = costs.sums_bytes(request) + costs.factor_bytes(request) + costs.tile_bytes(request, n_rows) + of_layer
    return kept + n_threads * (scratch + max(slices, default=0))


def _slice_bytes(layer: SelectedLayer, width: int, n_rows: int, n_value_bytes: int, n_blocks: int) -> int:
    """Bytes of the slices of rows and columns, as saved and as computed, while a product is formed."""
    sides = 1 if n_blocks == 1 else 2
    working = 8 if layer.dtype.itemsize > 4 else n_value_bytes
    return n_rows * width * (sides * n_value_bytes + layer.dtype.itemsize + working)


def _least_slice(layer: SelectedLayer, n_rows: int) -> int:
    """Return the fewest features to read at a time: below this, smaller tiles are the better way to save memory."""
    if n_rows <= _LEAST_TILE_ROWS:
        return min(layer.n_features, layer.n_step)
    return min(layer.n_features, -(-_GOOD_SLICE // layer.n_step) * layer.n_step)


def _widest_slice(layer: SelectedLayer, n_rows: int, n_value_bytes: int, room: int, n_blocks: int) -> int:
    """Return how many features to read at a time: all that fit, less an eighth for what reading itself takes."""
    n_steps = room * 7 // 8 // (_slice_bytes(layer, 1, n_rows, n_value_bytes, n_blocks) * layer.n_step)
    return min(layer.n_features, max(n_steps * layer.n_step, _least_slice(layer, n_rows)))


def _plan_features(request: Request, memory_bytes: int, n_threads: int, *, in_memory: bool) -> Plan:
    n = request.n_examples
    widths = request.widths
    x, y = sum(widths[request.x]), sum(widths[request.y])
    n_products = x**2 if request.is_square else x * y + sum(width**2 for width in widths)
    per_row = sum(widths) * (2 * 8 + request.n_value_bytes + max(layer.dtype.itemsize for layer in request.layers))
    values = (n * sum(widths) * request.n_value_bytes if in_memory else 0) + costs.factor_bytes(request)
    loading = n_threads * costs.loading_bytes(request, max(widths) if in_memory else 0)
    loading += n_threads * costs.factor_work_bytes(request, in_memory=in_memory)
    fixed = (2 + n_threads + request.n_folds) * n_products * 8 + costs.sums_bytes(request) + values
    n_rows = min(-(-n // _FEWEST_BLOCKS), _FEATURE_ROWS)
    while n_rows > _LEAST_TILE_ROWS and fixed + n_threads * n_rows * per_row > memory_bytes:
        n_rows //= 2
    n_reads = 1 if in_memory else 2 + (request.n_folds > 0) + costs.n_factor_reads(request)
    return Plan(
        route="features",
        in_memory=in_memory,
        n_threads=n_threads,
        memory_bytes=memory_bytes,
        n_tile_rows=n_rows,
        n_tiles=-(-n // n_rows),
        n_slices=tuple(widths),
        n_reads=n_reads,
        bytes_read=n_reads * costs.saved_bytes(request),
        peak_bytes=max(fixed + n_threads * n_rows * per_row, values + loading),
        multiplications=costs.feature_multiplications(request) + costs.factor_multiplications(request),
    )


def _plan_batches(request: Request, n_batch: int, memory_bytes: int, n_threads: int) -> Plan:
    """Return the plan of the minibatch estimate: in memory where layers fit, else each batch is read as it comes."""
    n, n_rows = request.n_examples, min(request.n_examples, n_batch + 3)
    widths = request.widths
    values = n * sum(widths) * request.n_value_bytes
    tile = costs.tile_bytes(request, n_rows) + costs.scratch_bytes(request, n_rows)
    tile += n_rows * sum(widths) * (request.n_value_bytes + 8)
    distances = 2 * n * n_batch * request.n_value_bytes if request.n_by_median else 0
    for in_memory, threads in product((True, False), range(n_threads, 0, -1)):
        loading = threads * costs.loading_bytes(request, max(widths) if in_memory else 0)
        fixed = costs.sums_bytes(request) + (values if in_memory else 0)
        peak = fixed + max(loading, threads * (tile + distances))
        if peak <= memory_bytes:
            break
    else:
        raise _too_small(memory_bytes, peak, "a batch of every layer must fit; or give a smaller --batch")
    n_reads = 1 if in_memory else 1 + request.run.n_passes + (request.n_by_median > 0)
    return Plan(
        route="batches",
        in_memory=in_memory,
        n_threads=threads,
        memory_bytes=memory_bytes,
        n_tile_rows=min(n, n_batch),
        n_tiles=request.run.n_passes * max(1, n // n_batch),
        n_slices=tuple(widths),
        n_reads=n_reads,
        bytes_read=n_reads * costs.saved_bytes(request),
        peak_bytes=peak,
        multiplications=(request.run.n_passes + (request.n_by_median > 0)) * n * min(n, n_batch) * sum(widths) // 2,
    )


def _too_small(memory_bytes: int, least: int, why: str) -> DataError:
    least_mib = -(-least // MIB) + 1
    return DataError(
        f"--memory {memory_text(memory_bytes)}: too little for this job ({why}); give at least "
        f"--memory {least_mib}MiB, or fewer layers (--layers), fewer examples (--sample) or --pool mean"
    )
