"""What one function did when it was run on abstract values: the subject of most rules."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator

from msgspec import Struct
from msgspec.structs import astuple

from gradlint.records import ir
from gradlint.records.span import Span
from gradlint.semantics.bindings import changes
from gradlint.semantics.interpretation import Site
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.tensor import Application, Tensor
from gradlint.semantics.value import ClassObject, Closure, Instance, Value
from gradlint.semantics.value_facts import StoredAttribute


class Uses:
    """Which applications take a value as an operand, found out when that is first asked."""

    __slots__ = ("_applications", "_by_number")

    def __init__(self, applications: tuple[Application, ...]) -> None:
        self._applications = applications
        self._by_number: dict[int, list[Application]] = {}

    def of(self, number: int) -> list[Application]:
        """Those of the value with this number, in order."""
        if not self._by_number:
            for application in self._applications:
                values = [operand.value for operand in application.operands]
                for used in {value.number for value in values if isinstance(value, Tensor)}:
                    self._by_number.setdefault(used, []).append(application)
        return self._by_number.get(number, [])


class Trace(Struct, frozen=True, eq=False, weakref=True):
    """The primitives that a function applied and the attributes it stored, in order.

    `owner` is the class whose method it is. `arrays` are inputs that the function treats as NumPy
    arrays. What the functions that it called did is a trace of its own each, with `via`, the
    outermost call that led there; `everything` holds the applications of all of them and `uses`
    finds them by operand. `reached` are the numbers of the values to which a gradient may come back.
    """

    function: ir.Function | ir.Lambda
    scope: ModuleScope
    applications: tuple[Application, ...]
    stores: tuple[StoredAttribute, ...]
    returned: Value
    owner: ClassObject | None = None
    arrays: frozenset[str] = frozenset()
    via: Site | None = None
    everything: tuple[Application, ...] = ()
    uses: Uses = Uses(())
    reached: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """The function's name as reports show it."""
        own = self.function.name if isinstance(self.function, ir.Function) else "lambda"
        return f"{self.owner.definition.name}.{own}" if self.owner is not None else own

    def name_at(self, site: Site) -> str:
        """The name of the function that `site` is in: this one, or one of its file that it called."""
        if not site.callers or site.path != self.scope.path:
            return self.name
        return ".".join(_names_around(self.scope.facts.body, site.node.span)) or self.name

    def applied(self, *primitives: str) -> Iterator[Application]:
        """The applications of `primitives` in this file, in order."""
        for application in self.applications:
            if application.primitive in primitives and application.site.path == self.scope.path:
                yield application

    def differentiated(self, *primitives: str) -> Iterator[Application]:
        """Those of `applied` through which a gradient may flow back to an input or a parameter."""
        for application in self.applied(*primitives):
            if not application.tracked or application.number not in self.reached:
                continue
            if any(self.carries_gradient(o.value) for o in application.operands):
                yield application

    def carries_gradient(self, value: Value) -> bool:
        """Whether `value` may depend on something that is trained or differentiated."""
        if not isinstance(value, Tensor) or value.grad is False:
            return False
        return value.grad is True or bool(value.roots - self.arrays)

    def users(self, value: Value) -> Iterator[Application]:
        """The applications that take `value` as an operand."""
        if isinstance(value, Tensor):
            yield from self.uses.of(value.number)

    def spell(self, name: str) -> str | None:
        """How the function can write the qualified `name` (`F.softplus`) with its imports, or None."""
        return spell(self.scope, name, changes(self.function))


def _names_around(body: Iterable[ir.Statement], span: Span) -> Iterator[str]:
    """The names of the classes and functions around a place, the outermost first."""
    for statement in body:
        if not isinstance(statement, (ir.Function, ir.Class)):
            continue
        if statement.span.line <= span.line <= statement.span.end_line:
            yield statement.name
            yield from _names_around(statement.body, span)


def spell(scope: ModuleScope, name: str, hidden: Container[str] = ()) -> str | None:
    """The shortest way in which `scope` can write the qualified `name` with its imports, or None.

    `hidden` are names that mean something else where it is to be written.
    """
    found = []
    for bound, statements in scope.imports.items():
        if bound in hidden:
            continue
        for statement in statements:
            if statement.level:
                continue
            target = ".".join(part for part in (statement.module, statement.member) if part)
            if target == name:
                found.append(bound)
            elif name.startswith(target + "."):
                found.append(bound + name[len(target) :])
    return min(found, key=len) if found else None


class ModuleClass(Struct, frozen=True, eq=False):
    """A class that derives from torch.nn.Module, with an object of it after its constructor ran.

    `build` makes an object of another class, to see what it holds.
    """

    type: ClassObject
    instance: Instance
    construction: Trace
    build: Callable[[ClassObject], Instance]

    def reads(self, attribute: str) -> Iterator[Span]:
        """Where methods that compute something with gradients read `self.attribute`."""
        for ancestor in self.type.lineage():
            for member in ancestor.members.values() if isinstance(ancestor, ClassObject) else ():
                function = member.function if isinstance(member, Closure) else None
                if not isinstance(function, ir.Function) or not function.parameters:
                    continue
                if function.name not in _DESCRIBING and not any(map(is_untracked, function.decorators)):
                    yield from _reads(function.body, function.parameters[0].name, attribute)


_DESCRIBING = frozenset({"__init__", "__repr__", "__str__", "__len__", "extra_repr"})
_UNTRACKED = frozenset({"no_grad", "inference_mode"})


def is_untracked(context: ir.Expression) -> bool:
    """Whether a context manager or decorator turns gradients off."""
    named = context.function if isinstance(context, ir.Call) else context
    return (named.id if isinstance(named, ir.Name) else getattr(named, "name", "")) in _UNTRACKED


def _reads(node: object, receiver: str, attribute: str) -> Iterator[Span]:
    if isinstance(node, tuple):
        for item in node:
            yield from _reads(item, receiver, attribute)
    elif isinstance(node, ir.With) and any(is_untracked(item.context) for item in node.items):
        return
    elif isinstance(node, ir.Node):
        is_named = isinstance(node, ir.Attribute) and node.name == attribute
        if is_named and isinstance(node.value, ir.Name) and node.value.id == receiver:  # type: ignore[attr-defined]
            yield node.span
        yield from _reads(astuple(node), receiver, attribute)
