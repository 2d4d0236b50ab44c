"""The real code that is measured and checked: Python files of published wheels, in pinned versions."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

PLATFORM = ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--only-binary", ":all:")
"""One platform for everybody, so that everybody gets the same files; nothing of them is executed."""


@dataclass(frozen=True, slots=True)
class Package:
    """A distribution on PyPI and the folder that its code lies in."""

    name: str
    version: str
    folder: str

    def root(self, corpus: Path) -> Path:
        """Where the files of this version lie, unpacked."""
        return corpus / f"{self.folder}-{self.version}" / self.folder


PACKAGES = (
    Package("timm", "1.0.31", "timm"),
    Package("torchvision", "0.29.2", "torchvision"),
    Package("torchaudio", "2.11.0", "torchaudio"),
    Package("transformers", "5.23.0", "transformers"),
    Package("vit-pytorch", "1.26.11", "vit_pytorch"),
    Package("x-transformers", "2.31.10", "x_transformers"),
    Package("torch-geometric", "2.8.1", "torch_geometric"),
    Package("segmentation-models-pytorch", "0.6.0", "segmentation_models_pytorch"),
)
BY_NAME = {package.name: package for package in PACKAGES}


def default_cache() -> Path:
    """Where wheels, unpacked code and environments are kept between runs."""
    return Path(user_cache_dir("gradlint-benchmarks", appauthor=False))


def obtain(package: Package, corpus: Path) -> Path:
    """The folder with the package's code, downloaded where it is missing."""
    root = package.root(corpus)
    if not root.is_dir():
        print(f"downloading {package.name} {package.version}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            _unpack(_download(package, Path(folder)), root.parent)
    return root


def files_of(root: Path) -> list[Path]:
    """The Python files below `root`."""
    return sorted(root.rglob("*.py"))


def lines_of(root: Path) -> int:
    """The number of lines of all Python files below `root`."""
    return sum(path.read_bytes().count(b"\n") for path in files_of(root))


def _download(package: Package, folder: Path) -> Path:
    requirement = f"{package.name}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *PLATFORM]
    subprocess.run([*command, "--dest", str(folder), requirement], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _unpack(wheel: Path, folder: Path) -> None:
    """Extract the Python files; the folder appears only when it is complete."""
    partial = folder.with_name(f"{folder.name}.partial")
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.endswith(".py")]
        archive.extractall(partial, members)
    partial.rename(folder)
