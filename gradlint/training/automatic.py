"""The loop that a library runs, as events: forward, backward, clip, step, zero, schedule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gradlint.records.graph import Setting
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import ClassObject, Closure, Instance, Items, Known, Reference, Table, Value
from gradlint.training.backward_pass import backward
from gradlint.training.configuration import half_of, option
from gradlint.training.holding import parameters_of
from gradlint.training.paces import interval_of
from gradlint.training.profiles import Automatic, Made, Profile, trained
from gradlint.training.values import (
    Context,
    Given,
    Optimizer,
    Scaler,
    Scheduler,
    Symbol,
    Tool,
    has_tensors,
    options,
    tensors,
    within,
)

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts


_MOST_GIVEN = 3
"""Arguments of methods that run around a batch."""


class _Run:
    """One automatic loop, or the step of one."""

    def __init__(self, facts: TrainingFacts, tool: Tool, how: Automatic, model: Value, site: Site) -> None:
        self.facts, self.tool, self.how, self.model, self.site = facts, tool, how, model, site
        self.half = half_of(facts, tool)
        self.scaler = Scaler(tool.type, {"automatic": True}, site) if self.half == "torch.float16" else None
        self.clips = option(facts, tool, "clip")

    # what takes part

    def method(self, name: str) -> Closure | None:
        """A method that the model's class has in the project."""
        if not name or not isinstance(self.model, Instance):
            return None
        member = self.model.type.member(name)
        return member if isinstance(member, Closure) else None

    def call(self, name: str, *given: Value) -> Value | None:
        """Run a method of the model."""
        member = self.method(name)
        if member is None:
            return None
        bound = self.facts.evaluator.bound(member, self.model)
        taken = given[: max(len(member.function.parameters) - 1, 0)]
        operands = tuple([Operand(value, self.site.node) for value in taken])
        return self.facts.evaluator.call(bound, Arguments(operands), self.site)

    def calls(self, names: tuple[str, ...]) -> None:
        """Run methods that are given what they do not change."""
        for name in names:
            self.call(name, *[self.facts.symbols.fresh() for _ in range(_MOST_GIVEN)])

    def made(self) -> Value | None:
        """The optimizers with their schedules, in whatever holds them; None where they are not known."""
        if self.how.optimizers:
            return self.call(self.how.optimizers)
        given = self.tool.arguments.get(self.how.optimizer)
        found = next(options(given), None) if given is not None else None
        holds = parameters_of(self.model)
        rate = option(self.facts, self.tool, "rate")
        settings: dict[str, Setting] = {} if rate is False else {"lr": rate}
        if isinstance(found, Reference):
            return Optimizer(found.name, holds, settings, self.site)
        if found is not None and not (isinstance(found, Known) and found.value is None):
            return given
        made = self.chosen()
        return (
            given if made is None else Optimizer(made.type, holds, {**settings, **made.settings}, self.site)
        )

    def chosen(self) -> Made | None:
        """The optimizer that the library makes itself; of a class of its own where it is none of torch."""
        if not self.how.choice:
            return Made(self.how.default) if self.how.default else None
        name = option(self.facts, self.tool, self.how.choice)
        made = self.how.choices.get(str(name), Made(f"{self.tool.profile.name}.{name or 'optimizer'}"))
        held = {key: option(self.facts, self.tool, each) for key, each in made.options.items()}
        return Made(made.type, {}, {**made.settings, **held})

    def is_replaced(self) -> bool:
        """Whether code of the project may do what it likes within the loop."""
        callbacks = (
            self.tool.arguments.get(self.how.callbacks, Known(None)) if self.how.callbacks else Known(None)
        )
        return (
            self.tool.is_open
            or "(changed)" in self.tool.arguments
            or any(self.method(name) is not None for name in self.how.replaced)
            or any(map(self._acts, options(callbacks)))
        )

    def _acts(self, callback: Value) -> bool:
        """Whether a callback may change gradients: it is none of the library's own, or one that clips."""
        if isinstance(callback, Items):
            return callback.open or any(map(self._acts, callback.items))
        if isinstance(callback, Known):
            return callback.value is not None
        if isinstance(callback, Symbol):
            is_own = callback.type.partition(".")[0] in self.tool.profile.packages
            return not is_own or "clip" in callback.type.lower()
        return not isinstance(callback, Reference) or "clip" in callback.name.lower()

    # what happens

    def loss(self) -> Value:
        """The loss of one batch, under autocast where the library opens it."""
        if self.half is not False:
            enabled = None if self.half is None else True
            settings: dict[str, Setting] = {"dtype": self.half, "device": "cuda", "enabled": enabled}
            self.facts.recorder.regions.append(Context("autocast", settings, self.site))
        given = (self.facts.symbols.fresh(), self.facts.symbols.fresh())
        if self.how.loss:
            loss: Value | None = self.call(self.how.loss, *given)
        else:
            taken = (Operand(given[0], self.site.node),)
            loss = self.facts.passes(self.model, Arguments(taken), self.site)
        if self.half is not False:
            self.facts.recorder.regions.pop()
        return _loss_in(loss) if loss is not None else self.facts.symbols.fresh()

    def goes_back(self, loss: Value) -> None:
        """The backward pass, also from a number: the library goes on as if it were a loss."""
        for tensor in tensors(loss):
            is_divided = (
                None if option(self.facts, self.tool, "accumulate") not in (1, False) else tensor.is_divided
            )
            scaled = replace(tensor, scaled=self.scaler, is_divided=is_divided)
            backward(self.facts, scaled, Arguments(), self.site)
        if not has_tensors(loss) and not isinstance(loss, Known):
            backward(self.facts, loss, Arguments(), self.site)
        for name in self.how.after_backward:
            self.call(name)

    def step(self, optimizer: Optimizer, schedules: list[Scheduler], found: Value) -> None:
        """What follows for one optimizer, with schedules that are somewhere in what was found."""
        note, site = self.facts.recorder.note, self.site
        by = () if self.scaler is None else (self.scaler,)
        if by:
            note("unscale", site, (optimizer,), by=by)
        for name in self.how.before_step:
            self.call(name, optimizer)
        if self.clips is None or self.is_replaced():
            note("escape", site, (optimizer,))
        elif self.clips not in (0, False, "None"):
            note("clip", site, (optimizer,), settings={"max_norm": self.clips, "automatic": True})
        note("step", site, (optimizer,), by=by, settings={"automatic": True})
        if self.scaler is not None:
            note("update", site, by)
        note("zero", site, (optimizer,))
        epochs = self.tool.arguments.get(self.how.epochs)
        for schedule in schedules:
            note("schedule", site, (schedule,), settings=interval_of(self.how, found, schedule, epochs))

    def schedules(self, found: Value, optimizer: Optimizer) -> Iterator[Scheduler]:
        """Those that are made with the optimizer, and the library's own."""
        yield from (part for part in within(found, 100) if isinstance(part, Scheduler))
        if self.how.warmup:
            settings = {name: option(self.facts, self.tool, name) for name in self.tool.profile.options}
            yield Scheduler(self.tool.type, optimizer, settings, self.site)


