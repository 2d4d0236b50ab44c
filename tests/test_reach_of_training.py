"""Definitions are read as training wherever what trains is named: by members, within functions, by dots."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

import gradlint

STEPPER = """
class Stepper:
    def __init__(self, o):
        self.o = o

    def up(self, loss):
        loss.backward()
        self.o.step()

    def __call__(self, loss):
        self.up(loss)
"""

TRAINER = """
import torch
from torch import nn


class Trainer:
    def __init__(self, m):
        self.m = m
        self.o = torch.optim.SGD(m.parameters(), lr=0.1)
        self.s = Stepper(self.o)

    def fit(self, loader):
        for x, y in loader:
            loss = nn.functional.mse_loss(self.m(x), y)
            {call}
"""

GO = """
def go(model, opt, loader, lossf):
    for x, y in loader:
        opt.zero_grad()
        lossf(model(x), y).backward()
        opt.step()
"""

MAIN = """
import torch
from torch import nn
{above}

def main(loader):
    {within}
    model = nn.Linear(10, 1)
    other = nn.Linear(10, 1)
    opt = torch.optim.SGD(other.parameters(), lr=0.1)
    {call}(model, opt, loader, nn.MSELoss())
"""

DIRECT = """
import torch
from torch import nn

model = nn.Linear(10, 1)
opt = torch.optim.SGD(model.parameters(), lr=0.1)


def fit(loader):
    for x, y in loader:
        loss = nn.functional.mse_loss(model(x), y)
        {backward}
        {step}
"""


def rules(folder: Path) -> set[str]:
    return {finding.rule for finding in gradlint.check([str(folder)], isolated=True)}


@pytest.mark.parametrize("call", ["self.s.up(loss)", "self.s(loss)"])
def test_what_an_attribute_does_is_read(tmp_path: Path, call: str) -> None:
    (tmp_path / "train.py").write_text(TRAINER.format(call=call) + STEPPER)
    assert "GRD501" in rules(tmp_path)


@pytest.mark.parametrize(
    ("above", "within", "call"),
    [
        ("from helper import go", "", "go"),
        ("", "from helper import go", "go"),
        ("", "import helper", "helper.go"),
        ("import pkg.sub.helper", "", "pkg.sub.helper.go"),
        ("import pkg.sub.helper as h", "", "h.go"),
        ("from pkg.sub import helper", "", "helper.go"),
        ("from pkg.sub import *", "", "helper.go"),
        ("", "import os, helper", "helper.go"),
        ("", "import os as o, helper as h", "h.go"),
        ("", "x = 1; from helper import go", "go"),
        ("", "from helper import \\\n        go", "go"),
        ("", "if loader: from helper import go", "go"),
        ("from helper import go\nways = {}\nways['a'] = go", "", "ways['a']"),
        ("from helper import go\nways = {}\nways.update(a=go)", "", "ways['a']"),
        ("import helper\nclass A:\n    way = helper", "", "A.way.go"),
    ],
)
def test_imports_are_followed_wherever_they_stand(tmp_path: Path, above: str, within: str, call: str) -> None:
    (tmp_path / "pkg" / "sub").mkdir(parents=True)
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "sub" / "__init__.py").write_text("from . import helper\n")
    for folder in (tmp_path, tmp_path / "pkg" / "sub"):
        (folder / "helper.py").write_text(GO)
    (tmp_path / "train.py").write_text(MAIN.format(above=above, within=within or "pass", call=call))
    assert "GRD510" in rules(tmp_path)


@pytest.mark.parametrize(
    ("backward", "step"),
    [
        ("loss.backward()", "opt.step()"),
        ("loss. backward()", "opt. step()"),
        ('getattr(loss, "backward")()', 'getattr(opt, "step")()'),
        ("loss.\N{MATHEMATICAL BOLD SMALL B}ackward()", "opt.\N{MATHEMATICAL BOLD SMALL S}tep()"),
        ('print(f"""{loss.backward()}', '{opt.step()}""")'),
        ("'#', loss.backward()", "opt.step()#"),
    ],
)
def test_acts_are_seen_in_every_spelling(tmp_path: Path, backward: str, step: str) -> None:
    (tmp_path / "train.py").write_text(DIRECT.format(backward=backward, step=step))
    assert "GRD501" in rules(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        '''"""What \\""" begins ends at the next three."""''',
        '''"""One."""; """Two # three."""''',
        "s = b'x'",
        "s = 3j  # not a number that matters",
    ],
)
def test_texts_and_constants_hide_nothing(tmp_path: Path, line: str) -> None:
    code = DIRECT.format(backward="loss.backward()", step="opt.step()") + '    print("""done""")\n'
    (tmp_path / "train.py").write_text(code.replace("def fit(loader):\n", f"def fit(loader):\n    {line}\n"))
    assert "GRD501" in rules(tmp_path)


def test_a_finding_is_lost_to_no_file_that_is_not_read_for_training(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text(GO)
    (tmp_path / "between.py").write_text("import torch\nfrom engine import go\n\ndef run(*a):\n    go(*a)\n")
    above = "from between import run"
    (tmp_path / "main.py").write_text(MAIN.format(above=above, within="pass", call="run"))
    assert "GRD510" in rules(tmp_path)


def test_a_script_that_keeps_what_training_gives_is_read(tmp_path: Path) -> None:
    script = MAIN.partition("def main")[2].partition("\n")[2]
    code = textwrap.dedent(script.format(within="loader = data()", call="history = go"))
    (tmp_path / "train.py").write_text(MAIN.partition("{above}")[0] + GO + code)
    assert "GRD510" in rules(tmp_path)


def test_what_never_trains_is_not_run(tmp_path: Path) -> None:
    from gradlint.lint.models import Texts
    from gradlint.semantics.project import Project
    from gradlint.training.reach import Reach

    path = tmp_path / "model.py"
    path.write_text(
        "def make():\n    return net()\n\n\ndef net():\n    return 1\n\n\ndef fit(l):\n    l.backward()\n"
    )
    texts = Texts()
    scope = Project(texts.facts, texts.lower).scope(str(path))
    reach = Reach(Project(texts.facts, texts.lower))
    reach.begin(scope, texts.text(str(path)))
    assert [reach.leads(scope, name) for name in ("make", "net", "fit")] == [False, False, True]


LEARNER = """
import torch
from torch import nn


class Learner:
    def __init__(self):
        self.net = nn.Linear(4, 2)
        self.opt = torch.optim.SGD(self.net.parameters(), lr=1e-2)

    def learn(self, x, y):
        loss = nn.functional.mse_loss(self.net(x), y)
        loss.backward()
        self.opt.step()
"""
LEARN = "learner = Learner()\nfor x, y in torch.load('data'):\n    learner.learn(x, y)\n"


@pytest.mark.parametrize(
    "script",
    [
        LEARN,
        f"if __name__ == '__main__':\n{textwrap.indent(LEARN, '    ')}",
        f"def main(*rest):\n{textwrap.indent(LEARN, '    ')}\n\nmain()\n",
        f"def main(rest):\n{textwrap.indent(LEARN, '    ')}\n\nargs = 1\nmain(args)\n",
    ],
)
def test_a_script_without_a_word_of_training_is_read(tmp_path: Path, script: str) -> None:
    (tmp_path / "learner.py").write_text(LEARNER)
    (tmp_path / "main.py").write_text(f"import torch\nfrom learner import Learner\n\n{script}")
    assert "GRD501" in rules(tmp_path)
