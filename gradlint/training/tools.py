"""Objects of libraries that train: what makes them, and what their methods do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gradlint.records.graph import Setting
from gradlint.semantics.interpretation import Arguments, Site
from gradlint.semantics.value import ClassObject, Instance, Items, Known, Reference, Value
from gradlint.training.automatic import run
from gradlint.training.backward_pass import backward
from gradlint.training.configuration import half_of
from gradlint.training.holding import held, parameters_of
from gradlint.training.profiles import Profile, profile_of
from gradlint.training.settings import arguments_of
from gradlint.training.values import PREPARED, Context, Module, Optimizer, Symbol, Tensor, Tool, options

if TYPE_CHECKING:
    from gradlint.training.interpret import TrainingFacts

Meaning = Callable[["TrainingFacts", Tool, Arguments, Site], Value]


def profile_of_class(cls: ClassObject) -> Profile | None:
    """The profile of the class of a library that a class of the project derives from."""
    found = (profile_of(base.name) for base in cls.lineage() if isinstance(base, Reference))
    return next((profile for profile in found if profile is not None), None)


def made(profile: Profile, name: str, arguments: Arguments, site: Site) -> Value:
    """What a call of a maker gives."""
    positional = dict(zip(profile.parameters, [o.value for o in arguments.positional], strict=False))
    named = {key: operand.value for key, operand in arguments.keywords.items()}
    passed = positional | named
    is_open = arguments.open or not all(map(_is_nothing, map(passed.get, profile.elsewhere)))
    tool = Tool(profile, name, passed, is_open, site)
    if not profile.results:
        return tool
    given = [tool if not key else tool.arguments.get(key, Known(None)) for key in profile.results]
    return Items("tuple", given, site.node)


def _is_nothing(value: Value | None) -> bool:
    return value is None or (isinstance(value, Known) and value.value is None)


def call_tool(facts: TrainingFacts, tool: Tool, name: str, arguments: Arguments, site: Site) -> Value:
    """`tool.name(…)`."""
    called = tool.arguments.get(tool.profile.calls)
    if name in ("__call__", "forward") and called is not None:
        return facts.passes(called, arguments, site)
    meaning = _MEANINGS.get(tool.profile.methods.get(name, ""))
    if meaning is not None:
        return meaning(facts, tool, arguments, site)
    if tool.profile.automatic is not None and name in tool.profile.automatic.replaced:
        return _escape(facts, tool, arguments, site)
    return facts.symbols.derived(("method", name), (tool, *arguments.values()))


def _same(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site) -> Value:
    """`accelerator.prepare(model, optimizer)` gives back what works as these."""
    values = arguments.values()
    if len(values) == 1 and not arguments.open:
        return values[0]
    return Items("tuple", values, site.node, arguments.open)


def _prepare(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site) -> Value:
    """The same, and in float16 the steps of these optimizers go through a scaler from then on."""
    if half_of(facts, tool) == "torch.float16":
        for option in (each for value in arguments.values() for each in options(value)):
            if isinstance(option, (Optimizer, Symbol)):
                facts.evaluator.heap.write(option.attributes, PREPARED, Known(True))
    return _same(facts, tool, arguments, site)


def _itself(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site) -> Value:
    return tool


def _escape(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site) -> Value:
    """From here on it may do anything."""
    tool.arguments["(changed)"] = Known(True)
    return tool


def _backward(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site) -> Value:
    loss = arguments.get(0, "loss") or arguments.get(0, "tensor")
    if loss is None:
        return Known(None)
    return backward(facts, loss.value, Arguments((), arguments.keywords), site, tool)


def _clip(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site) -> Value:
    """Of an optimizer that is given, or of parameters or a module."""
    values = arguments.values()
    given = [value for value in values if any(isinstance(each, Optimizer) for each in options(value))]
    thing = given[0] if given else values[0] if values else tool
    if any(isinstance(each, (Module, Instance)) for each in options(thing)):
        thing = parameters_of(thing)
    settings = {**arguments_of(arguments, ("", "max_norm")), "form": "clip"}
    facts.recorder.note("clip", site, (held(thing) or thing,), by=(tool,), settings=settings)
    return Tensor()


def _unscale(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site) -> Value:
    """Of an optimizer that is given, else of all that there are."""
    given = arguments.get(0, "optimizer")
    if given is None:
        facts.escapes((tool, *facts.made_so_far()), site)
    else:
        facts.recorder.note("unscale", site, (given.value,), by=(tool,))
    return Known(None)


def _autocast(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site) -> Value:
    dtype = half_of(facts, tool)
    if dtype is False:
        return Context("null", {}, site)
    enabled = None if dtype is None else True
    settings: dict[str, Setting] = {"dtype": dtype, "device": "cuda", "enabled": enabled}
    return Context("autocast", settings, site)


def _null(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site) -> Value:
    return Context("null", {}, site)


def _mode(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site) -> Value:
    return tool


def _step(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site) -> Value:
    """An engine clips, steps and zeroes at once."""
    run(facts, tool, arguments, site, only_step=True)
    return Known(None)


def _train(facts: TrainingFacts, tool: Tool, arguments: Arguments, site: Site) -> Value:
    run(facts, tool, arguments, site)
    return facts.symbols.fresh()


_MEANINGS: dict[str, Meaning] = {
    "same": _same,
    "prepare": _prepare,
    "itself": _itself,
    "escape": _escape,
    "backward": _backward,
    "clip": _clip,
    "unscale": _unscale,
    "autocast": _autocast,
    "null": _null,
    "mode": _mode,
    "step": _step,
    "train": _train,
}
