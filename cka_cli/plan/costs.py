"""What the steps of a job take: bytes and multiplications, from shapes alone."""

from cka_cli.plan.request import Request
from cka_cli.reductions.factors import n_block_features, work_bytes
from cka_cli.reductions.median_distance import n_median_passes, n_near_median
from cka_cli.text import MIB

# Distances that a thread may hold while a median is sought.
_MOST_KEPT, _LEAST_KEPT = 1 << 26, 1 << 16
# Examples from which a median is sought in the pass that uses it; and what an entry takes of each layer, beside its
# product, in a pass that seeks a median, and for each term more.
_LEAST_FOR_TERMS, _PER_PASS, _PER_TERM = 2048, 250, 20
# Bytes that are read in one go.
READ_BYTES = 1 << 25


def gram_multiplications(request: Request) -> int:
    """Multiplications of the Gram route: upper triangles of all Gram matrices, and their inner products."""
    n_pairs = request.n_x * request.n_y
    per_entry = sum(request.widths) + len(request.gram_kernels) * 2 * (n_pairs + len(request.layers))
    return request.n_examples**2 * per_entry // 2 * bool(request.gram_kernels)


def feature_multiplications(request: Request) -> int:
    """Multiplications of the feature route: all features of X with all of Y, and each layer with itself."""
    widths = request.widths
    x, y = sum(widths[request.x]), sum(widths[request.y])
    # A symmetric product costs half.
    per_row = x**2 // 2 if request.is_square else x * y + sum(width**2 for width in widths) // 2
    return request.n_examples * per_row


def saved_bytes(request: Request) -> int:
    """Bytes of all values as saved."""
    return request.n_examples * sum(layer.n_features * layer.dtype.itemsize for layer in request.layers)


def n_terms(request: Request) -> int:
    """Return in how many terms kernels come whose median is sought in the pass that uses it; 1 where it is not.

    More terms for float64, which has more digits to lose. A pass less saves all products; the sums of terms take as
    many more as there are pairs of terms.
    """
    n = 3 if request.n_value_bytes == 4 else 4
    per_product, n_pairs = request.n_value_bytes // 4, request.n_x * request.n_y + len(request.layers)
    saved = per_product * sum(request.widths) + _PER_PASS * len(request.layers)
    n_products = n * (n + 1) // 2 - 1  # of terms with terms, beside the first with itself
    more = request.n_by_median * (2 * per_product * n_products * n_pairs + _PER_TERM * (n - 1) * len(request.layers))
    return n if request.n_by_median and request.n_examples >= _LEAST_FOR_TERMS and more < saved else 1


def near_bytes(request: Request, n_terms: int) -> int:
    """Bytes of the distances about the median of each layer that are kept in the one pass: some 0.4 % of all pairs."""
    n_pairs = request.n_examples**2 // 2
    return len(request.layers) * request.n_value_bytes * n_pairs // 100 if n_terms > 1 else 0


def tile_bytes(request: Request, n_rows: int, n_terms: int = 1) -> int:
    """Bytes of one tile of all layers, every kernel."""
    n_value_bytes = 8 if request.needs_double else request.n_value_bytes
    n_tiles = len(request.gram_kernels) + (n_terms - 1) * request.n_by_median
    return len(request.layers) * n_tiles * n_rows**2 * n_value_bytes


def scratch_bytes(request: Request, n_rows: int) -> int:
    """Bytes of what one thread needs beside the tiles: the products of one layer, and float64 copies of them."""
    n_products = 2 if len(request.gram_kernels) > 1 else 1
    return n_rows**2 * (request.n_value_bytes * n_products + (16 if request.needs_double else 0))


