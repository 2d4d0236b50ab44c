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
_stack = torch.stack
"""Taken before a target can change torch."""
_PARTS = 16
_RECTIFIERS = ("relu", "threshold", "relu6")
_SUMS = frozenset({"add", "radd", "iadd", "sub", "rsub", "isub"})
_PRODUCTS = frozenset({"mul", "rmul", "imul"})


@dataclass(eq=False)
class Call:
    """One output of a module, or of a function that takes a parameter.

    `arrived` are norms of gradients; those at the other tensors of the output, `beside`, count where none
    arrives at the first, as at the states of a recurrent layer of which the last alone is used. `joined` is
    the first sum with another signal, where the output goes into one before other weights. `starved` is the
    share of its units whose gradient is 0 for all samples, where units are counted. Norms stay where
    they were computed until they are asked for, since fetching each takes time on a GPU.
    """

    norm: Any
    count: int
    arrived: list[Any] = field(default_factory=list)
    beside: list[Any] = field(default_factory=list)
    starved: float = 1.0
    carries: bool = False
    joined: Call | None = None

    @property
    def rms(self) -> float:
        """The root mean square of the output."""
        return float(self.norm) / math.sqrt(max(self.count, 1))

    @property
    def delta(self) -> float:
        """‖∂L/∂output‖₂."""
        return math.hypot(*map(float, self.arrived or self.beside))

    def watch(self, others: Iterable[torch.Tensor]) -> None:
        """Note the gradients at other tensors of the output."""
        with torch._C.DisableTorchFunction():
            for other in others:
                if other.requires_grad:
                    other.register_hook(lambda gradient: self.beside.append(size(gradient)))  # type: ignore[no-untyped-call]


@dataclass
class Run:
    """What one forward and one backward pass showed: calls by path, saturated shares by path.

    `order` holds the calls of modules as they came, each with its path; `unused` and `non_finite` the
    trained parameters that got no gradient, or one that is no number; `cut` those of the unused that are of
    layers which ran; `estimated` those whose values alone an estimator passes on. The loss takes `outputs`
    of the model's results. Shares of units and of saturated inputs are only counted where `counts_units` is
    set. It `is_silent` where gradients come back and are 0 throughout.
    """

    counts_units: bool = False
    calls: dict[str, list[Call]] = field(default_factory=dict)
    saturation: list[tuple[str, float]] = field(default_factory=list)
    rectified: list[tuple[str, float]] = field(default_factory=list)
    order: list[tuple[str, Call]] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    non_finite: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    estimated: set[str] = field(default_factory=set)
    is_silent: bool = False
    outputs: int = 0
    _last: tuple[torch.Tensor, int, Call] | None = None
    _made: list[Call] = field(default_factory=list)

    def call(self, output: torch.Tensor) -> Call:
        """A call whose gradient will be filled in; the one there is where the last output comes again."""
        with torch._C.DisableTorchFunction():
            version = -1 if output.is_inference() else output._version
            if self._last is not None and self._last[0] is output and self._last[1] == version:
                return self._last[2]
            call = Call(size(output.detach()), output.numel(), carries=output.requires_grad)

            def arrived(gradient: torch.Tensor) -> None:
                call.arrived.append(size(gradient))
                if self.counts_units:
                    call.starved = _share((_units(gradient) == 0).all(0))

            if output.requires_grad:
                output.register_hook(arrived)  # type: ignore[no-untyped-call]
            self._last = (output, version, call)
            self._made.append(call)
            return call

    def settle(self) -> None:
        """Fetch all norms, those of one kind together."""
        norms = [norm for call in self._made for norm in (call.norm, *call.arrived, *call.beside)]
        known = iter(_fetched(norms))
        for call in self._made:
            call.norm, call.arrived = next(known), [next(known) for _ in call.arrived]
            call.beside = [next(known) for _ in call.beside]
        self._made.clear()


