"""The words a user may type: measures, kernels, their parameters, and the grammar `name:key=value,key=value`.

Nothing here needs numpy, so `cka --help` and a mistyped name cost nothing.
"""

import math
from dataclasses import dataclass

from cka_cli.errors import UsageError, nearest

Number = int | float


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel or a measure.

    kind : 'positive' (> 0), 'real', 'whole' (an integer >= 1) or 'share' (0 < value <= 1).
    default : the value when none is typed; None stands for `auto`, worked out from each layer.
    """

    name: str
    kind: str
    default: Number | None


_GAMMA = Parameter("gamma", "positive", None)
_COEF0 = Parameter("coef0", "real", 1)
_VARIANCE = Parameter("variance", "share", 0.99)

KERNELS: dict[str, tuple[Parameter, ...]] = {
    "linear": (),
    "polynomial": (Parameter("degree", "whole", 3), _GAMMA, _COEF0),
    "rbf": (Parameter("sigma", "positive", 0.8), Parameter("gamma", "positive", None)),
    "sigmoid": (_GAMMA, _COEF0),
    "laplacian": (_GAMMA,),
    "cosine": (),
}
KERNEL_ALIASES = {"poly": "polynomial", "gaussian": "rbf"}

MEASURES: dict[str, tuple[Parameter, ...]] = {
    "cka": (),
    "cka-debiased": (),
    "hsic": (),
    "hsic-unbiased": (),
    "cca-r2": (),
    "cca-rho": (),
    "svcca-r2": (_VARIANCE,),
    "svcca-rho": (_VARIANCE,),
    "pwcca": (),
    "regression-r2": (),
    "procrustes": (),
}

_KIND_WORDS = {
    "positive": "a number above 0",
    "real": "a number",
    "whole": "a whole number from 1",
    "share": "a number above 0 and at most 1",
}


@dataclass(frozen=True)
class Spec:
    """A kernel or measure with every parameter filled in; `str(spec)` is its full canonical form."""

    name: str
    parameters: tuple[tuple[str, Number | None], ...] = ()

    def __str__(self) -> str:
        if not self.parameters:
            return self.name
        return self.name + ":" + ",".join(f"{key}={_number_text(value)}" for key, value in self.parameters)

    def get(self, key: str) -> Number | None:
        """Return the value of one parameter; None when it is `auto` or not among this spec's parameters."""
        return dict(self.parameters).get(key)


def parse_kernel(text: str) -> Spec:
    """Return the kernel that `text` names, such as `rbf:sigma=0.4`; UsageError says what is wrong with it."""
    spec = _parse(text, "kernel", KERNELS, KERNEL_ALIASES)
    if spec.name != "rbf":
        return spec
    typed = {key.partition("=")[0].strip() for key in text.partition(":")[2].split(",")}
    if {"sigma", "gamma"} <= typed:
        raise UsageError(f"kernel '{text}': sigma and gamma both set the width; give one of them")
    kept = "gamma" if "gamma" in typed and spec.get("gamma") is not None else "sigma"
    return Spec("rbf", tuple(item for item in spec.parameters if item[0] == kept))


def parse_measure(text: str) -> Spec:
    """Return the measure that `text` names, such as `svcca-r2:variance=0.9`; UsageError says what is wrong."""
    return _parse(text, "measure", MEASURES, {})


def _parse(text: str, what: str, known: dict[str, tuple[Parameter, ...]], aliases: dict[str, str]) -> Spec:
    name, colon, rest = text.strip().partition(":")
    name = name.strip().lower()
    name = aliases.get(name, name)
    if name not in known:
        if "," in name and name.partition(",")[0] in (*known, *aliases):
            raise UsageError(f"{what} '{text}': one {what} at a time; repeat the option for more")
        raise UsageError(f"{what} '{text}': no such {what}{nearest(name, list(known))} (see: cka measures)")
    parameters = {parameter.name: parameter for parameter in known[name]}
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
    return Spec(name, tuple(values.items()))


def _parse_number(text: str, parameter: Parameter, where: str) -> Number | None:
    if text == "auto" and parameter.default is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    fits = {
        "positive": value > 0,
        "real": True,
        "whole": value >= 1 and value == math.floor(value) if math.isfinite(value) else False,
        "share": 0 < value <= 1,
    }[parameter.kind]
    if not (math.isfinite(value) and fits):
        raise UsageError(f"{where}: {parameter.name} must be {_KIND_WORDS[parameter.kind]} (found '{text}')")
    is_whole = value == math.floor(value) and (abs(value) < 1e15 or parameter.kind == "whole")
    return int(value) if is_whole else value


def _number_text(value: Number | None) -> str:
    return "auto" if value is None else repr(value)
