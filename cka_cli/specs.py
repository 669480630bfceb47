"""The words a user may type: measures, kernels, their parameters, and the grammar `name:key=value,key=value`.

Nothing here needs numpy, so `cka --help` and a mistyped name cost nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from cka_cli.errors import UsageError, nearest

Number = int | float


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel or a measure.

    kind : of `_KINDS`.
    default : the value when none is typed; None stands for `auto`, worked out from each layer.
    """

    name: str
    kind: str
    default: Number | None


@dataclass(frozen=True)
class Words:
    """What may be typed behind the name of a kernel or a measure, and what a report must know that has its name alone.

    parameters : in the order of the canonical form. widths : those of which each sets the width, so that one alone may
        be given; kept is the last that has a value.
    bounds : of a measure, the least and the largest value, noise apart.
    """

    parameters: tuple[Parameter, ...] = ()
    widths: tuple[str, ...] = ()
    bounds: tuple[Number, Number] = (0, 1)


_GAMMA = Parameter("gamma", "positive", None)
_COEF0 = Parameter("coef0", "real", 1)
_VARIANCE = Parameter("variance", "share", 0.99)

KERNELS = {
    "linear": Words(),
    "polynomial": Words((Parameter("degree", "whole", 3), _GAMMA, _COEF0)),
    "rbf": Words((Parameter("sigma", "positive", 0.8), _GAMMA), widths=("sigma", "gamma")),
    "sigmoid": Words((_GAMMA, _COEF0)),
    "laplacian": Words((_GAMMA,)),
    "cosine": Words(),
}
KERNEL_ALIASES = {"poly": "polynomial", "gaussian": "rbf"}

MEASURES = {
    "cka": Words(),
    "cka-debiased": Words(bounds=(-1, 1)),
    "hsic": Words(bounds=(0, math.inf)),
    "hsic-unbiased": Words(bounds=(-math.inf, math.inf)),
    "cca-r2": Words(),
    "cca-rho": Words(),
    "svcca-r2": Words((_VARIANCE,)),
    "svcca-rho": Words((_VARIANCE,)),
    "pwcca": Words(),
    "regression-r2": Words(),
    "procrustes": Words(),
}

# In words, and of a finite number whether it is one.
_KINDS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "positive": ("a number above 0", lambda value: value > 0),
    "real": ("a number", lambda value: True),
    "whole": ("a whole number from 1", lambda value: value >= 1 and value.is_integer()),
    "share": ("a number above 0 and at most 1", lambda value: 0 < value <= 1),
}


@dataclass(frozen=True)
class Spec:
    """A kernel or measure with every parameter filled in; `str(spec)` is its full canonical form."""

    name: str
    parameters: tuple[tuple[str, Number | None], ...] = ()

    def __str__(self) -> str:
        if not self.parameters:
            return self.name
        texts = (f"{key}={'auto' if value is None else repr(value)}" for key, value in self.parameters)
        return f"{self.name}:{','.join(texts)}"

    def get(self, key: str) -> Number | None:
        """Return the value of one parameter; None when it is `auto` or not among this spec's parameters."""
        return dict(self.parameters).get(key)


def parse_kernel(text: str) -> Spec:
    """Return the kernel that `text` names, such as `rbf:sigma=0.4`; UsageError says what is wrong with it."""
    return _parse(text, "kernel", KERNELS, KERNEL_ALIASES)


def parse_measure(text: str) -> Spec:
    """Return the measure that `text` names, such as `svcca-r2:variance=0.9`; UsageError says what is wrong."""
    return _parse(text, "measure", MEASURES, {})


def _parse(text: str, what: str, known: dict[str, Words], aliases: dict[str, str]) -> Spec:
    name, colon, rest = text.strip().partition(":")
    name = name.strip().lower()
    name = aliases.get(name, name)
    if name not in known:
        if "," in name and name.partition(",")[0] in (*known, *aliases):
            raise UsageError(f"{what} '{text}': one {what} at a time; repeat the option for more")
        raise UsageError(f"{what} '{text}': no such {what}{nearest(name, list(known))} (see: cka measures)")
    parameters, widths = {parameter.name: parameter for parameter in known[name].parameters}, known[name].widths
    values: dict[str, Number | None] = {key: parameter.default for key, parameter in parameters.items()}
    seen: set[str] = set()
    for item in rest.split(",") if colon else ():
        key, equals, value = (part.strip() for part in item.partition("="))
        if key not in parameters:
            takes = f"it takes {', '.join(parameters)}" if parameters else "it takes none"
            raise UsageError(f"{what} '{text}': {name} has no parameter '{key}'; {takes}")
        if not equals or key in seen:
            raise UsageError(f"{what} '{text}': give '{key}' one value, as {key}=VALUE")
        seen.add(key)
        values[key] = _parse_number(value, parameters[key], f"{what} '{text}'")
    if len(seen.intersection(widths)) > 1:
        raise UsageError(f"{what} '{text}': {' and '.join(widths)} both set the width; give one of them")
    kept = [width for width in widths if values[width] is not None][-1:]
    return Spec(name, tuple(item for item in values.items() if item[0] not in widths or item[0] in kept))


def is_bounded(measure: str) -> bool:
    """Whether the values of a measure, in canonical form, lie in [-1, 1], noise apart; False when it is unknown."""
    words = MEASURES.get(measure.partition(":")[0])
    return words is not None and all(map(math.isfinite, words.bounds))


def _parse_number(text: str, parameter: Parameter, where: str) -> Number | None:
    if text == "auto" and parameter.default is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    words, fits = _KINDS[parameter.kind]
    if not (math.isfinite(value) and fits(value)):
        raise UsageError(f"{where}: {parameter.name} must be {words} (found '{text}')")
    is_whole = value.is_integer() and (abs(value) < 1e15 or parameter.kind == "whole")
    return int(value) if is_whole else value
