"""What automatic mixed precision is told: the settings of `autocast` and `GradScaler` with their defaults."""

from __future__ import annotations

from collections.abc import Iterable

from gradlint.records.graph import Setting
from gradlint.semantics.interpretation import Arguments
from gradlint.semantics.value import Known, Value
from gradlint.training.settings import arguments_of
from gradlint.training.values import Symbol, options

_OF_DEVICES = {"cuda": "torch.float16", "xpu": "torch.float16", "mps": "torch.float16"}
"""What autocast computes in where it is told nothing else; bfloat16 on other devices."""

_ORDER = ("device_type", "dtype", "enabled")
_ORDER_OF_OLD = ("enabled", "dtype")
_SCALER = ("init_scale", "growth_factor", "backoff_factor", "growth_interval", "enabled")
_ALIASES = {"torch.half": "torch.float16"}


def autocast(name: str, arguments: Arguments) -> dict[str, Setting]:
    """ "dtype" ("torch.float16" …), "device" and "enabled" of an `autocast`; None where not known.

    Without a type the default of the device counts: float16 where the device is one of several of which
    one is a GPU, since bfloat16 on the processor is not what such code is written for.
    """
    is_old = name.startswith(("torch.cuda.", "torch.cpu."))
    given = arguments_of(arguments, _ORDER_OF_OLD if is_old else _ORDER)
    positional = {} if is_old else dict(zip(_ORDER, arguments.positional, strict=False))
    device = arguments.keywords.get("device_type") or positional.get("device_type")
    kinds = [name.split(".")[1]] if is_old else kinds_of_device([device.value] if device else [])
    dtype = given.get("dtype", "None")
    if dtype == "None":
        dtype = _default(kinds)
    if isinstance(dtype, str):
        dtype = _ALIASES.get(dtype, dtype)
    is_open = arguments.open and "enabled" not in given
    kind = kinds[0] if len(kinds) == 1 else None
    return {"dtype": dtype, "device": kind, "enabled": None if is_open else given.get("enabled", True)}


def _default(kinds: list[str]) -> Setting:
    """What autocast computes in on one of these devices."""
    found = [_OF_DEVICES.get(kind, "torch.bfloat16") for kind in kinds]
    return min(found, key=lambda dtype: dtype != "torch.float16", default=None)


def kinds_of_device(given: Iterable[Value]) -> list[str]:
    """The types of device ("cuda", "cpu" …) that a value can name; none where one is not known."""
    found: dict[str, None] = {}
    for value in [option for each in given for option in options(each)]:
        kind = value.attributes.get("type") if isinstance(value, Symbol) else value
        named = [each.value for each in options(kind) if isinstance(each, Known)] if kind else []
        if not named or not all(isinstance(each, str) for each in named):
            return []
        found |= {str(each).partition(":")[0]: None for each in named}
    return list(found)


def scaler(name: str, arguments: Arguments) -> dict[str, Setting]:
    """The arguments of a `GradScaler`, by name; those whose value is not known are None."""
    is_old = name.startswith(("torch.cuda.", "torch.cpu."))
    given = arguments_of(arguments, _SCALER if is_old else ("device", *_SCALER))
    if arguments.open:
        given.setdefault("enabled", None)
    if given.get("enabled") is True:
        del given["enabled"]
    return given
