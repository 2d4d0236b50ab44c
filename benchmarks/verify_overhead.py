"""What watching a model costs: a forward and a backward pass with hooks over the bare one.

    python benchmarks/verify_overhead.py [DEVICE]

A 20-layer MLP, a CNN of the size of ResNet-18 and a 6-layer transformer; the least of several runs each.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from gradlint.verify.worker.observe import backward, observe, tensors

REPEATS = 7


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(after), nn.BatchNorm2d(after)])
        self.short = nn.Conv2d(before, after, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norms[0](self.first(x)))
        return torch.relu(self.norms[1](self.second(y)) + self.short(x))


def mlp() -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(20):
        layers += [nn.Linear(512, 512), nn.ReLU()]  # gradlint: ignore[GRD102] only its speed matters
    return nn.Sequential(*layers)


def cnn() -> nn.Module:
    widths = (
        (64, 64, 1),
        (64, 64, 1),
        (64, 128, 2),
        (128, 128, 1),
        (128, 256, 2),
        (256, 256, 1),
        (256, 512, 2),
    )
    blocks = [Block(*width) for width in (*widths, (512, 512, 1))]
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)
    )


def transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True)
    return nn.TransformerEncoder(layer, 6)


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "20-layer MLP, 512 wide": (mlp, (64, 512)),
    "CNN of ResNet-18's size": (cnn, (8, 3, 64, 64)),
    "6-layer transformer": (transformer, (8, 64, 256)),
}


def bare(model: nn.Module, x: torch.Tensor) -> None:
    backward(tensors(model(x)))


def watched(model: nn.Module, x: torch.Tensor) -> None:
    observe(model, [x])


def seconds(run: Callable[[nn.Module, torch.Tensor], None], model: nn.Module, x: torch.Tensor) -> float:
    """The processor time of one pass (on a GPU the time until it is done)."""
    clock = time.process_time if x.device.type == "cpu" else time.perf_counter
    started = clock()
    run(model, x)
    if x.device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def main() -> None:
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    torch.set_num_threads(1)
    for name, (make, shape) in CASES.items():
        torch.manual_seed(0)
        model = make().to(device).train()
        x = torch.randn(shape, device=device, requires_grad=True)
        times: dict[str, list[float]] = {"bare": [], "watched": []}
        for _ in range(REPEATS):
            times["bare"].append(seconds(bare, model, x))
            times["watched"].append(seconds(watched, model, x))
        plain, with_hooks = min(times["bare"]), min(times["watched"])
        print(
            f"{name:26} {plain * 1e3:8.1f} ms  {with_hooks * 1e3:8.1f} ms  {with_hooks / plain:.2f}x",
            flush=True,
        )


if __name__ == "__main__":
    main()
