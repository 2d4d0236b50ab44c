"""The linters that are compared, each in a virtual environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent
NOT_SOURCE = (".*_cache", ".git", ".hypothesis", ".venv", "__pycache__", "*.egg-info", "build", "dist")
"""What an installation must not see: a leftover build would revive deleted files."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another linter from PyPI.

    `arguments` stand between the program and the path; `statuses` are those of a complete run.
    Of a `slow` one fewer runs are made.
    """

    name: str
    version: str
    arguments: tuple[str, ...]
    statuses: tuple[int, ...] = (0,)
    slow: bool = False

    @property
    def program(self) -> str:
        """The name of the command."""
        return self.name.lower()

    def command(self, venvs: Path, path: Path) -> tuple[str, ...]:
        """How it checks `path`."""
        return (str(program(venvs / self.program, self.program)), *self.arguments, str(path))

    def label(self, venvs: Path) -> str:
        """Its name with the version that is really installed, and its arguments."""
        version = installed_version(venvs / self.program, self.program)
        return f"{self.name} {version}, `{' '.join((self.program, *self.arguments))}`"


RUFF = Peer("ruff", "0.17.5", ("check", "--no-cache", "--isolated", "--exit-zero"))
TORCHFIX = Peer("TorchFix", "0.7.0", ("--select=ALL",), (0, 1), slow=True)
PEERS = (
    RUFF,
    Peer("flake8", "7.5.0", ("--isolated", "--exit-zero")),
    Peer("Fixit", "2.2.1", ("lint",), (0, 1), slow=True),
    TORCHFIX,
)


def program(environment: Path, name: str) -> Path:
    """A command of a virtual environment."""
    return environment / "bin" / name


def install_peer(peer: Peer, venvs: Path) -> None:
    """Make the environment of `peer`, unless it is there."""
    environment = venvs / peer.program
    if not program(environment, peer.program).exists():
        _create(environment)
        _install(environment, f"{peer.program}=={peer.version}")


def install_gradlint(venvs: Path) -> Path:
    """Install this checkout into an environment of its own, anew; the command."""
    environment = venvs / "gradlint"
    if not program(environment, "python").exists():
        _create(environment)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / CHECKOUT.name
        shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns(*NOT_SOURCE))
        _install(environment, str(copy))
    return program(environment, "gradlint")


def installed_version(environment: Path, distribution: str) -> str:
    """The version of a distribution in a virtual environment."""
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    command = [str(program(environment, "python")), "-c", code]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()


def _create(environment: Path) -> None:
    print(f"creating {environment}", file=sys.stderr)
    venv.create(environment, with_pip=True)


def _install(environment: Path, *what: str) -> None:
    command = [str(program(environment, "python")), "-m", "pip", "install", "--quiet", *what]
    subprocess.run(command, check=True)
