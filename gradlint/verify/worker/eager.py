"""Code that is compiled runs as it is written: the gradients are the same, and compiling takes minutes."""

from __future__ import annotations

from typing import Any

import torch


def run_as_written() -> None:
    """From now on `torch.compile` gives back what it is given, until the process ends."""
    torch.compile = _as_it_is
    torch.nn.Module.compile = _nothing  # type: ignore[method-assign]


def _as_it_is(model: Any = None, **options: Any) -> Any:
    """The model or function itself; as a decorator with options, what does that."""
    return _as_it_is if model is None else model


def _nothing(*given: Any, **options: Any) -> None:
    """What a module's own `compile` does."""
