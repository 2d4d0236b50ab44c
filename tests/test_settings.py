"""Settings that code takes from files and from its command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

import gradlint
from gradlint.records.graph import Setting
from gradlint.records.training import Training
from gradlint.semantics import settings_file
from gradlint.semantics.project import Project
from gradlint.semantics.settings_file import UNKNOWN, Folder, composed, merged, resolved
from gradlint.syntax.extract import extract, lower_omitted
from gradlint.training.build import Trainings


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def trainings(folder: Path, code: str, files: Mapping[str, str] | None = None) -> list[Training]:
    write(folder, {"train.py": code, **(files or {})})

    def text_of(path: str) -> str:
        return Path(path).read_text()

    project = Project(
        lambda path: extract(text_of(path), {}, outline=True),
        lambda path, omitted: lower_omitted(text_of(path), omitted),
    )
    return list(Trainings(project).of(project.scope(str(folder / "train.py")), code))


def optimizers(found: list[Training]) -> dict[str, dict[str, Setting]]:
    return {
        thing.type.rpartition(".")[2]: thing.settings
        for training in found
        for thing in training.things
        if thing.kind == "optimizer"
    }


LOOP = """
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
"""
TRAINED = f"""
import torch
from torch import nn
{{reading}}

def train(cfg):
    model = nn.Linear(4, 4)
    optimizer = torch.optim.Adam(model.parameters(), {{given}})
{LOOP}

if __name__ == "__main__":
    train({{cfg}})
"""
YAML = "optim:\n  lr: 0.5\n  weight_decay: 1.0e-2\nname: net\n"
READINGS = {
    "yaml": ("import yaml", 'yaml.safe_load(open("s.yaml"))', 'lr=cfg["optim"]["lr"]', {"s.yaml": YAML}),
    "yaml by keywords": ("import yaml", 'yaml.safe_load(open("s.yaml"))', '**cfg["optim"]', {"s.yaml": YAML}),
    "yaml through a block": (
        "import yaml\nwith open('s.yaml') as file:\n    SETTINGS = yaml.load(file, Loader=yaml.SafeLoader)",
        "SETTINGS",
        'lr=cfg.get("optim").get("lr", 1.0)',
        {"s.yaml": YAML},
    ),
    "yaml by a path": (
        "import os, yaml\nfrom pathlib import Path",
        'yaml.safe_load(Path(os.path.join("conf", "s.yaml")).read_text())',
        'lr=cfg["optim"]["lr"]',
        {"conf/s.yaml": YAML},
    ),
    "text of a number": (
        "import yaml",
        "yaml.safe_load(open('s.yaml'))",
        'lr=float(cfg["lr"])',
        {"s.yaml": "lr: 5e-1"},
    ),
    "json": ("import json", 'json.load(open("s.json"))', 'lr=cfg["lr"]', {"s.json": '{"lr": 0.5}'}),
    "toml": (
        "import tomllib",
        'tomllib.load(open("s.toml", "rb"))',
        'lr=cfg["optim"]["lr"]',
        {"s.toml": "[optim]\nlr = 0.5\n"},
    ),
    "OmegaConf": (
        "from omegaconf import OmegaConf",
        'OmegaConf.load("s.yaml")',
        "lr=cfg.optim.lr",
        {"s.yaml": "base: 5e-1\noptim:\n  lr: ${base}\n"},
    ),
    "argparse": (
        "import argparse\n\ndef parsed():\n    parser = argparse.ArgumentParser()\n"
        "    group = parser.add_argument_group('training')\n"
        "    group.add_argument('-r', '--learning-rate', type=float, default='0.5')\n"
        "    return parser.parse_args()",
        "parsed()",
        "lr=cfg.learning_rate",
        {},
    ),
    "computed": (
        "import argparse\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', type=float, default=0.25)\nargs = parser.parse_args()",
        "args",
        "lr=2 * cfg.lr",
        {},
    ),
}


@pytest.mark.parametrize("title", READINGS)
def test_settings_are_what_they_are_by_default(title: str, tmp_path: Path) -> None:
    reading, cfg, given, files = READINGS[title]
    found = optimizers(trainings(tmp_path, TRAINED.format(reading=reading, cfg=cfg, given=given), files))
    assert found["Adam"]["lr"] == 0.5
    assert "lr" in str(found["Adam"]["defaults"]).split()


UNREADABLE = {
    "no such file": ("import yaml", 'yaml.safe_load(open("t.yaml"))', 'lr=cfg["lr"]', {}),
    "not a table": ("import yaml", 'yaml.safe_load(open("s.yaml"))', 'lr=cfg["lr"]', {"s.yaml": "- 1\n"}),
    "broken": ("import yaml", 'yaml.safe_load(open("s.yaml"))', 'lr=cfg["lr"]', {"s.yaml": "lr: [0.5\n"}),
    "missing": (
        "from omegaconf import OmegaConf",
        'OmegaConf.load("s.yaml")',
        "lr=cfg.lr",
        {"s.yaml": "lr: ???\n"},
    ),
    "required": (
        "import argparse\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', type=float, required=True)\nargs = parser.parse_args()",
        "args",
        "lr=cfg.lr",
        {},
    ),
    "a flag": (
        "import argparse\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', action='store_true')\nargs = parser.parse_args()",
        "args",
        "lr=cfg.lr",
        {},
    ),
    "written over": (
        "import argparse\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', type=float, default=0.5)\nargs = parser.parse_args()\nargs.lr = other()",
        "args",
        "lr=cfg.lr",
        {},
    ),
}


@pytest.mark.parametrize("title", UNREADABLE)
def test_settings_that_are_not_known(title: str, tmp_path: Path) -> None:
    reading, cfg, given, files = UNREADABLE[title]
    found = optimizers(trainings(tmp_path, TRAINED.format(reading=reading, cfg=cfg, given=given), files))
    assert found["Adam"] == {"lr": None}


CHOSEN = f"""
import argparse
import torch
from torch import nn

