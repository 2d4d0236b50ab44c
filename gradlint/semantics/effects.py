"""What a call does to its operands, as far as its name tells."""

from __future__ import annotations

import re

from gradlint.semantics.interpretation import Arguments, known

VIEWS = frozenset(
    {
        "chunk",
        "detach",
        "diagonal",
        "expand",
        "expand_as",
        "flatten",
        "narrow",
        "permute",
        "reshape",
        "split",
        "squeeze",
        "t",
        "transpose",
        "unbind",
        "unflatten",
        "unsqueeze",
        "view",
        "view_as",
    }
)
"""Primitives whose results may share memory with their first operand."""

_VALUES_STAY = frozenset(
    {"detach_", "rename_", "requires_grad_", "share_memory_", "squeeze_", "t_", "transpose_", "unsqueeze_"}
)
_CHECK = re.compile(r"(?:^|_)(?:assert|check|ensure|require|validate|verify)(?:_|[A-Z]|$)")


def is_check(name: str) -> bool:
    """Whether a function seems to be called to refuse what it does not like."""
    return _CHECK.search(name.rpartition(".")[2]) is not None


def overwrites(name: str, arguments: Arguments) -> bool:
    """Whether a function changes its first operand in place."""
    if known(arguments.keywords.get("inplace")) is True:
        return True
    word = name.rpartition(".")[2]
    return word.endswith("_") and not word.endswith("__") and word not in _VALUES_STAY
