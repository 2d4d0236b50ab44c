"""Findings do not change when a program is written differently, and generated truth is found."""

from __future__ import annotations

import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gradlint.lint.check_text import check_text
from gradlint.rule.registry import load

RULES = load()

# an expression in `x`, and whether the gradient of the whole is finite everywhere
UNSAFE = {
    "{T}.sqrt(({x} ** 2).sum())": "GRD601",
    "{T}.sqrt({x}.pow(2).mean(-1))": "GRD601",
    "({x} * {x}).sum(-1).sqrt()": "GRD601",
    "{T}.sqrt({T}.relu({x}) ** 2)": "GRD601",
    "{x}.square().sum() ** 0.5": "GRD601",
    "{x}.var(-1).sqrt()": "GRD601",
    "{T}.rsqrt({x}.abs().sum())": "GRD601",
    "{T}.log({T}.softmax({x}, dim=-1))": "GRD603",
    "{x}.sigmoid().log()": "GRD603",
    "{T}.log({T}.relu({x}))": "GRD604",
    "{x} / {x}.norm()": "GRD604",
    "{T}.acos({T}.cosine_similarity({x}, {x} + 1, dim=-1))": "GRD606",
}
SAFE = [
    "{T}.sqrt(({x} ** 2).sum() + 1e-8)",
    "{T}.sqrt({x}.pow(2).mean(-1).clamp(min=1e-6))",
    "{x}.norm()",
    "{T}.log_softmax({x}, dim=-1)",
    "{T}.log({x}.sigmoid() + 1)",
    "{x} / ({x}.norm() + 1e-6)",
    "{T}.log({T}.relu({x}) + 1e-8)",
    "({x} ** 2).sum()",
    "{T}.nn.functional.logsigmoid({x})",
    "{x} / {x}.norm().clamp(min=1e-6)",
    "{T}.sqrt({x})",
    "{T}.log({x})",
]
NAMES = st.from_regex(r"[a-z]{3,8}", fullmatch=True).filter(
    lambda name: (
        name
        not in {
            "torch",
            "def",
            "return",
            "assert",
            "class",
            "from",
            "import",
            "pass",
            "with",
            "try",
            "else",
            "for",
            "while",
            "and",
            "not",
            "del",
            "lambda",
            "yield",
            "raise",
            "global",
            "async",
            "await",
            "break",
            "continue",
            "elif",
            "except",
            "finally",
        }
    )
)


@st.composite
def wrappings(draw: st.DrawFn, expression: str) -> str:
    """A module in which a function computes `expression`, written in one of many ways."""
    torch_name = draw(st.sampled_from(["torch", "t", "th"]))
    x, y, function = draw(st.lists(NAMES, min_size=3, max_size=3, unique=True))
    body = expression.replace("{T}", torch_name)
    header = "import torch" if torch_name == "torch" else f"import torch as {torch_name}"
    comment = draw(st.sampled_from(["", "  # sqrt(log(0))", "  # noqa: E501"]))
    blank = "\n" * draw(st.integers(0, 3))
    shape = draw(
        st.sampled_from(["plain", "assigned", "helper", "method", "branch", "loop", "nested", "with"])
    )
    value = body.replace("{x}", x)
    if shape == "plain":
        return f"{header}\n{blank}def {function}({x}):\n    return {value}{comment}\n"
    if shape == "assigned":
        return f"{header}\n\ndef {function}({x}):\n{blank}    {y} = {value}{comment}\n    return {y}\n"
    if shape == "helper":
        return (
            f"{header}\n\ndef {function}({x}):\n    return inner_{y}({x})\n"
            f"{blank}\ndef inner_{y}({x}):\n    return {value}{comment}\n"
        )
    if shape == "method":
        return (
            f"{header}\n\nclass Net({torch_name}.nn.Module):\n    def forward(self, {x}):\n"
            f"        return {value}{comment}\n"
        )
    if shape == "branch":
        return (
            f"{header}\n\ndef {function}({x}, flag_{y}):\n    if flag_{y}:\n        out = {value}{comment}\n"
            f"    else:\n        out = {x}\n    return out\n"
        )
    if shape == "loop":
        return (
            f"{header}\n\ndef {function}({y}):\n    total = 0.0\n    for {x} in {y}:\n"
            f"        total = total + ({value}).sum(){comment}\n    return total\n"
        )
    if shape == "with":
        return (
            f"{header}\n\ndef {function}({x}):\n    with {torch_name}.enable_grad():\n"
            f"        return {value}{comment}\n"
        )
    return (
        f"{header}\n\ndef {function}({x}):\n    def inner():\n        return {value}{comment}\n"
        "    return inner()\n"
    )


def found(code: str) -> Counter[str]:
    return Counter(finding.rule for finding in check_text(code, RULES))


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(sorted(UNSAFE)))
def test_what_is_unsafe_is_found_however_it_is_written(data: st.DataObject, expression: str) -> None:
    code = data.draw(wrappings(expression))
    assert found(code)[UNSAFE[expression]] == 1, code


