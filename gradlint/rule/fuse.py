"""The fix that writes a function by its name where it is written out by hand."""

from __future__ import annotations

from collections import Counter

from gradlint.records import ir
from gradlint.records.finding import Applicability, Edit, Fix
from gradlint.records.span import Span
from gradlint.rule.relocate import between
from gradlint.rule.rewrite import Parts, call, enclosed, negative
from gradlint.semantics.bindings import changes, is_repeatable
from gradlint.semantics.fused import Fused
from gradlint.semantics.interpretation import Operand
from gradlint.semantics.tensor import Application
from gradlint.semantics.trace import Trace
from gradlint.semantics.value import Known

_SPELLINGS = {
    "log_softmax": ("torch.nn.functional.log_softmax", "torch.log_softmax"),
    "logsigmoid": ("torch.nn.functional.logsigmoid",),
    "logsumexp": ("torch.logsumexp",),
    "sigmoid": ("torch.sigmoid",),
    "softmax": ("torch.nn.functional.softmax", "torch.softmax"),
    "softplus": ("torch.nn.functional.softplus",),
    "tanh": ("torch.tanh",),
}
_METHODS = frozenset({"log_softmax", "logsumexp", "sigmoid", "softmax", "tanh"})
_AXES = {"dim": "dim", "axis": "dim", "keepdim": "keepdim", "keepdims": "keepdim"}


def fuse(trace: Trace, application: Application, found: Fused) -> Fix | None:
    """Replace `application` by a call of the function that it computes, where that gives the same."""
    if not found.exact or not _is_plain(trace, application, found):
        return None
    text = _Text(application, changes(trace.function))
    operand, arguments = text.operand(found.operand, found.negated), text.arguments(found)
    factor: Parts | None = text.operand(found.factor) if found.factor is not None else ()
    if operand is None or arguments is None or factor is None:
        return None
    called = _called(trace, found, operand, arguments, text.surroundings(found, arguments))
    if called is None:
        return None
    if found.factor is not None:
        called = (*_factor(found.factor.node), " * ", *called)
    edit = Edit(application.site.node.span, called)
    return Fix(f"use {found.name}", Applicability.SAFE, (edit,))


def _called(
    trace: Trace, found: Fused, operand: Parts, arguments: list[Parts], around: tuple[Span, Span] | None
) -> Parts | None:
    """A call of the function, as a method where the module cannot write it otherwise.

    `around` stands around the operand in the call that is replaced, if all of that stays.
    """
    name = _spelled(trace, found.name)
    if name is not None and around is not None:
        return (name, around[0], *operand, around[1])
    if name is not None:
        return call(name, [operand, *arguments])
    if found.name not in _METHODS:
        return None
    receiver = ("(", *operand, ")") if found.negated else enclosed(found.operand.node)
    return (*receiver, *call(f".{found.name}", arguments))


def _spelled(trace: Trace, name: str) -> str | None:
    found = [spelled for full in _SPELLINGS[name] if (spelled := trace.spell(full)) is not None]
    return min(found, key=len) if found else None


def _is_plain(trace: Trace, application: Application, found: Fused) -> bool:
    """Whether the place is an expression of the function at hand that changes nothing, on an operand
    that is written out.
    """
    node = application.site.node
    if trace.via is not None or application.site.callers or application.form in ("in-place", "module"):
        return False
    if found.source is not None and found.operand.node is found.source.site.node:
        return False  # a layer of a Sequential: its input is not written anywhere
    if isinstance(node, ir.Call) and isinstance(node.function, ir.Attribute):
        return not node.function.name.endswith("_")
    return True


def _factor(node: ir.Expression) -> Parts:
    """The left operand of a division as that of a product: both bind alike."""
    if isinstance(node, ir.Operation) and node.operator in ("mul", "truediv", "neg", "pow", "matmul"):
        return (node.span,)
    return enclosed(node)


class _Text:
    """What stands in the source, as far as it means the same at the place of an application."""

    def __init__(self, application: Application, once: Counter[str]) -> None:
        self._place = application.site.node.span
        self._once = once

    def operand(self, operand: Operand, negated: bool = False) -> Parts | None:
        """The text of an operand."""
        node = operand.node
        if isinstance(node, ir.Starred):
            return None
        if not self._place.contains(node.span) and not is_repeatable(node, self._once):
            return None
        return negative(node) if negated else (node.span,)

    def arguments(self, found: Fused) -> list[Parts] | None:
        """The axis and whatever else the function takes over; None where that cannot be."""
        source = found.source
        if source is None or source.primitive == "sigmoid":
            return []
        if source.primitive == "softmax":
            return self._softmax(source)
        if found.name == "logsumexp":
            return self._complete(source, ("dim", "keepdim"))
        return self._axis(source)

    def surroundings(self, found: Fused, arguments: list[Parts]) -> tuple[Span, Span] | None:
        """What stands before and behind the operand in a call with the same arguments."""
        node = found.source.site.node if found.source is not None else None
        if not isinstance(node, ir.Call) or not node.positional or not self._place.contains(node.span):
            return None
        own: list[Parts] = [(argument.span,) for argument in node.positional[1:]]
        own += [(f"{keyword.name}=", keyword.value.span) for keyword in node.keywords]
        if found.source is None or found.source.form != "function" or arguments != own:
            return None
        first = node.positional[0].span
        return between(node.function.span, first.start), between(first, node.span)

    def _softmax(self, source: Application) -> list[Parts] | None:
        if len(source.operands) > 2 or not (source.has(1, "dim") or source.has(1, "axis")):
            return None
        texts = [self._argument(operand, source) for operand in source.operands[1:]]
        texts += [self._named(_AXES.get(name, name), o, source) for name, o in source.keywords.items()]
        return _all(texts)

    def _complete(self, source: Application, names: tuple[str, ...]) -> list[Parts] | None:
        """The arguments of a sum, of which an axis must be one."""
        if not set(source.keywords) <= set(_AXES) or len(source.operands) > 1 + len(names):
            return None
        if len(source.operands) < 2 and not {"dim", "axis"} & set(source.keywords):
            return None
        texts = [self._argument(operand, source) for operand in source.operands[1:]]
        texts += [self._named(_AXES[name], operand, source) for name, operand in source.keywords.items()]
        return _all(texts)

    def _axis(self, source: Application) -> list[Parts] | None:
        """The axis of a sum that keeps it, as the axis of a softmax."""
        axis = source.operand(1, "dim") or source.keywords.get("axis")
        if axis is None or not isinstance(axis.value, Known) or not isinstance(axis.value.value, int):
            return None
        return _all([self._named("dim", axis, source)])

    def _named(self, name: str, operand: Operand, source: Application) -> Parts | None:
        text = self._argument(operand, source)
        return None if text is None else (f"{name}=", *text)

    def _argument(self, operand: Operand, source: Application) -> Parts | None:
        text = self.operand(operand) if source.form != "module" else None
        if text is None and isinstance(operand.value, Known) and isinstance(operand.value.value, (bool, int)):
            return (repr(operand.value.value),)
        return text


def _all(texts: list[Parts | None]) -> list[Parts] | None:
    found = [text for text in texts if text is not None]
    return found if len(found) == len(texts) else None