def size(value: torch.Tensor) -> torch.Tensor:
    """‖·‖₂ of a tensor, also where squares of its elements do not fit into its precision.

    That of a single-precision tensor on another device is not looked at before it is fetched.
    """
    found: torch.Tensor = _norm(value, dtype=torch.float32 if value.element_size() < 4 else None)
    if value.device.type != "cpu" and value.element_size() < 8:
        return found
    kind = torch.finfo(found.dtype)
    return found if kind.tiny**0.5 / kind.eps < float(found) < math.inf else _scaled(value, found)


def _scaled(value: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """max · ‖value / max‖₂, a part after the other; what was found where the largest is 0 or no number."""
    largest = _norm(value, math.inf).to(found.dtype) if value.numel() else found
    if not 0 < float(largest) < math.inf:
        return found
    parts = value.chunk(_PARTS) if value.dim() else (value,)
    norms = [_norm(part.to(found.dtype) / largest) for part in parts]
    total: torch.Tensor = largest * _norm(_stack(norms))
    return total


def _fetched(numbers: Sequence[torch.Tensor]) -> list[float]:
    """Tensors of one element as numbers."""
    kinds: dict[Any, list[int]] = {}
    for index, each in enumerate(numbers):
        kinds.setdefault((each.dtype, each.device), []).append(index)
    found = [0.0] * len(numbers)
    for indices in kinds.values():
        for index, value in zip(indices, _stack([numbers[i] for i in indices]).tolist()):
            found[index] = value
    return found


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
    found = _leaves(value)
    if len(found) == 1 and not isinstance(found[0], torch.Tensor) and hasattr(found[0], "__dict__"):
        found = _leaves(dict(vars(found[0])))
    return [t for t in found if isinstance(t, torch.Tensor) and t.is_floating_point()]


def _leaves(value: Any) -> list[Any]:
    """What a value holds that holds nothing else, each once where the value holds itself."""
    try:
        found: list[Any] = tree_flatten(value)[0]
    except RecursionError:
        return list(_within(value))
    return found


def _within(value: Any) -> Iterator[Any]:
    left, met = [value], dict[int, Any]()
    while left:
        each = left.pop()
        if id(each) not in met:
            met[id(each)] = each
            if isinstance(each, (dict, list, tuple)):
                left += reversed([*each.values()] if isinstance(each, dict) else each)
            else:
                yield each


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
        self._sources: dict[int, tuple[torch.Tensor, tuple[Call, ...]]] = {}
        self._summed: dict[int, tuple[torch.Tensor, list[torch.Tensor]]] = {}
        self._detached: dict[int, tuple[torch.Tensor, list[torch.Tensor]]] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not isinstance(result, (torch.Tensor, tuple, list)):
            return result
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
        self._follow(op := getattr(func, "__name__", "").strip("_"), taken, outputs)
        self._estimate(op, taken, outputs)
        if self.run.counts_units:
            self._activated(getattr(func, "__name__", ""), args, result)
        return result

    def came_from(self, output: torch.Tensor, call: Call) -> None:
        """Follow the output of a module to the sum that it goes into."""
        self._sources[id(output)] = (output, (*self._calls(output), call))

    def _calls(self, signal: torch.Tensor) -> tuple[Call, ...]:
        return self._sources[id(signal)][1] if id(signal) in self._sources else ()

    def _follow(self, op: str, taken: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]) -> None:
        """Pass on from which modules a signal is, up to the next weights or the first sum of two signals."""
        signals = list({id(t): t for t in taken if id(t) in self._signals}.values())
        sources = [self._calls(signal) for signal in signals]
        calls = list(dict.fromkeys(call for each in sources for call in each))
        held = [t for t in taken if id(t) in self._names and not nn.parameter.is_lazy(t)]
        is_weighted = op not in _PRODUCTS and any(t.dim() > 1 for t in held)
        is_sum = op in _SUMS and len(signals) > 1
        if calls and is_sum and outputs:
            joined = self.run.call(outputs[0])
            for call in calls:
                call.joined = call.joined or (None if all(call in each for each in sources) else joined)
        kept = () if is_sum or is_weighted else tuple(calls)
        for output in outputs:
            self._sources[id(output)] = (output, kept)

    def _estimate(self, op: str, taken: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]) -> None:
        """Note the parameters q of x + (q - x).detach(), which has the value of q and the gradient of x."""
        for output in outputs if op in _SUMS else ():
            self._summed[id(output)] = (output, list(taken))
            for terms in (self._detached[id(t)][1] for t in taken if id(t) in self._detached):
                if any(term is t for term in terms for t in taken):
                    self.run.estimated |= {self._names[id(t)] for t in terms if id(t) in self._names}
        for output in outputs if op == "detach" and id(taken[0]) in self._summed else ():
            self._detached[id(output)] = (output, self._summed[id(taken[0])][1])

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
    plain = [dict(x) if isinstance(x, dict) else x for x in (*positional, *(named or {}).values())]
    given = [x for x in tree_flatten(plain)[0] if isinstance(x, torch.Tensor)]
    watch = Watch(model, given, found)
    hooks = _hooks(model, watch, found)
    found.calls["input"] = [found.call(x) for x in given[:1] if x.is_floating_point()]
    try:
        with torch.enable_grad(), watch:
            outputs = tensors(model(*positional, **(named or {})))
        found.outputs = sum(output.requires_grad for output in outputs)
        backward(outputs)
    finally:
        found._last = None
        for hook in hooks:
            hook.remove()
    found.settle()
    trained = [(name, p.grad) for name, p in model.named_parameters() if p.requires_grad]
    found.unused = [name for name, gradient in trained if gradient is None]
    found.cut = list(_cut(model, found)) if found.unused and found.outputs else []
    gradients = {name: gradient for name, gradient in trained if gradient is not None}
    found.non_finite = list(_non_finite(gradients))
    found.is_silent = bool(gradients) and not any(map(_is_there, gradients.values()))
    return found


