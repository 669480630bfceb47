"""The commands whose answers are kept, each with a name.

They are run in a folder that holds `sample_data`, `data`, `made` (the files of `make_files`) and `results` (the answers
of the commands before). Threads and memory are said where they decide, since the defaults are those of the machine.
"""

import shlex

import numpy as np

N_ROWS = 60
A_B = "sample_data/A.h5 sample_data/B.h5"
FAMILY = (
    "-m cca-r2 -m cca-rho -m svcca-r2 -m svcca-rho -m svcca-r2:variance=0.9 -m pwcca -m regression-r2 -m procrustes"
)
HSIC_FAMILY = "-m cka -m cka-debiased -m hsic -m hsic-unbiased"
KERNELS = (
    "-k linear -k rbf -k rbf:sigma=0.4 -k rbf:gamma=0.01 -k polynomial -k polynomial:degree=2,gamma=0.002,coef0=1 "
    "-k sigmoid -k laplacian -k cosine"
)

COMMANDS = {
    "help": "--help",
    **{f"help-{name}": f"{name} --help" for name in (
        "inspect", "compare", "heatmap", "match", "explain", "diagnose", "measures",
    )},
    "measures-csv": "measures --format csv",
    "measures-json": "measures --format json",
    "measures-table": "measures --format table",
    "inspect-csv": "inspect sample_data/A.h5 sample_data/A_pooled --format csv",
    "inspect-json": "inspect sample_data/A.h5 made/spoilt.npz --format json",
    "inspect-table": "inspect sample_data/A.h5 sample_data/A_pooled made/spoilt.npz --format table",
    "inspect-headers": "inspect sample_data/deep.h5 --headers --format csv",
    "compare-default": f"compare {A_B} --threads 1",
    "compare-self": "compare sample_data/A.h5 --threads 2 --format json",
    "compare-wide": f"compare {A_B} --threads 1 --format wide",
    "compare-table": f"compare {A_B} --threads 1 --format table",
    "compare-three": "compare sample_data/A.h5::conv* sample_data/B.h5 sample_data/untrained.h5 --exclude gap "
    "--threads 2",
    "compare-kernels": f"compare {A_B} {HSIC_FAMILY} {KERNELS} --threads 2 --format json",
    "compare-kernels-one-thread": f"compare {A_B} {HSIC_FAMILY} {KERNELS} --threads 1",
    "compare-kernels-in-pieces": f"compare {A_B} {HSIC_FAMILY} {KERNELS} --threads 2 --memory 24MiB",
    "compare-double": f"compare {A_B} {HSIC_FAMILY} -k linear -k rbf -k cosine --precision double --threads 2",
    "compare-single": f"compare {A_B} {HSIC_FAMILY} -k linear -k rbf -k cosine --precision single --threads 2",
    "compare-single-in-pieces": f"compare {A_B} -m cka -k linear -k rbf --precision single --threads 1 --memory 12MiB",
    "compare-features": "compare made/tall.npy made/tall_too.npy --threads 2",
    "compare-features-in-pieces": "compare made/tall.npy made/tall_too.npy --threads 2 --memory 12MiB --stats "
    "--format json",
    "compare-family": f"compare {A_B} {FAMILY} --threads 2",
    "compare-family-pooled": f"compare {A_B} {FAMILY} --pool mean --threads 2 --format json",
    "compare-family-self": f"compare sample_data/A.h5 {FAMILY} --pool mean --threads 1",
    "compare-family-in-pieces": f"compare made/tall.npy made/tall_too.npy {FAMILY} --threads 1 --memory 20MiB",
    "compare-both-families": f"compare {A_B} -m cka -m cca-r2 -m hsic -k rbf -k linear --threads 2 --memory 54MiB",
    "compare-family-max": f"compare {A_B} {FAMILY} --pool max --threads 2",
    "compare-pool-mean": "compare sample_data/A.h5 sample_data/A_pooled --pool mean --threads 2 --format json",
    "compare-pool-max-last": "compare sample_data/A.h5 --layers conv1 --layers conv5 --pool max --channels last "
    "--threads 1",
    "compare-channels": "compare made/tokens.npz --pool mean --channels 'block*=last' --channels first --threads 1",
    "compare-positions": f"compare {A_B} --layers conv6 --layers conv7 --pool positions --threads 2 -k linear "
    "-k rbf --stats",
    "compare-positions-pieces": f"compare {A_B} --layers conv6 --pool positions --threads 2 -k rbf --memory 16MiB",
    "compare-ids": "compare sample_data/A.h5 made/shuffled.npz --ids ids --threads 2 --layers gap --layers logits",
    "compare-other-order": "compare sample_data/A.h5 made/shuffled.npz --threads 2 --layers gap --layers logits",
    "compare-sample": f"compare {A_B} --examples 10:450 --threads 1",
    "compare-sample-drawn": f"compare {A_B} --examples 10:450 --sample 200 --seed 3 --ids ids --threads 2 "
    "--format json",
    "compare-stats": f"compare {A_B} {HSIC_FAMILY} -k linear -k rbf --stats --threads 2 --layers conv3 --layers logits",
    "compare-stats-family": f"compare {A_B} -m cka -m cca-r2 -m svcca-r2 -m regression-r2 -m procrustes --stats "
    "--threads 1",
    "compare-stats-pieces": f"compare {A_B} -m cka -m cka-debiased --stats --threads 2 --memory 16MiB --format json",
    "compare-permutations": f"compare {A_B} -m cka -m cka-debiased --stats --permutations 99 --layers conv7 "
    "--layers gap "
    "--threads 2 --seed 5",
    "compare-groups": f"compare {A_B} -m cka -m cka-debiased --stats --groups labels --layers gap --layers "
    "logits --threads 1",
    "compare-groups-counted": f"compare {A_B} --stats --groups labels --permutations 19 --layers logits --threads 2 "
    "--format json",
    "compare-batch": f"compare {A_B} {HSIC_FAMILY} -k linear -k rbf --batch 50 --passes 2 --seed 1 --threads 2",
    "compare-batch-stats": f"compare {A_B} --batch 64 --stats --threads 2 --memory 24MiB --format json",
    "compare-drop": "compare made/spoilt.npz --nonfinite drop --threads 1 --format json",
    "compare-checkpoint": f"compare {A_B} -m cka -m pwcca -k rbf --pool mean --checkpoint made/state --threads 2",
    "plan": f"compare {A_B} {KERNELS} --threads 2 --memory 64MiB --dry-run",
    "plan-pieces": f"compare {A_B} {KERNELS} --threads 2 --memory 24MiB --dry-run --format json",
    "plan-family": f"compare {A_B} -m cka -m cca-r2 --stats --permutations 99 --threads 1 --memory 256MiB "
    "--dry-run --format json",
    "match-accuracy": "match sample_data/A.h5 sample_data/B.h5 sample_data/C.h5 sample_data/D.h5 --layers conv* -m cka "
    "-m hsic -m svcca-r2 -m pwcca -k linear -k rbf:sigma=0.4 --threads 2",
    "match-json": f"match {A_B} sample_data/C.h5 --layers conv* -m cka -m regression-r2 --threads 1 --format json",
    "match-table": f"match {A_B} sample_data/C.h5 --layers conv* -m cka -m hsic --threads 2 --format table",
    "match-partners": f"match {A_B} --report partners --threads 2",
    "match-partners-pieces": f"match {A_B} --report partners --threads 2 --memory 16MiB -m cka-debiased -k rbf",
    "match-deeper": "match sample_data/A.h5::conv5 sample_data/B.h5 --threads 1 --format table",
    "match-depth": "match sample_data/deep.h5 --exclude gap --exclude logits --threads 2",
    "match-depth-json": "match sample_data/A.h5 --exclude logits --threads 1 --threshold 0.9 --format json",
    "match-depth-table": "match sample_data/A.h5 sample_data/B.h5 --report depth --threads 2 --format table",
    "match-plot": f"match {A_B} sample_data/C.h5 --layers conv* --threads 2 --plot made/picture.png",
    "match-depth-plot": "match sample_data/deep.h5 --exclude logits --threads 2 --plot made/picture.png",
    "explain-csv": "explain sample_data/A.h5::conv4 sample_data/B.h5::conv4 --format csv",
    "explain-json": "explain sample_data/A.h5::gap sample_data/B.h5::logits --components 5 --format json",
    "explain-table": "explain sample_data/A.h5::conv1 sample_data/A.h5::conv8 --pool mean --format table",
    "explain-ids": "explain sample_data/A.h5::gap made/shuffled.npz::gap --ids ids --sample 300 --seed 2 --format csv",
    "explain-plot": "explain sample_data/A.h5::conv4 sample_data/B.h5::conv5 --components 8 --plot made/picture.png",
    "diagnose-csv": f"diagnose {A_B} --threads 2",
    "diagnose-json": f"diagnose {A_B} --layers conv* --ids ids --labels labels --threads 1 --format json",
    "diagnose-table": "diagnose sample_data/A.h5 sample_data/untrained.h5 --all --threads 2 --format table",
    "diagnose-self": "diagnose sample_data/A.h5 --pool mean --threads 2 --format json",
    "diagnose-all-pairs": f"diagnose {A_B} --layers gap --layers logits --all-pairs --sample 200 --threads 1",
    "diagnose-strict": "diagnose made/far_row.npy made/far_row_too.npy --strict --threads 1",
    "diagnose-plot": "diagnose sample_data/A.h5 sample_data/untrained.h5 --all --threads 2 --plot made/picture.png",
    "heatmap-of-csv": "heatmap results/compare-default.csv -o made/picture.png --mark-best --title Title",
    "heatmap-of-json": "heatmap results/compare-kernels.json -m cka -k linear -k rbf -o made/picture.png --annotate",
    "heatmap-of-wide": "heatmap results/compare-wide.csv -o made/picture.png --size 5x4 --dpi 150 --flip --vmin 0.2",
    "heatmap-of-match": "heatmap results/match-json.json -o made/picture.png",
    "heatmap-of-files": f"heatmap {A_B} sample_data/untrained.h5 -m cka -m cca-r2 --pool mean --threads 2 -o "
    "made/picture.png",
    "heatmap-to-a-pipe": "heatmap results/compare-self.json",
    "error-no-file": "compare sample_data/none.h5",
    "error-no-layer": "compare sample_data/A.h5::conf1",
    "error-no-measure": "compare sample_data/A.h5 -m kca",
    "error-rows-differ": "compare sample_data/A.h5 made/spoilt.npz",
    "error-not-finite": "compare made/spoilt.npz --threads 1",
    "error-memory": f"compare {A_B} --memory 1MiB --threads 1",
    "error-no-ids": "compare sample_data/A.h5 sample_data/A_pooled --ids names",
    "error-damaged": "compare made/damaged.npz",
    "error-report": "heatmap results/measures-csv.csv -o made/picture.png",
}  # fmt: skip

