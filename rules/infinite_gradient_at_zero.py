"""GRD601 infinite-gradient-at-zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Severity
from gradlint.rule.rule import Rule
from gradlint.semantics.trace import Trace


class InfiniteGradientAtZero(Rule):
    """x."""

    id = "GRD601"
    name = "infinite-gradient-at-zero"
    severity = Severity.ERROR
    triggers: ClassVar[Mapping[str, str]] = {
        "sqrt": r"(?<!math\.)(?<!np\.)(?<!numpy\.)sqrt_?\b",
        "hypot": "",
        "**": r"\*\*\s*\(?\s*-?\s*(?:\d*\.\d|\d\s*/)",
        "pow": r"pow_?\s*\(",
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """x."""
        for a in trace.differentiated("sqrt", "rsqrt", "pow"):
            z = a.facts(0).zero
            if z is None:
                continue
            if a.primitive == "pow":
                e = a.constant(1, "exponent")
                if not isinstance(e, float) or e >= 1:
                    continue
            yield self.finding(
                a.site.node.span, f"the gradient of {a.primitive} is infinite at 0, which {z.reason} reaches"
            )
