"""Comments that silence findings: reading them, applying them, and judging them after a run."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from gradlint.lint.layout import Layout, lay_out
from gradlint.records.finding import Finding
from gradlint.records.span import Span
from gradlint.records.suppression import (
    UNKNOWN_RULE_IN_SUPPRESSION,
    UNUSED_SUPPRESSION,
    Code,
    Suppression,
    SuppressionKind,
    SuppressionUse,
    UnknownCode,
)
from gradlint.rule.registry import suggest
from gradlint.rule.rule import Rule

_META = (UNUSED_SUPPRESSION, UNKNOWN_RULE_IN_SUPPRESSION)
_CANDIDATE = re.compile(r"#[ \t]*(?:gradlint[ \t]*:|noqa\b)", re.IGNORECASE)
_PRAGMA = re.compile(
    r"""(?:^|(?<=\s)) \#\s*
    (?: gradlint\s*:\s* (?P<verb>[a-z][\w-]*) (?:\s*\[(?P<codes>[^\]]*)\]?)?
      | noqa\b (?:\s*:\s*(?P<noqa>[a-z]+\d+\b(?:[,\s]+[a-z]+\d+\b)*))? )""",
    re.VERBOSE | re.IGNORECASE,
)
_NEXT_PART = re.compile(r"(?<=\s)#\s*[a-z]", re.IGNORECASE)
_END_OF_WORD = re.compile(r"\s*([\[(:=#]|$)")
_CODE = re.compile(r"[^,\s]+")
_PREFIX = re.compile(r"[A-Z]{1,3}\d{0,3}")
_LETTERS = re.compile(r"[A-Z]+")


class Applied(NamedTuple):
    """Findings told apart, and the spans of the codes (or blanket comments) that silenced any."""

    kept: tuple[Finding, ...]
    silenced: tuple[Finding, ...]
    used: frozenset[Span]


def parse(text: str) -> tuple[Suppression, ...]:
    """The suppressions in a text, in order; strings that look like one are none."""
    if not _CANDIDATE.search(text):
        return ()
    layout = lay_out(text)
    return tuple(
        suppression for start, end in layout.comments for suppression in _in_comment(layout, start, end)
    )


def apply(findings: Iterable[Finding], suppressions: Sequence[Suppression]) -> Applied:
    """Tell apart the findings that stay and those that a suppression covers.

    A finding counts for the logical line that it starts in, so a comment in the middle of a loop
    does not silence what is said of the loop. Findings and suppressions share coordinates.
    """
    kept: list[Finding] = []
    silenced: list[Finding] = []
    used: set[Span] = set()
    for finding in findings:
        hits = [span for suppression in suppressions for span in _hits(suppression, finding)]
        (silenced if hits else kept).append(finding)
        used.update(hits)
    return Applied(tuple(kept), tuple(silenced), frozenset(used))


def in_effect(suppressions: Iterable[Suppression], findings: Collection[Finding]) -> tuple[Suppression, ...]:
    """The suppressions that cover at least one of the findings."""
    return tuple(s for s in suppressions if any(True for finding in findings for _ in _hits(s, finding)))


def uses(
    suppressions: Iterable[Suppression],
    used: Collection[Span],
    ran: Collection[str],
    known: Sequence[type[Rule]],
) -> Iterator[SuppressionUse]:
    """Judge the suppressions of one file for the rules about suppressions.

    `used` comes from `apply`; `ran` holds the ids of the rules that were selected for this file.
    A code is unused only if all the rules it means ran, and a comment that names no rule is idle
    only if none but preview rules were left out. Codes of other tools in a `noqa` are passed over.
    """
    everything_ran = all(rule.id in ran for rule in known if not rule.preview)
    families = {_letters(rule.id) for rule in known}
    for suppression in suppressions:
        codes = tuple(code for code in suppression.codes if _is_ours(code, suppression.kind, families))
        use = SuppressionUse(
            suppression,
            unused=tuple(code for code in codes if _is_unused(code, used, ran, known)),
            unknown=tuple(_unknown(suppression, codes, known)),
            idle=_is_idle(suppression, used, everything_ran),
        )
        if use.unused or use.unknown or use.idle:
            yield use


def _in_comment(layout: Layout, start: int, end: int) -> Iterator[Suppression]:
    comment = layout.text[start:end].rstrip()
    for match in _PRAGMA.finditer(comment):
        kind = _kind(match, comment)
        if kind:
            following = _NEXT_PART.search(comment, match.end())
            stop = following.start() if following else len(comment)
            tail = len(comment[:stop].rstrip())
            yield Suppression(
                kind=kind,
                span=layout.span(start + match.start(), start + tail),
                removal=_removal(layout, start + match.start(), start + stop, bool(following)),
                lines=_covered(layout, kind, start),
                codes=tuple(_codes(layout, match, kind, start)),
                blanket=kind is not SuppressionKind.UNKNOWN
                and match["codes"] is None
                and match["noqa"] is None,
            )


def _kind(match: re.Match[str], comment: str) -> SuppressionKind | None:
    """What a comment asks for; None where the word after `gradlint:` just begins a sentence."""
    if match["verb"] is None:
        return SuppressionKind.NOQA
    for kind in (SuppressionKind.IGNORE, SuppressionKind.FILE_IGNORE):
        if match["verb"].lower() == kind.value:
            return kind
    return SuppressionKind.UNKNOWN if _END_OF_WORD.match(comment, match.end("verb")) else None


def _codes(layout: Layout, match: re.Match[str], kind: SuppressionKind, offset: int) -> Iterator[Code]:
    group = "verb" if kind is SuppressionKind.UNKNOWN else "codes" if match["codes"] else "noqa"
    for word in _CODE.finditer(match[group] or ""):
        start = offset + match.start(group) + word.start()
        yield Code(word[0], layout.span(start, start + len(word[0])))


def _covered(layout: Layout, kind: SuppressionKind, start: int) -> tuple[int, int]:
    line = layout.line(start)
    if kind is SuppressionKind.FILE_IGNORE:
        return 1, len(layout.line_starts)
    if statement := layout.statement(line):
        return statement
    return (kind is SuppressionKind.IGNORE and layout.next_statement(line)) or (line, line)


def _removal(layout: Layout, start: int, stop: int, followed: bool) -> Span:
    """What to delete: up to the next part of the comment, or with the space before, or the line."""
    text = layout.text
    if followed:
        return layout.span(start, stop)
    line_end = text.find("\n", stop)
    stop = line_end if line_end >= 0 else len(text)
    line_start = layout.line_starts[layout.line(start) - 1]
    before = len(text[line_start:start].rstrip()) + line_start
    if before > line_start:
        return layout.span(before, stop)
    if stop < len(text):
        return layout.span(line_start, stop + 1)
    return layout.span(max(0, line_start - 1), stop)


def _hits(suppression: Suppression, finding: Finding) -> Iterator[Span]:
    """The spans within a suppression that cover a finding."""
    first, last = suppression.lines
    if not first <= finding.span.line <= last or suppression.kind is SuppressionKind.UNKNOWN:
        return
    if suppression.blanket and finding.rule not in _META:
        yield suppression.span
    for code in suppression.codes:
        if _means(code, finding.rule, finding.name):
            yield code.span


def _means(code: Code, rule: str, name: str) -> bool:
    """Whether a code, prefix or name stands for a rule; the rules about suppressions need it whole."""
    upper = code.text.upper()
    if upper == rule or code.text.lower() == name:
        return True
    return rule not in _META and rule.startswith(upper) and bool(_PREFIX.fullmatch(upper))


def _is_unused(code: Code, used: Collection[Span], ran: Collection[str], known: Sequence[type[Rule]]) -> bool:
    meant = [rule.id for rule in known if _means(code, rule.id, rule.name)]
    return bool(meant) and code.span not in used and all(rule in ran and rule not in _META for rule in meant)


def _is_idle(suppression: Suppression, used: Collection[Span], everything_ran: bool) -> bool:
    if suppression.kind in (SuppressionKind.NOQA, SuppressionKind.UNKNOWN):
        return False
    if suppression.blanket:
        return everything_ran and suppression.span not in used
    return not suppression.codes


def _unknown(
    suppression: Suppression, codes: Iterable[Code], known: Sequence[type[Rule]]
) -> Iterator[UnknownCode]:
    if suppression.kind is SuppressionKind.UNKNOWN:
        (word,) = suppression.codes
        yield UnknownCode(word, "file-ignore" if "file" in word.text.lower() else "ignore")
    for code in codes:
        if not any(_means(code, rule.id, rule.name) for rule in known):
            yield UnknownCode(code, suggest(code.text, known))


def _is_ours(code: Code, kind: SuppressionKind, families: Collection[str]) -> bool:
    """Whether a code is addressed to gradlint, and not to another tool."""
    if kind is SuppressionKind.NOQA:
        return _letters(code.text) in families
    return kind is not SuppressionKind.UNKNOWN


def _letters(code: str) -> str:
    match = _LETTERS.match(code.upper())
    return match[0] if match else ""
