"""Whether graphs are true: the layers that modules of paritybench run, against those of their graphs.

    python benchmarks/graph_truth.py --corpus PARITYBENCH                  # at least 500 modules
    python benchmarks/graph_truth.py --corpus PARITYBENCH --show 30        # and what disagrees

PARITYBENCH is a checkout of jansel/pytorch-jit-paritybench (see paritybench.py). Every module of a file's
list of test cases is constructed and run by torch in a child process with hooks on the layers that have
parameters; its graph is built from the same constructor arguments. Both give the paths of the layers in the
order in which they run. A graph with alternatives (a branch on something unknown) agrees where what ran is
one way through it. The files are third-party code, and this runs them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from graph_coverage import put
from msgspec import Struct
from paritybench import cases, files
from paritybench_run import Ran, run_file

from gradlint.graph.build import Builder
from gradlint.lint.deep import deep_recursion
from gradlint.lint.models import Texts
from gradlint.records.graph import ModelGraph, Node
from gradlint.semantics.project import Project

SECONDS = 20.0
"""For all test cases of one file."""
BEGIN, END = "<!-- truth -->", "<!-- end of truth -->"


class Comparison(Struct, frozen=True):
    """One module: the layers that ran and those of its graph; how the graph was read."""

    name: str
    ran: list[str]
    read: list[str]
    is_whole: bool
    has_alternatives: bool
    agrees: bool


def executed(path: Path) -> dict[int, Ran]:
    """What the test cases of a file ran, by their places in its list; those that failed are left out."""
    context = multiprocessing.get_context("fork")
    mine, other = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(path, other), daemon=True)
    child.start()
    other.close()
    found: dict[int, Ran] = {}
    end = time.monotonic() + SECONDS
    try:
        while mine.poll(max(end - time.monotonic(), 0.0)) and (result := mine.recv()) is not None:
            found[result[0]] = result[1]
    except EOFError:
        pass
    child.kill()
    child.join()
    return found


def _child(path: Path, connection: Connection) -> None:
    for result in run_file(path):
        connection.send(result)
    connection.send(None)


def layers(graph: ModelGraph, ran: Ran) -> list[str]:
    """The layers of a graph in order, each once in a row.

    A layer of torch counts where it is called, one of the project wherever its parameters are used; what
    attention does within is one layer.
    """
    found: list[str] = []
    for node in graph.nodes:
        path = _owner(node, ran)
        if path in ran.leaves and found[-1:] != [path]:
            found.append(path)
    return found


def _owner(node: Node, ran: Ran) -> str:
    if node.op == "unknown" or not node.parameters:
        return ""
    path = node.module or next(iter(node.parameters.values())).path.rpartition(".")[0]
    if not node.module and path in ran.of_torch:
        return ""
    return path.removesuffix(".out_proj") if path.removesuffix(".out_proj") in ran.leaves else path


def compare(name: str, graph: ModelGraph, ran: Ran) -> Comparison:
    """Whether the order in which layers ran is that of the graph."""
    read = layers(graph, ran)
    has_alternatives = any(node.op == "join" for node in graph.nodes)
    connected = _once([path for path in ran.order if path in ran.connected])
    agrees = read in (_once(ran.order), connected)
    if has_alternatives and not agrees:
        agrees = _is_within(connected, read)
    return Comparison(name, _once(ran.order), read, not graph.reasons, has_alternatives, agrees)


def _once(order: list[str]) -> list[str]:
    return [path for position, path in enumerate(order) if order[position - 1 : position] != [path]]


def _is_within(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(path in rest for path in part)


def comparisons(paths: list[Path], wanted: int) -> Iterator[Comparison]:
    """Modules of the files until as many as wanted were compared whose graph is whole."""
    texts = Texts()
    project = Project(texts.facts, texts.lower)
    builder, count = Builder(project), 0
    for path in paths:
        ran = executed(path)
        with deep_recursion():
            for position, cls, given in cases(builder, project.scope(str(path))):
                graph = builder.build(cls, given) if position in ran else None
                if graph is not None:
                    found = compare(f"{path.name} {cls.definition.name}", graph, ran[position])
                    count += found.is_whole
                    yield found
        if count >= wanted:
            return


def table(found: list[Comparison]) -> list[str]:
    """The shares that agree."""
    whole = [each for each in found if each.is_whole]
    plain = [each for each in whole if not each.has_alternatives]
    rows = (
        ("all that ran", found),
        ("nothing unknown in the graph", whole),
        ("neither unknown nor alternatives", plain),
        ("nothing unknown, two layers and more", [each for each in whole if len(each.ran) > 1]),
    )
    lines = ["| modules | number | same layers in the same order | share |", "| --- | ---: | ---: | ---: |"]
    for name, chosen in rows:
        same = sum(each.agrees for each in chosen)
        lines.append(f"| {name} | {len(chosen)} | {same} | {same / max(len(chosen), 1):.1%} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="a checkout of pytorch-jit-paritybench")
    parser.add_argument("--modules", type=int, default=500, help="how many to compare at least")
    parser.add_argument("--every", type=int, default=3, help="take only every n-th file")
    parser.add_argument("--show", type=int, default=0, help="print so many that disagree")
    parser.add_argument("--write", action="store_true", help="put the table into docs/graph.md")
    options = parser.parse_args()
    found = list(comparisons(files(options.corpus, options.every), options.modules))
    lines = table(found)
    print(*lines, sep="\n")
    for each in [each for each in found if each.is_whole and not each.agrees][: options.show]:
        print(f"{each.name}\n  ran  {each.ran}\n  read {each.read}", file=sys.stderr)
    if options.write:
        put("\n".join(lines), BEGIN, END)


if __name__ == "__main__":
    main()
