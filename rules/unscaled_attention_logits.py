"""GRD106 unscaled-attention-logits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.logits import Logits, attention_logits
from gradlint.flow.model import Model
from gradlint.mathematics.peaks import peaked_share
from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.rule.places import enclosing, related, used_at
from gradlint.rule.rule import Rule

_FEW, _MANY = 16, 64
"""Tokens: of a short sequence, for the prediction; of a longer one, for its mildest end."""

_SCALED = 1.5
"""Of the factor squared times the features, up to which products count as scaled by 1 / sqrt(d)."""

_HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n\nclass {}(nn.Module):\n"
_LAYERS = "        self.q, self.k, self.v = [nn.Linear({0}, {0}) for _ in range(3)]\n"


def _net(scores: str, width: int = 256, more: str = "pass", name: str = "Net") -> str:
    """A model of one head whose attention is computed in this line."""
    return (
        f"{_HEAD.format(name)}    def __init__(self):\n        super().__init__()\n{_LAYERS.format(width)}"
        f"        {more}\n\n    def forward(self, x):\n        q, k, v = self.q(x), self.k(x), self.v(x)\n"
        f"        weights = {scores}\n        return weights @ v\n"
    )


def _heads(scores: str, heads: int) -> str:
    """A model of several heads."""
    return (
        f"{_HEAD.format('Net')}    def __init__(self, dim=512, heads={heads}):\n        super().__init__()\n"
        "        self.heads, self.size = heads, dim // heads\n        self.qkv = nn.Linear(dim, 3 * dim)\n\n"
        "    def forward(self, x):\n        b, n, _ = x.shape\n        q, k, v = [\n"
        "            part.view(b, n, self.heads, self.size).transpose(1, 2)\n"
        "            for part in self.qkv(x).chunk(3, dim=-1)\n        ]\n"
        f"        weights = {scores}\n        return (weights @ v).transpose(1, 2).flatten(2)\n"
    )


def _together(queries: str, scores: str = "q @ k.transpose(-2, -1)", more: str = "pass") -> str:
    """A model of two heads that takes queries, keys and values out of one signal."""
    return (
        f"{_HEAD.format('Net')}    def __init__(self, dim=512, heads=2):\n        super().__init__()\n"
        "        self.heads, self.scale = heads, (dim // heads) ** -0.5\n"
        f"        self.qkv = nn.Linear(dim, dim * 3)\n        {more}\n\n"
        f"    def forward(self, x):\n        b, n, c = x.shape\n        {queries}\n"
        f"        weights = ({scores}).softmax(dim=-1)\n"
        "        return (weights @ v).transpose(1, 2).reshape(b, n, c)\n"
    )


_PARTS = "q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, {}).permute(2, 0, 3, 1, 4){}"


class UnscaledAttentionLogits(Rule):
    """Products of queries and keys go into a softmax without being scaled down.

    ### Why is this bad?
    A product of d features of variance 1 has variance d. The softmax of such numbers puts nearly all
    weight on one token: Var(q·k) = d·E[q²]·E[k²], and with it the share of rows whose largest weight is
    above 1/2. Attention copies single tokens, and the gradient of the others' scores is lost.

    ### How it is verified
    The share of rows of the softmax whose maximum is above 1/2, in one forward pass.

    ### When it is fine
    With a factor 1/√d on the product, on the queries or in the initialisation; with a temperature, or
    queries and keys that are normalised to length 1; with `scaled_dot_product_attention`; with few features.

    ### Fix safety
    No fix is offered: a trained checkpoint without the factor needs what it was trained with.

    ### References
    - Vaswani et al. 2017, [Attention is all you need](https://arxiv.org/abs/1706.03762), section 3.2.1
    - [Fix scaling in attention computation](https://github.com/PAIR-code/tiny-transformers/issues/71)
    - [Missing 1/sqrt(d) on a fallback path](https://github.com/mlc-ai/mlc-llm/pull/3426)
    """

    id = "GRD106"
    name = "unscaled-attention-logits"
    severity = Severity.WARNING
    threshold = "saturated-share"
    help = "multiply the scores by d ** -0.5, or use scaled_dot_product_attention"
    bad: ClassVar[Mapping[str, str]] = {
        "function": _net("torch.softmax(q @ k.transpose(-2, -1), dim=-1)"),
        "method": _net("torch.matmul(q, k.transpose(1, 2)).softmax(-1)"),
        "einsum": _net("F.softmax(torch.einsum('bid,bjd->bij', q, k), dim=-1)"),
        "layer and dropout": _net("self.drop(self.soft(torch.bmm(q, k.transpose(1, 2))))", 512).replace(
            "        pass\n", "        self.soft, self.drop = nn.Softmax(dim=-1), nn.Dropout(0.1)\n"
        ),
        "normalised features": _net(
            "(self.norm(q) @ self.norm(k).transpose(1, 2)).softmax(-1)", 64, "self.norm = nn.LayerNorm(64)"
        ),
        "large heads": _heads("(q @ k.transpose(-2, -1)).softmax(dim=-1)", 2),
        "heads out of a shape": _together(_PARTS.format("c // self.heads", "")),
        "heads out of what is left": _together(_PARTS.format("-1", ".unbind(0)")),
        "scaled the wrong way": _heads("(q @ k.transpose(-2, -1) * self.size**0.5).softmax(dim=-1)", 8),
    }
    good: ClassVar[Mapping[str, str]] = {
        "scaled": _heads("(q @ k.transpose(-2, -1) * self.size**-0.5).softmax(dim=-1)", 2),
        "heads out of a shape, scaled": _together(
            _PARTS.format("c // self.heads", ""), "q @ k.transpose(-2, -1) * self.scale"
        ),
        "divided": _net("(q @ k.transpose(1, 2) / 16.0).softmax(-1)"),
        "scaled queries": _net("((q / k.shape[-1] ** 0.5) @ k.transpose(1, 2)).softmax(-1)"),
        "normalised to length 1": _net(
            "(F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(1, 2)).softmax(-1)"
        ),
        "in the initialisation": _net(
            "(q @ k.transpose(1, 2)).softmax(-1)", more="nn.init.normal_(self.q.weight, std=1 / 256)"
        ),
        "few features": _net("(q @ k.transpose(1, 2)).softmax(-1)", 16),
        "small heads": _heads("(q @ k.transpose(-2, -1)).softmax(dim=-1)", 32),
        "learned temperature": _net(
            "(q @ k.transpose(1, 2) * self.t).softmax(-1)", more="self.t = nn.Parameter(torch.tensor(0.05))"
        ),
        "fused": _heads("torch.zeros(b, self.heads, n, n)", 2).replace(
            "(weights @ v)", "F.scaled_dot_product_attention(q, k, v)"
        ),
    }

    def check(self, model: Model) -> Iterator[Finding]:
        """Report every softmax most of whose rows would be taken by one element."""
        for logits in attention_logits(model.flow):
            least = peaked_share(logits.deviation.lo, _MANY)
            is_scaled = logits.factor**2 * logits.features < _SCALED
            if least > 0 and not is_scaled:
                yield self._reported(model, logits, least)

    def _reported(self, model: Model, logits: Logits, least: float) -> Finding:
        deviation = logits.deviation.lo
        share = peaked_share(deviation, _FEW)
        subject = f"{model.graph.name}:{enclosing(model.graph, logits.softmax)}"
        claim = Claim(Metric.SATURATION, subject, 0.5, share, least=least)
        places = [(logits.product.place, f"products of {logits.features} features")]
        message = f"scores of deviation {deviation:.1f} make {share:.0%} of the softmax rows peak above 1/2"
        span = used_at(model.graph, logits.product)
        return self.finding(span, message, claim, related=related(model.graph, places))
