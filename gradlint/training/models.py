"""What the code of a model's class tells of its forward pass."""

from __future__ import annotations

from gradlint.records import ir
from gradlint.records.graph import Setting
from gradlint.semantics.bindings import stored, walk
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Value,
)
from gradlint.training.values import (
    Module,
)

_DETACHING = frozenset({"detach", "detach_", "data", "no_grad", "inference_mode", "item", "numpy"})
"""Names in a model by which a state may leave it without its graph."""


class Models:
    """What the classes of models say in their code, each looked at once."""

    def __init__(self) -> None:
        self._keeping: dict[int, tuple[Closure, bool]] = {}
        self._named: dict[int, tuple[ClassObject, frozenset[str]]] = {}

    def keeps(self, model: Value) -> bool:
        """Whether the forward pass of a model writes to attributes of its own."""
        cls = _class_of(model)
        forward = None if cls is None else cls.member("forward")
        if not isinstance(forward, Closure) or not isinstance(forward.function, ir.Function):
            return False
        key = id(forward.function)
        if key not in self._keeping:
            self._keeping[key] = forward, next(stored(forward.function), None) is not None
        return self._keeping[key][1]

    def detaches(self, model: Value) -> bool:
        """Whether a model's class names what takes a tensor off its graph; True where it is not known."""
        cls = _class_of(model)
        if cls is not None:
            return self.names(cls, _DETACHING)
        return not (isinstance(model, Module) and model.type.startswith("torch.nn."))

    def names(self, cls: ClassObject, names: frozenset[str]) -> bool:
        """Whether the bodies of a class and of its bases in the project use one of these names."""
        if id(cls) not in self._named:
            bodies = [base.definition for base in cls.lineage() if isinstance(base, ClassObject)]
            found = (
                node.name if isinstance(node, ir.Attribute) else getattr(node, "id", "")
                for body in bodies
                for node in walk(body)
                if isinstance(node, (ir.Attribute, ir.Name))
            )
            self._named[id(cls)] = cls, frozenset(found)
        return not names.isdisjoint(self._named[id(cls)][1])


def _class_of(model: Value) -> ClassObject | None:
    """The class of a model, where it is in the project."""
    cls = model.cls if isinstance(model, Module) else model.type if isinstance(model, Instance) else None
    return cls if isinstance(cls, ClassObject) else None


def is_optional(model: Value, at: Setting) -> bool:
    """Whether the argument at a position, or of a name, has a default in a model's forward pass."""
    cls = _class_of(model)
    forward = None if cls is None else cls.member("forward")
    if not isinstance(forward, Closure):
        return False
    taken = forward.function.parameters[1:]
    found = [p for position, p in enumerate(taken) if at in (position, p.name)]
    return any(parameter.default is not None for parameter in found)
