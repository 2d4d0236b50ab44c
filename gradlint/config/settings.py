"""Every setting with its default."""

from __future__ import annotations

from msgspec import Struct

from gradlint.records.finding import Severity

DEFAULT_EXCLUDE = (
    ".bzr",
    ".direnv",
    ".eggs",
    ".git",
    ".git-rewrite",
    ".hg",
    ".hypothesis",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pyenv",
    ".pytest_cache",
    ".pytype",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".venv",
    ".vscode",
    "__pycache__",
    "__pypackages__",
    "_build",
    "build",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
)


class TargetSettings(Struct, frozen=True):
    """What is known of a target of verification, "package.module:Name".

    `arguments` are (name, Python expression), `inputs` (name, dtype, shape).
    """

    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...] = ()


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of one run for one file, after configuration files and options were combined.

    `select`, `ignore` and their kin hold codes, prefixes, names or "ALL", already checked against
    the known rules. Paths are absolute. `target_torch` is (major, minor). `verify_timeout` is in seconds
    and `verify_memory` in megabytes, each for one target.
    """

    root: str = "."
    select: tuple[str, ...] = ("ALL",)
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    severity: tuple[tuple[str, Severity], ...] = ()
    fail_on: Severity = Severity.WARNING
    preview: bool = False
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    extend_exclude: tuple[str, ...] = ()
    force_exclude: bool = False
    respect_gitignore: bool = True
    target_torch: tuple[int, int] | None = None
    vanishing_decades: float = 3.0
    exploding_decades: float = 3.0
    activation_decades: float = 3.0
    initialisation_decades: float = 1.5
    recurrence_decades: float = 3.0
    saturated_share: float = 0.5
    dead_share: float = 0.5
    baseline: str | None = None
    output_format: str = "full"
    fix: bool = False
    unsafe_fixes: bool = False
    jobs: int = 0
    cache: bool = True
    cache_dir: str | None = None
    verify: bool = False
    verify_python: str | None = None
    verify_device: str = "cpu"
    verify_dtype: str = "float32"
    verify_timeout: float = 60.0
    verify_memory: int = 4096
    verify_targets: tuple[TargetSettings, ...] = ()
