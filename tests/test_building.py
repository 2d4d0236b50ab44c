"""Models are built without being told how: by documentation, by what they are asked for, by their errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gradlint.records.evidence import Verification
from gradlint.verify.client import Worker
from gradlint.verify.examine import examine
from gradlint.verify.plan import Target, graphs
from gradlint.verify.request import Request, TargetSettings
from gradlint.verify.worker.parts import part
from gradlint.verify.worker.patterns import shape, stated
from gradlint.verify.worker.usage import _blocks

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")

HEAD = "from dataclasses import dataclass\nimport torch\nfrom torch import nn\n\n"
CORE = """
class Core(nn.Module):
    def __init__(self, width, code):
        super().__init__()
        if code != "a word that nobody guesses":
            raise ValueError("wrong word")
        self.steps = nn.Sequential(nn.Linear(width, width), nn.Linear(width, width))

    def forward(self, x):
        return self.steps(x)
"""
LEARNER = """
class Learner(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.layer = dict(net.named_modules())["steps.1"]

    def forward(self, x):
        return self.net(x).square()
"""
README = """
```bash
pip install core
```

```python
from model import Core, Learner

core = Core(width=256, code="a word that nobody guesses")
```

Then learn:

```python
learner = Learner(core)
for _ in range(10):
    images = torch.randn(4, 256)
    loss = learner(images).sum()
    loss.backward()
```
"""
RECORDER = """
class Tower(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.floors = nn.Sequential(nn.Linear(width, width), nn.Linear(width, width))

    def forward(self, x):
        return self.floors(x)

class Other(Tower):
    pass

class Recorder(nn.Module):
    def __init__(self, NAME):
        super().__init__()
        self.NAME = NAME

    def forward(self, x):
        assert len(self.NAME.floors) == 2
        return self.NAME(x)
"""
LENGTH = """
class Net(nn.Module):
    def __init__(self, steps=37):
        super().__init__()
        self.steps = steps
        self.embed = nn.Embedding(50, 8)
        self.head = nn.Linear(8, 8)

    def forward(self, ids):
        batch, length = ids.shape
        assert length == self.steps
        return self.head(self.embed(ids))
"""
ROTARY = """
@dataclass
class Config:
    vocab_size: int = 50000
    hidden_size: int = 4096
    num_heads: int = 16
    rotary_dim: int = 64

class Net(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.heads, self.part = config.num_heads, config.rotary_dim
        self.mix = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, ids):
        x = self.mix(self.embed(ids))
        x = x.view(*x.shape[:2], self.heads, -1)
        turned = x[..., :self.part] * torch.ones(self.part)
        return torch.cat((turned, x[..., self.part:]), -1)
"""


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(sys.executable) as worker:
        yield worker


def verified(
    worker: Worker, folder: Path, code: str, name: str, given: TargetSettings | None = None
) -> Verification:
    path = folder / "model.py"
    path.write_text(HEAD + code)
    graph = next((each for each in graphs(str(path)) if each.name == name), None)
    request = Request(sys.executable, given=given or TargetSettings())
    return examine(worker, Target(str(path), name, graph), request)


def test_the_readme_is_followed_where_nothing_else_runs(worker: Worker, tmp_path: Path) -> None:
    """Its sizes are divided alike; a block reads what the one before it binds."""
    (tmp_path / "pyproject.toml").touch()
    assert verified(worker, tmp_path, CORE + LEARNER, "Learner").verdict == "could not run"
    (tmp_path / "README.md").write_text(README)
    found = verified(worker, tmp_path, CORE + LEARNER, "Learner")
    assert found.verdict == "healthy", found.reason
    assert [origin for _, _, origin in (*found.arguments, *found.inputs)] == ["README.md"] * 2
    assert found.inputs[0][1].endswith(",32]") and "divided by 8" in " ".join(found.notes)


def test_what_a_readme_does_beside_is_left_out(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    touched = tmp_path / "touched"
    aside = f"```python\nimport os\nos.mkdir({str(touched)!r})\n"
    text = README.replace("```python\n", aside).replace("width=256", "width=int(os.environ.get('W', 256))")
    (tmp_path / "README.md").write_text(text)
    assert verified(worker, tmp_path, CORE + LEARNER, "Learner").verdict == "healthy"
    assert not touched.exists()


@pytest.mark.parametrize("name", ["tower", "anything"])
def test_a_model_is_given_the_model_that_its_forward_asks_for(
    worker: Worker, tmp_path: Path, name: str
) -> None:
    """By the name of the parameter, or by the attribute that the forward pass reads of it."""
    found = verified(worker, tmp_path, RECORDER.replace("NAME", name), "Recorder")
    assert found.verdict == "healthy", found.reason
    assert found.arguments[0][1].startswith(("Tower(", "Other("))


def test_an_input_gets_the_length_that_the_code_compares_it_with(worker: Worker, tmp_path: Path) -> None:
    found = verified(worker, tmp_path, LENGTH, "Net")
    assert found.inputs[0][1].endswith(",37]"), found.reason


def test_parts_of_heads_are_made_small_with_them(worker: Worker, tmp_path: Path) -> None:
    found = verified(worker, tmp_path, ROTARY, "Net")
    assert found.verdict == "healthy", found.reason
    assert "rotary_dim=64" not in found.arguments[0][1]


STACK = """
class Stack(nn.Module):
    def __init__(self, width=16, causal=False, scale=None):
        super().__init__()
        self.causal, self.scale = causal, scale
        self.mix = nn.Linear(width, width)

class Causal(Stack):
    def __init__(self, **others):
        super().__init__(causal=True, **others)

class Tower(nn.Module):
    def __init__(self, stack: Stack, is_tied=False):
        super().__init__()
        self.stack = stack
        if is_tied:
            self.head = lambda x: x @ self.stack.mix.weight
        else:
            self.head = nn.Linear(16, 16)

    def forward(self, x):
        return self.head(self.stack.mix(x))

class Net(nn.Module):
    def __init__(self, net: Tower, first, second):
        super().__init__()
        CHECKS
        self.net = net

    def forward(self, x):
        if not self.net.stack.causal:
            assert x.dim() == 9
        return self.net(x)
"""
CHECKS = {
    "a class": "assert isinstance(net.stack, Causal) and net.stack.causal",
    "a setting": "assert net.stack.causal",
    "one that the base takes": "assert isinstance(net.stack, Causal) and net.stack.scale is not None",
    "one that decides what is made": "assert not isinstance(net.head, nn.Module)",
    "an order": "assert first < second < 2",
    "one that the run asks for": "",
}


@pytest.mark.parametrize("check", CHECKS)
def test_parts_of_parts_are_made_as_they_are_asked_for(worker: Worker, tmp_path: Path, check: str) -> None:
    found = verified(worker, tmp_path, STACK.replace("CHECKS", CHECKS[check] or "pass"), "Net")
    assert found.verdict == "healthy", found.reason


def test_parts_are_made_anew_with_the_model() -> None:
    first, second = part(torch.nn.Transformer, 16), part(torch.nn.Transformer, 16)
    assert first is second is None, "what is torch's own is no part of a project"
    made = [part(Own, 16) for _ in range(2)]
    assert isinstance(made[0], Own) and made[0] is not made[1]


class Own(torch.nn.Module):  # type: ignore[misc,name-defined]
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(width, width)


BESIDE = """
class Learner(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.steps = nn.Sequential(*net.steps[:1])

    def forward(self, x):
        return self.net.words[:, 0] * self.steps(x)
"""
WORDS = """
import torch
from torch import nn

class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Parameter(torch.randn(16))
        self.steps = nn.Sequential(nn.Linear(16, 16))

class Square(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Parameter(torch.randn(16, 16))
        self.steps = nn.Sequential(nn.Linear(16, 16))
"""


def test_a_part_may_be_of_a_file_beside(worker: Worker, tmp_path: Path) -> None:
    """Where the run ends in an error another class that has what is asked for takes its place."""
    (tmp_path / "words.py").write_text(WORDS)
    found = verified(worker, tmp_path, BESIDE, "Learner")
    assert found.verdict != "could not run" and found.arguments[0][1].startswith("Square("), found.reason


SQUARE = """
class Net(nn.Module):
    def __init__(self, image_size, patch_size, dim):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, patch_size, patch_size)
        side = image_size // patch_size
        self.place = nn.Parameter(torch.randn(8, side, side))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        return self.norm(self.embed(x) + self.place)
"""


def test_a_size_that_does_not_fit_becomes_the_other_one(worker: Worker, tmp_path: Path) -> None:
    found = verified(worker, tmp_path, SQUARE, "Net")
    assert found.verdict == "healthy" and found.arguments[2][:2] == ("dim", "8"), found.reason


NAMED = """
class Net(nn.Module):
    def __init__(self, sizes: dict = {}, width: int = 16):
        super().__init__()
        self.embeds = nn.ModuleDict({name: nn.Embedding(size, width) for name, size in sizes.items()})
        self.layer = nn.Linear(width, width)

    def forward(self, batch):
        BODY
"""
BODIES = {
    "keys": ("return self.layer(batch['x']) + batch['y']", "batch.x=[,16] batch.y=[,16]"),
    "attributes": (
        "return self.layer(batch.x) * batch.mask.unsqueeze(-1)",
        "batch.x=[,16] batch.mask=[]",
    ),
    "entries": (
        "assert len(batch) == len(self.embeds)\n"
        "        return sum(self.embeds[name](ids) for name, ids in batch.items())",
        "batch.first=[,16]",
    ),
}


@pytest.mark.parametrize("body", BODIES)
def test_an_input_may_hold_others_by_name(worker: Worker, tmp_path: Path, body: str) -> None:
    code, inputs = BODIES[body]
    found = verified(worker, tmp_path, NAMED.replace("BODY", code), "Net")
    assert found.verdict == "healthy", found.reason
    assert [name for name, _, _ in found.inputs] == [each.partition("=")[0] for each in inputs.split()]


def test_fields_of_an_input_can_be_told(worker: Worker, tmp_path: Path) -> None:
    given = TargetSettings(inputs=(("batch.x", "float32", (4, 5, 16)), ("batch.y", "float32", (4, 1, 16))))
    found = verified(worker, tmp_path, NAMED.replace("BODY", BODIES["keys"][0]), "Net", given)
    assert found.inputs[0][1:] == ("float32[4,5,16]", "--input"), found.reason


CONFIGURED = """
@dataclass
class Config:
    vocabulary: int = 50000
    width: int = 512
    window: int = 512

class Net(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        assert config.window % 8 == 0 and config.window > 4
        self.embed = nn.Embedding(config.vocabulary, config.width)
        self.mix = nn.Linear(config.width, config.width)

    def forward(self, ids):
        return self.mix(self.embed(ids))
"""


def test_one_setting_of_a_configuration_is_mended(worker: Worker, tmp_path: Path) -> None:
    """The others stay small."""
    found = verified(worker, tmp_path, CONFIGURED, "Net")
    assert found.verdict == "healthy" and found.parameters < 10000, found.reason
    assert "config.window" in [name for name, _, _ in found.arguments]


LETTERS = """
class Net(nn.Module):
    '''A stack.

    Args:
        P: Kernel size of each layer
        N: Number of channels
        R: Number of repeats
    '''

    def __init__(self, P, N, R, norm):
        super().__init__()
        if norm.startswith("spectral"):
            wrap = nn.utils.parametrizations.spectral_norm
        self.layers = nn.Sequential(*[wrap(nn.Conv1d(N, N, P, padding=P // 2)) for _ in range(R)])

    def forward(self, x):
        return self.layers(x)
"""


def test_letters_are_what_docstrings_say(worker: Worker, tmp_path: Path) -> None:
    found = verified(worker, tmp_path, LETTERS, "Net")
    assert found.verdict == "healthy", found.reason
    assert [each[1] for each in found.arguments[:3]] == ["3", "16", "2"]


FITTING = {
    "channels put together": (
        "self.layer = nn.Conv2d(7, 8, 3, padding=1)",
        "first, second",
        "self.layer(torch.cat((first, second, first), 1))",
    ),
    "what is left of an image": (
        "self.layer = nn.Sequential(*[nn.Conv2d(3, 3, 3, 3) for _ in range(5)])",
        "image",
        "self.layer(image)",
    ),
    "lengths after what has no length": (
        "self.layer = nn.Linear(4 * 6, 8)",
        "query, keys",
        "self.layer(torch.cat([query + 0 * keys, keys, query - keys, query * keys], -1)"
        " if len(keys.shape) == 3 else None)",
    ),
}


@pytest.mark.parametrize("case", FITTING)
def test_inputs_are_found_that_fit_together(worker: Worker, tmp_path: Path, case: str) -> None:
    setup, inputs, result = FITTING[case]
    code = f"class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        {setup}\n\n"
    code += f"    def forward(self, {inputs}):\n        return {result}\n"
    found = verified(worker, tmp_path, code, "Net")
    assert found.verdict != "could not run", found.reason


def test_what_is_made_without_a_record_of_its_versions_is_watched(worker: Worker, tmp_path: Path) -> None:
    code = LENGTH.replace(
        "        batch, length",
        "        with torch.inference_mode():\n            self.head(torch.ones(8))\n        batch, length",
    )
    found = verified(worker, tmp_path, code, "Net")
    assert found.verdict == "healthy", found.reason


def test_what_is_compiled_runs_as_it_is_written(worker: Worker, tmp_path: Path) -> None:
    code = LENGTH.replace("    def forward", "    @torch.compile(mode='max-autotune')\n    def forward")
    found = verified(worker, tmp_path, code, "Net")
    assert found.verdict == "healthy" and found.seconds < 10, found.reason


DRAWN = """
class Net(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.layers = nn.Sequential(*[nn.Linear(width, width) for _ in range(4)])

    def forward(self, x):
        return self.layers(x)

def draw(module):
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=SCALE)

SCALE = 1e-4
"""
AFTER = {
    "apply": "net.apply(draw)",
    "function": "for each in net.modules():\n        draw(each)",
    "in place": "for each in net.parameters():\n        nn.init.normal_(each, std=SCALE)",
}


@pytest.mark.parametrize("how", AFTER)
def test_weights_are_those_that_the_program_gives_them(worker: Worker, tmp_path: Path, how: str) -> None:
    main = f"def main():\n    net = Net()\n    {AFTER[how]}\n    torch.save(net, 'net.pt')\n"
    found = verified(worker, tmp_path, DRAWN + main, "Net")
    assert found.verdict == "at risk" and any("initialised as in main()" in note for note in found.notes)
    other = main.replace("main", "other").replace(AFTER[how], "net.train()")
    assert verified(worker, tmp_path, DRAWN + main + other, "Net").verdict == "healthy"


PATTERNS = {
    "b c (h p1) (w p2) -> b (h w) (p1 p2 c)": ({"p1": 4, "p2": 4}, 48, (2, 3, 32, 32)),
    "b (n p) c -> b n (p c)": ({"p": 8}, 40, (2, 32, 5)),
    "b d -> b d 1": ({}, 0, (2, 16)),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_tell_shapes(pattern: str) -> None:
    lengths, width, expected = PATTERNS[pattern]
    assert shape(pattern, lengths, 2, width, 32) == expected
    message = f'Error while processing rearrange-reduction pattern "{pattern}". Additional info: {lengths}.'
    assert stated(message) == (pattern, lengths)


def test_a_pattern_with_an_ellipsis_tells_no_shape() -> None:
    assert shape("b ... c -> b c ...", {}, 2, 0, 32) is None


def test_code_stands_between_fences_of_python_or_behind_prompts() -> None:
    text = f"{README}\n```yaml\na: 1\n```\n\n>>> net = Core(3)\n... print(net)\n"
    names = ["Core" in ast_text(tree) for tree in _blocks(text)]
    assert len(names) == 6 and sum(names) == 5


def ast_text(tree: object) -> str:
    import ast

    return ast.dump(tree) if isinstance(tree, ast.AST) else ""


CASES = {
    "argument": (
        CORE.replace('code != "a word that nobody guesses"', "len(repr(code)) != sum(map(ord, 'word')) % 97"),
        "Core",
        {"code": f"'{'-' * (sum(map(ord, 'word')) % 97 - 2)}'"},
    ),
    "input": (LENGTH.replace("length == self.steps", "length * 7919 % 10007 == 8198"), "Net", {}),
}


@pytest.mark.parametrize("kind", CASES)
def test_the_line_that_is_named_supplies_what_is_missing(worker: Worker, tmp_path: Path, kind: str) -> None:
    """The name in the line is the one that helps; its value is for the user to say."""
    code, name, wanted = CASES[kind]
    found = verified(worker, tmp_path, code, name)
    assert found.verdict == "could not run"
    table, _, entry = found.remedy.partition("] ")
    settings = msgspec.toml.decode(f"{table}]\n{entry}")["tool"]["gradlint"]["verify"]["targets"][
        "model:" + name
    ]
    assert list(settings) == [f"{kind}s"]
    (missing,) = settings[f"{kind}s"]
    given = (
        TargetSettings(arguments=((missing, wanted[missing]),))
        if kind == "argument"
        else TargetSettings(inputs=((missing, "int64<50", (4, 44)),))
    )
    assert verified(worker, tmp_path, code, name, given).verdict == "healthy"
