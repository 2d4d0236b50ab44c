"""GRD806 saturating-generator-loss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Claim, Finding, Metric, Severity
from gradlint.rule.loops import report, subject
from gradlint.rule.rehearse import at, both, claimed, kind, rehearsed, told
from gradlint.rule.rule import Rule
from gradlint.steps.adversarial import Fault, Game, faults, games
from gradlint.steps.loop import TrainingLoop

_START = """\
import torch
from torch import nn

generator = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 8))
discriminator = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1), nn.Sigmoid())
for_g = torch.optim.Adam(generator.parameters(), lr=2e-4)
for_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4)
entropy = nn.BCELoss()
for real in loader:
    ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
    fake = generator(torch.randn(len(real), 16))
"""
_D = """\
    for_d.zero_grad()
    loss_d = entropy(discriminator(real), ones) + entropy(discriminator(fake.detach()), zeros)
    loss_d.backward()
    for_d.step()
"""
_G = """\
    for_g.zero_grad()
    loss_g = {}
    loss_g.backward()
    for_g.step()
"""
_PLAIN = _G.format("entropy(discriminator(fake), ones)")
_LOGITS = _START.replace(", nn.Sigmoid())", ")").replace("BCELoss", "BCEWithLogitsLoss")
_SAID = {
    "saturating": "the generator minimises log(1 - D(G(z))), whose gradient goes with D(G(z))",
    "detached": "the sample is cut off from the generator, whose step its loss is for",
    "leaking": "the discriminator's loss adds to the gradients of the generator's next step",
}
_ADVICE = {
    "saturating": "minimise -log(D(G(z))): binary cross-entropy with ones as the target",
    "detached": "give the discriminator the sample as it is in the generator's step",
    "leaking": "detach the sample in the discriminator's step, or zero the generator's gradients after it",
}


_JUDGED = -10.0
"""The logit of samples that a discriminator is sure of: its sigmoid, and so the gradient, is e^-10."""


class SaturatingGeneratorLoss(Rule):
    """A generator is trained by a loss that has no gradient for it while it is bad, none at all, or others.

    ### Why is this bad?
    Where the discriminator is sure, D(G(z)) is near 0. The gradient of log(1 - σ(x)) with respect to the
    logit x is -σ(x) = -D(G(z)), so it vanishes just where the generator has most to learn; that of
    -log(σ(x)) is -(1 - D(G(z))), near -1. A sample that is detached, or made under `no_grad`, carries no
    gradient back at all. And where the discriminator's backward pass goes through the generator, whose
    gradients nobody zeroes before its own, the generator also learns to be found out.

    ### How it is verified
    Of the saturating loss, the gradient that the generator's step is given over that of -log D(G(z)), where
    samples are judged with a logit of -10; of a detached sample the same, which is 0; of gradients that leak,
    how far the weights after 20 steps are from those where the sample is detached.

    ### When it is fine
    With the other target (non-saturating), a Wasserstein or hinge loss, a sample that is detached for the
    discriminator's step, and with gradients of the generator that are zeroed between the two.

    ### Fix safety
    No fix: another loss trains another generator.

    ### References
    - Goodfellow et al. (2014), Generative Adversarial Nets, section 3, https://arxiv.org/abs/1406.2661
    - [A detached sample in the generator's step](https://github.com/nikhilsinghmus/image2reverb/issues/37)
    - [A detached prediction](https://github.com/wangle53/CSA-CDGAN/issues/5)
    """

    id = "GRD806"
    name = "saturating-generator-loss"
    severity = Severity.WARNING
    help = "minimise -log(D(G(z))) through a sample that is not detached"
    bad: ClassVar[Mapping[str, str]] = {
        "log of the complement": _START + _D + _G.format("torch.log(1 - discriminator(fake)).mean()"),
        "with an epsilon": (
            _START
            + _D
            + _G.format("(1 - discriminator(fake) + 1e-8).log().sum() / len(real)").replace(
                "/ len(real)", "/ 64"
            )
        ),
        "the discriminator's loss negated": _START + _D + _G.format("-entropy(discriminator(fake), zeros)"),
        "logits": _LOGITS + _D + _G.format("nn.functional.logsigmoid(-discriminator(fake)).mean()"),
        "softplus": _LOGITS + _D + _G.format("-nn.functional.softplus(discriminator(fake)).mean()"),
        "detached sample": _START + _D + _G.format("entropy(discriminator(fake.detach()), ones)"),
        "sample without gradient": (
            _START.replace(
                "    fake = generator(torch.randn(len(real), 16))\n",
                "    with torch.no_grad():\n        fake = generator(torch.randn(len(real), 16))\n",
            )
            + _D
            + _PLAIN
        ),
        "leaking": (
            _START
            + _D.replace("fake.detach()", "fake").replace("backward()", "backward(retain_graph=True)")
            + _PLAIN.replace("    for_g.zero_grad()\n", "")
            + "    for_g.zero_grad()\n"
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "non-saturating": _START + _D + _PLAIN,
        "logarithm": _START + _D + _G.format("-torch.log(discriminator(fake)).mean()"),
        "softplus of the negative": _LOGITS
        + _D
        + _G.format("nn.functional.softplus(-discriminator(fake)).mean()"),
        "Wasserstein": (
            _LOGITS
            + _D.replace(
                "entropy(discriminator(real), ones) + entropy(discriminator(fake.detach()), zeros)",
                "discriminator(fake.detach()).mean() - discriminator(real).mean()",
            )
            + _G.format("-discriminator(fake).mean()")
        ),
        "hinge": (
            _LOGITS
            + _D.replace(
                "entropy(discriminator(real), ones) + entropy(discriminator(fake.detach()), zeros)",
                "(1 - discriminator(real)).relu().mean() + (1 + discriminator(fake.detach())).relu().mean()",
            )
            + _G.format("-discriminator(fake).mean()")
        ),
        "the discriminator's own logarithms": (
            _START
            + _D.replace(
                "entropy(discriminator(real), ones) + entropy(discriminator(fake.detach()), zeros)",
                "-(discriminator(real).log() + (1 - discriminator(fake.detach())).log()).mean()",
            )
            + _PLAIN
        ),
        "leaking, but zeroed": (
            _START
            + _D.replace("fake.detach()", "fake").replace("backward()", "backward(retain_graph=True)")
            + _PLAIN
        ),
        "generator first": _START + _PLAIN + _D,
        "one backward pass for both": (
            _START
            + "    for_g.zero_grad()\n    for_d.zero_grad()\n"
            + "    loss = entropy(discriminator(fake), ones) + entropy(discriminator(fake.detach()), zeros)\n"
            + "    loss.backward()\n    for_g.step()\n    for_d.step()\n"
        ),
        "encoder and decoder": (
            "import torch\nfrom torch import nn\n\nencoder, decoder = nn.Linear(8, 4), nn.Linear(4, 8)\n"
            "first = torch.optim.Adam(encoder.parameters())\n"
            "second = torch.optim.Adam(decoder.parameters())\n"
            "for x in loader:\n    first.zero_grad()\n    second.zero_grad()\n"
            "    (decoder(encoder(x)) - x).square().mean().backward()\n    second.step()\n    first.step()\n"
        ),
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """One model makes samples for another, and its loss, their graph or its gradients are wrong."""
        for game in games(loop) if loop.is_readable else ():
            for fault in faults(loop, game):
                message, help = _SAID[fault.kind], _ADVICE[fault.kind]
                ends = [(fault.other, fault.said)]
                claim = _claim(loop, game, fault)
                yield report(self, loop, fault.event, message, ends, help=help, claim=claim)


def _claim(loop: TrainingLoop, game: Game, fault: Fault) -> Claim | None:
    """What the generator's step, or all training, is with the remedy for a fault."""
    made = sorted(fault.event.source | fault.event.cut)
    remedies = {
        "saturating": told(at(fault.event), form="-log p"),
        "detached": both(told(at(fault.event), cut=None), told(kind("forward"), no_grad=None)),
        "leaking": told(at(fault.event), cut=tuple(made)),
    }
    steps = [step for step in loop.events("step") if step.things & game.steps_generator]
    judged = told(lambda act: act.kind == "backward" and act.number != fault.other.number, form="-log(1-p)")
    rehearsal = rehearsed(
        loop,
        (fault.event, fault.other, *steps[:1]),
        remedies[fault.kind],
        about=game.steps_generator,
        assumed=judged if fault.kind == "leaking" else both(),
    )
    about = subject(loop, fault.event, fault.other)
    if fault.kind == "leaking":
        condition = "fake=0"
        return claimed(
            Metric.TRAINING_DIFFERENCE, about, 0.01, 1.0, rehearsal, condition=condition, least=0.01
        )
    if fault.kind == "detached":
        return claimed(Metric.STEP_SCALE, about, -1.0, -math.inf, rehearsal)
    return claimed(
        Metric.STEP_SCALE, about, -2.0, _JUDGED / math.log(10), rehearsal, condition=f"fake={_JUDGED:g}"
    )
