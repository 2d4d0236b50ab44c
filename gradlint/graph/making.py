"""Modules and weights: what constructors of torch make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.graph.blocks import TRANSFORMERS, attention, stack_of, transformer_layer
from gradlint.graph.construct import (
    CONTAINERS,
    container,
    copied,
    layer,
    make_template,
)
from gradlint.graph.values import (
    Anything,
    Container,
    Drawn,
    Layer,
    Signal,
    Weight,
    descendants,
    is_module,
    number,
    signals,
)
from gradlint.records.graph import Initial, Place, Setting
from gradlint.semantics.interpretation import Arguments, Site
from gradlint.semantics.value import (
    Instance,
    Items,
    Known,
    Value,
)

if TYPE_CHECKING:
    from gradlint.graph.interpret import GraphFacts

WRAPPING = frozenset({"as_tensor", "asarray"})


class Making:
    """Makes modules and weights."""

    def __init__(self, facts: GraphFacts) -> None:
        self._facts = facts

    def rebuilt(self, by: str, arguments: Arguments, site: Site) -> Value | None:
        """A tensor made of the numbers in others; what wraps a tensor leaves it as it is."""
        given = arguments.get(0, "data")
        found = list(signals(given.value)) if given is not None else []
        if given is not None and by in WRAPPING and isinstance(given.value, Signal):
            return given.value
        return self._facts.recorder.emit("detach", found, site, {"by": by}) if found else None

    def module(self, class_: str, arguments: Arguments, place: Place, site: Site) -> Value | None:
        """An object of a class of torch.nn; None where that is not known."""
        if class_ in CONTAINERS:
            made = container(class_, arguments, place, site.node)
            if class_ == "Sequential":
                self._facts.sequences.append(made)
            return made
        if class_ == "MultiheadAttention":
            return attention(arguments, place)
        if class_ in TRANSFORMERS:
            return transformer_layer(class_, arguments, place)
        if class_ in ("TransformerEncoder", "TransformerDecoder"):
            return self._stacked(class_, arguments, place, site)
        if class_ == "Transformer":
            return self._transformer(arguments, place, site)
        return layer(class_, arguments, place)

    def embedding(self, arguments: Arguments, place: Place) -> Value:
        """A table that is given, and not trained unless that is asked for."""
        given, switch = arguments.get(0, "embeddings"), arguments.get(1, "freeze")
        data = given.value.data if given is not None and isinstance(given.value, Weight) else None
        data = given.value if given is not None and isinstance(given.value, Drawn) else data
        trained = switch is not None and isinstance(switch.value, Known) and switch.value.value is False
        held = data if data is not None else Drawn(Initial("unknown", {}, 1.0, place))
        shape = held.shape if held.shape is not None and len(held.shape) == 2 else (None, None)
        settings: dict[str, Setting] = {
            "num_embeddings": shape[0],
            "embedding_dim": shape[1],
            "padding_idx": None,
        }
        return Layer("Embedding", settings, {"weight": Weight({"data": held}, place, trained)}, place)

    def parametrised(self, of: Value | None, arguments: Arguments, found: Initial) -> None:
        """A weight, that of the layer unless it is named, is computed of another tensor from now on."""
        given = arguments.get(1, "tensor_name") or arguments.keywords.get("name")
        name = given.value.value if given is not None and isinstance(given.value, Known) else "weight"
        weight = of.attributes.get(str(name)) if isinstance(of, (Layer, Instance)) else None
        if isinstance(weight, Weight):
            self._facts.members.initialise(weight, found)

    def _stacked(self, class_: str, arguments: Arguments, place: Place, site: Site) -> Value | None:
        one, count = arguments.get(0, f"{class_[11:].lower()}_layer"), arguments.get(1, "num_layers")
        if one is None or not is_module(one.value):
            return None
        repeats = number(count.value) if count is not None else None
        times = self._facts.assumed(Anything(), site) or 1 if repeats is None else int(repeats)
        is_open = times > self._facts.budget.unrolled
        first = copied(one.value)
        members = [first, *[copied(first) for _ in range(0 if is_open else times - 1)]]
        make_template(one.value)
        inside = Items("list", members, site.node, is_open)
        parts: dict[str, Value] = {"layers": Container("ModuleList", inside, place)}
        norm = arguments.get(2, "norm")
        if norm is not None and is_module(norm.value):
            parts["norm"] = norm.value
        return Layer(class_, {}, {}, place, parts)

    def _transformer(self, arguments: Arguments, place: Place, site: Site) -> Value | None:
        """`nn.Transformer`: an encoder and a decoder, all matrices drawn by `xavier_uniform_`."""
        parts: dict[str, Value] = {}
        for kind in ("encoder", "decoder"):
            own = arguments.keywords.get(f"custom_{kind}")
            inside = stack_of(kind, arguments, place, site)
            made = own.value if own is not None else self._stacked(inside.type, inside.arguments, place, site)
            if made is None:
                return None
            parts[kind] = made
        whole = Layer("Transformer", {}, {}, place, parts)
        for _, part in descendants(whole):
            if isinstance(part, Weight) and len(part.shape or ()) > 1:
                self._facts.members.initialise(part, Initial("xavier_uniform", {}, 1.0, place))
        return whole

    def parameter(self, arguments: Arguments, place: Place) -> Value:
        """`nn.Parameter(data)`."""
        given = arguments.get(0, "data")
        value = given.value if given is not None else None
        data = value if isinstance(value, Drawn) else Drawn(Initial("unknown"))
        if isinstance(value, Weight):
            self._facts.recorder.hand_out((value,))  # the new one shares its memory
            data = value.data
        switch = arguments.get(1, "requires_grad")
        trained = not (switch is not None and isinstance(switch.value, Known) and switch.value.value is False)
        return Weight({"data": data}, place, trained)
