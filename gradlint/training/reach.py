"""Which definitions of the project's modules train, or lead to code that does, as their texts say."""

from __future__ import annotations

import builtins
import keyword
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from gradlint.graph import entries
from gradlint.records import ir
from gradlint.records.span import Span
from gradlint.semantics.answers import question
from gradlint.semantics.neighbours import EVERYTHING, text_of
from gradlint.semantics.project import Project
from gradlint.semantics.scope import ModuleScope, absolute_module
from gradlint.source.words import Words, holds
from gradlint.training.profiles import profiles

_ACTS: Words = (
    ("backward", re.compile(r"\.\s*\\?\s*(?:manual_)?backward\b|(?<!def )\bbackward\(|[\"']backward[\"']")),
    ("autograd.grad", re.compile(r"\bautograd\.grad\b")),
    ("grad(", re.compile(r"\bgrad\(")),
    ("step", re.compile(r"\.\s*\\?\s*step\b|[\"']step[\"']|\btraining_step\b")),
    ("hook", re.compile(r"\.register_(?:full_backward_|backward_|post_accumulate_grad_)?hook\b")),
)
"""What no code is judged without: a gradient that is computed, or a step."""

_CASTS: Words = (("autocast", re.compile(r"\bautocast\b")), (".half()", re.compile(r"\.half\(\)")))
_LOSS = re.compile(r"loss|criterion|entropy", re.IGNORECASE)
"""What is judged together, without either."""

_MENTIONS: Words = (
    *_ACTS,
    *_CASTS,
    (".zero_grad", re.compile(r"\.zero_grad\b")),
    *[(word, re.compile(re.escape(word))) for word in ("clip_grad", "GradScaler", ".parameters()")],
    ("optim", re.compile(r"\boptim\b")),
)
"""What a file names that has to do with training."""

_OTHERS = "mxnet|tensorflow|keras|jax|flax|paddle|mindspore|oneflow|chainer|tinygrad|mlx"
_OTHER = re.compile(rf"^\s*(?:import|from)\s+(?:{_OTHERS})\b", re.MULTILINE)
_TORCH = re.compile(r"^\s*(?:import|from)\s.*\b\w*torch", re.MULTILINE)
_RUN = re.compile(r"^(?:(?:if __name__|for|while|with)\b|[^\W\d]\w*\(\s*(?!__)[)\w*])", re.MULTILINE)
"""What a module runs by itself: its script, a loop, a call of a function with what it has."""
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_FROM = re.compile(r"\bfrom\b[ \t]*(\.*)[ \t]*([\w.]*)[ \t]+import[ \t]*(\([^)]*|[^\n;]*)")
"""Imports within definitions: the dots before the name of a module, that name, and what is taken from it."""
_IMPORT = re.compile(r"(?:^|[:;])[ \t]*import[ \t]+([^\n;]*)", re.MULTILINE)
_TAKEN = re.compile(r"([^\W\d][\w.]*)(?:\s+as\s+\w+)?")
_BLOCK = (
    r"(?:\"{3}[^\"\\]*(?:(?:\\.|\"(?!\"\"))[^\"\\]*)*\"{3}"
    r"|'{3}[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'{3})"
)
_LINE = r"""(?:"[^"\\\n]*(?:\\.[^"\\\n]*)*"|'[^'\\\n]*(?:\\.[^'\\\n]*)*')"""
_ASIDE = re.compile(
    rf"((?<!\w)[rRbBuU]*{_BLOCK}|(?:^|(?<=\s))\#[^\n]*)|[rR]?[fF][rR]?{_BLOCK}|{_LINE}",
    re.DOTALL | re.MULTILINE,
)
"""Texts of several lines and comments; or else texts with code in them, and texts of one line."""
_FILLED = re.compile(r"[^\W\d]\w*(?=\s*[\[.])")
"""What a statement puts something in, or calls a method of."""
_OF_PYTHON = frozenset([*dir(builtins), *keyword.kwlist])

Node = tuple[str, str]
"""A file and a name that it binds, with attributes of what that means, or everything."""


def may_train(text: str) -> bool:
    """Whether a text names anything that only training code does, or a library's object that does it, and
    not with another framework.
    """
    is_training = holds(text, _MENTIONS) or makes_trainer(text)
    return is_training and (_OTHER.search(text) is None or _TORCH.search(text) is not None)


