"""How many models of published code are read as a whole, with nothing unknown in their graph.

    python benchmarks/graph_coverage.py                    # all packages, with the reasons
    python benchmarks/graph_coverage.py --packages timm    # some

A class counts when it derives from torch.nn.Module and has a forward pass. It is constructed with its
defaults; what has none stays unknown.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from corpus import PACKAGES, default_cache, files_of, obtain

from gradlint.flow.propagate import propagate
from gradlint.graph.build import Builder
from gradlint.lint.deep import deep_recursion
from gradlint.lint.models import Texts
from gradlint.records.graph import ModelGraph
from gradlint.semantics.project import Project

SHOWN = 15


def graphs(root: Path) -> Iterator[ModelGraph]:
    """The graphs of all models below a folder, each with its flow computed once, to see that it can be."""
    texts = Texts()
    project = Project(texts.facts, texts.lower)
    builder = Builder(project)
    for path in files_of(root):
        if "Module" not in texts.text(str(path)):
            continue
        with deep_recursion():
            for cls in builder.classes(project.scope(str(path))):
                graph = builder.build(cls)
                if graph is not None:
                    propagate(graph)
                    yield graph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=default_cache() / "corpus", help="the unpacked wheels")
    parser.add_argument("--packages", nargs="+", choices=[package.name for package in PACKAGES])
    options = parser.parse_args()
    reasons: Counter[str] = Counter()
    print("| package | models | read as a whole | share |")
    print("| --- | ---: | ---: | ---: |")
    for package in PACKAGES:
        if options.packages and package.name not in options.packages:
            continue
        found = list(graphs(obtain(package, options.corpus)))
        whole = sum(not graph.reasons for graph in found)
        reasons.update(reason for graph in found for reason in graph.reasons)
        print(f"| {package.name} | {len(found)} | {whole} | {whole / max(len(found), 1):.0%} |", flush=True)
    for reason, count in reasons.most_common(SHOWN):
        print(f"{count:6} {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
