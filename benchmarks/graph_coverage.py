"""How many models of published code are read: the main path of their forward pass, and all of it.

    python benchmarks/graph_coverage.py                           # all packages, with the reasons
    python benchmarks/graph_coverage.py --packages timm           # some
    python benchmarks/graph_coverage.py --paritybench CHECKOUT       # and the modules of that checkout
    python benchmarks/graph_coverage.py --paritybench CHECKOUT --write    # and put the table into docs/

CHECKOUT is one of jansel/pytorch-jit-paritybench (see paritybench.py). Its modules are read twice:
as their files construct them, and with the arguments of the list of test cases at the end of every file.

A class counts when it derives from torch.nn.Module and has a forward pass that computes something. It is
constructed as its file does it, else with its defaults; what has neither stays unknown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from corpus import PACKAGES, default_cache, files_of, obtain
from msgspec import Struct
from paritybench import cases, files

from gradlint.flow.propagate import is_weighted, propagate
from gradlint.graph.build import Builder
from gradlint.lint.deep import deep_recursion
from gradlint.lint.models import Texts
from gradlint.records import ir
from gradlint.records.graph import ModelGraph, Node
from gradlint.semantics.project import Project
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Closure, Value

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "graph.md"
BEGIN, END = "<!-- coverage -->", "<!-- end of coverage -->"
SHOWN = 15
WITH_CASES = "paritybench, test cases"
SCALES_ITSELF = frozenset(
    {
        *("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "normalize", "embedding"),
        *("softmax", "log_softmax", "sigmoid", "hardsigmoid", "tanh", "argmax", "one_hot", "compare"),
    }
)
"""Operations whose output has its size by itself: what they are given does not decide the signal behind."""


class Reading(Struct, frozen=True):
    """What was understood of one model: the reasons for gaps on its main path, and for gaps anywhere."""

    name: str
    on_main_path: Counter[str]
    anywhere: Counter[str]


def main_path(graph: ModelGraph) -> list[Node]:
    """The way over the most weighted layers (then over the most nodes) that leads to an output."""
    depths: list[tuple[int, int]] = []
    for node in graph.nodes:
        layers, nodes = max([depths[number] for number in node.inputs], default=(0, 0))
        depths.append((layers + is_weighted(node), nodes + 1))
    number: int | None = max(graph.outputs, key=lambda output: depths[output])
    path: list[Node] = []
    while number is not None:
        path.append(graph.nodes[number])
        number = max(path[-1].inputs, key=lambda before: depths[before], default=None)
    return path[::-1]


def deciding(graph: ModelGraph) -> Iterator[Node]:
    """The nodes of the main path and those that decide the size of a signal on it."""
    path = main_path(graph)
    yield from path
    seen = {node.number for node in path}
    pending = [number for node in path if node.op not in SCALES_ITSELF for number in node.inputs]
    while pending:
        number = pending.pop()
        if number not in seen:
            seen.add(number)
            node = graph.nodes[number]
            yield node
            pending += node.inputs if node.op not in SCALES_ITSELF else ()


def reading(graph: ModelGraph) -> Reading:
    """Why parts of a graph are unknown, on its main path and anywhere."""
    reasons = [reason for node in deciding(graph) if (reason := _reason(node)) is not None]
    kernels = [_KERNEL for node in graph.nodes if node.op == "kernel"]
    return Reading(graph.name, Counter(reasons), Counter(graph.reasons) + Counter(kernels))


_KERNEL = "a kernel of an extension"


def _reason(node: Node) -> str | None:
    """Why nothing is known of what a node does."""
    if node.op == "kernel":
        return _KERNEL
    return str(node.settings["reason"]) if node.op == "unknown" else None


def computes_something(cls: ClassObject) -> bool:
    """Whether a class has a forward pass that is more than an error or nothing at all."""
    forward = cls.member("forward")
    if not isinstance(forward, Closure) or isinstance(forward.function, ir.Lambda):
        return True
    body = [s for s in forward.function.body if not isinstance(s, (ir.Raise, ir.Import))]
    return any(not (isinstance(s, ir.Evaluate) and isinstance(s.value, ir.Literal)) for s in body)


def readings(paths: Sequence[Path], with_cases: bool = False) -> Iterator[Reading]:
    """What is read of all models in files, each with its flow computed once, to see that it can be."""
    texts = Texts()
    project = Project(texts.facts, texts.lower)
    builder = Builder(project)
    for path in paths:
        if "Module" not in texts.text(str(path)):
            continue
        with deep_recursion():
            for cls, given in models(builder, project.scope(str(path)), with_cases):
                graph = builder.build(cls, given) if computes_something(cls) else None
                if graph is not None:
                    propagate(graph)
                    yield reading(graph)


def models(
    builder: Builder, scope: ModuleScope, with_cases: bool
) -> Iterator[tuple[ClassObject, dict[str, Value] | None]]:
    """The classes of a file, with the arguments of test cases or with those that the file gives."""
    if with_cases:
        for _, cls, given in cases(builder, scope):
            yield cls, given
    else:
        for cls in builder.classes(scope):
            yield cls, None


def row(name: str, found: Sequence[Reading]) -> str:
    """One line of the table."""
    main = sum(not each.on_main_path for each in found)
    whole = sum(not each.anywhere for each in found)
    total = max(len(found), 1)
    return f"| {name} | {len(found)} | {main} | {main / total:.0%} | {whole} | {whole / total:.0%} |"


def reason_rows(found: Sequence[Reading]) -> Iterator[str]:
    """The most frequent reasons for gaps on a main path; a model counts once for each of its reasons."""
    reasons = Counter(reason for each in found for reason in each.on_main_path)
    yield "| reason | models |"
    yield "| --- | ---: |"
    for reason, count in reasons.most_common(SHOWN):
        yield f"| {reason} | {count} |"


def sources(options: argparse.Namespace) -> Iterator[tuple[str, list[Path]]]:
    """What is read, by name."""
    for package in PACKAGES:
        if options.packages is None or package.name in options.packages:
            paths = files_of(obtain(package, options.corpus))
            models = [path for path in paths if path.name.startswith("modeling_")]
            yield package.name, models[:: options.every] if package.name == "transformers" else paths
    if options.paritybench is not None:
        yield "paritybench", files(options.paritybench, options.every)
        yield WITH_CASES, files(options.paritybench, options.every)


def put(text: str, begin: str = BEGIN, end: str = END) -> None:
    """Write a table into its place in the documentation."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    behind = rest.partition(end)[2]
    PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{end}{behind}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=default_cache() / "corpus", help="the unpacked wheels")
    parser.add_argument("--packages", nargs="*", choices=[package.name for package in PACKAGES])
    parser.add_argument("--paritybench", type=Path, help="a checkout of pytorch-jit-paritybench")
    parser.add_argument(
        "--every", type=int, default=1, help="of paritybench and transformers only every n-th file"
    )
    parser.add_argument("--write", action="store_true", help="put the table into docs/graph.md")
    options = parser.parse_args()
    part = "" if options.every == 1 else f" (one file in {options.every})"
    lines = ["| package | models | main path | share | everything | share |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    print(*lines, sep="\n")
    everything: list[Reading] = []
    for name, paths in sources(options):
        start = time.perf_counter()
        found = list(readings(paths, with_cases=name == WITH_CASES))
        everything += found
        lines.append(row(name + part * ("paritybench" in name or name == "transformers"), found))
        print(lines[-1], flush=True)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    print("", *reason_rows(everything), sep="\n")
    if options.write:
        put("\n".join([*lines, "", *reason_rows(everything)]))


if __name__ == "__main__":
    main()
