"""Write what the documentation takes from the rules and from real runs.

A page for each rule, their index, the schema of the settings, and in the README a run and a table.

`python docs/generate.py` writes the files; with `--check` it only tells which of them are out of date.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from gradlint.cli.rule import page
from gradlint.config.schema import render as render_schema
from gradlint.rule.registry import load
from gradlint.rule.rule import Rule

FOLDER = Path(__file__).parent / "rules"
ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SHOWN = (
    "fixtures/saturating-activation-chain/autoencoder.py",
    "fixtures/infinite-gradient-at-zero/contrastive_loss.py",
)
SCHEMA = Path(__file__).parent / "gradlint.schema.json"
FAMILIES = {
    "0": "About gradlint itself",
    "1": "Saturation and depth",
    "2": "Initialisation",
    "3": "Recurrence",
    "4": "Precision",
    "5": "The training step",
    "6": "Gradients that are not finite",
    "7": "Broken gradient path",
    "8": "Output and loss",
    "9": "Networks written by hand",
}


def index(rules: tuple[type[Rule], ...]) -> Iterator[str]:
    """The index of all rules, by family."""
    yield "# Rules\n"
    for family, title in FAMILIES.items():
        members = [rule for rule in rules if rule.id[3] == family]
        if members:
            yield f"## {title}\n"
            yield "| Code | Name | Severity | Fix | What it finds |"
            yield "|---|---|---|---|---|"
            yield from (row(rule) for rule in members)
            yield ""


def row(rule: type[Rule]) -> str:
    """One rule's line in the index."""
    severity = rule.severity.value + (" (preview)" if rule.preview else "")
    fix = "yes" if rule.fixed else ""
    return f"| {rule.id} | [{rule.name}]({rule.name}.md) | {severity} | {fix} | {rule.summary()} |"


def run() -> str:
    """What `gradlint check` prints for two of the examples."""
    options = ("--isolated", "--no-cache", "--color", "never", "--output-format", "full")
    command = [sys.executable, "-m", "gradlint", "check", *SHOWN, *options]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return f"```console\n$ gradlint check {' '.join(SHOWN)}\n{printed}```"


def overview(rules: tuple[type[Rule], ...]) -> str:
    """The table of all rules in the README."""
    rows = [
        f"| [{rule.id}](docs/rules/{rule.name}.md) | {rule.name} | {rule.severity.value} | {rule.summary()} |"
        for rule in rules
    ]
    return "\n".join(["| Code | Name | Severity | What it finds |", "|---|---|---|---|", *rows])


def readme(rules: tuple[type[Rule], ...]) -> str:
    """The README with its generated parts renewed."""
    text = README.read_text(encoding="utf-8")
    for mark, content in (("output", run()), ("rules", overview(rules))):
        marked = f"<!-- {mark} -->\n{content}\n<!-- /{mark} -->"
        text = re.sub(f"<!-- {mark} -->.*?<!-- /{mark} -->", lambda _, new=marked: new, text, flags=re.DOTALL)
    return text


def generated() -> dict[Path, str]:
    """Every generated file with its contents."""
    rules = load()
    files = {FOLDER / f"{rule.name}.md": page(rule).rstrip() + "\n" for rule in rules}
    files[SCHEMA] = render_schema(rules)
    files[README] = readme(rules)
    files[FOLDER / "README.md"] = "\n".join(index(rules)).rstrip() + "\n"
    return files


def outdated() -> list[Path]:
    """The generated files that differ from what the rules say, and pages of rules that are gone."""
    files = generated()
    stale = [path for path in FOLDER.glob("*.md") if path not in files]
    return stale + [
        path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main() -> None:
    """Write or check."""
    paths = outdated()
    if "--check" in sys.argv:
        sys.exit("\n".join(["out of date:", *map(str, paths)]) if paths else 0)
    files = generated()
    for path in paths:
        if path in files:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
        else:
            path.unlink()
        print(path)


if __name__ == "__main__":
    main()
