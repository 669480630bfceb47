"""Options that travel together: one decorator adds them to a command, which is given one object made of them."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import click

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


class Option(click.Option):
    """An option. decides : whether a number depends on it, and not only where results go, their look or the time."""

    def __init__(self, *arguments: Any, decides: bool = True, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.decides = decides


class Bundle(Generic[T]):
    """A decorator that adds options and hands the command, as its first argument, what `build` makes of their values.

    The bundle nearest to the command gives its first argument, the next one the second, and so on. What is wrong with
    the options of the farthest is said first.
    """

    def __init__(self, build: Callable[..., T], *options: Option) -> None:
        self.build, self.options = build, options
        self.names = frozenset(option.name for option in options if option.name and option.expose_value)

    def __call__(self, command: Callable[Concatenate[T, P], R]) -> Callable[P, R]:
        """Return the command with the options."""

        @wraps(command)
        def with_bundle(*given: P.args, **values: P.kwargs) -> R:
            own = {name: values.pop(name) for name in self.names}
            return command(self.build(**own), *given, **values)

        with_bundle.__dict__.setdefault("__click_params__", []).extend(reversed(self.options))
        return with_bundle


def deciding_options() -> dict[str, Any]:
    """Return the options of the command that runs which decide what is found, as typed, as JSON takes them."""
    context = click.get_current_context()
    deciding = {each.name for each in context.command.params if isinstance(each, click.Option)}
    deciding -= {each.name for each in context.command.params if isinstance(each, Option) and not each.decides}
    typed = {name: value for name, value in context.params.items() if name in deciding}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in typed.items()}
