"""What is read of code that trains."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.records.training import Training
from gradlint.semantics.project import Project
from gradlint.syntax.extract import extract, lower_omitted
from gradlint.training.build import Trainings

PATH = "train.py"


def trainings(text: str) -> Iterator[Training]:
    project = Project(lambda path: extract(text, {}, outline=True), lambda path, o: lower_omitted(text, o))
    return Trainings(project).of(project.scope(PATH), text)


def only(text: str) -> Training:
    (training,) = trainings(text)
    return training


def test_results_of_another_entry_are_no_results_of_this_one() -> None:
    text = (
        "import torch\nfrom torch import nn\n\nclass Trainer:\n    def __init__(self, x):\n"
        "        self.net = nn.Linear(3, 3)\n        self.net.zero_grad()\n"
        "        self.start = self.net(x)\n\n"
        "    def fit(self, optimizer):\n        optimizer.zero_grad()\n"
        "        (self.start * 2).sum().backward()\n        optimizer.step()\n"
    )
    fit = next(training for training in trainings(text) if training.name == "Trainer.fit")
    (backward,) = [event for event in fit.events if event.kind == "backward"]
    assert backward.source == frozenset()


def test_inference_mode_by_keyword() -> None:
    training = only(
        "import torch\n\ndef run(net, x, optimizer):\n    with torch.inference_mode(mode=False):\n"
        "        net(x).sum().backward()\n    optimizer.step()\n"
    )
    assert [event.kind for event in training.events if event.kind == "backward"]
    assert all(event.source for event in training.events if event.kind == "backward")


def test_a_state_that_is_detached_on_some_way_is_not_certain() -> None:
    training = only(
        "import torch\n\nlstm = torch.nn.LSTM(3, 3)\nh = None\nfor i, x in enumerate(data):\n"
        "    y, h = lstm(x, h)\n    y.sum().backward()\n    if i % 2:\n"
        "        h = tuple(part.detach() for part in h)\n"
    )
    (carry,) = [event for event in training.events if event.kind == "carry" and event.source]
    (forward,) = [event for event in training.events if event.kind == "forward"]
    assert carry.settings["state"] == forward.settings["state"]
    assert forward.settings["at"] == 1
    assert not carry.is_certain


def test_tests_of_a_remainder_are_periodic() -> None:
    training = only(
        "import torch\n\ndef run(net, loader, optimizer, n):\n    for i, x in enumerate(loader):\n"
        "        net(x).sum().backward()\n        if not (i + 1) % n or i + 1 == len(loader):\n"
        "            optimizer.step()\n            optimizer.zero_grad()\n        if i > 3:\n"
        "            print(i)\n"
    )
    decided = {atom for point in training.points for atom, _ in point.decisions}
    assert training.periodic < decided
    (step,) = [e.number for e in training.events if e.kind == "step"]
    before = next(p for p in training.points if any(training.points[n].event == step for n in p.next))
    assert {atom for atom, _ in before.decisions} <= training.periodic


def test_zip_gives_parameters_and_what_goes_with_them() -> None:
    training = only(
        "import torch\n\ndef run(net, optimizer, gradients):\n"
        "    for p, g in zip(net.parameters(), gradients):\n        p.grad = g\n    optimizer.step()\n"
    )
    assert [event.kind for event in training.events] == ["zero", "step"]
    assert not training.events[0].is_certain


def test_another_framework_is_not_read() -> None:
    from gradlint.training.build import may_train

    loop = "for x in data:\n    loss(x).backward()\n"
    assert may_train("import torch\n" + loop)
    assert may_train(loop)
    assert may_train("import tensorflow as tf\nfrom torch import nn\n" + loop)
    assert not may_train("from mxnet import autograd\n" + loop)
