"""GRD409 deprecated-amp-api."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.records.finding import Applicability, Finding, Fix, Severity
from gradlint.rule.amp_arguments import with_device
from gradlint.rule.relocate import Move, relocation
from gradlint.rule.rule import Rule
from gradlint.semantics.mentions import Mention, Mentions, target

_NAMES = frozenset({"autocast", "GradScaler", "custom_fwd", "custom_bwd"})
_MOVES = tuple(Move(f"torch.{device}.amp", "torch.amp", _NAMES) for device in ("cuda", "cpu"))


class DeprecatedAmpApi(Rule):
    """Mixed precision is used through `torch.cuda.amp` or `torch.cpu.amp`, which torch 2.4 deprecates.

    ### Why is this bad?
    Every call warns (`FutureWarning`) and the names will be removed. Their successors in `torch.amp`
    take the device as an argument, so that one code serves CUDA, CPU and the other accelerators.

    ### How it is verified
    There is nothing to measure, hence no claim: both compute the same.

    ### When it is fine
    As the fallback of code that tries `torch.amp` first, and for code that must run on a torch older
    than 2.4: `--target-torch 2.3` turns the rule off.

    ### Fix safety
    Safe: the call gets the device that the old name implied; positional arguments of `autocast`, whose
    order changed, become keywords. An import changes together with all that uses it, or not at all.

    ### References
    - [torch.amp](https://docs.pytorch.org/docs/stable/amp.html)
    - [Deprecating the names of single devices](https://github.com/pytorch/pytorch/pull/126527)
    """

    id = "GRD409"
    name = "deprecated-amp-api"
    severity = Severity.WARNING
    since = (2, 4)
    help = "use torch.amp with the device as an argument"
    triggers: ClassVar[Mapping[str, str]] = {
        "autocast": r"(?<!torch\.)(?<!torch\.amp\.)(?<!\w)autocast\b",
        "GradScaler": r"(?<!torch\.amp\.)(?<!\w)GradScaler\b",
        "custom_fwd": r"(?<!torch\.amp\.)custom_fwd\b",
        "custom_bwd": r"(?<!torch\.amp\.)custom_bwd\b",
    }
    bad: ClassVar[Mapping[str, str]] = {
        "names imported": (
            "from torch.cuda.amp import GradScaler, autocast\n\npair = GradScaler(), autocast()\n"
        ),
        "full name": "import torch as t\n\ndef cast(use):\n    return t.cuda.amp.autocast(use, t.bfloat16)\n",
        "module alias": "import torch.cuda.amp as amp\n\nscaler = amp.GradScaler(init_scale=1024.0)\n",
        "submodule": "from torch.cuda import amp\n\ndef make(**kw):\n    return amp.GradScaler(**kw)\n",
        "name changed": (
            "from torch.cuda.amp import autocast as ac\n\n@ac()\ndef double(x):\n    return 2 * x\n"
        ),
        "decorators": (
            "import torch\nfrom torch.cuda.amp import custom_bwd, custom_fwd\n\n"
            "@custom_fwd(cast_inputs=torch.half)\ndef forward(ctx, x):\n    return x\n\n@custom_bwd\n"
            "def backward(ctx, g):\n    return g\n"
        ),
        "processor": "import torch\n\nwith torch.cpu.amp.autocast():\n    y = torch.ones(3)\n",
        "local import": (
            "def f(on):\n    from torch.cuda.amp import GradScaler\n    return GradScaler(enabled=on)\n"
        ),
        "base class": "import torch\n\nclass Scaler(torch.cuda.amp.GradScaler):\n    pass\n",
        "passed on": (
            "import contextlib\nfrom torch.cuda.amp import autocast\n\ndef context(use):\n"
            "    make = autocast if use else contextlib.nullcontext\n    return make()\n"
        ),
        "beside another successor": (
            'import torch\n\ndef f():\n    return torch.cuda.amp.GradScaler(), torch.autocast("cuda")\n'
        ),
    }
    good: ClassVar[Mapping[str, str]] = {
        "torch.amp": (
            'import torch\n\nscaler, cast = torch.amp.GradScaler("cuda"), torch.amp.autocast("cuda")\n'
        ),
        "fallback import": (
            "try:\n    from torch.amp import GradScaler\nexcept ImportError:\n"
            "    from torch.cuda.amp import GradScaler\n\nscaler = GradScaler()\n"
        ),
        "fallback call": (
            "import torch\n\ndef make(device):\n    try:\n        return torch.amp.GradScaler(device)\n"
            "    except AttributeError:\n        return torch.cuda.amp.GradScaler()\n"
        ),
        "chosen by version": (
            "import torch\n\ndef cast():\n    if hasattr(torch.amp, 'autocast'):\n"
            "        return torch.amp.autocast('cuda')\n    return torch.cuda.amp.autocast()\n"
        ),
        "a name of its own": (
            "import torch\n\ndef autocast(on=True):\n    return torch.autocast('cuda', enabled=on)\n\n"
            "def run(x, GradScaler=None):\n    with autocast():\n        return GradScaler(x)\n"
        ),
        "another library": (
            "import torch\nfrom apex.amp import autocast\n\nwith autocast():\n    y = torch.ones(3)\n"
        ),
    }
    fixed: ClassVar[Mapping[str, str]] = {
        "names imported": (
            'from torch.amp import GradScaler, autocast\n\npair = GradScaler("cuda"), autocast("cuda")\n'
        ),
        "full name": (
            "import torch as t\n\ndef cast(use):\n"
            '    return t.amp.autocast("cuda", enabled=use, dtype=t.bfloat16)\n'
        ),
        "module alias": 'import torch.amp as amp\n\nscaler = amp.GradScaler("cuda", init_scale=1024.0)\n',
        "submodule": 'from torch import amp\n\ndef make(**kw):\n    return amp.GradScaler("cuda", **kw)\n',
        "name changed": (
            'from torch.amp import autocast as ac\n\n@ac("cuda")\ndef double(x):\n    return 2 * x\n'
        ),
        "decorators": (
            "import torch\nfrom torch.amp import custom_bwd, custom_fwd\n\n"
            '@custom_fwd(device_type="cuda", cast_inputs=torch.half)\ndef forward(ctx, x):\n    return x\n\n'
            '@custom_bwd(device_type="cuda")\ndef backward(ctx, g):\n    return g\n'
        ),
        "processor": 'import torch\n\nwith torch.amp.autocast("cpu"):\n    y = torch.ones(3)\n',
        "local import": (
            'def f(on):\n    from torch.amp import GradScaler\n    return GradScaler("cuda", enabled=on)\n'
        ),
        "beside another successor": (
            'import torch\n\ndef f():\n    return torch.amp.GradScaler("cuda"), torch.autocast("cuda")\n'
        ),
    }

    def check(self, mentions: Mentions) -> Iterator[Finding]:
        """Report every mention of a deprecated name that is no fallback."""
        for mention in mentions.everything():
            move = next((move for move in _MOVES if move.renamed(mention.name)), None)
            if move is not None and mention.name != move.old and not _is_fallback(mentions, mention):
                message = f"{mention.name} is deprecated since torch 2.4"
                yield self.finding(mention.node.span, message, fix=_fix(mentions, mention, move))


def _is_fallback(mentions: Mentions, mention: Mention) -> bool:
    """Whether the successor is named beside it, in the same function or by another import."""
    names = [target(binding) for binding in mention.bindings]
    names.extend(other.name for other in mentions.beside(mention))
    word = mention.name.rpartition(".")[2]
    return any(name in (f"torch.amp.{word}", f"torch.{word}") for name in names)


def _fix(mentions: Mentions, mention: Mention, move: Move) -> Fix | None:
    edits = relocation(mentions, mention, move, with_device)
    return None if edits is None else Fix("use torch.amp", Applicability.SAFE, edits)
