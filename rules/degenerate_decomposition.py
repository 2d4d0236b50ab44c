"""GRD610 degenerate-decomposition."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Finding, Severity
from gradlint.rule.claims import non_finite_gradient
from gradlint.rule.rule import Rule
from gradlint.semantics.classes import is_module
from gradlint.semantics.ops.decomposition import VECTORS
from gradlint.semantics.tensor import producer
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Value

_DISTINCT = ("rand", "rand_like", "randn", "randn_like", "arange", "linspace", "normal", "logspace")
_KEEPS = ("mul", "div", "add", "sub", "diag", "diag_embed", "to", "unsqueeze", "abs", "neg", "view", "expand")


class DegenerateDecomposition(Rule):
    """The gradient flows through eigenvectors or singular vectors, which equal eigenvalues leave undefined.

    ### Why is this bad?
    The derivative of the vectors divides by the differences λᵢ - λⱼ of eigenvalues (σᵢ² - σⱼ² for
    singular values). Where two are equal it is 0/0 = nan, and near by it grows beyond all bounds:
    a zero or constant batch, an identity, a matrix of low rank, a symmetric shape will do. One such
    sample turns every parameter behind it into nan. This holds for products like `U @ Vh` as well,
    though they are well defined: measured, their gradient is nan where singular values are equal.

    ### How it is verified
    By one backward pass on zeros: all eigenvalues are equal there, and the gradient is nan.

    ### When it is fine
    Through eigenvalues or singular values alone the gradient is finite (`eigvalsh`, `svdvals`).
    It is fine too under `no_grad`, behind `detach`, and where noise or a distinct ramp is added to
    the matrix so that no two eigenvalues agree. Methods of classes that are no modules (data
    transforms, mostly) are passed over.

    ### Fix safety
    There is no fix: which of the remedies fits (detaching, power iteration, a ramp on the diagonal,
    a formulation without the vectors) depends on what the vectors are for.

    ### References
    - [torch.linalg.eigh](https://docs.pytorch.org/docs/stable/generated/torch.linalg.eigh.html), the warnings
    - [SVD backward with several zero singular values](https://github.com/pytorch/pytorch/issues/49886)
    - [nan for repeated eigenvalues](https://discuss.pytorch.org/t/backward-pass-nan-for-repeated-eigenvalues/128049)
    - Wang et al., Backpropagation-Friendly Eigendecomposition, NeurIPS 2019
    """

    id = "GRD610"
    name = "degenerate-decomposition"
    severity = Severity.WARNING
    help = "use the eigenvalues only, detach the vectors, or keep the eigenvalues apart"
    triggers: ClassVar[Mapping[str, str]] = {
        "eig": r"(?<!np\.linalg\.)(?<!numpy\.linalg\.)(?<!\w)eigh?\s*\(",
        "svd": r"(?<!np\.linalg\.)(?<!numpy\.linalg\.)(?<!\w)svd(?:_lowrank)?\s*\(",
        "symeig": "",
        "pca_lowrank": "",
        "lobpcg": "",
    }
    bad: ClassVar[Mapping[str, str]] = {
        "principal axes": (
            "import torch\n\ndef axes(x):\n    values, vectors = torch.linalg.eigh(x.T @ x)\n"
            "    return vectors[:, -1]\n"
        ),
        "whitening": (
            "import torch\nfrom torch.linalg import svd\n\ndef whiten(x):\n"
            "    u, s, vh = svd(x, full_matrices=False)\n    return u @ vh\n"
        ),
        "attribute": (
            "import torch as t\n\ndef project(x):\n    out = t.linalg.svd(x, full_matrices=False)\n"
            "    return x @ out.Vh.mT\n"
        ),
        "method": (
            "import torch\n\ndef low_rank(x):\n    u, s, v = x.svd()\n"
            "    return u[:, :1] * s[:1] @ v[:, :1].T\n"
        ),
        "inverse root in a module": (
            "import torch\nfrom torch import nn\n\nclass Decorrelate(nn.Module):\n    def forward(self, x):\n"
            "        cov = x.T @ x / len(x) + 1e-5 * torch.eye(x.shape[1])\n"
            "        values, q = torch.linalg.eigh(cov)\n"
            "        return x @ q @ torch.diag(values.rsqrt()) @ q.T\n"
        ),
        "item": "import torch\n\ndef frame(x):\n    return torch.linalg.eigh(x @ x.T)[1]\n",
        "helper": (
            "import torch\n\ndef decompose(m):\n    return torch.linalg.eigh(m)\n\ndef leading(x):\n"
            "    vectors = decompose(x.T @ x).eigenvectors\n    return vectors[..., -1]\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "eigenvalues only": (
            "import torch\n\ndef spread(x):\n    values, _ = torch.linalg.eigh(x.T @ x)\n"
            "    return values[-1] - values[0]\n"
        ),
        "singular values": "import torch\n\ndef nuclear(x):\n    return torch.linalg.svdvals(x).sum()\n",
        "second output": "import torch\n\ndef nuclear(x):\n    return torch.linalg.svd(x)[1].sum()\n",
        "detached vectors": (
            "import torch\n\ndef project(x):\n    _, q = torch.linalg.eigh(x.T @ x)\n"
            "    return x @ q.detach()\n"
        ),
        "no gradient": (
            "import torch\n\ndef project(x):\n    with torch.no_grad():\n"
            "        u, s, v = torch.svd_lowrank(x, 2)\n    return x @ v\n"
        ),
        "detached matrix": (
            "import torch\n\ndef project(x):\n    cov = (x.T @ x).detach()\n"
            "    return x @ torch.linalg.eigh(cov)[1]\n"
        ),
        "ramp on the diagonal": (
            "import torch\n\ndef axes(x):\n    ramp = torch.diag(torch.linspace(1.0, 2.0, x.shape[1]))\n"
            "    return torch.linalg.eigh(x.T @ x * 0 + ramp)[1]\n"
        ),
        "numpy": (
            "import numpy as np\nimport torch\n\ndef axes(x):\n"
            "    q = np.linalg.eigh((x.T @ x).detach())[1]\n    return x @ torch.as_tensor(q)\n"
        ),
    }

    def check(self, trace: Trace) -> Iterator[Finding]:
        """Report decompositions whose vectors a gradient comes back to."""
        if trace.owner is not None and not is_module(trace.owner):
            return
        for taken in trace.differentiated(*VECTORS):
            found = producer(taken.value(0))
            if found is None or _keeps_apart(found.value(0), 6):
                continue
            kind = "eigen" if taken.primitive.endswith("eigenvectors") else "singular "
            message = f"the gradient through {kind}vectors is nan where two {kind}values are equal"
            claim = non_finite_gradient(trace, found.value(0), math.nan, "zeros")
            yield self.finding(found.site.node.span, message, claim)


def _keeps_apart(matrix: Value | None, depth: int) -> bool:
    """Whether something random or graded was added to the matrix."""
    made = producer(matrix)
    if made is None or depth == 0:
        return False
    if made.primitive in _DISTINCT:
        return True
    if made.primitive not in _KEEPS and made.primitive != "either":
        return False
    return any(_keeps_apart(operand.value, depth - 1) for operand in made.operands)
