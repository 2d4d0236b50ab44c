"""GRD001 syntax-error."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.records.failure import ParseFailure
from gradlint.records.finding import Finding, Severity
from gradlint.rule.rule import Rule


class SyntaxError(Rule):
    """A file or notebook cell is not valid Python and was therefore not analysed.

    ### Why is this bad?
    What cannot be parsed cannot be checked, so a hazard in this file would stay hidden behind a
    clean report. Every other file is still analysed, and so are the other cells of a notebook. A
    file in which no framework is named (torch, lightning, accelerate, fastai) concerns no rule and
    is not parsed, so its errors are told only where the file itself is named on the command line.

    ### How it is verified
    Not by a backward pass: code that does not parse does not run. The file was read with the
    grammar of the running interpreter first and with the newest grammar that gradlint knows next.

    ### When it is fine
    Templates and test data that only look like Python; list them under `exclude`. Magics and shell
    lines in notebooks are understood and never reported.

    ### Fix safety
    There is no fix.

    ### References
    - [The Python language reference: full grammar](https://docs.python.org/3/reference/grammar.html)
    """

    id = "GRD001"
    name = "syntax-error"
    severity = Severity.ERROR
    help = "correct the syntax, or exclude the file if it is not meant to be Python"
    bad = {
        "unclosed bracket": "import torch\n\nloss = torch.log(torch.softmax(x, -1)\n",
        "missing colon": "import torch\n\nfor batch in loader\n    loss = model(batch)\n",
        "bad indentation": "import torch\n\ndef forward(x):\n    y = torch.exp(x)\n  return y\n",
        "python 2 print": 'import torch\n\nprint "loss", loss\n',
        "unterminated string": "import torch\n\ndevice = torch.device('cuda)\n",
        "merge conflict": "import torch\n\n<<<<<<< HEAD\nlr = 0.1\n=======\nlr = 0.01\n>>>>>>> branch\n",
        "half an edit": "import torch\n\noptimizer = torch.optim.\n",
    }
    good = {
        "empty file": "",
        "comments only": "# import torch\n",
        "one line after another": "import torch\n\nx = torch.ones(3); y = x.sum()\n",
        "broken code in a string": 'import torch\n\nTEMPLATE = """\nfor batch in loader\n"""\n',
        "unusual but valid": "import torch\n\nx = (\n    torch.ones(3)\n    # summed\n    .sum()\n)\n",
        "no line feed at the end": "import torch\nx = torch.ones(3)",
        "positional-only arguments": "import torch\n\ndef scale(x, /, *, by=1.0):\n    return x * by\n",
    }

    def check(self, failure: ParseFailure) -> Iterator[Finding]:
        """Report where reading stopped."""
        yield self.finding(failure.span, failure.message)
