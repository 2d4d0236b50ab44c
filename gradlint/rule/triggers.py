"""Where in a text the functions stand that several rules look at."""

from __future__ import annotations

from collections.abc import Mapping

_NOT_OF_TORCH = r"(?<![\w\"'])(?<!math\.)(?<!np\.)(?<!numpy\.)(?<!self\.)(?<!wandb\.)"
_USED = r"(?=\s*[(,)\]}#\n]|\s+as\b|\s*$)"

LOGARITHM: Mapping[str, str] = {
    "log": rf"{_NOT_OF_TORCH}log(?:1p|2|10)?_?{_USED}",
    "xlogy": "",
    "special.entr": "",
}
EXPONENTIAL: Mapping[str, str] = {"exp": rf"{_NOT_OF_TORCH}exp_?{_USED}"}
DEVIATION: Mapping[str, str] = {
    "std": rf"(?<=\.)(?<!np\.)std(?:_mean)?{_USED}",
    "var": rf"(?<=\.)(?<!np\.)var(?:_mean)?{_USED}",
}
_DIVIDED = r"(?:(?!\n(?:def|class)\b)[\s\S]){0,600}?[\w\])]\s*/=?\s*\(*[A-Za-z_]"
"""A division by something that has a name, not far below in the same definition."""

DIVISOR: Mapping[str, str] = {
    "/": r"/=?\s*\(*\s*[^\n#'\"/]*?(?:\.sum|\.abs|\.a?min|norm|cdist|distance|count_nonzero)\s*\(",
    "norm": rf"(?<!self\.)(?:(?<=\.)|(?<=vector_)|(?<=matrix_)|(?<=import ))norm\b{_DIVIDED}",
    "sum": rf"(?<=\.)sum\b{_DIVIDED}",
    "abs": rf"(?<=\.)abs\b{_DIVIDED}",
    "min": rf"(?:(?<=\.)|(?<=\.a))min\b{_DIVIDED}",
    "cdist": "",
    "pairwise_distance": "",
    "count_nonzero": "",
    "reciprocal": "",
    "div": r"(?:(?<=\.)|(?<=true_))div(?:ide)?_?\s*\(",
    "**": r"\*\*\s*\(?\s*-\s*\d+(?![\d.])",
    "pow": r"pow_?\s*\([^()\n]*-\s*\d+\s*\)",
}
"""Reductions that reach 0, near a division."""
