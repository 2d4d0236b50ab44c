"""What a file says of a name that another one binds: questions that its words alone answer.

An outcome that rests on such an answer holds as long as the file answers the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

_NAMED = re.compile(r"\.\s*([^\W\d]\w*)|[\"']([^\W\d]\w*)[\"']")
_CALLED = re.compile(r"\b([^\W\d]\w*)\(")
_APPLIED = re.compile(r"(?<!self)\.apply\(")
_WALKED = re.compile(r"for [^\n]+ in (?!self\b)[^\n]+\.(?:named_)?parameters\(")
_DRAWN = re.compile(r"\binit\.\w|initiali[sz]e|xavier|kaiming|normal_\(|uniform_\(")
_DECORATED = re.compile(
    r"^((?:@[^\n]*\n(?:[ \t)][^\n]*\n)*)+)(?:async\s+)?(?:class|def)\s+(\w+)", re.MULTILINE
)
"""The decorators of a definition of a module, and its name."""
_QUOTED = re.compile(r"[\"']([^\"'\n]+)[\"']")
_BINDING = re.compile(
    r"^((?:(?:async[ \t]+)?def|class)[ \t]+\w+|[\w, \t]+(?::[^=\n]+)?=)"
    r"|^[ \t]*((?:from\b[^\n]*)?import[ \t]*(?:\([^)]*\)|[^\n]*))",
    re.MULTILINE,
)
_WORD = re.compile(r"[^\W\d]\w*")
_KEPT = 512


def occurs(name: str, text: str) -> bool:
    """Whether a text names something, as a whole word."""
    return name in text and re.search(rf"\b{re.escape(name)}\b", text) is not None


def applies_to(name: str, text: str) -> bool:
    """Whether code that names the class `name` applies something to a model, or draws parameters anew."""
    if not occurs(name, text):
        return False
    is_drawn = _WALKED.search(text) is not None and _DRAWN.search(text) is not None
    return is_drawn or _APPLIED.search(text) is not None


def calls_method(name: str, text: str) -> bool:
    """Whether code calls a method of something that is not the object itself, come what may."""
    call = f".{name}()"
    lines = (line for line in text.splitlines() if call in line) if call in text else ()
    return any(
        re.search(rf"^(?!.*\b(?:if|else)\b).*(?<!\bself)(?<!\)){re.escape(call)}", each) for each in lines
    )


def calls_any(names: Iterable[str], text: str) -> bool:
    """Whether code calls something by one of these names."""
    return not frozenset(names).isdisjoint(_called(text))


def names(name: str, text: str) -> bool:
    """Whether code names an attribute, or writes its name in quotes."""
    return name in text and name in _named(text)


def decorates(name: str, text: str) -> list[str]:
    """The decorated definitions of a module that go by a name, there or in their decorators."""
    return [defined for defined, words in _decorated(text) if name.casefold() in words]


@lru_cache(maxsize=_KEPT)
def _called(text: str) -> frozenset[str]:
    return frozenset(_CALLED.findall(text))


@lru_cache(maxsize=_KEPT)
def _named(text: str) -> frozenset[str]:
    return frozenset([first or second for first, second in _NAMED.findall(text)])


@lru_cache(maxsize=_KEPT)
def _decorated(text: str) -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple(
        [
            (name, frozenset([word.casefold() for word in (*_QUOTED.findall(decorators), name)]))
            for decorators, name in _DECORATED.findall(text)
        ]
    )


def _bound(text: str) -> list[str]:
    """What a module may bind, by the words of its definitions, assignments and imports."""
    return sorted({word for found in _BINDING.findall(text) for word in _WORD.findall(" ".join(found))})


def holds(names: str, listed: str) -> list[str]:
    """The folders of these names, and the Python files without their suffix, that a folder lists."""
    found = set(listed.split("\n"))
    return [each for name in names.split(" ") for each in (name + ".py", name + "/") if each in found]


_QUESTIONS: dict[str, Callable[[str, str], object]] = {
    "applies_to": applies_to,
    "binds": lambda name, text: _bound(text),
    "calls": lambda name, text: sorted(_called(text)),
    "calls_method": calls_method,
    "decorates": decorates,
    "holds": holds,
    "names": names,
    "occurs": occurs,
}


def question(kind: str, name: str = "") -> str:
    """What is asked of a file, in a form that is no name."""
    return f"{kind}({name})"


def is_question(asked: str) -> bool:
    """Whether something that a file was asked for is no name that it binds."""
    return asked.endswith(")")


def answer(asked: str, text: str) -> str:
    """What a file with this text answers."""
    kind, _, name = asked[:-1].partition("(")
    return repr(_QUESTIONS[kind](name, text))
