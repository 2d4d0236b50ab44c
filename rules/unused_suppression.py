"""GRD002 unused-suppression."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.records.finding import Applicability, Edit, Finding, Fix, Severity
from gradlint.records.span import Span
from gradlint.records.suppression import Code, Suppression, SuppressionUse
from gradlint.rule.rule import Rule


class UnusedSuppression(Rule):
    """A comment silences a rule that has nothing to say there.

    ### Why is this bad?
    A suppression outlives its reason: the code is repaired, moved or rewritten, and the comment
    stays. It then misleads the reader, and it hides the next real finding on that line.

    ### How it is verified
    Not by a backward pass. The rule that the comment names ran on this file and reported nothing
    that starts in the statement the comment belongs to.

    ### When it is fine
    A suppression of a rule that was not selected in this run, or that is in preview, is never
    reported. Neither are codes of other tools, nor a plain `# noqa`, which may serve them.

    ### Fix safety
    Safe: only the comment changes. Codes that are in use, codes of other tools and other comments
    on the line stay; the reason goes with the last code.

    ### References
    - [Ruff: unused-noqa (RUF100)](https://docs.astral.sh/ruff/rules/unused-noqa/)
    """

    id = "GRD002"
    name = "unused-suppression"
    severity = Severity.NOTE
    help = "remove the suppression"
    bad = {
        "trailing": "import torch  # gradlint: ignore[GRD601]\n",
        "own line": (
            "import torch\n\n\ndef loss(x):\n    # gradlint: ignore[GRD601] guarded by the caller\n"
            "    return torch.ones_like(x)\n"
        ),
        "by name": "import torch  # gradlint: ignore[nan-comparison]\n",
        "noqa": "import torch  # noqa: GRD604\n",
        "noqa beside another tool's code": "import torch  # noqa: F401, GRD604 imported for others\n",
        "whole file": "# gradlint: file-ignore[GRD703]\nimport torch\n",
        "prefix": "import torch  # gradlint: ignore[GRD6]\n",
        "between other comments": "import torch  # type: ignore  # gradlint: ignore[GRD601]  # keep\n",
        "brackets without a rule": "import torch  # gradlint: ignore[]\n",
        "only one of two in use": (
            "import torch\n\nx = torch.ones(3)\n"
            "y = x == torch.nan  # gradlint: ignore[GRD609, GRD601] on purpose\n"
        ),
    }
    good = {
        "in use": "import torch\n\nx = torch.ones(3)\ny = x == torch.nan  # gradlint: ignore[GRD609]\n",
        "in use from above": (
            "import torch\n\nx = torch.ones(3)\n# gradlint: ignore[nan-comparison] on purpose\n\n"
            "# another comment\ny = x == torch.nan\n"
        ),
        "in use at the end of a long call": (
            "import torch\n\nx = torch.ones(3)\n"
            "y = torch.where(\n    x == torch.nan,\n    x,\n    0 * x,\n)  # noqa: GRD609\n"
        ),
        "plain noqa": "import torch  # noqa\n",
        "another tool's code": "import torch  # noqa: F401\n",
        "text that looks like a comment": 'import torch\n\nHELP = "# gradlint: ignore[GRD601]"\n',
        "about gradlint, not to it": "import torch\n\n# gradlint: a linter for gradients\n",
        "unknown code": "import torch  # noqa: XYZ123\n",
    }
    fixed = {
        "trailing": "import torch\n",
        "own line": "import torch\n\n\ndef loss(x):\n    return torch.ones_like(x)\n",
        "by name": "import torch\n",
        "noqa": "import torch\n",
        "noqa beside another tool's code": "import torch  # noqa: F401 imported for others\n",
        "whole file": "import torch\n",
        "prefix": "import torch\n",
        "between other comments": "import torch  # type: ignore  # keep\n",
        "brackets without a rule": "import torch\n",
        "only one of two in use": (
            "import torch\n\nx = torch.ones(3)\ny = x == torch.nan  # gradlint: ignore[GRD609] on purpose\n"
        ),
    }

    def check(self, use: SuppressionUse) -> Iterator[Finding]:
        """Report the codes of one comment that silenced nothing."""
        suppression, unused = use.suppression, use.unused
        if use.idle:
            what = "names no rule" if not suppression.blanket else "silences nothing"
            yield self.finding(suppression.span, f"suppression {what}", fix=_fix((suppression.removal,)))
        elif unused:
            spans = (
                (suppression.removal,)
                if len(unused) == len(suppression.codes)
                else tuple(_gaps(suppression, unused))
            )
            named = ", ".join(code.text for code in unused)
            span = _between(unused[0].span, unused[-1].span.end)
            yield self.finding(span, f"suppression of {named} silences nothing", fix=_fix(spans))


def _fix(spans: tuple[Span, ...]) -> Fix:
    return Fix("remove the unused suppression", Applicability.SAFE, tuple(Edit(span, ()) for span in spans))


def _gaps(suppression: Suppression, unused: tuple[Code, ...]) -> Iterator[Span]:
    """What to delete so that a list keeps one separator between each two codes that stay."""
    codes = suppression.codes
    for index, code in enumerate(codes):
        if code in unused:
            rest = [later.span for later in codes[index + 1 :] if later not in unused]
            if rest:
                yield _between(code.span, codes[index + 1].span)
            else:
                yield _between(codes[index - 1].span.end, code.span.end)


def _between(first: Span, last: Span) -> Span:
    return Span(first.line, first.column, last.line, last.column)
