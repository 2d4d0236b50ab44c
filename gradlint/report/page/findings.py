"""The findings on the page: a table of all, and each with its code and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from xml.etree.ElementTree import Element

from msgspec import Struct

from gradlint.records.finding import Finding
from gradlint.report.excerpt import Excerpts
from gradlint.report.header import position
from gradlint.report.page.excerpts import excerpt
from gradlint.report.page.markup import Child, element, inline
from gradlint.report.page.verdicts import badge, conditions, measured, predicted, scale
from gradlint.report.prediction import prediction

_COLUMNS = ("Verdict", "Finding", "Where", "Predicted", "Measured")


class Entry(Struct, frozen=True):
    """A finding in a file, with the name that links to it."""

    anchor: str
    path: str
    finding: Finding

    @property
    def place(self) -> str:
        """Where it is, as editors read it."""
        return f"{self.path}:{position(self.finding.cell, self.finding.span)}"


def overview(entries: Sequence[Entry]) -> Element:
    """A row per finding."""
    head = element("tr", *[element("th", name) for name in _COLUMNS])
    return element(
        "table",
        element("thead", head),
        element("tbody", *map(_row, entries)),
        class_="overview",
    )


def _row(entry: Entry) -> Element:
    found = entry.finding
    link = element("a", found.rule, href=f"#{entry.anchor}")
    short = f"{entry.path.rpartition('/')[2]}:{found.span.line}"
    cells: tuple[tuple[Child, ...], ...] = (
        (badge(found),),
        (link, " ", *inline(found.message)),
        (element("code", short, title=entry.place),),
        (predicted(found),),
        (measured(found),),
    )
    named = zip(_COLUMNS, cells, strict=True)
    return element("tr", *[element("td", *cell, data_label=name) for name, cell in named])


def block(entry: Entry, excerpts: Excerpts, urls: Mapping[str, str]) -> Element:
    """All that is known about a finding."""
    found = entry.finding
    title = element("h3", badge(found), " ", element("code", found.rule), " ", *inline(found.message))
    code = excerpt(excerpts.lines(entry.path, found.cell), found.span)
    related = list(_related(entry, excerpts))
    return element(
        "article",
        title,
        element("p", entry.place, class_="place"),
        code,
        element("details", element("summary", _count(related)), *related) if related else None,
        _numbers(found),
        _advice(found, urls.get(found.rule, "")),
        class_="card",
        id=entry.anchor,
    )


def _count(related: Sequence[Element]) -> str:
    return "1 place that explains it" if len(related) == 1 else f"{len(related)} places that explain it"


def _related(entry: Entry, excerpts: Excerpts) -> Iterator[Element]:
    for related in entry.finding.related:
        path = related.path or entry.path
        note = f"{path}:{position(related.cell, related.span)}: {related.message}"
        code = excerpt(excerpts.lines(path, related.cell), related.span, note)
        yield code if code is not None else element("p", note, class_="note")


def _numbers(found: Finding) -> Element | None:
    rows = [row for title, *told in _facts(found) if (row := _fact(title, told))]
    drawing = scale(found)
    if not rows:
        return None
    return element("div", element("dl", *[part for row in rows for part in row]), drawing, class_="numbers")


def _facts(found: Finding) -> Iterator[tuple[str, str] | tuple[str, str, str]]:
    if found.claim is not None:
        yield "Predicted", prediction(found.claim)
    evidence = found.evidence
    if evidence is None:
        return
    if evidence.measured is not None:
        yield "Measured", measured(found), conditions(evidence)
    yield "Built", evidence.built
    yield "Why there is no number", evidence.reason
    yield "To supply it", evidence.remedy


def _fact(title: str, told: Sequence[str]) -> tuple[Element, Element] | None:
    if not told[0]:
        return None
    more = element("span", f" ({told[1]})", class_="quiet") if len(told) > 1 else None
    return element("dt", title), element("dd", *inline(told[0]), more)


def _advice(found: Finding, url: str) -> Element | None:
    lines = [found.help] if found.help else []
    lines += [f"Fix: {found.fix.title} ({found.fix.applicability.value})"] if found.fix else []
    link = element("a", f"About {found.rule} {found.name}", href=url, rel="noreferrer") if url else None
    if not lines and link is None:
        return None
    told = [element("p", *inline(line)) for line in lines]
    more = element("p", link) if link is not None else None
    return element("div", element("h4", "What to do"), *told, more, class_="advice")
