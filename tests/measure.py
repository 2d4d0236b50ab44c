"""Models of examples, built and measured by the worker's own functions, in double precision."""

from __future__ import annotations

import inspect
import re
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import nn

from gradlint.flow.chain import longest_chain
from gradlint.flow.propagate import propagate
from gradlint.graph.build import Builder
from gradlint.records.finding import Claim, Metric
from gradlint.records.graph import ModelGraph
from gradlint.semantics.project import Project
from gradlint.syntax.extract import extract, lower_omitted
from gradlint.verify.judge import agrees, is_beyond
from gradlint.verify.plan import spreading
from gradlint.verify.worker import metrics
from gradlint.verify.worker.fit import Fitted, fit
from gradlint.verify.worker.observe import Run, observe
from gradlint.verify.worker.subject import STEPS, exact
from gradlint.verify.worker.subject import Subject as Target

SEEDS = (0, 1, 2)


def graphs(code: str) -> list[ModelGraph]:
    """The graphs of all models in a text, as the linter sees them."""
    facts = extract(code, {}, outline=True)
    project = Project(lambda _: facts, lambda _, omitted: lower_omitted(code, omitted))
    return list(Builder(project).models(project.scope("<text>.py"), code))


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


class Subject:
    """A model of an example, constructed from `seed`, after so many updates."""

    def __init__(
        self, code: str, graph: ModelGraph, steps: int = STEPS, seed: int = 0, updates: int = 0
    ) -> None:
        self.code, self.graph, self.steps, self.seed, self.updates = code, graph, steps, seed, updates
        self.target = Target(
            self.construct, self.fitted, torch.float64, seed=seed, steps=steps, updates=updates
        )

    def seeded(self, seed: int) -> Subject:
        """The same, constructed from another seed."""
        return Subject(self.code, self.graph, self.steps, seed, self.updates)

    def construct(self) -> Any:
        return construct(self.code, self.graph.name)

    @cache  # noqa: B019
    def fitted(self, steps: int) -> Fitted:
        with exact(0, torch.float32):
            return fit(self.construct(), (), 60.0, steps, side=16)

    def run(self, batch: int = 0) -> Run:
        return self.target.run(batch)


def depth_gain(subject: Subject, name: str) -> float:
    """log10 ‖δ_first‖/‖δ_last‖, less what pooling merely distributes."""
    return metrics.depth_gain(subject.target, name) - spreading(propagate(subject.graph), name)


def _of_target(measure: Callable[[Target, str], float]) -> Callable[[Subject, str], float]:
    return lambda subject, name: measure(subject.target, name)


def gradient_arrives(subject: Subject, name: str) -> float:
    """In single precision: some examples make numbers of it themselves."""
    return metrics.gradient_arrives(replace(subject.target, dtype=torch.float32), name)


METRICS: dict[Metric, Callable[[Subject, str], float]] = {
    Metric(name): _of_target(measure) for name, measure in metrics.METRICS.items()
} | {Metric.DEPTH_GAIN: depth_gain, Metric.GRADIENT_ARRIVES: gradient_arrives}
dead_units, recurrent_gain = METRICS[Metric.DEAD_UNITS], METRICS[Metric.RECURRENT_GAIN]


# Judgements


NEAR = 0.5
"""So near to its bound, in the metric's unit, one seed does not settle a claim."""


def measured(claim: Claim, subject: Subject, name: str) -> float:
    """What a seed measures; where that is near the bound, or not what was predicted, three seeds' median."""
    measure = METRICS[claim.metric]
    value = measure(subject, name)
    if abs(value - claim.bound) > NEAR and (agrees(value, claim) or not is_beyond(value, claim)):
        return value
    others = [measure(subject.seeded(seed), name) for seed in SEEDS[1:]]
    return statistics.median([value, *others])


def steps_of(claim: Claim) -> int:
    found = re.search(r"steps=(\d+)", claim.condition)
    return int(found[1]) if found else STEPS


def updates_of(claim: Claim) -> int:
    found = re.search(r"updates=(\d+)", claim.condition)
    return int(found[1]) if found else 0


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
        model = subject.construct()
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    named = model.named_parameters()
    return [
        name for name, p in named if p.dim() > 1 and len(p) > 1 and p.requires_grad and id(p) not in tables
    ]


def _trained(subject: Subject) -> list[str]:
    """The weights to which a gradient can arrive."""
    with exact(subject.seed):
        model = subject.construct()
        positional, named = subject.fitted(subject.steps).draw(2, torch.float64)
        observe(model, positional, named)
    return [name for name in _weights(subject) if model.get_parameter(name).grad is not None]


def _anything(subject: Subject) -> list[str]:
    """All parameters together: of single ones some are cut off on purpose.

    Nothing where none is to be trained, or what trains the model is not what runs here: a method of
    its own, or a target that may be left out.
    """
    with exact(subject.seed):
        model = subject.construct()
    is_trained = any(p.requires_grad for p in model.parameters())
    takes_target = any(p.default is None for p in inspect.signature(model.forward).parameters.values())
    return [""] if is_trained and not takes_target and not hasattr(model, "loss") else []


def _activations(subject: Subject) -> list[str]:
    return list(dict.fromkeys(path for path, _ in subject.target.run(2, counts_units=True).saturation))


def _rectifiers(subject: Subject) -> list[str]:
    return list(dict.fromkeys(path for path, _ in subject.target.run(2, counts_units=True).rectified))


def _recurrences(subject: Subject) -> list[str]:
    with exact(subject.seed):
        model = subject.construct()
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
