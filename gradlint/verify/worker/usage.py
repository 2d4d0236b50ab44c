"""How documentation uses a target: code of docstrings, of the README and of a package's description.

A block of code is run as far as constructing the target needs it, as the functions of a project are.
"""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import os
import re
import textwrap
import types
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from . import redirect
from .sites import TREE, Site, bound_arguments, calls, sites, value_at

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)")
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.) ?(.*)$", re.MULTILINE)
_READMES = ("README.md", "README.rst", "readme.md", "README")
_LARGE = 128
"""From this number on, a whole one is a size that can be made smaller."""
_LARGEST = 1_000_000
"""Characters of a document that is read."""


@dataclass(frozen=True)
class Usage:
    """A call that constructs a target in a block of documentation, and the origin in words."""

    page: types.ModuleType
    site: Site
    call: ast.Call
    origin: str

    def arguments(self, signature: inspect.Signature) -> dict[str, Any]:
        """The arguments by name, made anew. Raises whatever the code raises."""
        given = bound_arguments(self.call, signature)
        return {name: value_at(self.page, self.site, each) for name, each in given.items()}

    def inputs(self) -> tuple[list[Any], dict[str, Any]] | None:
        """What the model is first called with afterwards; None where nothing is shown.

        Raises whatever the code raises.
        """
        call, site = self._first_call() or (None, None)
        if call is None or site is None or any(isinstance(each, ast.Starred) for each in call.args):
            return None
        named = {each.arg: value_at(self.page, site, each.value) for each in call.keywords if each.arg}
        return [value_at(self.page, site, each) for each in call.args], named

    def _first_call(self) -> tuple[ast.Call, Site] | None:
        targets = self.site.statement.targets if isinstance(self.site.statement, ast.Assign) else []
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        for site in sites(vars(self.page)[TREE]):
            if site.statement.lineno > self.site.statement.lineno:
                for call in (each for name in names for each in calls(site, name)):
                    return call, site
        return None


def usages(module: types.ModuleType, target: Any, divisor: int = 1) -> Iterator[Usage]:
    """The calls of a target in the documentation of its module, its project and its package.

    Large sizes are divided alike, so that what fits together still does; weights are not downloaded.
    """
    name = getattr(target, "__name__", "")
    for origin, text in _documents(module, target):
        if any(word in text for word in redirect.WORDS):
            redirect.activate()
        for tree in (
            map(_Smaller(divisor).visit, map(_binding, _blocks(text))) if name and name in text else ()
        ):
            page = types.ModuleType(origin)
            page.__dict__.update({TREE: tree, "__file__": origin, **_USUAL, name: target})
            for site in sites(tree):
                for call in calls(site, name):
                    with suppress(Exception, SystemExit):
                        if value_at(page, site, call.func) is target:
                            yield Usage(page, site, call, origin)


def _binding(tree: ast.Module) -> ast.Module:
    """A block without statements that bind nothing, but for methods of what the block itself has bound."""
    bound = {
        each.id
        for statement in tree.body
        if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.With, ast.For))
        for each in ast.walk(statement)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }
    kept = [each for each in tree.body if not isinstance(each, ast.Expr) or _root(each.value) in bound]
    return ast.Module(kept, [])


def _root(node: ast.expr) -> str:
    """The variable whose method, or method of an attribute, a statement calls."""
    node = node.func if isinstance(node, ast.Call) else node
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


_USUAL = {"torch": torch, "nn": torch.nn}
"""What blocks rely on that another one has imported."""


class _Smaller(ast.NodeTransformer):
    """Divides the large sizes of a block."""

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """A size."""
        size = node.value
        if type(size) is not int or size < _LARGE or size % self._divisor:
            return node
        return ast.copy_location(ast.Constant(size // self._divisor), node)

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        """An argument by name."""
        if node.arg == "pretrained":
            node.value = ast.copy_location(ast.Constant(False), node.value)
        self.generic_visit(node)
        return node


def _documents(module: types.ModuleType, target: Any) -> Iterator[tuple[str, str]]:
    """The documents that may show a target, each with its origin."""
    for each in (target, getattr(target, "__init__", None), getattr(target, "forward", None), module):
        yield "docstring", getattr(each, "__doc__", None) or ""
    for path in _readmes(module.__file__ or ""):
        with open(path, encoding="utf-8", errors="replace") as file:
            yield os.path.basename(path), file.read(_LARGEST)
    with suppress(importlib.metadata.PackageNotFoundError):
        described: Any = importlib.metadata.distribution(module.__name__.partition(".")[0]).metadata
        yield "description of the package", described["Description"] or described.get_payload() or ""


def _readmes(path: str) -> Iterator[str]:
    """The READMEs of a file's folder and of those above it, up to the repository's or the package's."""
    folder = os.path.dirname(path)
    while True:
        found = [os.path.join(folder, name) for name in _READMES]
        yield from [each for each in found if os.path.isfile(each)][:1]
        above = os.path.dirname(folder)
        is_inside = os.path.exists(os.path.join(folder, "__init__.py")) or os.path.basename(folder) == "src"
        if above == folder or not is_inside:
            return
        folder = above


def _blocks(text: str) -> Iterator[ast.Module]:
    """The code of a document that parses: what stands between fences, or behind prompts.

    Each block is given alone, then behind the one before it, which may bind the names that it reads.
    """
    before = ""
    for code in (*_fenced(text), text):
        prompted = _PROMPT.findall(code)
        if prompted or code is not text:
            code = "\n".join(prompted) if prompted else textwrap.dedent(code)
            with suppress(SyntaxError, ValueError):
                yield ast.parse(code)
                yield ast.parse(f"{before}\n{code}")
            before = code


def _fenced(text: str) -> Iterator[str]:
    """What stands between fences that name Python, or no language."""
    fence, language, inside = "", "", list[str]()
    for line in text.splitlines():
        found = _FENCE.match(line)
        if found is None or (fence and not found[1].startswith(fence)):
            inside.append(line)
        elif fence:
            yield from ["\n".join(inside)] if language.lower() in _PYTHON else []
            fence, inside = "", []
        else:
            fence, language, inside = found[1], found[2], []


_PYTHON = ("", "python", "python3", "py", "pycon")
