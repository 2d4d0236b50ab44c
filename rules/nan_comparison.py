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
    triggers: ClassVar[Mapping[str, str]] = {
        "nan": r"(?<!\w)nan\b(?!\s*=[^=])",
        "NaN": r"(?<=[.\"'])NaN\b",
    }
    bad: ClassVar[Mapping[str, str]] = {
        "mask": (
            "import torch\n\ndef clean(x):\n    x = torch.sqrt(x)\n"
            "    return torch.where(x == torch.nan, 0.0, x)\n"
        ),
        "not equal": 'import torch\n\ndef clean(x):\n    y = x.log()\n    return y[y != float("nan")]\n',
        "module": (
            "import torch\nfrom torch import nn\n\nclass Clean(nn.Module):\n    def forward(self, x):\n"
            '        bad = torch.tensor(float("nan"))\n        return x.masked_fill(bad == x, 0)\n'
        ),
        "function": (
            "import torch as t\nfrom math import nan\n\ndef count(x):\n"
            "    return t.eq(x, nan).sum() + t.sum(t.ne(x, nan))\n"
        ),
        "method": "import math\nimport torch\n\ndef any_nan(x):\n    return x.mean().eq(math.nan).any()\n",
        "training loop": (
            "import math\nimport torch\n\ndef step(model, batch):\n    loss = model(batch).sum()\n"
            '    if loss.item() == float("nan"):\n        return None\n    loss.backward()\n'
            "    return loss\n"
        ),
        "gradients": (
            "import numpy as np\nimport torch\n\ndef skip(model):\n"
            "    return any((torch.isinf(p.grad) | (p.grad == np.nan)).any() for p in model.parameters())\n"
        ),
        "argument": "import torch\n\ndef is_bad(loss):\n    return loss == float('NaN')\n",
        "array": (
            "import numpy as np\nimport torch\n\ndef load(path):\n    table = np.asarray(np.load(path))\n"
            "    table[table == np.nan] = 0\n    return torch.from_numpy(table)\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "isnan": "import torch\n\ndef clean(x):\n    return torch.where(torch.isnan(x), 0.0, x)\n",
        "not itself": "def is_nan(x):\n    return x != x\n",
        "infinity": "import torch\n\ndef finite(x):\n    return (x != torch.inf) & (x != float('-inf'))\n",
        "filled in": (
            'import torch\n\ndef missing(x):\n    out = torch.full_like(x, float("nan"))\n'
            "    out[x > 0] = x[x > 0]\n    return out\n"
        ),
        "equal to nan on purpose": (
            "import torch\n\ndef same(x, y):\n    return torch.allclose(x, y, equal_nan=True)\n"
        ),
        "another name": (
            "import torch\n\ndef pick(x, nan=0.0):\n    return torch.nan_to_num(x, nan=nan) == nan\n"
        ),
        "a word": (
            "import torch\n\ndef mode(x, name):\n    return x if name == 'nan' else torch.nan_to_num(x)\n"
        ),
        "ordered": (
            "import torch\nfrom math import nan\n\ndef fill(x, mask: torch.BoolTensor):\n"
            "    return x.masked_fill(mask, nan)\n"
        ),
    }
    fixed: ClassVar[Mapping[str, str]] = {
        "mask": bad["mask"].replace("x == torch.nan", "torch.isnan(x)"),
        "not equal": bad["not equal"].replace('y != float("nan")', "~torch.isnan(y)"),
        "module": bad["module"].replace("bad == x", "torch.isnan(x)"),
        "function": bad["function"]
        .replace("t.eq(x, nan)", "t.isnan(x)")
        .replace("t.ne(x, nan)", "~t.isnan(x)"),
        "method": bad["method"].replace("x.mean().eq(math.nan)", "torch.isnan(x.mean())"),
        "training loop": bad["training loop"].replace(
            'loss.item() == float("nan")', "math.isnan(loss.item())"
        ),
        "gradients": bad["gradients"].replace("p.grad == np.nan", "torch.isnan(p.grad)"),
        "argument": bad["argument"].replace("loss == float('NaN')", "torch.isnan(loss)"),
        "array": bad["array"].replace("table == np.nan", "np.isnan(table)"),
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each comparison with nan."""
        for application in trace.applied("eq", "ne"):
            operand = compared(application)
            if operand is not None:
                outcome = "false" if application.primitive == "eq" else "true"
                message = f"a comparison with nan is {outcome} for every value"
                fix = use_isnan(trace, application, operand)
                yield self.finding(application.site.node.span, message, fix=fix)
