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
