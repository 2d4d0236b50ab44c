"""What is read of what happens to gradients between a backward pass and a step."""

from __future__ import annotations

from gradlint.records.training import Training
from gradlint.semantics.project import Project
from gradlint.syntax.extract import extract, lower_omitted
from gradlint.training.build import Trainings


def only(text: str) -> Training:
    project = Project(lambda path: extract(text, {}, outline=True), lambda path, o: lower_omitted(text, o))
    (training,) = Trainings(project).of(project.scope("train.py"), text)
    return training


def test_hooks_that_bound_copies() -> None:
    training = only(
        "import torch\n\nmodel = torch.nn.Linear(3, 3)\n\ndef copies(g):\n    g = g.clamp(-1, 1)\n\n"
        "def bounds(g):\n    g.clamp_(-1, 1)\n\nfor p in model.parameters():\n    p.register_hook(copies)\n"
        "    p.register_hook(bounds)\n    p.register_hook(lambda g: g.clamp(-1, 1))\n"
        "    p.register_hook(print)\n"
    )
    assert [event.settings["bounds"] for event in training.events] == [False, None, None, None]


def test_generators_of_parameters_are_run_through_once() -> None:
    training = only(
        "import torch\nfrom torch.nn.utils import clip_grad_norm_\n\ndef fit(net, loss):\n"
        "    early, held = net.parameters(), list(net.parameters())\n    taken = net.parameters()\n"
        "    optimizer = torch.optim.SGD(taken, lr=0.1)\n    clip_grad_norm_(taken, 1.0)\n"
        "    for x in loss:\n        new = net.parameters()\n        x.backward()\n"
        "        clip_grad_norm_(early, 1.0)\n        clip_grad_norm_(held, 1.0)\n"
        "        clip_grad_norm_(new, 1.0)\n        optimizer.step()\n"
    )
    clips = [event.settings.get("given") for event in training.events if event.kind == "clip"]
    assert clips == ["spent", "spent", None, None]
