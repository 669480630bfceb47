"""What is asked of the library, as bundles of options parsed at the edge: what it gets has its units and types."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from cka_cli.cli.bundles import Bundle, Option
from cka_cli.errors import UsageError
from cka_cli.options import ReadOptions, RunOptions

if TYPE_CHECKING:
    from cka_cli.api.compare import Asked


@dataclass(frozen=True)
class Kinds:
    """The measures and kernels that were typed; none where the usual ones are meant. UsageError for a mistyped one."""

    measures: tuple[str, ...]
    kernels: tuple[str, ...]

    def __post_init__(self) -> None:
        from cka_cli.specs import parse_kernel, parse_measure

        # A mistyped name is said before anything is read.
        for text in self.measures:
            parse_measure(text)
        for text in self.kernels:
            parse_kernel(text)

    def asked(self, read: ReadOptions, run: RunOptions) -> "Asked":
        """Return what a comparison is asked for."""
        return {"measures": self.measures or ("cka",), "kernels": self.kernels or ("linear",), "read": read, "run": run}


def kinds_in(asked: "Asked") -> list[tuple[str, str]]:
    """Return the measure and kernel of each matrix that a pair of files gives."""
    from cka_cli.measures.registry import kinds_of

    return kinds_of(asked["measures"], asked["kernels"])


kind_options = Bundle(
    Kinds,
    Option(
        ["-m", "--measure", "measures"], multiple=True, metavar="NAME",
        help="What to compute; repeatable.  [default: cka; all: cka measures]",
    ),
    Option(
        ["-k", "--kernel", "kernels"], multiple=True, metavar="SPEC",
        help="Kernel of the Gram matrices, as linear or rbf:sigma=0.4; repeatable.  [default: linear]",
    ),
)  # fmt: skip


def _read_options(*, examples: str | None, channels: tuple[str, ...], shards: str, **as_typed: Any) -> ReadOptions:
    return ReadOptions(
        examples=_parse_examples(examples), channels=_parse_channels(channels), shards=parse_shards(shards), **as_typed
    )


# What the values of layers are, where files cannot say it.
dtype_option = Bundle(
    lambda dtype: dtype,
    Option(["--dtype"], type=click.Choice(["bf16"]), help="What 16-bit integers are: bfloat16.  [default: integers]"),
)


def parse_shards(shards: str) -> str:
    """Return what was said of shards. Raises UsageError for what is neither a known word nor a pattern."""
    if shards == "auto":
        return shards
    from cka_cli.files.shards import checked

    return checked(shards)


# Whether files of a folder are rows of one layer.
shards_option = Bundle(
    parse_shards,
    Option(
        ["--shards"], default="auto", metavar="join|separate|PATTERN",
        help="Files of a folder: rows of one layer, or a layer each; as '{layer}_{shard}.npy'.  [default: by name]",
    ),
)  # fmt: skip
# Which rows are read of a layer, and how.
example_options = Bundle(
    _read_options,
    Option(["--examples"], metavar="START:STOP", help="Rows to take; either may be left out."),
    Option(["--sample"], type=click.IntRange(1), metavar="N", help="Draw N of the rows."),
    Option(["--seed"], type=click.IntRange(0), default=0, show_default=True, help="Seed of whatever is drawn."),
    Option(["--ids"], metavar="DATASET", help="One-axis array of example ids by which rows are aligned."),
    Option(
        ["--pool"], type=click.Choice(["flatten", "mean", "max", "positions"]), default="flatten", show_default=True,
        help="How arrays with more than two axes become rows × features.",
    ),
    Option(
        ["--channels"], multiple=True, metavar="first|last",
        help="Where the channels are, for --pool; (FILE::)GLOB=last for some.  [default: first on images]",
    ),
    *dtype_option.options,
    Option(
        ["--nonfinite"], type=click.Choice(["error", "drop"]), default="error", show_default=True,
        help="NaN and infinite values: an error, or leave those examples out of every layer.",
    ),
    *shards_option.options,
)  # fmt: skip

# And which layers of a file.
read_options = Bundle(
    _read_options,
    Option(["--layers"], multiple=True, metavar="GLOB", help="Layers to take in every file; repeatable."),
    Option(["--exclude"], multiple=True, metavar="GLOB", help="Layers to leave out; repeatable."),
    *example_options.options,
)


def _run_options(
    *, batch: int | None, passes: int, memory: str | None, threads: int | None, **as_typed: Any
) -> RunOptions:
    return RunOptions(
        n_batch=batch, n_passes=passes, memory_bytes=parse_memory(memory), n_threads=_n_threads(threads), **as_typed
    )


def parse_memory(memory: str | None) -> int | None:
    """Return the bytes of a size such as `512MiB` or `1.5GB`; None for none. The unit must be said."""
    if memory is None:
        return None
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT])(i?)B?\s*", memory, re.IGNORECASE)
    if not match or float(match[1]) <= 0:
        raise UsageError(f"--memory {memory}: give a size with its unit, as 512MiB or 4GB (found '{memory}')")
    n_bytes = float(match[1]) * (1024 if match[3] else 1000) ** " KMGT".index(match[2].upper())
    return int(min(n_bytes, 1 << 60))


def _n_threads(threads: int | None) -> int:
    from cka_cli.system.memory import n_cores

    return threads or n_cores()


# What the arrays may take, in bytes; None for half of what is free.
memory_option = Bundle(
    parse_memory,
    Option(
        ["--memory"], metavar="SIZE", decides=False, help="Limit, as 512MiB or 4GB.  [default: half of what is free]"
    ),
)
# How many threads work.
threads_option = Bundle(
    _n_threads,
    Option(["--threads"], type=click.IntRange(1), metavar="N", decides=False, help="Threads.  [default: all cores]"),
)
# How the work is done.
run_options = Bundle(
    _run_options,
    Option(
        ["--batch"], type=click.IntRange(4), metavar="N",
        help="The minibatch estimate from batches of N shuffled examples, not the exact value.",
    ),
    Option(["--passes"], type=click.IntRange(1), default=1, show_default=True, help="Passes of --batch."),
    *memory_option.options,
    *threads_option.options,
    Option(
        ["--checkpoint"], metavar="FILE", decides=False,
        help="Keep what is done so far in FILE, and go on from it when the run was broken off.",
    ),
    Option(
        ["--precision"], type=click.Choice(["auto", "single", "double"]), default="auto", show_default=True,
        help="Of the products; auto is single for large jobs on values of up to 32 bits.",
    ),
)  # fmt: skip
# And how far values can be trusted.
run_and_stats_options = Bundle(
    _run_options,
    Option(["--stats"], is_flag=True, help="Standard error, chance level and p-value of every cell too."),
    Option(
        ["--permutations"], type=click.IntRange(19), metavar="N",
        help="With --stats: count N random pairings of the rows for the p-values.",
    ),
    Option(
        ["--groups"], metavar="DATASET",
        help="With --stats: one-axis array of groups of rows that depend on each other.",
    ),
    *run_options.options,
)  # fmt: skip

dry_run_option = Bundle(
    lambda dry_run: bool(dry_run),
    Option(
        ["--dry-run"], is_flag=True, decides=False,
        help="Print how it would be done and what it would cost; write no file.",
    ),
)  # fmt: skip


def _parse_examples(text: str | None) -> tuple[int | None, int | None]:
    """Return (start, stop) of `START:STOP`, either of which may be left out."""
    if text is None:
        return None, None
    start, colon, stop = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return int(start) if start.strip() else None, int(stop) if stop.strip() else None
    except ValueError:
        raise UsageError(f"--examples {text}: rows are given as START:STOP, such as 0:1000 (found '{text}')") from None


def _parse_channels(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return (glob, `first` or `last`) of each `GLOB=last` or `FILE::GLOB=last`; a bare `last` is for all layers."""
    pairs = []
    for text in texts:
        glob, _, axis = text.rpartition("=")
        if axis not in ("first", "last"):
            raise UsageError(
                f"--channels {text}: give first, last, or GLOB=last or FILE::GLOB=last for some of the layers"
            )
        pairs.append((glob or "*", axis))
    return tuple(pairs)


def check_checkpoint(run: RunOptions, others: Sequence[str | None]) -> None:
    """Raise where the checkpoint would be written over an input, or a result over the checkpoint."""
    path = run.checkpoint
    if path is None:
        return
    if not path:
        raise UsageError("--checkpoint: the name is empty; give the name of a file")
    if os.path.realpath(path) in map(os.path.realpath, filter(None, others)):
        raise UsageError(f"--checkpoint {path}: is also an input, the output or the plot; give another name")


def end_checkpoint(run: RunOptions) -> None:
    """Remove the checkpoint of a run whose result is written."""
    if run.checkpoint is not None:
        with suppress(OSError):
            os.unlink(os.path.realpath(run.checkpoint))


def ignore_flags() -> None:
    """Ignore floating-point flags until the command ends: what it does around the library needs it too."""
    from cka_cli.floating_point import flags_off

    click.get_current_context().with_resource(flags_off())