def train():
    parser = argparse.ArgumentParser()
    parser.add_argument("--optimizer", default="{{default}}", choices=["sgd", "adam"])
    parser.add_argument("--lr", type=float, default=0.5)
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    model = nn.Linear(4, 4)
    if {{test}}:
        optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
{LOOP}
"""


@pytest.mark.parametrize(
    ("test", "default", "adam", "sgd"),
    (
        ('args.optimizer == "adam"', "adam", 0.5, None),
        ('args.optimizer == "adam"', "sgd", None, 0.5),
        ('args.optimizer.lower() != "sgd"', "SGD", None, 0.5),
        ('args.optimizer in ("adam", "adamw")', "sgd", None, 0.5),
        ("not args.plain", "sgd", 0.5, None),
        ('args.plain and args.optimizer == "adam"', "adam", None, 0.5),
        ("unknown()", "sgd", 0.5, 0.5),
    ),
)
def test_defaults_count_on_ways_that_a_run_by_default_takes(
    test: str, default: str, adam: float | None, sgd: float | None, tmp_path: Path
) -> None:
    found = optimizers(trainings(tmp_path, CHOSEN.format(test=test, default=default)))
    assert (found["Adam"]["lr"], found["SGD"]["lr"]) == (adam, sgd)


HYDRA = f"""
import hydra
import torch
from torch import nn

@hydra.main(version_base=None, config_path="conf", config_name="train")
def main(cfg):
    model = nn.Linear(4, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=cfg.optim.lr)
{LOOP}

if __name__ == "__main__":
    main()
