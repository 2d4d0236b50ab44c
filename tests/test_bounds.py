"""The analysis bounds its own work: hostile code costs little, and hides no finding beside it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gradlint.lint import examine
from gradlint.lint.examine import Examiner, examine_files
from gradlint.lint.outcome import Task
from gradlint.rule.registry import load
from gradlint.source.source import Source

RULES = load()
HAZARD = "torch.log(torch.softmax(x, -1))"
SECONDS = 5


def chain(step: str, times: int = 34) -> str:
    return f"    {step}\n" * times


def function(body: str, parameters: str = "x, y, c") -> str:
    return f"def f({parameters}):\n{body}    return {HAZARD}\n"


def grown(statement: str) -> str:
    return function(f"    a = [x]\n    for i in range(32):\n        {statement}\n")


COLLECTIONS = {
    "a list that holds itself": function(
        "    a = [x]\n    a.append(a)\n    z = torch.stack(a) if c else a\n"
    ),
    "lists that hold each other": function(
        "    a = []\n    b = [a]\n    a.append(b)\n    z = a if c else b\n"
    ),
    "a dict that holds itself": function("    a = {}\n    a['a'] = a\n    a.update(a)\n    torch.relu(a)\n"),
    "objects that hold each other": (
        "class A:\n    def __init__(self, x):\n        self.me = self\n        self.all = [self]\n\n"
        + function(
            "    a, b = A(x), A(x)\n    a.o, b.o = b, a\n    z = a if c else b\n    torch.relu(z.me)\n"
        )
    ),
    "doubled by addition": grown("a = a + a"),
    "doubled in place": grown("a += a"),
    "doubled by extend": grown("a.extend(a)"),
    "doubled by unpacking": grown("a = [*a, *a]"),
    "doubled by a call": "def g(*a): return (*a, *a)\n" + grown("a = g(*a)"),
    "nested lists": function(
        "    a = x\n" + chain("a = [a, a]") + "    b = a if c else [x, x]\n    y = x.reshape(a)\n"
    ),
    "nested modules": (
        "class M(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        m = torch.nn.Linear(2, 2)\n"
        + "        m = torch.nn.Sequential(m, m)\n"
        * 34
        + "        self.all = [m]\n"
        f"    def forward(self, x):\n        return {HAZARD} + self.all[0](x)\n"
    ),
    "diamonds of bases": (
        "class A0(torch.nn.Module): pass\nclass B0(torch.nn.Module): pass\n"
        + "".join(
            f"class A{i}(A{i - 1}, B{i - 1}): pass\nclass B{i}(A{i - 1}, B{i - 1}): pass\n"
            for i in range(1, 40)
        )
        + f"class C(A39, B39):\n    def forward(self, x):\n        return {HAZARD}\n"
    ),
}
NUMBERS = {
    "squares of squares": function("    n = 10\n" + chain("n = n * n")),
    "a power beyond floats": function("    n = (10**18) ** 100\n    y = torch.sqrt(y.clamp(min=n) + n)\n"),
    "the maximum of a long range": function("    n = max(range(10**15))\n"),
    "a range too long to have a length": function("    for i in range(-2**60, 2**61): y = y + i\n"),
    "a loop over one": function("    y = [x for i in range(2**64) for j in range(-2**63, 2**63 - 1)]\n"),
}
VALUES = {
    f"{way} of {step}": function(f"{start}{chain(step)}    {use}\n")
    for step in (
        "y = y + y",
        "y = y * y",
        "y = y / y",
        "y = y @ y",
        "y = y | y",
        "y = (y & c) if c else (y | c)",
    )
    for way, start, use in (
        ("a mask", "", "torch.softmax(x.masked_fill(y, float('-inf')), -1)"),
        ("a test", "", "y = torch.where(y > 0, torch.sqrt(y), x)"),
        ("scores", "    y = x.masked_fill(y, float('-inf'))\n", "torch.softmax(y, -1)"),
        ("a divisor", "    y = x.norm()\n", "y = torch.acos((x * x).sum() / y)"),
        ("a loss", "    y = torch.tensor(0.0)\n", "y.requires_grad_()\n    y.backward()"),
    )
}
LENGTH = {
    "many functions": "".join(f"def g{i}(x): return torch.log(x.softmax({i}))\n" for i in range(2000))
    + function(""),
    "many statements": function("".join(f"    y = torch.sqrt(y + {i})\n" for i in range(3000))),
    "many uses": function(
        "    y = torch.log(x.softmax(0))\n" + "".join(f"    y{i} = y * {i}\n" for i in range(2000))
    ),
    "many imports": "".join(f"from .m{i} import a{i}\n" for i in range(2000)) + function(""),
    "a long line that is not ASCII": "s = 'é'; " + "y = torch.log(0.5); " * 5000 + "\n" + function(""),
    "many branches": function("".join(f"    if c[{i}]: y = y + {i}\n" for i in range(1000))),
    "many returns": function("".join(f"    if c[{i}]: return y\n" for i in range(1000))),
    "many names": "v0 = 1\n"
    + "".join(f"v{i + 1} = v{i} + v{i}\n" for i in range(600))
    + function("    y = v600\n"),
    "calls of calls": (
        "def g0(x): return x\n"
        + "".join(f"def g{i + 1}(x): return g{i}(g{i}(x)) + g{i}(x)\n" for i in range(60))
        + function("    y = g60(y)\n")
    ),
    "loops in loops": function(
        "".join("    " * (i + 1) + f"for i{i} in range(32):\n" for i in range(6)) + " " * 28 + "y = y + 1\n"
    ),
    "classes whose methods make them again": (
        "def make(y):\n    class A(torch.autograd.Function):\n"
        + "".join(f"        def {name}(self, y): return torch.sqrt(make(y).apply(y))\n" for name in "abc")
        + "    return A\n"
        + function("    y = make(y)\n")
    ),
    "loops in a comprehension": function("    y = [y + 1 " + "for i in range(32) " * 6 + "]\n"),
}
DEPTH = {
    "a long sum": function("    y = " + " + ".join("y" * 900) + "\n"),
    "a long text": "TEXT = " + " + ".join(["'a'"] * 1500) + "\n" + function(""),
    "a long chain of methods": function(f"    y = y{'.relu()' * 900}\n"),
    "a long chain of elif": function(
        "    if c == 0: pass\n" + "".join(f"    elif c == {i}: y = {i}\n" for i in range(900))
    ),
    "nested conditions": function("    y = " + "x if c else (" * 80 + "y" + ")" * 80 + "\n"),
}


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, id=name)
        for cases in (COLLECTIONS, NUMBERS, VALUES, LENGTH, DEPTH)
        for name, code in cases.items()
    ],
)
def test_work_is_bounded_and_hides_nothing(code: str) -> None:
    text = f"import torch\n{code}"
    started = time.process_time()
    outcome = Examiner(RULES).examine_source(Source("hostile.py", text))
    assert time.process_time() - started < SECONDS
    last = text.count("\n", 0, text.rindex(HAZARD)) + 1
    assert ("GRD603", last) in {(finding.rule, finding.span.line) for finding in outcome.findings}
    assert not [finding.message for finding in outcome.findings if finding.rule in ("GRD000", "GRD001")]


def test_forgetting_changes_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helper.py").write_text("import torch\n\ndef safe(x): return torch.log(x)\n")
    code = (
        f"import torch\nfrom helper import safe\n\ndef f(x): return safe(torch.softmax(x, -1)) + {HAZARD}\n"
    )
    paths = [tmp_path / f"m{i}.py" for i in range(4)]
    for path in paths:
        path.write_text(code)
    tasks = [Task(str(path)) for path in paths]
    remembered = examine_files(tasks, None, "")
    monkeypatch.setattr(examine, "MOST_HELD", 0)
    assert examine_files(tasks, None, "") == remembered
    assert all(len(outcome.findings) == 2 for outcome in remembered)


@pytest.mark.parametrize("content", [b"x = '\xff'\n", b"\0", b"def (:\n", b"# coding: nonsense\n", None])
def test_an_unreadable_import_hides_nothing(tmp_path: Path, content: bytes | None) -> None:
    other = tmp_path / "other.py"
    other.mkdir() if content is None else other.write_bytes(content)
    main = tmp_path / "main.py"
    main.write_text(f"import torch\nimport other\nfrom other import *\nfrom other import g\n\n{function('')}")
    (outcome,) = examine_files([Task(str(main))], None, "")
    assert [finding.rule for finding in outcome.findings] == ["GRD603"]
