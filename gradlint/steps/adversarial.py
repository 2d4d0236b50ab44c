"""Two models of which one makes samples for the other to judge, each with an optimizer of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from msgspec import Struct

from gradlint.records.training import Event
from gradlint.steps.loop import TrainingLoop


class Game(Struct, frozen=True):
    """A generator, a discriminator that is called with its samples, and the optimizers of both."""

    generator: int
    discriminator: int
    steps_generator: frozenset[int]
    steps_discriminator: frozenset[int]


class Fault(Struct, frozen=True):
    """What is wrong, at an event, with another that belongs to it."""

    kind: str
    event: Event
    other: Event
    said: str


def games(loop: TrainingLoop) -> Iterator[Game]:
    """The pairs of models of which one is called with what the other made."""
    known = [(optimizer, loop.owners(optimizer)) for optimizer in loop.optimizers]
    held = [(optimizer, owners) for optimizer, owners in known if owners]
    found: set[tuple[int, int]] = set()
    for judged in loop.events("forward"):
        for number in sorted(judged.source | judged.cut):
            for generator in loop.event(number).things:
                found |= {(generator, discriminator) for discriminator in judged.things}
    for generator, discriminator in sorted(found):
        first = _owning(loop, held, generator, discriminator)
        second = _owning(loop, held, discriminator, generator)
        if first is not None and second is not None and _is_plain(loop, generator, discriminator):
            yield Game(generator, discriminator, first, second)


def _owning(
    loop: TrainingLoop, held: list[tuple[frozenset[int], frozenset[int]]], model: int, other: int
) -> frozenset[int] | None:
    """The one optimizer that holds a model, and certainly not the other."""
    found = [o for o, owners in held if any(loop.is_same(model, owner) for owner in owners)]
    apart = [o for o, owners in held if all(loop.is_same(other, owner) is False for owner in owners)]
    return found[0] if len(found) == 1 and found[0] in apart else None


def _is_plain(loop: TrainingLoop, *models: int) -> bool:
    """Whether nothing freezes or replaces the parameters of these models."""
    changed = loop.events("freeze", "thaw", "replace")
    owned = [n for e in changed for number in e.things for n in (number, *(loop.thing(number).owners or ()))]
    return not any(loop.is_same(model, number) is not False for model in models for number in owned)


def left_out(loop: TrainingLoop) -> Iterator[tuple[Event, Event]]:
    """The backward passes of a generator that no optimizer holds, each with the step that it leads to.

    Two optimizers hold one discriminator and nothing else. One steps for a loss that judges samples without
    their gradient; what the other steps for goes back into what made them.
    """
    for one, other in permutations(loop.optimizers, 2):
        discriminator = _held_by_both(loop, one, other)
        if discriminator is None:
            continue
        apart = {made for b in _leading_to(loop, one) for made in _makers(loop, b, discriminator, cut=True)}
        for backward in _leading_to(loop, other):
            makers = _makers(loop, backward, discriminator, cut=False)
            if makers & apart and backward.is_certain and all(_is_left_out(loop, m) for m in makers):
                steps = loop.after(backward, lambda e: e.kind == "step").events
                yield backward, loop.event(min(steps))


def _held_by_both(loop: TrainingLoop, one: frozenset[int], other: frozenset[int]) -> int | None:
    """The one model all of whose parameters each of two optimizers holds."""
    owners = loop.owners(one)
    are_whole = all(loop.thing(n).kind == "optimizer" and loop.thing(n).is_whole for n in one | other)
    if owners is None or len(owners) != 1 or owners != loop.owners(other) or not are_whole:
        return None
    return next(iter(owners))


def _leading_to(loop: TrainingLoop, optimizer: frozenset[int]) -> list[Event]:
    """The backward passes after which this optimizer certainly is the first to step."""
    return [b for b in loop.events("backward") if _next_step(loop, b) == {optimizer}]


def _makers(loop: TrainingLoop, backward: Event, discriminator: int, cut: bool) -> frozenset[int]:
    """The models whose results a discriminator judges for a loss, with their gradient or cut off."""
    called = [loop.event(n) for n in backward.source if discriminator in loop.event(n).things]
    made = [loop.event(n) for call in called for n in (call.cut if cut else call.source)]
    return frozenset([n for event in made for n in event.things])


def _is_left_out(loop: TrainingLoop, model: int) -> bool:
    """Whether certainly no optimizer holds any of a model, and nothing freezes it."""
    held = [loop.owners(optimizer) for optimizer in loop.optimizers]
    known = [owner for owners in held if owners is not None for owner in owners]
    is_apart = all(loop.is_same(model, owner) is False for owner in known)
    return None not in held and is_apart and _is_plain(loop, model)


def faults(loop: TrainingLoop, game: Game) -> Iterator[Fault]:
    """What is wrong with how the two are trained."""
    for backward in loop.events("backward"):
        if not any(game.discriminator in loop.event(number).things for number in backward.source):
            continue
        stepped = _next_step(loop, backward)
        if stepped == {game.steps_generator}:
            yield from _saturating(loop, game, backward)
            yield from _detached(loop, game, backward)
        elif stepped == {game.steps_discriminator}:
            yield from _leaking(loop, game, backward)


def _next_step(loop: TrainingLoop, event: Event) -> set[frozenset[int]]:
    """The optimizers that may step first after an event."""
    first = loop.after(event, lambda e: e.kind == "step")
    return {o for n in first.events for o in loop.optimizers if not o.isdisjoint(loop.event(n).things)}


def _judged(loop: TrainingLoop, game: Game, backward: Event, cut: bool) -> list[Event]:
    """The calls of the discriminator that a loss comes from, with samples that are cut off or not."""
    called = [loop.event(n) for n in sorted(backward.source) if game.discriminator in loop.event(n).things]
    return [call for call in called if _made(loop, game, call.cut if cut else call.source)]


def _made(loop: TrainingLoop, game: Game, numbers: frozenset[int]) -> list[Event]:
    return [loop.event(n) for n in sorted(numbers) if game.generator in loop.event(n).things]


def _saturating(loop: TrainingLoop, game: Game, backward: Event) -> Iterator[Fault]:
    for call in _judged(loop, game, backward, cut=False):
        if backward.settings.get("form") == "log(1-p)" and backward.is_certain:
            yield Fault("saturating", backward, call, "judged here")
            return


def _detached(loop: TrainingLoop, game: Game, backward: Event) -> Iterator[Fault]:
    """The discriminator judges a sample without its gradient, for a step of the generator alone."""
    if _judged(loop, game, backward, cut=False) or not backward.is_certain:
        return
    used = loop.after(backward, loop.about(game.steps_discriminator, "step", "zero"))
    if not used.events or any(loop.event(n).kind == "step" for n in used.events):
        return
    for call in _judged(loop, game, backward, cut=True):
        yield Fault("detached", call, backward, "the generator's loss")


def _leaking(loop: TrainingLoop, game: Game, backward: Event) -> Iterator[Fault]:
    """The discriminator's loss fills the generator's gradients, and its next step uses them."""
    calls = _judged(loop, game, backward, cut=False)
    judges = [n for n in backward.source if game.discriminator in loop.event(n).things]
    if not calls or len(judges) == len(calls):
        return
    of_generator = loop.about(game.steps_generator, "step", "zero", "escape")
    others = loop.filling(game.steps_generator)
    first = loop.after(backward, of_generator, lambda e: e.kind == "backward" and others(e))
    later = [loop.event(n) for n in first.events]
    for own in later:
        if len(later) == 1 and own.kind == "backward" and own != backward:
            ends = [loop.event(n) for n in loop.after(own, of_generator).events]
            if ends and all(end.kind == "step" for end in ends):
                yield Fault("leaking", calls[0], own, "the generator's own backward pass")
