"""What constructors and functions take."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

from .blame import method


def signature_of(target: Any) -> inspect.Signature:
    """What a target takes, annotations evaluated where they can be."""
    function = vars(target).get("__init__", target) if isinstance(target, type) else target
    try:
        signature = inspect.signature(target)
    except (ValueError, TypeError):
        return inspect.Signature()
    try:
        hints = (
            inspect.get_annotations(function, eval_str=True) if hasattr(inspect, "get_annotations") else {}
        )
    except Exception:
        hints = {}
    return signature.replace(
        parameters=[p.replace(annotation=hints.get(n, p.annotation)) for n, p in signature.parameters.items()]
    )


def handed_on(target: Any) -> dict[str, Any]:
    """The defaults of what a constructor takes along by `**kwargs` and hands on to that of a base."""
    found: dict[str, Any] = {}
    settled: set[str] = set()
    for kind in target.__mro__ if isinstance(target, type) else ():
        if "__init__" in vars(kind):
            parameters = signature_of(vars(kind)["__init__"]).parameters
            defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
            found.update({n: value for n, value in defaults.items() if settled and n not in settled})
            call = _call_of_base(kind)
            if call is None or all(each.arg for each in call.keywords):
                break
            settled |= {*parameters, *[each.arg for each in call.keywords if each.arg]}
    return found


def _call_of_base(kind: type) -> ast.Call | None:
    """The call of the base's constructor in that of a class."""
    tree = method(kind, "__init__")
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".__init__"):
            return node
    return None


_DESCRIBED = re.compile(r"^[ \t]*[-*]?[ \t]*`*(\w+)`*[ \t]*(?:\([^)\n]*\))?[ \t]*:[ \t]*(.+)$", re.MULTILINE)


def described(target: Any) -> dict[str, str]:
    """What docstrings say of a target's parameters: the beginning of the sentence behind each name."""
    texts = [getattr(each, "__doc__", None) or "" for each in (getattr(target, "__init__", None), target)]
    return {name: words for text in texts for name, words in _DESCRIBED.findall(text)}
