"""Methods of a module that only inference calls."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from gradlint.records import ir
from gradlint.semantics.value import ClassObject

_BLOCKS = ("body", "then", "otherwise", "final")


class SelfCall(NamedTuple):
    """A call of a method of the same object, and whether it stands where the module does not train."""

    method: str
    at_inference: bool


@lru_cache(maxsize=16)
def inference_only(cls: ClassObject) -> frozenset[str]:
    """The methods that are called under `if not self.training` and nowhere else in the class."""
    if not _asks_for_training(cls.definition.body):
        return frozenset()
    calls = set(_calls(cls.definition.body, False))
    return frozenset(call.method for call in calls if call.at_inference) - {
        call.method for call in calls if not call.at_inference
    }


def _asks_for_training(body: tuple[ir.Statement, ...]) -> bool:
    return any(
        (isinstance(statement, ir.Branch) and _tests_training(statement.test) is not None)
        or any(_asks_for_training(getattr(statement, block, ())) for block in _BLOCKS)
        for statement in body
    )


def _calls(node: object, at_inference: bool) -> Iterator[SelfCall]:
    if isinstance(node, tuple):
        for item in node:
            yield from _calls(item, at_inference)
            at_inference = at_inference or _leaves_when_training(item)
    elif isinstance(node, ir.Branch):
        trains = _tests_training(node.test)
        yield from _calls(node.test, at_inference)
        yield from _calls(node.then, at_inference or trains is False)
        yield from _calls(node.otherwise, at_inference or trains is True)
    elif isinstance(node, ir.Node):
        if isinstance(node, ir.Call) and _is_own(node.function):
            yield SelfCall(node.function.name, at_inference)  # type: ignore[union-attr]
        for field in node.__struct_fields__:
            yield from _calls(getattr(node, field), at_inference)


def _leaves_when_training(node: object) -> bool:
    """Whether what follows a statement is for inference: `if self.training: return`."""
    if not isinstance(node, ir.Branch):
        return False
    trains = _tests_training(node.test)
    arm = node.then if trains else node.otherwise if trains is False else ()
    return bool(arm) and isinstance(arm[-1], (ir.Return, ir.Raise))


def _tests_training(test: ir.Expression) -> bool | None:
    """Whether a branch is for training (True) or not (False); None if it tests something else."""
    if isinstance(test, ir.Operation) and test.operator == "not":
        inner = _tests_training(test.operands[0])
        return None if inner is None else not inner
    return True if _is_own(test) and getattr(test, "name", "") == "training" else None


def _is_own(node: ir.Expression) -> bool:
    return isinstance(node, ir.Attribute) and isinstance(node.value, ir.Name) and node.value.id == "self"
