"""Where a finding about a model stands: on the line of the checked file that a person would change."""

from __future__ import annotations

from collections.abc import Iterable

from gradlint.records.finding import Related
from gradlint.records.graph import ModelGraph, Node, Place
from gradlint.records.span import Span


def made_at(graph: ModelGraph, node: Node) -> Span:
    """Where a node's layer is constructed, or else computed; in another file, the call that leads there."""
    return within(graph, node.made, node.place, *reversed(node.callers))


def used_at(graph: ModelGraph, node: Node) -> Span:
    """Where a node is computed, or else constructed; in another file, the call that leads there."""
    return within(graph, node.place, *reversed(node.callers), node.made)


def within(graph: ModelGraph, *places: Place | None) -> Span:
    """The first of the places that lies in the model's own file, or else the model's."""
    own = [place.span for place in places if place is not None and place.path == graph.place.path]
    return own[0] if own else graph.place.span


def related(graph: ModelGraph, places: Iterable[tuple[Place | None, str]]) -> tuple[Related, ...]:
    """Places beside a finding, each once, in order."""
    found = {
        place: Related(place.span, message, "" if place.path == graph.place.path else place.path)
        for place, message in reversed(list(places))
        if place is not None
    }
    return tuple(reversed(found.values()))


def enclosing(graph: ModelGraph, node: Node) -> str:
    """The path of the module that a node is, or in whose forward it is: that of a layer before it."""
    pending = [node]
    while pending:
        current = pending.pop(0)
        if current.module:
            return current.module if current is node else current.module.rpartition(".")[0]
        pending.extend(graph.nodes[number] for number in current.inputs)
    return ""