CIFAR = "data/cifar_seed0.h5 data/cifar_seed1.h5 data/cifar_seed2.h5"
MNIST = "data/mnist_seed0.h5 data/mnist_seed1.h5"
COMMANDS_ON_DATA = {
    "cifar-inspect": "inspect data/cifar_seed0.h5 data/cifar_depth8x.h5 --format csv",
    "cifar-match": f"match {CIFAR} --layers conv* -m cka -m hsic -m svcca-r2 -m cca-r2 -k linear -k "
    "rbf:sigma=0.4 --threads 2",
    "cifar-pieces": f"compare {CIFAR} -m cka -m cka-debiased -k linear -k rbf:sigma=0.4 --threads 2 --memory "
    "48MiB --stats",
    "cifar-single": f"compare {CIFAR} -k linear -k laplacian --precision single --threads 2 --format json",
    "cifar-depth": "match data/cifar_depth1x.h5 data/cifar_depth8x.h5 --report depth --layers conv* --threads 2 "
    "--format json",
    "cifar-diagnose": "diagnose data/cifar_seed0.h5 data/cifar_seed1.h5 --layers conv7 --layers gap --threads 2",
    "mnist-kernels": f"compare {MNIST} {HSIC_FAMILY} {KERNELS} --threads 2 --format json",
    "mnist-family": f"compare {MNIST} {FAMILY} --threads 2 --pool mean",
    "mnist-positions": f"compare {MNIST} --layers conv7 --pool positions -k rbf -k cosine --threads 2",
    "mnist-explain": "explain data/mnist_seed0.h5::conv6 data/mnist_seed1.h5::conv6 --format json",
    "mnist-heatmap": f"heatmap {MNIST} --threads 2 -o made/picture.png --mark-best",
}