def may_have_trained(text: str) -> bool:
    """Whether a text trains, or is a script that may have others do so, and say with what."""
    return may_train(text) or (_RUN.search(text) is not None and _OTHER.search(text) is None)


def makes_trainer(text: str) -> bool:
    """Whether a text names a library that trains by itself, and what makes its objects."""
    package, maker, _ = _libraries()
    return package.search(text) is not None and maker.search(text) is not None


@lru_cache(maxsize=1)
def _libraries() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """The libraries that train by themselves, what makes objects that do, and the methods that train."""
    found = [profile for profile in profiles().values() if profile.automatic is not None or profile.starts]
    packages = {package.partition(".")[0] for profile in found for package in profile.packages}
    makers = {name for profile in found for name in profile.classes}
    methods = {name for profile in found for name, what in profile.methods.items() if what == "train"}
    starting = {name for profile in found if profile.starts for name in profile.classes}
    imported = _any_of(r"^\s*(?:import|from)\s+(?:{})\b", packages)
    return imported, _any_of(r"\b(?:{})\b", makers), _any_of(r"\b(?:{})\(", methods | starting)


def _any_of(pattern: str, words: set[str]) -> re.Pattern[str]:
    return re.compile(pattern.format("|".join(sorted(words))), re.MULTILINE)


