"""Which targets to run for which claims, and how each can be built."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gradlint.flow.propagate import GradientFlow, propagate
from gradlint.lint.models import intact, models, signatures
from gradlint.mathematics.interval import Interval
from gradlint.records.finding import SCRIPT, Claim, Finding, Metric
from gradlint.records.graph import ModelGraph
from gradlint.records.rehearsal import Part
from gradlint.semantics.project import module_name
from gradlint.source.source import SourceError
from gradlint.verify.request import Request, TargetSettings
from gradlint.verify.worker import rehearsal as wire
from gradlint.verify.worker.protocol import Argument, Input, Question, Task


class Target(Struct, frozen=True, dict=True):
    """Something in a file that can be built, with its graph where it has one."""

    path: str
    name: str
    graph: ModelGraph | None = None

    @cached_property
    def flow(self) -> GradientFlow | None:
        """What is predicted of its signal and gradient."""
        return propagate(self.graph) if self.graph is not None else None

    @property
    def title(self) -> str:
        """Its name with that of its module, as the configuration calls it: "shop.models:Ranker"."""
        return f"{module_name(self.path)[0]}:{self.name}"


def target_of(claim: Claim) -> str:
    """The name of what a claim is about: a model, or a function or method; empty for a script."""
    if claim.metric is Metric.REGISTERED_PARAMETERS:
        return claim.subject.rpartition(".")[0]
    name = claim.subject.partition(":")[0].removesuffix(".__init__")
    return "" if name == SCRIPT else name


def place_of(claim: Claim) -> str:
    """What of its target a claim is about."""
    if claim.metric is Metric.REGISTERED_PARAMETERS:
        return claim.subject.rpartition(".")[2]
    return claim.subject.partition(":")[2]


FUNCTION, LOSS, MODEL, TRAINING = "function", "loss", "model", "training"
_KINDS = {
    Metric.NON_FINITE_GRADIENT: FUNCTION,
    Metric.NON_FINITE_VALUE: FUNCTION,
    Metric.LOSS_GRADIENT: LOSS,
    Metric.DEPTH_GAIN: MODEL,
    Metric.ACTIVATION_SCALE: MODEL,
    Metric.SATURATION: MODEL,
    Metric.DEAD_UNITS: MODEL,
    Metric.UNIQUE_GRADIENT_ROWS: MODEL,
    Metric.WEIGHT_VARIANCE: MODEL,
    Metric.RECURRENT_GAIN: MODEL,
    Metric.GRADIENT_ARRIVES: MODEL,
    Metric.REGISTERED_PARAMETERS: MODEL,
}


def kind_of(claim: Claim) -> str:
    """Which claims about one target are measured together: those of models, of functions, or of losses.

    All others are about steps of a training loop.
    """
    return _KINDS.get(claim.metric, TRAINING)


def graphs(path: str) -> list[ModelGraph]:
    """The graphs of the models in a file; none where it cannot be read."""
    try:
        return models(path)
    except (SourceError, OSError):
        return []


def claims_by_target(findings: Iterable[Finding]) -> dict[tuple[str, str], list[Claim]]:
    """The claims that a run is asked about together, by target and kind."""
    found: dict[tuple[str, str], list[Claim]] = {}
    for claim in dict.fromkeys(finding.claim for finding in findings):
        if claim is not None:
            kind = kind_of(claim)
            name = trained_by(claim) if kind == TRAINING else target_of(claim)
            found.setdefault((name, kind), []).append(claim)
    return found


def trained_by(claim: Claim) -> str:
    """The model of the project that a loop trains, as "path::name"; empty where there is not one."""
    called = _called(claim)
    return f"{called[0].path}::{called[0].name}" if len(called) == 1 and called[0].name else ""


def _called(claim: Claim) -> list[Part]:
    """The models whose forward pass is part of the loop that a claim is about."""
    if claim.rehearsal is None:
        return []
    numbers = {n for act in claim.rehearsal.remedied.cycle if act.kind == "forward" for n in act.on}
    return [part for part in claim.rehearsal.parts if part.number in numbers]


def trained_target(path: str, claim: Claim) -> Target:
    """What to build for a claim about a loop in a file: the model that it trains, as it is made there."""
    if not trained_by(claim):
        return Target(path, "")
    (model,) = _called(claim)
    found = next((graph for graph in graphs(model.path) if graph.name == model.name), None)
    graph = None if found is None else replace(found, arguments=dict(model.arguments) | _made_with(model))
    return Target(model.path, model.name, graph)


def _made_with(model: Part) -> dict[str, str]:
    """The constructor arguments that the loop's code gives a model, by name, as far as they are constants."""
    signature = signatures(model.path, [model.name]).get(model.name)
    names = {f"({n})": name for n, name in enumerate((signature.arguments if signature else None) or ())}
    given = ((names.get(key, key.strip("()")), value) for key, value in model.settings)
    return {name: repr(value) for name, value in given if name.isidentifier() and value is not None}


