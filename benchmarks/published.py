"""Models of published packages, small and with random weights: S predicted from their source, and measured.

    python benchmarks/published.py                        # all of them
    python benchmarks/published.py --families timm        # some

Each is the class of the package, constructed in a few lines that both sides are given: the linter reads
them together with the package's files, torch runs them. What the packages themselves need must be
installed (torchvision, einops, einx, loguru, huggingface-hub …); a model that cannot run is left out.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import measure
import torch
from corpus import BY_NAME, default_cache, obtain

from gradlint.flow.chain import Chain, longest_chain
from gradlint.flow.propagate import GradientFlow, propagate
from gradlint.graph.build import Builder
from gradlint.lint.deep import deep_recursion
from gradlint.lint.models import Texts
from gradlint.mathematics.interval import Interval
from gradlint.records.facts import FileFacts
from gradlint.records.graph import ModelGraph
from gradlint.records.ir import Omitted, Statement
from gradlint.semantics.project import Project
from gradlint.syntax.extract import extract, lower_omitted

TEXT = """
from torch import nn
{imports}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = {expression}

    def forward(self, x):
        return self.model(x){taken}
"""

TOKENS = "num_classes=10, dim=64, depth=6, heads=4, mlp_dim=128"
IMAGE = f"image_size=32, patch_size=4, {TOKENS}"
SMALL, LARGE = (8, 3, 32, 32), (8, 3, 64, 64)
HIDDEN = "hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=128"
WORDS = f"vocab_size=100, {HIDDEN}"


@dataclass(frozen=True)
class Published:
    """A model: its package, what to import, how to construct it, the shape of its input.

    A shape of two numbers stands for whole numbers. `taken` is what is taken of forward's result.
    """

    family: str
    imports: str
    expression: str
    shape: tuple[int, ...]
    taken: str = ""

    @property
    def code(self) -> str:
        return TEXT.format(imports=self.imports, expression=self.expression, taken=self.taken)

    @property
    def name(self) -> str:
        return self.expression.partition("(")[0]


@dataclass(frozen=True)
class Outcome:
    """What is predicted of a model, and the S that was measured; `unread` counts what was not understood."""

    model: Published
    unread: dict[str, int]
    chain: Chain | None
    measured: float

    @property
    def predicted(self) -> Interval | None:
        """S where both ends of the prediction are known."""
        return self.chain.decades if self.chain is not None and self.chain.decades.is_finite else None

    @property
    def error(self) -> float:
        assert self.predicted is not None
        return abs(self.measured - self.predicted.centre)

    def is_inside(self, sigmas: float = 3.0, floor: float = 0.1) -> bool:
        """Whether S lies in the prediction, widened by the error bar of finite width."""
        assert self.chain is not None
        return self.chain.decades.widened(sigmas * self.chain.deviation + floor).contains(self.measured)


def _vit(module: str, arguments: str = IMAGE, cls: str = "ViT", shape: tuple[int, ...] = SMALL) -> Published:
    return Published("vit-pytorch", f"from vit_pytorch.{module} import {cls}", f"{cls}({arguments})", shape)


def _simple(module: str, arguments: str = IMAGE, shape: tuple[int, ...] = SMALL) -> Published:
    return _vit(module, arguments, "SimpleViT", shape)


def _torchvision(module: str, names: str, expression: str) -> Published:
    return Published("torchvision", f"from torchvision.models.{module} import {names}", expression, LARGE)


def _timm(module: str, names: str, expression: str, shape: tuple[int, ...] = LARGE) -> Published:
    return Published("timm", f"from timm.models.{module} import {names}", expression, shape)


def _layers(expression: str) -> Published:
    name = expression.partition("(")[0]
    return Published(
        "x-transformers", f"from x_transformers.x_transformers import {name}", expression, (8, 16, 64)
    )


def _transformer(module: str, name: str, arguments: str, shape: tuple[int, ...] = (8, 16)) -> Published:
    places = "transformers.models." + module
    imports = (
        f"from {places}.configuration_{module} import {name}Config\n"
        f"from {places}.modeling_{module} import {name}Model"
    )
    expression = f"{name}Model({name}Config({arguments}))"
    return Published("transformers", imports, expression, shape, ".last_hidden_state")


CLIP = f"image_size=32, image_patch_size=8, frames=4, frame_patch_size=2, {TOKENS}"
MODELS = (
    _torchvision("resnet", "ResNet, BasicBlock", "ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)"),
    _torchvision("resnet", "ResNet, BasicBlock", "ResNet(BasicBlock, [2, 2, 2, 2], num_classes=10)"),
    _torchvision("resnet", "ResNet, Bottleneck", "ResNet(Bottleneck, [1, 2, 2, 1], num_classes=10)"),
    _torchvision("squeezenet", "SqueezeNet", "SqueezeNet(num_classes=10)"),
    _torchvision(
        "densenet", "DenseNet", "DenseNet(growth_rate=16, block_config=(2, 2, 2, 2), num_classes=10)"
    ),
    _torchvision("mobilenetv2", "MobileNetV2", "MobileNetV2(num_classes=10)"),
    _torchvision("mobilenetv2", "MobileNetV2", "MobileNetV2(num_classes=10, width_mult=0.5)"),
    _torchvision("shufflenetv2", "ShuffleNetV2", "ShuffleNetV2([2, 2, 2], [24, 48, 96, 192, 256])"),
    _torchvision("shufflenetv2", "ShuffleNetV2", "ShuffleNetV2([4, 8, 4], [24, 48, 96, 192, 256])"),
    _torchvision("mnasnet", "MNASNet", "MNASNet(0.5, num_classes=10)"),
    _torchvision("mnasnet", "MNASNet", "MNASNet(1.0, num_classes=10)"),
    _torchvision("googlenet", "GoogLeNet", "GoogLeNet(num_classes=10, aux_logits=False, init_weights=False)"),
    _torchvision(
        "convnext",
        "ConvNeXt, CNBlockConfig",
        "ConvNeXt([CNBlockConfig(32, 64, 2), CNBlockConfig(64, None, 2)])",
    ),
    _timm(
        "vision_transformer",
        "VisionTransformer",
        "VisionTransformer(img_size=32, patch_size=4, num_classes=10, embed_dim=64, depth=4, num_heads=4)",
        SMALL,
    ),
    _timm("convmixer", "ConvMixer", "ConvMixer(64, 4, kernel_size=5, patch_size=4, num_classes=10)"),
    _timm("convmixer", "ConvMixer", "ConvMixer(96, 12, kernel_size=3, patch_size=4, num_classes=10)"),
    _timm("resnet", "ResNet, BasicBlock", "ResNet(BasicBlock, (1, 1, 1, 1), num_classes=10)"),
    _timm("densenet", "DenseNet", "DenseNet(growth_rate=16, block_config=(2, 2, 2), num_classes=10)"),
    _timm("convnext", "ConvNeXt", "ConvNeXt(num_classes=10, depths=(2, 2, 2, 2), dims=(16, 32, 48, 64))"),
    _timm(
        "nfnet", "NormFreeNet, NfCfg", "NormFreeNet(NfCfg((1, 1, 1, 1), (32, 64, 64, 64)), num_classes=10)"
    ),
    _timm("xception", "Xception", "Xception(num_classes=10)"),
    _timm("dpn", "DPN", "DPN(k_sec=(1, 1, 1, 1), num_classes=10)"),
    *[_vit(name) for name in ("vit", "parallel_vit", "vit_5", "vit_for_small_dataset")],
    _vit("deepvit", cls="DeepViT"),
    _vit("rvt", cls="RvT"),
    *[_vit(name) for name in ("vit_with_patch_merger", "vit_with_keel_post_ln")],
    _vit("vit_1d", f"seq_len=64, patch_size=4, {TOKENS}", shape=(8, 3, 64)),
    _vit("vit_3d", CLIP, shape=(8, 3, 4, 32, 32)),
    _vit("cait", f"{IMAGE}, cls_depth=2", "CaiT"),
    _vit("xcit", f"{IMAGE}, cls_depth=2", "XCiT"),
    _vit("t2t", "image_size=32, num_classes=10, dim=64, depth=6, heads=4, mlp_dim=128", "T2TViT"),
    _vit("normalized_vit", cls="nViT"),
    _vit("jet_vit", cls="JetViT"),
    _vit("cvt", "num_classes=10", "CvT"),
    _vit(
        "pit",
        "image_size=32, patch_size=4, dim=64, num_classes=10, depth=(2, 2, 2), heads=4, mlp_dim=128",
        "PiT",
    ),
    _vit(
        "nest",
        "image_size=32, patch_size=4, dim=32, heads=2, num_classes=10,"
        " num_hierarchies=3, block_repeats=(1, 1, 2)",
        "NesT",
    ),
    _vit(
        "max_vit",
        "num_classes=10, dim_conv_stem=16, dim=32, dim_head=16, depth=(1, 1, 1), window_size=4",
        "MaxViT",
        LARGE,
    ),
    _vit(
        "mobile_vit",
        "image_size=(64, 64), dims=[24, 32, 40], num_classes=10,"
        " channels=[8, 16, 24, 24, 32, 32, 40, 40, 48, 48, 64]",
        "MobileViT",
        LARGE,
    ),
    _simple("simple_vit"),
    *[_simple(f"simple_vit_with_{name}") for name in ("qk_norm", "value_residual", "register_tokens")],
    *[_simple(f"simple_vit_with_{name}") for name in ("patch_dropout", "relative_proj_pos_bias")],
    _simple("simple_flash_attn_vit"),
    _simple("simple_vit_orthog_residual_update"),
    _simple("simple_vit_1d", f"seq_len=64, patch_size=4, {TOKENS}", (8, 3, 64)),
    _simple("simple_vit_3d", CLIP, (8, 3, 4, 32, 32)),
    _layers("Encoder(dim=64, depth=4, heads=4)"),
    _layers("Encoder(dim=64, depth=4, heads=4, pre_norm=False)"),
    _layers("Encoder(dim=64, depth=4, heads=4, use_rmsnorm=True, ff_glu=True)"),
    _layers("Decoder(dim=64, depth=4, heads=4)"),
    _layers("Decoder(dim=64, depth=4, heads=4, rotary_pos_emb=True)"),
    _transformer("bert", "Bert", WORDS),
    _transformer("gpt2", "GPT2", "vocab_size=100, n_embd=64, n_layer=4, n_head=4"),
    _transformer("llama", "Llama", f"{WORDS}, num_key_value_heads=2"),
    _transformer("gpt_neox", "GPTNeoX", WORDS),
    _transformer("vit", "ViT", f"image_size=32, patch_size=4, {HIDDEN}", SMALL),
    _transformer("resnet", "ResNet", "embedding_size=16, hidden_sizes=[16, 32, 64], depths=[2, 2, 2]", LARGE),
)


class Reader:
    """Reads models with the files of their packages; `roots` are the folders the packages lie in."""

    def __init__(self, corpus: Path) -> None:
        self._corpus = corpus
        self._texts, self._codes = Texts(), dict[str, str]()
        self._project = Project(self._facts, self._lower)

    def _facts(self, path: str) -> FileFacts:
        code = self._codes.get(path)
        return self._texts.facts(path) if code is None else extract(code, {}, outline=True)

    def _lower(self, path: str, omitted: Omitted) -> tuple[Statement, ...]:
        code = self._codes.get(path)
        return self._texts.lower(path, omitted) if code is None else lower_omitted(code, omitted)

    def root(self, family: str) -> Path:
        """The folder from which a package is imported."""
        return obtain(BY_NAME[family], self._corpus).parent

    def graph(self, model: Published, number: int) -> ModelGraph | None:
        path = str(self.root(model.family) / f"published_{number}.py")
        self._codes[path] = model.code
        with deep_recursion():
            builder = Builder(self._project)
            (cls,) = [c for c in builder.classes(self._project.scope(path)) if c.definition.name == "Net"]
            return builder.build(cls)


def measured(model: Published, flow: GradientFlow, chain: Chain | None) -> float:
    """S over a chain by one backward pass, less what average pooling of known size distributes."""
    with measure.exact(0):
        net = measure.construct(model.code, "Net")
        x: Any = torch.randint(100, model.shape) if len(model.shape) == 2 else torch.randn(model.shape)
        run = measure.observe(net, [x if len(model.shape) == 2 else x.requires_grad_()])
    if chain is None:
        return math.nan
    first, last = (flow.graph.nodes[number].module for number in (chain.first, chain.last))
    if first not in run.calls or last not in run.calls:
        return math.nan
    s = measure.metrics.log10_ratio(run.calls[first][0].delta, run.calls[last][-1].delta)
    pools = [flow.effects[number].spreading for number in flow.path(chain.first, chain.last)]
    return s - sum(math.log10(pool.lo) / 2 for pool in pools if pool.lo == pool.hi)


def outcomes(models: Sequence[Published], corpus: Path) -> Iterator[Outcome]:
    reader = Reader(corpus)
    for number, model in enumerate(models):
        root = str(reader.root(model.family))
        if root not in sys.path:
            sys.path.append(root)
        graph = reader.graph(model, number)
        assert graph is not None
        flow = propagate(graph)
        chain = longest_chain(flow)
        try:
            s = measured(model, flow, chain)
        except Exception as error:
            print(f"{model.family} {model.name} does not run: {error}", file=sys.stderr)
            continue
        yield Outcome(model, graph.reasons, chain, s)


def row(name: str, found: Sequence[Outcome]) -> str:
    """How many models were read, how many of those have a bounded prediction, and how good that is."""
    chains = [each for each in found if each.chain is not None]
    bounded = [each for each in chains if each.predicted is not None]
    inside = sum(each.is_inside() for each in bounded)
    errors = sorted(each.error for each in bounded)
    widths = [each.predicted.hi - each.predicted.lo for each in bounded if each.predicted is not None]
    figures = (
        [errors[len(errors) // 2], errors[int(0.95 * len(errors))], statistics.median(widths)]
        if errors
        else []
    )
    shown = [f"{figure:.2f}" for figure in figures] or ["", "", ""]
    whole = sum(not each.unread for each in found)
    counts = [len(found), whole, len(chains), len(bounded), inside]
    return f"| {name} | {' | '.join(map(str, counts))} | {' | '.join(shown)} |"


def table(found: Sequence[Outcome]) -> Iterator[str]:
    """Rows for all models and for each package."""
    yield (
        "| models of | number | read as a whole | with a chain | bounded | inside | median error"
        " | 95th percentile | interval |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    yield row("all packages", found)
    for family in sorted({each.model.family for each in found}):
        yield row(family, [each for each in found if each.model.family == family])


def reasons(found: Sequence[Outcome]) -> Iterator[str]:
    """Why models are not read as a whole, the most frequent reason first, with the models."""
    models: dict[str, set[str]] = {}
    for each in found:
        for reason in each.unread:
            models.setdefault(reason, set()).add(f"{each.model.family} {each.model.name}")
    for reason, names in sorted(models.items(), key=lambda item: (-len(item[1]), item[0])):
        yield f"- {reason}: {', '.join(sorted(names))}"


def describe(outcome: Outcome) -> str:
    chain = outcome.chain
    bounds = "no chain" if chain is None else f"{chain.decades.lo:7.2f} … {chain.decades.hi:7.2f}"
    mark = " " if chain is None or outcome.is_inside() else "!"
    return (
        f"{mark} {outcome.model.family:15} {outcome.model.name:20} {outcome.measured:7.2f} in {bounds}  "
        + (", ".join(f"{reason} ({count})" for reason, count in outcome.unread.items()))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=default_cache() / "corpus", help="the unpacked wheels")
    parser.add_argument("--families", nargs="+", help="packages whose models are measured")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [model for model in MODELS if options.families is None or model.family in options.families]
    found = []
    for outcome in outcomes(chosen, options.corpus):
        found.append(outcome)
        print(describe(outcome), flush=True)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