def sums_bytes(request: Request, n_terms: int = 1) -> int:
    """Bytes of the sums by row, of the means, of a row of the widest layer on its way, and of the result as text."""
    widths = request.widths
    n_pairs = request.n_x * request.n_y
    n_sums = max(1, len(request.gram_kernels) + (n_terms - 1) * request.n_by_median)
    of_rows = (2 + request.n_folds) * 8 * request.n_examples * len(widths) * n_sums
    of_pairs = (256 + 8 * request.n_folds) * n_pairs * n_sums * n_terms
    return of_rows + of_pairs + 2 * 8 * sum(widths) + 32 * max(widths) + 4 * MIB


def factor_bytes(request: Request) -> int:
    """Bytes of the bases of all layers, and of their columns, where measures of the CCA family need them."""
    n = request.n_examples
    return sum(
        8 * min(n, layer.n_features) * (n + layer.n_features * request.needs_columns) for layer in request.layers
    ) * bool(request.pair_measures)  # fmt: skip


def factor_work_bytes(request: Request, *, in_memory: bool) -> int:
    """Bytes that one thread takes to factorise the layer that takes most, itself among them where it is whole."""
    n, most = request.n_examples, 0
    for layer in request.layers if bool(request.pair_measures) else ():
        p, n_step = layer.n_features, 1 if in_memory else layer.n_step
        n_block = n_block_features(n, p, n_step) if p > n else 0  # tall layers are read into their basis
        own = 8 * n * p if in_memory else n * n_block * (8 + layer.dtype.itemsize)
        most = max(most, work_bytes(n, p, n_step) + own)
    return most


def factoring_bytes(request: Request, n_threads: int) -> int:
    """Bytes of everything while layers that are read in pieces are factorised."""
    if not bool(request.pair_measures):
        return 0
    work = factor_work_bytes(request, in_memory=False) + loading_bytes(request, 0)
    return n_threads * work + factor_bytes(request) + sums_bytes(request)


def n_factor_reads(request: Request) -> int:
    """How often factors read a layer that is not held: once more where wide layers are projected on their basis."""
    is_wide = any(layer.n_features > request.n_examples for layer in request.layers)
    return (1 + (request.needs_columns and is_wide)) * bool(request.pair_measures)


def factor_multiplications(request: Request) -> int:
    """Multiplications of the factors of all layers, and of the products of their bases."""
    if not bool(request.pair_measures):
        return 0
    n = request.n_examples
    ranks = [min(n, layer.n_features) for layer in request.layers]
    x, y = sum(ranks[request.x]), sum(ranks[request.y])
    of_layers = sum(n * layer.n_features * rank for layer, rank in zip(request.layers, ranks, strict=True))
    return 2 * of_layers + n * (x**2 // 2 if request.is_square else x * y)


def times(request: Request, n_kept: int, *, keep: bool) -> int:
    """Return how often all products are formed: once more where medians are sought and distances are not kept.

    Twice more where those near the median are too many to be held, and must be narrowed down first.
    """
    if not request.n_by_median or keep:
        return 1
    return 1 + n_median_passes(request.n_examples, n_kept)


def n_kept(request: Request, n_bytes: int, n_threads: int) -> int:
    """Distances that each thread may hold while a median is sought, of so many bytes for all threads."""
    most = min(_MOST_KEPT, 2 * n_near_median(request.n_examples), n_bytes // (n_threads * kept_bytes(request, 1)))
    return max(_LEAST_KEPT, most)


def kept_bytes(request: Request, n_kept: int) -> int:
    """Bytes of so many distances: as they come, side by side, and in part in order."""
    return 3 * n_kept * request.n_value_bytes


def loading_bytes(request: Request, widest: int) -> int:
    """Bytes of what is read at a time by one thread, and of a layer on its way from float64 to float32."""
    block = min(
        READ_BYTES, max(request.n_examples * layer.n_features * layer.dtype.itemsize for layer in request.layers)
    )
    is_wide = any(layer.dtype.itemsize > 4 for layer in request.layers)
    return 2 * block + (request.n_examples * widest * 8 if is_wide else 0)
