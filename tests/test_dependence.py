"""What was remembered is used again only while nothing that it rests on has changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gradlint.cli.main import run

MODEL = """
from torch import nn
from blocks import *

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for _ in range(12):
            layers += [nn.Linear(64, 64), activation()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)
"""
FEW = 6
"""Neighbours that are searched here."""

SETTINGS = MODEL.replace("from blocks import *", "import json\nCONFIG = json.load(open('net.json'))").replace(
    "activation()", "getattr(nn, CONFIG['activation'])()"
)
REGISTRY = (
    "REGISTRY = {}\n\ndef register(cls):\n    REGISTRY[cls.__name__] = cls\n    return cls\n\n"
    + MODEL.replace("from blocks import *", "").replace("activation()", "REGISTRY['Chosen']()")
)
ENTRY = """
from torch import nn
from {base} import register

@register
class Chosen(nn.{act}):
    pass
"""

HELPER = "import torch\n\ndef norm(x):\n    return torch.sqrt(x)\n"
LOSS = """
import torch
from {module} import *

def loss(first, second):
    return norm(torch.sum((first - second) ** 2, dim=1)).mean()
"""


def act(name: str) -> str:
    return f"from torch import nn\n\ndef activation():\n    return nn.{name}()\n"


def starred(folder: Path) -> Callable[[], None]:
    """A star import behind a star import leads elsewhere."""
    (folder / "model.py").write_text(MODEL)
    (folder / "blocks.py").write_text("from smooth import *\n")
    (folder / "smooth.py").write_text(act("SiLU"))
    (folder / "steep.py").write_text(act("Sigmoid"))
    return lambda: put(folder / "blocks.py", "from steep import *\n")


def behind(folder: Path) -> Callable[[], None]:
    """What stands at the end of two star imports changes."""
    starred(folder)
    return lambda: put(folder / "smooth.py", act("Sigmoid"))


def shadowed(folder: Path) -> Callable[[], None]:
    """Another star import comes behind the first."""
    starred(folder)
    return lambda: put(folder / "blocks.py", "from smooth import *\nfrom steep import *\n")


def registered(folder: Path) -> Callable[[], None]:
    """A file appears beside a registry, and registers what is asked for."""
    package = folder / "models"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text(REGISTRY)
    (package / "other.py").write_text("x = 1\n")
    return lambda: put(package / "chosen.py", ENTRY.format(base="models.model", act="Sigmoid"))


def rooted(folder: Path) -> Callable[[], None]:
    """The distribution begins elsewhere, and with it the folder of a relative path."""
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "model.py").write_text(SETTINGS)
    (folder / "net.json").write_text('{"activation": "SiLU"}')
    (folder / "a" / "net.json").write_text('{"activation": "Sigmoid"}')
    (folder / "setup.py").write_text("")
    return lambda: put(folder / "a" / "pyproject.toml", "")


def uprooted(folder: Path) -> Callable[[], None]:
    """The mark of a distribution is gone."""
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "model.py").write_text(SETTINGS)
    (folder / "net.json").write_text('{"activation": "Sigmoid"}')
    (folder / "a" / "net.json").write_text('{"activation": "SiLU"}')
    (folder / "setup.py").write_text("")
    (folder / "a" / "setup.py").write_text("")
    return (folder / "a" / "setup.py").unlink


def later(folder: Path) -> Callable[[], None]:
    """A module comes into being that two files look for in vain, one file between."""
    choice = "try:\n    from fast import activation\nexcept ImportError:\n    from smooth import activation\n"
    (folder / "blocks.py").write_text(choice)
    (folder / "smooth.py").write_text(act("SiLU"))
    for name in ("model.py", "other.py"):
        (folder / name).write_text(MODEL)
    return lambda: put(folder / "fast.py", act("Sigmoid"))


def packaged(folder: Path) -> Callable[[], None]:
    """A folder becomes a package, whose modules go by other names."""
    (folder / "model.py").write_text(MODEL)
    (folder / "blocks.py").write_text(act("Sigmoid"))
    return lambda: put(folder / "__init__.py", "")


def populated(folder: Path) -> Callable[[], None]:
    """The first file comes into a folder of the package, and initialises the model."""
    package = folder / "models"
    (package / "parts").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text(MODEL.replace("from blocks import *", "activation = nn.SiLU"))
    return lambda: put(package / "parts" / "start.py", "def start():\n    Net().apply(draw)\n")


def thinned(folder: Path) -> Callable[[], None]:
    """Of too many neighbours to be searched a few are left."""
    (folder / "model.py").write_text(MODEL.replace("from blocks import *", "activation = nn.SiLU"))
    others = [folder / f"other{number}.py" for number in range(FEW + 1)]
    for path in others:
        path.write_text("x = 1\n")

    def thin() -> None:
        for path in others[1:]:
            path.unlink()

    return thin


def reached(folder: Path) -> Callable[[], None]:
    """A definition changes that one registry's decorator put into another."""
    for name in ("a", "b"):
        (folder / f"{name}.py").write_text(REGISTRY)
    (folder / "chosen.py").write_text(ENTRY.format(base="b", act="SiLU"))
    return lambda: put(folder / "chosen.py", ENTRY.format(base="b", act="Sigmoid"))


