"""A plot of a quantity along the depth of a model: predicted as rings, measured as dots."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from gradlint.records.evidence import LayerFlow
from gradlint.report.page.markup import element
from gradlint.report.verified import decades

WIDTH, HEIGHT = 460, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 34
CROWDED = 80
"""With more layers than these, lines are drawn without marks."""
_NAME = 26
_POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Quantity:
    """What is plotted: its names, and how a layer tells it; `limit` bounds what is healthy, in decades."""

    title: str
    caption: str
    predicted: Callable[[LayerFlow], float | None]
    measured: Callable[[LayerFlow], float | None]
    limit: float | None = None
    marks_missing: bool = False


@dataclass(frozen=True)
class Axes:
    """From layers and decades to places in the drawing."""

    count: int
    low: float
    high: float

    def x(self, index: float) -> float:
        """The place of a layer, by its number."""
        share = index / (self.count - 1) if self.count > 1 else 0.5
        return LEFT + 8 + (WIDTH - LEFT - RIGHT - 16) * share

    def y(self, value: float) -> float:
        """The height of a number of decades."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - value) / (self.high - self.low)

    def ticks(self) -> Iterator[int]:
        """Whole decades, at most seven of them, 0 among them."""
        step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 1000) if (self.high - self.low) / s <= 7)
        return (n * step for n in range(math.ceil(self.low / step), math.floor(self.high / step) + 1))


def plot(layers: Sequence[LayerFlow], quantity: Quantity) -> Element:
    """The plot with its caption."""
    axes = _axes(layers, quantity)
    drawing = element(
        "svg",
        *_ground(axes, quantity),
        *_ends(axes, layers),
        *_predicted(axes, layers, quantity),
        *_measured(axes, layers, quantity),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=_summary(layers, quantity),
        class_="plot",
    )
    caption = element(
        "figcaption", element("strong", quantity.title), element("span", quantity.caption, class_="quiet")
    )
    return element("figure", caption, drawing)


def _axes(layers: Sequence[LayerFlow], quantity: Quantity) -> Axes:
    found = [v for layer in layers for v in (quantity.predicted(layer), quantity.measured(layer))]
    values = [0.0, *[value for value in found if value is not None]]
    low, high = min(values), max(values)
    least = quantity.limit if quantity.limit is not None and max(high, -low) < quantity.limit else 1.0
    return Axes(len(layers), min(low, -least) - 0.4, max(high, least) + 0.4)


def _ground(axes: Axes, quantity: Quantity) -> Iterator[Element]:
    right = WIDTH - RIGHT
    if quantity.limit is not None:
        yield from _risks(axes, quantity.limit)
    for tick in axes.ticks():
        y = axes.y(tick)
        yield element("line", x1=LEFT, x2=right, y1=y, y2=y, class_="zero" if tick == 0 else "grid")
        label = "1" if tick == 0 else "10" + str(tick).translate(_POWERS)
        yield element("text", label, x=LEFT - 7, y=y + 4, class_="tick", text_anchor="end")


def _risks(axes: Axes, limit: float) -> Iterator[Element]:
    """Where a gradient counts as lost or exploded."""
    for start, end in ((axes.high, limit), (-limit, axes.low)):
        top, bottom = axes.y(start), axes.y(end)
        if bottom > top:
            width = WIDTH - LEFT - RIGHT
            yield element("rect", x=LEFT, y=top, width=width, height=bottom - top, class_="risk")


def _ends(axes: Axes, layers: Sequence[LayerFlow]) -> Iterator[Element]:
    """The names of the first and the last layer, and which way the signal goes."""
    y, middle = HEIGHT - BOTTOM + 22, axes.x((axes.count - 1) / 2)
    first, last = _short(layers[0].module), _short(layers[-1].module)
    if len(layers) == 1:
        yield element("text", first, x=middle, y=y, class_="tick", text_anchor="middle")
        return
    yield element("text", first, x=LEFT, y=y, class_="tick")
    yield element("text", f"{axes.count} layers →", x=middle, y=y, class_="tick", text_anchor="middle")
    yield element("text", last, x=WIDTH - RIGHT, y=y, class_="tick", text_anchor="end")


