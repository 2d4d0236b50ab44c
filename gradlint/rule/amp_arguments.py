"""The arguments of mixed precision: what a name of one device implies, `torch.amp` is told."""

from __future__ import annotations

from gradlint.records import ir
from gradlint.records.finding import Edit
from gradlint.rule.relocate import between
from gradlint.semantics.mentions import Mention

_ORDER = ("enabled", "dtype", "cache_enabled")
"""The order of autocast's parameters in torch.cuda.amp; that in torch.amp is another."""


def with_device(mention: Mention) -> tuple[Edit, ...] | None:
    """The edits that give a use of torch.cuda.amp or torch.cpu.amp its device; None where it is not clear."""
    device = '"cpu"' if mention.name.startswith("torch.cpu") else '"cuda"'
    word = mention.name.rpartition(".")[2]
    if word.startswith("custom"):
        device = f"device_type={device}"
    if mention.call is not None and mention.role == "call":
        return _arguments(mention.call, word, device)
    if mention.role == "decorator" and word.startswith("custom"):
        return (Edit(mention.node.span.end, (f"({device})",)),)
    return () if mention.role == "value" and word == "GradScaler" else None


def _arguments(call: ir.Call, word: str, device: str) -> tuple[Edit, ...] | None:
    positional, arguments = call.positional, (*call.positional, *call.keywords)
    if not arguments:
        return (Edit(between(call.function.span, call.span), (f"({device})",)),)
    if word.startswith("custom") and positional:
        return (Edit(positional[-1].span.end, (f", {device}",)),)
    first = min(argument.span for argument in arguments).start
    if word != "autocast" or not positional:
        return (Edit(first, (f"{device}, ",)),)
    if len(positional) > len(_ORDER) or any(isinstance(argument, ir.Starred) for argument in positional):
        return None
    named = [f"{name}=" for name in _ORDER]
    named[0] = f"{device}, {named[0]}"
    return tuple(
        Edit(argument.span.start, (name,)) for name, argument in zip(named, positional, strict=False)
    )
