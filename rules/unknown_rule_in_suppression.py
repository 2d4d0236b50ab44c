"""GRD003 unknown-rule-in-suppression."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.records.finding import Finding, Severity
from gradlint.records.suppression import SuppressionKind, SuppressionUse
from gradlint.rule.rule import Rule


class UnknownRuleInSuppression(Rule):
    """A comment silences a rule that does not exist.

    ### Why is this bad?
    A mistyped code or name silences nothing: the finding it was written for is still reported, or
    will be as soon as the rule that was meant runs.

    ### How it is verified
    Not by a backward pass. The code is compared with the codes, their prefixes and the names of
    all rules that are installed, rule packs included.

    ### When it is fine
    When the rule belongs to a rule pack that is not installed where gradlint runs. Codes of other
    tools after `# noqa:` are never reported.

    ### Fix safety
    There is no fix, since only the author knows which rule was meant; the nearest one is named.

    ### References
    - [Ruff: invalid-rule-code (RUF102)](https://docs.astral.sh/ruff/rules/invalid-rule-code/)
    """

    id = "GRD003"
    name = "unknown-rule-in-suppression"
    severity = Severity.WARNING
    help = "write the code or the name of a rule that `gradlint rules` lists"
    bad = {
        "no such code": "import torch  # gradlint: ignore[GRD999]\n",
        "mistyped name": "import torch  # gradlint: ignore[nan-comparision]\n",
        "letter for a digit": "import torch  # gradlint: ignore[GRD6O9]\n",
        "noqa": "import torch  # noqa: F401, GRD999\n",
        "own line": "import torch\n\n# gradlint: ignore[no-such-rule] a reason\nx = torch.ones(3)\n",
        "whole file": "# gradlint: file-ignore[GRD998]\nimport torch\n",
        "directive that does not exist": "import torch  # gradlint: noqa\n",
        "directive of another tool": "import torch  # gradlint: disable=GRD601\n",
        "code without a directive": "import torch  # gradlint: GRD601\n",
    }
    good = {
        "code": "import torch\n\nx = torch.ones(3)\ny = x == torch.nan  # gradlint: ignore[GRD609]\n",
        "name": "import torch\n\nx = torch.ones(3)\ny = x == torch.nan  # gradlint: ignore[nan-comparison]\n",
        "name in capitals": (
            "import torch\n\nx = torch.ones(3)\ny = x == torch.nan  # gradlint: ignore[NaN-Comparison]\n"
        ),
        "prefix": "import torch\n\nx = torch.ones(3)\ny = x == torch.nan  # gradlint: ignore[GRD6]\n",
        "reason that looks like a code": (
            "import torch\n\nx = torch.ones(3)\ny = x == torch.nan  # gradlint: ignore[GRD609] not GRD999\n"
        ),
        "another tool's code": "import torch  # noqa: F401, ABC123\n",
        "text that looks like a comment": 'import torch\n\nHELP = "# gradlint: ignore[GRD999]"\n',
        "about gradlint, not to it": "import torch\n\n# gradlint: ignored files are in pyproject.toml\n",
    }

    def check(self, use: SuppressionUse) -> Iterator[Finding]:
        """Report each code of one comment that belongs to no rule."""
        kind = "directive" if use.suppression.kind is SuppressionKind.UNKNOWN else "rule"
        for unknown in use.unknown:
            help = f"did you mean '{unknown.suggestion}'?" if unknown.suggestion else self.help
            yield self.finding(unknown.code.span, f"unknown {kind} '{unknown.code.text}'", help=help)
