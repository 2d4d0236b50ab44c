"""Training loops that are right, drawn at random, and what goes wrong when one thing in them is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import strategies as st

STYLES = ("script", "function", "helper", "class", "objects")
ZEROS = ("optimizer{k}.zero_grad()", "optimizer{k}.zero_grad(set_to_none=True)", "net{k}.zero_grad()")


@dataclass(frozen=True)
class Design:
    """What a loop does, and the form in which it is written.

    `scaling` is "none", "always" or "flag"; `every` the number of batches per step; `models` how many
    are trained, each by an optimizer of its own.
    """

    style: str
    scaling: str
    every: int
    models: int
    clips: bool
    zero: str
    zero_first: bool
    schedules: bool
    epochs: bool
    keeps: str
    optimizer: str


@st.composite
def designs(draw: st.DrawFn) -> Design:
    """A design."""
    every = draw(st.sampled_from((1, 1, 4)))
    return Design(
        draw(st.sampled_from(STYLES)),
        draw(st.sampled_from(("none", "always", "flag"))),
        every,
        draw(st.sampled_from((1, 1, 2))),
        draw(st.booleans()),
        draw(st.sampled_from(ZEROS)),
        draw(st.booleans()) and every == 1,
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.sampled_from(("", "total += loss{k}.item()", "losses.append(loss{k}.detach())"))),
        draw(st.sampled_from(("SGD(net{k}.parameters(), lr=0.1)", "Adam(net{k}.parameters(), lr=1e-3)"))),
    )


Line = tuple[str, str]
"""What a line is for, and its text, with `{k}` for the number of the model."""


def pass_lines(design: Design) -> list[Line]:
    """The forward and the backward pass of one model."""
    lines = [("zero", design.zero)] if design.zero_first else []
    loss = "cross_entropy(net{k}(x), y)" + (f" / {design.every}" if design.every > 1 else "")
    if design.scaling == "none":
        return [*lines, ("forward", f"loss{{k}} = {loss}"), ("backward", "loss{k}.backward()")]
    cast = "torch.autocast('cuda', dtype=torch.float16, enabled=amp)"
    lines.append(("forward", f"with {cast if design.scaling == 'flag' else CAST}:\n    loss{{k}} = {loss}"))
    scaled = "scaler.scale(loss{k}).backward()"
    if design.scaling == "flag":
        scaled = f"if scaler is not None:\n    {scaled}\nelse:\n    loss{{k}}.backward()"
    return [*lines, ("backward", scaled)]


CAST = "torch.autocast('cuda', dtype=torch.float16)"


def step_lines(design: Design) -> list[Line]:
    """What is done with the gradients of one model."""
    clip = [("clip", "torch.nn.utils.clip_grad_norm_(net{k}.parameters(), 1.0)")] if design.clips else []
    zero = [] if design.zero_first else [("zero", design.zero)]
    if design.scaling == "none":
        return [*clip, ("step", "optimizer{k}.step()"), *zero]
    unscale = [("unscale", _if_scaled(design, "scaler.unscale_(optimizer{k})"))] if design.clips else []
    step = "scaler.step(optimizer{k})"
    if design.scaling == "flag":
        step = f"if scaler is not None:\n    {step}\nelse:\n    optimizer{{k}}.step()"
    return [*unscale, *clip, ("step", step), *zero]


def _if_scaled(design: Design, text: str) -> str:
    return f"if scaler is not None:\n    {text}" if design.scaling == "flag" else text


def body(design: Design, change: Change | None = None) -> list[str]:
    """The body of the loop over batches; the change is made to the first model."""
    lines: list[str] = []
    steps: list[str] = []
    for k in range(design.models):
        before, after = pass_lines(design), step_lines(design)
        if change is not None and k == 0:
            before, after = change.apply(before, after)
        lines += _text([*before, ("keep", design.keeps)] if design.keeps else before, k)
        steps += _text(after, k)
    if design.scaling != "none" and not (change is not None and change.drops_update):
        steps += _if_scaled(design, "scaler.update()").split("\n")
    if design.schedules and not design.epochs:
        at = 0 if change is not None and change.schedules_first else len(steps)
        steps[at:at] = ["schedule.step()"]
    if design.every > 1:
        steps = [f"if (i + 1) % {design.every} == 0:", *indented(steps)]
    return [*lines, *steps]


def _text(lines: list[Line], k: int) -> list[str]:
    return [part for _, text in lines for part in text.format(k=k).split("\n")]


def indented(lines: list[str]) -> list[str]:
    """Lines one level further in."""
    return [f"    {line}" for line in lines]


Apply = Callable[[list[Line], list[Line]], tuple[list[Line], list[Line]]]


@dataclass(frozen=True)
class Change:
    """A defect: the rule that finds it, the designs that can have it, and how it is made."""

    rule: str
    suits: Callable[[Design], bool] = lambda design: True
    apply: Apply = lambda before, after: (before, after)
    drops_update: bool = False
    schedules_first: bool = False
    design: Callable[[Design], Design] = lambda design: design


def _without(kind: str) -> Apply:
    def apply(before: list[Line], after: list[Line]) -> tuple[list[Line], list[Line]]:
        return [line for line in before if line[0] != kind], [line for line in after if line[0] != kind]

    return apply


def _moved(kind: str, behind: str) -> Apply:
    """All lines of one kind directly behind those of another."""

    def apply(before: list[Line], after: list[Line]) -> tuple[list[Line], list[Line]]:
        moved = [line for line in (*before, *after) if line[0] == kind]

        def put(lines: list[Line]) -> list[Line]:
            rest = [line for line in lines if line[0] != kind]
            return [each for line in rest for each in ((line, *moved) if line[0] == behind else (line,))]

        return put(before), put(after)

    return apply


def _written(kind: str, old: str, new: str) -> Apply:
    def apply(before: list[Line], after: list[Line]) -> tuple[list[Line], list[Line]]:
        def change(lines: list[Line]) -> list[Line]:
            return [(k, text.replace(old, new) if k == kind else text) for k, text in lines]

        return change(before), change(after)

    return apply


def _twice(kind: str) -> Apply:
    def apply(before: list[Line], after: list[Line]) -> tuple[list[Line], list[Line]]:
        return before, [each for line in after for each in ((line, line) if line[0] == kind else (line,))]

    return apply


def _scaled(design: Design) -> bool:
    return design.scaling == "always"


CHANGES = {
    "zero dropped": Change("GRD501", apply=_without("zero")),
    "zero before step": Change("GRD502", lambda d: d.every == 1, _moved("zero", "backward")),
    "backward dropped": Change("GRD503", lambda d: d.models == 1, _without("backward")),
    "clip after step": Change("GRD504", lambda d: d.clips, _moved("clip", "step")),
    "clip before backward": Change(
        "GRD504", lambda d: d.clips and d.every == 1 and d.zero_first, _moved("clip", "zero")
    ),
    "clip of another model": Change(
        "GRD504",
        lambda d: d.clips,
        _written("clip", "net{k}", "spare"),
    ),
    "clip at a norm never reached": Change("GRD505", lambda d: d.clips, _written("clip", "1.0", "1e9")),
    "accumulation not divided": Change(
        "GRD506", lambda d: d.every > 1 and d.optimizer.startswith("SGD"), _written("forward", " / 4", "")
    ),
    "graph kept in a sum": Change(
        "GRD507",
        design=lambda d: replace(d, keeps="total += loss{k}"),
    ),
    "learning rate too large": Change(
        "GRD508",
        lambda d: not d.schedules,
        design=lambda d: replace(d, optimizer="Adam(net{k}.parameters(), lr=1.0)"),
    ),
    "no gradients": Change(
        "GRD509",
        lambda d: d.scaling == "none",
        _written("forward", "loss{k} =", "with torch.no_grad():\n    loss{k} ="),
    ),
    "schedule before step": Change("GRD511", lambda d: d.schedules and not d.epochs, schedules_first=True),
    "clip before unscale": Change(
        "GRD403", lambda d: d.clips and d.scaling != "none", _moved("unscale", "clip")
    ),
    "never unscaled": Change("GRD403", lambda d: d.clips and d.scaling != "none", _without("unscale")),
    "scaler bypassed": Change(
        "GRD404", _scaled, _written("step", "scaler.step(optimizer{k})", "optimizer{k}.step()")
    ),
    "update dropped": Change("GRD404", lambda d: d.scaling != "none", drops_update=True),
    "unscaled twice": Change("GRD404", lambda d: d.clips and _scaled(d), _twice("unscale")),
    "scaling dropped": Change(
        "GRD401",
        _scaled,
        lambda before, after: (
            _written("backward", "scaler.scale(loss{k})", "loss{k}")(before, after)[0],
            _written("step", "scaler.step(optimizer{k})", "optimizer{k}.step()")(
                *_without("unscale")(before, after)
            )[1],
        ),
        drops_update=True,
    ),
}
"""Every change makes a right loop wrong, and nothing else."""


def program(design: Design, change: Change | None = None) -> str:
    """The text of a loop, with the change made."""
    if change is not None:
        design = change.design(design)
    inner = body(design, change)
    setup = ["spare = network()", *[line for k in range(design.models) for line in _made(design, k)]]
    if design.scaling != "none":
        maker = "torch.amp.GradScaler('cuda')"
        setup.append(
            f"scaler = {maker} if amp else None" if design.scaling == "flag" else f"scaler = {maker}"
        )
    if design.schedules:
        setup.append("schedule = torch.optim.lr_scheduler.StepLR(optimizer0, 10)")
    loop = _looped(design, inner)
    return HEADER + _STYLES[design.style](design, setup, loop) + "\n"


HEADER = """\
import sys

