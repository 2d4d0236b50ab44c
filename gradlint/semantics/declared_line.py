"""Command lines that are declared: by the fields of a class, or by the parameters of a function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gradlint.records import ir
from gradlint.semantics.command_line import Supplied
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import ClassObject, Closure, Items, Known, Settings, Table, Value

if TYPE_CHECKING:
    from gradlint.semantics.evaluate import Evaluator


class Declared(Value, frozen=True, eq=False):
    """A parser that fills objects of classes; without these an application, whose commands are functions."""

    classes: tuple[Value, ...]
    node: ir.Expression


def fields_of(evaluator: Evaluator, cls: ClassObject, node: ir.Expression) -> Value:
    """An object of a class as a run has it that is told nothing: settings, as its fields say."""
    entries: dict[Any, Value] = {}
    for base in reversed(cls.lineage()):
        members = base.members.items() if isinstance(base, ClassObject) else ()
        entries |= {name: value for name, value in members if isinstance(value, (Known, Items, Table))}
    return evaluator.interpretation.settings(Settings(entries, node, True))


def parameters_of(evaluator: Evaluator, closure: Closure, site: Site) -> Iterator[tuple[str, Value]]:
    """The parameters of a function that have a default, as settings."""
    for parameter in closure.function.parameters:
        default = None if parameter.default is None else evaluator.default(parameter, closure)
        if isinstance(default, Known):
            node = site.node
            made = evaluator.interpretation.settings(Settings({parameter.name: default}, node))
            yield parameter.name, evaluator.attribute(Operand(made, node), parameter.name, site)


def command_line(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value | None:
    """`tyro.cli(Args)`, `typer.run(main)`: an object of a class is filled, or a function run."""
    target = next(iter(arguments.values()), None)
    if isinstance(target, ClassObject):
        return fields_of(evaluator, target, site.node)
    if not isinstance(target, Closure):
        return None
    found = dict(parameters_of(evaluator, target, site))
    rest = [p.name for p in target.function.parameters if p.kind == "plain" and p.name not in found]
    found |= {name: evaluator.interpretation.unknown(()) for name in rest}
    given = {name: Operand(value, site.node) for name, value in found.items()}
    return evaluator.call(target, Arguments((), given), site)


def parser_of_classes(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value | None:
    """`HfArgumentParser((ModelArguments, DataArguments))`."""
    first = arguments.get(0, "dataclass_types")
    if first is None:
        return None
    of = first.value
    return Declared(tuple(of.items) if isinstance(of, Items) and not of.open else (of,), site.node)


def application(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value:
    """`typer.Typer()`."""
    return Declared((), site.node)


def declared_method(evaluator: Evaluator, of: Declared, name: str) -> Value | None:
    """What a method of such a parser or application gives."""
    if not of.classes:
        return Supplied({}, is_own=True) if name in ("command", "callback") else None
    if name not in ("parse_args_into_dataclasses", "parse_args_and_config"):
        return None
    filled = [_filled(evaluator, cls, of.node) for cls in of.classes]
    return Items("tuple", filled, of.node)


def _filled(evaluator: Evaluator, cls: Value, node: ir.Expression) -> Value:
    if isinstance(cls, ClassObject):
        return fields_of(evaluator, cls, node)
    return evaluator.interpretation.unknown(())


def default_of(evaluator: Evaluator, arguments: Arguments, site: Site) -> Value | None:
    """`field(default=0.1)`, `typer.Option(0.1)`: the default, where it is a constant."""
    given = arguments.keywords.get("default") or next(iter(arguments.positional), None)
    return given.value if given is not None and isinstance(given.value, Known) else None


def supply(evaluator: Evaluator, contexts: Sequence[Value], closure: Closure) -> dict[str, Value]:
    """The parameters of a function that its decorators fill, by name."""
    found: dict[str, Value] = {}
    names = [parameter.name for parameter in closure.function.parameters]
    for context in contexts:
        if isinstance(context, Supplied):
            found |= {name: value for name, value in context.named.items() if name in names}
            found |= {name: context.first for name in names[:1] if context.first is not None}
            if context.is_own:
                found |= parameters_of(evaluator, closure, _site(closure))
    return found


def _site(closure: Closure) -> Site:
    return Site(ir.Literal(closure.function.span, None), closure.scope.path)
