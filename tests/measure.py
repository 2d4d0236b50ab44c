"""One real backward pass through a model, and what it says of a claim about gradient flow.

A model is run in training mode and in double precision on noise whose shape the model's graph tells.
The loss is a random projection of everything that forward returns, L = Σ y·v with v ~ N(0, 1). Scalars
are computed inside hooks, since a tensor may be overwritten in place later.
"""

from __future__ import annotations

import inspect
import itertools
import math
import re
import statistics
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from gradlint.flow.chain import longest_chain
from gradlint.flow.propagate import propagate
from gradlint.graph.build import Builder
from gradlint.records.finding import Claim, Metric
from gradlint.records.graph import ModelGraph, Node
from gradlint.semantics.project import Project
from gradlint.syntax.extract import extract, lower_omitted

FEW = 8
BATCH = 64
MANY = 256
SEEDS = (0, 1, 2)
STEPS = 8
MISFITS = (RuntimeError, ValueError, IndexError, TypeError, AssertionError, KeyError, AttributeError)
SATURATED = {"sigmoid": 6.0, "hardsigmoid": 3.0, "tanh": 3.0, "hardtanh": 1.0, "softsign": 9.0}
"""From which |z| on the derivative is below a hundredth of its largest value."""


# Models


def graphs(code: str) -> list[ModelGraph]:
    """The graphs of all models in a text, as the linter sees them."""
    facts = extract(code, {}, outline=True)
    project = Project(lambda _: facts, lambda _, omitted: lower_omitted(code, omitted))
    return list(Builder(project).models(project.scope("<text>.py"), code))


@contextmanager
def exact(seed: int, precision: Any = torch.float64) -> Iterator[None]:
    """Known random numbers, in double precision unless another is asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        torch.set_default_dtype(precision)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


@contextmanager
def filled_memory() -> Iterator[None]:
    """torch fills memory that it hands out as it is with nan."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def construct(code: str, name: str) -> Any:
    """The model called `name`: the one that the text constructs itself, or a new one."""
    module = ModuleType("example")
    sys.modules["example"] = module
    try:
        exec(compile(code, "<example>", "exec"), module.__dict__)
    finally:
        del sys.modules["example"]
    cls = vars(module)[name]
    made = [value for value in vars(module).values() if type(value) is cls]
    model = made[-1] if made else cls()
    return model.to(torch.get_default_dtype()).train()


# Inputs


@dataclass(frozen=True)
class Form:
    """What is not written in a model: how long and how large its inputs are."""

    steps: int
    side: int
    is_sequence: bool
    width: int


def forms(graph: ModelGraph, steps: int) -> Iterator[Form]:
    """Forms to try, likely ones first."""
    attends = any(node.op in ("attention", "softmax") for node in graph.nodes)
    widths = list(dict.fromkeys(size for p in graph.parameters for size in reversed(p.shape or ()) if size))
    stated: list[Any] = [node.settings["steps"] for node in graph.nodes if "steps" in node.settings]
    for length, width in itertools.product((*stated, steps, 16, 64, 256, 1024), widths or [64]):
        for is_sequence in (attends, not attends):
            yield Form(length, 16, is_sequence, width)
    for side in (32, 28, 8, 64, 224):
        yield Form(steps, side, attends, (widths or [64])[0])


def consumers(graph: ModelGraph, number: int) -> Iterator[Node]:
    """The nodes that a signal reaches, in order."""
    reached = {number}
    for node in graph.nodes:
        if not reached.isdisjoint(node.inputs):
            reached.add(node.number)
            yield node


SPATIAL = {"conv1d": 1, "conv2d": 2, "conv3d": 3}
SPATIAL |= {"conv_transpose1d": 1, "conv_transpose2d": 2, "conv_transpose3d": 3}


def drawn(graph: ModelGraph, node: Node, form: Form, batch: int) -> Any:
    """Noise for one input: as its first layer takes it."""
    for consumer in consumers(graph, node.number):
        known: dict[str, Any] = consumer.settings
        op = consumer.op
        if op == "embedding":
            return torch.randint(0, known["num_embeddings"] or 2, (batch, form.steps))
        if op in SPATIAL and known.get("in_channels"):
            return torch.randn(batch, known["in_channels"], *(form.side,) * SPATIAL[op])
        if op in ("rnn", "lstm", "gru") and known.get("input_size"):
            first = (batch, form.steps) if known.get("batch_first") else (form.steps, batch)
            return torch.randn(*first, known["input_size"])
        width = known.get("in_features") or known.get("input_size")
        if width:
            return torch.randn(*((batch, form.steps) if form.is_sequence else (batch,)), width)
    return torch.randn(*((batch, form.steps) if form.is_sequence else (batch,)), form.width)


