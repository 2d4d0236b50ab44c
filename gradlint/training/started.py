"""Libraries that make and run a trainer by themselves, from settings and the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.settings import table_in
from gradlint.semantics.value import ClassObject, Items, Known, Table, Value
from gradlint.training.automatic import run
from gradlint.training.profiles import Starts, profile_of
from gradlint.training.values import Tool, options

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


def started(facts: TrainingFacts, tool: Tool, site: Site) -> None:
    """A tool makes its model and its trainer, and has it train unless it is told not to.

    What the command line may say is not known: only settings that code gives count, or files that it names.
    """
    how = tool.profile.starts
    cls = None if how is None else next(options(tool.arguments.get(how.of, Known(None))))
    profile = None if how is None else profile_of(how.maker)
    if how is None or profile is None or not isinstance(cls, ClassObject):
        return
    read = [table for name in _files(tool, how) if (table := table_in(facts.evaluator, name, site.path))]
    trainer = Tool(profile, how.maker, _settings(tool, how, read), True, site)
    model = facts.evaluator.call(cls, _given(read, how, site), site)
    tool.arguments.update({how.trainer: trainer, how.model: model})
    if not _is_told(tool.arguments.get(how.unless), False):
        run(facts, trainer, Arguments((Operand(model, site.node),)), site)


def _is_told(value: Value | None, constant: bool) -> bool:
    return isinstance(value, Known) and value.value is constant


def _settings(tool: Tool, how: Starts, read: list[Table]) -> dict[str, Value]:
    """What is known of the trainer: first what files say, else what code gives."""
    given = tool.arguments.get(how.settings)
    found = dict(given.entries) if isinstance(given, Table) else {}
    for table in read:
        section = _section(table, how.trainer)
        found |= {} if section is None else section.entries
    return {str(key): value for key, value in found.items()}


def _given(read: list[Table], how: Starts, site: Site) -> Arguments:
    """What is known of the arguments of the model, to which the command line may add."""
    found: dict[str, Value] = {}
    for table in read:
        section = _section(table, how.model)
        inner = None if section is None else section.entries.get("init_args", section)
        found |= {str(k): v for k, v in inner.entries.items()} if isinstance(inner, Table) else {}
    return Arguments((), {name: Operand(value, site.node) for name, value in found.items()}, True)


def _section(table: Table, name: str) -> Table | None:
    found = table.entries.get(name)
    return found if isinstance(found, Table) else None


def _files(tool: Tool, how: Starts) -> Iterator[str]:
    """The files of settings that code names, for all commands or for one of them."""
    given = tool.arguments.get(how.options)
    for table in (given, *given.entries.values()) if isinstance(given, Table) else ():
        listed = table.entries.get(how.files) if isinstance(table, Table) else None
        for each in listed.items if isinstance(listed, Items) else ():
            if isinstance(each, Known) and isinstance(each.value, str):
                yield each.value
