"""What a run of a training loop shows: the steps of its optimizers, its weights, the graphs it holds."""

from __future__ import annotations

import inspect
import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .synthetic import norm


@dataclass
class Step:
    """A step that an optimizer took: ‖g‖₂ that it was given, and the position of its schedule.

    Of the first one also the gradients; of that, or of all where they are followed, the share of float16
    elements that are lost, and ‖Δw‖₂/‖w‖₂.
    """

    norm: float
    position: int = 0
    gradients: list[torch.Tensor] = field(default_factory=list)
    ratio: float = math.nan
    lost: float = 0.0


@dataclass
class Show:
    """The steps of each optimizer, the weights by name before and after, what clipping found, and graphs.

    `graphs` counts those still held at the end, in graphs of one round.
    """

    steps: dict[int, list[Step]] = field(default_factory=dict)
    start: dict[str, torch.Tensor] = field(default_factory=dict)
    end: dict[str, torch.Tensor] = field(default_factory=dict)
    clipped: list[float] = field(default_factory=list)
    graphs: float = 0.0
    error: Exception | None = None

    def taken(self, about: int | None) -> list[Step]:
        """The steps of an optimizer, of all where none is named."""
        if about is not None:
            return self.steps.get(about, [])
        return [step for steps in self.steps.values() for step in steps]


def watch(
    optimizer: torch.optim.Optimizer, steps: list[Step], position: Callable[[], int], follows: bool = False
) -> None:
    """Note every step that an optimizer takes from now on, and how far each goes if it `follows` them."""
    looks: list[_Move] = []

    def before(*_: Any) -> None:
        gradients = [p.grad.detach() for p in held_by(optimizer) if p.grad is not None]
        steps.append(Step(norm(gradients), position()))
        closely = _First if len(steps) == 1 else _Compared
        looks[:] = [closely(optimizer, steps[-1])] if follows or len(steps) == 1 else []

    def after(*_: Any) -> None:
        for look in looks:
            look.finish()

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)


def held_by(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """The parameters of an optimizer."""
    return [p for group in optimizer.param_groups for p in group["params"]]


class _Move:
    """A step, of which it is looked how far it goes."""

    def __init__(self, optimizer: torch.optim.Optimizer, step: Step) -> None:
        self.held, self.step = held_by(optimizer), step
        self.before = [p.detach().clone() for p in self.held]

    def finish(self) -> None:
        """After the step."""
        pairs = [(p.detach().float(), w.float()) for p, w in zip(self.held, self.before) if p.dim() > 1]
        size = norm([w for _, w in pairs])
        self.step.ratio = norm([p - w for p, w in pairs]) / size if size else math.nan


class _Compared(_Move):
    """A step of which the losses of float16 are counted as well."""

    def __init__(self, optimizer: torch.optim.Optimizer, step: Step) -> None:
        super().__init__(optimizer, step)
        self.reference = _reference(optimizer)

    def finish(self) -> None:
        """After the step: how far it went, and what float16 lost of it."""
        super().finish()
        if self.reference is not None:
            self.step.lost = self._lost(*self.reference)

    def _lost(self, copies: Sequence[torch.Tensor], reference: torch.optim.Optimizer) -> float:
        starts = [copy.detach().clone() for copy in copies]
        reference.step()
        changed = lost = 0
        for p, before, copy, start in zip(self.held, self.before, copies, starts):
            if p.dtype is torch.float16:
                moved = copy.detach() != start
                changed += int(moved.sum())
                lost += int((moved & ((p.detach() == before) | ~p.detach().isfinite())).sum())
        return lost / changed if changed else 0.0


class _First(_Compared):
    """The first step, of which the gradients are kept."""

    def __init__(self, optimizer: torch.optim.Optimizer, step: Step) -> None:
        super().__init__(optimizer, step)
        step.gradients = [p.grad.detach().float().clone() for p in self.held if p.grad is not None]


def _reference(optimizer: torch.optim.Optimizer) -> tuple[list[torch.Tensor], torch.optim.Optimizer] | None:
    """Float32 copies of float16 weights and gradients, under an optimizer of the same settings and state."""
    held = held_by(optimizer)
    if not any(p.dtype is torch.float16 for p in held):
        return None
    copies: list[torch.Tensor] = [nn.Parameter(p.detach().float()) for p in held]
    for copy, p in zip(copies, held):
        copy.grad = None if p.grad is None else p.grad.detach().float()
    kind: Any = type(optimizer)
    taken = inspect.signature(kind).parameters.keys() - {"fused", "foreach"}
    settings = {name: value for name, value in optimizer.defaults.items() if name in taken}
    reference = kind(copies, **settings)
    groups = reference.state_dict()["param_groups"]
    reference.load_state_dict({"state": optimizer.state_dict()["state"], "param_groups": groups})
    return copies, reference


def nodes(value: Any) -> int:
    """The size of the graph that a tensor hangs on, parameters not counted."""
    pending = [value.grad_fn] if getattr(value, "grad_fn", None) is not None else []
    seen = set(pending)
    while pending:
        for following, _ in pending.pop().next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                pending.append(following)
    return sum(not hasattr(node, "variable") for node in seen)


class _Saved:
    """A tensor that is kept for a backward pass."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


class Savings:
    """Counts the tensors that are kept for backward passes, and those of them that still are."""

    def __init__(self) -> None:
        self.refs: list[weakref.ref[_Saved]] = []

    def watching(self) -> Any:
        """A block in which what is saved counts."""
        return torch.autograd.graph.saved_tensors_hooks(self._keep, lambda saved: saved.tensor)

    def _keep(self, tensor: torch.Tensor) -> _Saved:
        saved = _Saved(tensor if tensor.is_leaf else tensor.detach())  # an output would keep its own node
        self.refs.append(weakref.ref(saved))
        return saved

    @property
    def alive(self) -> int:
        """How many are still kept."""
        return sum(ref() is not None for ref in self.refs)
