"""One forward and one backward pass, and what they show of every module and activation.

The loss is a random projection of everything that forward returns, L = Σ y·v with v ~ N(0, 1). Scalars
are computed inside hooks, since a tensor may be overwritten in place later.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

SATURATED = {"sigmoid": 6.0, "hardsigmoid": 3.0, "tanh": 3.0, "hardtanh": 1.0, "softsign": 9.0}
"""From which |z| on the derivative is below a hundredth of its largest value."""
_backward, _noise, _norm = torch.autograd.backward, torch.randn_like, torch.linalg.vector_norm
"""Taken before a target can change torch."""
_RECTIFIERS = ("relu", "threshold", "relu6")


@dataclass
class Call:
    """One output of a module, or of a function that takes a parameter; `delta` is ‖∂L/∂output‖₂.

    `starved` is the share of its units whose gradient is 0 for all samples, where units are counted.
    """

    rms: float
    delta: float = 0.0
    starved: float = 1.0


@dataclass
class Run:
    """What one forward and one backward pass showed: calls by path, saturated shares by path.

    `order` holds the calls of modules as they came, each with its path; `unused` and `non_finite` the
    trained parameters that got no gradient, or one that is no number. Shares of units and of saturated
    inputs are only counted where `counts_units` is set.
    """

    counts_units: bool = False
    calls: dict[str, list[Call]] = field(default_factory=dict)
    saturation: list[tuple[str, float]] = field(default_factory=list)
    rectified: list[tuple[str, float]] = field(default_factory=list)
    order: list[tuple[str, Call]] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    non_finite: list[str] = field(default_factory=list)
    _last: tuple[torch.Tensor, int, Call] | None = None

    def call(self, output: torch.Tensor) -> Call:
        """A call whose gradient will be filled in; the one there is where the last output comes again."""
        if self._last is not None and self._last[0] is output and self._last[1] == output._version:
            return self._last[2]
        value = output.detach()
        call = Call(float(_norm(value)) / math.sqrt(max(value.numel(), 1)))

        def arrived(gradient: torch.Tensor) -> None:
            call.delta = math.hypot(call.delta, float(_norm(gradient)))
            if self.counts_units:
                call.starved = _share((_units(gradient) == 0).all(0))

        if output.requires_grad:
            output.register_hook(arrived)  # type: ignore[no-untyped-call]
        self._last = (output, output._version, call)
        return call


def _units(value: torch.Tensor) -> torch.Tensor:
    """Samples by units: features last, channels second where there is space behind them."""
    last = value.movedim(1, -1) if value.dim() > 3 else value
    return last.reshape(-1, last.shape[-1]) if last.dim() else last.reshape(1, 1)


def _share(mask: torch.Tensor) -> float:
    return float(mask.double().mean()) if mask.numel() else 0.0


def tensors(value: Any) -> list[torch.Tensor]:
    """The floating tensors in a value, also in the attributes of an object made to carry them."""
    if isinstance(value, torch.Tensor):
        return [value] if value.is_floating_point() else []
    found = tree_flatten(value)[0]
    if len(found) == 1 and not isinstance(found[0], torch.Tensor) and hasattr(found[0], "__dict__"):
        found = tree_flatten(dict(vars(found[0])))[0]
    return [t for t in found if isinstance(t, torch.Tensor) and t.is_floating_point()]


def _taken(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    """The tensors that a function of torch is given, by themselves or in a list."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _taken(value)


class Watch(TorchFunctionMode):
    """Records functions that are not modules: activations, and those that join a parameter to a signal."""

    def __init__(self, model: nn.Module, signals: Sequence[torch.Tensor], run: Run) -> None:
        super().__init__()
        self.run, self.stack = run, [""]
        self._names = {id(p): name for name, p in model.named_parameters()}
        self._signals: dict[int, torch.Tensor] = {id(x): x for x in signals}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        taken = list(_taken(args))
        if kwargs:
            taken += _taken(kwargs.values())
        names = [self._names[id(t)] for t in taken if id(t) in self._names]
        is_signal = any(id(t) in self._signals for t in taken)
        outputs = tensors(result)
        for output in outputs:
            if is_signal or not names:
                self._signals[id(output)] = output
            else:
                self._keep(output, names[0])
        if is_signal and outputs:
            for name in names:
                self.run.calls.setdefault(name, []).append(self.run.call(outputs[0]))
        if self.run.counts_units:
            self._activated(getattr(func, "__name__", ""), args, result)
        return result

    def _keep(self, output: torch.Tensor, name: str) -> None:
        """What is made of a parameter alone stands for it."""
        self._names[id(output)] = name
        self._signals.setdefault(-id(output), output)

    def _activated(self, op: str, args: Any, result: Any) -> None:
        op = op.rstrip("_")
        path = self.stack[-1]
        if op in SATURATED:
            self.run.saturation.append((path, _share(args[0].detach().abs() > SATURATED[op])))
        elif op == "softmax":
            self.run.saturation.append((path, _share(result.detach().amax(-1) > 0.5)))
        elif op in _RECTIFIERS:
            self.run.rectified.append((path, _share((_units(result.detach()) == 0).all(0))))


def observe(
    model: nn.Module,
    positional: Sequence[Any],
    named: Mapping[str, Any] | None = None,
    *,
    counts_units: bool = False,
) -> Run:
    """One forward pass, and the backward pass of a random projection of all outputs."""
    found = Run(counts_units)
    given = [x for x in tree_flatten((list(positional), dict(named or {})))[0] if isinstance(x, torch.Tensor)]
    watch = Watch(model, given, found)
    hooks = _hooks(model, watch, found)
    found.calls["input"] = [found.call(x) for x in given[:1] if x.is_floating_point()]
    try:
        with torch.enable_grad(), watch:
            outputs = tensors(model(*positional, **(named or {})))
        backward(outputs)
    finally:
        found._last = None
        for hook in hooks:
            hook.remove()
    trained = [(name, p.grad) for name, p in model.named_parameters() if p.requires_grad]
    found.unused = [name for name, gradient in trained if gradient is None]
    found.non_finite = [name for name, g in trained if g is not None and not bool(g.isfinite().all())]
    return found


def backward(outputs: Sequence[torch.Tensor]) -> None:
    """The backward pass of a random projection of the outputs that carry a gradient."""
    parts: list[Any] = [(y * _noise(y.detach())).sum() for y in outputs if y.requires_grad]
    if parts:
        _backward(sum(parts[1:], parts[0]))


def _hooks(model: nn.Module, watch: Watch, found: Run) -> list[Any]:
    """Hooks on every module that note where the pass is and what comes out."""
    paths: dict[int, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        paths.setdefault(id(module), []).append(path)

    def entered(module: nn.Module, _: Any) -> None:
        watch.stack.append(paths[id(module)][0])

    def left(module: nn.Module, _: Any, output: Any) -> None:
        watch.stack.pop()
        carried = tensors(output)
        if carried:
            call = found.call(carried[0])
            found.order.append((paths[id(module)][0], call))
            for path in paths[id(module)]:
                found.calls.setdefault(path, []).append(call)

    hooks: list[Any] = []
    for module in model.modules():
        hooks += [module.register_forward_pre_hook(entered), module.register_forward_hook(left)]
    return hooks
