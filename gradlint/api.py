"""The Python interface: what `gradlint check` does, as a function."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

from gradlint.config.load import Configurations
from gradlint.lint.pipeline import Linter
from gradlint.records.finding import Finding
from gradlint.rule.registry import load
from gradlint.source.discover import discover


def check(
    paths: str | Sequence[str],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    preview: bool = False,
    config: str | None = None,
    isolated: bool = False,
    jobs: int = 0,
    cache_dir: str | None = None,
    executor: Executor | None = None,
) -> list[Finding]:
    """The findings in files and folders, file by file and by position.

    `select` and `ignore` take codes, prefixes, names or "ALL", over what configuration files say
    (`config` names one, `isolated` leaves them out). `jobs` bounds the processes (0: one per core);
    an `executor` of `concurrent.futures` does the work in their stead. Nothing is cached unless
    `cache_dir` is given. The code is read, never run.

    Raises `ConfigError` for unknown rules or settings and `FileNotFoundError` for a missing path.
    """
    rules = load()
    options: dict[str, object] = {"preview": preview} if preview else {}
    options.update({key: list(value) for key, value in (("select", select), ("ignore", ignore)) if value})
    configurations = Configurations(rules, options, file=config, isolated=isolated)
    found = discover(
        [paths] if isinstance(paths, str) else paths,
        configurations.for_folder("."),
        configurations.for_folder,
    )
    if found.missing:
        raise FileNotFoundError(f"no such file or folder: {', '.join(found.missing)}")
    linter = Linter(rules, configurations.select, jobs=jobs, cache_dir=cache_dir, executor=executor)
    reports = linter.check_files(found.files, found.explicit)
    return [finding for report in reports for finding in report.findings]
