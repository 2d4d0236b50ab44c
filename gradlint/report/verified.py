"""Targets that were built and run: as a table with predicted beside measured, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import msgspec

from gradlint.records.evidence import LayerFlow, Measured, Verification
from gradlint.records.finding import Finding
from gradlint.report.encode import number
from gradlint.report.graph import HALF
from gradlint.report.header import position
from gradlint.report.terminal import SEVERITY_STYLE, Paint, Style, one_line
from gradlint.report.verdict import with_verdict

_HEAD = ("line", "layer", "kind", "scale", "measured", "gradient", "measured", "")
_PHRASES = {"depth-gain": "decades of gradient", "activation-scale": "decades of signal"}


def text(
    found: Verification, findings: Sequence[Finding] = (), *, bars: bool = True, color: bool = False
) -> str:
    """How the target was built, its flow, the findings about it, and the verdict."""
    paint = Paint(color)
    if found.verdict == "skipped":
        return one_line(f"{title(found)}: skipped: {found.reason}") + "\n"
    last = [*map(one_line, conclusion(found))]
    is_run = found.verdict != "could not run"
    verdict = len(last) - 1 if is_run else 0
    last[verdict] = paint(last[verdict], _STYLES.get(found.verdict, Style.WARNING))
    parts = [
        [paint(one_line(title(found)), Style.BOLD)],
        [one_line(f"  {line}") for line in _assumed(found)],
        [one_line(line) for line in table(found.layers, bars=bars)] if found.layers else [],
        [_about(finding, paint) for finding in findings],
        last,
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


_STYLES = {"healthy": Style.GOOD, "could not run": Style.ERROR}


def _about(finding: Finding, paint: Paint) -> str:
    place = position(finding.cell, finding.span)
    rule = paint(finding.rule, SEVERITY_STYLE[finding.severity])
    return f"{place}: {rule} {one_line(with_verdict(finding.message, finding))}"


def title(found: Verification) -> str:
    """The target with its arguments, and where it stands."""
    given = ", ".join(f"{name}={value}" for name, value, _ in found.arguments)
    line = f":{found.line}" if found.line else ""
    return f"{found.name}({given})  {found.path}{line}"


def _assumed(found: Verification) -> Iterator[str]:
    for name, value, origin in found.arguments:
        yield f"argument {name}={value} ({origin})"
    for name, value, origin in found.inputs:
        yield f"input {name}={value} ({origin})"
    yield from found.notes
    if found.device:
        yield f"{found.trained:,} trained parameters, {found.device} {found.dtype}"


def table(layers: Sequence[LayerFlow], *, bars: bool) -> Iterator[str]:
    """A line per layer: predicted and measured decades, and a bar of the measured gradient."""
    body = [_cells(layer, bars) for layer in layers]
    widths = [max(len(row[i]) for row in (_HEAD, *body)) for i in range(len(_HEAD))]
    for row in (_HEAD, *body):
        cells = [
            cell.ljust(width) if position in (1, 2, 7) else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _cells(layer: LayerFlow, bars: bool) -> tuple[str, ...]:
    numbers = (layer.predicted_scale, layer.measured_scale, layer.predicted_gradient, layer.measured_gradient)
    line = str(layer.line) if layer.line else ""
    return (
        line,
        layer.module,
        layer.kind,
        *map(decades, numbers),
        bar(layer.measured_gradient) if bars else "",
    )


def decades(value: float | None) -> str:
    """A number of decades with its sign; `-` for none."""
    if value is None:
        return "-"
    rounded = f"{value:+.1f}"
    return "0.0" if rounded in ("+0.0", "-0.0") else rounded


def bar(value: float | None) -> str:
    """A cell per decade, to the left what vanishes, to the right what explodes."""
    if value is None:
        return " " * HALF + "│"
    filled = "█" * min(round(abs(value)), HALF)
    return filled.rjust(HALF) + "│" if value < 0 else " " * HALF + "│" + filled


def conclusion(found: Verification) -> Iterator[str]:
    """The verdict with its numbers, or why there is none."""
    if found.verdict == "could not run":
        yield f"could not run: {found.reason}"
        if found.remedy:
            yield f"to supply it: {found.remedy}"
        return
    if found.verdict == "not judged":
        yield f"no decades over depth: {found.reason}"
    elif found.reason:
        yield found.reason
    elif not found.measured and found.parameters:
        yield "fewer than two layers with weights before the head: no chain to judge"
    for each in found.measured:
        if each.measured is not None or not found.non_finite:
            yield _sentence(each)
    for name in found.non_finite:
        yield f"the gradient of {name} is not finite"
    if found.unused:
        more = f" and {len(found.unused) - 3} more" if len(found.unused) > 3 else ""
        yield f"no gradient arrives at {', '.join(found.unused[:3])}{more}"
    yield found.verdict


def _sentence(each: Measured) -> str:
    where = f" over {each.subject.replace('->', ' → ')}" if each.subject else ""
    predicted = f", predicted {decades(each.predicted)}" if each.predicted is not None else ""
    phrase = _PHRASES.get(each.metric, each.metric)
    if each.measured is None:
        return f"no {phrase.rpartition(' ')[2]}{where}{predicted} (limit ±{each.limit:g})"
    return f"{decades(each.measured)} {phrase}{where}{predicted} (limit ±{each.limit:g})"


def item(found: Verification) -> dict[str, object]:
    """A target as JSON has it; numbers that JSON lacks are given by name."""
    entry: dict[str, object] = msgspec.to_builtins(found)
    for key in ("arguments", "inputs"):
        entry[key] = [
            {"name": name, "value": value, "origin": origin} for name, value, origin in getattr(found, key)
        ]
    entry["measured"] = [
        {**msgspec.to_builtins(each), "measured": None if each.measured is None else number(each.measured)}
        for each in found.measured
    ]
    return entry


def as_json(found: Verification, findings: Sequence[dict[str, object]]) -> str:
    """One object: the target, and the findings about it."""
    return json.dumps(item(found) | {"findings": list(findings)}, indent=2, ensure_ascii=False)
