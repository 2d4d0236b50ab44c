"""Model graphs as a table, as JSON and in the language of Graphviz."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from msgspec import Struct

from gradlint.flow.chain import Chain, longest_chain
from gradlint.flow.propagate import GradientFlow
from gradlint.mathematics.interval import Interval
from gradlint.records.graph import Node, Setting
from gradlint.report.terminal import Paint, Style

_SILENT = frozenset({"reshape", "identity", "select", "constant", "parameter"})
_SHOWN = (
    "in_features",
    "out_features",
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "hidden_size",
    "p",
)
_FAR = 30.0
"""Decades beyond which both ends of an interval say no more than that nothing is known."""

HALF = 10
"""Decades on either side of the axis of a bar."""


class Row(Struct, frozen=True):
    """One operation as reports show it; scale and gradient in decades."""

    line: int
    layer: str
    op: str
    settings: str
    scale: Interval
    gradient: Interval


def rows(flow: GradientFlow) -> Iterator[Row]:
    """The operations that do something to the signal, from input to output."""
    for node in flow.graph.nodes:
        if node.op not in _SILENT:
            scale = flow.moments[node.number].second.sqrt.decades
            place = (
                node.made if node.made is not None and node.made.path == flow.graph.place.path else node.place
            )
            line = place.span.line if place is not None else 0
            yield Row(line, node.module, node.op, _settings(node), scale, flow.gradient[node.number])


def _settings(node: Node) -> str:
    if node.op == "unknown":
        return str(node.settings.get("reason", ""))
    shown = [(name, node.settings[name]) for name in _SHOWN if node.settings.get(name) not in (None, 1, 0.0)]
    scheme = {p.initial.scheme for name, p in node.parameters.items() if name.startswith("weight")} - {
        "default"
    }
    drawn = ["weights not known" if name == "unknown" else name for name in sorted(scheme)]
    return ", ".join([*[f"{name}={_plain(value)}" for name, value in shown], *drawn])


def _plain(value: Setting) -> str:
    if isinstance(value, tuple) and len(set(value)) == 1:
        return str(value[0])
    return f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "")


def text(flow: GradientFlow, *, color: bool = False) -> str:
    """A table: per operation the predicted scale of the signal, and the gradient with a bar."""
    found = list(rows(flow))
    head = ("line", "layer", "op", "settings", "scale", "gradient", "")
    body = [
        (str(r.line), r.layer, r.op, r.settings, decades(r.scale), decades(r.gradient), bar(r.gradient))
        for r in found
    ]
    widths = [max(len(row[i]) for row in (head, *body)) for i in range(len(head))]
    paint = Paint(color)
    first, *lines = [_line(row, widths) for row in (head, *body)]
    above = [paint(title(flow), Style.BOLD), "", paint(first, Style.DIM)]
    return "\n".join([*above, *lines, "", *conclusion(flow), ""])


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [
        cell.rjust(width) if position in (0, 4, 5) else cell.ljust(width)
        for position, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def title(flow: GradientFlow) -> str:
    """The model, where it stands and with which arguments it was constructed."""
    graph = flow.graph
    given = ", ".join(f"{name}={value}" for name, value in graph.arguments.items())
    return f"{graph.name}({given})  {graph.place.path}:{graph.place.span.line}"


def conclusion(flow: GradientFlow) -> Iterator[str]:
    """What becomes of the gradient in all, and what was not understood."""
    chain = longest_chain(flow)
    if chain is None:
        yield "fewer than two layers with weights before the head: no chain to judge"
    else:
        yield f"{decades(chain.decades)} decades{_error(chain)} from {_name(flow, chain.first)} to " + (
            f"{_name(flow, chain.last)}, {chain.layers} layers with weights, the head left out"
        )
    for place in flow.graph.uncounted:
        yield f"line {place.span.line} iterates how often is not known: that counts as once"
    for reason, count in sorted(flow.graph.reasons.items(), key=lambda item: -item[1]):
        yield f"not understood: {reason}" + (f" ({count} times)" if count > 1 else "")


def _error(chain: Chain) -> str:
    return f" ± {chain.deviation:.2f}" if chain.decades.is_finite else ""


def _name(flow: GradientFlow, number: int) -> str:
    node = flow.graph.nodes[number]
    return node.module or node.op


def decades(found: Interval) -> str:
    """A number of decades as people read it: one where it is certain, the ends where it is not.

    `-` where there is nothing at all, `?` where nothing is known.
    """
    if found.lo < -_FAR < _FAR < found.hi:
        return "?"
    if not math.isfinite(found.lo) and not math.isfinite(found.hi):
        return "-" if found.lo == found.hi else "?"
    if not math.isfinite(found.lo):
        return f"≤ {_signed(found.hi)}"
    if not math.isfinite(found.hi):
        return f"≥ {_signed(found.lo)}"
    if found.hi - found.lo < 0.15:
        return _signed(found.centre)
    return f"{_signed(found.lo)} … {_signed(found.hi)}"


def _signed(value: float) -> str:
    rounded = f"{value:+.1f}"
    return "0.0" if rounded in ("+0.0", "-0.0") else rounded


def bar(found: Interval) -> str:
    """A bar from the axis: to the left what vanishes, to the right what explodes, a cell per decade."""
    if not found.is_finite:
        return " " * HALF + "│"
    length = min(round(abs(found.centre)), HALF)
    filled = "█" * length
    return filled.rjust(HALF) + "│" if found.centre < 0 else " " * HALF + "│" + filled


def as_json(flows: list[GradientFlow]) -> str:
    """The graphs with everything that is predicted, as one array."""
    return json.dumps([_described(flow) for flow in flows], indent=2, ensure_ascii=False)


def _described(flow: GradientFlow) -> dict[str, object]:
    graph, chain = flow.graph, longest_chain(flow)
    return {
        "name": graph.name,
        "filename": graph.place.path,
        "line": graph.place.span.line,
        "arguments": graph.arguments,
        "chain": None
        if chain is None
        else {
            "first": chain.first,
            "last": chain.last,
            "layers": chain.layers,
            "decades": _ends(chain.decades),
            "deviation": chain.deviation,
            "certain": chain.is_certain,
        },
        "nodes": [_node(flow, node) for node in graph.nodes],
        "outputs": list(graph.outputs),
        "not_understood": graph.reasons,
    }


def _node(flow: GradientFlow, node: Node) -> dict[str, object]:
    return {
        "number": node.number,
        "op": node.op,
        "inputs": list(node.inputs),
        "module": node.module,
        "filename": node.place.path if node.place else None,
        "line": node.place.span.line if node.place else None,
        "constructed_line": node.made.span.line if node.made else None,
        "settings": node.settings,
        "parameters": {
            name: {
                "path": p.path,
                "shape": p.shape,
                "initial": p.initial.scheme,
                "arguments": p.initial.settings,
            }
            for name, p in node.parameters.items()
        },
        "activation_decades": _ends(flow.moments[node.number].second.sqrt.decades),
        "gradient_decades": _ends(flow.gradient[node.number]),
    }


def _ends(found: Interval) -> list[float | None]:
    """Both ends; None for one that is not known."""
    return [end if math.isfinite(end) else None for end in (found.lo, found.hi)]


def dot(flow: GradientFlow) -> str:
    """The graph for Graphviz, coloured by gradient: blue vanishes, red explodes."""
    lines = [
        f"digraph {json.dumps(flow.graph.name)} {{",
        '  node [shape=box, style=filled, fontname="sans-serif"];',
    ]
    for node in flow.graph.nodes:
        label = "\\n".join(filter(None, (node.module, node.op, decades(flow.gradient[node.number]))))
        colour = json.dumps(colour_of(flow.gradient[node.number]))
        lines.append(f'  {node.number} [label="{label}", fillcolor={colour}];')
        lines += [f"  {source} -> {node.number};" for source in node.inputs]
    return "\n".join([*lines, "}"])


def colour_of(found: Interval) -> str:
    """White at 0 decades; full colour at six."""
    if not found.is_finite:
        return "#dddddd"
    strength = min(abs(found.centre) / 6, 1.0)
    pale = round(255 * (1 - strength))
    return f"#{pale:02x}{pale:02x}ff" if found.centre < 0 else f"#ff{pale:02x}{pale:02x}"
