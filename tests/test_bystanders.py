"""What is known of functions that need not be followed, where their source is read and where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradlint.lint.models import models

CONFIGURED = """
import torch
from torch import nn
from transformers.activations import ACT2FN


class Config:
    def __init__(self, act: str = {act!r}):
        self.hidden_act = act


class Net(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.lin = nn.Linear(16, 16)
        self.act = ACT2FN[config.hidden_act]

    def forward(self, x):
        return self.act(self.lin(x))


net = Net(Config())
"""

LIBRARY = {
    "transformers/__init__.py": "",
    "transformers/utils/__init__.py": "",
    "transformers/utils/generic.py": """
def can_return_tuple(func):
    def wrapper(self, *args, **kwargs):
        return unknown(func(self, *args, **kwargs))
    return wrapper
""",
    "transformers/modeling_utils.py": """
class AttentionInterface(dict):
    def get_interface(self, implementation, default):
        return super().get(implementation, default)

ALL_ATTENTION_FUNCTIONS = AttentionInterface()
""",
    "transformers/modeling_small.py": """
import torch
from torch import nn
from .modeling_utils import ALL_ATTENTION_FUNCTIONS
from .utils.generic import can_return_tuple


def eager(x, gate):
    return torch.sigmoid(gate) * x


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(16, 16)

    @can_return_tuple
    def forward(self, x):
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config.implementation, eager)
        return attend(self.lin(x), x)
""",
}


@pytest.mark.parametrize(
    ("name", "op"), [("gelu", "gelu"), ("swish", "silu"), ("gelu_new", "gelu"), ("tanh", "tanh")]
)
def test_activations_have_the_names_of_configurations(tmp_path: Path, name: str, op: str) -> None:
    path = tmp_path / "net.py"
    path.write_text(CONFIGURED.format(act=name))
    (graph,) = models(str(path), "Net")
    assert [node.op for node in graph.nodes] == ["input", "linear", op]
    assert not graph.reasons


def test_other_activations_stay_unknown(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(CONFIGURED.format(act="own"))
    (graph,) = models(str(path), "Net")
    assert graph.reasons


def test_plain_implementations_and_functions_behind_decorators_are_read(tmp_path: Path) -> None:
    for name, text in LIBRARY.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (graph,) = models(str(tmp_path / "transformers" / "modeling_small.py"), "Small")
    assert [node.op for node in graph.nodes] == ["input", "linear", "sigmoid", "mul"]
    assert not graph.reasons


CHECKED = {
    "transformers/__init__.py": "",
    "transformers/utils/__init__.py": "",
    "transformers/utils/generic.py": """
from collections import OrderedDict
from dataclasses import fields


class ModelOutput(OrderedDict):
    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            for key, item in iter(value):
                setattr(self, key, item)
""",
    "transformers/configuration_utils.py": """
from dataclasses import dataclass


@dataclass
class PreTrainedConfig:
    def __post_init__(self, **kwargs):
        for key, value in kwargs.items():
            setattr(self, key, value)
        self.__dict__.update(unknown(self))
""",
    "transformers/modeling_small.py": """
from dataclasses import dataclass
from torch import nn
from .configuration_utils import PreTrainedConfig
from .utils.generic import ModelOutput


@dataclass
class SmallConfig(PreTrainedConfig):
    width: int = 16
    is_deep: bool = False


@dataclass
class Output(ModelOutput):
    hidden: object = None


class Model(nn.Module):
    def __init__(self, config: SmallConfig):
        super().__init__()
        self.config, self.lin = config, nn.Linear(config.width, config.width)

    def forward(self, x):
        x = self.lin(x)
        if self.config.is_deep:
            x = x.sigmoid()
        return Output(hidden=x).hidden


model = Model(SmallConfig())
""",
}


def test_what_is_made_of_fields_is_not_changed_by_the_checks_of_the_library(tmp_path: Path) -> None:
    for name, text in CHECKED.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (graph,) = [
        each for each in models(str(tmp_path / "transformers/modeling_small.py")) if each.name == "Model"
    ]
    assert [node.op for node in graph.nodes] == ["input", "linear"]
    assert not graph.reasons
