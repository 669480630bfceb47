"""`cka inspect`."""

import click

from cka_cli.cli import options, writing


@click.command("inspect")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--headers", is_flag=True, help="Read headers only: no search for trouble in the values.")
@options.dtype_option
@options.shards_option
@writing.report_options("inspect")
@writing.talk_options
def inspect_command(
    talk: writing.Talk, output: writing.ReportOutput, shards: str, dtype: str | None, files: tuple[str, ...],
    headers: bool,
) -> None:  # fmt: skip
    """List the layers of activation files: shape, dtype, bytes, and trouble seen (NaN, constant features).

    \b
    cka inspect a.h5
    cka inspect runs/*.h5 --headers
    """
    from cka_cli.api.inspect import inspect
    from cka_cli.report.inspect import InspectionReport

    output.check(files)
    with talk.progress() as progress:
        arrays = inspect(files, scan=not headers, dtype=dtype, shards=shards, progress=progress)
    output.write_report(InspectionReport(arrays))
