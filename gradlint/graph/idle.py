"""The parameters of a model that cannot be trained by its forward pass, nor by other code in sight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from gradlint.graph.elsewhere import (
    Elsewhere,
    assigned_at,
    attribute_of,
    is_within_another,
    scopes_of,
    unused_parts,
)
from gradlint.graph.interpret import GraphFacts
from gradlint.graph.reach import Reach
from gradlint.graph.recorder import frozen
from gradlint.graph.values import Weight
from gradlint.records.graph import Parameter, Place, Severed, Unused
from gradlint.semantics.answers import names, question
from gradlint.semantics.neighbours import neighbours, text_of
from gradlint.semantics.value import ClassObject, Instance

_SPARED = frozenset({"handed", "template"})


class Idle:
    """What one forward pass of a model leaves without a gradient; `weights` are the model's by path."""

    def __init__(
        self, facts: GraphFacts, model: Instance, weights: Mapping[str, Weight], reach: Reach
    ) -> None:
        self._facts = facts
        self._model = model
        self._weights = weights
        self._reach = reach

    def severed(self, classes: Sequence[ClassObject]) -> tuple[Severed, ...]:
        """The steps at which the gradient is lost, each with the parameters that nothing else trains."""
        found = list(self._reach.severed(self._weights))
        if not found:
            return ()
        paths = [parameter.path for each in found for parameter in each.parameters]
        elsewhere = Elsewhere(scopes_of(self._model, paths), self._facts.ran | self._facts.built, classes)
        if elsewhere.hooks():
            return ()
        judged = [replace(each, parameters=self._untended(each, elsewhere)) for each in found]
        return tuple([each for each in judged if each.parameters])

    def _untended(self, severed: Severed, elsewhere: Elsewhere) -> tuple[Parameter, ...]:
        return tuple(
            [
                parameter
                for parameter in severed.parameters
                if not elsewhere.names(parameter.path, self._model)
                and not self._is_given_up(parameter.path, severed)
            ]
        )

    def _is_given_up(self, path: str, severed: Severed) -> bool:
        """Whether a part is frozen, or a copy that another is the original of: on purpose, it seems."""
        weight = self._weights[path]
        if severed.is_everything and weight.data.initial.scheme == "unknown":
            return True  # numbers that were written down
        if severed.by not in ("no_grad", "detach", "data"):
            return False
        if self._reach.is_untracked(path) and is_within_another(path, self._model):
            return True
        rest, made = path.partition(".")[2], self._weights[path].made
        twins = [
            o
            for o, w in self._weights.items()
            if rest == o.partition(".")[2] and o != path and w.made == made
        ]
        return bool(rest) and any(map(self._reach.is_trained, twins))

    def unused(self, classes: Sequence[ClassObject]) -> tuple[Unused, ...]:
        """The parts whose parameters nothing reads."""
        read = self._reach.read()
        idle = [
            path
            for path, weight in self._weights.items()
            if path not in read and weight.takes_gradient and _SPARED.isdisjoint(weight.attributes)
        ]
        if not idle or not read:
            return ()
        found = unused_parts(frozenset(idle), self._weights)
        elsewhere = Elsewhere(scopes_of(self._model, found), self._facts.built, classes)
        if elsewhere.hooks() or elsewhere.reaches(self._model):
            return ()
        idle_parts = [part for part in found if not elsewhere.names_last(part, self._model)]
        idle_parts = [part for part in idle_parts if not self._is_named_beside(part)]
        places = {part: assigned_at(part, self._model) for part in idle_parts}
        return tuple([self._unused(p, place, found[p]) for p, place in places.items() if place is not None])

    def _is_named_beside(self, part: str) -> bool:
        """Whether another file of the project names the attribute that holds a part."""
        path, name = self._model.type.scope.path, attribute_of(part, self._model)
        beside = neighbours(path)
        self._facts.evaluator.consulted |= beside.asked(question("names", name))
        return beside.files is None or any(names(name, text_of(each)) for each in beside.files)

    def _unused(self, part: str, place: Place, paths: Sequence[str]) -> Unused:
        parameters = tuple([frozen(path, self._weights[path]) for path in paths])
        return Unused(part, place, parameters)
