"""What the shell offers for a word that is being typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gradlint.config.options import LEVELS, OUTPUT_FORMATS

CHOICES: Mapping[str, tuple[str, ...]] = {
    "output-format": OUTPUT_FORMATS,
    "fail-on": LEVELS,
    "color": ("auto", "always", "never"),
    "listing": ("text", "json"),
    "graph": ("text", "json", "dot", "svg"),
}


def complete_rules(incomplete: str) -> list[tuple[str, str]]:
    """Codes and names that begin like the last word of a list of rules."""
    from gradlint.rule.registry import load

    before, comma, word = incomplete.rpartition(",")
    words = [pair for rule in load() for pair in ((rule.id, rule.name), (rule.name, rule.id))]
    return [(before + comma + text, other) for text, other in words if text.lower().startswith(word.lower())]


def complete_choices(key: str) -> Callable[[str], list[str]] | None:
    """A completion for an option with few values; None for any other."""
    choices = CHOICES.get(key)
    if choices is None:
        return None
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]
