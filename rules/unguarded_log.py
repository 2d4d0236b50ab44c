"""GRD604 unguarded-log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Metric, Severity
from gradlint.rule.claims import pole_claim
from gradlint.rule.keep_away import keep_away
from gradlint.rule.rule import Rule
from gradlint.rule.triggers import LOGARITHM, VANISHING
from gradlint.semantics.discard import discards
from gradlint.semantics.fused import fused
from gradlint.semantics.guards import late_guard
from gradlint.semantics.poles import POLES, deviation, pole, root
from gradlint.semantics.trace import Trace


class UnguardedLog(Rule):
    """A logarithm, a division or a reciprocal of something that reaches 0.

    ### Why is this bad?
    log'(x) = 1/x and (a/x)' = -a/x², so at 0 the gradient is infinite, and nan as soon as it is
    multiplied by the zero slope behind it. Norms of zero vectors, counts of empty masks, the range
    of constant data, ReLU outputs, means of probabilities and 1 - softmax(x) all reach exactly 0,
    mostly on one batch in thousands; one such gradient turns every weight into nan.

    ### How it is verified
    One backward pass on the inputs that make the operand 0: the gradient is nan or infinite. Where
    the step behind blocks the gradient (ReLU, a standard deviation) the result itself is infinite.

    ### When it is fine
    With an epsilon or a clamp inside, after a test of the operand, and for what is positive by
    construction (exp, softplus, a sum of softmax outputs). Other rules own some places, which are
    not reported twice: log(softmax(x)) and its kin are
    [log-of-normalised](log-of-normalised.md); a standard deviation or variance that is divided by
    is [degenerate-deviation](degenerate-deviation.md); a guard that stands behind the division is
    [guard-after-the-fact](guard-after-the-fact.md); roots and fractional powers are
    [infinite-gradient-at-zero](infinite-gradient-at-zero.md).

    ### Fix safety
    Unsafe: the small number changes the result a little, and how small it may be depends on the
    scale of the data. 1e-8 vanishes in float16.

    ### References
    - [Gradient of zero norm is nan](https://github.com/pytorch/pytorch/issues/2421)
    - [x.grad should be 0 but get NaN after x/0](https://github.com/pytorch/pytorch/issues/4132)
    - [A masked mean over an empty mask](https://github.com/MhLiao/DB/issues/14)
    """

    id = "GRD604"
    name = "unguarded-log"
    severity = Severity.WARNING
    help = "keep the operand away from 0: add a small number to it or clamp it from below"
    triggers: ClassVar[Mapping[str, str]] = {**LOGARITHM, **VANISHING, "reciprocal": ""}
    bad: ClassVar[Mapping[str, str]] = {}
    good: ClassVar[Mapping[str, str]] = {}
    fixed: ClassVar[Mapping[str, str]] = {}

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each pole that is reached and that no other rule owns."""
        discarded = discards(trace)
        for application in trace.differentiated(*POLES):
            found = pole(application)
            if found is None or found.witness is None or deviation(found.operand.value) is not None:
                continue
            if application.number in discarded or fused(application) or root(found.operand.value):
                continue
            if late_guard(trace, application) is None:
                claim = pole_claim(trace, found, found.witness.condition)
                message = found.described(claim.predicted, claim.metric is Metric.NON_FINITE_VALUE)
                yield self.finding(application.site.node.span, message, claim, fix=keep_away(trace, found))
