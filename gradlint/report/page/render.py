"""The whole page, of models that ran and of findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.resources import files
from xml.etree.ElementTree import Element

from gradlint.lint.result import LintResult
from gradlint.records.evidence import Verdict, Verification
from gradlint.records.version import VERSION
from gradlint.report.excerpt import Excerpts
from gradlint.report.page.findings import Entry, block, overview
from gradlint.report.page.markup import document, element
from gradlint.report.page.models import model
from gradlint.report.page.verdicts import rank
from gradlint.report.summary import count

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing is loaded and nothing is run, whatever the code that is quoted may hold."""


def page(models: Sequence[Verification], result: LintResult) -> str:
    """One HTML document without anything outside of it."""
    entries = _entries(result)
    body = [_top(models, entries)]
    if entries:
        body += [element("h2", "Findings"), overview(entries)]
    if models:
        body += [element("h2", "Models"), *[model(found, list(_about(found, entries))) for found in models]]
    if entries:
        excerpts = Excerpts(result.source)
        urls = {rule.id: rule.url() for rule in result.rules}
        body += [element("h2", "Each finding"), *[block(entry, excerpts, urls) for entry in entries]]
    return document(element("html", _head(), element("body", element("main", *body)), lang="en"))


def _head() -> Element:
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="color-scheme", content="light dark"),
        element("title", "gradlint: gradient report"),
        element("link", rel="icon", href="data:,"),
        element("style", style),
    )


def _entries(result: LintResult) -> list[Entry]:
    found = [(report.path, finding) for report in result.reports for finding in report.findings]
    found.sort(key=lambda each: rank(each[1]))
    return [Entry(f"f{number}", *each) for number, each in enumerate(found, 1)]


def _top(models: Sequence[Verification], entries: Sequence[Entry]) -> Element:
    return element(
        "header",
        element("p", f"gradlint {VERSION}", class_="quiet"),
        element("h1", "Gradient report"),
        element("p", f"{_counts(models, entries)}."),
        _unmeasured(entries),
    )


def _counts(models: Sequence[Verification], entries: Sequence[Entry]) -> str:
    verdicts = Counter(e.finding.evidence.verdict for e in entries if e.finding.evidence is not None)
    parts = [f"{verdicts[verdict]} {verdict.value}" for verdict in Verdict if verdicts[verdict]]
    total = count(len(entries), "finding") if entries else "No findings"
    total += f" in {count(len({e.path for e in entries}), 'file')}" if entries else ""
    total += f": {', '.join(parts)}" if parts else ""
    states = Counter(found.verdict for found in models if found.verdict)
    told = [f"{states[state]} {state}" for state in states]
    return total + (f"; {count(len(models), 'model')} run: {', '.join(told)}" if told else "")


def _unmeasured(entries: Sequence[Entry]) -> Element | None:
    if not entries or any(entry.finding.evidence is not None for entry in entries):
        return None
    return element("p", "Nothing was run; --verify measures what is predicted here.", class_="quiet")


def _about(found: Verification, entries: Sequence[Entry]) -> Iterator[Element]:
    """Links to the findings whose claims are about a model."""
    for entry in entries:
        claim = entry.finding.claim
        if claim is not None and entry.path == found.path:
            name = claim.subject.partition(":")[0]
            if name == found.name or name.startswith(f"{found.name}."):
                yield element(
                    "a", f"{entry.finding.rule} line {entry.finding.span.line}", href=f"#{entry.anchor}"
                )
