"""A model on the page: how it was built, its plots, and a table of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from gradlint.records.evidence import LayerFlow, Verification
from gradlint.report.page.markup import element, inline
from gradlint.report.page.plot import GRADIENT, SIGNAL, plot
from gradlint.report.page.verdicts import state
from gradlint.report.summary import count
from gradlint.report.verified import conclusion, decades

_HEAD = ("line", "layer", "kind", "predicted", "measured", "predicted", "measured")
_OPEN = 16
"""So many layers are shown without being asked for."""


def model(found: Verification, about: Sequence[Element]) -> Element:
    """The section of a model; `about` leads to the findings about it."""
    given = ", ".join(f"{name}={value}" for name, value, _ in found.arguments)
    title = element("h3", element("code", f"{found.name}({given})"), " ", state(found.verdict))
    line = f":{found.line}" if found.line else ""
    links = element("p", "Findings: ", *_joined(about)) if about else None
    return element(
        "section",
        title,
        element("p", f"{found.path}{line}", class_="place"),
        _sentences(found),
        links,
        _plots(found.layers) if found.layers else None,
        _built(found),
        _layers(found.layers) if found.layers else None,
        _printed(found.printed),
        class_="card",
    )


def _joined(parts: Sequence[Element]) -> Iterator[Element | str]:
    for number, part in enumerate(parts):
        yield from (", ", part) if number else (part,)


def _sentences(found: Verification) -> Element | None:
    """The numbers of the verdict, which itself stands in the title."""
    lines = [line for line in conclusion(found) if line != found.verdict] if found.verdict else []
    return element("ul", *[element("li", *inline(line)) for line in lines], class_="plain") if lines else None


def _plots(layers: Sequence[LayerFlow]) -> Element:
    legend = element(
        "p",
        element("span", class_="key measured"),
        "measured ",
        element("span", class_="key predicted"),
        "predicted",
        class_="legend",
    )
    return element("div", legend, element("div", plot(layers, GRADIENT), plot(layers, SIGNAL), class_="pair"))


def _built(found: Verification) -> Element | None:
    entries = [("argument", *each) for each in found.arguments] + [("input", *each) for each in found.inputs]
    rows = [
        element("li", f"{kind} ", element("code", f"{name}={value}"), f" – {origin}")
        for kind, name, value, origin in entries
    ]
    rows += [element("li", *inline(note)) for note in found.notes]
    if found.device and found.dtype:
        counted = f"{found.trained:,} trained parameters, " if found.parameters else ""
        rows.append(element("li", f"{counted}{found.device} {found.dtype}"))
    return element("div", element("h4", "How it was built"), element("ul", *rows)) if rows else None


def _layers(layers: Sequence[LayerFlow]) -> Element:
    over = element(
        "tr",
        element("th", colspan="3"),
        element("th", "signal, decades", colspan="2"),
        element("th", "gradient, decades", colspan="2"),
    )
    head = element("tr", *[element("th", name, class_=_side(at)) for at, name in enumerate(_HEAD)])
    body = [_row(layer) for layer in layers]
    table = element("table", element("thead", over, head), element("tbody", *body), class_="layers")
    is_open = "open" if len(layers) <= _OPEN else None
    title = element("summary", count(len(layers), "layer"))
    return element("details", title, element("div", table, class_="wide"), open=is_open)


def _row(layer: LayerFlow) -> Element:
    numbers = (layer.predicted_scale, layer.measured_scale, layer.predicted_gradient, layer.measured_gradient)
    line = str(layer.line) if layer.line else ""
    cells = (line, layer.module, layer.kind, *[decades(value).replace("-", "−") for value in numbers])
    return element("tr", *[element("td", cell, class_=_side(at)) for at, cell in enumerate(cells)])


def _side(column: int) -> str | None:
    return None if column in (1, 2) else "number"


def _printed(text: str) -> Element | None:
    if not text.strip():
        return None
    return element("details", element("summary", "What it printed"), element("pre", text, class_="printed"))
