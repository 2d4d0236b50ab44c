"""Whatever happens to the files of a project, what was remembered says what reading all anew says."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

import gradlint

NET = """
from torch import nn
{before}

class {name}(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for _ in range(12):
            layers += [nn.Linear(64, 64), {made}]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)
"""
TRAINING = """
import torch
from torch import nn
{before}

def main(loader, model):
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        nn.functional.mse_loss(model(x), y).backward()
        finish(opt)
"""
LOSS = """
import torch
{before}

def loss(first, second):
    return norm(torch.sum((first - second) ** 2, dim=1)).mean()
"""
REGISTRY = "REGISTRY = {}\n\ndef register(cls):\n    REGISTRY[cls.__name__] = cls\n    return cls\n"
ENTRY = "from torch import nn\nfrom {base} import register\n\n@register\nclass Chosen(nn.{act}):\n    pass\n"


def net(before: str, name: str = "Net", made: str = "act()") -> str:
    return NET.format(before=before, name=name, made=made)


ACTS = [
    f"from torch import nn\n\ndef act():\n    return nn.{name}()\n" for name in ("Sigmoid", "SiLU", "Tanh")
]
NORMS = [f"import torch\n\ndef norm(x):\n    return torch.sqrt({x})\n" for x in ("x", "x + 1e-8")]
STEPS = [
    "def finish(opt):\n    opt.step()\n",
    "def finish(opt):\n    opt.step()\n    opt.zero_grad()\n",
]
IMPORTS = [
    "from act import act",
    "from act import *",
    "from pkg.act import act",
    "from pkg import act",
    "from pkg import *",
    "from pkg.deep.act import *\nfrom act import *",
    "try:\n    from fast import act\nexcept ImportError:\n    from act import act",
    "import pkg.act\nact = pkg.act.act",
    "from .act import act",
    "from .deep import act",
]
CHOOSERS = [REGISTRY + net("", "Chooser", "REGISTRY['Chosen']()"), REGISTRY]
ENTRIES = [
    ENTRY.format(base=base, act=act) for base in ("chooser", "pkg.chooser") for act in ("SiLU", "Tanh")
]
USES = [
    "from idle import Two\nprint(Two().spare)\n",
    "def start(m):\n    m.apply(draw)  # Net, Other\n",
    "x = 1\n",
]

PASSING = ["blocks.py", "pkg/blocks.py", "pkg/__init__.py", "pkg/deep/__init__.py"]
FILES: dict[str, list[str]] = {
    **dict.fromkeys(
        ["act.py", "fast.py", "pkg/act.py", "pkg/deep/act.py", "src/act.py", "act/__init__.py"], ACTS
    ),
    **{name: ["", *IMPORTS] for name in PASSING},
    "__init__.py": [""],
    "model.py": [net(each) for each in (*IMPORTS, "from blocks import *")],
    "other.py": [net("from blocks import act", "Other"), net("from model import Net", "Third", "Net()")],
    "pkg/model.py": [net(each, "Inner") for each in (*IMPORTS, "from .blocks import *")],
    "norms.py": [*NORMS, "from pkg.norms import norm\n", "x = 1\n"],
    "pkg/norms.py": NORMS,
    "loss.py": [LOSS.format(before=f"from {each} import norm") for each in ("norms", "pkg", "pkg.norms")],
    "loss2.py": [LOSS.format(before=f"from {each} import *") for each in ("norms", "pkg", "loss")],
    "train.py": [TRAINING.format(before=f"from {each} import finish") for each in ("steps", "pkg.steps")],
    "train2.py": [TRAINING.format(before=f"from {each} import *") for each in ("steps", "train")],
    **dict.fromkeys(["steps.py", "pkg/steps.py"], STEPS),
    **dict.fromkeys(["chooser.py", "pkg/chooser.py"], CHOOSERS),
    **dict.fromkeys(["entry.py", "more/entry.py", "pkg/deep/entry.py"], ENTRIES),
    **dict.fromkeys(["use.py", "pkg/new/use.py"], USES),
    "net.json": ['{"act": "Sigmoid"}', '{"act": "SiLU"}'],
    "read.py": [net("import json\nC = json.load(open('net.json'))", "Read", "getattr(nn, C['act'])()")],
    "read2.py": [net("from read import C", "Read2", "getattr(nn, C['act'])()")],
    "setup.py": [""],
}
"""What every file may say."""

Edit = tuple[str, str | None]
"""A file and what it says from now on, None where it is gone."""


def edit(name: str) -> st.SearchStrategy[Edit]:
    return st.tuples(st.just(name), st.sampled_from([*FILES[name], None]))


EDITS = st.sampled_from(sorted(FILES)).flatmap(edit)
PROJECTS = st.fixed_dictionaries({name: st.sampled_from([None, *texts]) for name, texts in FILES.items()})


def do(edit: Edit, folder: Path) -> None:
    path, text = folder / edit[0], edit[1]
    if text is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    elif path.exists():
        path.unlink()


def found(folder: Path, cache: Path | None = None) -> list[str]:
    """What is found, as texts: a prediction that is no number does not equal itself."""
    kept = None if cache is None else str(cache)
    return [repr(each) for each in gradlint.check(str(folder), preview=True, isolated=True, cache_dir=kept)]


@settings(deadline=None, max_examples=12)
@given(PROJECTS, st.lists(st.lists(EDITS, min_size=1, max_size=3), min_size=3, max_size=6))
def test_warm_is_cold(project: dict[str, str | None], edits: list[list[Edit]]) -> None:
    with TemporaryDirectory() as name:
        folder, cache = Path(name, "project"), Path(name, "cache")
        folder.mkdir()
        for each in project.items():
            do(each, folder)
        assert found(folder, cache) == found(folder)
        for several in edits:
            for each in several:
                do(each, folder)
            assert found(folder, cache) == found(folder), edits
