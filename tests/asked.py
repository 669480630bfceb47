"""Comparisons as tests vary them: options in one dict, another plan, another executor."""

from dataclasses import fields, replace

from cka_cli.api.compare import carry_out, prepare
from cka_cli.options import ReadOptions, RunOptions
from cka_cli.plan.planner import make_plan

_OF_THE_RUN = {field.name for field in fields(RunOptions)}


def asked(**options):
    """The keywords that `compare` takes: options that are fields of `RunOptions` are put into one, as `run`."""
    run = {name: options.pop(name) for name in _OF_THE_RUN & options.keys()}
    return {**options, "run": RunOptions(**run)}


def compared(x, ys=(), *, measures=("cka",), kernels=("linear",), read=None, **options):
    """A comparison whose plan, executor or progress is handed in: `plan_of`, `executor`, `progress`."""
    how = {name: options.pop(name) for name in ("plan_of", "executor", "progress") & options.keys()}
    run = asked(**options)["run"]
    return carry_out(prepare(x, ys, measures=measures, kernels=kernels, read=read or ReadOptions(), run=run), **how)


def changed(**changes):
    """What gives the plan that would be made, with some changes."""
    return lambda request: replace(make_plan(request), **changes)
