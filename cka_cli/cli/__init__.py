"""The command line: the group of commands, where an error becomes one line and an exit status."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from cka_cli.cli.signals import ended_by_signals
from cka_cli.errors import CkaError, one_line
from cka_cli.version import __version__

# The commands in the order of use. Each is loaded when it is called, so that `cka --help` builds no option of theirs.
_COMMANDS = {
    "inspect": "List the layers of activation files, and trouble seen in them.",
    "compare": "Compare the layers of two networks, or of one with itself.",
    "heatmap": "Draw the result as a paper prints it.",
    "match": "Find which layers correspond, and how many each measure identifies.",
    "explain": "Tell which principal components make a similarity.",
    "diagnose": "Say how far the numbers can be trusted.",
    "measures": "List every measure and kernel.",
}


class _OrderOfUse(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        from importlib import import_module

        command: click.Command = getattr(import_module(f"cka_cli.cli.{cmd_name}"), f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_OrderOfUse,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="cka", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """How similar is what two neural networks have learned, layer by layer?

    Reads activations saved on disk: HDF5, NPY, NPZ, safetensors, PyTorch, Parquet, Arrow, Zarr, MATLAB, or a folder,
    one row per example, the same examples in the same order in every layer. A layer is addressed FILE::LAYER, as in
    'a.h5::conv*'.

    \b
    cka compare a.h5 b.h5                            the matrix of similarities
    cka compare a.h5 b.h5 | cka heatmap -o sim.png   the picture of it
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 done, 1 the data or the disk, 2 the command line, 130 Ctrl-C, 143 SIGTERM."""
    _replace_closed_streams()
    _give_blas_one_thread()
    with ended_by_signals():
        status = _run(arguments)
        _discard_unwritten()
    sys.exit(status)


def _run(arguments: Sequence[str] | None) -> int:
    settings = {"verbose": False}
    try:
        status = cli.main(arguments, prog_name="cka", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except BrokenPipeError:
        return 1
    except click.ClickException as error:
        return _fail(_usage_line(error), 2, settings)
    except CkaError as error:
        return _fail(str(error), error.exit_status, settings)
    except MemoryError:
        return _fail(
            "out of memory; use fewer layers (--layers), fewer examples (--sample) or --pool mean", 1, settings
        )
    except OSError as error:
        return _fail(f"{error.filename or 'standard output'}: {error.strerror or error}", 1, settings)
    except SystemExit as error:  # from click when the reader is gone
        status = error.code
    return status if isinstance(status, int) else 0


def _give_blas_one_thread() -> None:
    """Give each BLAS call one thread, before numpy is imported: the work is divided among threads of our own.

    BLAS threads wait for each other on the short, wide products of tiles, and sums of tiles that are added in a fixed
    order are the same for any number of threads.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ[name] = "1"


def _replace_closed_streams() -> None:
    """Open a standard stream that the caller closed: else the next file opened would take its place.

    Standard output becomes one that cannot be written to, so that a result is never lost without a word.
    """
    for descriptor, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, flags)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            setattr(sys, name, open(descriptor, "w" if descriptor else "r", encoding="utf-8"))  # noqa: SIM115


def _discard_unwritten() -> None:
    """Leave quietly: what is still in a buffer and has nowhere to go would be tried again when Python ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _usage_line(error: click.ClickException) -> str:
    line = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{line} (see: {context.command_path} --help)" if context is not None else line


def _fail(message: str, status: int, settings: dict[str, bool]) -> int:
    if settings["verbose"]:
        import traceback

        traceback.print_exc()
    with suppress(OSError):  # standard error may be closed: then the status is all that can be said
        click.echo(f"Error: {one_line(message)}", err=True)
    return status
