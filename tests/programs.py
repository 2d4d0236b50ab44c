"""Programs that train, drawn at random, in which every event stands on a line of its own."""

from __future__ import annotations

from hypothesis import strategies as st

FLAGS = ("fast", "noisy", "amp")
HEADER = """\
import torch
from contextlib import contextmanager


class Switched:
    def __init__(self, net):
        self.net = net

    def __enter__(self):
        self.net.train()
        return self

    def __exit__(self, *failure):
        self.net.eval()


@contextmanager
def stepping(opt):
    opt.zero_grad()
    yield opt
    opt.step()


def batches(loader, opt):
    for each in loader:
        opt.zero_grad()
        yield each
        opt.step()


def traced(function):
    def wrapped(net, opt, x, args):
        net.train()
        return function(net, opt, x, args)

    return wrapped


def scaler_of(args):
    if args.amp:
        return torch.amp.GradScaler("cuda")
    return None

"""
_SETUP = """\
    nets = [torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)]
    net, other = nets
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    second = torch.optim.SGD(other.parameters(), lr=0.1)
    optimizers = {"first": opt, "second": second}
    schedule = torch.optim.lr_scheduler.StepLR(opt, 1)
    scaler = scaler_of(args)
    trainer = Trainer(net, opt)
"""
_INSIDE = ("opt.zero_grad()", "net(x)", "net(x).mean().backward()", "opt.step()", "clip(net)", "net.train()")
_OUTSIDE = (
    *_INSIDE,
    "second.zero_grad()",
    "schedule.step()",
    "other.zero_grad()",
    "trainer.step(x)",
    "trainer.fit(x, args)",
    "step(net, opt, x, args)",
    "wrapped(net, opt, x, args)",
    'optimizers["second"].step()',
    "early(other, second, x, args)",
    "for each in optimizers.values(): each.zero_grad()",
    "[each.step() for each in (opt, second)]",
)
_INNER = "inner"
"""A loop within another one: as both go through the same items, what they meet is not independent."""

_SCALED = "if scaler is not None:\n    scaler.scale(net(x).mean()).backward()\n    scaler.unscale_(opt)"


@st.composite
def _block(draw: st.DrawFn, depth: int, simple: tuple[str, ...], loop: str) -> list[str]:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        lines += draw(_statement(depth, simple, loop))
    return lines


@st.composite
def _statement(draw: st.DrawFn, depth: int, simple: tuple[str, ...], loop: str) -> list[str]:
    kinds = ["event"] * 3
    if depth:
        kinds += ["if", "if else", "try", "with", "for", "while"]
        kinds += ["closure", "scaled", "enter", "batches"] if "schedule.step()" in simple else []
        kinds += ["leave"] if loop else []
        kinds += ["every", "missing"] if loop not in ("", _INNER) else []
    kind = draw(st.sampled_from(kinds))
    inner = _block(depth - 1, simple, loop)
    if kind == "event":
        return [draw(st.sampled_from(simple))]
    if kind == "scaled":
        return [*_SCALED.split("\n"), "if args.amp:", "    scaler.step(opt)", "    scaler.update()"]
    flag = f"args.{draw(st.sampled_from(FLAGS))}"
    if kind == "every":
        return [f"if (i{loop} + 1) % args.n == 0:", *_indented(draw(inner))]
    if kind == "leave":
        return [f"if {flag}:", *_indented([*draw(inner), draw(st.sampled_from(("continue", "break")))])]
    if kind == "missing":
        return [f"if x{loop} is None:", *_indented([*draw(inner), "continue"])]
    if kind == "closure":
        return ["def closure():", *_indented(draw(_block(0, _INSIDE, ""))), "opt.step(closure)"]
    heads = {
        "if": f"if {draw(st.sampled_from(('', 'not ')))}{flag}:",
        "if else": f"if {flag}:",
        "with": "with stepping(opt) as opt:",
        "enter": "with Switched(other):",
    }
    if kind in heads:
        lines = [heads[kind], *_indented(draw(inner))]
        return [*lines, "else:", *_indented(draw(inner))] if kind == "if else" else lines
    if kind == "try":
        body = [f"if {flag}:", "    raise RuntimeError", *draw(inner)]
        return ["try:", *_indented(body), "except RuntimeError:", *_indented(draw(inner))]
    looped = draw(_block(depth - 1, simple, _INNER if loop else str(depth)))
    if kind == "while":
        body = [f"x{depth} = loader[i{depth}]", f"i{depth} += 1", *looped]
        return [f"i{depth} = 0", f"while i{depth} < len(loader):", *_indented(body)]
    source = "batches(loader, opt)" if kind == "batches" else "loader"
    return [f"for i{depth}, x{depth} in enumerate({source}):", *_indented(looped)]


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A program with a function `main(args, loader)` that trains in some way."""
    step = ["loader = args.data", *draw(_block(1, _INSIDE, ""))]
    early = [*draw(_block(0, _INSIDE, "")), "if args.fast:", "    return", *draw(_block(0, _INSIDE, ""))]
    method = draw(_block(0, _INSIDE, ""))
    main = ["x = loader[0]", *draw(_block(3, _OUTSIDE, ""))]
    bodies = [
        ("def clip(net):", ["torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)"]),
        ("def step(net, opt, x, args):", step),
        ("@traced\ndef wrapped(net, opt, x, args):", draw(_block(0, _INSIDE, ""))),
        ("def early(net, opt, x, args):", early),
    ]
    text = HEADER
    for head, body in bodies:
        text += "\n".join(["", head, *_indented(body), ""])
    text += "\n".join(
        [
            "\n\nclass Trainer:",
            "    def __init__(self, net, opt):",
            "        self.net, self.opt = net, opt\n",
            "    def step(self, x):",
            "        net, opt = self.net, self.opt",
            *_indented(_indented(method)),
            "\n    def fit(self, x, args):",
            "        if args.noisy:",
            "            self.step(x)",
            "        self.opt.zero_grad()",
            "\n\ndef main(args, loader):",
            _SETUP,
            *_indented(main),
            "",
        ]
    )
    return text
