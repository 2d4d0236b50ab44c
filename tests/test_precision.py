"""What is read of mixed precision: in what a forward pass computes, and who scales."""

from __future__ import annotations

import pytest

from gradlint.records.training import Training
from gradlint.semantics.project import Project
from gradlint.steps.precision import autocast_of
from gradlint.syntax.extract import extract, lower_omitted
from gradlint.training.build import Trainings

STEP = """\
import contextlib, functools
import torch
from torch.cuda.amp import autocast

def fit(args, net, x, optimizer):
    BEFORE
    with CONTEXT:
        loss = net(x).sum()
    loss.backward()
    optimizer.step()
"""
HALF, BRAIN = "torch.float16", "torch.bfloat16"
DEVICE = 'device = torch.device("cuda:1" if torch.cuda.is_available() else "cpu")'
NAMED = 'dtype = {"half": torch.float16, "brain": torch.bfloat16}[args.dtype]'


def read(text: str) -> Training:
    project = Project(lambda path: extract(text, {}, outline=True), lambda path, o: lower_omitted(text, o))
    (training,) = Trainings(project).of(project.scope("train.py"), text)
    return training


@pytest.mark.parametrize(
    ("before", "context", "dtype", "enabled"),
    [
        ("", 'torch.autocast("cuda")', HALF, True),
        ("", 'torch.autocast("cpu")', BRAIN, True),
        ("", 'torch.autocast("cuda", torch.bfloat16)', BRAIN, True),
        ("", 'torch.autocast("cuda", torch.half, False)', HALF, False),
        ("", "autocast()", HALF, True),
        ("", "autocast(args.amp)", HALF, None),
        ("", "autocast(enabled=True, dtype=torch.bfloat16)", BRAIN, True),
        ("", "torch.autocast(args.device)", None, True),
        ("", "torch.autocast(**args.amp)", None, None),
        (DEVICE, "torch.autocast(device.type)", HALF, True),
        (DEVICE, "torch.autocast(device_type=str(device))", HALF, True),
        (DEVICE, 'torch.autocast("cuda", enabled=device.type == "cuda")', HALF, None),
        (NAMED, 'torch.autocast("cuda", dtype=dtype)', None, True),
        ("", 'torch.autocast("cuda", dtype=torch.half if args.half else torch.bfloat16)', None, True),
        ("ctx = contextlib.nullcontext() if args.cpu else autocast()", "ctx", HALF, None),
        ("cast = autocast if args.amp else contextlib.suppress", "cast()", HALF, None),
        ('cast = functools.partial(torch.autocast, "cuda")', "cast()", HALF, True),
    ],
)
def test_settings_of_autocast(before: str, context: str, dtype: str | None, enabled: bool | None) -> None:
    training = read(STEP.replace("BEFORE", before or "pass").replace("CONTEXT", context))
    (forward,) = [event for event in training.events if event.kind == "forward"]
    region = autocast_of(forward)
    assert region is not None
    assert (region.settings["dtype"], region.settings["enabled"]) == (dtype, enabled)