"""


def test_hydra_gives_its_settings_to_a_function_that_is_called_without(tmp_path: Path) -> None:
    files = {
        "conf/train.yaml": "defaults:\n  - optim: adam\n  - _self_\nseed: 1\n",
        "conf/optim/adam.yaml": "lr: 0.5\n",
    }
    assert optimizers(trainings(tmp_path, HYDRA, files))["Adam"]["lr"] == 0.5


COMPOSED = {
    "train.yaml": (
        "defaults:\n  - base\n  - model: net\n  - /data@train: small\n  - override hydra/launcher: local\n"
        "  - optional local: mine\n  - _self_\nepochs: ${steps.each}\nrate: 1e-3\npath: ${oc.env:HOME}\n"
    ),
    "base.yaml": "epochs: 1\nsteps:\n  each: 20\n",
    "model/net.yaml": "defaults:\n  - part: block\nwidth: 8\n",
    "model/part/block.yaml": "depth: 3\n",
    "disputed.yaml": "defaults:\n  - base\nepochs: 2\n",
    "whole.yaml": "defaults:\n  - model: global\n  - _self_\n",
    "model/global.yaml": "# @package _global_\nseed: 3\n",
}


def test_hydra_composes_its_lists_of_defaults(tmp_path: Path) -> None:
    write(tmp_path, {name: text for name, text in COMPOSED.items() if name != "train.yaml"})
    folder = Folder((str(tmp_path),), set())
    assert composed(folder, ".", "disputed") == {"epochs": UNKNOWN, "steps": {"each": 20}}
    assert composed(folder, ".", "whole") == {"seed": 3}
    text = COMPOSED["train.yaml"]
    write(tmp_path, {"train.yaml": text})
    assert composed(folder, ".", "train") is UNKNOWN  # a group that is renamed, another that may be absent
    kept = [line for line in text.splitlines() if "@" not in line and "optional" not in line]
    write(tmp_path, {"train.yaml": "\n".join(kept)})
    assert composed(folder, ".", "train") == {
        "epochs": 20,
        "steps": {"each": 20},
        "model": {"width": 8, "part": {"depth": 3}},
        "rate": 1e-3,
        "path": UNKNOWN,
    }
    assert str(tmp_path / "model" / "net.yaml") in {str(Path(path)) for path in folder.sought}


def test_references_within_settings() -> None:
    assert resolved({"a": "${b.c}", "b": {"c": "${d}"}, "d": [1, "2e1"]}) == {
        "a": [1, 20.0],
        "b": {"c": [1, 20.0]},
        "d": [1, 20.0],
    }
    assert resolved({"a": "${a}"}) == {"a": UNKNOWN}
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}) == {"a": {"b": 1, "c": 3}}


NETWORK = """
import yaml
from torch import nn

class Net(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        blocks = [(nn.Linear(width, width), nn.Sigmoid()) for _ in range(depth)]
        self.layers = nn.Sequential(*[layer for block in blocks for layer in block])
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.layers(x))

def build():
    cfg = yaml.safe_load(open("net.yaml"))
    return Net(**cfg["model"])
"""


def test_models_are_built_with_settings_and_a_change_of_these_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def rules() -> list[str]:
        cache = str(tmp_path / "cache")
        found = gradlint.check(["net.py"], isolated=True, cache_dir=cache)
        return [each.rule for each in found if each.severity.value == "warning"]

    write(tmp_path, {"net.py": NETWORK})
    assert rules() == []
    write(tmp_path, {"net.yaml": "model:\n  width: 64\n  depth: 8\n"})
    assert rules() == ["GRD101"]
    write(tmp_path, {"net.yaml": "model:\n  width: 64\n  depth: 1\n"})
    assert rules() == []


NETS = """
from torch import nn
from registry import {imported}

