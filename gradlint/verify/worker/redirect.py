"""Devices that code names are taken as the one that is verified on: `.cuda()` runs without a GPU."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_ACCELERATORS = ("cuda", "mps", "xpu")
WORDS = tuple(_ACCELERATORS)
"""What code mentions that names such a device."""
_LEGACY = "Float Double Half BFloat16 Long Int Short Byte Bool".split()
_MOVES = (torch.Tensor.cuda, torch.Tensor.pin_memory)


class Redirect(TorchFunctionMode):
    """Gives tensors the device `device` where another accelerator is asked for; `was_used` once it did."""

    def __init__(self) -> None:
        super().__init__()
        self.device = "cpu"
        self.was_used = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _MOVES and not self.device.startswith("cuda"):
            self.was_used = True
            return args[0].to(self.device) if func is torch.Tensor.cuda else args[0]
        if "device" in kwargs:
            kwargs = {**kwargs, "device": self._taken(kwargs["device"])}
        if func is torch.Tensor.to and len(args) > 1:
            args = (args[0], self._taken(args[1]), *args[2:])
        return func(*args, **kwargs)

    def _taken(self, device: Any) -> Any:
        """The device in place of one that the code names."""
        name = device.type if isinstance(device, torch.device) else device
        own = self.device.partition(":")[0]
        if (
            isinstance(name, str)
            and name.partition(":")[0] in _ACCELERATORS
            and name.partition(":")[0] != own
        ):
            self.was_used = True
            return torch.device(self.device)
        return device


_active: list[Redirect] = []


def activate() -> None:
    """Begin to redirect, until the process ends."""
    if _active:
        return
    _active.append(Redirect())
    _active[0].__enter__()  # type: ignore[no-untyped-call]
    if not torch.cuda.is_available():
        for name in ("set_device", "synchronize", "empty_cache"):
            setattr(torch.cuda, name, lambda *given, **named: None)
        for name in _LEGACY:
            setattr(torch.cuda, f"{name}Tensor", getattr(torch, f"{name}Tensor"))


def taken_as(device: str) -> None:
    """Redirect to this device from now on."""
    for each in _active:
        each.device = device


def notes() -> list[str]:
    """What to tell about it."""
    return [f"devices in the code are taken as {each.device}" for each in _active if each.was_used]
