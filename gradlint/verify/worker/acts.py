"""What the events of a training loop do, one function for each kind."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from .observe import tensors
from .rehearsal import Act
from .rounds import Rounds
from .shown import held_by, nodes
from .synthetic import detached, first, is_float, loss_of, norm


def forward(rounds: Rounds, act: Act) -> None:
    """Call a model with what another gave, a state, or random numbers."""
    model = rounds.models.get(act.on[0]) if act.on else None
    if model is None:
        return
    with _modes(rounds, act):
        positional, named = _given(rounds, act, model)
        result = rounds.results[act.number] = model(*positional, **named)
    if "carried" in act.settings and isinstance(result, (tuple, list)) and len(result) > 1:
        rounds.states[act.number] = result[1] if len(result) == 2 else tuple(result[1:])


@contextlib.contextmanager
def _modes(rounds: Rounds, act: Act) -> Iterator[None]:
    """The regions that a pass runs in."""
    dtype = getattr(torch, str(act.settings.get("autocast", "")).rpartition(".")[2], None)
    with contextlib.ExitStack() as stack:
        if act.settings.get("no_grad"):
            stack.enter_context(torch.no_grad())
        if isinstance(dtype, torch.dtype) and not rounds.conditions.is_exact:
            stack.enter_context(torch.autocast(torch.device(rounds.company.device).type, dtype=dtype))
        yield


def _given(rounds: Rounds, act: Act, model: nn.Module) -> tuple[list[Any], dict[str, Any]]:
    positional, named = rounds.input_of(act, model)
    sources = [n for n in act.of if n in rounds.results]
    if sources:
        found = first(rounds.results[sources[-1]])
        positional[:1] = [found.detach() if sources[-1] in (act.settings.get("cut") or ()) else found]
    if "carried" in act.settings:
        _carry(rounds, act, model, positional)
    dtype = next((p.dtype for p in model.parameters()), torch.float32)
    of_model: Callable[[Any], Any] = lambda x: x.to(dtype) if is_float(x) else x  # noqa: E731
    return [of_model(x) for x in positional], {name: of_model(x) for name, x in named.items()}


def _carry(rounds: Rounds, act: Act, model: nn.Module, positional: list[Any]) -> None:
    """Put in the state that the round before left, cut off its graph where the form says so."""
    cuts = act.settings["carried"] == "detached"
    for module in model.modules() if cuts else ():
        for name, value in list(vars(module).items()):
            if any(t.grad_fn is not None for t in tensors(value)):
                setattr(module, name, detached(value))
    if act.number in rounds.states:
        state = rounds.states[act.number]
        positional[1:2] = [detached(state) if cuts else state]


def backward(rounds: Rounds, act: Act) -> None:
    """Pass the loss back, scaled where a scaler does it."""
    loss = rounds.loss(act)
    parts = act.settings.get("divided")
    if isinstance(parts, (int, float)) and not isinstance(parts, bool):
        loss = loss / parts
    rounds.losses.append(float(loss.detach()))
    rounds.last = loss
    rounds.graph_of_one = nodes(loss)
    if act.by in rounds.scalers:
        loss = rounds.scalers[act.by].scale(loss)
    settings = act.settings
    loss.backward(
        retain_graph=True if settings.get("retain_graph") is True else None,
        create_graph=settings.get("create_graph") is True,
    )


def unscale(rounds: Rounds, act: Act) -> None:
    """Take the scale off the gradients."""
    scaler = rounds.scalers.get(act.by if act.by is not None else -1)
    rounds.prepare()
    if scaler is not None:
        scaler.unscale_(next(rounds.optimizers[n] for n in act.on if n in rounds.optimizers))


def clip(rounds: Rounds, act: Act) -> None:
    """Clip by norm or by value what the act is given, and note how large it was."""
    held = [rounds.models[n] for n in act.on if n in rounds.models]
    owned = [p for n in act.on if n in rounds.optimizers for p in held_by(rounds.optimizers[n])]
    others = list(rounds.models.values()) if not (held or owned) else []
    weights: Any = [*[p for model in (*held, *others) for p in model.parameters()], *owned]
    gradients = [p.grad.detach() for p in weights if p.grad is not None]
    by_value = any(word in str(act.settings.get("form")) for word in ("value", "clamp"))
    largest = max([float(g.abs().max()) for g in gradients], default=0.0)
    rounds.show.clipped.append(largest if by_value else norm(gradients))
    given = act.settings.get("given")
    weights = held[0] if given in ("module", "object") and held else [] if given == "spent" else weights
    method = nn.utils.clip_grad_value_ if by_value else nn.utils.clip_grad_norm_
    method(weights, threshold(act, rounds.conditions.threshold))


def threshold(act: Act, default: float) -> float:
    """What an act clips to."""
    for name in ("max_norm", "clip_value", "max", "clip_val"):
        found = act.settings.get(name)
        if isinstance(found, (int, float)) and not isinstance(found, bool):
            return float(found)
        if isinstance(found, str) and found.endswith("inf"):
            return math.inf
    return default


def step(rounds: Rounds, act: Act) -> None:
    """Step an optimizer, through a scaler where one does it."""
    rounds.prepare()
    optimizer = next((rounds.optimizers[n] for n in act.on if n in rounds.optimizers), None)
    if optimizer is not None and act.by in rounds.scalers:
        rounds.scalers[act.by].step(optimizer)
    elif optimizer is not None:
        optimizer.step()


def update(rounds: Rounds, act: Act) -> None:
    """Let a scaler choose its next scale."""
    rounds.scalers[act.on[0]].update()


def schedule(rounds: Rounds, act: Act) -> None:
    """Go on to the next rate; a schedule that waits for a plateau is given the loss."""
    rounds.prepare()
    for scheduler in [rounds.schedulers[n] for n in act.on if n in rounds.schedulers]:
        waits = type(scheduler).__name__ == "ReduceLROnPlateau"
        scheduler.step(*(rounds.losses[-1:] or [1.0]) if waits else ())


def make(rounds: Rounds, act: Act) -> None:
    """Make optimizers of models that the act names, or at another rate."""
    for number in act.on:
        rounds.optimize(number, act.of, act.settings.get("lr"))


def zero(rounds: Rounds, act: Act) -> None:
    """Forget the gradients of optimizers or models."""
    rounds.prepare()
    for number in act.on:
        found: Any = rounds.optimizers.get(number) or rounds.models.get(number)
        if found is not None:
            found.zero_grad()


def replace(rounds: Rounds, act: Act) -> None:
    """Put a new layer in the place of the named one, or of the last; optimizers hold the old one."""
    if not act.settings.get("first"):
        rounds.prepare()
    for model in [rounds.models[n] for n in act.on if n in rounds.models]:
        _renew(model, str(act.settings.get("name", "")))


def _renew(model: nn.Module, name: str) -> None:
    layers = [
        path for path, m in model.named_modules() if path and any(True for _ in m.parameters(recurse=False))
    ]
    path = name if name in dict(model.named_modules()) else layers[-1] if layers else ""
    for module in model.get_submodule(path).modules():
        for key, p in list(module.named_parameters(recurse=False)):
            setattr(module, key, nn.Parameter(torch.empty_like(p).uniform_(-0.1, 0.1)))


def keep(rounds: Rounds, act: Act) -> None:
    """Add a loss of all that it hangs on to what outlives the round."""
    for result in [rounds.results[n] for n in act.of if n in rounds.results]:
        rounds.kept = rounds.kept + loss_of(first(result))


def loss(rounds: Rounds, act: Act) -> None:
    """Compute a loss under the autocast of a GPU, on tensors without data, where that is what is asked."""
    name = str(act.settings.get("loss"))
    if "autocast" not in act.settings or name != "binary_cross_entropy":
        return
    from torch._subclasses.fake_tensor import FakeTensorMode

    with torch._C.DisableTorchFunction(), FakeTensorMode(), _autocast_of_cuda():
        one = torch.empty(4, device="cuda")
        nn.functional.binary_cross_entropy(one, one)


@contextlib.contextmanager
def _autocast_of_cuda() -> Iterator[None]:
    """Autocast for CUDA, also where there is none."""
    set_dtype = getattr(torch, "set_autocast_dtype", None)
    if set_dtype is None:
        torch.set_autocast_enabled(True)
        yield
        return
    before = torch.is_autocast_enabled("cuda")
    torch.set_autocast_enabled("cuda", True)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", before)


def _on_models(change: Callable[[nn.Module], Any]) -> Callable[[Rounds, Act], None]:
    def act_of(rounds: Rounds, act: Act) -> None:
        for number in act.on:
            if number in rounds.models:
                change(rounds.models[number])

    return act_of


def half(rounds: Rounds, act: Act) -> None:
    """Make parameters float16."""
    if not rounds.conditions.is_exact:
        _on_models(lambda model: model.half())(rounds, act)


ACTS: dict[str, Callable[[Rounds, Act], None]] = {
    "forward": forward,
    "loss": loss,
    "backward": backward,
    "unscale": unscale,
    "clip": clip,
    "step": step,
    "update": update,
    "schedule": schedule,
    "make": make,
    "zero": zero,
    "replace": replace,
    "keep": keep,
    "half": half,
    "widen": _on_models(lambda model: model.float()),
    "train": _on_models(lambda model: model.train()),
    "eval": _on_models(lambda model: model.eval()),
    "freeze": _on_models(lambda model: model.requires_grad_(False)),
    "thaw": _on_models(lambda model: model.requires_grad_(True)),
}
