"""What the annotation and the default of a parameter say of it."""

from __future__ import annotations

from gradlint.records import ir
from gradlint.semantics.tensor import INPUT, MASK, TOP, Facts, Tensor

_SCALARS = frozenset({"int", "float", "bool", "str", "bytes", "complex"})
_INTEGERS = frozenset({"LongTensor", "IntTensor", "ShortTensor", "ByteTensor"})
_ARRAYS = frozenset({"ndarray", "ArrayLike", "NDArray", "Image", "DataFrame", "Series"})


def declared(parameter: ir.Parameter, number: int) -> Tensor:
    """A parameter, as its annotation or its default tells."""
    names = _annotated(parameter.annotation)
    default = parameter.default
    literal = default.value if isinstance(default, ir.Literal) else None
    numeric = isinstance(literal, (int, float, str))
    if (names and names <= _SCALARS | {"None", "Optional", "Union"}) or (not names and numeric):
        typical = float(literal) if isinstance(literal, (int, float)) else None
        return Tensor(number, Facts(typical=typical), grad=False)
    if names & _ARRAYS and "Tensor" not in names:
        return Tensor(number, grad=False)
    if names & {"BoolTensor"}:
        return Tensor(number, MASK, frozenset({parameter.name}), False)
    if names & _INTEGERS:
        return Tensor(number, TOP, frozenset({parameter.name}), False)
    return Tensor(number, INPUT, frozenset({parameter.name}))


def _annotated(annotation: ir.Expression | None) -> frozenset[str]:
    """The last components of the names in an annotation."""
    if annotation is None:
        return frozenset()
    if isinstance(annotation, ir.Name):
        return frozenset({annotation.id})
    if isinstance(annotation, ir.Attribute):
        return frozenset({annotation.name})
    if isinstance(annotation, ir.Literal):
        text = str(annotation.value)
        return frozenset(
            part.rpartition(".")[2]
            for part in text.replace("[", " ").replace("]", " ").replace("|", " ").replace(",", " ").split()
        )
    if isinstance(annotation, ir.Index):
        return _annotated(annotation.value) | _annotated(annotation.index)
    if isinstance(annotation, ir.Operation):
        return frozenset().union(*[_annotated(operand) for operand in annotation.operands])
    if isinstance(annotation, ir.Display):
        return frozenset().union(*[_annotated(item) for item in annotation.items])
    return frozenset()
