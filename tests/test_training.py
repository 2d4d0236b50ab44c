"""What is read of code that trains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gradlint.records.training import Training
from gradlint.semantics.project import Project
from gradlint.steps.loop import TrainingLoop
from gradlint.syntax.extract import extract, lower_omitted
from gradlint.training.build import Trainings

PATH = "train.py"


def trainings(text: str, path: str = PATH) -> Iterator[Training]:
    project = Project(lambda path: extract(text, {}, outline=True), lambda path, o: lower_omitted(text, o))
    return Trainings(project).of(project.scope(path), text)


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
    from gradlint.training.reach import may_train

    loop = "for x in data:\n    loss(x).backward()\n"
    assert may_train("import torch\n" + loop)
    assert may_train(loop)
    assert may_train("import tensorflow as tf\nfrom torch import nn\n" + loop)
    assert not may_train("from mxnet import autograd\n" + loop)


LIGHTNING = (
    "import pytorch_lightning as pl\nimport torch\n\nclass Net(pl.LightningModule):\n"
    "    def __init__(self):\n        super().__init__()\n        self.layer = torch.nn.Linear(3, 3)\n{own}\n"
    "    def training_step(self, batch, index):\n        return self.layer(batch).sum()\n\n"
    "    def configure_optimizers(self):\n        return torch.optim.SGD(self.parameters(), lr=0.1)\n\n"
    "trainer = pl.Trainer({arguments})\ntrainer.fit(Net(), loader)\n"
)


def kinds(arguments: str = "", own: str = "") -> list[str]:
    """The kinds of events of the loop that a trainer with these arguments runs."""
    (training,) = [t for t in trainings(LIGHTNING.format(arguments=arguments, own=own)) if not t.name]
    return [event.kind for event in training.events]


def test_the_loop_of_a_trainer() -> None:
    plain = ["forward", "backward", "step", "zero"]
    assert kinds() == plain
    assert kinds("gradient_clip_val=0") == plain
    assert kinds("gradient_clip_val=0.5") == ["forward", "backward", "clip", "step", "zero"]
    assert kinds("gradient_clip_val=limit") == ["forward", "backward", "escape", "step", "zero"]
    assert kinds("**options") == ["forward", "backward", "escape", "step", "zero"]
    assert kinds("callbacks=[Bound()]") == ["forward", "backward", "escape", "step", "zero"]
    assert kinds("callbacks=[pl.callbacks.ModelCheckpoint()]") == plain
    assert kinds("precision='bf16-mixed'") == plain
    assert kinds("precision=16") == ["forward", "backward", "unscale", "step", "update", "zero"]


def test_hooks_of_a_module_run_within_the_loop() -> None:
    hook = (
        "\n    def on_after_backward(self):\n        torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)\n"
    )
    assert kinds(own=hook) == ["forward", "backward", "clip", "step", "zero"]


def test_a_forward_pass_of_a_trainer_is_under_its_precision() -> None:
    (training,) = [t for t in trainings(LIGHTNING.format(arguments="precision=16", own="")) if not t.name]
    forward, backward, *_ = training.events
    assert [region.settings["dtype"] for region in forward.regions] == ["torch.float16"]
    (scaler,) = backward.by
    assert training.things[scaler].kind == "scaler"
    assert training.events[backward.number].source == {forward.number}


def test_what_prepare_gives_back_is_what_it_was_given() -> None:
    training = only(
        "import torch\nfrom accelerate import Accelerator\n\naccelerator = Accelerator()\n"
        "net = torch.nn.Linear(3, 3)\noptimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n"
        "net, optimizer, data = accelerator.prepare(net, optimizer, data)\nfor x in data:\n"
        "    accelerator.backward(net(x).sum())\n    optimizer.step()\n"
    )
    (step,) = [event for event in training.events if event.kind == "step"]
    (optimizer,) = [training.things[number] for number in step.things]
    assert optimizer.type == "torch.optim.SGD"
    assert optimizer.owners is not None
    assert training.events[0].things == set(optimizer.owners)


def test_an_engine_clips_as_its_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "engine.json").write_text('{"gradient_clipping": 1.0, "fp16": {"enabled": true}}')
    text = (
        "import deepspeed\nimport torch\n\nnet = torch.nn.Linear(3, 3)\n"
        "engine, _, _, _ = deepspeed.initialize(model=net, model_parameters=net.parameters(),\n"
        "    optimizer=torch.optim.SGD(net.parameters(), lr=0.1), config={})\nfor x in data:\n"
        "    engine.backward(engine(x).sum())\n    engine.step()\n"
    )
    path = str(tmp_path / "train.py")
    expected = {
        "{}, args=options": ["forward", "backward", "escape", "step", "zero"],
        "'engine.json'": ["forward", "backward", "unscale", "clip", "step", "update", "zero"],
        "{'gradient_clipping': 0.1}": ["forward", "backward", "clip", "step", "zero"],
        "{'steps_per_print': 10}": ["forward", "backward", "step", "zero"],
        "'missing.json'": ["forward", "backward", "escape", "step", "zero"],
    }
    for config, events in expected.items():
        (training,) = trainings(text.format(config), path)
        assert [event.kind for event in training.events] == events, config


def test_a_state_begins_an_inner_loop_with_that_of_the_outer_one() -> None:
    text = (
        "import torch\n\nlstm = torch.nn.LSTM(3, 3)\nstate = torch.zeros(3), torch.zeros(3)\n"
        "for xs in data:\n    for x in xs:\n        y, state = lstm(x, state)\n    y.sum().backward()\n"
    )
    training = only(text)
    (forward,) = [event for event in training.events if event.kind == "forward"]
    carries = [event for event in training.events if event.kind == "carry" and event.is_certain]
    assert len(carries) == 2
    assert forward.settings["stems"] == tuple(event.settings["state"] for event in carries)
    cut = only(
        text.replace("    for x in xs", "    state = tuple(s.detach() for s in state)\n    for x in xs")
    )
    (forward,) = [event for event in cut.events if event.kind == "forward"]
    assert forward.settings["stems"] == (forward.settings["state"],)


def test_the_state_of_a_loop_over_a_generator_goes_from_one_iteration_to_the_next() -> None:
    head = "import torch\n\nlstm = torch.nn.LSTM(3, 3)\n\n"
    loop = "h = None\nfor x in {}:\n    y, h = lstm(x, h)\n    y.sum().backward()\n"
    segments = "def segments(data):\n    for start in range(0, len(data), 8):\n        yield data[start]\n\n"
    for text in (
        head + segments + loop.format("segments(data)"),
        head
        + segments
        + loop.format("segments(data)").replace("for x in", "for _, x in enumerate(").replace("):", ")):"),
        head + loop.format("data"),
    ):
        training = only(text)
        (carry,) = [event for event in training.events if event.kind == "carry" and event.source]
        (forward,) = [event for event in training.events if event.kind == "forward"]
        assert carry.is_certain
        assert carry.settings["state"] == forward.settings["state"]
    once = head + "def single(data):\n    yield data[0]\n\n" + loop.format("single(data)")
    assert not [event for event in only(once).events if event.kind == "carry"]


def test_a_setting_that_may_be_given_is_not_its_default() -> None:
    training = only(
        "import torch\nfrom dataclasses import dataclass\n\n@dataclass\nclass Config:\n"
        "    half: bool = False\n\n"
        "def fit(net, loader, optimizer, given):\n    config = Config(**given)\n    for x in loader:\n"
        "        if config.half:\n            net.half()\n        net(x).sum().backward()\n"
        "        optimizer.step()\n"
    )
    assert "half" in [event.kind for event in training.events]


def test_a_bound_that_is_none_bounds_nothing() -> None:
    training = only(
        "import tools\nimport torch\n\ndef fit(net, x, optimizer):\n    net(x).sum().backward()\n"
        "    norm = tools.clip_grad_value_(net.parameters(), None)\n    optimizer.step()\n"
    )
    assert "clip" not in [event.kind for event in training.events]


def test_an_uncertain_loss_that_may_be_for_another_optimizer() -> None:
    text = (
        "import torch\nfrom torch import nn\nfrom losses import judge, cut\n\n"
        "one, two = nn.Linear(3, 3), nn.Linear(3, 3)\n"
        "first = torch.optim.SGD(one.parameters(), lr=0.1)\n"
        "second = torch.optim.SGD(two.parameters(), lr=0.1)\n"
        "for x in data:\n    judge(two(cut(one(x)))).backward()\n    second.step()\n    first.step()\n"
    )
    loop = TrainingLoop(only(text))
    (backward,) = loop.events("backward")
    assert [loop.fills(backward, each) for each in loop.optimizers] == [None, None]


def test_a_name_that_nothing_binds_is_one_object() -> None:
    loop = TrainingLoop(
        only(
            "import torch\n\nfor x in data:\n    opt.zero_grad()\n    net(x).sum().backward()\n"
            "    opt.step()\n"
        )
    )
    (optimizer,) = loop.optimizers
    assert [e.kind for e in loop.events("zero", "step") if e.things <= optimizer] == ["zero", "step"]


def test_what_is_done_for_one_optimizer_concerns_another_of_the_same_parameters() -> None:
    text = (
        "import torch\n\ndef fit(net, scaler):\n"
        "    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n    for x in data:\n"
        "        scaler.scale(net(x).sum()).backward()\n        scaler.unscale_(optimizer)\n"
        "        scaler.step(optimizer)\n\nnet = torch.nn.Linear(3, 3)\n"
        "scaler = torch.amp.GradScaler('cuda')\nfit(net, scaler)\nfit(net, scaler)\n"
    )
    loop = TrainingLoop(only(text))
    first, second = loop.optimizers
    for event in loop.events("unscale"):
        assert loop.concerns(event, first) and loop.concerns(event, second)


GAN = """
import lightning
import torch
from torch import nn

class Gan(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.critic = nn.Linear(8, 4), nn.Linear(4, 1)

    def training_step(self, batch, index):
        first, second = self.optimizers()
        self.manual_backward(self.critic(self.generator(batch)).mean())
        first.step()
        second.zero_grad()

    def configure_optimizers(self):
        first = torch.optim.Adam(self.generator.parameters())
        second = torch.optim.SGD(self.critic.parameters(), lr=0.1)
        return {}

lightning.Trainer().fit(Gan(), loader)
"""


@pytest.mark.parametrize(
    "returned",
    (
        *(
            "first, second",
            "[first, second]",
            "[first, second], []",
            "({'optimizer': first}, {'optimizer': second})",
        ),
        "[first, second], [torch.optim.lr_scheduler.StepLR(second, 3)]",
    ),
)
def test_optimizers_come_in_the_order_of_the_model(returned: str) -> None:
    (training,) = trainings(GAN.replace("{}", returned))
    for kind, type_ in (("step", "torch.optim.Adam"), ("zero", "torch.optim.SGD")):
        (event,) = [event for event in training.events if event.kind == kind]
        assert [training.things[number].type for number in event.things] == [type_]
