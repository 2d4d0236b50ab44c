"""A torch that computes nothing and writes down what it is asked to do, line by line."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

Log = list[tuple[str, int]]
PROGRAM = "<program>"


class Stub:
    """Objects of torch whose methods append (kind, line of the program) to `log`."""

    def __init__(self) -> None:
        self.log: Log = []

    def note(self, kind: str) -> None:
        """Write down an event on the line of the program that is being run."""
        frame = sys._getframe(1)
        while frame.f_code.co_filename != PROGRAM:
            assert frame.f_back is not None
            frame = frame.f_back
        self.log.append((kind, frame.f_lineno))

    def _object(self, **methods: str) -> Any:
        made = SimpleNamespace()
        for name, kind in methods.items():
            setattr(made, name, self._method(kind))
        return made

    def _method(self, kind: str) -> Callable[..., Any]:
        def method(*given: Any, **named: Any) -> Any:
            closure = given[0] if given and kind == "step" and callable(given[0]) else None
            if closure is not None:
                closure()
            self.note(kind)

        return method

    def linear(self, *sizes: int) -> Any:
        """A model."""
        stub = self

        class Model:
            parameters = staticmethod(lambda: iter(()))
            train = staticmethod(self._method("train"))
            eval = staticmethod(self._method("eval"))
            zero_grad = staticmethod(self._method("zero"))

            def __call__(self, x: Any) -> Any:
                stub.note("forward")
                return stub.tensor()

        return Model()

    def tensor(self) -> Any:
        """What a model gives: something to compute a loss of."""
        made = self._object(backward="backward")
        made.mean = lambda: made
        return made

    def optimizer(self, *given: Any, **named: Any) -> Any:
        """An optimizer."""
        return self._object(step="step", zero_grad="zero")

    def scaler(self, *given: Any, **named: Any) -> Any:
        """A gradient scaler."""
        made = self._object(step="step", unscale_="unscale", update="update")
        made.scale = lambda loss: loss
        return made

    def module(self) -> ModuleType:
        """The module `torch`, as far as programs use it."""
        torch: Any = ModuleType("torch")
        clip = SimpleNamespace(clip_grad_norm_=self._method("clip"))
        torch.nn = SimpleNamespace(Linear=self.linear, utils=clip)
        schedulers = SimpleNamespace(StepLR=lambda *given, **named: self._object(step="schedule"))
        torch.optim = SimpleNamespace(SGD=self.optimizer, lr_scheduler=schedulers)
        torch.amp = SimpleNamespace(GradScaler=self.scaler)
        return torch  # type: ignore[no-any-return]


@contextmanager
def imported(stub: Stub) -> Iterator[dict[str, Any]]:
    """Globals in which `import torch` gives the stub."""
    usual = builtins.__import__

    def load(name: str, *rest: Any) -> Any:
        return stub.module() if name == "torch" else usual(name, *rest)

    yield {"__builtins__": {**vars(builtins), "__import__": load}, "__name__": "program"}


def run(code: Any, arguments: Any, loader: list[Any]) -> Log:
    """The events of `main(args, loader)` of a compiled program, in order."""
    stub = Stub()
    with imported(stub) as names:
        exec(code, names)
        names["main"](arguments, loader)
    return stub.log
