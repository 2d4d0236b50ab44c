"""What findings foretell against what the worker measures: all bad examples of the rules, all fixtures.

python benchmarks/claims.py                   # the table
python benchmarks/claims.py --write           # and into docs/prediction.md, with its picture
python benchmarks/claims.py --rules GRD1 GRD2 # of some rules
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from gradlint.api import check
from gradlint.records.evidence import Evidence, Verdict
from gradlint.records.finding import Claim, Finding, Metric
from gradlint.rule.registry import load
from gradlint.verify.judge import NON_FINITE, agrees
from gradlint.verify.request import Request
from gradlint.verify.stamp import stamped

ROOT = Path(__file__).resolve().parent.parent
PAGE, PICTURE = ROOT / "docs" / "prediction.md", ROOT / "docs" / "claims.svg"
BEGIN, END = "<!-- claims -->", "<!-- end of claims -->"
UNITS = {
    **dict.fromkeys((Metric.DEPTH_GAIN, Metric.ACTIVATION_SCALE, Metric.RECURRENT_GAIN), "decades"),
    **dict.fromkeys((Metric.WEIGHT_VARIANCE, Metric.STEP_SCALE), "decades"),
    **dict.fromkeys((Metric.REGISTERED_PARAMETERS, Metric.RAISES), "number"),
}
"""The units of metrics that are not shares."""
Measured = tuple[Finding, Claim, Evidence]


def examples(folder: Path, prefixes: Sequence[str]) -> None:
    """Write the bad examples of rules, one file each."""
    for rule in load():
        if rule.id.startswith(tuple(prefixes)):
            for number, code in enumerate(rule.bad.values()):
                (folder / f"{rule.id.lower()}_{number}.py").write_text(code, encoding="utf-8")


def found(paths: Sequence[str]) -> list[Measured]:
    """The findings with a claim in files, each measured."""
    by_path: dict[str, list[Finding]] = {}
    for finding in check(paths, isolated=True, preview=True):
        if finding.claim is not None and finding.path.endswith(".py"):
            by_path.setdefault(finding.path, []).append(finding)
    known = stamped(by_path, Request(sys.executable, seconds=60.0))
    return [
        (each, each.claim, each.evidence)
        for findings in known.values()
        for each in findings
        if each.claim is not None and each.evidence is not None
    ]


def scaled(value: float, metric: Metric) -> float:
    """A value in the unit in which it is compared: variances in decades, else the metric's own."""
    return math.log10(value) if metric is Metric.WEIGHT_VARIANCE and value > 0 else value


def pairs(results: Sequence[Measured], metric: Metric) -> list[tuple[float, float]]:
    """Predicted and measured values of a metric where both are numbers."""
    values = [
        (scaled(claim.predicted, metric), scaled(evidence.measured, metric))
        for _, claim, evidence in results
        if claim.metric is metric and evidence.measured is not None
    ]
    return [(p, m) for p, m in values if math.isfinite(p) and math.isfinite(m)]


def agreeing(results: Sequence[Measured]) -> int:
    """Of how many the measured value is what was predicted."""
    return sum(
        not math.isfinite(evidence.measured or 0.0)
        if claim.metric in NON_FINITE
        else agrees(evidence.measured, claim)
        for _, claim, evidence in results
        if evidence.measured is not None
    )


def row(metric: Metric, results: Sequence[Measured]) -> str:
    """Findings of a metric: verdicts, agreement, and errors in the metric's unit."""
    verdicts = Counter(evidence.verdict for _, _, evidence in results)
    counts = [str(verdicts[each]) for each in Verdict]
    measured = [each for each in results if each[2].measured is not None]
    errors = sorted(abs(p - m) for p, m in pairs(measured, metric))
    figures = (
        [f"{statistics.median(errors):.3f}", f"{errors[int(0.95 * len(errors))]:.3f}"] if errors else ["", ""]
    )
    unit = "" if metric in NON_FINITE else UNITS.get(metric, "share")
    agreed = f"{agreeing(measured)} of {len(measured)}" if measured else ""
    return f"| {metric.value} | {len(results)} | {' | '.join([*counts, agreed, *figures, unit])} |"


def table(results: Sequence[Measured]) -> Iterator[str]:
    """A row per metric, and one for all."""
    verdicts = " | ".join(each.value for each in Verdict)
    yield f"| claim | findings | {verdicts} | as predicted | median error | 95th percentile | |"
    yield "| --- |" + " ---: |" * (len(Verdict) + 4) + " --- |"
    for metric in Metric:
        chosen = [each for each in results if each[1].metric is metric]
        if chosen:
            yield row(metric, chosen)


def others(results: Sequence[Measured]) -> Iterator[str]:
    """The findings that were measured and not confirmed, or are not as predicted."""
    for finding, claim, evidence in results:
        if evidence.measured is None or claim.metric in NON_FINITE:
            continue
        if evidence.verdict is not Verdict.CONFIRMED or not agrees(evidence.measured, claim):
            yield (
                f"- {finding.rule} in {Path(finding.path).name}: {claim.metric.value} predicted"
                f" {claim.predicted:.3g}, measured {evidence.measured:.3g}: {evidence.verdict.value}"
            )


def section(results: Sequence[Measured]) -> str:
    """What the page says about findings."""
    differing = list(others(results))
    rest = "\n".join(["Not confirmed, or not as predicted:", "", *differing]) if differing else ""
    return f"""{BEGIN}
Every finding with a claim in the bad examples of all rules and in the fixtures, measured by the worker as
`gradlint check --verify` does. *As predicted* is within 0.3 decades or a tenth, shares within a tenth, or
within what the prediction itself leaves open; errors are distances to the middle of the prediction.

{chr(10).join(table(results))}

{rest}

![findings: measured against predicted](claims.svg)
{END}"""


def kept() -> str:
    """The section as it stands in the page, or an empty one."""
    pattern = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    known = pattern.search(PAGE.read_text(encoding="utf-8"))
    return known[0] if known else f"{BEGIN}\n{END}"


def draw(results: Sequence[Measured]) -> None:
    """Predicted against measured, decades on the left and shares on the right."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gradlint"
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 5))
    for metric in Metric:
        known = pairs(results, metric)
        axes = left if UNITS.get(metric) == "decades" else right
        if known and metric not in NON_FINITE:
            axes.scatter(*zip(*known, strict=True), s=10, alpha=0.6, label=metric.value)
    for axes, ends, unit in ((left, (-16.0, 16.0), "decades"), (right, (-0.05, 1.05), "share or number")):
        axes.plot(ends, ends, color="0.7", linewidth=1)
        axes.set(xlim=ends, ylim=ends, xlabel=f"predicted, {unit}", ylabel=f"measured, {unit}")
        axes.legend(frameon=False)
    figure.savefig(PICTURE, metadata={"Date": None}, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rules", nargs="+", default=["GRD"], help="prefixes of the rules' ids")
    parser.add_argument("--write", action="store_true", help="write docs/prediction.md and its picture")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        examples(Path(folder), options.rules)
        results = found([folder, str(ROOT / "fixtures")])
    results = [each for each in results if each[0].rule.startswith(tuple(options.rules))]
    print("\n".join(table(results)))
    print("\n".join(others(results)))
    if options.write:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(text.replace(kept(), section(results)), encoding="utf-8")
        draw(results)


if __name__ == "__main__":
    main()
