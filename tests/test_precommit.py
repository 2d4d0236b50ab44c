"""The repository works as a pre-commit hook, installed by pre-commit itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BAD = "import torch\n\n\ndef norm(x):\n    return torch.sqrt((x ** 2).sum())\n"
GOOD = "import torch\n\n\ndef norm(x):\n    return torch.sqrt((x ** 2).sum() + 1e-12)\n"


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`, out of reach of a git repository that runs the tests."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return subprocess.run(
        command, cwd=folder, env=environ | variables, text=True, encoding="utf-8", capture_output=True
    )


def git(folder: Path, *arguments: str) -> str:
    settings = ("user.name=gradlint", "user.email=gradlint@example.invalid", "commit.gpgsign=false")
    options = [word for setting in settings for word in ("-c", setting)]
    done = run(folder, "git", *options, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def working_tree(target: Path) -> Path:
    """A repository with everything that is in this working tree, committed or not, but not ignored."""
    for name in git(ROOT, "ls-files", "-z", "-co", "--exclude-standard").split("\0"):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    git(target, "init", "-q")
    git(target, "add", "--all", "--force")
    git(target, "commit", "-q", "--no-verify", "-m", "snapshot")
    return target


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="pre-commit installs from a git repository")
def test_hook_fails_on_the_bad_staged_file_only(tmp_path: Path) -> None:
    hooks = working_tree(tmp_path / "gradlint")
    project = tmp_path / "project"
    project.mkdir()
    (project / "bad.py").write_text(BAD, "utf-8")
    (project / "good.py").write_text(GOOD, "utf-8")
    git(project, "init", "-q")
    git(project, "add", "bad.py", "good.py")
    hook = run(
        project,
        *(sys.executable, "-m", "pre_commit", "try-repo", str(hooks), "gradlint", "--color", "never"),
        PRE_COMMIT_HOME=str(tmp_path / "cache"),
    )
    assert "bad.py:5:" in hook.stdout, hook.stdout + hook.stderr
    assert "GRD601" in hook.stdout
    assert "good.py" not in hook.stdout
    assert "Failed" in hook.stdout
    assert hook.returncode == 1
