"""The objects of a training loop, made anew for every run of it: models, optimizers, scalers, schedules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .fit import Fitted
from .recipes import Recipe
from .rehearsal import Part

WIDTH = 16
BATCH = 16
STEPS = 32
"""The time steps of a sequence where the model says nothing of them."""
_RATE = 0.1
_ASSUMED: dict[str, Any] = {
    "T_max": 20,
    "total_steps": 20,
    "max_lr": 0.1,
    "base_lr": 0.01,
    "step_size": 1,
    "milestones": [5, 10],
    "gamma": 0.9,
    "T_0": 10,
    "lr_lambda": lambda step: 0.9**step,
}
"""Settings of schedules that the code does not tell."""


class Recurrent(nn.Module):
    """A recurrent layer and a head on all of its outputs; the state goes in and out."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.layer = {"lstm": nn.LSTM, "gru": nn.GRU}.get(kind, nn.RNN)(WIDTH, 2 * WIDTH)
        self.head = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor, state: Any = None) -> Any:
        """Outputs and state."""
        y, state = self.layer(x, state)
        return self.head(y), state


def _deep() -> nn.Module:
    layers = [nn.Sequential(nn.Linear(4 * WIDTH, 4 * WIDTH), nn.ReLU()) for _ in range(8)]
    return nn.Sequential(*layers)


def _plain() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.Tanh(), nn.Linear(2 * WIDTH, WIDTH))


def _modal() -> nn.Module:
    return nn.Sequential(
        nn.Linear(WIDTH, 2 * WIDTH),
        nn.BatchNorm1d(2 * WIDTH),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(2 * WIDTH, WIDTH),
    )


STAND_INS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "": ("two layers of 32 and 16 units", _plain),
    "deep": ("eight layers of 64 units", _deep),
    "modal": ("two layers with BatchNorm and dropout", _modal),
    "rnn": ("an nn.RNN of 32 units with a head", lambda: Recurrent("rnn")),
    "gru": ("an nn.GRU of 32 units with a head", lambda: Recurrent("gru")),
    "lstm": ("an nn.LSTM of 32 units with a head", lambda: Recurrent("lstm")),
}


class UnknownPartError(Exception):
    """A model is not known well enough to be made."""


