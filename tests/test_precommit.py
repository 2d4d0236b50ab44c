"""The repository works as a pre-commit hook, installed by pre-commit itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BAD = "import torch\n\n\ndef norm(x):\n    return torch.sqrt((x ** 2).sum())\n"
GOOD = "import torch\n\n\ndef norm(x):\n    return torch.sqrt((x ** 2).sum() + 1e-12)\n"


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`, out of reach of the git repository that the tests may run in."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return subprocess.run(
        command, cwd=folder, env=environ | variables, text=True, encoding="utf-8", capture_output=True
    )


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="pre-commit installs from a git repository")
def test_hook_fails_on_the_bad_staged_file_only(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "bad.py").write_text(BAD, "utf-8")
    (project / "good.py").write_text(GOOD, "utf-8")
    assert run(project, "git", "init", "-q").returncode == 0
    assert run(project, "git", "add", "bad.py", "good.py").returncode == 0
    hook = run(
        project,
        *(sys.executable, "-m", "pre_commit", "try-repo", str(ROOT), "gradlint", "--color", "never"),
        PRE_COMMIT_HOME=str(tmp_path / "cache"),
    )
    assert "bad.py:5:" in hook.stdout, hook.stdout + hook.stderr
    assert "GRD601" in hook.stdout
    assert "good.py" not in hook.stdout
    assert "Failed" in hook.stdout
    assert hook.returncode == 1
