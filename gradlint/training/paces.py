"""At which pace a schedule of learning rates is stepped, beside the one that it is made for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradlint.records.graph import Setting
from gradlint.semantics.value import Known, Table, Value
from gradlint.training.values import Scheduler, Symbol, options, within

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts
    from gradlint.training.profiles import Automatic

HURRIED, SLOW, BEYOND = "hurried", "slow", "beyond"
"""Made for epochs and stepped with every batch; made for batches and stepped with every epoch; a cycle made
for many times as many steps as there are epochs, and stepped with these.
"""

_MANY = 10


def pace_of(facts: TrainingFacts, value: Value) -> dict[str, Setting]:
    """The wrong pace at which schedules are certainly stepped here, by the loops around."""
    found = {_pace(facts, each) if isinstance(each, Scheduler) else None for each in options(value)}
    pace = found.pop() if len(found) == 1 else None
    return {} if pace is None else {"pace": pace}


def _pace(facts: TrainingFacts, schedule: Scheduler) -> str | None:
    lengths, around = facts.symbols.lengths, facts.recorder.order.around
    inside = [born for born in around if born > schedule.born]
    if schedule.length is None or not inside or inside != around[-len(inside) :]:
        return None
    until = facts.symbols.count + 1
    if len(inside) == 2 and lengths.is_counted(schedule.length, *inside):
        return HURRIED
    if len(inside) == 1 and lengths.factors(schedule.length, inside[0], until) == 1:
        return SLOW
    return None


def interval_of(
    how: Automatic, found: Value, schedule: Scheduler, epochs: Value | None = None
) -> dict[str, Setting]:
    """The wrong pace at which a library, told to run so many epochs, certainly steps a schedule."""
    unit = _unit(how, schedule.length)
    interval = _interval(found, schedule)
    wrong = {("epochs", "step"): HURRIED, ("batches", "epoch"): SLOW}.get((unit, interval))
    most = _count(epochs)
    if interval == "epoch" and most and _is_cycle(schedule) and _count(schedule.length) >= _MANY * most:
        return {"pace": BEYOND, "epochs": most}
    return {} if wrong is None else {"pace": wrong}


def _is_cycle(schedule: Scheduler) -> bool:
    """Whether a schedule is made to be gone through once, up and down."""
    return schedule.type.endswith(".OneCycleLR")


def _count(value: Value | None) -> int:
    """A known number of steps; 0 where it is not known or has no end."""
    is_number = isinstance(value, Known) and type(value.value) is int
    return max(value.value, 0) if isinstance(value, Known) and is_number else 0


def _unit(how: Automatic, length: Value | None) -> str:
    """What a length that the library tells counts."""
    name = length.name if isinstance(length, Symbol) else ""
    return "batches" if name and name == how.batches else "epochs" if name and name == how.epochs else ""


def _interval(found: Value, schedule: Scheduler) -> str:
    """What a schedule is stepped with: epochs, unless the table that holds it tells otherwise."""
    for table in _tables(found):
        if any(option is schedule for option in options(table.entries.get("scheduler", Known(None)))):
            told = table.entries.get("interval", Known("" if table.open else "epoch"))
            return told.value if isinstance(told, Known) and isinstance(told.value, str) else ""
    return "epoch"


def _tables(found: Value) -> Iterator[Table]:
    yield from (part for part in within(found, 100) if isinstance(part, Table))
