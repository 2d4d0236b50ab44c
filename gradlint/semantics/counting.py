"""How often the body of a `while` begins, where numbers that it counts itself decide that.

Only the statements that the tests rest on are run ahead, on numbers; what they leave is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from gradlint.records import ir
from gradlint.semantics.bindings import walk
from gradlint.semantics.scope import Frame
from gradlint.semantics.value import Closure, Instance, Known, Reference, Value

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator

Step = ir.Assign | ir.Augment | ir.Branch
"""A statement that counts, or one that leaves the loop where its test holds."""

_ARITHMETIC = (ir.Name, ir.Attribute, ir.Literal, ir.Operation, ir.Call, ir.Conditional)
_JUMPS = (ir.Jump, ir.Return, ir.Raise)
_OF_NUMBERS = ("builtins.", "math.")


Count = tuple[tuple[ir.Expression, Known], ...]
"""What is counted, each with its number at the end of an iteration."""


def counts(node: ir.Loop, frame: Frame, evaluator: Evaluator, most: int) -> list[Count] | None:
    """What every iteration of `node` counts; None where that is not known, or where there are more than
    `most`.
    """
    steps = _steps(node)
    if node.test is None or not steps or _may_be_counted_elsewhere(node, steps, frame, evaluator):
        return None
    inner = Frame(frame.scope, frame)
    evaluator.heap.begin()
    try:
        return _counted(node.test, steps, inner, evaluator, most)
    finally:
        evaluator.heap.take_back()


def _may_be_counted_elsewhere(
    node: ir.Loop, steps: Sequence[Step], frame: Frame, evaluator: Evaluator
) -> bool:
    """Whether the body calls methods of an object on which it counts."""
    owners = {key.partition(".")[0] for step in steps for key in _written(step) if "." in key}
    for each in walk(node.body) if owners else ():
        if isinstance(each, ir.Call) and isinstance(each.function, ir.Attribute):
            owner = each.function.value
            is_own = isinstance(owner, ir.Name) and owner.id in owners
            if is_own and isinstance(evaluator.evaluate(each.function, frame), Closure):
                return True
    return False


def agrees(count: Count, frame: Frame, evaluator: Evaluator) -> bool | None:
    """Whether an iteration left the numbers that it counts as they were counted: something else in its body
    may have changed them. None where one is not known any more.
    """
    left = [(evaluator.evaluate(target, frame), expected) for target, expected in count]
    pairs = [(found.value, expected.value) for found, expected in left if isinstance(found, Known)]
    return all(found == expected for found, expected in pairs) if len(pairs) == len(left) else None


def _counted(
    test: ir.Expression, steps: Sequence[Step], frame: Frame, evaluator: Evaluator, most: int
) -> list[Count] | None:
    rounds: list[Count] = []
    while len(rounds) <= most:
        goes_on = _number(test, frame, evaluator)
        if goes_on is None or not goes_on.value:
            return None if goes_on is None else rounds
        count: dict[str | None, tuple[ir.Expression, Known]] = {}
        for step in steps:
            found = _taken(step, frame, evaluator)
            if found is None or (isinstance(step, ir.Branch) and found.value):
                return None if found is None else [*rounds, ()]
            if not isinstance(step, ir.Branch):
                target = _target(step)
                count[_key(target)] = target, found
        rounds.append(tuple(count.values()))
    return None


def _target(step: ir.Assign | ir.Augment) -> ir.Expression:
    return step.target if isinstance(step, ir.Augment) else step.targets[0]


def _taken(step: Step, frame: Frame, evaluator: Evaluator) -> Known | None:
    """What a step computes, put where it belongs."""
    if isinstance(step, ir.Branch):
        return _number(step.test, frame, evaluator)
    target, value = _target(step), step.value
    if isinstance(step, ir.Augment):
        value = ir.Operation(step.span, step.operator, (target, step.value))
    found = None if value is None else _number(value, frame, evaluator)
    if found is None:
        return None
    if isinstance(target, ir.Name):
        frame.variables[target.id] = found
    elif isinstance(target, ir.Attribute):
        owner = evaluator.evaluate(target.value, frame)
        if not isinstance(owner, Instance):
            return None
        evaluator.heap.write(owner.attributes, target.name, found)
    return found


def _number(node: ir.Expression, frame: Frame, evaluator: Evaluator) -> Known | None:
    for each in walk(node):
        if isinstance(each, ir.Call) and not _is_of_numbers(evaluator.evaluate(each.function, frame)):
            return None
    found = evaluator.evaluate(node, frame)
    return found if isinstance(found, Known) else None


def _is_of_numbers(function: Value) -> bool:
    return isinstance(function, Reference) and function.name.startswith(_OF_NUMBERS)


def _steps(node: ir.Loop) -> list[Step]:
    """The statements that decide how often the body begins, in order; none where others might."""
    found = [statement for statement in node.body if _leaves(statement)]
    tests = [each.test for each in found if isinstance(each, ir.Branch) and _is_way_out(each)]
    if node.test is None or len(tests) < len(found):
        return []
    needed = set(_named([node.test, *tests]))
    for statement in [*node.body, *node.body][::-1]:
        if isinstance(statement, (ir.Assign, ir.Augment)) and needed & set(_written(statement)):
            needed |= set(_named([statement]))
    steps = [each for each in node.body if each in found or needed & set(_written(each))]
    return [each for each in steps if isinstance(each, Step)] if _are_plain(steps, found) else []


def _are_plain(steps: Iterable[ir.Statement], ways_out: Sequence[ir.Statement]) -> bool:
    """Whether the steps write one number each, and compute it in arithmetic."""
    for step in steps:
        if not isinstance(step, Step) or (isinstance(step, ir.Branch) and step not in ways_out):
            return False
        if isinstance(step, ir.Assign) and (len(step.targets) != 1 or _key(step.targets[0]) is None):
            return False
        read = step.test if isinstance(step, ir.Branch) else getattr(step, "value", None)
        if not all(isinstance(each, _ARITHMETIC) for each in walk(read)):
            return False
    return True


def _leaves(statement: ir.Statement) -> bool:
    """Whether a statement may end the iteration."""
    return any(isinstance(each, _JUMPS) for each in walk(statement))


def _is_way_out(branch: ir.Branch) -> bool:
    """`if test: …; break` or `return`, and nothing else that ends an iteration."""
    *before, last = branch.then
    is_end = isinstance(last, ir.Return) or (isinstance(last, ir.Jump) and last.kind == "break")
    return is_end and not any(map(_leaves, (*before, *branch.otherwise)))


def _named(nodes: Iterable[object]) -> Iterator[str]:
    """The variables and attributes that are read."""
    for node in nodes:
        for each in walk(node):
            key = _key(each)
            if key is not None:
                yield key


def _written(statement: ir.Statement) -> Iterator[str]:
    """The variables and attributes that a statement, or one within it, assigns."""
    for each in walk(statement):
        targets = each.targets if isinstance(each, ir.Assign) else ()
        for target in (each.target,) if isinstance(each, ir.Augment) else targets:
            yield from _named([target])


def _key(node: object) -> str | None:
    if isinstance(node, ir.Name):
        return node.id
    is_plain = isinstance(node, ir.Attribute) and isinstance(node.value, ir.Name)
    return f"{node.value.id}.{node.name}" if is_plain else None  # type: ignore[attr-defined]
