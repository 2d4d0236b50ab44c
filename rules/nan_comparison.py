"""GRD609 nan-comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Severity
from gradlint.rule.isnan import compared, use_isnan
from gradlint.rule.rule import Rule
from gradlint.semantics.trace import Trace


class NanComparison(Rule):
    """A value is compared with nan, which is not equal to anything, not even to itself.

    ### Why is this bad?
    `x == nan` is false everywhere and `x != nan` is true everywhere. What looks like a guard against
    nan in losses or gradients therefore never acts, or always does, and the nan goes on its way.

    ### How it is verified
    Not by a backward pass: a comparison has no gradient, so there is no claim to measure.

    ### When it is fine
    `x != x` is a common way to find nan, and `torch.equal` or `allclose(..., equal_nan=True)`
    compare whole tensors.

    ### Fix safety
    Safe where the value is a tensor: isnan does what was meant. Unsafe where it may be something
    else, since isnan refuses numbers of Python.

    ### References
    - IEEE 754-2019, section 5.11: comparisons with nan are unordered
    - [Ruff: nan-comparison (PLW0177)](https://docs.astral.sh/ruff/rules/nan-comparison/)
    """

    id = "GRD609"
    name = "nan-comparison"
    severity = Severity.ERROR
    help = "use torch.isnan"
    triggers: ClassVar[Mapping[str, str]] = {"nan": r"(?<=[.\"'])nan\b|(?<=import )nan\b", "NaN": r"(?<=[.\"'])NaN\b"}
    bad: ClassVar[Mapping[str, str]] = {}
    good: ClassVar[Mapping[str, str]] = {}
    fixed: ClassVar[Mapping[str, str]] = {}

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each comparison with nan."""
        for application in trace.applied("eq", "ne"):
            operand = compared(application)
            if operand is not None:
                outcome = "false" if application.primitive == "eq" else "true"
                message = f"a comparison with nan is {outcome} for every value"
                fix = use_isnan(trace, application, operand)
                yield self.finding(application.site.node.span, message, fix=fix)
