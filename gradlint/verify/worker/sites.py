"""Where a file constructs its models, in functions and scripts, and with what: run as far as that needs."""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from .absent import Absent
from .guesses import guess
from .slicing import dotted, needed_for, read

TREE = "__gradlint_tree__"
"""Where a loaded module keeps its syntax."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = ("body", "orelse", "finalbody")


@dataclass(frozen=True)
class Site:
    """A statement with those that run before and after it in the same blocks, and the function around it."""

    statement: ast.stmt
    before: tuple[ast.stmt, ...]
    after: tuple[ast.stmt, ...]
    function: ast.FunctionDef | ast.AsyncFunctionDef | None
    owner: str = ""

    @property
    def where(self) -> str:
        """The place in words."""
        dot = "." if self.owner else ""
        inside = f"{self.owner}{dot}{self.function.name}(), " if self.function is not None else ""
        return f"{inside}line {self.statement.lineno}"


def sites(tree: ast.Module) -> Iterator[Site]:
    """The plain statements of functions, of the module itself, and of methods."""
    for each in tree.body:
        if isinstance(each, _FUNCTIONS):
            yield from _within(each.body, (), (), each)
    yield from _within(tree.body, (), (), None)
    for each in tree.body:
        if isinstance(each, ast.ClassDef):
            for method in each.body:
                if isinstance(method, _FUNCTIONS):
                    yield from _within(method.body, (), (), method, each.name)


def _within(
    body: Sequence[ast.stmt],
    before: tuple[ast.stmt, ...],
    after: tuple[ast.stmt, ...],
    function: Any,
    owner: str = "",
) -> Iterator[Site]:
    for index, statement in enumerate(body):
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            continue
        earlier, later = (*before, *body[:index]), (*body[index + 1 :], *after)
        blocks = [block for name in _BLOCKS if isinstance(block := getattr(statement, name, None), list)]
        blocks += [handler.body for handler in getattr(statement, "handlers", ())]
        if not blocks:
            yield Site(statement, earlier, later, function, owner)
        for block in blocks:
            yield from _within(block, earlier, later, function, owner)


def calls(site: Site, name: str) -> Iterator[ast.Call]:
    """The calls of what is called `name` in a statement."""
    words = name.split(".")
    for node in ast.walk(site.statement):
        if isinstance(node, ast.Call) and dotted(node.func) == words:
            yield node


def arguments(
    module: types.ModuleType, name: str, signature: inspect.Signature, missing: Sequence[str]
) -> tuple[dict[str, Any], str]:
    """The missing arguments of a target as the call that knows most of them gives them, and where it is."""
    tree = vars(module).get(TREE)
    best: tuple[dict[str, Any], str] = ({}, "")
    for site in sites(tree) if tree is not None else ():
        for call in calls(site, name):
            found = dict(_evaluated(module, site, bound_arguments(call, signature), missing))
            if len(found) > len(best[0]):
                best = (found, site.where)
    return best


def bound_arguments(call: ast.Call, signature: inspect.Signature) -> dict[str, ast.expr]:
    """The expressions of a call by the names of the parameters."""
    plain = [
        n for n, p in signature.parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    certain = call.args
    if any(isinstance(each, ast.Starred) for each in call.args):
        first = next(i for i, each in enumerate(call.args) if isinstance(each, ast.Starred))
        certain = call.args[:first]
    return {
        **dict(zip(plain, certain)),
        **{keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None},
    }


def _evaluated(
    module: types.ModuleType, site: Site, given: dict[str, ast.expr], wanted: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    for name, expression in given.items():
        if name in wanted:
            try:
                value = value_at(module, site, expression)
            except (Exception, SystemExit):
                continue
            if not isinstance(value, Absent):
                yield name, value


def value_at(module: types.ModuleType, site: Site, expression: ast.expr) -> Any:
    """An expression at a place, after the statements that it needs."""
    names = names_at(module, site)
    for statement in needed_for(site.before, read(expression), vars(module)[TREE].body):
        run_at(module, statement, names)
    code = compile(ast.Expression(expression), module.__file__ or "", "eval")
    return eval(code, names)


def names_at(module: types.ModuleType, site: Site) -> dict[str, Any]:
    """The names of the module, and those of the function's parameters."""
    names = dict(vars(module))
    if site.function is not None:
        owner = names.get(site.owner) if site.owner else None
        function = getattr(owner, site.function.name, None) if owner else names.get(site.function.name)
        parameters = inspect.signature(function).parameters if callable(function) else {}
        for name, p in parameters.items():
            if p.default is not p.empty:
                names[name] = p.default
            elif owner is None:
                names[name] = guess(name, p.annotation)
    return names


def run_at(module: types.ModuleType, statement: ast.stmt, names: dict[str, Any]) -> None:
    """Run a statement of a module with some names. Raises whatever it raises."""
    exec(compile(ast.Module([statement], []), module.__file__ or "", "exec", dont_inherit=True), names)


def maker_within(
    module: types.ModuleType, name: str, line: int
) -> tuple[Callable[[], nn.Module], str] | None:
    """How to make the model that the function called `name`, or the script, constructs on a line.

    Of a function without a line it is the first model that it constructs.
    """
    tree = vars(module).get(TREE)
    for site in sites(tree) if tree is not None else ():
        is_inside = site.function is not None and not site.owner and site.function.name == name
        last = site.statement.end_lineno or site.statement.lineno
        is_there = site.statement.lineno <= line <= last if line else is_inside
        if is_there and (is_inside or site.function is None) and _holds_call(site.statement):
            try:
                made = _model(module, site)
            except (Exception, SystemExit):
                continue
            if isinstance(made, nn.Module):
                return lambda site=site: _model(module, site), site.where
    return None


def _holds_call(statement: ast.stmt) -> bool:
    return any(isinstance(node, ast.Call) for node in ast.walk(statement))


def _model(module: types.ModuleType, site: Site) -> Any:
    """What a statement constructs, with what later statements add to it."""
    targets = site.statement.targets if isinstance(site.statement, ast.Assign) else []
    if len(targets) != 1 or not isinstance(targets[0], ast.Name):
        return next(_modules(module, site), None)
    name = targets[0].id
    names = names_at(module, site)
    body = (*site.before, site.statement, *site.after)
    for statement in needed_for(body, {name}, vars(module)[TREE].body):
        _run_for(module, statement, names, name)
    return names.get(name)


def _run_for(module: types.ModuleType, statement: ast.stmt, names: dict[str, Any], wanted: str) -> None:
    """Run a statement; it may fail once what is wanted is a model, as where weights cannot be loaded."""
    try:
        run_at(module, statement, names)
    except Exception:
        if not isinstance(names.get(wanted), nn.Module):
            raise


def _modules(module: types.ModuleType, site: Site) -> Iterator[nn.Module]:
    """The modules that calls in a statement make, the outermost first."""
    for node in ast.walk(site.statement):
        if isinstance(node, ast.Call) and dotted(node.func)[-1:] == ["Sequential"]:
            made = value_at(module, site, node)
            if isinstance(made, nn.Module):
                yield made


def returns(module: types.ModuleType, name: str) -> bool:
    """Whether the function called `name` gives something back."""
    tree = vars(module).get(TREE)
    for each in tree.body if tree is not None else ():
        if isinstance(each, _FUNCTIONS) and each.name == name:
            return any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(each))
    return True