def _short(name: str) -> str:
    """The end of a name says more than its beginning."""
    return name if len(name) <= _NAME // 2 + 4 else f"…{name[-_NAME // 2 :]}"


def _points(layers: Sequence[LayerFlow], value: Callable[[LayerFlow], float | None]) -> Iterator[list[int]]:
    """The numbers of layers with a value, in runs without a gap."""
    run: list[int] = []
    for index, layer in enumerate(layers):
        if value(layer) is not None:
            run.append(index)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _line(
    axes: Axes, layers: Sequence[LayerFlow], value: Callable[[LayerFlow], float | None], name: str
) -> Iterator[Element]:
    for run in _points(layers, value):
        places = [f"{axes.x(i):.1f},{axes.y(value(layers[i]) or 0.0):.1f}" for i in run]
        yield element("polyline", points=" ".join(places), class_=name)


def _predicted(axes: Axes, layers: Sequence[LayerFlow], quantity: Quantity) -> Iterator[Element]:
    yield from _line(axes, layers, quantity.predicted, "line predicted")
    yield from _marks(axes, layers, quantity, quantity.predicted, "ring", 5.5)


def _measured(axes: Axes, layers: Sequence[LayerFlow], quantity: Quantity) -> Iterator[Element]:
    yield from _line(axes, layers, quantity.measured, "line measured")
    yield from _marks(axes, layers, quantity, quantity.measured, "dot", 3.0)
    if quantity.marks_missing:
        for index, layer in enumerate(layers):
            if quantity.measured(layer) is None:
                yield _cross(axes, index, layer)


def _marks(
    axes: Axes,
    layers: Sequence[LayerFlow],
    quantity: Quantity,
    value: Callable[[LayerFlow], float | None],
    name: str,
    radius: float,
) -> Iterator[Element]:
    if len(layers) > CROWDED:
        return
    size = radius if len(layers) <= CROWDED // 2 else radius * 0.7
    for index, layer in enumerate(layers):
        height = value(layer)
        if height is not None:
            told = element("title", _told(layer, quantity))
            yield element("circle", told, cx=axes.x(index), cy=axes.y(height), r=size, class_=name)


def _cross(axes: Axes, index: int, layer: LayerFlow) -> Element:
    x, y = axes.x(index), HEIGHT - BOTTOM - 6
    told = element("title", f"{layer.module}: no gradient arrived that is neither zero nor infinite")
    path = f"M{x - 4:.1f} {y - 4}l8 8m0 -8l-8 8"
    return element("path", told, d=path, class_="cross")


def _told(layer: LayerFlow, quantity: Quantity) -> str:
    where = f", line {layer.line}" if layer.line else ""
    found = f"predicted {decades(quantity.predicted(layer))}, measured {decades(quantity.measured(layer))}"
    return f"{layer.module} ({layer.kind}{where}): {found} decades"


def _summary(layers: Sequence[LayerFlow], quantity: Quantity) -> str:
    first, last = decades(quantity.measured(layers[0])), decades(quantity.measured(layers[-1]))
    ends = f"{first} decades at the first and {last} at the last of {len(layers)} layers"
    return f"{quantity.title}: measured {ends}"


GRADIENT = Quantity(
    "Gradient",
    "at each layer’s output, relative to the last layer with weights",
    lambda layer: layer.predicted_gradient,
    lambda layer: layer.measured_gradient,
    limit=3.0,
    marks_missing=True,
)
SIGNAL = Quantity(
    "Signal",
    "root mean square of each layer’s output",
    lambda layer: layer.predicted_scale,
    lambda layer: layer.measured_scale,
)
