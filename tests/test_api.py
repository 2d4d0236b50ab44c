"""The Python interface."""

from __future__ import annotations

from pathlib import Path

import pytest

import gradlint

BAD = "import torch\n\n\ndef f(x):\n    return torch.sqrt((x ** 2).sum())\n"


def test_a_single_path_may_be_a_string(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(BAD)
    (finding,) = gradlint.check(str(tmp_path), isolated=True)
    assert isinstance(finding, gradlint.Finding)
    assert (finding.rule, finding.span.line) == ("GRD601", 5)


def test_mistakes_are_told_by_their_type(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        gradlint.check([str(tmp_path / "missing")])
    with pytest.raises(gradlint.ConfigError, match="GRD60I"):
        gradlint.check([str(tmp_path)], select=["GRD60I"], isolated=True)


def test_selection_and_preview_are_heeded(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(BAD)
    assert gradlint.check([str(tmp_path)], ignore=["GRD6"], isolated=True, preview=True) == []


def test_public_names_are_listed() -> None:
    assert {"check", "Finding", "ConfigError", "__version__"} <= set(dir(gradlint))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gradlint.nothing  # noqa: B018


def test_an_error_in_the_syntax_is_placed_where_python_places_it(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import torch\n\n# rate\nlr = \nbeta = \n\n# end\n")
    (finding,) = gradlint.check([str(tmp_path)], isolated=True)
    assert (finding.rule, finding.span.line) == ("GRD001", 4)


def test_a_fix_never_comes_from_another_file(tmp_path: Path) -> None:
    (tmp_path / "mask.py").write_text(
        "import torch\n\n\ndef bias(mask, attn):\n    b = torch.zeros_like(mask, dtype=attn.dtype)\n"
        "    b.masked_fill_(~mask, float('-inf'))\n    return b\n"
    )
    (tmp_path / "model.py").write_text(
        "import torch\nfrom mask import bias\n\n\ndef att(q, k, v, mask):\n    a = q @ k.transpose(-2, -1)\n"
        "    a = a + bias(mask, a)\n    return a.softmax(dim=-1) @ v\n"
    )
    found = gradlint.check([str(tmp_path / "model.py")], isolated=True)
    assert [finding.rule for finding in found] == ["GRD608"]
    assert found[0].fix is None
