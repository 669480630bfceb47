"""The table of cases: what is measured, on what sizes, against what, and the ratio it should not exceed."""

from dataclasses import replace

from activations import Activations
from kinds import Against, Case, Command, GoingOn, Growth, Other, StartUp, WithinMemory

_MIB = 1 << 20
_COMPARE = ("compare", "{x}", "{y}")
_EIGHT = Activations(8, 4000, 1024)
_EIGHT_GZIPPED = replace(_EIGHT, is_gzipped=True)
_HUNDRED = Activations(100, 1024, 512)
_TWELVE = Activations(12, 2000, 512)
_LONG = Activations(4, 12000, 1024)
_A_AND_B = ("sample_data/A.h5::logits", "sample_data/B.h5::logits")


def _script(name: str, activations: Activations, program: str = "python") -> Command:
    return Command(program, (f"{{here}}/{name}", "{x}", "{y}"), activations)


def _cka(activations: Activations, *options: str) -> Command:
    return Command("cka", (*_COMPARE, *options), activations)


def _products(activations: Activations) -> tuple[Other, ...]:
    return (Other(_script("bare_products.py", activations), "products"),)


_BARE = (
    Against(
        "linear-bare", "8 + 8 layers, linear CKA, against bare matrix products",
        _cka(_EIGHT), _products(_EIGHT), 1.3,
    ),
    Against(
        "rbf-bare", "the same data, RBF kernel with its median distances, against the same products",
        _cka(_EIGHT, "-k", "rbf:sigma=0.4"), _products(_EIGHT), 1.6,
    ),
    Against(
        "many-layers", "100 + 100 small layers against bare matrix products",
        _cka(_HUNDRED), _products(_HUNDRED), 1.5,
    ),
)  # fmt: skip

_OTHERS = (
    Against(
        "gzip", "8 + 8 layers compressed by gzip, against the slower of decompressing them and bare products",
        _cka(_EIGHT_GZIPPED),
        (Other(_script("bare_read.py", _EIGHT_GZIPPED), "read"), *_products(_EIGHT)), 1.2,
    ),
    *(
        replace(
            case, name=f"{case.name}-haswell", about=f"{case.name} with the OpenBLAS kernels of an older processor",
            max_ratio=1.5 * case.max_ratio, coretype="Haswell",
        )
        for case in _BARE
    ),
    Against(
        "loop", "12 + 12 layers against a loop over pairs as notebooks have it",
        _cka(_TWELVE), (Other(_script("loop_over_pairs.py", _TWELVE), "loop"),), 1 / 15, agrees=True,
    ),
    Against(
        "rsatoolbox", "the same data against rsatoolbox 0.3.2",
        _cka(_TWELVE),
        (Other(
            _script("peer_rsatoolbox.py", _TWELVE, "rsatoolbox"), "rsatoolbox", "h5py, rsatoolbox.data, rsatoolbox.rdm",
        ),),
        1 / 10, agrees=True,
    ),
    Against(
        "pytorch-cka", "the same data, debiased CKA, against pytorch-cka 1.1.3, which has only that one",
        _cka(_TWELVE, "-m", "cka-debiased"),
        (Other(_script("peer_pytorch_cka.py", _TWELVE, "pytorch-cka"), "pytorch-cka", "h5py, torch, cka"),),
        1 / 4, agrees=True,
    ),
    *(
        Against(
            f"stats-{kernel.partition(':')[0]}", f"standard errors and p-values against the same run without, {kernel}",
            _cka(_EIGHT, "-k", kernel, "--stats"), (Other(_cka(_EIGHT, "-k", kernel), "without"),), 1.1,
        )
        for kernel in ("linear", "rbf:sigma=0.4")
    ),
    Against(
        "checkpoint", "a run with its checkpoint, saved every 30 seconds, against the same run without",
        _cka(_LONG, "-k", "polynomial", "--checkpoint", "{x}.checkpoint"),
        (Other(_cka(_LONG, "-k", "polynomial"), "without"),), 1.02,
    ),
    Against(
        "cca", "8 + 8 layers, two CCA measures, against bare QR, products and singular values",
        _cka(cca := Activations(8, 5000, 512), "-m", "cca-r2", "-m", "cca-rho"),
        (Other(_script("bare_cca.py", cca), "QR and SVD"),), 1.5,
    ),
)  # fmt: skip