def question(number: int, claim: Claim, target: Target) -> Question:
    """What to ask the worker about a claim."""
    name = place_of(claim)
    flow = target.flow if claim.metric is Metric.DEPTH_GAIN else None
    offset = spreading(flow, name) if flow is not None else 0.0
    return Question(
        number,
        claim.metric.value,
        name,
        patiently(claim),
        claim.bound,
        claim.predicted,
        offset,
        played(claim),
    )


PATIENCE = 2
"""Steps of gradient descent within which a gradient has to arrive: layers that begin at zero let none by."""


def patiently(claim: Claim) -> str:
    """The condition of a claim: a gradient over depth has steps to arrive, unless the claim names its own."""
    is_own = "=" in claim.condition or claim.metric is not Metric.DEPTH_GAIN
    return claim.condition if is_own else ",".join(filter(None, (claim.condition, f"patience={PATIENCE}")))


def played(claim: Claim) -> wire.Rehearsal | None:
    """The training loop of a claim as it goes to the worker, with the name of one model of the project."""
    if claim.rehearsal is None:
        return None
    named = trained_by(claim)
    fields = msgspec.to_builtins(claim.rehearsal)
    for part in fields["parts"]:
        part["name"] = part["name"] if named == f"{part['path']}::{part['name']}" else ""
        part["settings"] = dict(part["settings"])
        del part["path"], part["arguments"]
    for form in ("written", "remedied"):
        for act in (*fields[form]["before"], *fields[form]["cycle"]):
            act["settings"] = dict(act["settings"])
    return wire.decode(fields)


def spreading(flow: GradientFlow, name: str, spread: Sequence[Interval] = ()) -> float:
    """The decades of ‖δ‖ that average pooling takes between two layers by distributing it.

    `spread` are the gradients with that, where a run tells more of it.
    """
    first, _, last = name.partition("->")
    numbers = {node.module: node.number for node in reversed(flow.graph.nodes)}
    if first not in numbers or last not in numbers:
        return 0.0
    a, b = numbers[first], numbers[last]
    with_it, without = (x[a].centre - x[b].centre for x in (spread or flow.spread_gradient, flow.gradient))
    known = all(abs(value) < float("inf") for value in (with_it, without))
    return with_it - without if known else 0.0


def task(
    number: int, target: Target, claims: Sequence[Claim], request: Request, wants_flow: bool = False
) -> Task:
    """What the worker is asked about a target."""
    path = os.path.abspath(target.path)
    own = request.targets.get(target.title, TargetSettings())
    return Task(
        number=number,
        path=path,
        name=target.name,
        roots=roots(path),
        arguments=list(_arguments(target, own, request.given)),
        inputs=list(_inputs(own, request.given)),
        questions=[question(i, claim, target) for i, claim in enumerate(claims)],
        device=request.device,
        dtype=request.dtype,
        seconds=request.seconds,
        megabytes=request.megabytes,
        text=intact(path).text if path.endswith(".ipynb") else None,
        wants_flow=wants_flow,
        line=target.graph.place.span.line if target.graph is not None else 0,
    )


def _arguments(target: Target, own: TargetSettings, given: TargetSettings) -> Iterator[Argument]:
    """Constructor arguments; what was asked for goes before what the project does."""
    found = target.graph.arguments.items() if target.graph is not None else ()
    known: set[str] = set()
    for origin, arguments in (
        ("--arg", given.arguments),
        ("configuration", own.arguments),
        ("call site", found),
    ):
        for name, text in arguments:
            if name not in known:
                known.add(name)
                yield Argument(name, text, origin)


def asked_for(target: Target, request: Request) -> dict[str, str]:
    """The constructor arguments that the command line and the configuration give a target."""
    own = request.targets.get(target.title, TargetSettings())
    return dict(own.arguments) | dict(request.given.arguments)


def _inputs(own: TargetSettings, given: TargetSettings) -> Iterator[Input]:
    known = {name for name, _, _ in given.inputs}
    for name, dtype, shape in (*given.inputs, *[each for each in own.inputs if each[0] not in known]):
        yield Input(name, dtype, list(shape))


_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg")


def roots(path: str) -> list[str]:
    """Folders that a file may be imported from: its own and those around it, up to the project's root."""
    own = folder = os.path.dirname(path)
    found = [own]
    while not any(os.path.exists(os.path.join(folder, name)) for name in _MARKS):
        above = os.path.dirname(folder)
        if above == folder:
            return [own]
        folder = above
        found.append(folder)
    source = os.path.join(folder, "src")
    return [*found, source] if os.path.isdir(source) and source not in found else found