def run(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site, only_step: bool = False) -> None:
    """The loop of a library's object, or only the step that ends an iteration of one."""
    how = tool.profile.automatic
    given = None if how is None else tool.arguments.get(how.model)
    if how is None:
        return
    if given is None:
        operand = arguments.get(0, how.model)
        given = operand.value if operand is not None else None
    if given is None:
        return
    for model in options(given):
        _run(_Run(facts, tool, how, model, site), only_step)
        return


def _run(this: _Run, only_step: bool) -> None:
    found = this.made()
    optimizers = list(dict.fromkeys(_optimizers_in(found))) if found is not None else []
    facts = this.facts
    if only_step:
        for optimizer in optimizers:
            this.step(optimizer, [], optimizer)
        return
    is_own = isinstance(this.model, Instance) and _is_false(this.model.attributes.get(this.how.manual))
    if isinstance(this.model, Instance) and found is not None:
        this.model.attributes["optimizers"] = Given(_given(optimizers, this.site))
    is_unknown = this.how.loss and this.method(this.how.loss) is None
    if is_unknown or not optimizers or (len(optimizers) > 1 and not is_own):
        facts.escapes((this.model,), this.site)
        return
    facts.loops()
    facts.iterates(True)
    this.calls(this.how.before_batch)
    loss = this.loss()
    if not is_own:
        this.goes_back(loss)
        assert found is not None
        this.step(optimizers[0], list(this.schedules(found, optimizers[0])), found)
    this.calls(this.how.after_batch)
    facts.looped()


def profile_for(cls: ClassObject) -> Profile | None:
    """The profile of the library that trains models of a class which writes the computation of its loss."""
    names = [base.name for base in cls.lineage() if isinstance(base, Reference)]
    keys = [(name.partition(".")[0], name.rpartition(".")[2]) for name in names]
    profile = next((trained()[key] for key in keys if key in trained()), None)
    how = None if profile is None else profile.automatic
    return profile if how is not None and isinstance(cls.members.get(how.loss), Closure) else None


def run_own(facts: TrainingFacts, profile: Profile, model: Instance, site: Site) -> None:
    """The loop that a library runs for a model which steps by itself, whoever starts it; none for another."""
    how = profile.automatic
    if how is not None and _is_false(model.attributes.get(how.manual)):
        tool = Tool(profile, profile.classes[0], {}, True, site)
        run(facts, tool, Arguments((Operand(model, site.node),)), site)


def _optimizers_in(value: Value, depth: int = 4) -> Iterator[Optimizer]:
    """The optimizers in whatever a model says that it is trained by, in its order."""
    for each in options(value):
        if isinstance(each, Optimizer):
            yield each
        elif isinstance(each, Items | Table) and depth:
            for part in each.items if isinstance(each, Items) else each.values():
                yield from _optimizers_in(part, depth - 1)


def _given(optimizers: list[Optimizer], site: Site) -> Value:
    return optimizers[0] if len(optimizers) == 1 else Items("list", list(optimizers), site.node)


def _is_false(value: Value | None) -> bool:
    return isinstance(value, Known) and value.value is False


def _loss_in(value: Value) -> Value:
    """The loss among what a step gives: itself, or the entry "loss"."""
    found = next(options(value), value)
    if isinstance(found, Table):
        return found.entries.get("loss", found)
    return found
