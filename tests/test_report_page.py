"""The page for a browser: what a person would see of it, in Chromium."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from gradlint.lint.result import FileReport, LintResult
from gradlint.records.evidence import Evidence, LayerFlow, Measured, Verdict, Verification
from gradlint.records.finding import Claim, Finding, Metric, Related, Severity
from gradlint.records.span import Span
from gradlint.report.page.render import page
from gradlint.source.source import Source

CHROMIUM = shutil.which("chromium")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1200,900",
    "--virtual-time-budget=2000",
    "--enable-logging=stderr",
)
PROBE = Path(__file__).parent / "data" / "report_probe.js"
HOSTILE = "<script>document.body.remove()</script><img src=x onerror=alert(1)>&amp;\x07\ud800"
CODE = ["import torch", "", f"text = '{HOSTILE}'", "def f(x):", f"    return torch.sqrt(x){' + 0' * 60}", ""]


def layer(number: int, gradient: float | None, *, is_predicted: bool = True) -> LayerFlow:
    known = -0.5 * (19 - number) if is_predicted else None
    name = f"encoder.with_a_rather_long_name.layers.{number}"
    return LayerFlow(name, "Linear", number + 5, -0.1 * number, -0.1 * number, known, gradient)


LAYERS = tuple([layer(n, None if n == 3 else -0.5 * (19 - n) + 0.1, is_predicted=n != 7) for n in range(20)])
MODELS = (
    Verification(
        "Net",
        "a/model.py",
        5,
        "at risk",
        arguments=(("width", "64", "guessed"),),
        inputs=(("x", "float32[64,64]", "inferred"),),
        device="cpu",
        dtype="float32",
        measured=(Measured("depth-gain", "a->b", -9.5, -9.4, 3.0),),
        layers=LAYERS,
        printed=HOSTILE,
    ),
    Verification("Deep", "a/model.py", 9, "healthy", layers=LAYERS * 10),
    Verification("Small", "a/model.py", 9, "healthy", layers=LAYERS[-1:]),
    Verification("Absent", "a/model.py", 12, "could not run", reason="importing: no file", remedy="x = 1"),
)


def finding(
    verdict: Verdict | None, value: float | None = None, metric: Metric = Metric.DEPTH_GAIN
) -> Finding:
    claim = Claim(metric, "Net:a->b", -3.0, -9.5, "zeros")
    evidence = Evidence(verdict, value, 0.04, 3, "cpu", "float32", "Net(width=64)") if verdict else None
    return Finding(
        "GRD102",
        "vanishing-depth",
        Severity.WARNING,
        f"the gradient of `f` is lost {HOSTILE}",
        Span(5, 12, 5, 25),
        help="use `nn.ReLU`",
        path="a/model.py",
        related=(Related(Span(1, 1, 1, 13), "imported here"), Related(Span(90, 1, 90, 2), "nowhere")),
        claim=claim,
        evidence=evidence,
    )


FINDINGS = (
    finding(Verdict.REFUTED, -0.2),
    finding(Verdict.CONFIRMED, -9.4),
    finding(Verdict.CONFIRMED, float("-inf")),
    finding(Verdict.INCONCLUSIVE, -2.5),
    finding(Verdict.NOT_EXERCISED),
    finding(Verdict.COULD_NOT_RUN),
    finding(None),
)


def rendered() -> str:
    source = Source("a/model.py", "\n".join(CODE))
    return page(MODELS, LintResult((FileReport("a/model.py", FINDINGS),), (), lambda _: source))


class Tags(HTMLParser):
    """The tags of a document with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


def test_the_page_stands_alone_and_shows_code_as_text() -> None:
    text = rendered()
    tags = Tags()
    tags.feed(text)
    assert not {"script", "img", "iframe", "object", "base"} & {tag for tag, _ in tags.found}
    given = [pair for _, attributes in tags.found for pair in attributes]
    assert not [name for name, _ in given if name.startswith("on") or name in ("src", "srcset", "style")]
    assert all(str(value).startswith(("#", "data:,")) for name, value in given if name == "href")
    assert not re.search(r"@import|url\(", text)
    assert "&lt;script&gt;" in text and "\x07" not in text
    text.encode("utf-8")
    assert text.index("confirmed") < text.index("refuted")
    assert "No findings" in page((), LintResult((), (), lambda path: Source(path, "")))


def seen(width: int, *, is_dark: bool) -> dict[str, Any]:
    """What the probe sees of the page in a window of this width; the page's own messages fail the test."""
    assert CHROMIUM is not None
    frame = f'<iframe style="width:{width}px;height:800px;border:0" srcdoc="{escape(rendered())}"></iframe>'
    probe = PROBE.read_text(encoding="utf-8")
    scheme = f"--blink-settings=preferredColorScheme={0 if is_dark else 1}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        harness = Path(folder) / "harness.html"
        harness.write_text(f"<meta charset=utf-8><body>{frame}<script>{probe}</script>", encoding="utf-8")
        words = [CHROMIUM, *QUIET, scheme, f"--user-data-dir={folder}/user", "--dump-dom", harness.as_uri()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r'id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(
        found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    )
    return result


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(("width", "is_dark"), [(390, True), (1100, False)])
def test_a_person_sees_plots_and_text(width: int, is_dark: bool) -> None:
    found = seen(width, is_dark=is_dark)
    assert found["overflow"] == 0, found["wide"]
    assert found["dark"] is is_dark
    assert found["height"] > 2500
    assert found["unreadable"] == []
    plots = found["plots"]
    assert len(plots) == 6
    assert all(300 < plot["width"] <= width and plot["height"] > 140 for plot in plots)
    assert [plot["dots"] for plot in plots] == [19, 20, 0, 0, 1, 1]
    assert [plot["rings"] for plot in plots] == [19, 20, 0, 0, 1, 1]
    assert [plot["crosses"] for plot in plots] == [1, 0, 10, 0, 0, 0]
    assert [plot["clipped"] + plot["overlapping"] for plot in plots] == [[]] * len(plots)
    assert found["marked"] == ["torch.sqrt(x)"] * len(FINDINGS)
