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

_DISCRIMINATOR = (
    "import torch\nfrom torch import nn\n\nclass D(nn.Module):\n    def __init__(self, n):\n"
    "        super().__init__()\n        self.main = nn.Sequential(nn.Linear(n, 1), nn.Sigmoid())\n\n"
    "    def forward(self, x):\n"
)


class LogOfNormalised(Rule):
    """A function is composed by hand of steps that overflow or cancel where torch's own does not.

    ### Why is this bad?
    Each step is right, their composition is not. In float32 exp(x) is infinite beyond 88 and
    sigmoid(x) exactly 1 beyond 17 (in float16 beyond 11 and 8), so the forms below meet 0 · inf or
    inf / inf on the way back, and the gradient is nan. log_softmax, logsigmoid, softplus, logsumexp,
    softmax, sigmoid and tanh take care of that and have a gradient everywhere.

    ### How it is verified
    One backward pass on large inputs: the gradient at the input is nan.

    ### When it is fine
    Where the operand is bounded (a cosine, a clamped value, x - x.max()), or an epsilon or a clamp
    stands inside the logarithm. Logarithms of anything else that can be 0, such as a mean of
    probabilities or 1 - softmax(x), belong to [unguarded-log](unguarded-log.md). What stands here is
    not reported there, in [guard-after-the-fact](guard-after-the-fact.md) or in
    [nan-through-where](nan-through-where.md) as well.

    ### Fix safety
    Safe: the results differ by rounding only, where the one written by hand is finite at all; unsafe
    if a comment would be lost. There is no fix where more is computed on the way (log2, a mask, an
    epsilon, an item), where no axis is named, or where a name would mean something else by then.

    ### References
    - [nn.Log: the gradient of log(softmax(x)) is nan](https://github.com/pytorch/pytorch/issues/1620)
    - P. Blanchard, D. Higham, N. Higham, "Accurately computing the log-sum-exp and softmax
      functions", IMA Journal of Numerical Analysis 41(4), 2021
    """

    id = "GRD603"
    name = "log-of-normalised"
    severity = Severity.WARNING
    help = "call the function that computes it in one step"
    triggers: ClassVar[Mapping[str, str]] = {**LOGARITHM, **EXPONENTIAL}
    bad: ClassVar[Mapping[str, str]] = {
        "nll": (
            "import torch\nimport torch.nn.functional as F\n\ndef nll(x):\n"
            "    return -torch.log(F.softmax(x, -1)).mean()\n"
        ),
        "entropy": "def entropy(x):\n    p = x.softmax(-1)\n    return -(p * p.log()).sum(-1)\n",
        "bce": (
            "import torch as t\nimport torch.nn.functional as F\n\ndef bce(x, y):\n    p = t.sigmoid(x)\n"
            "    y = (y > 0).float()\n    return -(y * t.log(p) + (1 - y) * t.log(1 - p)).mean()\n"
        ),
        "module": (
            "import torch\nfrom torch import nn\n\nclass Actor(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.net, self.act = nn.Linear(4, 4), nn.Softmax(dim=1)\n"
            "\n    def forward(self, x):\n        z = self.net(1e3 * x)\n"
            "        return torch.log(self.act(z))[:, 0]\n"
        ),
        "softplus": "from torch.nn import functional as F\n\ndef scale(x):\n    return (1 + x.exp()).log()\n",
        "log of a sum": (
            "from torch import exp as e, log as ln\nimport torch\n\ndef free_energy(x):\n"
            "    return ln(e(x).sum(dim=1)) + torch.log(torch.sum(torch.exp(x)))\n"
        ),
        "softmax": (
            "import torch\n\ndef attend(s, v):\n    w = torch.exp(s)\n"
            "    return w / w.sum(-1, keepdim=True) @ v\n"
        ),
        "gates": (
            "import torch\n\ndef gate(x):\n    a, b = torch.exp(x), torch.exp(-x)\n"
            "    return 1 / (1 + b) + x / (b + 1) + (a - b) / (a + b)\n"
        ),
        "discriminator": (
            "import torch\nfrom torch import nn\n\nclass Adversary(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.D = nn.Sequential(nn.Linear(4, 4), nn.Sigmoid())\n\n"
            "    def forward(self, real, fake):\n"
            "        return -(torch.log(self.D(real)) + torch.log(1 - self.D(fake))).mean()\n"
        ),
        "a discriminator of its own": (
            _DISCRIMINATOR + "        return self.main(x).view(-1)\n\ndef train(real, fake):\n    d = D(4)\n"
            "    return -(torch.log(d(real)) + torch.log(1 - d(fake))).mean()\n"
        ),
        "picked": (
            "import torch\n\ndef picked(x, y: torch.LongTensor):\n    p = torch.softmax(x, dim=1)\n"
            "    return torch.log(p.gather(1, y)) + torch.log(p[:, :1])\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "fused": (
            "import torch.nn.functional as F\n\ndef losses(x):\n"
            "    return F.log_softmax(x, -1) + F.logsigmoid(x) + F.softplus(x) + x.logsumexp(-1, True)\n"
        ),
        "guarded inside": (
            "import torch\n\ndef entropy(x):\n    p, q = torch.softmax(x, dim=-1), x.sigmoid()\n"
            "    return -(p * torch.log(p + 1e-8)).sum(-1) - q.clamp(1e-6, 1 - 1e-6).log().sum(-1)\n"
        ),
        "maximum subtracted": (
            "import torch\n\ndef softmax(x):\n    m, _ = x.max(dim=-1, keepdim=True)\n"
            "    e = torch.exp(x - m.detach())\n    return e / e.sum(-1, keepdim=True)\n"
        ),
        "bounded": (
            "import torch.nn.functional as F\n\ndef loss(x, y):\n"
            "    x, y = F.normalize(x, dim=-1), F.normalize(y, dim=-1)\n"
            "    gate = 1 / (1 + (-9 * x).clamp(-30, 30).exp())\n"
            "    return gate * (x @ y.T / 0.07).exp().sum(-1).log() + (5 * x.tanh()).softmax(-1).log()\n"
        ),
        "temperature": (
            "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\n"
            "class Contrast(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.scale = nn.Parameter(torch.tensor(5.0))\n\n    def forward(self, x, y):\n"
            "        e = torch.exp(F.cosine_similarity(x, y, dim=-1) * self.scale)\n"
            "        return e / e.sum()\n"
        ),
        "a discriminator that keeps away from 0": (
            _DISCRIMINATOR + "        return self.main(x).clamp(1e-6, 1 - 1e-6)\n\n"
            "def train(real):\n    return torch.log(D(4)(real)).mean()\n"
        ),
        "a discriminator that may give logits": (
            _DISCRIMINATOR.replace("n):", "n, squash=True):")
            .replace("= nn.Seq", "= squash, nn.Seq")
            .replace("self.main =", "self.squash, self.main =")
            + "        x = self.main[:-1](x)\n"
            "        return self.main[-1](x) if self.squash else x.relu() + 1\n\n"
            "def train(real):\n    return torch.log(D(4, squash=False)(real)).mean()\n"
        ),
        "other sums": (
            "def share(x):\n    e = (-x.abs()).exp()\n    return e / (1 + e.sum(-1, keepdim=True))\n"
        ),
        "detached": "def f(x):\n    print(x.detach().softmax(-1).log())\n    return x\n",
    }
    fixed: ClassVar[Mapping[str, str]] = {
        "nll": bad["nll"].replace("torch.log(F.softmax(x, -1))", "F.log_softmax(x, -1)"),
        "entropy": bad["entropy"].replace("p.log()", "x.log_softmax(-1)"),
        "bce": bad["bce"].replace("t.log(p)", "F.logsigmoid(x)").replace("t.log(1 - p)", "F.logsigmoid(-x)"),
        "module": bad["module"].replace("log(self.act(z))", "log_softmax(z, dim=1)"),
        "softplus": bad["softplus"].replace("(1 + x.exp()).log()", "F.softplus(x)"),
        "log of a sum": bad["log of a sum"].replace("ln(e(x).sum(dim=1))", "torch.logsumexp(x, dim=1)"),
        "softmax": bad["softmax"].replace("w / w.sum(-1, keepdim=True)", "torch.softmax(s, dim=-1)"),
        "gates": bad["gates"].replace(
            "1 / (1 + b) + x / (b + 1) + (a - b) / (a + b)",
            "torch.sigmoid(x) + x * torch.sigmoid(x) + torch.tanh(x)",
        ),
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report every function written by hand, the outermost of those that nest."""
        found = [(a, form) for a in trace.differentiated(*FORMS) if (form := fused(a)) is not None]
        inner = {number for _, form in found for number in form.inner}
        for application, form in found:
            if application.number in inner:
                continue
            claim = non_finite_gradient(trace, form.operand.value, math.nan, "large inputs")
            message = f"the gradient of {form.written} is nan once {form.breaks}"
            help = f"use torch's {form.call}, which computes it in one step"
            yield self.finding(
                application.site.node.span, message, claim, fix=fuse(trace, application, form), help=help
            )
