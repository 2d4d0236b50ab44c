"""GRD608 fully-masked-softmax."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Related, Severity
from gradlint.rule.masked_rows import claim, finite, is_considered, is_overwritten, weigh
from gradlint.rule.rule import Rule
from gradlint.semantics.masks import fills
from gradlint.semantics.trace import Trace


class FullyMaskedSoftmax(Rule):
    """Scores are masked with -inf before a softmax, and a mask can cover a whole row.

    ### Why is this bad?
    A softmax subtracts the largest score of its row. Where all are -inf that is -inf - (-inf) = nan,
    and the row is nan: so is the loss, and the gradient of everything behind. One empty sequence in a
    batch, or padding on the left under a causal mask, is enough.

    ### How it is verified
    By a backward pass with a mask that covers everything. The gradient of scores that were overwritten
    is zero there, so it is looked for at what the weights are multiplied with.

    ### When it is fine
    A mask that is given from outside may never cover a row: that is a note. It is a warning where two
    masks are joined (padding and a causal one), an error where masked queries are masked against all
    keys, or where the nan of an added -inf is overwritten later, which its gradient survives. Causal
    masks alone, finite fills, `nan_to_num` or `masked_fill` behind scores that were overwritten, and
    code that asks for `any` or `all` of the mask are passed over.

    ### Fix safety
    Unsafe: the smallest finite number takes the place of -inf, so a masked row gets equal weights.

    ### References
    - [A sequence that is all padding](https://github.com/pytorch/pytorch/issues/24816)
    - [Fully masked rows in scaled_dot_product_attention](https://github.com/pytorch/pytorch/pull/131060)
    """

    id = "GRD608"
    name = "fully-masked-softmax"
    severity = Severity.ERROR
    help = "fill with a finite number (`torch.finfo(scores.dtype).min`), or overwrite the nan of such rows"
    triggers: ClassVar[Mapping[str, str]] = {
        "inf": r"(?<=[\"'.\-])inf(?:ty|inity)?\b",
        "import inf": "",
    }
    bad: ClassVar[Mapping[str, str]] = {
        "attention": (
            "import torch\nimport torch.nn.functional as F\n\ndef attend(q, k, v, mask: torch.BoolTensor):\n"
            '    scores = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(mask, float("-inf"))\n'
            "    return F.softmax(scores, dim=-1) @ v\n"
        ),
        "in place under a condition": (
            "import math\nimport torch\n\ndef attend(scores, v, mask: torch.BoolTensor):\n"
            "    scores = scores / 8\n    if mask is not None:\n"
            "        scores.masked_fill_(~mask, -math.inf)\n    return torch.softmax(scores, -1) @ v\n"
        ),
        "where": (
            "import torch\n\ndef attend(scores, v, mask: torch.BoolTensor):\n"
            "    scores = torch.where(mask, scores, torch.tensor(-torch.inf))\n"
            "    return torch.matmul(scores.softmax(-1), v)\n"
        ),
        "assigned by mask": (
            "import torch\n\ndef pool(scores, v, mask: torch.BoolTensor):\n    scores = scores.clone()\n"
            '    scores[mask == 0] = float("-inf")\n    return torch.softmax(scores, dim=-1) @ v\n'
        ),
        "nan overwritten too late for an added mask": (
            "import torch\n\ndef attend(scores, v, mask: torch.BoolTensor):\n"
            '    bias = torch.where(mask, 0.0, float("-inf"))\n'
            "    weights = torch.softmax(scores + bias, dim=-1)\n    return torch.nan_to_num(weights) @ v\n"
        ),
        "padding beside a causal mask": (
            "import torch\nfrom torch import nn\n\nclass Attention(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.value = nn.Linear(4, 4)\n"
            '        self.register_buffer("causal", torch.ones(4, 4).tril() == 0)\n\n'
            "    def forward(self, x, padding: torch.BoolTensor):\n"
            "        scores = (x @ x.mT).masked_fill(self.causal | padding, -torch.inf)\n"
            "        return torch.softmax(scores, dim=-1) @ self.value(x)\n"
        ),
        "queries masked as well": (
            "import torch\n\ndef attend(q, k, v, valid: torch.BoolTensor):\n"
            "    mask = valid[:, None] & valid[None, :]\n"
            '    scores = (q @ k.T).masked_fill(~mask, float("-inf"))\n'
            "    return torch.softmax(scores, dim=-1) @ v\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "causal buffer": (
            "import torch\nfrom torch import nn\n\nclass Attention(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n"
            '        self.register_buffer("bias", torch.tril(torch.ones(64, 64)))\n\n'
            "    def forward(self, x):\n        n = x.shape[-2]\n"
            '        scores = (x @ x.mT).masked_fill(self.bias[:n, :n] == 0, float("-inf"))\n'
            "        return torch.softmax(scores, dim=-1) @ x\n"
        ),
        "added causal mask": (
            "import torch\n\ndef attend(scores, v):\n"
            '    bias = torch.triu(torch.full(scores.shape[-2:], float("-inf")), diagonal=1)\n'
            "    return torch.softmax(scores + bias, dim=-1) @ v\n"
        ),
        "finite fill": (
            "import torch\n\ndef attend(scores, v, mask: torch.BoolTensor):\n"
            "    return torch.softmax(scores.masked_fill(mask, torch.finfo(scores.dtype).min), -1) @ v\n"
        ),
        "nan overwritten": (
            "import torch\n\ndef attend(scores, v, mask: torch.BoolTensor):\n"
            "    return torch.softmax(scores.masked_fill(mask, -torch.inf), -1).nan_to_num() @ v\n"
        ),
        "first position kept": (
            "import torch\n\ndef attend(scores, v, mask: torch.BoolTensor):\n"
            "    kept = torch.arange(mask.shape[-1]) == 0\n    mask = mask & ~kept\n"
            "    return torch.softmax(scores.masked_fill(mask, -torch.inf), -1) @ v\n"
        ),
        "covered rows left alone": (
            "import torch\n\ndef attend(scores, v, mask: torch.BoolTensor):\n"
            "    mask = mask & ~mask.all(-1, keepdim=True)\n"
            "    return torch.softmax(scores.masked_fill(mask, -torch.inf), -1) @ v\n"
        ),
        "positions": (
            "import torch\n\ndef attend(scores, v):\n    i = torch.arange(scores.shape[-1])\n"
            "    return torch.softmax(scores.masked_fill(i > i[:, None], -torch.inf), -1) @ v\n"
        ),
    }
    fixed: ClassVar[Mapping[str, str]] = {
        "in place under a condition": (
            "import math\nimport torch\n\ndef attend(scores, v, mask: torch.BoolTensor):\n"
            "    scores = scores / 8\n    if mask is not None:\n"
            "        scores.masked_fill_(~mask, torch.finfo(scores.dtype).min)\n"
            "    return torch.softmax(scores, -1) @ v\n"
        ),
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report fills with -inf that reach a softmax through a mask that may cover a row."""
        for softmax in trace.differentiated("softmax", "log_softmax"):
            for fill in fills(softmax.value(0)):
                is_late = is_overwritten(trace, softmax)
                if is_considered(trace, fill) or (is_late and fill.added is None):
                    continue
                severity, message = weigh(softmax, fill, is_late)
                site = fill.application.site
                place = (site if site.path == trace.scope.path else softmax.site).node.span
                related = (Related(softmax.site.node.span, "the softmax"),)
                claimed, fix = claim(trace, softmax, fill), finite(trace, fill)
                yield self.finding(place, message, claimed, severity=severity, related=related, fix=fix)
