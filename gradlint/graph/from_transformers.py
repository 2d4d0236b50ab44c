"""Functions and layers of transformers that other code imports, where its source is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.graph.construct import layer
from gradlint.graph.values import Anything, Choice, Layer, Weight, is_module
from gradlint.records.graph import Initial, Place
from gradlint.semantics import bystanders
from gradlint.semantics.functions import record_fields
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import ClassObject, Closure, Instance, Known, Partial, Reference, Value

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts

PACKAGE = "transformers."
_TABLE = "transformers.activations.ACT2FN"
_ACTIVATIONS = ("gelu", "relu", "silu", "tanh", "sigmoid", "mish", "leaky_relu")
ANY_ACTIVATION = Choice(tuple([Reference(f"torch.nn.functional.{name}") for name in _ACTIVATIONS]))
"""What a configuration that is not known may ask for."""

_CALLED = {"gelu": "gelu", "gelu_new": "gelu", "gelu_fast": "gelu", "swish": "silu", "mish": "mish"}
"""Functions of its module of activations by the ones of torch of the same shape."""

_DICTIONARIES = frozenset({"collections.OrderedDict", "transformers.utils.ModelOutput"})

_CHUNKED = 3
"""A function, the size of a chunk and its dimension stand before the tensors that are chunked."""


def call(facts: GraphFacts, name: str, arguments: Arguments, site: Site) -> Value | None:
    """What a function or a class of transformers gives; None where that is not known."""
    last = name.rpartition(".")[2]
    if last == "get_activation" and len(arguments.positional) == 1:
        known = bystanders.item(Reference(_TABLE), arguments.positional[0].value, site.node)
        return known if known is not None else ANY_ACTIVATION
    if last == "ACT2FN":
        return facts.evaluator.call(ANY_ACTIVATION, arguments, site)  # an entry of it, which one is not known
    if last == "apply_chunking_to_forward" and len(arguments.positional) > _CHUNKED:
        return _chunked(facts, arguments, site)
    if last == "BertLayerNorm":
        return layer("LayerNorm", arguments, Place(site.path, site.node.span))
    if last == "Conv1D" and len(arguments.positional) == 2:
        return _transposed(facts, arguments, site)
    if ".activations." in name and last in ("relu2", "quick_gelu") and len(arguments.positional) == 1:
        return _composed(facts, last, arguments, site)
    if ".activations." in name and last in _CALLED:
        return facts.applier.function(_CALLED[last], arguments, site)
    return None


def _composed(facts: GraphFacts, name: str, arguments: Arguments, site: Site) -> Value:
    """relu(x)², or x·σ(1.702·x)."""
    function, node = facts.applier.function, site.node
    if name == "relu2":
        rectified = function("relu", arguments, site)
        return function("square", Arguments((Operand(rectified, node),)), site)
    factor = Operand(Known(1.702), node)
    scaled = function("mul", Arguments((*arguments.positional, factor)), site)
    gate = function("sigmoid", Arguments((Operand(scaled, node),)), site)
    return function("mul", Arguments((*arguments.positional, Operand(gate, node))), site)


def output_item(output: Instance, index: Value) -> Value | None:
    """`output[index]` of a `ModelOutput`: a field by its name, or by its place among those that are given."""
    if not isinstance(index, Known) or not output.type.derives_from(_DICTIONARIES) or not _is_output(output):
        return None
    if isinstance(index.value, str):
        return output.attributes.get(index.value)
    given = [output.attributes.get(name, Known(None)) for name in record_fields(output.type)]
    given = [value for value in given if not (isinstance(value, Known) and value.value is None)]
    if not isinstance(index.value, int) or not 0 <= index.value < len(given):
        return None
    before = given[: index.value + 1]
    return None if any(isinstance(value, (Anything, Choice)) for value in before) else before[-1]


def _is_output(value: Instance) -> bool:
    """Whether an object is what a model of transformers gives."""
    names = [
        base.definition.name
        if isinstance(base, ClassObject)
        else getattr(base, "name", "").rpartition(".")[2]
        for base in value.type.lineage()
    ]
    return "ModelOutput" in names


def _chunked(facts: GraphFacts, arguments: Arguments, site: Site) -> Value | None:
    """`apply_chunking_to_forward(function, size, dimension, *tensors)`, the function first or third."""
    first = [operand.value for operand in arguments.positional[:_CHUNKED]]
    function = next((value for value in first if _is_called(value)), None)
    if function is None:
        return None
    rest = Arguments(arguments.positional[_CHUNKED:], {}, arguments.open)
    return facts.evaluator.call(function, rest, site)


def _transposed(facts: GraphFacts, arguments: Arguments, site: Site) -> Layer | None:
    """`Conv1D(out, into)`: a linear layer drawn with a deviation of 0.02, its bias 0."""
    place = Place(site.path, site.node.span)
    made = layer("Linear", Arguments(arguments.positional[::-1]), place)
    if made is not None:
        drawn = {"weight": Initial("normal", {"mean": 0.0, "std": 0.02}, 1.0, place)}
        drawn["bias"] = Initial("zeros", {}, 1.0, place)
        for name, initial in drawn.items():
            weight = made.attributes.get(name)
            if isinstance(weight, Weight):
                facts.members.initialise(weight, initial)
    return made


def _is_called(value: Value) -> bool:
    return is_module(value) or isinstance(value, (Closure, ClassObject, Reference, Partial, Choice))