class Reach:
    """Follows names through the modules of a project, without running anything.

    `consulted` gathers the names that were looked at, each with the file that it stands in.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._texts: dict[str, dict[str, str]] = {}
        self._makes: dict[str, bool] = {}
        self._known: dict[Node, bool] = {}
        self._rests_on: dict[Node, frozenset[Node]] = {}
        self.consulted: set[Node] = set()

    def begin(self, scope: ModuleScope, text: str) -> None:
        """Another module, with this text."""
        self._read(scope, text)
        self._follow([(scope.path, name) for name in scope.bindings])
        self.consulted.add((os.path.dirname(scope.path), EVERYTHING))

    def leads(self, scope: ModuleScope, text: str) -> bool:
        """Whether a piece of a module trains, or names what does."""
        text = _code(text)
        if self._acts(scope.path, text):
            return True
        nodes = list(self._named(scope, text))
        self._follow(nodes)
        return any(self._known[node] for node in nodes)

    def _acts(self, path: str, text: str) -> bool:
        if holds(text, _ACTS) or (holds(text, _CASTS) and _LOSS.search(text)):
            return True
        return self._makes.get(path, False) and any(word.search(text) for word in _libraries()[1:])

    def _follow(self, roots: Sequence[Node]) -> None:
        """Find out about names and all that they lead to."""
        named: dict[Node, list[Node]] = defaultdict(list)
        left = [node for node in dict.fromkeys(roots) if node not in self._known]
        met, acting, rests_on = set(left), [], set(left)
        while left:
            node = left.pop()
            if self._acts(node[0], self._text(node)):
                acting.append(node)
                continue
            for other in self._next(node):
                named[other].append(node)
                if other in self._known:
                    rests_on |= self._rests_on[other]
                    acting += [other] if self._known[other] else []
                elif other not in met:
                    met.add(other)
                    left.append(other)
        leading = _leading(acting, named)
        self._known |= {node: node in leading for node in met}
        rests_on |= {(path, dotted.partition(".")[0]) for path, dotted in met}
        rests_on |= {(path, question("binds")) for path in {path for path, _ in met}}
        self._rests_on |= dict.fromkeys(met, frozenset(rests_on))
        self.consulted.update(*[self._rests_on[node] for node in roots])

    def _text(self, node: Node) -> str:
        path, dotted = node
        return self._module(path).get(dotted.partition(".")[0], "")

    def _next(self, node: Node) -> Iterator[Node]:
        """What a name is bound to, or what the code that it is bound to names."""
        path, dotted = node
        scope = self._project.scope(path)
        if dotted == EVERYTHING:
            yield from [(path, each) for each in scope.bindings]
            return
        name, _, rest = dotted.partition(".")
        for binding in scope.bindings.get(name, ()):
            if isinstance(binding, ir.Binding):
                yield from self._imported(scope, binding, rest)
        yield from self._named(scope, self._text(node))
        for star in scope.stars if name not in scope.bindings else ():
            yield from self._attribute(scope, absolute_module(star, scope), name)

    def _named(self, scope: ModuleScope, text: str) -> Iterator[Node]:
        """The names of a module that a text mentions, those of imported modules with their attributes."""
        for dotted in dict.fromkeys(_DOTTED.findall(text)):
            name, _, rest = dotted.partition(".")
            bound = scope.bindings.get(name)
            if bound is None:
                yield from [(scope.path, name)] if scope.stars and name not in _OF_PYTHON else ()
            else:
                yield scope.path, dotted if rest and self._is_imported(scope, bound) else name
        for before, name, taken in _FROM.findall(text):
            for member in _TAKEN.findall(taken):
                yield from self._imported(scope, _binding(name, member, len(before)), "")
        for name in (each for names in _IMPORT.findall(text) for each in _TAKEN.findall(names)):
            yield from self._imported(scope, _binding(name, "", 0), "")

    def _is_imported(self, scope: ModuleScope, bound: Sequence[ir.Statement | ir.Binding]) -> bool:
        """Whether a name comes from the project's modules, and from nowhere else."""
        return all(isinstance(each, ir.Binding) and any(self._imported(scope, each, "")) for each in bound)

    def _imported(self, scope: ModuleScope, binding: ir.Binding, attributes: str) -> Iterator[Node]:
        """What attributes of that mean which an import binds; everything where there are none."""
        names = [name for name in (binding.member, attributes) if name]
        yield from self._attribute(scope, absolute_module(binding, scope), ".".join(names))

    def _attribute(self, scope: ModuleScope, module: str, attributes: str) -> Iterator[Node]:
        """What attributes of a module, and of modules within it, mean; everything where they end at one."""
        name, _, rest = attributes.partition(".")
        path = self._project.locate(module, scope)
        inner = f"{module}.{name}"
        is_module = bool(name) and self._project.locate(inner, scope) is not None
        if path is not None:
            yield path, attributes if is_module else name or EVERYTHING
        if is_module and not self._hides(path, name, inner):
            yield from self._attribute(scope, inner, rest)

    def _hides(self, path: str | None, name: str, module: str) -> bool:
        """Whether a package binds something else to the name of a module within it."""
        if path is None:
            return False
        scope = self._project.scope(path)
        bound = scope.bindings.get(name, ())
        return bool(bound) and not any(
            isinstance(each, ir.Binding) and module == _meant(each, scope) for each in bound
        )

    def _module(self, path: str) -> dict[str, str]:
        """The code behind each name of a module."""
        if path not in self._texts:
            self._read(self._project.scope(path), text_of(path))
        return self._texts[path]

    def _read(self, scope: ModuleScope, text: str) -> None:
        lines = text.split("\n")
        self._makes[scope.path] = makes_trainer(text)
        texts = {
            name: [entries.text_of(each, lines) for each in bound if not isinstance(each, ir.Binding)]
            for name, bound in scope.bindings.items()
        }
        for statement in scope.facts.body:
            filled = _FILLED.match(entries.lines_of(statement.span, lines))
            if filled is not None and filled[0] in texts:
                texts[filled[0]].append(entries.lines_of(statement.span, lines))
        self._texts[scope.path] = {name: _code("\n".join(parts)) for name, parts in texts.items()}


def _code(text: str) -> str:
    """A text without comments and texts of several lines, each statement on one line, names as Python
    reads them.
    """
    code = _ASIDE.sub(lambda found: "" if found[1] else found[0], text).replace("\\\n", " ")
    return code if code.isascii() else unicodedata.normalize("NFKC", code)


def _binding(module: str, member: str, level: int) -> ir.Binding:
    return ir.Binding(Span(1, 1, 1, 1), "", module, member, level)


def _meant(binding: ir.Binding, scope: ModuleScope) -> str:
    """The dotted name of what an import binds."""
    return ".".join(filter(None, (absolute_module(binding, scope), binding.member)))


def _leading(acting: Sequence[Node], named: Mapping[Node, Sequence[Node]]) -> set[Node]:
    """All that lead to what acts, over those that name it."""
    leading: set[Node] = set()
    left = list(acting)
    while left:
        node = left.pop()
        if node not in leading:
            leading.add(node)
            left += named.get(node, ())
    return leading
