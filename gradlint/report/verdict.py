"""Evidence in words and as JSON has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gradlint.records.evidence import Evidence, Verdict
from gradlint.records.finding import Finding
from gradlint.report.encode import number


def measurement(evidence: Evidence) -> str:
    """`-9.4 ± 0.04 (3 seeds, cpu float32): confirmed`, or why there is no number."""
    if evidence.measured is None:
        reason = f": {evidence.reason}" if evidence.reason else ""
        return f"{evidence.verdict.value}{reason}"
    spread = f" ± {evidence.spread:.2g}" if evidence.seeds > 1 and evidence.spread else ""
    seeds = "1 seed" if evidence.seeds == 1 else f"{evidence.seeds} seeds"
    where = f"({seeds}, {evidence.device} {evidence.dtype})"
    return f"{evidence.measured:.3g}{spread} {where}: {evidence.verdict.value}"


def notes(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """What to say under a finding: label and text."""
    yield "measured", measurement(evidence)
    if evidence.built:
        yield "built", evidence.built
    if evidence.remedy:
        yield "to supply it", evidence.remedy


def with_verdict(message: str, finding: Finding) -> str:
    """A message with what was measured behind it, where it was."""
    return message if finding.evidence is None else f"{message} [measured: {measurement(finding.evidence)}]"


def evidence_item(evidence: Evidence) -> dict[str, Any]:
    """Evidence as JSON; numbers that JSON lacks are given by name."""
    return {
        "verdict": evidence.verdict.value,
        "measured": None if evidence.measured is None else number(evidence.measured),
        "spread": number(evidence.spread),
        "seeds": evidence.seeds,
        "device": evidence.device or None,
        "dtype": evidence.dtype or None,
        "built": evidence.built or None,
        "reason": evidence.reason or None,
        "remedy": evidence.remedy or None,
        **({"layers": msgspec.to_builtins(evidence.layers)} if evidence.layers else {}),
    }


def verdict_of(finding: Finding) -> Verdict | None:
    """The verdict on a finding, None where it was not measured."""
    return None if finding.evidence is None else finding.evidence.verdict