def helped(folder: Path) -> Callable[[], None]:
    """A file of which all is imported gets a function."""
    (folder / "loss.py").write_text(LOSS.format(module="helper"))
    (folder / "helper.py").write_text("x = 1\n")
    return lambda: put(folder / "helper.py", HELPER)


def passed_on(folder: Path) -> Callable[[], None]:
    """A function changes that a package hands on to two files."""
    (folder / "tools").mkdir()
    (folder / "tools" / "__init__.py").write_text("from .deep import norm\n")
    (folder / "tools" / "deep.py").write_text(HELPER.replace("sqrt(x)", "relu(x)"))
    for name in ("loss.py", "other.py"):
        (folder / name).write_text(LOSS.format(module="tools").replace("*\n", "norm\n", 1))
    return lambda: put(folder / "tools" / "deep.py", HELPER)


def changed(folder: Path) -> Callable[[], None]:
    """A table is changed by another statement than the one that makes it."""
    (folder / "model.py").write_text(MODEL.replace("activation()", "nn.SiLU()").replace("12", "SIZES['n']"))
    (folder / "blocks.py").write_text("SIZES = {'n': 12}\n")
    return lambda: put(folder / "blocks.py", "SIZES = {'n': 12}\nSIZES.update(n=1)\n")


def put(path: Path, text: str) -> None:
    path.write_text(text)


CHANGES = (
    *(starred, behind, shadowed, registered, rooted, uprooted),
    *(later, packaged, populated, thinned, reached, helped, passed_on, changed),
)


def found(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> object:
    run(["check", str(folder), "--isolated", "--output-format", "json", *words])
    return [(each["code"], each["message"]) for each in json.loads(capsys.readouterr().out)]


@pytest.mark.parametrize("change", CHANGES)
def test_findings_are_those_that_hold_now(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], Callable[[], None]],
) -> None:
    monkeypatch.setattr("gradlint.semantics.neighbours.MOST", FEW)
    folder = tmp_path / "project"
    folder.mkdir()
    happen = change(folder)
    cache = ("--cache-dir", str(tmp_path / "cache"))
    before = found(folder, capsys, *cache)
    assert before == found(folder, capsys, *cache) == found(folder, capsys, "--no-cache")
    happen()
    after = found(folder, capsys, *cache)
    assert after == found(folder, capsys, "--no-cache")
    assert after != before, "the change shows nothing"


WATCHED = """
import json
from pathlib import Path
from torch import nn

ACTIVATION = json.loads((Path(__file__).parent / "net.json").read_text())["activation"]
""" + MODEL.replace("from blocks import *", "").replace("activation()", "getattr(nn, ACTIVATION)()")


@pytest.mark.torch
@pytest.mark.parametrize("change", ["settings", "neighbour"])
def test_verdicts_are_those_that_hold_now(tmp_path: Path, change: str) -> None:
    """A file that the model opens is changed; a file appears beside it."""
    pytest.importorskip("torch")
    from contextlib import closing

    from gradlint.verify.client import Worker
    from gradlint.verify.plan import Target, task
    from gradlint.verify.remember import Memory
    from gradlint.verify.request import Request

    folder = tmp_path / "project"
    folder.mkdir()
    path = folder / "model.py"
    path.write_text(WATCHED)
    (folder / "net.json").write_text('{"activation": "SiLU"}')
    asked = task(0, Target(str(path), "Net"), [], Request(sys.executable), wants_flow=True)
    count = 0
    with Worker(sys.executable) as worker:
        ask = worker.ask

        def counted(given: object) -> object:
            nonlocal count
            count += 1
            return ask(given)  # type: ignore[arg-type]

        worker.ask = counted  # type: ignore[assignment, method-assign]
        with closing(Memory(worker, sys.executable, str(tmp_path / "cache"))) as memory:
            first = memory.ask(asked)
            assert first.failure is None and memory.ask(asked).seconds == first.seconds and count == 1
            name, text = ("net.json", '{"activation": "Sigmoid"}') if change == "settings" else ("new.py", "")
            (folder / name).write_text(text)
            memory.ask(asked)
    assert count == 2
