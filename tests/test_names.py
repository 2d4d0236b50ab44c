"""A name is what it is bound to, wherever and however it was bound."""

from __future__ import annotations

from pathlib import Path

import pytest

import gradlint

SUM = "(x ** 2).sum()"


def rules_found(folder: Path, files: dict[str, str], checked: str = "main.py") -> list[tuple[str, int]]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    found = gradlint.check([str(folder / checked)], isolated=True)
    return [(finding.rule, finding.span.line) for finding in found]


@pytest.mark.parametrize(
    ("imports", "expression"),
    [
        ("import torch", f"torch.sqrt({SUM})"),
        ("import torch as t", f"t.sqrt({SUM})"),
        ("import torch.nn", f"torch.sqrt({SUM})"),
        ("import torch.nn.functional as F, torch as th", f"th.sqrt({SUM})"),
        ("from torch import sqrt", f"sqrt({SUM})"),
        ("from torch import sqrt as root", f"root({SUM})"),
        ("from torch import *", f"sqrt({SUM})"),
        ("import torch\nroot = torch.sqrt", f"root({SUM})"),
        ("import torch\nfrom functools import partial\nroot = partial(torch.sqrt)", f"root({SUM})"),
        ("import torch\nroot = lambda v: torch.sqrt(v)", f"root({SUM})"),
        ("import torch", f"torch.Tensor.sqrt({SUM})"),
        ("try:\n    from torch import sqrt\nexcept ImportError:\n    sqrt = None", f"sqrt({SUM})"),
        (
            "if __debug__:\n    from torch import sqrt\nelse:\n    from torch import rsqrt as sqrt",
            f"sqrt({SUM})",
        ),
        ("import torch\nOPS = {'root': torch.sqrt}", f"OPS['root']({SUM})"),
        ("import torch", f"({SUM}).sqrt()"),
        ("import torch", f"({SUM}) ** 0.5"),
        ("import torch\nEPS = 0.0", f"torch.sqrt({SUM} + EPS)"),
    ],
)
def test_every_way_to_bind_a_name_is_followed(tmp_path: Path, imports: str, expression: str) -> None:
    head = f"# torch\n{imports}\n"
    code = f"{head}\n\ndef f(x):\n    return {expression}\n"
    found = rules_found(tmp_path, {"main.py": code})
    assert [rule for rule, _ in found] == ["GRD601"], code


@pytest.mark.parametrize(
    ("imports", "expression"),
    [
        ("import math, torch", "math.sqrt(2)"),
        ("import torch\n\ndef sqrt(v):\n    return v", f"sqrt({SUM})"),
        ("import torch\nfrom jax.numpy import sqrt", f"sqrt({SUM})"),
        ("import numpy as np, torch", f"np.sqrt({SUM})"),
        ("import torch\nEPS = 1e-6", f"torch.sqrt({SUM} + EPS)"),
        ("import torch\nclass torch2:\n    sqrt = staticmethod(lambda v: v)", f"torch2.sqrt({SUM})"),
    ],
)
def test_a_like_name_is_not_enough(tmp_path: Path, imports: str, expression: str) -> None:
    code = f"{imports}\n\n\ndef f(x):\n    return {expression}\n"
    assert rules_found(tmp_path, {"main.py": code}) == [], code


def test_a_local_import_shadows(tmp_path: Path) -> None:
    code = f"import torch\n\ndef f(x):\n    from torch import sqrt as q\n    return q({SUM})\n"
    assert rules_found(tmp_path, {"main.py": code}) == [("GRD601", 5)]
    code = f"from torch import sqrt\n\ndef f(x):\n    sqrt = abs\n    return sqrt({SUM})\n"
    assert rules_found(tmp_path, {"main.py": code}) == []


def test_attributes_of_an_object_are_followed(tmp_path: Path) -> None:
    code = (
        "import torch\nfrom torch import nn as N\n\n\nclass Net(N.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.root = torch.sqrt\n        self.act = N.Softmax(dim=-1)\n\n"
        "    def forward(self, x):\n        return self.root(self.act(x))\n"
    )
    assert rules_found(tmp_path, {"main.py": code}) == [("GRD601", 12)]


HELPERS = """import torch


def root(v):
    return torch.sqrt(v)


def squares(x):
    return (x ** 2).sum()
"""


@pytest.mark.parametrize(
    "imports",
    [
        "from .helpers import root, squares",
        "from pkg.helpers import root, squares",
        "from .helpers import *",
        "from . import helpers\nroot = helpers.root\nsquares = helpers.squares",
        "import pkg.helpers as h\nroot, squares = h.root, h.squares",
        "from pkg import root, squares",
        "from .sub.deep import root, squares",
        "from . import root, squares",
    ],
)
def test_helpers_in_other_files_are_followed(tmp_path: Path, imports: str) -> None:
    files = {
        "pkg/__init__.py": "from .helpers import root, squares as squares\n",
        "pkg/helpers.py": HELPERS,
        "pkg/sub/__init__.py": "",
        "pkg/sub/deep.py": "from ..helpers import *\n",
        "pkg/main.py": f"import torch\n{imports}\n\n\ndef f(x):\n    return torch.sqrt(squares(x))\n",
    }
    line = files["pkg/main.py"].count("\n")
    assert rules_found(tmp_path, files, "pkg/main.py") == [("GRD601", line)]


def test_a_hazard_in_another_file_is_reported_at_the_call(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/helpers.py": HELPERS,
        "pkg/main.py": f"import torch\nfrom .helpers import root\n\n\ndef f(x):\n    return root({SUM})\n",
    }
    assert rules_found(tmp_path, files, "pkg/main.py") == [("GRD601", 6)]
    (finding,) = gradlint.check([str(tmp_path / "pkg/main.py")], isolated=True)
    assert finding.related[0].path.endswith("helpers.py")
    assert finding.related[0].span.line == 5
    assert rules_found(tmp_path, files, "pkg/helpers.py") == []