import torch
from torch.nn.functional import cross_entropy

from data import load


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.second(self.first(x).relu()).relu())


def network():
    return Network().cuda()


"""


def _made(design: Design, k: int) -> list[str]:
    return [f"net{k} = network()", f"optimizer{k} = torch.optim.{design.optimizer.format(k=k)}"]


def _looped(design: Design, inner: list[str]) -> list[str]:
    start = ["total, losses = 0.0, []"] if design.keeps else []
    batches = [*start, "for i, (x, y) in enumerate(loader):", *indented(inner)]
    if not design.epochs:
        return batches
    end = ["schedule.step()"] if design.schedules else []
    return ["for epoch in range(20):", *indented([*batches, *end])]


def _names(design: Design) -> list[str]:
    names = [name for k in range(design.models) for name in (f"net{k}", f"optimizer{k}")]
    names += ["spare"]
    names += ["scaler"] if design.scaling != "none" else []
    names += ["amp"] if design.scaling == "flag" else []
    return names + (["schedule"] if design.schedules else [])


def _script(design: Design, setup: list[str], loop: list[str]) -> str:
    return "\n".join(["loader = load()", "amp = len(sys.argv) > 1", *setup, *loop])


def _function(design: Design, setup: list[str], loop: list[str]) -> str:
    return "\n".join(["def main(loader, amp):", *indented([*setup, *loop])])


def _helper(design: Design, setup: list[str], loop: list[str]) -> str:
    """What makes the objects calls what trains them."""
    given = ", ".join(["loader", *_names(design)])
    train = [f"def train({given}):", *indented(loop)]
    main = ["def main(loader, amp):", *indented([*setup, f"train({given})"])]
    return "\n".join([*train, "", "", *main])


def _objects(design: Design, setup: list[str], loop: list[str]) -> str:
    """The objects lie in dictionaries and tuples."""
    names = _names(design)
    packed = ", ".join(f'"{name}": {name}' for name in names)
    make = ["def make(amp):", *indented([*setup, f"return {{{packed}}}, 20"])]
    unpack = ["objects, epochs = make(amp)", *[f'{name} = objects["{name}"]' for name in names]]
    return "\n".join([*make, "", "", "def main(loader, amp):", *indented([*unpack, *loop])])


def _class(design: Design, setup: list[str], loop: list[str]) -> str:
    names = _names(design)
    init = ["def __init__(self, amp):", *indented([*setup, *[f"self.{name} = {name}" for name in names]])]
    local = [f"{name} = self.{name}" for name in names]
    fit = ["def fit(self, loader):", *indented([*local, *loop])]
    use = ["", "", "if __name__ == '__main__':", "    Trainer(len(sys.argv) > 1).fit(load())"]
    return "\n".join(["class Trainer:", *indented([*init, "", *fit]), *use])


_STYLES = {
    "script": _script,
    "function": _function,
    "helper": _helper,
    "class": _class,
    "objects": _objects,
}
