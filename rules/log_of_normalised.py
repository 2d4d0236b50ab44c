"""GRD603 log-of-normalised."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Severity
from gradlint.rule.claims import non_finite_gradient
from gradlint.rule.fuse import fuse
from gradlint.rule.rule import Rule
from gradlint.rule.triggers import EXPONENTIAL, LOGARITHM
from gradlint.semantics.fused import FORMS, fused
from gradlint.semantics.trace import Trace


class LogOfNormalised(Rule):
    """A function is composed by hand of steps that overflow or cancel where torch's own does not.

    ### Why is this bad?
    Each step is right, their composition is not: in float32 exp(x) is infinite beyond 88 and
    sigmoid(x) is exactly 1 beyond 17, so log(softmax(x)), log(sigmoid(x)), log(1 + exp(x)),
    exp(x) / sum(exp(x)) and 1 / (1 + exp(-x)) meet 0 · inf or inf / inf on the way back, and the
    gradient is nan. In float16 the same happens from 11 on. log_softmax, logsigmoid, softplus,
    logsumexp, softmax and sigmoid subtract the maximum first and have a gradient everywhere.

    ### How it is verified
    One backward pass on large inputs: the gradient at the input is nan.

    ### When it is fine
    Where the operand is bounded: a cosine, a clamped value, x - x.max(). With an epsilon or a clamp
    inside the logarithm the gradient is finite and nothing is reported. The logarithm of anything
    else that can be 0, such as a mean of probabilities or 1 - softmax(x), belongs to
    [unguarded-log](unguarded-log.md); what stands here is never reported there or by
    [guard-after-the-fact](guard-after-the-fact.md) as well.

    ### Fix safety
    Safe: the function's result differs by rounding only, where the hand-written one is finite at
    all. There is no fix where more is computed on the way (log2, a mask, an epsilon, an item of the
    probabilities), where no axis is named, or where a name would mean something else by then.

    ### References
    - [torch.nn.functional.log_softmax](https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html)
    - P. Blanchard, D. Higham, N. Higham, "Accurately computing the log-sum-exp and softmax
      functions", IMA Journal of Numerical Analysis 41(4), 2021
    """

    id = "GRD603"
    name = "log-of-normalised"
    severity = Severity.WARNING
    help = "call the function that computes it in one step"
    triggers: ClassVar[Mapping[str, str]] = {**LOGARITHM, **EXPONENTIAL}
    bad: ClassVar[Mapping[str, str]] = {}
    good: ClassVar[Mapping[str, str]] = {}
    fixed: ClassVar[Mapping[str, str]] = {}

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report every function written by hand, the outermost of those that nest."""
        found = [(a, form) for a in trace.differentiated(*FORMS) if (form := fused(a)) is not None]
        inner = {number for _, form in found for number in form.inner}
        for application, form in found:
            if application.number in inner:
                continue
            claim = non_finite_gradient(trace, form.operand.value, math.nan, "large inputs")
            message = f"the gradient of {form.written} is nan once {form.breaks}"
            help = f"use torch's {form.name}, which computes it in one step"
            yield self.finding(application.site.node.span, message, claim, fix=fuse(trace, application, form), help=help)
