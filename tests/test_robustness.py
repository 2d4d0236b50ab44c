"""No text, however strange, makes the analysis fail: it is read, or GRD001 says why not."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradlint.lint.examine import Examiner
from gradlint.records.failure import INTERNAL_ERROR
from gradlint.rule.registry import load
from gradlint.source.source import Source

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import hypothesmith

ROOT = Path(__file__).parent.parent
RULES = load()
TEXTS = ["import torch\n" + code for rule in RULES for code in (*rule.bad.values(), *rule.good.values())]


def examined(text: str) -> list[str]:
    return [finding.rule for finding in Examiner(RULES).examine_source(Source("generated.py", text)).findings]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(hypothesmith.from_grammar())
def test_any_program_of_the_grammar_is_survived(code: str) -> None:
    assert INTERNAL_ERROR not in examined("import torch; x = torch.sqrt(0)\n" + code)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TEXTS), st.integers(0, 2**32))
def test_mutilated_examples_are_survived(text: str, seed: int) -> None:
    chance = random.Random(seed)
    lines = text.split("\n")
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(lines))
        how = chance.randrange(4)
        if how == 0:
            lines.insert(at, lines[chance.randrange(len(lines))])
        elif how == 1:
            del lines[at]
        elif how == 2:
            words = lines[at].split(" ")
            chance.shuffle(words)
            lines[at] = " ".join(words)
        else:
            cut = chance.randint(0, len(lines[at]))
            lines[at] = lines[at][:cut] + chance.choice(
                ["(", ")", "*", "[", "x.", "=", ":", "torch.log(", "\\"]
            )
        lines = lines or [""]
    assert INTERNAL_ERROR not in examined("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\x0c",
        "import torch\nx = " + "(" * 300 + ")" * 300,
        "import torch\nx = " + "-" * 3000 + "1",
        "import torch\ny = torch.sqrt(x" + " + x" * 3000 + ")",
        "import torch\ndef f(x):\n    return f(f(x.log()))\n",
        "import torch\nclass A(A): pass\nclass B(C): pass\nclass C(B):\n    def f(self, x): return x.log()\n",
        "import torch\nx = x\ny = z\nz = y\ntorch.log(y)\n",
        "from . import *\nfrom .. import torch\ntorch.log(x)\n",
        "import torch\nfor i in range(10**9):\n    torch.log(i)\n",
        "import torch\nx = 10**10**10\ntorch.log(x)\n",
        "import torch\nx = 'a' * 10**12\ntorch.log(x)\n",
        "import torch\nx = [[]] * 10**12\nx = 1 << 10**9\ntorch.log(x)\n",
        "import torch\ndef f(*, a, b=1, **k): return torch.log(a[b, ..., 1:2:3, *k])\n",
        "import torch\nwhile True:\n    while True:\n        x = torch.log(x)\n",
        "import torch\n"
        + "".join(f"def f{i}(x): return f{i + 1}(x) + f{i + 1}(x.log())\n" for i in range(60)),
        "import torch\n" + "x = " + " if c else ".join(["torch.log(x)"] * 200) + "\n",
        "import torch\n" + "".join(f"{' ' * i}if x:\n" for i in range(90)) + " " * 90 + "torch.log(x)\n",
        "import torch\nself.a.b.c = torch.log(self)\n",
        "import torch\nx: int\ndel x\nglobal x\nnonlocal y\ntorch.log(x)\n",
        "import torch\nmatch torch.log(x):\n    case {'a': [1, *r], **m} if r: pass\n    case _: pass\n",
        "import torch\n(a, *b), c[0], d.e = f = torch.log(x)\n",
        "import torch\nlambda: (yield torch.log(x))\n",
        "import torch\nq = q.q = q[q] = torch.sqrt((q**2).sum())\n",
        "import torch\n@(lambda f: lambda *a: f(*a).log())\n@(x := torch.sqrt)\ndef f(x): return f(f(x))\n",
        "import torch\ntorch = torch.torch.torch\ntorch.sqrt = torch.log\ntorch.sqrt(torch)\n",
        "import torch\nx = 1 // 0 % 0 / 0.0; torch.log(x); torch.clamp(x, min=1/0, max=-1e999)\n",
        "import torch\ntype X[T: int, *Ts, **P] = torch.sqrt(T)\ndef f[T](x: T): return f'{f'{x.log()}'}'\n",
        "import torch\nmodel = torch.nn.Sequential(torch.nn.Linear(4, 4))\nx = model(torch.rand(4, 4))\n"
        "with torch.inference_mode():\n" + "    x = x * x\n" * 4500,
        "import torch\nasync def f(x):\n    async with x as y: return [z.log() async for z in await y]\n",
    ],
)
def test_hostile_texts_are_survived(text: str) -> None:
    assert INTERNAL_ERROR not in examined(text)
