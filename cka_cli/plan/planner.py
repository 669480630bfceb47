"""What a job will cost and how it is done, from shapes alone: pure arithmetic, nothing is read.

Everything that decides the order of the work is decided here: whether layers stay in memory, how many rows a tile has,
how many features are read at a time. The values of a comparison do not depend on any of it but for rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from cka_cli.errors import DataError
from cka_cli.plan.workload import Job, LayerShape
from cka_cli.reductions.factors import n_block_features, work_bytes
from cka_cli.reductions.median_distance import n_median_passes, n_near_median
from cka_cli.system.memory import shown_memory

# Rows of a tile that is computed from values in memory: products run at full speed, and a few tiles per core are left.
_TILE_ROWS = 512
_LEAST_TILE_ROWS = 64
_FEWEST_BLOCKS = 4
_MOST_THREADS = 256
# Distances that a thread may hold while a median is sought.
_MOST_KEPT, _LEAST_KEPT = 1 << 26, 1 << 16
# Features of a slice below which reading and multiplying lose speed.
_GOOD_SLICE = 1024
_READ_BYTES = 1 << 25
# Rows of a block on the feature route: a product runs at full speed, and blocks stay small beside their product.
_FEATURE_ROWS = 2048
_MIB = 1 << 20


@dataclass(frozen=True)
class Plan:
    """How a job is done and what that costs.

    route : `gram` (tiles of Gram matrices), `features` (products of features with features), `factors` alone, or
        `batches` (the minibatch estimate).
    in_memory : layers are read once and kept; else they are read in pieces, as often as `n_reads` says.
    n_tile_rows : rows of a tile, or of a block on the feature route. n_slices : features read at a time, by layer.
    keep_distances : distances stay in memory between finding their median and using it.
    n_kept : distances of one layer that each thread may hold while their median is sought.
    peak_bytes : what the arrays take at most; the interpreter and its libraries come on top (about 70 MiB).
    """

    route: str
    in_memory: bool
    n_threads: int
    memory_bytes: int
    n_tile_rows: int
    n_tiles: int
    n_slices: tuple[int, ...]
    keep_distances: bool
    n_reads: int
    bytes_read: int
    peak_bytes: int
    multiplications: int
    n_kept: int = 1 << 25


def make_plan(job: Job, memory_bytes: int, n_threads: int) -> Plan:
    """Return the cheapest way to do the job inside the memory allowed; with fewer threads where that saves reading.

    Raises DataError that names the least that would do when it is not enough.
    """
    n_threads = min(n_threads, _MOST_THREADS)
    if job.n_batch is not None:
        return _plan_batches(job, job.n_batch, memory_bytes, n_threads)
    for threads in range(n_threads, 0, -1):
        plans = [_plan_in_memory(job, memory_bytes, threads)]
        # The feature route multiplies in float64, which takes twice the time.
        is_less = _feature_multiplications(job) * (8 // job.n_value_bytes) < _gram_multiplications(job)
        if job.is_linear_only and is_less and not job.has_far_rows:
            plans = [_plan_features(job, memory_bytes, threads, in_memory=each) for each in (True, False)] + plans
        for plan in plans:
            if plan.peak_bytes <= memory_bytes:
                return plan
    if job.n_kernels:
        return _plan_in_pieces(job, memory_bytes, n_threads)
    return _plan_factors_in_pieces(job, memory_bytes, n_threads)


def _gram_multiplications(job: Job) -> int:
    """Multiplications of the Gram route: upper triangles of all Gram matrices, and their inner products."""
    n_pairs = job.n_x * job.n_y if job.n_y else job.n_x**2
    per_entry = sum(layer.n_features for layer in job.layers) + job.n_kernels * 2 * (n_pairs + len(job.layers))
    return job.n_examples**2 * per_entry // 2


def _feature_multiplications(job: Job) -> int:
    """Multiplications of the feature route: all features of X with all of Y, and each layer with itself."""
    widths = [layer.n_features for layer in job.layers]
    x, y = sum(widths[: job.n_x]), sum(widths[job.n_x :])
    # A symmetric product costs half.
    per_row = x * y + sum(width**2 for width in widths) // 2 if job.n_y else x**2 // 2
    return job.n_examples * per_row


def _saved_bytes(job: Job) -> int:
    return sum(job.n_examples * layer.n_features * layer.n_saved_bytes for layer in job.layers)


def _tile_bytes(job: Job, n_rows: int) -> int:
    """Bytes of one tile of all layers, every kernel."""
    return len(job.layers) * job.n_kernels * n_rows**2 * (8 if job.needs_double else job.n_value_bytes)


def _scratch_bytes(job: Job, n_rows: int) -> int:
    """Bytes of what one thread needs beside the tiles: the products of one layer, and float64 copies of them."""
    return n_rows**2 * (job.n_value_bytes * (2 if job.n_kernels > 1 else 1) + (16 if job.needs_double else 0))


def _sums_bytes(job: Job) -> int:
    """Bytes of the sums by row, of the means, of a row of the widest layer on its way, and of the result as text."""
    widths = [layer.n_features for layer in job.layers]
    n_pairs = job.n_x * job.n_y if job.n_y else job.n_x**2
    of_rows = (2 + job.n_folds) * 8 * job.n_examples * len(widths) * max(1, job.n_kernels)
    of_pairs = (256 + 8 * job.n_folds) * n_pairs * max(1, job.n_kernels)
    return of_rows + of_pairs + 2 * 8 * sum(widths) + 32 * max(widths) + 4 * _MIB


def _plan_in_memory(job: Job, memory_bytes: int, n_threads: int) -> Plan:
    n = job.n_examples
    widest = max(layer.n_features for layer in job.layers)
    values = sum(n * layer.n_features * job.n_value_bytes for layer in job.layers) if job.n_kernels else 0
    loading = n_threads * _loading_bytes(job, widest)
    factors = _factor_bytes(job)
    loading += n_threads * _factor_work_bytes(job, in_memory=True)
    n_rows = _tile_rows(job, n_threads, max(_READ_BYTES, (memory_bytes - values) // 2))
    tiles = n_threads * (_tile_bytes(job, n_rows) + _scratch_bytes(job, n_rows)) if job.n_kernels else 0
    n_kept = _n_kept(job, max(tiles, (memory_bytes - values) // 2), n_threads)
    medians = n_threads * _kept_bytes(job, n_kept) if job.n_by_median else 0
    peak = values + factors + max(loading, tiles, medians) + _sums_bytes(job)
    kept = len(job.layers) * job.n_value_bytes * n * (n + n_rows) // 2
    keep = job.n_by_median > 0 and peak + kept + n_threads * kept // len(job.layers) // 8 <= memory_bytes
    n_blocks = -(-n // n_rows)
    return Plan(
        route="gram" if job.n_kernels else "factors",
        in_memory=True,
        n_threads=n_threads,
        memory_bytes=memory_bytes,
        n_tile_rows=n_rows,
        n_tiles=n_blocks * (n_blocks + 1) // 2 if job.n_kernels else 0,
        n_slices=tuple(layer.n_features for layer in job.layers),
        keep_distances=keep,
        n_reads=1,
        bytes_read=_saved_bytes(job),
        peak_bytes=peak + (kept if keep else 0),
        multiplications=_factor_multiplications(job)
        + (_times(job, n_kept, keep=keep) * _gram_multiplications(job) if job.n_kernels else 0),
        n_kept=n_kept,
    )


def _factor_bytes(job: Job) -> int:
    """Bytes of the bases of all layers, and of their columns, where measures of the CCA family need them."""
    n = job.n_examples
    return sum(
        8 * min(n, layer.n_features) * (n + layer.n_features * job.needs_columns) for layer in job.layers
    ) * job.needs_factors  # fmt: skip


def _factor_work_bytes(job: Job, *, in_memory: bool) -> int:
    """Bytes that one thread takes to factorise the layer that takes most, itself among them where it is whole."""
    n, most = job.n_examples, 0
    for layer in job.layers if job.needs_factors else ():
        p, n_step = layer.n_features, 1 if in_memory else layer.n_step
        n_block = n_block_features(n, p, n_step) if p > n else 0  # tall layers are read into their basis
        own = 8 * n * p if in_memory else n * n_block * (8 + layer.n_saved_bytes)
        most = max(most, work_bytes(n, p, n_step) + own)
    return most


def _factoring_bytes(job: Job, n_threads: int) -> int:
    """Bytes of everything while layers that are read in pieces are factorised."""
    if not job.needs_factors:
        return 0
    work = _factor_work_bytes(job, in_memory=False) + _loading_bytes(job, 0)
    return n_threads * work + _factor_bytes(job) + _sums_bytes(job)


def _n_factor_reads(job: Job) -> int:
    """How often factors read a layer that is not held: once more where wide layers are projected on their basis."""
    is_wide = any(layer.n_features > job.n_examples for layer in job.layers)
    return (1 + (job.needs_columns and is_wide)) * job.needs_factors


def _plan_factors_in_pieces(job: Job, memory_bytes: int, n_threads: int) -> Plan:
    for threads in range(n_threads, 0, -1):
        peak = _factoring_bytes(job, threads)
        if peak <= memory_bytes:
            break
    else:
        raise _too_small(memory_bytes, peak, "the measures of the CCA family hold a basis of every layer")
    n_reads = 1 + _n_factor_reads(job)
    return Plan(
        route="factors",
        in_memory=False,
        n_threads=threads,
        memory_bytes=memory_bytes,
        n_tile_rows=job.n_examples,
        n_tiles=0,
        n_slices=tuple(n_block_features(job.n_examples, each.n_features, each.n_step) for each in job.layers),
        keep_distances=False,
        n_reads=n_reads,
        bytes_read=n_reads * _saved_bytes(job),
        peak_bytes=peak,
        multiplications=_factor_multiplications(job),
    )


def _factor_multiplications(job: Job) -> int:
    """Multiplications of the factors of all layers, and of the products of their bases."""
    if not job.needs_factors:
        return 0
    n = job.n_examples
    ranks = [min(n, layer.n_features) for layer in job.layers]
    x, y = sum(ranks[: job.n_x]), sum(ranks[job.n_x :])
    of_layers = sum(n * layer.n_features * rank for layer, rank in zip(job.layers, ranks, strict=True))
    return 2 * of_layers + n * (x * y if job.n_y else x**2 // 2)


def _times(job: Job, n_kept: int, *, keep: bool) -> int:
    """Return how often all products are formed: once more where medians are sought and distances are not kept.

    Twice more where those near the median are too many to be held, and must be narrowed down first.
    """
    if not job.n_by_median or keep:
        return 1
    return 1 + n_median_passes(job.n_examples, n_kept)


def _n_kept(job: Job, n_bytes: int, n_threads: int) -> int:
    """Distances that each thread may hold while a median is sought, of so many bytes for all threads."""
    most = min(_MOST_KEPT, 2 * n_near_median(job.n_examples), n_bytes // (n_threads * _kept_bytes(job, 1)))
    return max(_LEAST_KEPT, most)


def _kept_bytes(job: Job, n_kept: int) -> int:
    """Bytes of so many distances: as they come, side by side, and in part in order."""
    return 3 * n_kept * job.n_value_bytes


def _loading_bytes(job: Job, widest: int) -> int:
    """Bytes of what is read at a time by one thread, and of a layer on its way from float64 to float32."""
    block = min(_READ_BYTES, max(job.n_examples * layer.n_features * layer.n_saved_bytes for layer in job.layers))
    is_wide = any(layer.n_saved_bytes > 4 for layer in job.layers)
    return 2 * block + (job.n_examples * widest * 8 if is_wide else 0)


def _tile_rows(job: Job, n_threads: int, tile_bytes: int) -> int:
    """Return the rows of a tile: about `_TILE_ROWS`, in blocks of equal size, fewer when memory is short."""
    n_blocks = max(1, round(job.n_examples / _TILE_ROWS))
    if 1 < n_blocks < _FEWEST_BLOCKS:
        n_blocks = _FEWEST_BLOCKS  # enough tiles for a few threads to end together, whatever their number
    while True:
        n_rows = -(-job.n_examples // n_blocks)
        needed = n_threads * (_tile_bytes(job, n_rows) + _scratch_bytes(job, n_rows))
        if needed <= tile_bytes or n_rows <= _LEAST_TILE_ROWS:
            return n_rows
        n_blocks += 1


def _plan_in_pieces(job: Job, memory_bytes: int, n_threads: int) -> Plan:
    """Return the plan with the largest tiles that fit: the fewer tiles, the less often layers are read."""
    n = job.n_examples
    for threads, n_blocks in product(range(n_threads, 0, -1), range(1, -(-n // _LEAST_TILE_ROWS) + 1)):
        n_rows = -(-n // n_blocks)
        least = [_least_slice(layer, n_rows) for layer in job.layers]
        room = memory_bytes - _piece_bytes(job, n_rows, n_blocks, [0] * len(least), threads)
        needed = max(_piece_bytes(job, n_rows, n_blocks, least, threads), _factoring_bytes(job, threads))
        if needed <= memory_bytes:
            break
    else:
        n_rows = min(n, _LEAST_TILE_ROWS)
        least_bytes = _piece_bytes(job, n_rows, -(-n // n_rows), [_least_slice(each, n_rows) for each in job.layers], 1)
        least_bytes = max(least_bytes, _factoring_bytes(job, 1))
        raise _too_small(memory_bytes, least_bytes, "tiles and slices get no smaller")
    widths = [_widest_slice(layer, n_rows, job.n_value_bytes, room // threads, n_blocks) for layer in job.layers]
    n_kept = _n_kept(job, _tile_bytes(job, n_rows), threads)  # tiles come when medians are known
    times = _times(job, n_kept, keep=False)
    n_reads = 1 + times * n_blocks + _n_factor_reads(job)
    return Plan(
        route="gram",
        in_memory=False,
        n_threads=threads,
        memory_bytes=memory_bytes,
        n_tile_rows=n_rows,
        n_tiles=n_blocks * (n_blocks + 1) // 2,
        n_slices=tuple(widths),
        keep_distances=False,
        n_reads=n_reads,
        bytes_read=n_reads * _saved_bytes(job),
        peak_bytes=max(_piece_bytes(job, n_rows, n_blocks, widths, threads), _factoring_bytes(job, threads)),
        multiplications=times * _gram_multiplications(job) + _factor_multiplications(job),
        n_kept=n_kept,
    )


def _piece_bytes(job: Job, n_rows: int, n_blocks: int, widths: Sequence[int], n_threads: int) -> int:
    """Bytes of everything while one tile is worked out from slices of these widths."""
    slices = [
        _slice_bytes(layer, width, n_rows, job.n_value_bytes, n_blocks)
        for layer, width in zip(job.layers, widths, strict=True)
    ]
    scratch = 2 * _scratch_bytes(job, n_rows)
    kept = _sums_bytes(job) + _factor_bytes(job) + _tile_bytes(job, n_rows)
    return kept + n_threads * (scratch + max(slices, default=0))


def _slice_bytes(layer: LayerShape, width: int, n_rows: int, n_value_bytes: int, n_blocks: int) -> int:
    """Bytes of the slices of rows and columns, as saved and as computed, while a product is formed."""
    sides = 1 if n_blocks == 1 else 2
    working = 8 if layer.n_saved_bytes > 4 else n_value_bytes
    return n_rows * width * (sides * n_value_bytes + layer.n_saved_bytes + working)


def _least_slice(layer: LayerShape, n_rows: int) -> int:
    """Return the fewest features to read at a time: below this, smaller tiles are the better way to save memory."""
    if n_rows <= _LEAST_TILE_ROWS:
        return min(layer.n_features, layer.n_step)
    return min(layer.n_features, -(-_GOOD_SLICE // layer.n_step) * layer.n_step)


def _widest_slice(layer: LayerShape, n_rows: int, n_value_bytes: int, room: int, n_blocks: int) -> int:
    """Return how many features to read at a time: all that fit, less an eighth for what reading itself takes."""
    n_steps = room * 7 // 8 // (_slice_bytes(layer, 1, n_rows, n_value_bytes, n_blocks) * layer.n_step)
    return min(layer.n_features, max(n_steps * layer.n_step, _least_slice(layer, n_rows)))


def _plan_features(job: Job, memory_bytes: int, n_threads: int, *, in_memory: bool) -> Plan:
    n = job.n_examples
    widths = [layer.n_features for layer in job.layers]
    x, y = sum(widths[: job.n_x]), sum(widths[job.n_x :])
    n_products = x * y + sum(width**2 for width in widths) if job.n_y else x**2
    per_row = (x + y) * (2 * 8 + job.n_value_bytes + max(layer.n_saved_bytes for layer in job.layers))
    values = (n * (x + y) * job.n_value_bytes if in_memory else 0) + _factor_bytes(job)
    loading = n_threads * _loading_bytes(job, max(widths) if in_memory else 0)
    loading += n_threads * _factor_work_bytes(job, in_memory=in_memory)
    fixed = (2 + n_threads + job.n_folds) * n_products * 8 + _sums_bytes(job) + values
    n_rows = min(-(-n // _FEWEST_BLOCKS), _FEATURE_ROWS)
    while n_rows > _LEAST_TILE_ROWS and fixed + n_threads * n_rows * per_row > memory_bytes:
        n_rows //= 2
    n_reads = 1 if in_memory else 2 + (job.n_folds > 0) + _n_factor_reads(job)
    return Plan(
        route="features",
        in_memory=in_memory,
        n_threads=n_threads,
        memory_bytes=memory_bytes,
        n_tile_rows=n_rows,
        n_tiles=-(-n // n_rows),
        n_slices=tuple(widths),
        keep_distances=False,
        n_reads=n_reads,
        bytes_read=n_reads * _saved_bytes(job),
        peak_bytes=max(fixed + n_threads * n_rows * per_row, values + loading),
        multiplications=_feature_multiplications(job) + _factor_multiplications(job),
    )


def _plan_batches(job: Job, n_batch: int, memory_bytes: int, n_threads: int) -> Plan:
    """Return the plan of the minibatch estimate: in memory where layers fit, else each batch is read as it comes."""
    n, n_rows = job.n_examples, min(job.n_examples, n_batch + 3)
    values = sum(n * layer.n_features * job.n_value_bytes for layer in job.layers)
    widths = [layer.n_features for layer in job.layers]
    tile = _tile_bytes(job, n_rows) + _scratch_bytes(job, n_rows) + n_rows * sum(widths) * (job.n_value_bytes + 8)
    distances = 2 * n * n_batch * job.n_value_bytes if job.n_by_median else 0
    for in_memory, threads in product((True, False), range(n_threads, 0, -1)):
        loading = threads * _loading_bytes(job, max(widths) if in_memory else 0)
        fixed = _sums_bytes(job) + (values if in_memory else 0)
        peak = fixed + max(loading, threads * (tile + distances))
        if peak <= memory_bytes:
            break
    else:
        raise _too_small(memory_bytes, peak, "a batch of every layer must fit; or give a smaller --batch")
    n_reads = 1 if in_memory else 1 + job.n_passes + (job.n_by_median > 0)
    return Plan(
        route="batches",
        in_memory=in_memory,
        n_threads=threads,
        memory_bytes=memory_bytes,
        n_tile_rows=min(n, n_batch),
        n_tiles=job.n_passes * max(1, n // n_batch),
        n_slices=tuple(widths),
        keep_distances=False,
        n_reads=n_reads,
        bytes_read=n_reads * _saved_bytes(job),
        peak_bytes=peak,
        multiplications=(job.n_passes + (job.n_by_median > 0)) * n * min(n, n_batch) * sum(widths) // 2,
    )


def _too_small(memory_bytes: int, least: int, why: str) -> DataError:
    least_mib = -(-least // _MIB) + 1
    return DataError(
        f"--memory {shown_memory(memory_bytes)}: too little for this job ({why}); give at least "
        f"--memory {least_mib}MiB, or fewer layers (--layers), fewer examples (--sample) or --pool mean"
    )