@dataclass(frozen=True)
class Company:
    """How the parts of a loop are made; `targets` make models of the project, by their names.

    `inputs` are those of a model that no other feeds, by its number; `uses_stand_ins` where the models are
    not those of the code. `batch` is the number of samples, 0 for as many as there were in the search.
    """

    parts: dict[int, Part]
    targets: dict[str, Recipe]
    inputs: dict[int, Fitted] = field(default_factory=dict)
    uses_stand_ins: bool = False
    device: str = "cpu"
    batch: int = BATCH

    def model(self, number: int) -> nn.Module:
        """A model in training mode. Raises `UnknownPartError`."""
        part = self.parts[number]
        made = STAND_INS[part.stand_in][1]() if self.uses_stand_ins else self._described(part)
        return made.to(self.device).train()

    def _described(self, part: Part) -> nn.Module:
        if part.name and part.name in self.targets:
            made: nn.Module = self.targets[part.name].make()
            return made
        module, _, name = part.type.rpartition(".")
        cls = getattr(nn, name, None)
        if not module.startswith("torch.nn") or not isinstance(cls, type) or not issubclass(cls, nn.Module):
            known = f"how {part.type} is made is not known"
            raise UnknownPartError(known if part.type else "the model is handed in")
        if name == "Sequential":
            return self._sequence(part)
        positional, named = arguments(part.settings)
        return cls(*positional, **named)

    def _sequence(self, part: Part) -> nn.Module:
        if not part.holds or any(self.parts[n].holds for n in part.holds):
            raise UnknownPartError("the layers of a sequence are not known one by one")
        return nn.Sequential(*[self._described(self.parts[n]) for n in part.holds])

    def optimizer(
        self, number: int, models: dict[int, nn.Module], given: Sequence[int] = (), rate: float | None = None
    ) -> torch.optim.Optimizer:
        """The optimizer of what it is given or holds; of all models where that is not known."""
        part = self.parts[number]
        named = given or part.holds
        held = [models[n] for n in named if n in models] if named else list(models.values())
        unique = {id(p): p for model in held for p in model.parameters()}
        weights = list(unique.values()) or [nn.Parameter(torch.zeros(1, device=self.device))]
        made: torch.optim.Optimizer = optimizer_class(part)(weights, **_settings(part, rate))
        return made

    def scaler(self, number: int, is_on: bool) -> Any:
        """A gradient scaler of the device; switched off where `is_on` is false."""
        taken = inspect.signature(torch.amp.GradScaler).parameters.keys() - {"device", "enabled"}
        settings = self.parts[number].settings
        named = {name: value for name, value in settings.items() if name in taken and _is_known(value)}
        enabled = is_on and settings.get("enabled") is not False
        return torch.amp.GradScaler(self.device, enabled=enabled, **named)

    def scheduler(self, number: int, optimizer: torch.optim.Optimizer) -> Any:
        """The schedule of an optimizer; what the code does not tell is assumed."""
        part = self.parts[number]
        cls = getattr(torch.optim.lr_scheduler, part.type.rpartition(".")[2], None)
        if cls is None:
            return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        names = [n for n in inspect.signature(cls).parameters if n not in ("self", "optimizer")]
        known = {n: v for n, v in part.settings.items() if n in names and _is_known(v)}
        missing = {
            n: v for n, v in _ASSUMED.items() if n in names and n not in known and _is_needed(cls, n, known)
        }
        return cls(optimizer, **known, **missing)

    def described(self, numbers: Sequence[int]) -> str:
        """The models and what is put in their place, the optimizers with their settings."""
        return ", ".join(dict.fromkeys(text for n in numbers if (text := self._shown(self.parts[n]))))

    def _shown(self, part: Part) -> str:
        if part.kind == "model":
            return (
                f"a stand-in of {STAND_INS[part.stand_in][0]}" if self.uses_stand_ins else self._called(part)
            )
        if part.kind == "optimizer":
            cls = optimizer_class(part)
            rate = part.settings.get("lr", None if part.type else _RATE)
            shown = f"lr={rate:g}" if isinstance(rate, (int, float)) else ""
            return f"{cls.__name__}({shown}){'' if part.type else ' for one from outside'}"
        return ""

    def _called(self, part: Part) -> str:
        own = self.targets.get(part.name)
        if own is not None:
            given = ", ".join(f"{a.name}={a.expression} {_from(a.origin)}" for a in own.arguments())
            return f"{part.name}({given})"
        positional, named = arguments(part.settings)
        layers = [self._called(self.parts[n]) for n in part.holds]
        text = ", ".join([*layers, *map(repr, positional), *[f"{n}={v!r}" for n, v in named.items()]])
        return f"{part.type.rpartition('.')[2]}({text})"


def _from(origin: str) -> str:
    return origin if origin == "guessed" else f"from {origin}"


def _settings(part: Part, rate: float | None) -> dict[str, Any]:
    """The settings of an optimizer that are known, at another rate where one is given."""
    cls = optimizer_class(part)
    taken = inspect.signature(cls).parameters.keys() - {"params"}
    found = {name: value for name, value in part.settings.items() if name in taken and _is_known(value)}
    found = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
    default = {"lr": _RATE} if cls is torch.optim.SGD else {}
    return {**default, **found, **({} if rate is None else {"lr": rate})}


def _is_needed(cls: Any, name: str, known: dict[str, Any]) -> bool:
    """Whether a schedule cannot do without an argument, or cannot be made of those that are known."""
    if name == "total_steps":
        return not {"epochs", "steps_per_epoch"} <= known.keys()
    return inspect.signature(cls).parameters[name].default is inspect.Parameter.empty


def arguments(settings: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments of a constructor. Raises `UnknownPartError` where one is not known."""
    if any(not _is_known(value) for value in settings.values()):
        raise UnknownPartError("an argument of its constructor is not known")
    plain = {n: tuple(v) if isinstance(v, list) else v for n, v in settings.items()}
    places = [f"({n})" for n in range(sum(name.startswith("(") for name in plain))]
    if not plain.keys() >= set(places):
        raise UnknownPartError("an argument of its constructor is not known")
    return [plain[place] for place in places], {n: v for n, v in plain.items() if n not in places}


def _is_known(value: Any) -> bool:
    """Whether a setting is a constant, also within a list."""
    return value is not None and not (isinstance(value, list) and None in value)


def optimizer_class(part: Part) -> type[Any]:
    """The class of torch that an optimizer is of, or is like; plain descent where that is not known."""
    name = part.type.rpartition(".")[2]
    known = {
        "FusedAdam": "Adam",
        "FusedSGD": "SGD",
        "AdamW8bit": "AdamW",
        "Adam8bit": "Adam",
        "PagedAdamW": "AdamW",
    }
    found = getattr(torch.optim, known.get(name, name), None)
    return found if isinstance(found, type) and name != "Optimizer" else torch.optim.SGD
