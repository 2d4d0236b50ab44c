"""GRD607 degenerate-deviation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.rule.claims import non_finite_gradient, non_finite_value, pole_claim
from gradlint.rule.keep_away import keep_away
from gradlint.rule.rule import Rule
from gradlint.rule.triggers import DEVIATION
from gradlint.semantics.discard import discards
from gradlint.semantics.guards import late_guard
from gradlint.semantics.poles import POLES, deviation, pole
from gradlint.semantics.single import Single, single
from gradlint.semantics.tensor import Application
from gradlint.semantics.trace import Trace


class DegenerateDeviation(Rule):
    """A standard deviation or variance is divided by although it can be 0, or taken of one element.

    ### Why is this bad?
    Constant data have deviation 0: a padded row, a dead channel, a batch whose rewards are all the
    same. Dividing by it gives inf or nan, and so does the gradient. The unbiased estimate divides
    by n - 1, so for one element it is 0 / 0: the result and the gradient are nan, and no epsilon
    behind it helps.

    ### How it is verified
    One backward pass on constant rows, or with a mask that selects nothing: the gradient at the
    input, or the result, is nan or infinite.

    ### When it is fine
    `x / (x.std() + eps)` divides by something positive, and std itself has gradient 0 at constant
    input. With `unbiased=False` (`correction=0`) one element has deviation 0. An axis is taken to
    hold one element only where the code says so: a slice or a mask, not a batch that might be small.
    The root of a variance belongs to [infinite-gradient-at-zero](infinite-gradient-at-zero.md),
    what is mended behind the division to [guard-after-the-fact](guard-after-the-fact.md), norms and
    other divisors to [unguarded-log](unguarded-log.md).

    ### Fix safety
    Unsafe: an epsilon is added to the divisor, which changes the result a little. For a single
    element there is no fix, since nothing says what its deviation should be.

    ### References
    - [The deviation of a minibatch of one advantage is nan](https://github.com/jolibrain/wheatley/pull/93)
    - [torch.std: division by max(0, N - correction)](https://docs.pytorch.org/docs/stable/generated/torch.std.html)
    """

    id = "GRD607"
    name = "degenerate-deviation"
    severity = Severity.WARNING
    help = "add a small number to the deviation before dividing by it"
    triggers: ClassVar[Mapping[str, str]] = DEVIATION
    bad: ClassVar[Mapping[str, str]] = {}
    good: ClassVar[Mapping[str, str]] = {}
    fixed: ClassVar[Mapping[str, str]] = {}

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report divisions by a deviation that is 0, and deviations of one element."""
        discarded = discards(trace)
        for application in trace.differentiated(*POLES):
            found = pole(application)
            if found is None or found.witness is None or deviation(found.operand.value) is None:
                continue
            if application.number not in discarded and late_guard(trace, application) is None:
                claim = pole_claim(trace, found, found.witness.condition)
                message = found.described(claim.predicted, claim.metric is Metric.NON_FINITE_VALUE)
                yield self.finding(application.site.node.span, message, claim, fix=keep_away(trace, found))
        for application in trace.differentiated("std", "var", "std_mean", "var_mean"):
            reason = single(application) if _is_unbiased(application) else None
            if reason is not None:
                name = application.primitive.removesuffix("_mean")
                message = f"{name} divides by n - 1, which is 0 for {reason.reason}"
                help = "pass unbiased=False, or leave single elements out"
                claim = _claim(trace, application, reason)
                yield self.finding(application.site.node.span, message, claim, help=help)


def _is_unbiased(a: Application) -> bool:
    switches = [a.constant(1), a.constant(2, "unbiased"), a.constant(9, "unbiased")]
    return not any(switch is False for switch in switches) and a.constant(9, "correction") in (None, 1)


def _claim(trace: Trace, application: Application, reason: Single) -> Claim:
    if reason.masked:
        return non_finite_value(trace, math.nan, "all masked")
    return non_finite_gradient(trace, application.value(0), math.nan, "randn" if reason.always else "")