def _cut(model: nn.Module, run: Run) -> Iterator[str]:
    """The parameters of layers that ran with gradients, none of which came back.

    None where the model holds on to what it computed: a loss may be made of that.
    """
    if any(t.grad_fn is not None for m in model.modules() for v in vars(m).values() for t in _held(v)):
        return
    unused = set(run.unused)
    for path, module in model.named_modules():
        own = [f"{path}.{name}" for name, p in module.named_parameters(recurse=False) if p.requires_grad]
        is_layer = next(module.children(), None) is None and bool(own) and unused.issuperset(own)
        if is_layer and any(call.carries for call in run.calls.get(path, ())):
            yield from own


def _held(value: Any) -> list[torch.Tensor]:
    return tensors(value) if isinstance(value, (torch.Tensor, list, tuple, dict)) else []


def _non_finite(gradients: Mapping[str, torch.Tensor]) -> Iterator[str]:
    """The names of those with elements that are no number; a sum is finite only without these."""
    sums = _fetched([gradient.sum() for gradient in gradients.values()])
    for (name, gradient), total in zip(gradients.items(), sums):
        if not math.isfinite(total) and not bool(gradient.isfinite().all()):
            yield name


def _is_there(gradient: torch.Tensor) -> bool:
    """Whether any element is not 0."""
    return bool((gradient.coalesce().values() if gradient.is_sparse else gradient).any())


def backward(outputs: Sequence[torch.Tensor]) -> None:
    """The backward pass of a random projection of the outputs that carry a gradient."""
    parts: list[Any] = [(y * _noise(y.detach())).sum() for y in outputs if y.requires_grad]
    if parts:
        _backward(sum(parts[1:], parts[0]))


def gives_way(output: torch.Tensor) -> RuntimeError | None:
    """What the backward pass of one output raises; its graph is kept for the others."""
    try:
        _backward(output.sum(), retain_graph=True)
    except RuntimeError as error:
        return error
    return None


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
            call.watch(carried[1:])
            watch.came_from(carried[0], call)
            found.order.append((paths[id(module)][0], call))
            for path in paths[id(module)]:
                found.calls.setdefault(path, []).append(call)

    hooks: list[Any] = []
    for module in model.modules():
        hooks += [module.register_forward_pre_hook(entered), module.register_forward_hook(left)]
    return hooks