def arguments_of(command):
    """Return the words of a command as a shell would give them."""
    return shlex.split(command)


def extension_of(command):
    """Return the extension under which what a command printed is kept."""
    words = arguments_of(command)
    if "--help" in words or "table" in words or ("--dry-run" in words and "json" not in words):
        return "txt"
    return "json" if "json" in words else "csv"


def make_files(folder, sample_data):
    """Write the small files that commands read beside `sample_data`: the same values on every machine."""
    import h5py

    draw = np.random.default_rng(7)
    rows = draw.normal(size=(N_ROWS, 12)).astype(np.float32)
    spoilt = rows[:, :8].copy()
    spoilt[[3, 40], [1, 2]] = np.nan, np.inf
    np.savez(folder / "spoilt.npz", sound=rows, spoilt=spoilt, flat=np.full((N_ROWS, 3), 2.5))
    np.savez(folder / "damaged.npz", rows=rows)
    data = (folder / "damaged.npz").read_bytes()
    (folder / "damaged.npz").write_bytes(data[: len(data) // 2])
    tokens = draw.normal(size=(N_ROWS, 6, 5))
    np.savez(folder / "tokens.npz", block1=tokens, block2=tokens + draw.normal(size=tokens.shape), conv=tokens[:, :4])
    tall = draw.normal(size=(20_000, 24)) + 100
    np.save(folder / "tall.npy", tall)
    np.save(folder / "tall_too.npy", tall @ draw.normal(size=(24, 16)) + draw.normal(size=(20_000, 16)))
    far = draw.normal(size=(N_ROWS, 9))
    far[7] *= 1000
    np.save(folder / "far_row.npy", far)
    np.save(folder / "far_row_too.npy", far + draw.normal(size=far.shape))
    with h5py.File(sample_data / "B.h5") as file:
        order = draw.permutation(len(file["ids"]))
        np.savez(
            folder / "shuffled.npz", **{name: file[name][()][order] for name in ("gap", "logits", "ids", "labels")}
        )
