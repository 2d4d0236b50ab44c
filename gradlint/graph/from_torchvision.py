"""The models of torchvision that are a chain of layers: VGG and AlexNet, from which others take parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gradlint.graph.construct import layer
from gradlint.graph.values import Container, Drawn, Layer, Weight
from gradlint.records.graph import Initial, Place
from gradlint.semantics.interpretation import Arguments, Operand, Site
from gradlint.semantics.value import Items, Known, Value

CHAINS = frozenset({"VGG", "AlexNet"})
"""Models that run `features`, `avgpool` and `classifier`, one after the other."""

_NAME = re.compile(r"torchvision\.models\.(?:vgg\.|alexnet\.)?(?:vgg(11|13|16|19)(_bn)?|(alexnet))$")
_WIDTHS = (64, 128, 256, 512, 512)
_DEPTHS = {"11": (1, 1, 2, 2, 2), "13": (2, 2, 2, 2, 2), "16": (2, 2, 3, 3, 3), "19": (2, 2, 4, 4, 4)}
_ALEXNET = (
    (3, 64, 11, 4, 2),
    (64, 192, 5, 1, 2),
    (192, 384, 3, 1, 1),
    (384, 256, 3, 1, 1),
    (256, 256, 3, 1, 1),
)
_POOLED_BEHIND = (0, 1, 4)
_SETTINGS = frozenset({"pretrained", "progress", "weights", "num_classes", "dropout"})


def model(name: str, arguments: Arguments, site: Site) -> Layer | None:
    """The model that a function of torchvision makes; None where that is not such a chain."""
    found = _NAME.match(name)
    if found is None or arguments.open or not arguments.keywords.keys() <= _SETTINGS:
        return None
    depth, normalised, _ = found.groups()
    maker = _Maker(site, _is_fresh(arguments), depth is not None)
    features = maker.vgg(_DEPTHS[depth], bool(normalised)) if depth else maker.alexnet()
    side = 7 if depth else 6
    given = arguments.keywords.get("num_classes")
    classes = given.value if given is not None else Known(1000)
    parts: dict[str, Value] = {
        "features": maker.sequence(list(features)),
        "avgpool": maker.layer("AdaptiveAvgPool2d", Known(side)),
        "classifier": maker.sequence(list(maker.classifier(side * side * (512 if depth else 256), classes))),
    }
    return Layer("VGG" if depth else "AlexNet", {}, {}, Place(site.path, site.node.span), parts)


def _is_fresh(arguments: Arguments) -> bool:
    """Whether the weights are drawn, not loaded."""
    given = [*arguments.positional[:1], *map(arguments.keywords.get, ("pretrained", "weights"))]
    values = [operand.value for operand in given if operand is not None]
    return all(isinstance(value, Known) and value.value in (None, False) for value in values)


class _Maker:
    """Makes layers at one place, with weights that are drawn as torchvision does it, or loaded."""

    def __init__(self, site: Site, is_fresh: bool, is_vgg: bool) -> None:
        self._node = site.node
        self._place = Place(site.path, site.node.span)
        self._is_fresh = is_fresh
        self._is_vgg = is_vgg

    def vgg(self, depths: Sequence[int], is_normalised: bool) -> Iterator[Value]:
        """The convolutions of a VGG."""
        width = 3
        for depth, wider in zip(depths, _WIDTHS, strict=True):
            for _ in range(depth):
                yield self.convolution(width, wider, 3, 1, 1)
                if is_normalised:
                    yield self.layer("BatchNorm2d", Known(wider))
                yield self.layer("ReLU")
                width = wider
            yield self.layer("MaxPool2d", Known(2), Known(2))

    def alexnet(self) -> Iterator[Value]:
        """The convolutions of AlexNet."""
        for at, settings in enumerate(_ALEXNET):
            yield self.convolution(*settings)
            yield self.layer("ReLU")
            if at in _POOLED_BEHIND:
                yield self.layer("MaxPool2d", Known(3), Known(2))

    def classifier(self, width: int, classes: Value) -> Iterator[Value]:
        """The layers behind the convolutions; AlexNet drops out before each, VGG behind."""
        dropout = Known(0.5)
        for into in (width, 4096):
            if not self._is_vgg:
                yield self.layer("Dropout", dropout)
            yield self.linear(into, Known(4096))
            yield self.layer("ReLU")
            if self._is_vgg:
                yield self.layer("Dropout", dropout)
        yield self.linear(4096, classes)

    def convolution(self, *settings: int) -> Value:
        scheme = Initial("kaiming_normal", {"a": 0.0, "mode": "fan_out", "nonlinearity": "relu"})
        return self._drawn("Conv2d", [Known(each) for each in settings], scheme)

    def linear(self, into: int, out: Value) -> Value:
        return self._drawn("Linear", [Known(into), out], Initial("normal", {"mean": 0.0, "std": 0.01}))

    def _drawn(self, class_: str, settings: Sequence[Value], scheme: Initial) -> Value:
        made = self.layer(class_, *settings)
        if isinstance(made, Layer) and self._is_vgg and self._is_fresh:
            self._fill(made, {"weight": scheme, "bias": Initial("zeros")})
        return made

    def layer(self, class_: str, *settings: Value) -> Value:
        """A layer with these settings."""
        given = Arguments(tuple([Operand(value, self._node) for value in settings]))
        made = layer(class_, given, self._place)
        assert made is not None
        if not self._is_fresh:
            self._fill(made, dict.fromkeys(made.attributes, Initial("unknown")))
        for weight in made.attributes.values():
            if isinstance(weight, Weight):
                weight.attributes["template"] = Known(True)  # it may be there for some of its parts
        return made

    def _fill(self, made: Layer, contents: dict[str, Initial]) -> None:
        for name, initial in contents.items():
            weight = made.attributes.get(name)
            if isinstance(weight, Weight):
                placed = Initial(initial.scheme, initial.settings, 1.0, self._place)
                weight.attributes["data"] = Drawn(placed, weight.shape)

    def sequence(self, layers: list[Value]) -> Container:
        """The layers, one behind the other."""
        return Container("Sequential", Items("list", layers, self._node), self._place)
