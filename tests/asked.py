"""Options of `compare` in one dict, as tests vary them."""

from dataclasses import fields

from cka_cli.plan.options import RunOptions

_OF_THE_RUN = {field.name for field in fields(RunOptions)}


def asked(**options):
    """The keywords that `compare` takes: options that are fields of `RunOptions` are put into one, as `run`."""
    run = {name: options.pop(name) for name in _OF_THE_RUN & options.keys()}
    return {**options, "run": RunOptions(**run)}
