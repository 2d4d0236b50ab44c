"""Which statements of a module are run to get at its definitions.

Imports, definitions and constants are; so is what makes objects of classes of the file or of torch.
Anything else (training, files, downloads, printing) is left out, unless the target needs a name that it
binds or changes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_BUILTINS = frozenset(
    "abs all any bool bytes callable chr complex dict divmod enumerate filter float frozenset getattr hasattr"
    " hash int isinstance issubclass iter len list map max min next object pow property range repr reversed"
    " round set setattr slice sorted staticmethod str sum super tuple type vars zip".split()
)
_QUIET = frozenset(
    "torch collections functools itertools operator math typing dataclasses enum types abc numpy random copy"
    " logging pathlib string re typing_extensions".split()
)
"""Modules whose functions make objects and do little else."""
_LOUD = frozenset("load save download hub compile seed manual_seed fromfile loadtxt".split())


def sliced(tree: ast.Module, wanted: str) -> list[ast.stmt]:
    """The statements to run for the definition called `wanted`; for all of them where it is empty."""
    known = _Known(tree.body)
    needed = known.needed(wanted)
    return [statement for statement in tree.body if known.is_kept(statement, needed)]


def needed_by(tree: ast.Module, wanted: str) -> set[str]:
    """The names of a module that a definition needs; those that all definitions do where it is empty."""
    return _Known(tree.body).needed(wanted)


def needed_for(
    body: Iterable[ast.stmt], names: Iterable[str], around: Iterable[ast.stmt] = ()
) -> list[ast.stmt]:
    """Of the statements of a block those that these names need, definitions and imports included.

    `around` are those of the module, whose functions the block may call.
    """
    statements = list(body)
    known = _Known(statements, around)
    needed = known.closure(names)
    return [s for s in statements if not needed.isdisjoint(known.changed(s)) and not trains(s)]


class _Known:
    """What the names of a module are bound to, as far as it matters here."""

    def __init__(self, body: list[ast.stmt], around: Iterable[ast.stmt] = ()) -> None:
        self._body = body
        self._bound: dict[str, list[ast.stmt]] = {}
        self._imported: dict[str, str] = {}
        self._writing = writing((*around, *body))
        for statement in body:
            for name in self.changed(statement):
                self._bound.setdefault(name, []).append(statement)
            for node in ast.walk(statement):
                if isinstance(node, ast.Import):
                    for alias in node.names:
                        self._imported[alias.asname or alias.name.partition(".")[0]] = alias.name
                elif isinstance(node, ast.ImportFrom):
                    for alias in node.names:
                        origin = "." * node.level + (node.module or "")
                        self._imported[alias.asname or alias.name] = f"{origin}.{alias.name}"

    def changed(self, statement: ast.stmt) -> set[str]:
        """The names that a statement binds or whose objects it changes, also by handing them to functions.

        Those are functions of the module that write in place, and any that says so by its name.
        """
        call = statement.value if isinstance(statement, ast.Expr) else None
        words = dotted(call.func) if isinstance(call, ast.Call) else []
        found = bound(statement)
        if words and (_is_in_place(words[-1]) or (len(words) == 1 and words[0] in self._writing)):
            assert isinstance(call, ast.Call)
            found |= {name for each in call.args for name in read(each)}
        return found

    def needed(self, wanted: str) -> set[str]:
        """The names that a definition needs, directly or through others."""
        return self.closure([wanted.partition(".")[0]] if wanted else _definitions(self._body))

    def closure(self, names: Iterable[str]) -> set[str]:
        """These names and all that the statements read which bind them."""
        waiting = list(names)
        found: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += [n for statement in self._bound.get(name, ()) for n in read(statement)]
        return found

    def is_kept(self, statement: ast.stmt, needed: set[str]) -> bool:
        """Whether a statement is run."""
        if isinstance(statement, (*_DEFINITIONS, *_IMPORTS)) or self.is_quiet(statement):
            return True
        return not needed.isdisjoint(self.changed(statement)) and not trains(statement)

    def is_quiet(self, node: ast.AST) -> bool:
        """Whether running a statement does nothing but compute and bind."""
        if isinstance(node, ast.Expr) and not isinstance(node.value, (ast.Constant, ast.Call)):
            return False
        if isinstance(node, (ast.If, ast.Try, ast.For)):
            return _is_main(node) or all(self.is_quiet(inner) for inner in _inner(node))
        if isinstance(node, (ast.While, ast.With, ast.AsyncWith, ast.AsyncFor, ast.Delete, ast.Global)):
            return False
        if isinstance(node, (*_DEFINITIONS, *_IMPORTS, ast.Pass)):
            return True
        return all(self._is_quiet_call(call) for call in ast.walk(node) if isinstance(call, ast.Call))

    def _is_quiet_call(self, call: ast.Call) -> bool:
        words = dotted(call.func)
        if not words:
            return isinstance(call.func, ast.Attribute) and call.func.attr in ("format", "join", "items")
        if words[:2] == ["sys", "path"]:
            return True
        if words[-1] in _LOUD:
            return False
        first = words[0]
        if first in self._imported:
            return self._imported[first].partition(".")[0] in _QUIET
        if first in self._bound:
            definitions = [s for s in self._bound[first] if isinstance(s, ast.ClassDef)]
            return len(words) == 1 and bool(definitions)
        return first in _BUILTINS and len(words) == 1


def _is_in_place(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")


def _writes(function: ast.AST) -> bool:
    """Whether a function calls another that writes in place, as initialisers do."""
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return any(isinstance(called, ast.Attribute) and _is_in_place(called.attr) for called in calls)


def writing(body: Iterable[ast.stmt]) -> set[str]:
    """The functions of a block that write in place, as initialisers do, and do not train."""
    return {s.name for s in body if isinstance(s, _FUNCTIONS) and _writes(s) and not trains(s)}


def _definitions(body: Iterable[ast.stmt]) -> list[str]:
    return [statement.name for statement in body if isinstance(statement, _DEFINITIONS)]


def _is_main(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and any(
        isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(node.test)
    )


def _inner(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a compound statement."""
    for name in ("test", "iter", "body", "orelse", "finalbody"):
        value = getattr(node, name, None)
        if isinstance(value, list):
            yield from value
        elif isinstance(value, ast.AST):
            yield ast.Expression(value)  # type: ignore[arg-type]
    for handler in getattr(node, "handlers", ()):
        yield from handler.body


