"""Objects that are known by the call that made them: their constructors are not run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.semantics.classes import is_module as is_module_class
from gradlint.semantics.classes import is_optimizer
from gradlint.semantics.interpretation import Arguments, Site
from gradlint.semantics.value import (
    ClassObject,
    Known,
    Reference,
    Value,
)
from gradlint.training.holding import held
from gradlint.training.settings import arguments_of
from gradlint.training.started import started
from gradlint.training.tools import made as made_by
from gradlint.training.tools import profile_of_class
from gradlint.training.values import (
    Module,
    Optimizer,
    Parameters,
    Scaler,
    Tool,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


def constructed(facts: TrainingFacts, cls: ClassObject, arguments: Arguments, site: Site) -> Value:
    """An object whose constructor is not run."""
    arguments = facts.settled(arguments)
    first = next(iter(arguments.values()), Known(None))
    name = f"{cls.scope.name}.{cls.definition.name}"
    if is_module_class(cls):
        return Module(name, _given(arguments), site, cls)
    if is_optimizer(cls):
        holds = held(first) or Parameters(None, False)
        return facts.makes(Optimizer(name, holds, arguments_of(arguments), site))
    if any(isinstance(b, Reference) and b.name.endswith("GradScaler") for b in cls.lineage()):
        return Scaler(name, arguments_of(arguments), site)
    profile = profile_of_class(cls)
    if profile is not None:
        replaced = () if profile.automatic is None else profile.automatic.replaced
        is_open = arguments.open or any(cls.member(method) is not None for method in replaced)
        given = Arguments(arguments.positional, arguments.keywords, is_open, arguments.certain)
        tool = made_by(profile, name, given, site)
        if isinstance(tool, Tool):
            started(facts, tool, site)
        return tool
    made = facts.symbols.fresh(type=name)
    facts.keep(made, arguments.values())
    facts.escapes(arguments.values(), site)
    return made


def _given(arguments: Arguments) -> dict[str, Value]:
    """What a model is given, none of it an attribute by itself: by place, "(0)", or by name, "(width)"."""
    positional = {f"({i})": operand.value for i, operand in enumerate(arguments.positional)}
    return positional | {f"({name})": operand.value for name, operand in arguments.keywords.items()}
