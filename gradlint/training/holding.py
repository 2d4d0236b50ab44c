"""Which parameters a value is, or holds."""

from __future__ import annotations

from collections.abc import Iterable

from gradlint.semantics.value import Items, Known, Table, Value
from gradlint.training.values import Either, Parameters, Symbol, Tensor, Weight, options


def held(value: Value, depth: int = 4) -> Parameters | None:
    """The parameters in a value that an optimizer or a clipping function is given; None for none."""
    if isinstance(value, Parameters):
        return value
    if isinstance(value, Weight):
        return Parameters(value.of.owners, False)
    if isinstance(value, Either):
        return union(held(option, depth) for option in options(value))
    if isinstance(value, Table) and "params" in value.entries:
        return held(value.entries["params"], depth)
    if isinstance(value, Items) and depth:
        if not value.items:
            return Parameters(None, False)
        parts = [held(item, depth - 1) for item in value.items]
        found = union(parts)
        is_one = value.open and found is not None and any(isinstance(item, Weight) for item in value.items)
        return Parameters(found.owners, False) if is_one and found is not None else found
    if isinstance(value, Symbol):
        return Parameters((value,))
    if isinstance(value, Tensor):
        return Parameters((value,), False)
    return None


def union(parts: Iterable[Parameters | None]) -> Parameters | None:
    """All of them together."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    if any(part.owners is None for part in known):
        return Parameters(None, False)
    owners = {id(owner): owner for part in known for owner in part.owners or ()}
    return Parameters(tuple(owners.values()), all(part.is_whole for part in known))


def parameters_of(value: Value, is_named: bool = False, drawn: int | None = None) -> Parameters:
    """All parameters of a module; as a generator where it is said when that was `drawn`."""
    spent: dict[str, Value] | None = None if drawn is None else {"drawn": Known(drawn)}
    return Parameters(tuple(options(value)), True, is_named, spent)


def take(value: Value) -> None:
    """Run through a generator of parameters."""
    if isinstance(value, Parameters) and value.spent is not None:
        value.spent["taken"] = Known(True)


def is_spent(value: Value, loop: int) -> bool:
    """Whether nothing is left of a generator: it was taken, or is run through in every iteration of a loop in
    which what is new has numbers from `loop` on.
    """
    if not isinstance(value, Parameters) or value.spent is None:
        return False
    drawn = value.spent.get("drawn")
    return "taken" in value.spent or (isinstance(drawn, Known) and int(drawn.value) < loop)


def is_parameters(value: Value) -> bool:
    """Whether a value certainly holds parameters: those of a module, one by one or in groups."""
    if isinstance(value, (Parameters, Weight)):
        return True
    if isinstance(value, Table):
        return "params" in value.entries
    if isinstance(value, Items) and value.items:
        return all(map(is_parameters, value.items))
    return isinstance(value, Either) and all(map(is_parameters, options(value)))
