"""Functions and classes of the project: their decorators, parameters and bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from gradlint.records import ir
from gradlint.semantics import bystanders
from gradlint.semantics.bindings import filled, returns_argument
from gradlint.semantics.cached import Cache
from gradlint.semantics.command_line import Supplied
from gradlint.semantics.declared_line import supply
from gradlint.semantics.evaluated import Generator
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.scope import Frame
from gradlint.semantics.value import (
    ClassObject,
    Closure,
    Instance,
    Items,
    Known,
    Reference,
    Table,
    Value,
)

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator

_RECORDS = frozenset({"typing.NamedTuple", "typing_extensions.NamedTuple"})

_DISPATCHING = frozenset({"functools.singledispatch", "functools.singledispatchmethod"})


class Functions:
    """Runs functions of the project, and makes objects of its classes."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._core = evaluator
        self._interpretation = evaluator.interpretation
        self.cache = Cache(evaluator)
        self._names_filled: dict[int, tuple[object, frozenset[str]]] = {}
        self._undecorated: dict[int, ir.Function | ir.Lambda] = {}

    def construct(self, cls: ClassObject, arguments: Arguments, site: Site) -> Value:
        """What calling a class gives."""
        call = self._call_of_metaclass(cls) if self._interpretation.is_ordered else None
        if call is not None:
            return self.call_closure(self._core.attributes.bind(call, cls), arguments, site)
        return self.object_of(cls, arguments, site)

    def _call_of_metaclass(self, cls: ClassObject) -> Closure | None:
        """What is run where a class is called, if its metaclass is of the project and says so."""
        for base in cls.lineage():
            for keyword in base.definition.keywords if isinstance(base, ClassObject) else ():
                if keyword.name == "metaclass" and isinstance(base, ClassObject):
                    metaclass = self._core.evaluate(keyword.value, Frame(base.scope))
                    call = metaclass.member("__call__") if isinstance(metaclass, ClassObject) else None
                    return call if isinstance(call, Closure) else None
        return None

    def object_of(self, cls: ClassObject, arguments: Arguments, site: Site) -> Value:
        """An object of a class, initialised."""
        is_worth_it = self._interpretation.follows(cls, len(self._core.running))
        if not is_worth_it or self._core.objects >= self._core.budget.objects:
            return self._interpretation.construct(cls, arguments, site)
        return self._interpretation.made(cls, arguments, lambda: self._constructed(cls, arguments, site))

    def _constructed(self, cls: ClassObject, arguments: Arguments, site: Site) -> Instance:
        """An object whose constructor was run, or that of its library, or the one that is made for it."""
        instance = Instance(cls, {})
        self._core.heap.creates(instance.attributes)
        self._core.objects += 1
        init = cls.member("__init__")
        if isinstance(init, Closure) and not _generates_init(cls):
            self.call_closure(self._core.attributes.bind(init, instance), arguments, site)
        elif any(isinstance(base, Reference) for base in cls.lineage()) and not _generates_init(cls):
            self._interpretation.inherited(instance, "__init__", arguments, site)
        else:
            self._filled(instance, arguments, site)
        return instance

    def _filled(self, instance: Instance, arguments: Arguments, site: Site) -> None:
        """Run the constructor that is made for a class from its fields."""
        fields = record_fields(instance.type)
        instance.attributes.update({n: o.value for n, o in zip(fields, arguments.positional, strict=False)})
        instance.attributes.update({n: o.value for n, o in arguments.keywords.items()})
        if arguments.open and self._interpretation.is_ordered:
            for name in [name for name in fields if name not in instance.attributes]:
                instance.attributes[name] = self._interpretation.unknown(())
        finish = instance.type.member("__post_init__")
        if isinstance(finish, Closure):
            bound = self._core.attributes.bind(finish, instance)
            self.call_closure(bound, Arguments(), site)

    def call_closure(self, closure: Closure, arguments: Arguments, site: Site) -> Value:
        """What calling a function gives, its decorators included."""
        if (
            sum([running is closure.function for running in self._core.running])
            >= self._core.budget.recursion
        ):
            self._interpretation.not_understood("recursion")
            return self._core.calls.unknown_of(closure, arguments)
        if closure.scope.name in bystanders.MODULES:
            known = self._bystander(closure, arguments, site)
            if known is not None:
                return known
        key = self.cache.key(closure, arguments)
        found = self.cache.found(key)
        if found is None:
            found = self._followed(closure, arguments, site)
            self.cache.put(key, found, arguments)
        return found

    def _followed(self, closure: Closure, arguments: Arguments, site: Site) -> Value:
        """What a function gives, as its code says."""
        is_worth_it = self._interpretation.follows(closure, len(self._core.running))
        if not is_worth_it:
            return self._core.calls.unknown_of(closure, arguments)
        if self._interpretation.is_ordered and self._is_dispatched(closure):
            return self._interpretation.call(Reference("functools.singledispatch"), arguments, site)
        if self._is_wrapped(closure):
            return self._call_wrapped(closure, arguments, site)
        if isinstance(closure.function, ir.Lambda):
            self._core.inlined.add(id(closure.function))
            return self.invoke(closure, arguments)
        if self._interpretation.is_ordered and closure.function.is_generator:
            return Generator(closure, arguments, site)
        if closure.receiver is None and closure.frame is None:
            return self._interpretation.made(
                closure, arguments, lambda: self.called(closure, arguments, site)
            )
        return self.called(closure, arguments, site)

    def _bystander(self, closure: Closure, arguments: Arguments, site: Site) -> Value | None:
        """What a function gives of which that is known without following it."""
        drawing = bystanders.original(closure)
        if drawing is not None:
            return self._core.calls.call(drawing, arguments, site)
        if bystanders.initialises(closure) and isinstance(closure.receiver, Instance):
            initialise = self._core.attributes.attribute(
                Operand(closure.receiver, site.node), "_init_weights", site
            )
            return self._interpretation.initialised(closure.receiver, initialise, site)
        return bystanders.result(closure, arguments)

    def called(self, closure: Closure, arguments: Arguments, site: Site) -> Value:
        """What the body of a function gives."""
        outer = self._core.callers
        self._core.callers = (*outer, Site(site.node, site.path))
        try:
            return self.invoke(closure, arguments)
        finally:
            self._core.callers = outer

    def _is_dispatched(self, closure: Closure) -> bool:
        """Whether the type of its first argument decides which function is run in place of this one."""
        names = [
            node for node in getattr(closure.function, "decorators", ()) if not isinstance(node, ir.Call)
        ]
        found = [self._core.evaluate(node, Frame(closure.scope, closure.frame)) for node in names]
        return any(isinstance(value, Reference) and value.name in _DISPATCHING for value in found)

    def _is_wrapped(self, closure: Closure) -> bool:
        """Whether a decorator of the project may give something else than the function."""
        return next(self._wrappers(closure), None) is not None

    def _wrappers(self, closure: Closure) -> Iterator[Operand]:
        """The decorators of the project that may give something else than the function, the last first."""
        frame = Frame(closure.scope, closure.frame)
        for node in reversed(self._decorators(closure, frame)):
            if isinstance(node, ir.Name) or (
                isinstance(node, ir.Call) and isinstance(node.function, ir.Name)
            ):
                decorator = self._core.evaluate(node, frame)
                if isinstance(decorator, Closure) and not returns_argument(decorator.function):
                    yield Operand(decorator, node)

    def _decorators(self, closure: Closure, frame: Frame) -> list[ir.Expression]:
        """The decorators of a function that may change what it computes."""
        return [
            node
            for node in getattr(closure.function, "decorators", ())
            if not self._is_transparent(node.function if isinstance(node, ir.Call) else node, frame)
        ]

    def _is_transparent(self, decorator: ir.Expression, frame: Frame) -> bool:
        value = self._core.evaluate(decorator, frame) if isinstance(decorator, ir.Name) else None
        return isinstance(value, Closure) and bystanders.is_transparent(value)

    def _call_wrapped(self, closure: Closure, arguments: Arguments, site: Site) -> Value:
        """Call what the decorators of the project make of a function."""
        wrappers = list(self._wrappers(closure))
        bare = self._bare(closure.function, wrappers)
        value: Value = Closure(bare, closure.scope, closure.frame, None, closure.owner)
        for wrapper in wrappers:
            given = Arguments((Operand(value, wrapper.node),))
            value = self._core.calls.call(wrapper.value, given, Site(wrapper.node, closure.scope.path))
        if closure.receiver is not None:
            positional = (Operand(closure.receiver, site.node), *arguments.positional)
            arguments = Arguments(positional, arguments.keywords, arguments.open, arguments.certain + 1)
        return self._core.calls.call(value, arguments, site)

    def _bare(
        self, function: ir.Function | ir.Lambda, wrappers: Sequence[Operand]
    ) -> ir.Function | ir.Lambda:
        """A function without these decorators, always the same object."""
        if id(function) not in self._undecorated and isinstance(function, ir.Function):
            applied = [wrapper.node for wrapper in wrappers]
            rest = tuple([node for node in function.decorators if node not in applied])
            self._undecorated[id(function)] = replace(function, decorators=rest)
        return self._undecorated.get(id(function), function)

    def invoke(
        self,
        closure: Closure,
        arguments: Arguments | None,
        given: Mapping[str, Value] | None = None,
        joined: Callable[[Sequence[Value]], Value] | None = None,
    ) -> Value:
        """Run a function with arguments, or with unknown ones."""
        function = closure.function
        conditions, settled = self._core.conditions, self._core.settled
        frame = Frame(closure.scope, closure.frame, closure=closure)
        self._core.ran.add(id(function))
        self._core.running.append(function)
        self._bind_parameters(closure, arguments, frame, given or {})
        try:
            if isinstance(function, ir.Lambda):
                return self._core.evaluate(function.body, frame)
            around = Frame(closure.scope, closure.frame)
            contexts = [self._core.evaluate(node, around) for node in self._decorators(closure, around)]
            supplied = supply(self._core, contexts, closure) if contexts and _is_bare(arguments) else {}
            frame.variables.update(supplied)
            contexts = [context for context in contexts if not isinstance(context, Supplied)]
            self._interpretation.enters(closure)
            for context in contexts:
                self._interpretation.enter(context)
            self._core.execute(function.body, frame)
            for context in reversed(contexts):
                self._interpretation.leave(context)
            self._interpretation.exits(closure)
            if function.is_generator:
                return self._interpretation.unknown(frame.returned)
            result = (
                (joined or self._core.expressions.join)(frame.returned) if frame.returned else Known(None)
            )
            self._interpretation.merged()
            return result
        finally:
            self._core.running.pop()
            self._core.conditions, self._core.settled = conditions, settled

    def _bind_parameters(
        self, closure: Closure, arguments: Arguments | None, frame: Frame, given: Mapping[str, Value]
    ) -> None:
        parameters = list(closure.function.parameters)
        if closure.receiver is not None and parameters:
            frame.variables[parameters.pop(0).name] = closure.receiver
        if arguments is None:
            for parameter in parameters:
                known = given.get(parameter.name)
                frame.variables[parameter.name] = (
                    self._interpretation.parameter(parameter, closure) if known is None else known
                )
            return
        positional = list(arguments.positional)
        if arguments.open:
            positional = [
                operand if i < arguments.certain else Operand(self._interpretation.unknown(()), operand.node)
                for i, operand in enumerate(positional)
            ]
        keywords = dict(arguments.keywords)
        for parameter in parameters:
            frame.variables[parameter.name] = self._argument(
                parameter, positional, keywords, arguments, closure
            )

    def _argument(
        self,
        parameter: ir.Parameter,
        positional: list[Operand],
        keywords: dict[str, Operand],
        arguments: Arguments,
        closure: Closure,
    ) -> Value:
        if parameter.kind == "arguments":
            items = [operand.value for operand in positional]
            positional.clear()
            return Items("tuple", items, ir.Display(parameter.span, "tuple", ()), arguments.open)
        if parameter.kind == "keywords":
            entries: dict[Any, Value] = {name: operand.value for name, operand in keywords.items()}
            return Table(entries, ir.Dictionary(parameter.span, (), ()), arguments.open)
        if parameter.kind == "plain" and positional:
            return positional.pop(0).value
        if parameter.name in keywords:
            return keywords.pop(parameter.name).value
        if parameter.default is None or arguments.open or self._keeps(closure.function, parameter):
            return self._interpretation.unknown(())
        return self._core.evaluate(parameter.default, Frame(closure.scope, closure.frame))

    def _keeps(self, function: ir.Function | ir.Lambda, parameter: ir.Parameter) -> bool:
        """Whether a default is a collection that the function changes: the next call finds it changed."""
        if not isinstance(parameter.default, (ir.Display, ir.Dictionary)):
            return False
        known = self._names_filled.get(id(function))
        if known is None:
            body = function.body if isinstance(function.body, tuple) else ()
            names = frozenset([path[0] for path in filled(body) if len(path) == 1])
            known = self._names_filled[id(function)] = (function, names)
        return parameter.name in known[1]


def _is_bare(arguments: Arguments | None) -> bool:
    """Whether a function is called without arguments, or from outside."""
    return arguments is None or not (arguments.positional or arguments.keywords or arguments.open)


def record_fields(cls: ClassObject) -> list[str]:
    """What the constructor that is made for a class takes, in order: the annotated names of its bodies."""
    bodies = [base.definition.body for base in reversed(cls.lineage()) if isinstance(base, ClassObject)]
    found = [
        target.id
        for body in bodies
        for statement in body
        if isinstance(statement, ir.Assign) and statement.annotation is not None
        for target in statement.targets
        if isinstance(target, ir.Name)
    ]
    return list(dict.fromkeys(found))


def _generates_init(cls: ClassObject) -> bool:
    """Whether the constructor of `cls` is made for it: the decorator `dataclass`, the base `NamedTuple`."""
    if cls.derives_from(_RECORDS):
        return "__init__" not in cls.members
    for decorator in cls.definition.decorators if "__init__" not in cls.members else ():
        function = decorator.function if isinstance(decorator, ir.Call) else decorator
        if "dataclass" in (getattr(function, "id", ""), getattr(function, "name", "")):
            return True
    return False
