"""Values that are the largest of others, however they were found and laid out."""

from __future__ import annotations

from gradlint.semantics.tensor import REARRANGING, Application, made, producer
from gradlint.semantics.value import Items, Value

_CLAMPS = frozenset({"clamp", "clamp_min", "clamp_max", "minimum", "fmin", "hardtanh"})
_MOVED = (REARRANGING | {"detach", "item", "tolist", "int", "long"}) - {"topk"}
_CHOOSING = frozenset({"gather", "index_select", "take", "take_along_dim"})


def is_maximum(value: Value | None) -> bool:
    """Whether `value` holds the maxima of something, clamped or not."""
    while (found := producer(value)) is not None:
        if _gives_maximum(found):
            return True
        if found.primitive not in _MOVED | _CLAMPS:
            break
        value = found.value(0)
    return False


def _gives_maximum(found: Application) -> bool:
    """A maximum by name, the first of the largest, or what an argmax chooses."""
    name = found.primitive.rpartition(".")[2]
    if found.primitive in _CHOOSING:
        return any(is_argmax(operand.value) for operand in (*found.operands[1:], *found.keywords.values()))
    if name == "topk":
        return _takes_one(found)
    return name == "logsumexp" or ("max" in name and name != "argmax" and "softmax" not in name)


def _takes_one(topk: Application) -> bool:
    return topk.constant(1, "k") == 1 and topk.constant(3, "largest") is not False


def is_argmax(index: Value | None) -> bool:
    """Whether an index, or a part of one, says where the largest element is."""
    if isinstance(index, Items):
        return any(is_argmax(item) for item in index.items)
    while (found := producer(index)) is not None:
        if found.primitive == "argmax":
            return True
        if found.primitive == "indices":
            source = made(found.value(0), "max", "topk")
            return source is not None and (source.primitive == "max" or _takes_one(source))
        if found.primitive not in _MOVED:
            break
        index = found.value(0)
    return False
