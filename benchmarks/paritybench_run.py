"""Runs the test cases of one file of paritybench and tells which layers ran, in which order."""

from __future__ import annotations

import importlib.util
import os
import resource
import sys
import tempfile
import types
import unittest
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch
from msgspec import Struct
from torch import nn

_MEMORY = 16 << 30
_SECONDS = 120


class Ran(Struct, frozen=True):
    """What one module ran: the paths of its layers with parameters, in order.

    `leaves` are all those that it has, `of_torch` the ones that torch defines, `connected` those that got
    a gradient from the outputs.
    """

    order: list[str]
    leaves: frozenset[str]
    of_torch: frozenset[str]
    connected: frozenset[str]


class _Config(dict[str, Any]):
    """Settings that are read as attributes."""

    __getattr__ = dict.__getitem__


class _Block(nn.ReLU):
    """A layer without parameters that takes the place of one that is not known."""

    expansion = 1


def _layer(in_features: Any = None, out_features: Any = None, *_: Any, **settings: Any) -> nn.Module:
    return nn.Linear(in_features, out_features, **settings) if in_features and out_features else _Block()


class _Absent(types.ModuleType):
    """A package that is not installed."""

    __path__: list[str] = []
    __all__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


class _Absence:
    """Finds every module that nothing else finds."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec:
        return ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        return _Absent(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        return None


def run_file(path: Path) -> Iterator[tuple[int, Ran]]:
    """The test cases of a file that run, with their places in its list."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    os.chdir(tempfile.mkdtemp())
    torch.set_num_threads(1)
    try:
        rows = _imported(path).TESTCASES
    except BaseException:
        return
    for position, (cls, constructor, inputs, _) in enumerate(rows):
        ran = _case(cls, constructor, inputs)
        if ran is not None:
            yield position, ran


def _case(cls: Any, constructor: Any, inputs: Any) -> Ran | None:
    try:
        torch.manual_seed(0)
        positional, named = constructor()
        return _run(cls(*positional, **named), *inputs())
    except BaseException:
        return None


def _imported(path: Path) -> Any:
    stub: Any = types.ModuleType("_paritybench_helpers")
    stub._mock_config, stub._mock_layer = _Config, _layer
    stub.patch_functional, stub._fails_compile = lambda: None, lambda: lambda test: test
    stub._paritybench_base = unittest.TestCase
    sys.modules["_paritybench_helpers"] = stub
    sys.meta_path.append(_Absence())  # type: ignore[arg-type]
    spec = importlib.util.spec_from_file_location("subject", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules["subject"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _run(model: nn.Module, positional: Sequence[Any], named: dict[str, Any]) -> Ran:
    """One forward pass in training mode, with hooks, and a backward pass."""
    order: list[str] = []
    leaves = {name: module for name, module in model.named_modules() if name and _is_layer(module)}
    for name, module in leaves.items():
        module.register_forward_hook(lambda *_, name=name: order.append(name))
    outputs = [t for t in _tensors(model(*positional, **named)) if t.requires_grad]
    if outputs:
        sum([(t * torch.randn_like(t)).sum() for t in outputs]).backward()  # type: ignore[union-attr]
    reached = {n for n, m in leaves.items() if any(p.grad is not None for p in m.parameters())}
    of_torch = {name for name, module in leaves.items() if type(module).__module__.startswith("torch.nn.")}
    return Ran(order, frozenset(leaves), frozenset(of_torch), frozenset(reached))


def _is_layer(module: nn.Module) -> bool:
    own = any(True for _ in module.parameters(recurse=False))
    return own and (isinstance(module, nn.MultiheadAttention) or not any(True for _ in module.children()))


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
