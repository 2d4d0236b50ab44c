"""What modules of a project end in: the sigmoid or softmax that all their outputs have passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gradlint.records import ir
from gradlint.semantics.bindings import walk
from gradlint.semantics.interpretation import Arguments, Operand
from gradlint.semantics.tensor import Application, Tensor, origin, producer
from gradlint.semantics.value import ClassObject, Closure, Constructed, Instance, Known, Value

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator
    from gradlint.semantics.value_facts import ValueFacts

_NAMED = frozenset({"Sigmoid", "Softmax", "sigmoid", "softmax"})

_Given = tuple[int, tuple[object, ...]]


class _Found(Struct, frozen=True, eq=False):
    """The last activation, if there is one, and the files and names that were looked up for that.

    `definition` keeps alive what the key of this entry is made of.
    """

    application: Application | None
    consulted: frozenset[tuple[str, str]]
    definition: ir.Class


class Endings:
    """Runs the forward pass of modules apart from the code that calls them, once for each way to make one."""

    def __init__(self, facts: ValueFacts) -> None:
        """`facts` is an interpretation of its own, under which nothing else is run meanwhile."""
        self._facts = facts
        self._found: dict[_Given, _Found | None] = {}
        self._naming: dict[int, tuple[ir.Class, bool]] = {}

    def of(self, module: Constructed, caller: Evaluator) -> Application | None:
        """The application of a sigmoid or softmax that the outputs of `module` are, perhaps rearranged."""
        cls = module.type
        if cls is None or _is_open(module.node) or not self._names_one(cls):
            return None
        key = id(cls.definition), _settings(module)
        if key not in self._found:
            self._found[key] = None
            self._found[key] = self._run(cls, module, caller)
        found = self._found[key]
        if found is None:
            return None
        caller.consulted |= found.consulted
        return found.application

    def _names_one(self, cls: ClassObject) -> bool:
        """Whether such a function is named at all where the class or a base of it is defined."""
        return any(
            self._is_named_in(base.definition) for base in cls.lineage() if isinstance(base, ClassObject)
        )

    def _is_named_in(self, definition: ir.Class) -> bool:
        known = self._naming.get(id(definition))
        if known is None:
            names = (getattr(node, "id", getattr(node, "name", "")) for node in walk(definition))
            known = self._naming[id(definition)] = definition, not _NAMED.isdisjoint(names)
        return known[1]

    def _run(self, cls: ClassObject, module: Constructed, caller: Evaluator) -> _Found:
        evaluator = caller.beside(self._facts)
        self._facts.begin()
        forward, instance = cls.member("forward"), self._made(cls, module, evaluator)
        returned: Value | None = None
        if isinstance(forward, Closure):
            self._facts.begin()
            returned = evaluator.run(evaluator.bound(forward, instance))
        return _Found(_last(returned), frozenset(evaluator.consulted), cls.definition)

    def _made(self, cls: ClassObject, module: Constructed, evaluator: Evaluator) -> Instance:
        """The object that the constructor makes of the constants that it was given."""
        init = cls.member("__init__")
        if not isinstance(init, Closure):
            return evaluator.instantiate(cls)
        instance = Instance(cls, {})
        positional = tuple([self._given(value, module.node) for value in module.positional])
        keywords = {name: self._given(value, module.node) for name, value in module.keywords.items()}
        evaluator.run(evaluator.bound(init, instance), Arguments(positional, keywords))
        return instance

    def _given(self, value: Value, node: ir.Expression) -> Operand:
        known = isinstance(value, (Known, Constructed))
        return Operand(value if known else self._facts.unknown(()), node)


def _settings(module: Constructed) -> tuple[object, ...]:
    """What tells two ways to make an object of a class apart."""
    values = [*module.positional, *module.keywords.values()]
    return (
        len(module.positional),
        *module.keywords,
        *[repr(value.value) if isinstance(value, Known) else id(value) for value in values],
    )


def _is_open(node: ir.Expression) -> bool:
    """Whether a call has arguments that it does not list."""
    return isinstance(node, ir.Call) and (
        any(isinstance(argument, ir.Starred) for argument in node.positional)
        or any(keyword.name is None for keyword in node.keywords)
    )


def _last(returned: Value | None) -> Application | None:
    if not isinstance(returned, Tensor) or returned.grad is False:
        return None
    return producer(origin(returned), "sigmoid") or producer(returned, "softmax")
