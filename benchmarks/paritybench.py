"""The modules of https://github.com/jansel/pytorch-jit-paritybench: some 1,200 repositories, one file each.

    git clone https://github.com/jansel/pytorch-jit-paritybench && cd pytorch-jit-paritybench
    git checkout e0644afa3550bdaf5602c986062e68859fa948b0

Every file of its folder `generated` ends with a list of test cases: modules with constructor arguments
and inputs that were found to work.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gradlint.graph.build import Builder, parameters
from gradlint.records import ir
from gradlint.semantics.scope import ModuleScope
from gradlint.semantics.value import ClassObject, Items, Table, Value


def files(checkout: Path, every: int = 1) -> list[Path]:
    """The generated files, or every n-th of them."""
    return sorted((checkout / "generated").glob("test_*.py"))[::every]


def cases(builder: Builder, scope: ModuleScope) -> Iterator[tuple[int, ClassObject, dict[str, Value]]]:
    """The test cases of a file: the place in its list, the class, its arguments by name."""
    for position, row in enumerate(_rows(scope)):
        cls, made = builder.value(scope, row.items[0]), row.items[1]
        if not isinstance(cls, ClassObject) or not isinstance(made, ir.Lambda):
            continue
        given = builder.value(scope, made.body)
        if isinstance(given, Items) and len(given.items) == 2:
            positional, named = given.items
            names = [parameter.name for parameter in parameters(cls)]
            if isinstance(positional, Items) and isinstance(named, Table):
                yield position, cls, {**dict(zip(names, positional.items, strict=False)), **named.entries}


def _rows(scope: ModuleScope) -> list[ir.Display]:
    for statement in scope.binding("TESTCASES"):
        if isinstance(statement, ir.Assign) and isinstance(statement.value, ir.Display):
            return [row for row in statement.value.items if isinstance(row, ir.Display)]
    return []
