"""`gradlint baseline`: write down what is found now, so that only new findings are reported."""

from __future__ import annotations

from gradlint.cli.arguments import BASELINE, Values
from gradlint.cli.check import check
from gradlint.cli.errors import UsageError
from gradlint.cli.session import open_session
from gradlint.cli.terminal import print_error
from gradlint.lint.baseline import write
from gradlint.lint.pipeline import display_path
from gradlint.report.summary import count

FILE = "gradlint-baseline.json"


def run(values: Values) -> int:
    """Write the findings in the given files to the baseline."""
    session = open_session(values, BASELINE)
    path = values.get("output") or session.settings.baseline or FILE
    result = check(session)
    try:
        total = write(path, result.reports, result.source)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be written: {error.strerror or error}") from None
    path = display_path(path)
    if not session.is_quiet:
        print_error(f"{path} now holds {count(total, 'finding')}.")
        if session.settings.baseline is None:
            print_error(f'Use it with `--baseline {path}`, or set `baseline = "{path}"`.')
    return 0
