"""GRD609 nan-comparison."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Applicability, Edit, Finding, Fix, Severity
from gradlint.rule.rewrite import call
from gradlint.rule.rule import Rule
from gradlint.semantics.interpretation import Operand
from gradlint.semantics.tensor import Application, Tensor, producer
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Known


class NanComparison(Rule):
    """A value is compared with nan, which nothing equals, not even nan.

    ### Why is this bad?
    IEEE 754 makes every comparison with nan false, except `!=`, which is always true. A guard such as
    `if (loss == torch.nan).any()` therefore never acts, `x[x != nan]` drops nothing, and the training
    goes on with parameters that are nan already.

    ### How it is verified
    Not by a backward pass: the result of the comparison is a constant, whatever the gradient.

    ### When it is fine
    Never; `x != x` is a correct, if cryptic, test for nan and is not reported.

    ### Fix safety
    Safe: `torch.isnan` is what the comparison says. No fix is offered where the other side is not known
    to be a tensor, and none for an order (`<`), which has no meaning.

    ### References
    - IEEE 754-2019, section 5.11: comparisons with a NaN are unordered
    - [torch.isnan](https://docs.pytorch.org/docs/stable/generated/torch.isnan.html)
    """

    id = "GRD609"
    name = "nan-comparison"
    severity = Severity.ERROR
    help = "use torch.isnan(x), or torch.isfinite(x) to catch infinities as well"
    triggers: ClassVar[Mapping[str, str]] = {
        literal: rf"(?<![A-Za-z_]){literal}(?![\w(])" for literal in ("nan", "NaN", "NAN")
    }
    bad: ClassVar[Mapping[str, str]] = {
        "constant of torch": "import torch\n\ndef broken(x):\n    return (x == torch.nan).any()\n",
        "float of a string": (
            "import torch\n\ndef drop(x: torch.Tensor):\n    return x[x != float('nan')]\n"
        ),
        "constant of math": (
            "import math\n\nimport torch\n\ndef clean(x):\n"
            "    return torch.where(x == math.nan, torch.zeros_like(x), x)\n"
        ),
        "named constant": (
            "import torch\n\nNAN = float('nan')\n\ndef f(x):\n    return torch.eq(x, NAN).any()\n"
        ),
        "method": "import numpy as np\n\ndef f(x):\n    return x.log().ne(np.nan).all()\n",
        "tensor of nan": "import torch\n\ndef f(x):\n    return x.sum() == torch.tensor(float('nan'))\n",
        "reversed": "import torch as t\n\ndef f(x):\n    loss = x.mean()\n    return t.nan == loss\n",
        "order": "import torch\n\ndef f(x):\n    return x.mean() < torch.nan\n",
        "no torch in sight": "def f(loss):\n    if loss.item() == float('nan'):\n        raise ValueError\n",
    }
    good: ClassVar[Mapping[str, str]] = {
        "isnan": "import torch\n\ndef f(x):\n    return torch.isnan(x).any()\n",
        "self comparison": "def f(x):\n    return (x != x).any()\n",
        "infinity": "def f(x):\n    return x == float('inf')\n",
        "fill value": "import torch\n\ndef f(x, mask):\n    return x.masked_fill(mask, float('nan'))\n",
        "a string": "def f(mode):\n    return mode == 'nan'\n",
        "a parameter": "def f(x, nan=0.0):\n    return x == nan\n",
        "identity": "import torch\n\ndef f(x):\n    return x is torch.nan\n",
    }
    fixed: ClassVar[Mapping[str, str]] = {
        "constant of torch": bad["constant of torch"].replace("(x == torch.nan)", "(torch.isnan(x))"),
        "float of a string": bad["float of a string"].replace("x != float('nan')", "~torch.isnan(x)"),
        "named constant": bad["named constant"].replace("torch.eq(x, NAN)", "torch.isnan(x)"),
        "reversed": bad["reversed"].replace("t.nan == loss", "t.isnan(loss)"),
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each comparison of which one side is the constant nan."""
        for application in trace.applied("eq", "ne", "lt", "le", "gt", "ge"):
            sides = application.operands[:2]
            others = [side for side in sides if not _is_nan(side)]
            if len(sides) == 2 and len(others) < 2:
                outcome = "true" if application.primitive == "ne" else "false"
                message = f"a comparison with nan is always {outcome}"
                fix = _fix(trace, application, others[0]) if others else None
                yield self.finding(application.site.node.span, message, fix=fix)


def _is_nan(operand: Operand) -> bool:
    value = operand.value
    created = producer(value, "tensor", "as_tensor", "full_like")
    if created is not None:
        value = created.operands[-1].value
    return isinstance(value, Known) and isinstance(value.value, float) and math.isnan(value.value)


def _fix(trace: Trace, a: Application, other: Operand) -> Fix | None:
    """`torch.isnan(x)` in place of an equality of a tensor with nan."""
    name = trace.spell("torch.isnan")
    is_tensor = isinstance(other.value, Tensor) and bool(other.value.roots or other.value.producer)
    if name is None or a.primitive not in ("eq", "ne") or not is_tensor or producer(other.value, "item"):
        return None
    test = call(name, [(other.node.span,)])
    parts = test if a.primitive == "eq" else ("~", *test)
    return Fix("Use torch.isnan", Applicability.SAFE, (Edit(a.site.node.span, parts),))
