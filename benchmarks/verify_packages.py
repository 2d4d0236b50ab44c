"""How many models of published packages the worker builds and runs by their names alone.

    python benchmarks/verify_packages.py                            # all three
    python benchmarks/verify_packages.py vit-pytorch                # one of them
    python benchmarks/verify_packages.py --python .venv/bin/python  # an interpreter that has what they need

The code is that of the unpacked wheels, as if it were the user's own project; of transformers that of the
installed package, since what is the user's own is imported in part only. Models of vit-pytorch and
x-transformers are the classes that no other class of their file constructs; of transformers they are the
base models of `ARCHITECTURES`, each told only the configuration of its own class.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from corpus import BY_NAME, default_cache, obtain
from verify_paritybench import Timed, reason, timed

from gradlint.verify.client import Worker
from gradlint.verify.plan import roots
from gradlint.verify.worker.protocol import Task

SECONDS = 60.0
ARCHITECTURES = """
    albert bart bert bigbird_pegasus blenderbot bloom camembert codegen convbert convnext deberta deit
    distilbert dinov2 electra ernie falcon funnel gemma gpt2 gpt_bigcode gpt_neo gpt_neox gptj llama
    longformer marian mistral mobilebert mpnet mpt opt phi qwen2 regnet resnet roberta segformer swin t5 vit
"""


def outermost(path: Path) -> Iterator[str]:
    """The classes with a forward pass that no other class of a file mentions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [each for each in tree.body if isinstance(each, ast.ClassDef)]
    for cls in classes:
        others = (node for each in tree.body if each is not cls for node in ast.walk(each))
        names = {node.id for node in others if isinstance(node, ast.Name)}
        if cls.name not in names and any(getattr(each, "name", "") == "forward" for each in cls.body):
            yield cls.name


def base_models(folder: Path) -> Iterator[tuple[Path, str]]:
    """The first class of each architecture's file that is named as its base model is."""
    for name in ARCHITECTURES.split():
        path = folder / "models" / name / f"modeling_{name}.py"
        words = name.replace("_", "")
        for each in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(each, ast.ClassDef) and each.name.lower() == f"{words}model":
                yield path, each.name


def folder_of(package: str, python: str, corpus: Path) -> Path:
    """The folder with the code of a package."""
    if package != "transformers":
        return obtain(BY_NAME[package], corpus)
    line = f"import importlib.util as u; print(u.find_spec({package!r}).origin)"
    found = subprocess.run([python, "-c", line], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip()).parent


def targets(folder: Path, package: str) -> Iterator[tuple[Path, str]]:
    """The models of a package: a file and a name each."""
    if package == "transformers":
        yield from base_models(folder)
        return
    for path in sorted(folder.glob("*.py")):
        yield from ((path, name) for name in outermost(path))


def report(package: str, results: dict[tuple[Path, str], Timed]) -> None:
    """The share that ran, how long it took, and why the others did not."""
    replies = {key: each.reply for key, each in results.items()}
    ran = [reply for reply in replies.values() if reply.failure is None]
    print(f"{package}: {len(ran)} of {len(replies)} models built and run ({len(ran) / len(replies):.1%})")
    print(f"median {statistics.median(each.seconds for each in results.values()):.2f} s of CPU")
    failed = {key: reply for key, reply in replies.items() if reply.failure is not None}
    for text, count in Counter(map(reason, failed.values())).most_common(20):
        print(f"{count:4}  {text}")
    for (path, name), reply in failed.items():
        print(f"{path.name}::{name}  {reply.failure}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    packages = ("vit-pytorch", "x-transformers", "transformers")
    parser.add_argument("packages", nargs="*", default=packages)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--corpus", type=Path, default=default_cache() / "corpus", help="the unpacked wheels")
    options = parser.parse_args()
    with Worker(options.python) as worker:
        for package in options.packages:
            results: dict[tuple[Path, str], Timed] = {}
            for path, name in targets(folder_of(package, options.python, options.corpus), package):
                task = Task(0, str(path), name, roots(str(path)), [], [], [], "cpu", "float32", SECONDS, 4096)
                results[path, name] = timed(worker, task)
                print(f"{results[path, name].seconds:5.1f} s  {path.name}::{name}", flush=True)
            report(package, results)


if __name__ == "__main__":
    main()