@settings(max_examples=400, deadline=None)
@given(st.data(), st.sampled_from(SAFE))
def test_what_is_safe_is_silent_however_it_is_written(data: st.DataObject, expression: str) -> None:
    code = data.draw(wrappings(expression))
    assert not found(code), code


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(sorted(UNSAFE)))
def test_a_gradient_that_is_not_tracked_is_no_concern(data: st.DataObject, expression: str) -> None:
    code = data.draw(wrappings(expression))
    code = (
        re.sub(
            r"^( *)(return|out =|total =|\w+ =) (?!inner)(.*)$",
            r"\1with torch.no_grad():\n\1    \2 \3",
            code,
            flags=re.MULTILINE,
        )
        if "enable_grad" not in code
        else "pass\n"
    )
    code = "import torch\n" + code
    assert not found(code), code


ABOUT_STEPS = [rule for rule in RULES if rule.id.startswith(("GRD4", "GRD5"))]
MADE = (
    "{m} = nn.Linear(8, 2)\n{o} = torch.optim.SGD({m}.parameters(), lr=0.1)\n"
    "{s} = torch.amp.GradScaler('cuda')\n"
)
ZERO, BACK = "{o}.zero_grad()", "{s}.scale({l}).backward()"
LOSS = (
    "with torch.autocast('cuda', dtype=torch.float16):\n    {l} = nn.functional.cross_entropy({m}({x}), {y})"
)
UNSCALE, CLIP = "{s}.unscale_({o})", "nn.utils.clip_grad_norm_({m}.parameters(), 1.0)"
STEP, UPDATE = "{s}.step({o})", "{s}.update()"
ITERATIONS = {
    (): (ZERO, LOSS, BACK, UNSCALE, CLIP, STEP, UPDATE),
    ("GRD403",): (ZERO, LOSS, BACK, CLIP, UNSCALE, STEP, UPDATE),
    ("GRD404",): (ZERO, LOSS, BACK, UNSCALE, CLIP, STEP),
    ("GRD501",): (LOSS, BACK, STEP, UPDATE),
    ("GRD502",): (LOSS, BACK, ZERO, STEP, UPDATE),
    ("GRD504",): (ZERO, LOSS, BACK, STEP, CLIP, UPDATE),
}
STYLES = ("script", "function", "method", "helper", "aliases", "dictionary", "generator")


def _indented(text: str, depth: int) -> str:
    return "".join(f"{'    ' * depth}{line}\n" for line in text.splitlines())


@st.composite
def trainings(draw: st.DrawFn, iteration: tuple[str, ...]) -> str:
    """A program that trains by these statements in each iteration, written in one of many ways."""
    style = draw(st.sampled_from(STYLES))
    drawn = draw(st.lists(NAMES, min_size=6, max_size=6, unique=True))
    names = dict(
        zip("mosxyl", [f"{name}_{key}" for name, key in zip(drawn, "mosxyl", strict=True)], strict=True)
    )
    made = MADE.format(**names)
    own = {**names, **{key: f"self.{names[key]}" for key in "mos"}} if style == "method" else names
    if style == "aliases":
        made += "".join(f"{names[key]}_again = {names[key]}\n" for key in "mos")
        own = {**names, **{key: f"{names[key]}_again" for key in "mos"}}
    if style == "dictionary":
        made += f"held = {{'o': {names['o']}, 's': {names['s']}}}\n"
        own = {**names, "o": "held['o']", "s": "held['s']"}
    body = "\n".join(iteration).format(**own)
    loop = f"for {names['x']}, {names['y']} in batches:"
    head = "import torch\nfrom torch import nn\n\n"
    if style == "method":
        fields = MADE.format(**own)
        return (
            f"{head}class Trainer:\n    def __init__(self):\n{_indented(fields, 2)}\n"
            f"    def fit(self, batches):\n        {loop}\n{_indented(body, 3)}"
        )
    if style == "helper":
        given = ", ".join(names[key] for key in "mosxy")
        return f"{head}def step({given}):\n{_indented(body, 1)}\n{made}{loop}\n    step({given})\n"
    if style == "generator":
        drawn_from = f"def shuffled(batches):\n    for pair in batches:\n        yield pair\n\n{made}"
        return f"{head}{drawn_from}{loop.replace('batches', 'shuffled(batches)')}\n{_indented(body, 1)}"
    if style == "script":
        return f"{head}{made}{loop}\n{_indented(body, 1)}"
    return f"{head}def fit(batches):\n{_indented(made, 1)}    {loop}\n{_indented(body, 2)}"


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from(sorted(ITERATIONS)))
def test_steps_are_judged_however_they_are_written(data: st.DataObject, wrong: tuple[str, ...]) -> None:
    code = data.draw(trainings(ITERATIONS[wrong]))
    assert tuple(sorted({finding.rule for finding in check_text(code, ABOUT_STEPS)})) == wrong, code
