"""Models of torchvision whose last layer the project replaces: all else of them is unknown."""

from __future__ import annotations

from gradlint.semantics.value import Value

_HEADS = {
    **dict.fromkeys(("resnet", "resnext", "wide_resnet", "shufflenet", "regnet"), "fc"),
    **dict.fromkeys(("alexnet", "vgg", "densenet", "mobilenet", "efficientnet", "mnasnet"), "classifier"),
    **dict.fromkeys(("convnext", "squeezenet"), "classifier"),
    "vit_": "heads",
    "swin": "head",
}
"""The attribute that computes a model's output, by how the names of its functions begin."""


class Pretrained(Value, frozen=True, eq=False):
    """A model whose output is that of its attribute `head`; `attributes` are those that code has set."""

    head: str
    attributes: dict[str, Value]


def pretrained(name: str) -> Pretrained | None:
    """The model that the function of this qualified name makes, if its output comes from one attribute."""
    function = name.rpartition(".")[2]
    if not name.startswith("torchvision.models.") or not function.islower():
        return None
    head = next((head for start, head in _HEADS.items() if function.startswith(start)), None)
    return Pretrained(head, {}) if head is not None else None
