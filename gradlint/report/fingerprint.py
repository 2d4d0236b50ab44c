"""What stays the same about a finding while the code around it moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256

from gradlint.records.finding import Finding
from gradlint.report.excerpt import Excerpts


def fingerprints(path: str, findings: Iterable[Finding], excerpts: Excerpts) -> Iterator[str]:
    """A digest of each finding's rule, its first line, and how many such came before.

    Blanks and comments do not count. Digests differ within one file and are the same wherever the file lies.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        line = excerpts.line(path, finding.cell, finding.span.line)
        key = (finding.rule, "".join(line.partition("#")[0].split()))
        yield digest(*key, str(seen[key]))
        seen[key] += 1


def digest(*parts: str) -> str:
    """128 bits of SHA-256 over the parts, in hexadecimal."""
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
