"""GRD105 deep-post-norm-without-warmup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from gradlint.flow.post_norm import post_norm_layers
from gradlint.records.finding import Finding, Severity
from gradlint.rule.loops import report
from gradlint.rule.rule import Rule
from gradlint.steps.loop import TrainingLoop
from gradlint.steps.warmup import begins, is_eager, may_warm_up

LAYERS = 10

_HEAD = "import torch\nfrom torch import nn\n\n"
_NET = (
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.embed = nn.Embedding(1000, 256)\n"
    "        layer = nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True)\n"
    "        self.encoder = nn.TransformerEncoder(layer, 12)\n        self.head = nn.Linear(256, 1000)\n\n"
    "    def forward(self, x):\n        return self.head(self.encoder(self.embed(x)))\n\n"
)
_BLOCKS = (
    "class Block(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.attention = nn.MultiheadAttention(256, 4, batch_first=True)\n"
    "        self.first, self.second = nn.LayerNorm(256), nn.LayerNorm(256)\n"
    "        self.mlp = nn.Sequential(nn.Linear(256, 1024), nn.GELU(), nn.Linear(1024, 256))\n\n"
    "    def forward(self, x):\n"
    "        x = self.first(x + self.attention(x, x, x)[0])\n        return self.second(x + self.mlp(x))\n\n"
    "class Net(nn.Module):\n    def __init__(self, depth=16):\n        super().__init__()\n"
    "        self.blocks = nn.ModuleList([Block() for _ in range(depth)])\n"
    "        self.head = nn.Linear(256, 10)\n\n"
    "    def forward(self, x):\n        for block in self.blocks:\n            x = block(x)\n"
    "        return self.head(x.mean(1))\n\n"
)
_PRE = _BLOCKS.replace(
    "        x = self.first(x + self.attention(x, x, x)[0])\n        return self.second(x + self.mlp(x))\n",
    "        y = self.first(x)\n        x = x + self.attention(y, y, y)[0]\n"
    "        return x + self.mlp(self.second(x))\n",
)
_MADE = "model = Net()\noptimizer = torch.optim.Adam(model.parameters(), lr=1e-3)\n"
_LOOP = (
    "for x, y in loader:\n    optimizer.zero_grad()\n"
    "    nn.functional.cross_entropy(model(x).flatten(0, -2), y.flatten()).backward()\n"
    "    optimizer.step()\n"
)
_SCHEDULED = _LOOP + "    scheduler.step()\n"
_TRAINER = (
    _HEAD.replace("import torch\n", "import torch\nfrom transformers import Trainer, TrainingArguments\n")
    + _NET
    + "arguments = TrainingArguments('out', learning_rate=5e-4{})\n"
    + "Trainer(model=Net(), args=arguments, train_dataset=data).train()\n"
)


def _with(scheduler: str, net: str = _NET) -> str:
    """Training with this schedule of torch."""
    made = f"scheduler = torch.optim.lr_scheduler.{scheduler}\n"
    return _HEAD + net + _MADE + made + _SCHEDULED


class DeepPostNormWithoutWarmup(Rule):
    """A deep transformer with its norms behind the sums is trained at the full rate from the first step.

    ### Why is this bad?
    With the norm behind each residual sum the gradients of the last layers are large at initialisation,
    by √L more than with the norm before the branch, and those of the first layers small. The first steps
    at the full rate throw the last layers far off, and a model of ten layers or more mostly does not
    recover: the loss stays at that of a constant answer.

    ### How it is verified
    No claim: the gradient at initialisation is finite and of ordinary size; it is the steps that follow
    which go wrong, and by how much depends on the data.

    ### When it is fine
    With the norm before each branch, fewer than ten layers, a schedule that begins low (`LinearLR`,
    `OneCycleLR`, `LambdaLR`, `get_linear_schedule_with_warmup`, `warmup_steps`), `RAdam`, rates up to
    2e-5, weights that are loaded, and where code sets the rates of the optimizer itself.

    ### Fix safety
    No fix: the length of the warm-up depends on the number of steps.

    ### References
    - Xiong et al. (2020), On Layer Normalization in the Transformer Architecture,
      https://arxiv.org/abs/2002.04745
    - Liu et al. (2020), Understanding the Difficulty of Training Transformers,
      https://arxiv.org/abs/2004.08249
    - [nn.Transformer with twelve layers or more](https://github.com/pytorch/pytorch/issues/55270)
    """

    id = "GRD105"
    name = "deep-post-norm-without-warmup"
    severity = Severity.WARNING
    help = "raise the rate over the first steps (LinearLR, OneCycleLR), or use norm_first=True"
    bad: ClassVar[Mapping[str, str]] = {
        "no schedule": _HEAD + _NET + _MADE + _LOOP,
        "blocks written out": _HEAD + _BLOCKS + _MADE + _LOOP,
        "a schedule that only falls": _with("CosineAnnealingLR(optimizer, 1000)"),
        "depth by the caller": (
            _HEAD
            + _BLOCKS.replace("depth=16", "depth")
            + _MADE.replace("Net()", "Net(depth=24)").replace("Adam", "AdamW")
            + _LOOP
        ),
        "in functions": (
            _HEAD
            + _NET
            + "def train(model, optimizer):\n"
            + "".join(f"    {line}\n" for line in _LOOP.splitlines())
            + "\ndef main():\n    net = Net()\n    train(net, torch.optim.Adam(net.parameters(), 5e-4))\n"
        ),
        "trainer without warm-up": _TRAINER.format(""),
    }
    good: ClassVar[Mapping[str, str]] = {
        "norm first": _HEAD
        + _NET.replace("batch_first=True", "batch_first=True, norm_first=True")
        + _MADE
        + _LOOP,
        "norm before the branch": _HEAD + _PRE + _MADE + _LOOP,
        "shallow": _HEAD + _NET.replace("layer, 12", "layer, 6") + _MADE + _LOOP,
        "rate by a function": _with("LambdaLR(optimizer, lambda step: min(1, (step + 1) / 4000))"),
        "one cycle": _with("OneCycleLR(optimizer, 1e-3, total_steps=10000)"),
        "linear, then cosine": _with(
            "SequentialLR(optimizer, [torch.optim.lr_scheduler.LinearLR(optimizer, 0.01, total_iters=500),\n"
            "    torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 9500)], [500])"
        ),
        "schedule of a library": (
            _HEAD.replace(
                "import torch\n", "import torch\nfrom transformers import get_linear_schedule_with_warmup\n"
            )
            + _NET
            + _MADE
            + "scheduler = get_linear_schedule_with_warmup(optimizer, 500, 10000)\n"
            + _SCHEDULED
        ),
        "trainer with warm-up": _TRAINER.format(", warmup_steps=500"),
        "trainer with a share of warm-up": _TRAINER.format(", warmup_ratio=0.06"),
        "rates set by hand": (
            _HEAD
            + _NET
            + _MADE
            + "for step, (x, y) in enumerate(loader):\n    for group in optimizer.param_groups:\n"
            + "        group['lr'] = 1e-3 * min(1, (step + 1) / 500)\n"
            + _LOOP.split("\n", 1)[1]
        ),
        "rates set by unknown code": (
            _HEAD.replace("import torch\n", "import torch\nfrom rates import adjust\n")
            + _NET
            + _MADE
            + _LOOP.replace(
                "    optimizer.zero_grad()\n", "    adjust(optimizer)\n    optimizer.zero_grad()\n"
            )
        ),
        "weights that are trained already": (
            _HEAD + _NET + _MADE + "model.load_state_dict(torch.load('trained.pt'))\n" + _LOOP
        ),
        "rectified": _HEAD + _NET + _MADE.replace("optim.Adam", "optim.RAdam") + _LOOP,
        "fine-tuning rate": _HEAD + _NET + _MADE.replace("1e-3", "1e-5") + _LOOP,
    }

    def check(self, loop: TrainingLoop, /) -> Iterator[Finding]:
        """An optimizer with adaptive steps holds such a model, and nothing lets its rate begin low."""
        for optimizer in loop.optimizers if loop.is_readable else ():
            step = begins(loop, optimizer)
            if step is None or not is_eager(loop, optimizer) or may_warm_up(loop, optimizer):
                continue
            graphs = [loop.graphs(loop.thing(number)) for number in sorted(loop.owners(optimizer) or ())]
            for norms in [post_norm_layers(graph) for graph in graphs if graph is not None]:
                if len(norms) >= LAYERS:
                    message = f"{len(norms)} layers with a norm behind each sum are trained without warm-up"
                    place = norms[0].made or norms[0].place
                    yield report(self, loop, step, message, [(place, "the first norm")])
