"""A target that can be constructed and run again and again."""

from __future__ import annotations

import contextlib
import gc
import math
import random
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .fields import Fields
from .fit import FEW, Fitted
from .observe import Run, observe, size
from .redirect import taken_as

BATCH = 64
MANY = 256
STEPS = 8
SIZE = 0.1
"""The length of a step of gradient descent."""


_set_default_dtype, _manual_seed = torch.set_default_dtype, torch.manual_seed
"""Taken before a target can change torch."""


@contextlib.contextmanager
def exact(seed: int, precision: torch.dtype = torch.float64) -> Iterator[None]:
    """Known random numbers, in double precision unless another is asked for, and with gradients."""
    before = torch.get_default_dtype()
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        _manual_seed(seed)
        random.seed(seed)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(seed)
        _set_default_dtype(precision)
        try:
            yield
        finally:
            _set_default_dtype(before)


@dataclass(frozen=True)
class Subject:
    """A target: how it is made, and what it is given for so many time steps.

    `dtype` is that of its parameters and inputs; `seed` is set before it is made. It is run as it is made,
    or after so many `updates` of gradient descent. With `follows_stream` the output of a residual branch is
    looked at behind the sum that it goes into.
    """

    make: Callable[[], nn.Module]
    fitted: Callable[[int], Fitted]
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    seed: int = 0
    steps: int = STEPS
    updates: int = 0
    follows_stream: bool = False
    affordable: Callable[[int], int] = lambda steps: BATCH
    _most: list[int] = field(default_factory=lambda: [MANY])
    _plain: list[bool] = field(default_factory=list)
    _runs: dict[tuple[int, int, torch.dtype, int, int, bool], Run] = field(default_factory=dict)

    def set_up(self) -> contextlib.AbstractContextManager[None]:
        """Random numbers, precision and device for one experiment."""
        taken_as(self.device)
        return exact(self.seed, self.dtype if self.dtype.itemsize > 2 else torch.float32)

    @property
    def batch(self) -> int:
        """How many samples a run takes."""
        return min(self.affordable(self.steps), *self._most)

    @property
    def many(self) -> int:
        """How many samples it takes where units are counted that none of them wakes."""
        return self.batch * MANY // BATCH

    def model(self) -> nn.Module:
        """The model anew, in training mode; of a compiled one, what was compiled."""
        made = self.make()
        return getattr(made, "_orig_mod", made).to(self.dtype).to(self.device).train()

    def descended(self, updates: int) -> nn.Module:
        """The model anew, after so many steps of length `SIZE` along its gradients."""
        model = self.model()
        for _ in range(updates):
            observe(model, *self.inputs())
            _descend([p for p in model.parameters() if p.grad is not None])
        return model

    def inputs(self, batch: int = 0) -> tuple[list[Any], dict[str, Any]]:
        """Random inputs."""
        positional, named = self.fitted(self.steps).draw(batch or self.batch, self.dtype)
        if self.device == "cpu" and not self._plain:
            return positional, named
        moved = [_moved(x, self.device, bool(self._plain)) for x in positional]
        return moved, {name: _moved(x, self.device, bool(self._plain)) for name, x in named.items()}

    def run(self, batch: int = 0, *, counts_units: bool = False) -> Run:
        """One forward and backward pass, remembered; of fewer samples where there is no memory for all.

        Of inputs without a gradient where a model writes into them.
        """
        key = (self.seed, batch or self.batch, self.dtype, self.steps, self.updates, counts_units)
        if key not in self._runs:
            try:
                self._runs[key] = self._observed(batch, counts_units)
            except (MemoryError, RuntimeError) as error:
                if is_in_place(error) and not self._plain:
                    self._plain.append(True)
                    return self.run(batch, counts_units=counts_units)
                is_least = len(self._most) > 1 and self._most[-1] <= FEW
                if batch or is_least or "memory" not in f"{error!r}".lower():
                    raise
                self._most.append(max(self.batch // 8, FEW))
            else:
                return self._runs[key]
            gc.collect()  # errors of the search for inputs hold what they were raised amid
            return self.run(counts_units=counts_units)
        return self._runs[key]

    def _observed(self, batch: int, counts_units: bool) -> Run:
        with self.set_up():
            return observe(self.descended(self.updates), *self.inputs(batch), counts_units=counts_units)


def _descend(trained: list[nn.Parameter]) -> None:
    """Move parameters against their gradients, which are taken away."""
    gradients = [p.grad for p in trained if p.grad is not None]
    norm = math.hypot(*[float(size(gradient)) for gradient in gradients]) or 1.0
    with torch.no_grad():
        for p, gradient in zip(trained, gradients):
            p.sub_(SIZE * gradient / norm)
            p.grad = None


_IN_PLACE = re.compile(r"modified by an inplace operation|used in an in-place operation|modified inplace")


def is_in_place(error: BaseException | None) -> bool:
    """Whether autograd finds that a value was changed in place which it needs as it was."""
    return isinstance(error, RuntimeError) and _IN_PLACE.search(str(error)) is not None


def _moved(value: Any, device: str, is_plain: bool) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to(device).requires_grad_(value.requires_grad and not is_plain)
    if isinstance(value, Fields):
        return Fields({name: _moved(each, device, is_plain) for name, each in value.items()})
    return [_moved(each, device, is_plain) for each in value] if isinstance(value, list) else value


def affordable(make: Callable[[], nn.Module], fitted: Fitted, dtype: torch.dtype, seconds: float) -> int:
    """The largest batch with which a pass takes so many seconds at most, else the smallest that runs.

    It is 0 where only the one found fits. The graph for the backward pass is kept, since that is what
    takes memory.
    """
    sizes: list[int] = []
    took = 0.0
    taken_as("cpu")
    for batch, most in ((FEW, 1.0), (8, 0.25), (BATCH, 1.0)):
        try:
            lasts = _timed(make, fitted, dtype, batch)
        except Exception:
            if sizes:
                break
            continue
        if sizes and lasts > seconds:
            break
        took = lasts
        sizes.append(batch)
        if took > most:
            break
    while len(sizes) > 1 and took > _LONG and not _goes_back(make, fitted, dtype, sizes[-1]):
        sizes.pop()
    return sizes[-1] if sizes else 0


_LONG = 0.1
"""Seconds of a forward pass from which on its backward pass may take more memory than there is."""


def _goes_back(make: Callable[[], nn.Module], fitted: Fitted, dtype: torch.dtype, batch: int) -> bool:
    """Whether there is memory for a backward pass."""
    try:
        with exact(0, dtype):
            model = make().to(dtype).train()
            positional, named = fitted.draw(batch, dtype)
            observe(model, positional, named)
    except MemoryError:
        return False
    except Exception as error:
        return "memory" not in str(error)
    return True


def _timed(make: Callable[[], nn.Module], fitted: Fitted, dtype: torch.dtype, batch: int) -> float:
    """The seconds that a forward pass takes."""
    with exact(0, dtype):
        model = make().to(dtype).train()
        positional, named = fitted.draw(batch, dtype)
        started = time.perf_counter()
        model(*positional, **named)
    return time.perf_counter() - started
