"""Every mark `# expect: GRDnnn` in the fixtures is found, and nothing that is not marked."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

import gradlint
from gradlint.records.span import Span

FOLDER = Path(__file__).parent.parent / "fixtures"
FILES = sorted(
    path for path in FOLDER.rglob("*") if path.suffix in (".py", ".ipynb") and "golden" not in path.parts
)
MARK = re.compile(r"#\s*expect:\s*(GRD\d{3}(?:,\s*GRD\d{3})*)")


def expected(path: Path) -> list[tuple[int | None, int, str]]:
    if path.suffix == ".py":
        texts = [(None, path.read_text(encoding="utf-8"))]
    else:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = [(number, "".join(cell["source"])) for number, cell in enumerate(cells, 1)]  # type: ignore[misc]
    return sorted(
        (cell, line, code)
        for cell, text in texts
        for line, row in enumerate(text.split("\n"), 1)
        for mark in MARK.findall(row)
        for code in re.split(r",\s*", mark)
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_findings_are_the_marks(path: Path) -> None:
    found = gradlint.check([str(path)], isolated=True)
    assert sorted((finding.cell, finding.span.line, finding.rule) for finding in found) == expected(path)


TWINS = sorted((FOLDER / "projects").glob("*_clean"))


@pytest.mark.parametrize("project", TWINS, ids=lambda path: path.name)
def test_a_project_that_is_written_well_is_clean(project: Path) -> None:
    """Nothing at all is found in it, by no rule that exists, and something is in its twin."""
    assert not gradlint.check([str(project)], isolated=True, preview=True, select=["ALL"], jobs=1)
    twin = project.with_name(project.name.removesuffix("_clean"))
    assert any(expected(path) for path in FILES if twin in path.parents)


def covered(path: Path, cell: int | None, span: Span) -> str:
    """The text of a place."""
    text = path.read_text(encoding="utf-8")
    if cell is not None:
        text = "".join(json.loads(text)["cells"][cell - 1]["source"])
    rows = text.split("\n")[span.line - 1 : span.end_line]
    rows[-1] = rows[-1][: span.end_column - 1]
    return "\n".join(rows)[span.column - 1 :]


def test_what_lies_beside_findings_is_code() -> None:
    """The places beside findings, in whatever file, are whole expressions or statements."""
    found = gradlint.check([str(FOLDER / "projects")], isolated=True, preview=True, jobs=1)
    places = [(finding, place) for finding in found for place in finding.related]
    elsewhere = [place for finding, place in places if place.path not in ("", finding.path)]
    assert elsewhere and all(
        (place.cell is None) == (not place.path.endswith("ipynb")) for place in elsewhere
    )
    for finding, place in places:
        code = covered(Path(place.path or finding.path), place.cell, place.span)
        ast.parse(f"{code} pass" if code.endswith(":") else code)


def test_a_finding_that_several_files_lead_to_is_reported_once(tmp_path: Path) -> None:
    """At its line, or by the file next to it that is checked; one that names no framework is not."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "__init__.py").touch()
    (tmp_path / "grads.py").write_text(
        "from torch import nn\n\ndef shorten(net):\n    nn.utils.clip_grad_norm_(net.parameters(), 1.0)\n"
    )
    engine = (
        "from grads import shorten\n\ndef epoch(model, optimizer, scaler, loader, loss):\n"
        "    for x, y in loader:\n        optimizer.zero_grad()\n"
        "        scaler.scale(loss(model(x), y)).backward()\n        shorten(model)\n"
        "        scaler.step(optimizer)\n        scaler.update()\n"
    )
    (app / "main.py").write_text(
        "import torch\nfrom app.engine import epoch\n\nmodel = torch.nn.Linear(8, 2)\n"
        "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
        'epoch(model, optimizer, torch.amp.GradScaler("cuda"), load(), torch.nn.CrossEntropyLoss())\n'
    )
    for text, reporting in ((engine, "main.py"), (f"import torch\n{engine}", "engine.py")):
        (app / "engine.py").write_text(text)
        for checked, name in ((app, reporting), (tmp_path, "grads.py")):
            found = gradlint.check([str(checked)], isolated=True, jobs=1)
            assert [(finding.rule, Path(finding.path).name) for finding in found] == [("GRD403", name)]


_TRAINER = """\
import torch


def fit(loader, model, optimizer, schedule, epochs):
    for epoch in range(epochs):
        schedule.step()
        for x, y in loader:
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
"""
_RUN = """\
import torch
from trainer import fit

for width in (8, 16):
    model = torch.nn.Linear(width, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 8)
    fit(load(), model, optimizer, schedule, 20)
    fit(load(), model, optimizer, schedule, 30)
"""


@pytest.mark.parametrize(
    ("trainer", "checked", "place"),
    [
        pytest.param(_TRAINER, ["first.py", "second.py", "trainer.py"], ("trainer.py", 6), id="at its line"),
        pytest.param(_TRAINER, ["first.py", "second.py"], ("first.py", 8), id="at one call"),
        pytest.param(
            _TRAINER.replace("schedule.step()", "schedule.step()  # gradlint: ignore[GRD511]"),
            ["first.py", "trainer.py"],
            None,
            id="allowed there",
        ),
    ],
)
def test_a_fault_that_calls_in_other_files_lead_to_is_found_at_its_line(
    tmp_path: Path, trainer: str, checked: list[str], place: tuple[str, int] | None
) -> None:
    """Once, whichever files lead there; the first call is named, or reported where its file alone is read."""
    for name, text in (("trainer.py", trainer), ("first.py", _RUN), ("second.py", _RUN)):
        (tmp_path / name).write_text(text)
    found = gradlint.check([str(tmp_path / name) for name in checked], isolated=True, jobs=1)
    places = [(finding.rule, Path(finding.path).name, finding.span.line) for finding in found]
    assert places == ([("GRD511", *place)] if place else [])
    calls = [each for finding in found for each in finding.related if each.message == "called here"]
    assert [Path(each.path).name for each in calls] == (["first.py"] if place == ("trainer.py", 6) else [])


def test_there_is_a_fixture_for_every_rule() -> None:
    from gradlint.rule.registry import load

    marked = {code for path in FILES for _, _, code in expected(path)}
    missing = {rule.id for rule in load() if not rule.preview} - marked - {"GRD001"}
    assert not missing


ABOUT_TRAINING = re.compile(r"GRD(105|301|304|40[1-8]|5\d\d|806)")
ADDRESS = re.compile(r"https://(?!docs\.)[^\s,]+[^\s,.]")


def test_three_reports_of_every_defect_in_training_are_re_created() -> None:
    """Fixtures that bear a rule's name are flagged by it, and name the threads that report the defect."""
    from gradlint.rule.registry import load

    for rule in load():
        if ABOUT_TRAINING.fullmatch(rule.id):
            paths = [path for path in FILES if path.parent.name == rule.name and path.suffix == ".py"]
            marked = {path: [code for *_, code in expected(path) if code == rule.id] for path in paths}
            docs = [ast.get_docstring(ast.parse(path.read_text("utf-8"))) for path in paths if marked[path]]
            reports = {address for doc in docs for address in ADDRESS.findall(doc or "")}
            assert min(len(reports), sum(map(len, marked.values()))) >= 3, (rule.id, reports)
