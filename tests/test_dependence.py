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


def put(path: Path, text: str) -> None:
    path.write_text(text)


CHANGES = (starred, behind, shadowed, registered, rooted, uprooted)


def found(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> object:
    run(["check", str(folder), "--isolated", "--output-format", "json", *words])
    return [(each["code"], each["message"]) for each in json.loads(capsys.readouterr().out)]


@pytest.mark.parametrize("change", CHANGES)
def test_findings_are_those_that_hold_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], Callable[[], None]]
) -> None:
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
