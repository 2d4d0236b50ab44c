"""Of what kind a value is, and whether it is one of several."""

from __future__ import annotations

from gradlint.graph.construct import CONTAINERS, class_of
from gradlint.graph.values import Choice, Container, Layer, Signal, Weight, held
from gradlint.semantics.classes import MODULE_BASES
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    Partial,
    Reference,
    Table,
    Value,
)

_ABSTRACT = {
    "_ConvNd": "Conv",
    "_ConvTransposeNd": "ConvTranspose",
    "_BatchNorm": "BatchNorm",
    "_NormBase": "BatchNorm",
    "_InstanceNorm": "InstanceNorm",
    "_DropoutNd": "Dropout",
    "RNNBase": "",
    "RNNCellBase": "",
}


def type_name(value: Value) -> str:
    """The name of a module's class."""
    if isinstance(value, (Layer, Container)):
        return value.type
    return value.type.definition.name if isinstance(value, Instance) else ""


def is_kind_of(value: Value, classes: Value) -> bool | None:
    """`isinstance(value, classes)`, or None where it cannot be told."""
    if isinstance(classes, Items):
        found = [is_kind_of(value, each) for each in classes.items]
        if any(found):
            return True
        return None if None in found or classes.open else False
    if isinstance(classes, Choice):
        answers = {is_kind_of(value, each) for each in classes.options}
        return answers.pop() if len(answers) == 1 else None
    if isinstance(value, Signal):
        return (
            last_name(classes) in ("Tensor", "FloatTensor")
            if isinstance(classes, (Reference, ClassObject))
            else None
        )
    if isinstance(value, Known) and isinstance(classes, Reference):
        kinds: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}
        kind = kinds.get(last_name(classes))
        return isinstance(value.value, kind) if kind is not None else False
    if isinstance(value, Items) and isinstance(classes, Reference):
        return last_name(classes) in (value.kind, "Sequence", "Iterable", "Collection")
    if isinstance(value, Table) and isinstance(classes, Reference):
        return last_name(classes) in ("dict", "Mapping", "OrderedDict")
    if isinstance(value, (Partial, ClassObject, Closure, Reference)) and isinstance(classes, Reference):
        return last_name(classes) in _KINDS[type(value)] if classes.name in _PYTHON else None
    if isinstance(classes, ClassObject):
        if isinstance(value, Instance):
            return any(base is classes or _same(base, classes) for base in value.type.lineage())
        return False if isinstance(value, (Layer, Container, Weight)) else None
    if not isinstance(classes, Reference):
        return None
    name = last_name(classes)
    if isinstance(value, Weight):
        return name in ("Parameter", "Tensor")
    if isinstance(value, (Layer, Container)):
        return name == "Module" or _derives(value.type, name)
    if isinstance(value, Instance):
        bases = [base for base in value.type.lineage() if isinstance(base, Reference)]
        if any(base.name == classes.name for base in bases):
            return True
        torch = ["Module" if base.name in MODULE_BASES else class_of(base.name) for base in bases]
        return any(t is not None and (t == name or name == "Module" or _derives(t, name)) for t in torch)
    return None


def is_subclass_of(value: Value, classes: Value) -> bool | None:
    """`issubclass(value, classes)`, or None where it cannot be told."""
    if isinstance(classes, Items):
        found = [is_subclass_of(value, each) for each in classes.items]
        return True if any(found) else (None if None in found or classes.open else False)
    if isinstance(value, Reference) and isinstance(classes, ClassObject):
        return False
    return is_kind_of(Instance(value, {}), classes) if isinstance(value, ClassObject) else None


_PYTHON = frozenset(
    {
        *("functools.partial", "types.FunctionType", "types.LambdaType", "types.MethodType", "builtins.type"),
        *(
            "builtins.str",
            "builtins.int",
            "builtins.float",
            "builtins.list",
            "builtins.tuple",
            "builtins.dict",
        ),
    }
)
_KINDS: dict[type, tuple[str, ...]] = {
    Partial: ("partial",),
    ClassObject: ("type",),
    Reference: ("type",),
    Closure: ("FunctionType", "LambdaType"),
}


def _same(base: Value, cls: ClassObject) -> bool:
    return isinstance(base, ClassObject) and base.definition is cls.definition


def _derives(type_: str, name: str) -> bool:
    """Whether one class of torch.nn is, or derives from, another."""
    if name in _ABSTRACT:
        prefix = _ABSTRACT[name]
        if not prefix:
            return type_ in ("RNN", "LSTM", "GRU") if name == "RNNBase" else type_.endswith("Cell")
        own = type_.startswith(prefix) and type_[-1:] == "d"
        transposed = type_.startswith("ConvTranspose")
        return own or (name == "_ConvNd" and transposed)
    if name == "_ConvNd":
        return type_.startswith("Conv")
    return (
        type_ == name
        or (type_.startswith("Lazy") and type_[4:] == name)
        or (name == "Sequential" and type_ in CONTAINERS and type_ == name)
    )


def last_name(value: Value) -> str:
    """The last part of the name of a class."""
    if isinstance(value, Reference):
        return value.name.rpartition(".")[2]
    return value.definition.name if isinstance(value, ClassObject) else ""


def is_among(value: Value, collection: Value) -> bool | None:
    """Whether a class or a function is one of a collection."""
    if not isinstance(value, (ClassObject, Reference, Closure)) or not isinstance(collection, Items):
        return None
    if any(_is_same(value, item) for item in collection.items):
        return True
    return None if collection.open else False


def _is_same(value: Value, other: Value) -> bool:
    if isinstance(value, Reference):
        return isinstance(other, Reference) and other.name == value.name
    if isinstance(value, ClassObject):
        return _same(other, value)
    return isinstance(value, Closure) and isinstance(other, Closure) and other.function is value.function


def contains(collection: Value, key: object) -> bool | None:
    """`key in collection`, or None where it cannot be told."""
    if isinstance(collection, Known) and isinstance(collection.value, str) and isinstance(key, str):
        return key in collection.value
    if isinstance(collection, Container):
        names = [name for name, _ in held(collection)]
        return str(key) in names if not collection.held.open else None
    if isinstance(collection, Table):
        return key in collection.entries if not collection.open else None
    if isinstance(collection, Items) and not collection.open:
        known = [item.value for item in collection.items if isinstance(item, Known)]
        return key in known if len(known) == len(collection.items) else None
    return None