def trains(statement: ast.stmt) -> bool:
    """Whether a statement, not a definition, is a loop that trains: it goes backward."""
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("backward", "fit", "zero_grad")
        for node in ast.walk(statement)
    )


def dotted(node: ast.AST) -> list[str]:
    """`a.b.c` as its words; empty for anything else."""
    words: list[str] = []
    while isinstance(node, ast.Attribute):
        words.insert(0, node.attr)
        node = node.value
    return [node.id, *words] if isinstance(node, ast.Name) else []


def bound(statement: ast.AST) -> set[str]:
    """The names that a statement binds, or whose objects it changes."""
    if isinstance(statement, _DEFINITIONS):
        return {statement.name}
    found: set[str] = set()
    for node in _walk_here(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, (ast.Subscript, ast.Attribute)) and not isinstance(node.ctx, ast.Load):
            found |= set(dotted(node if isinstance(node, ast.Attribute) else node.value)[:1])
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            found |= set(dotted(node.value.func)[:1])
        elif isinstance(node, (*_DEFINITIONS,)):
            found.add(node.name)
        elif isinstance(node, _IMPORTS):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return found


def assigned(statement: ast.AST) -> set[str]:
    """The variables that a statement binds, or whose objects it changes; not definitions or imports."""
    fixed = {name for node in ast.walk(statement) if isinstance(node, _IMPORTS) for name in bound(node)}
    fixed |= {node.name for node in ast.walk(statement) if isinstance(node, _DEFINITIONS)}
    return bound(statement) - fixed


def _walk_here(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement, definitions not entered."""
    yield node
    if not isinstance(node, _DEFINITIONS):
        for child in ast.iter_child_nodes(node):
            yield from _walk_here(child)


def read(statement: ast.AST) -> set[str]:
    """The names that occur in a statement, definitions entered."""
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