{decorator}
class Net(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.rnn = nn.LSTM(3, hidden)

    def forward(self, x):
        return self.rnn(x)[0]
"""
BUILT = """
import torch
from registry import {imported}
from torch import nn

def train(loader):
    model = {made}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
"""
DICTIONARY = """
NETS = {}

def register(name):
    def put(cls):
        NETS[name] = cls
        return cls
    return put

def register_plain(cls):
    NETS[cls.__name__.lower()] = cls
    return cls

def build(name, **given):
    if name not in NETS:
        raise KeyError(name)
    return NETS.get(name)(**given)
"""
CLASS = """
class Registry:
    def __init__(self):
        self._held = dict()

    def register(self, name=None):
        def put(cls):
            self._held[name or cls.__name__] = cls
            return cls
        return put

    def build(self, settings):
        given = settings.copy()
        return self._held[given.pop("type")](**given)

NETS = Registry()
"""
LIBRARY = "from mmengine.registry import Registry\n\nNETS = Registry('nets')\n"
REGISTRIES = {
    "dictionary": (DICTIONARY, '@register("net")', 'NETS["net"](4)'),
    "function": (DICTIONARY, "@register_plain", 'build("net", hidden=4)'),
    "object": (CLASS, "@NETS.register()", 'NETS.build(dict(type="Net", hidden=4))'),
    "object with a name": (CLASS, '@NETS.register("net")', 'NETS.build({"type": "net", "hidden": 4})'),
    "library": (LIBRARY, "@NETS.register_module()", 'NETS.build(dict(type="Net", hidden=4))'),
    "library with a name": (LIBRARY, '@NETS.register_module(name="n")', 'NETS.get("n")(4)'),
}
IMPORTED = {"dictionary": "NETS, register", "function": "build, register_plain"}


@pytest.mark.parametrize("title", REGISTRIES)
def test_registries_are_filled_by_decorators_in_other_files(title: str, tmp_path: Path) -> None:
    registry, decorator, made = REGISTRIES[title]
    imported = IMPORTED.get(title, "NETS")
    files = {
        "registry.py": registry,
        "nets/__init__.py": "",
        "nets/net.py": NETS.format(decorator=decorator, imported=imported),
        "nets/other.py": NETS.format(decorator=decorator, imported=imported).replace("et", "ot"),
    }
    (training,) = trainings(tmp_path, BUILT.format(made=made, imported=imported), files)
    (model,) = [thing for thing in training.things if thing.kind == "model"]
    assert (model.type, model.defined) == ("nets.net.Net", str(tmp_path / "nets" / "net.py"))


def test_a_registry_without_the_name_is_not_known(tmp_path: Path) -> None:
    files = {
        "registry.py": DICTIONARY,
        "net.py": NETS.format(decorator='@register("nets")', imported="NETS, register"),
    }
    code = BUILT.format(made='NETS["net"](4)', imported="NETS")
    (training,) = trainings(tmp_path, code, files)
    assert all(thing.kind != "model" for thing in training.things)


INSTANTIATED = HYDRA.replace("model = nn.Linear(4, 4)", "model = hydra.utils.instantiate(cfg.model)").replace(
    "optimizer = torch.optim.Adam(model.parameters(), lr=cfg.optim.lr)",
    "optimizer = hydra.utils.instantiate(cfg.optim, params=model.parameters())",
)


def test_hydra_instantiates_what_settings_name(tmp_path: Path) -> None:
    files = {
        "conf/train.yaml": (
            "model:\n  _target_: net.Net\n  hidden: 4\noptim:\n  _target_: torch.optim.AdamW\n  lr: 5e-1\n"
        ),
        "registry.py": "",
        "net.py": NETS.format(decorator="", imported="x"),
    }
    found = trainings(tmp_path, INSTANTIATED, files)
    assert optimizers(found)["AdamW"]["lr"] == 0.5
    assert {thing.type for training in found for thing in training.things} >= {"net.Net"}


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "a: &a [*a]\n",
        'a: !!int ""\n',
        "a: !!timestamp foo\n",
        "a: !!bool foo\n",
        "a: !!python/object/apply:os.getcwd []\n",
    ],
)
def test_hostile_settings_are_unknown(text: str) -> None:
    assert settings_file.decoded(text, "yaml") is settings_file.UNKNOWN


def test_references_that_branch_end() -> None:
    data = {"lr": 1.0, "x": ["${x}"] * 12}
    assert settings_file.resolved(data) is settings_file.UNKNOWN
    assert settings_file.resolved({"lr": 1.0, "y": "${lr}"}) == {"lr": 1.0, "y": 1.0}


@pytest.mark.parametrize(
    "defaults",
    ["  - c\n" * 10, '  - "": d\n', '  - "a\\0b"\n', "  - pipe\n"],
    ids=["itself", "", "null", "pipe"],
)
def test_hostile_defaults_are_unknown(tmp_path: Path, defaults: str) -> None:
    (tmp_path / "c.yaml").write_text(f"defaults:\n{defaults}  - _self_\nlr: 1.0\n")
    os.mkfifo(tmp_path / "pipe.yaml")
    folder = settings_file.Folder((str(tmp_path),), set())
    assert settings_file.composed(folder, "", "c") is settings_file.UNKNOWN