_MEMORY = (
    WithinMemory(
        "memory-wide", "3 + 3 layers of 65536 features, 3 GiB in all, in 512 MiB",
        _cka(Activations(3, 2000, 65536), "--memory", "512MiB"), 662 * _MIB,
    ),
    WithinMemory(
        "memory-tall", "3 + 3 layers of 20000 examples, whose Gram matrices would take 9 GiB, in 1 GiB",
        _cka(Activations(3, 20000, 2048), "-k", "rbf", "--memory", "1GiB"), int(1.15 * 1024 * _MIB),
    ),
    WithinMemory(
        "memory-diagnose", "3 + 3 layers of 3000 examples, diagnosed in 1 GiB",
        Command("cka", ("diagnose", "{x}", "{y}", "--memory", "1GiB"), Activations(3, 3000, 2048)),
        int(1.15 * 1024 * _MIB),
    ),
)  # fmt: skip

_GROWTH = (
    Growth(
        "growth-examples", "4 + 4 layers, 1000, 2000, 4000, 8000 examples, in 1 GiB",
        (*_COMPARE, "--memory", "1GiB"), tuple(Activations(4, n, 512) for n in (1000, 2000, 4000, 8000)), 4.2,
    ),
    Growth(
        "growth-in-pieces", "4 + 4 layers, 8000, 16000, 32000 examples, none of which fit in 64 MiB",
        (*_COMPARE, "--memory", "64MiB"), tuple(Activations(4, n, 256) for n in (8000, 16000, 32000)), 4.2, 1.1,
    ),
    Growth(
        "growth-layers", "8, 16, 32, 64 layers on each side",
        _COMPARE, tuple(Activations(n, 2000, 256) for n in (8, 16, 32, 64)), 2.2,
    ),
    Growth(
        "growth-features", "4 + 4 layers, 256, 512, 1024, 2048, 4096 features",
        _COMPARE, tuple(Activations(4, 2000, n) for n in (256, 512, 1024, 2048, 4096)), None,
    ),
)  # fmt: skip

_START_UP = (
    StartUp(
        "start-help", "processor time of the help against the import of click",
        Command("cka", ("--help",)), Command("python", ("-c", "import click")), 1.5,
    ),
    StartUp(
        "start-compare", "processor time of one small pair against the imports of click, numpy and h5py",
        Command("cka", ("compare", *_A_AND_B)), Command("python", ("-c", "import click, numpy, h5py")), 1.4,
    ),
)  # fmt: skip

_THREADS = (("--threads", "1"), ("--threads", "2"))
_PASSES = ("-k", "rbf", "-k", "sigmoid", "--batch", "2000", "--passes", "4")
_GOING_ON = tuple(
    GoingOn(f"going-on-{name}-{threads[-1]}", about, activations, (*options, *threads))
    for name, about, activations, options in (
        ("tiles", "tiles of Gram matrices", Activations(4, 12000, 1024), ("-k", "polynomial")),
        ("medians", "with a width by the median", Activations(4, 10500, 1024), ("-k", "rbf", "-k", "polynomial")),
        ("pieces", "layers read in pieces", Activations(4, 16000, 256), ("-k", "polynomial", "--memory", "100MiB")),
        ("features", "products of features", Activations(4, 30000, 1024), ()),
        ("batches", "the minibatch estimate", Activations(4, 16000, 256), _PASSES),
        ("factors", "factors, and measures of pairs", Activations(16, 5000, 512), ("-m", "cca-r2", "-m", "pwcca")),
        ("permutations", "counted permutations", Activations(3, 1200, 512), ("--stats", "--permutations", "1100")),
    )
    for threads in _THREADS
)  # fmt: skip

CASES: tuple[Case, ...] = (*_BARE, *_OTHERS, *_MEMORY, *_GROWTH, *_GOING_ON, *_START_UP)
