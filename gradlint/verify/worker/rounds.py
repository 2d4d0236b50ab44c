"""A program of a training loop, run round by round with newly made parts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .company import Company
from .rehearsal import Act, Program
from .shown import Savings, Show, nodes, watch
from .subject import exact
from .synthetic import drawn, first, judged, loss_of

ROUNDS = 20
_APART = 1000
"""Seeds of rounds are so far apart; every form of a loop takes the same ones."""


@dataclass(frozen=True)
class Conditions:
    """What a run is made under, beside what its program says.

    It ends after so many `steps` of an optimizer or so many `rounds`. `factor` multiplies every loss;
    with `value` the factor is what brings the first loss there. With `is_exact` nothing computes in half
    precision, without `is_scaled` no scaler is on. `judged` is the logit that samples of a generator are
    judged with. `threshold` is what clipping clips to where the code does not tell. With `follows_weights`
    it is measured of every step how far it goes.
    """

    steps: int = ROUNDS
    rounds: int = 4 * ROUNDS
    factor: float = 1.0
    value: float | None = None
    is_exact: bool = False
    is_scaled: bool = True
    judged: float | None = None
    threshold: float = 1.0
    counts_graphs: bool = False
    follows_weights: bool = False
    seed: int = 0


class Rounds:
    """One run of a program: its objects by the numbers of their parts, the results by those of the acts.

    `acts` says what is done for each kind of act; those of other kinds are passed over.
    """

    def __init__(
        self,
        company: Company,
        program: Program,
        conditions: Conditions,
        acts: Mapping[str, Callable[[Rounds, Act], None]],
    ) -> None:
        self.company, self.program, self.conditions, self.acts = company, program, conditions, acts
        self.models: dict[int, nn.Module] = {}
        self.optimizers: dict[int, torch.optim.Optimizer] = {}
        self.scalers: dict[int, Any] = {}
        self.schedulers: dict[int, Any] = {}
        self.results: dict[int, Any] = {}
        self.states: dict[int, Any] = {}
        self.inputs: dict[int, tuple[list[Any], dict[str, Any]]] = {}
        self.losses: list[float] = []
        self.kept: Any = 0.0
        self.last: Any = None
        self.graph_of_one = 0
        self.savings = Savings()
        self.show = Show()
        self._factor: float | None = None

    def run(self) -> Show:
        """What the rounds show; an error that the program raises is part of that."""
        with exact(self.conditions.seed, torch.float32):
            self._make()
            try:
                self._run()
            except Exception as error:
                self.show.error = error
            self.show.end = self._weights()
        return self.show

    def _run(self) -> None:
        for act in self.program.before:
            self._do(act)
        self.prepare()
        self.show.start = self._weights()
        saved = 0
        for number in range(self.conditions.rounds):
            saved = len(self.savings.refs)
            self._reseed(self.conditions.seed * _APART + number)
            with self._counted():
                for act in self.program.cycle:
                    self._do(act)
            if max(map(len, self.show.steps.values()), default=0) >= self.conditions.steps:
                break
        self.show.graphs = self._graphs(len(self.savings.refs) - saved)

    def _do(self, act: Act) -> None:
        if act.kind in self.acts:
            self.acts[act.kind](self, act)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self.savings.watching() if self.conditions.counts_graphs else contextlib.nullcontext():
            yield

    def _graphs(self, saved: int) -> float:
        """The graphs that are held, by their nodes or by what was saved for them, in those of a round."""
        hanging = nodes(self.kept) / self.graph_of_one if self.graph_of_one else 0.0
        return max(hanging, self.savings.alive / saved if saved else 0.0)

    def _reseed(self, seed: int) -> None:
        """Set the random numbers of the device; `torch.manual_seed` does it for all, which is slow."""
        torch.default_generator.manual_seed(seed)
        if self.company.device.startswith("cuda"):
            torch.cuda.manual_seed(seed)

    # parts

    def _make(self) -> None:
        for number, part in self.company.parts.items():
            if part.kind == "scaler":
                self.scalers[number] = self.company.scaler(number, self.conditions.is_scaled)
        for number in called((*self.program.before, *self.program.cycle), self.company):
            self._reseed(self.conditions.seed * _APART + number)
            self.models[number] = self.company.model(number)

    def prepare(self) -> None:
        """Make the optimizers and schedules that are not there yet, of what the models hold by now."""
        for kind, make in (("optimizer", self.optimize), ("scheduler", self._schedule)):
            for number, part in self.company.parts.items():
                if part.kind == kind:
                    make(number)

    def optimize(self, number: int, models: Sequence[int] = (), rate: float | None = None) -> None:
        """Make an optimizer where there is none yet, of these models or of those that it is known to hold."""
        if number not in self.optimizers and number in self.company.parts:
            made = self.optimizers[number] = self.company.optimizer(number, self.models, models, rate)
            steps = self.show.steps.setdefault(number, [])
            watch(made, steps, lambda: self._position(made), self.conditions.follows_weights)

    def _schedule(self, number: int) -> None:
        of = [n for n in (*self.company.parts[number].holds, *self.optimizers) if n in self.optimizers]
        if number not in self.schedulers and of:
            self.schedulers[number] = self.company.scheduler(number, self.optimizers[of[0]])

    def _position(self, optimizer: torch.optim.Optimizer) -> int:
        return next((int(s.last_epoch) for s in self.schedulers.values() if s.optimizer is optimizer), 0)

    def _weights(self) -> dict[str, torch.Tensor]:
        return {
            f"{number}.{name}": p.detach().float().clone()
            for number, model in self.models.items()
            for name, p in model.named_parameters()
        }

    # data

    def input_of(self, act: Act, model: nn.Module) -> tuple[list[Any], dict[str, Any]]:
        """The input of a forward pass, the same random numbers in every round."""
        if act.number not in self.inputs:
            self._reseed(self.conditions.seed * _APART + 7 * act.number + 1)
            fitted = self.company.inputs.get(act.on[0])
            self.inputs[act.number] = drawn(model, fitted, self.company.device, self.company.batch)
        positional, named = self.inputs[act.number]
        return list(positional), dict(named)

    def loss(self, act: Act) -> Any:
        """The loss of a backward pass, of the results that no other result of the same pass was made of."""
        numbers = [n for n in act.of if n in self.results] or list(self.results)[-1:]
        passes = [each for each in (*self.program.before, *self.program.cycle) if each.number in numbers]
        used = {n for each in passes for n in each.of}
        finals = [n for n in numbers if n not in used] or numbers[-1:]
        total: Any = sum(self._loss_of(first(self.results[n]), act) for n in finals)
        return total * self._multiplied(total)

    def _loss_of(self, out: torch.Tensor, act: Act) -> torch.Tensor:
        if self.conditions.judged is not None:
            return judged(out, str(act.settings.get("form")), self.conditions.judged)
        return loss_of(out, "sum" if act.settings.get("reduction") == "sum" else "mean")

    def _multiplied(self, total: torch.Tensor) -> float:
        if self.conditions.value is None:
            return self.conditions.factor
        if self._factor is None:
            self._factor = self.conditions.value / float(total.detach())
        return self._factor


def called(acts: Sequence[Act], company: Company) -> list[int]:
    """The models that are called, clipped or held by an optimizer, by their numbers."""
    acted = [n for act in acts if act.kind in ("forward", "clip") for n in act.on]
    held = [n for part in company.parts.values() if part.kind == "optimizer" for n in part.holds]
    numbers = dict.fromkeys([*acted, *held])
    return [n for n in numbers if n in company.parts and company.parts[n].kind == "model"]