def fitting(model: Any, graph: ModelGraph, steps: int = STEPS) -> Form:
    """The first form with which the model runs."""
    misfits = []
    for form in forms(graph, steps):
        misfit = _misfit(model, inputs(graph, form, FEW))
        if misfit is None:
            return form
        misfits.append(misfit)
    raise AssertionError(f"{graph.name} runs with no input: {misfits[0]}")


def _misfit(model: Any, given: list[Any]) -> Exception | None:
    try:
        with torch.no_grad():
            model(*given)
    except MISFITS as error:
        return error
    return None


def inputs(graph: ModelGraph, form: Form, batch: int) -> list[Any]:
    """Noise for all inputs of a model; what is not whole numbers takes part in the gradient."""
    drawings = [drawn(graph, node, form, batch) for node in graph.nodes if node.op == "input"]
    return [x.requires_grad_() if x.is_floating_point() else x for x in drawings]


# Runs


@dataclass
class Call:
    """One output of a module, or of a function that takes a parameter; `delta` is ‖∂L/∂output‖₂.

    `silent` is the share of its units that are 0 for all samples, `starved` of those whose gradient is.
    """

    rms: float
    silent: float
    delta: float = 0.0
    starved: float = 1.0


@dataclass
class Run:
    """What one forward and one backward pass showed: calls by path, saturated shares by path."""

    calls: dict[str, list[Call]] = field(default_factory=dict)
    saturation: list[tuple[str, float]] = field(default_factory=list)
    rectified: list[tuple[str, float]] = field(default_factory=list)

    def call(self, output: Any) -> Call:
        """A call whose gradient will be filled in."""
        units = _units(output.detach())
        call = Call(float(output.detach().square().mean().sqrt()), _share((units == 0).all(0)))

        def arrived(gradient: Any) -> None:
            call.delta = math.hypot(call.delta, float(gradient.norm()))
            call.starved = _share((_units(gradient) == 0).all(0))

        if output.requires_grad:
            output.register_hook(arrived)
        return call


def _units(value: Any) -> Any:
    """Samples by units: features last, channels second where there is space behind them."""
    last = value.movedim(1, -1) if value.dim() > 3 else value
    return last.reshape(-1, last.shape[-1]) if last.dim() else last.reshape(1, 1)


def _share(mask: Any) -> float:
    return float(mask.double().mean()) if mask.numel() else 0.0


def tensors(value: Any) -> list[Any]:
    """The floating tensors in a value."""
    found = torch.utils._pytree.tree_flatten(value)[0]
    return [t for t in found if isinstance(t, torch.Tensor) and t.is_floating_point()]


class Watch(TorchFunctionMode):
    """Records functions that are not modules: activations, and those that join a parameter to a signal."""

    def __init__(self, model: Any, signals: list[Any], run: Run) -> None:
        super().__init__()
        self.run, self.stack = run, [""]
        self._names = {id(p): name for name, p in model.named_parameters()}
        self._signals = {id(x): x for x in signals}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        taken = [
            t for t in torch.utils._pytree.tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor)
        ]
        names = [self._names[id(t)] for t in taken if id(t) in self._names]
        is_signal = any(id(t) in self._signals for t in taken)
        for output in tensors(result):
            if is_signal or not names:
                self._signals[id(output)] = output
            else:
                self._keep(output, names[0])
        if is_signal and names and tensors(result):
            for name in names:
                self.run.calls.setdefault(name, []).append(self.run.call(tensors(result)[0]))
        self._activated(getattr(func, "__name__", ""), args, result)
        return result

    def _keep(self, output: Any, name: str) -> None:
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
        elif op in ("relu", "threshold", "relu6"):
            self.run.rectified.append((path, _share((_units(result.detach()) == 0).all(0))))


