"""What functions and scripts do to a model right after constructing it: they draw its weights anew."""

from __future__ import annotations

import ast
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from .sites import TREE, Site, calls, names_at, run_at, sites
from .slicing import needed_for, read, trains, writing


@dataclass(frozen=True)
class Initialised:
    """The statements that initialise what a site constructs under a name."""

    module: types.ModuleType
    site: Site
    name: str
    statements: tuple[ast.stmt, ...]

    def apply(self, model: nn.Module) -> nn.Module:
        """The model after these statements. Raises whatever they raise."""
        names = names_at(self.module, self.site)
        wanted = set().union(*map(read, self.statements)) - {self.name}
        for statement in needed_for(self.site.before, wanted, vars(self.module)[TREE].body):
            run_at(self.module, statement, names)
        names[self.name] = model
        for statement in self.statements:
            run_at(self.module, statement, names)
        return model

    def after(self, make: Callable[[], Any]) -> Callable[[], Any]:
        """A maker of models that are initialised so."""
        return lambda: self.apply(make())


def initialised(module: types.ModuleType, name: str) -> Initialised | None:
    """How the file initialises what it constructs of a class; None where it does not everywhere."""
    found = [each for each in _assigned(module, name) if each is not None]
    return found[0] if found and all(each.statements for each in found) else None


def _assigned(module: types.ModuleType, name: str) -> Iterator[Initialised]:
    """The sites that bind what they construct of a class."""
    tree = vars(module).get(TREE)
    body = tree.body if tree is not None else []
    own_class = [part for s in body if isinstance(s, ast.ClassDef) and s.name == name for part in s.body]
    known = writing(body) | writing(own_class)
    for site in sites(tree) if tree is not None else ():
        targets = site.statement.targets if isinstance(site.statement, ast.Assign) else []
        if len(targets) == 1 and isinstance(targets[0], ast.Name) and any(calls(site, name)):
            own = targets[0].id
            after = tuple([s for s in _until_bound(site.after, own) if _initialises(s, own, known)])
            yield Initialised(module, site, own, after)


def _until_bound(body: tuple[ast.stmt, ...], name: str) -> Iterator[ast.stmt]:
    """The statements of a block up to one that binds a name anew, or trains."""
    for statement in body:
        stored = (n for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        if trains(statement) or any(node.id == name for node in stored):
            return
        yield statement


def _initialises(statement: ast.stmt, name: str, known: set[str]) -> bool:
    """Whether a statement writes into what has a name: by `apply`, in place, or by a function that does."""
    if name not in read(statement) or not isinstance(statement, (ast.Expr, ast.For, ast.With, ast.If)):
        return False
    called = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
    return any(_writes_into(call, known) for call in called)


def _writes_into(call: ast.Call, known: set[str]) -> bool:
    word = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    is_in_place = word.endswith("_") and not word.startswith("_") and word != "requires_grad_"
    handed = {each.id for each in call.args if isinstance(each, ast.Name)}
    return is_in_place or word in known or (word == "apply" and bool(handed & known))
