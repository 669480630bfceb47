"""The command line: the group of commands, where an error becomes one line and an exit status."""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import click

from cka_cli import __version__
from cka_cli.cli.compare import compare_command
from cka_cli.cli.heatmap import heatmap_command
from cka_cli.cli.inspect import inspect_command
from cka_cli.cli.measures import measures_command
from cka_cli.errors import CkaError, one_line


class _OrderOfUse(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_OrderOfUse, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="cka", message="%(prog)s %(version)s")
def cli() -> None:
    """How similar is what two neural networks have learned, layer by layer?

    Reads activations saved on disk: HDF5, NPY, NPZ or a folder of NPY, one row per example, the same examples in the
    same order in every layer. A layer is addressed FILE::LAYER, as in 'a.h5::conv*'.

    \b
    cka compare a.h5 b.h5                            the matrix of similarities
    cka compare a.h5 b.h5 | cka heatmap -o sim.png   the picture of it
    """


for _command in (inspect_command, compare_command, heatmap_command, measures_command):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and exit: 0 done, 1 the data or the disk, 2 the command line, 130 Ctrl-C, 143 SIGTERM."""
    signal.signal(signal.SIGTERM, _terminated)
    settings = {"verbose": False}
    try:
        status = cli.main(arguments, prog_name="cka", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except BrokenPipeError:
        status = _closed_reader()
    except KeyboardInterrupt:
        status = 130
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        status = 2
    except click.Abort:
        status = 130
    except click.ClickException as error:
        status = _fail(error.format_message(), 2, settings)
    except CkaError as error:
        status = _fail(str(error), error.exit_status, settings)
    except MemoryError:
        status = _fail(
            "out of memory; use fewer layers (--layers), fewer examples (--sample) or --pool mean", 1, settings
        )
    sys.exit(status if isinstance(status, int) else 0)


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _closed_reader() -> int:
    """Leave quietly: what is still in the buffer of standard output has nowhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _fail(message: str, status: int, settings: dict[str, bool]) -> int:
    if settings["verbose"]:
        import traceback

        traceback.print_exc()
    with suppress(OSError):  # standard error may be closed: then the status is all that can be said
        click.echo(f"Error: {one_line(' '.join(message.split()))}", err=True)
    return status


__all__ = ["cli", "main"]