def run(model: Any, given: list[Any]) -> Run:
    """One forward pass, and the backward pass of a random projection of all outputs."""
    found = Run()
    watch = Watch(model, given, found)
    hooks = []
    paths: dict[int, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        paths.setdefault(id(module), []).append(path)

    def entered(module: Any, _: Any) -> None:
        watch.stack.append(paths[id(module)][0])

    def left(module: Any, _: Any, output: Any) -> None:
        watch.stack.pop()
        if tensors(output):
            call = found.call(tensors(output)[0])
            for path in paths[id(module)]:
                found.calls.setdefault(path, []).append(call)

    for module in model.modules():
        hooks += [module.register_forward_pre_hook(entered), module.register_forward_hook(left)]
    found.calls["input"] = [found.call(x) for x in given[:1] if x.is_floating_point()]
    try:
        with watch:
            outputs = tensors(model(*given))
        parts: list[Any] = [(y * torch.randn_like(y)).sum() for y in outputs if y.requires_grad]
        if parts:
            sum(parts[1:], parts[0]).backward()
    finally:
        for hook in hooks:
            hook.remove()
    return found


# Metrics: each takes a subject that can be run anew, and the claim's names


@dataclass(frozen=True)
class Subject:
    """A model of an example, constructed from `seed`."""

    code: str
    graph: ModelGraph
    steps: int = STEPS
    seed: int = 0

    def model(self) -> tuple[Any, Form]:
        model = construct(self.code, self.graph.name)
        return model, fitting(construct(self.code, self.graph.name), self.graph, self.steps)

    def run(self, batch: int = BATCH) -> Run:
        with exact(self.seed):
            model, form = self.model()
            return run(model, inputs(self.graph, form, batch))


def ends(name: str) -> tuple[str, str]:
    first, _, last = name.partition("->")
    return first, last


def depth_gain(subject: Subject, name: str) -> float:
    """log10 ‖δ_first‖/‖δ_last‖, less what pooling merely distributes."""
    first, last = ends(name)
    found = subject.run()
    return _log10(found.calls[first][0].delta, found.calls[last][-1].delta) - spreading(
        subject.graph, first, last
    )


def spreading(graph: ModelGraph, first: str, last: str) -> float:
    """The decades of ‖δ‖ that average pooling takes between two layers by distributing it."""
    flow = propagate(graph)
    numbers = {node.module: node.number for node in reversed(graph.nodes)}
    if first not in numbers or last not in numbers:
        return 0.0
    a, b = numbers[first], numbers[last]
    with_it, without = (x[a].centre - x[b].centre for x in (flow.spread_gradient, flow.gradient))
    return with_it - without if math.isfinite(with_it) and math.isfinite(without) else 0.0


def activation_scale(subject: Subject, name: str) -> float:
    """log10 of the root mean square of the last output over that of the first."""
    first, last = ends(name)
    calls = subject.run().calls
    return _log10(calls[last][-1].rms, calls[first][0].rms)


def saturation(subject: Subject, name: str) -> float:
    """The largest saturated share among the activations in a module."""
    return _largest(subject.run(MANY).saturation, name)


def dead_units(subject: Subject, name: str) -> float:
    """The share of a rectifier's units, or of a layer's before one, that no sample of many wakes."""
    found = subject.run(MANY)
    rectified = [share for path, share in found.rectified if path == name]
    return max(rectified) if rectified else found.calls[name][0].starved


def unique_gradient_rows(subject: Subject, name: str) -> float:
    """The share of different rows of a weight's gradient, after two steps of gradient descent."""
    with exact(subject.seed):
        model, form = subject.model()
        return unique_rows(stepped(model, subject.graph, form), name)


def stepped(model: Any, graph: ModelGraph, form: Form, steps: int = 2, size: float = 0.1) -> Any:
    """The model with gradients, after steps of length `size` along them."""
    for _ in range(steps):
        run(model, inputs(graph, form, BATCH))
        trained = [p for p in model.parameters() if p.grad is not None]
        norm = math.hypot(*[float(p.grad.norm()) for p in trained]) or 1.0
        with torch.no_grad():
            for p in trained:
                p -= size * p.grad / norm
                p.grad = None
    run(model, inputs(graph, form, BATCH))
    return model


def unique_rows(model: Any, name: str) -> float:
    gradient = model.get_parameter(name).grad.flatten(1)
    scaled = (gradient / gradient.abs().max().clamp_min(1e-300) * 1e4).round()
    return len(torch.unique(scaled, dim=0)) / len(gradient)


def gradient_arrives(subject: Subject, name: str) -> float:
    """1 where a gradient that is not all zero arrives at a parameter, or at any, in two steps."""
    with exact(subject.seed, torch.float32):
        model, form = subject.model()
        named = dict(stepped(model, subject.graph, form).named_parameters())
    gradients = [p.grad for path, p in named.items() if name in ("", path)]
    return float(any(gradient is not None and bool(gradient.any()) for gradient in gradients))


def weight_variance(subject: Subject, name: str) -> float:
    """fan_in · Var(w); infinite where nothing wrote some of the memory, which torch fills for this."""
    with exact(subject.seed), filled_memory():
        weight = construct(subject.code, subject.graph.name).get_parameter(name).detach()
    if not weight.isfinite().all():
        return math.inf
    return float(weight.var()) * (weight[0].numel() if weight.dim() > 1 else 1)


def recurrent_gain(subject: Subject, name: str) -> float:
    """log10 ‖∂L/∂h_first‖/‖∂L/∂h_last‖ over the steps of a recurrent layer."""
    with exact(subject.seed):
        model, form = subject.model()
        states = unrolled(model.get_submodule(name)) if name in dict(model.named_modules()) else []
        calls = run(model, inputs(subject.graph, form, BATCH)).calls
    deltas = [math.hypot(*[part.delta for part in state]) for state in states]
    deltas = deltas or [call.delta for call in calls[name]]
    return _log10(deltas[0], deltas[-1])


def unrolled(module: Any) -> list[list[Call]]:
    """Let a recurrent layer run step by step from now on; the states that it will have passed on.

    The last layer's state of a step is the very tensor that is its output.
    """
    states: list[list[Call]] = []
    if not isinstance(module, nn.RNNBase):
        return states
    whole, axis = type(module).forward, 1 if module.batch_first else 0

    def forward(x: Any, state: Any = None) -> Any:
        outputs = []
        for part in x.split(1, axis):
            y, state = whole(module, part, state)
            below, *cells = state if isinstance(state, tuple) else (state,)
            states.append([Run().call(t) for t in (y, below[:-1], *cells) if t.numel()])
            hidden = torch.cat([below[:-1], y.transpose(0, axis)])
            state = (hidden, *cells) if cells else hidden
            outputs.append(y)
        return torch.cat(outputs, axis), state

    module.forward = forward
    return states


def _largest(found: list[tuple[str, float]], name: str) -> float:
    inside = [share for path, share in found if path == name or not name or path.startswith(f"{name}.")]
    return max(inside)


def _log10(above: float, below: float) -> float:
    if not above or not below:
        return -math.inf if below else math.inf if above else math.nan
    return math.log10(above) - math.log10(below)


METRICS: dict[Metric, Callable[[Subject, str], float]] = {
    Metric.DEPTH_GAIN: depth_gain,
    Metric.ACTIVATION_SCALE: activation_scale,
    Metric.SATURATION: saturation,
    Metric.DEAD_UNITS: dead_units,
    Metric.UNIQUE_GRADIENT_ROWS: unique_gradient_rows,
    Metric.WEIGHT_VARIANCE: weight_variance,
    Metric.RECURRENT_GAIN: recurrent_gain,
    Metric.GRADIENT_ARRIVES: gradient_arrives,
}


# Judgements


NEAR = 0.5
"""So near to its bound, in the metric's unit, one seed does not settle a claim."""


def measured(claim: Claim, subject: Subject, name: str) -> float:
    """What a seed measures; where that is near the bound, or not what was predicted, three seeds' median."""
    measure = METRICS[claim.metric]
    value = measure(subject, name)
    if abs(value - claim.bound) > NEAR and (agrees(value, claim) or not is_beyond(value, claim)):
        return value
    others = [measure(Subject(subject.code, subject.graph, subject.steps, seed), name) for seed in SEEDS[1:]]
    return statistics.median([value, *others])


SHARES = (Metric.SATURATION, Metric.DEAD_UNITS, Metric.UNIQUE_GRADIENT_ROWS, Metric.GRADIENT_ARRIVES)


def steps_of(claim: Claim) -> int:
    found = re.search(r"steps=(\d+)", claim.condition)
    return int(found[1]) if found else STEPS


def is_beyond(value: float, claim: Claim) -> bool:
    """Whether a measured value lies on the claim's side of its bound."""
    return value >= claim.bound if rises(claim) else value <= claim.bound


def rises(claim: Claim) -> bool:
    """Whether a claim says that a value is large rather than small."""
    is_small = claim.metric in (Metric.UNIQUE_GRADIENT_ROWS, Metric.GRADIENT_ARRIVES)
    return claim.predicted >= claim.bound and not is_small


def agrees(value: float, claim: Claim) -> bool:
    """Whether a measured value is what was predicted.

    Decades within 0.3 or a tenth; shares within a tenth; variances within 0.3 decades; or anything
    between the mildest value that the prediction leaves possible and as far on its other side.
    """
    if claim.metric is Metric.WEIGHT_VARIANCE:
        return value == claim.predicted or abs(_log10(value, claim.predicted)) <= 0.3
    is_share = claim.metric in SHARES
    tolerance = 0.1 if is_share else max(0.3, 0.1 * abs(claim.predicted))
    left = 0.0 if claim.least is None else abs(claim.predicted - claim.least)
    return abs(value - claim.predicted) <= max(tolerance, left)


# What there is to measure in a model about which nothing is claimed


def chain(subject: Subject) -> list[str]:
    """The longest chain of layers; where the graph shows none, the layers in the order of their calls."""
    found = longest_chain(propagate(subject.graph))
    if found is not None:
        a, b = (subject.graph.nodes[number].module for number in (found.first, found.last))
        if a and b:
            return [f"{a}->{b}"]
    weighted = {path.rpartition(".")[0] for path in _weights(subject)}
    order = [path for path in subject.run(2).calls if path in weighted]
    return [f"{order[0]}->{order[-2]}"] if len(order) > 2 else []


def _weights(subject: Subject) -> list[str]:
    """The parameters with rows, but for tables of embeddings."""
    with exact(subject.seed):
        model = construct(subject.code, subject.graph.name)
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    named = model.named_parameters()
    return [
        name for name, p in named if p.dim() > 1 and len(p) > 1 and p.requires_grad and id(p) not in tables
    ]


def _trained(subject: Subject) -> list[str]:
    """The weights to which a gradient can arrive."""
    with exact(subject.seed):
        model, form = subject.model()
        run(model, inputs(subject.graph, form, 2))
    return [name for name in _weights(subject) if model.get_parameter(name).grad is not None]


def _anything(subject: Subject) -> list[str]:
    """All parameters together: of single ones some are cut off on purpose.

    Nothing where none is to be trained, or what trains the model is not what runs here: a method of
    its own, or a target that may be left out.
    """
    with exact(subject.seed):
        model = construct(subject.code, subject.graph.name)
    is_trained = any(p.requires_grad for p in model.parameters())
    takes_target = any(p.default is None for p in inspect.signature(model.forward).parameters.values())
    return [""] if is_trained and not takes_target and not hasattr(model, "loss") else []


def _activations(subject: Subject) -> list[str]:
    return list(dict.fromkeys(path for path, _ in subject.run(2).saturation))


def _rectifiers(subject: Subject) -> list[str]:
    return list(dict.fromkeys(path for path, _ in subject.run(2).rectified))


def _recurrences(subject: Subject) -> list[str]:
    with exact(subject.seed):
        model, _ = subject.model()
    kinds = (nn.RNNBase, nn.RNNCellBase)
    found = [(path, module) for path, module in model.named_modules() if isinstance(module, kinds)]
    return [path for path, module in found if not getattr(module, "bidirectional", False)]


CANDIDATES: dict[Metric, Callable[[Subject], list[str]]] = {
    Metric.DEPTH_GAIN: chain,
    Metric.ACTIVATION_SCALE: chain,
    Metric.SATURATION: _activations,
    Metric.DEAD_UNITS: _rectifiers,
    Metric.UNIQUE_GRADIENT_ROWS: _trained,
    Metric.WEIGHT_VARIANCE: _weights,
    Metric.RECURRENT_GAIN: _recurrences,
    Metric.GRADIENT_ARRIVES: _anything,
}
