"""The base of every rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, get_type_hints

from msgspec.structs import replace

from gradlint.records.finding import SCRIPT, UNMEASURED, Claim, Finding, Fix, Related, Severity
from gradlint.records.span import Span

DOCUMENTATION = "https://github.com/gradlint/gradlint/blob/main/docs/rules"


class Rule:
    """One problem: its documentation, its examples and its check, in one file.

    `check` yields findings about one subject; the annotation of its argument says which kind of
    subject the engine hands it. A rule holds constants only.

    `triggers` maps a text to the regular expression that must match where it occurs (it may look
    behind; empty for none). A top-level definition in which no trigger matches cannot concern the
    rule and is not analysed for it.

    `threshold` names the setting that a claim's `least` must reach for its finding to be reported
    ("vanishing-decades"). The rule yields milder findings too, for those who set it lower.

    `since` is the first version of torch, as (major, minor), in which the rule holds; it is off for
    code that must run on an older one.

    `fixed` maps the name of a bad case to the text that the rule's fix must produce.
    """

    id: ClassVar[str]
    name: ClassVar[str]
    severity: ClassVar[Severity]
    help: ClassVar[str] = ""
    preview: ClassVar[bool] = False
    since: ClassVar[tuple[int, int] | None] = None
    threshold: ClassVar[str] = ""
    triggers: ClassVar[Mapping[str, str]] = {}
    bad: ClassVar[Mapping[str, str]] = {}
    good: ClassVar[Mapping[str, str]] = {}
    fixed: ClassVar[Mapping[str, str]] = {}

    def check(self, subject: Any, /) -> Iterator[Finding]:
        """Yield a finding for every place in `subject` that has this rule's problem."""
        raise NotImplementedError

    def finding(
        self,
        span: Span,
        message: str,
        claim: Claim | None = None,
        *,
        severity: Severity | None = None,
        related: tuple[Related, ...] = (),
        fix: Fix | None = None,
        help: str | None = None,
    ) -> Finding:
        """A finding of this rule at `span`; the engine adds the path.

        A claim that cannot be measured is left out.
        """
        is_measured = claim is not None and claim.condition != UNMEASURED
        return Finding(
            rule=self.id,
            name=self.name,
            severity=severity or self.severity,
            message=message,
            span=span,
            help=self.help if help is None else help,
            related=related,
            claim=_named(claim) if claim is not None and is_measured else None,
            fix=fix,
        )

    @classmethod
    def summary(cls) -> str:
        """The first paragraph of the documentation, on one line."""
        return " ".join((cls.__doc__ or "").strip().partition("\n\n")[0].split())

    @classmethod
    def url(cls) -> str:
        """The address of the rule's page."""
        return f"{DOCUMENTATION}/{cls.name}.md"


def _named(claim: Claim) -> Claim:
    """A claim about code outside of functions says so."""
    return replace(claim, subject=f"{SCRIPT}{claim.subject}") if claim.subject.startswith(":") else claim


def subject_of(rule: type[Rule]) -> type:
    """The kind of subject that a rule's `check` takes, from its annotation."""
    hints = get_type_hints(rule.check)
    hints.pop("return", None)
    (subject,) = hints.values()
    assert isinstance(subject, type)
    return subject
