"""GRD606 boundary-inverse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Severity
from gradlint.rule.claims import non_finite_gradient
from gradlint.rule.rule import Rule
from gradlint.semantics.backflow import infinite_gradient
from gradlint.semantics.discard import discards
from gradlint.semantics.tensor import Application, Witness
from gradlint.semantics.trace import Trace


class BoundaryInverse(Rule):
    """The inverse of a bounded function is applied to values at the very end of its domain.

    ### Why is this bad?
    acos'(x) = -1/√(1 - x²) is infinite at ±1, and so are the derivatives of asin, atanh, erfinv, of
    acosh at 1 and of logit at 0 and 1. Cosines of equal or opposite vectors are exactly ±1, and
    rounding takes some of them beyond, where acos itself is nan. `clamp(-1, 1)` puts values onto the
    boundary, or leaves them there: it mends the result, not the gradient at exactly ±1.

    ### How it is verified
    One backward pass on equal rows (for cosines and clamped ones), large inputs (for what saturates)
    or zeros: the gradient at the input is nan or inf. There is no claim where random weights would
    have to be parallel to an input: training does that, no single pass.

    ### When it is fine
    With `clamp(-1 + eps, 1 - eps)`, eps at least 1e-7 in float32, or `logit(x, eps=...)`. An angle
    from `torch.atan2` of a cross and a dot product has a gradient everywhere but at zero vectors. A
    cosine that is compared, averaged or used as it stands needs no guard.

    ### Fix safety
    There is no fix: clamping makes the gradient at the boundary 0, atan2 makes it right.

    ### References
    - [About Nan error using acos() function](https://github.com/pytorch/pytorch/issues/8069)
    - [NaN gradient for torch.cos() / torch.acos()](https://discuss.pytorch.org/t/nan-gradient-for-torch-cos-torch-acos/9617)
    - [Numerically stable acos dot product derivative](https://discuss.pytorch.org/t/numerically-stable-acos-dot-product-derivative/12851)
    - [About the range of cosine](https://github.com/ronghuaiyang/arcface-pytorch/issues/68)
    """

    id = "GRD606"
    name = "boundary-inverse"
    severity = Severity.WARNING
    help = "clamp the operand to the inside of the domain, or take the angle from torch.atan2"
    triggers: ClassVar[Mapping[str, str]] = {
        "cos": r"(?<!math\.a)(?<!np\.arc)(?<!np\.a)(?<=a)cos_?\b|(?<=arc)cosh?_?\b|(?<=a)cosh_?\b",
        "sin": r"(?<!math\.a)(?<!np\.arc)(?<!np\.a)(?<=a)sin_?\b|(?<=arc)sin_?\b",
        "tanh": r"(?<!math\.a)(?<=a)tanh_?\b|(?<=arc)tanh_?\b",
        "logit": r"(?<![\w.])torch\.logit\b|(?<=\.)logit_?\(|(?<=special\.)logit\b|(?<=import )logit\b",
        "erfinv": "",
    }
    bad: ClassVar[Mapping[str, str]] = {
        "angle between vectors": (
            "import torch\nimport torch.nn.functional as F\n\ndef angle(x, y):\n"
            "    return torch.acos(F.cosine_similarity(x, y, dim=-1))\n"
        ),
        "clamped to the boundary": "import torch\n\ndef angle(c):\n    return c.clamp(-1.0, 1.0).acos()\n",
        "cosine by hand": (
            "def angle(x, y):\n    size = x.norm(dim=-1) * y.norm(dim=-1)\n"
            "    return ((x * y).sum(-1) / (size + 1e-8)).arccos()\n"
        ),
        "divided twice": (
            "import torch as t\n\ndef angles(x, w):\n"
            "    a, b = (x ** 2).sum(1).add(1e-9).sqrt(), (w ** 2).sum(1).add(1e-9).sqrt()\n"
            "    cosine = x @ w.t() / a.view(-1, 1) / b.view(1, -1)\n"
            "    return t.arccos(t.clamp(cosine, -1, 1))\n"
        ),
        "unit rows": (
            "import torch\nfrom torch.nn import functional as F\n\nclass Angles(torch.nn.Module):\n"
            "    def forward(self, a, b):\n        a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)\n"
            "        return torch.asin((a * b).sum(-1))\n"
        ),
        "hyperbolic distance": (
            "import torch\n\ndef distance(x, y):\n    far = (x - y).pow(2).sum(-1)\n"
            "    room = (1 - x.pow(2).sum(-1)) * (1 - y.pow(2).sum(-1))\n"
            "    return torch.acosh(1 + 2 * far / room)\n"
        ),
        "saturated": "import torch\n\ndef undo(x):\n    return torch.atanh(torch.tanh(x))\n",
        "logit of a probability": (
            "import torch\n\ndef logits(x):\n    p = torch.sigmoid(x)\n    return torch.special.logit(p)\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "clamped inside": (
            "import torch\nimport torch.nn.functional as F\n\ndef angle(x, y):\n"
            "    cosine = F.cosine_similarity(x, y, dim=-1)\n"
            "    return torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))\n"
        ),
        "epsilon as a setting": "def angle(c, eps=1e-6):\n    return c.clamp(-1 + eps, 1 - eps).acos()\n",
        "atan2": (
            "import torch\n\ndef angle(x, y):\n    cross = x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]\n"
            "    return torch.atan2(cross, (x * y).sum(-1))\n"
        ),
        "scaled": (
            "import torch\nimport torch.nn.functional as F\n\ndef angle(x, y):\n"
            "    return torch.asin(0.9 * F.cosine_similarity(x, y))\n"
        ),
        "plain cosine": "import torch\n\ndef loss(x, y):\n    return 1 - torch.cosine_similarity(x, y)\n",
        "logit with eps": "import torch\n\ndef undo(x):\n    return torch.logit(x.sigmoid(), eps=1e-6)\n",
        "shrunk": "import torch\n\ndef undo(x):\n    return torch.atanh(0.999 * torch.tanh(x))\n",
        "inside the ball": "import torch\n\ndef far(x):\n    return torch.acosh(1.001 + (x ** 2).sum(-1))\n",
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report each inverse whose operand reaches the end of the domain."""
        elsewhere = discards(trace)
        for application in trace.differentiated("acos", "asin", "atanh", "acosh", "erfinv", "logit"):
            witness = _reached(application)
            if witness is None or application.number in elsewhere:
                continue
            end = {"acosh": "1", "logit": "0 and 1"}.get(application.primitive, "±1")
            name = application.primitive
            message = f"the gradient of {name} is infinite at {end}, which {witness.reason} reaches"
            slope = infinite_gradient(application.value(0))
            if slope is None:
                continue
            claim = non_finite_gradient(trace, application.value(0), slope, witness.condition)
            yield self.finding(application.site.node.span, message, claim)


def _reached(a: Application) -> Witness | None:
    """Why the end of the domain is reached."""
    x = a.facts(0, "input")
    if a.primitive != "logit":
        return x.one
    return None if a.has(1, "eps") else x.one or x.zero
